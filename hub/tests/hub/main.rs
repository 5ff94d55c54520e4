//! The hub through its real listeners, on loopback.

mod admin;
mod desk;
mod doors;
mod enrolment;
mod factory;
mod journals;
mod leases;
mod postman;
mod program;
mod publishing;
mod tenants;
