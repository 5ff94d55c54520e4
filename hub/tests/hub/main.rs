//! The hub through its real listeners, on loopback.
#![allow(clippy::unwrap_used, reason = "in a test the panic is the report")]

mod admin;
mod custody;
mod desk;
mod doors;
mod enrolment;
mod factory;
mod forged;
mod hostile;
mod journals;
mod leases;
mod people;
mod postman;
mod program;
mod publishing;
mod recovery;
mod renewal;
mod retention;
mod sticks;
mod sweep;
mod tenants;
