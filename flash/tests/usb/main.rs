//! The DFU back end over real, unmodified libusb, against the simulated loader.
//!
//! What `tests/dfu` shows in process is not told again: here is what only libusb can show. Its
//! errors, sockets by their place, devices that come and go, access rights, another program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod faults;
mod peer;
mod sockets;
mod visit;
