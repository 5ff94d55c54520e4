//! Journeys across the whole house: real programs, real sockets, simulated boards.
//!
//! Each journey sets up its own world: a hub, a station and boards in a fresh folder.

#![allow(clippy::unwrap_used, reason = "a journey ends where something is not as it should be")]
#![allow(clippy::disallowed_methods, reason = "a journey tampers with files as a thief would")]

mod activation;
mod faults;
mod networks;
mod real_firmware;
mod stick;
mod stolen_hub;
mod tampered;
