//! Journeys across the whole house, house rules, the fixture zoo.
//!
//! The library is the [`world`]: a hub, a station and simulated boards, run as the real programs.
//! The tests and `cargo xtask demo` play their stories on it.

pub mod world;
