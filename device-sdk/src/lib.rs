#![doc = include_str!("../README.md")]
//!
//! # The crate
//!
//! One question, one function. Owns nothing: the firmware says where the block lies, which chip it
//! runs on and which product keys it trusts; the rules are those of the `activation` crate.
//!
//! Promise: [`check_activation`] answers [`Activation::Valid`] only for this chip's own block.
#![no_std]
#![forbid(unsafe_code)]

pub use activation::{ActivationCode, BLOCK_BYTES, Refusal};
use activation::{BlockFound, Claim, look_at};

/// What the chip knows about its own activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Activated, under this public code.
    Valid {
        /// The chip's activation code.
        code: ActivationCode,
    },
    /// Never activated: the place of the block is erased flash.
    Absent,
    /// Something else lies there: why it is not this chip's activation.
    Invalid(Refusal),
}

/// Checks this chip's activation.
///
/// `block` is the [`BLOCK_BYTES`] at the recipe's address, `uid` the chip's unique id as it lies in
/// memory, `keys` the current and the next product key (all zeros where there is none).
#[must_use]
pub fn check_activation(
    block: &[u8],
    uid: &[u8],
    product: &str,
    family: &str,
    keys: &[[u8; 32]; 2],
) -> Activation {
    match look_at(block, &Claim { product, family, uid }, keys) {
        BlockFound::Valid(block) => Activation::Valid { code: block.code() },
        BlockFound::Blank => Activation::Absent,
        BlockFound::Foreign(refusal) => Activation::Invalid(refusal),
    }
}
