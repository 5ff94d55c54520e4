//! An STM32 in its ROM loader: application note AN3155 behind a pseudo-terminal.
//!
//! Owns one chip that was started into system memory: its flash, option bytes and unique id
//! ([`chip`], of the kinds in [`models`]), the loader's command machine ([`machine`]), the serial wire with its baud rates and
//! faults ([`wire`]), the levers ([`lever`]) and the process's front ([`serve`]). Everything but the
//! front is told the time and never reads a clock.
//!
//! Promises: the loader refuses what the real one refuses: frames with a bad complement or checksum,
//! addresses it does not serve, everything but a few commands while readout protection is on. Flash
//! is written only where it is erased; the loader says ACK all the same, as the real one does.
//!
//! The levers and the front also serve [`crate::esp_loader`].
//!
//! A pseudo-terminal has no parity and no framing: 8E1 and 8N1 look alike here, and damaged bytes are
//! marked by the front itself, for readers who ask for marks.

pub mod chip;
pub mod lever;
pub mod machine;
pub mod models;
pub mod serve;
pub mod wire;

pub use chip::Chip;
pub use models::Model;
pub use serve::{Line, Served, Settings, serve};
