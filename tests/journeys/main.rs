//! Journeys across the whole house: real programs, real sockets, simulated boards.
//!
//! Each journey sets up its own world: a hub, a station and boards in a fresh folder.

#![allow(clippy::unwrap_used, reason = "a journey ends where something is not as it should be")]

mod faults;
mod real_firmware;
mod tampered;
