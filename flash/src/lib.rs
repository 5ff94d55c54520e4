//! Bytes onto a chip: one trait, one file per back end.
//!
//! [`Backend`] is what a slot can do to the board in it; [`probe::ProbeBackend`] does it through a
//! debug probe. [`Chip`] is the table of qualified chips, [`Plan`] the exact set of bytes one
//! programming pass puts on the chip, [`FlashError`] the closed list of what can go wrong, as facts.
//!
//! Leaves to others: who may flash what, what a failure means to a worker, records, keys, deadlines
//! against a driver that hangs (a thread cannot be cancelled: run a back end in a process that can
//! be killed).
//!
//! Promises: [`Backend::program`] always compares what the chip reads back with every byte of the
//! plan and there is no way to switch that off; a byte outside the plan keeps its value; a locked
//! chip is never erased unless [`Backend::unlock`] is called.

mod backend;
mod checksum;
mod chip;
pub mod chips;
mod damage;
pub mod dfu;
mod error;
pub mod esp;
mod identity;
mod listen;
mod plan;
mod port;
pub mod probe;
mod sector;
mod serial;
mod survey;
pub mod uart;

pub use backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, Step, StepTimes, UnlockApproval,
    VerifyReport, Via,
};
pub use chip::{
    BackEnd, Chip, EmptyCheck, FlashCache, ProbeProfile, Proof, Protect, Readout, Region,
    RegionKind, Reset, Segment, Verified, Way,
};
pub use chips::{CHIPS, chip};
pub use damage::Damage;
pub use error::FlashError;
pub use identity::{Identity, PartReader, STM32_DEVICES, Uid, UidReader, UidVector};
pub use plan::{Difference, Piece, Plan};
pub use port::{BAUD_DEFAULT, PlacedProbe, Port, PortError, PortKind, TtyPort};
pub use serial::SerialBackend;
