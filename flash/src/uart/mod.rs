//! The back end for serial ports: STM32 ROM loaders by application note AN3155.
//!
//! [`UartBackend`] is one serial port and the chip behind it; [`Loader`] the protocol with its
//! deadlines and retries; [`frame`] its frames, pure; [`PROFILES`] the chips.
//!
//! Leaves to others: bringing the chip into its loader (BOOT0 and reset are the fixture's), and
//! deadlines beyond the protocol's own. Every wait in here ends by itself.
//!
//! Promises: the comparison after programming reads every planned byte back over the wire; a locked
//! chip is erased only by [`crate::Backend::unlock`].

mod backend;
mod course;
pub mod frame;
mod link;
mod loader;
mod profile;
mod program;
mod twice;

pub use backend::UartBackend;
pub(crate) use backend::is_same_port;
pub(crate) use course::{Course, ms};
pub use link::Fault;
pub(crate) use link::not_opened;
pub use loader::{BAUDS, Loader, Restart};
pub use profile::{PROFILES, Profile, profile};
pub(crate) use twice::alike;
