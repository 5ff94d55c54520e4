//! The station: slots, visits, shelf of releases, operators, troubles, local API.
//!
//! In flow order: a [`slots`] thread sees a board and runs its [`visit`] with its [`hands`] (a
//! worker process); what the slots share is asked of the [`desk`], which owns the [`store`], the
//! [`journal`] and the [`shelf`] and tells the [`api`] what to show; the postman of `sync` carries
//! records up and documents down. What a failure means is decided in [`trouble`].

pub mod api;
pub mod bindings;
pub mod clock;
pub mod config;
pub mod desk;
pub mod enrolment;
pub mod figures;
pub mod hands;
pub mod journal;
pub mod keys;
pub mod people;
pub mod platform;
pub mod preflight;
pub mod run;
pub mod scanners;
pub mod shelf;
pub mod slots;
pub mod stick;
pub mod store;
pub mod teach;
pub mod trouble;
pub mod visit;
pub mod witness;
