//! The DFU back end against the simulated loader, and its conversation against scripted answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bench;
mod faults;
mod protocol;
mod visit;
