//! The station: slots, visits, shelf of releases, operators, troubles, local API.

pub mod api;
pub mod hands;
pub mod platform;
