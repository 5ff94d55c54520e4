#![doc = include_str!("../FORMAT.md")]
//!
//! # The crate
//!
//! The core (everything but the feature `issue`) runs on the chip, on the station, at the hub and
//! in service tools alike: no allocator, no panic, no unsafe code, one function that decides.
//!
//! Owns the activation code, the allotment certificate and the activation block: their bytes, how
//! they are made, and when they are refused. Leaves to others where a block lies in flash, who may
//! have an allotment, and which index is used next.
//!
//! Promise: [`check_block`] answers [`Block`] only for bytes that a holder of an allotment of this
//! very product made for this very chip.
#![no_std]
#![forbid(unsafe_code)]
// A chip has nobody to catch a panic.
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

#[cfg(feature = "issue")]
extern crate std;

mod block;
mod certificate;
mod code;
#[cfg(feature = "issue")]
mod issue;
mod refusal;
mod wire;

pub use block::{
    BLOCK_BYTES, Block, BlockFound, Claim, FAMILY_BYTES_MAX, PRODUCT_BYTES_MAX, UID_BYTES_MAX,
    check_block, look_at,
};
pub use certificate::{AllotmentCertificate, CERTIFICATE_BYTES};
pub use code::{ActivationCode, CodeError, code_for};
#[cfg(feature = "issue")]
pub use issue::{Allotment, IssueError, KeyError, ProductKey};
pub use refusal::Refusal;
