//! The server: tenants, releases, stations, orders, allotments, audit.
//!
//! Owns what is remembered ([`store`]), who may ask for it (two listeners: stations by client
//! certificate, people by token) and the hub's own keys ([`vault`], [`ca`]). Leaves the formats,
//! and every judgement about bytes, to the rooms `release`, `activation` and `audit`.
//!
//! Promises: nothing a station may flash is made here; a bundle that R&D did not sign is refused,
//! and the hub could not open one beyond its content keys. One tenant never sees another's things,
//! because no query without a tenant compiles. A record is acknowledged after it is on disk.

mod admin_api;
pub mod admin_client;
pub mod blobs;
mod body;
mod branch;
pub mod ca;
mod client_certificate;
mod custody;
mod digest;
pub mod hub;
mod journal;
mod lease;
mod pools;
mod publish;
mod recovery;
mod refusal;
mod replace_file;
mod roster;
pub mod serve;
mod server_certificate;
mod station_api;
mod stick;
pub mod stick_carrier;
pub mod store;
mod units;
pub mod vault;

pub use hub::{Hub, HubError, InitWith, Made, init};
pub use serve::{ServeWith, Serving, serve};
