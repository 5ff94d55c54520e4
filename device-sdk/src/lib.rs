#![doc = include_str!("../README.md")]
//!
//! # The crate
//!
//! One question, one function for each mode that a chip can check, in Rust and (feature `c-abi`) in
//! C. Owns nothing: the firmware says where the block lies, which chip it runs on and which keys it
//! trusts; the rules are those of the `activation` crate.
//!
//! Promise: a check answers *valid* only for this chip's own block of the mode asked for.
#![no_std]
#![deny(unsafe_code)]
// A chip has nobody to catch a panic.
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

#[cfg(feature = "c-abi")]
pub mod c;
#[cfg(all(feature = "c-abi", feature = "update"))]
pub mod c_update;
/// Applying patches: the crate of that name.
#[cfg(feature = "update")]
pub use delta;

#[cfg(feature = "mac")]
pub use activation::MAC_BLOCK_BYTES;
pub use activation::{
    ActivationCode, BLOCK_BYTES, COLUMNS_MAX, Openness, POOL_BLOCK_BYTES_MAX, POOL_CODE_BYTES_MAX,
    PoolBlock, PoolColumn, Refusal,
};
use activation::{BlockFound, Claim, is_blank, look_at};

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

/// Checks this chip's activation in mode *ed25519*.
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

/// Checks this chip's activation in mode *hmac-sha256*: a copy deterrent, not a proof. The secrets
/// lie in the firmware, and whoever reads them activates any chip.
///
/// `block` is the [`MAC_BLOCK_BYTES`] at the recipe's address, `secrets` the current and the next
/// secret (all zeros where there is none); otherwise as [`check_activation`].
#[cfg(feature = "mac")]
#[must_use]
pub fn check_mac_activation(
    block: &[u8],
    uid: &[u8],
    product: &str,
    family: &str,
    secrets: &[[u8; 32]; 2],
) -> Activation {
    match activation::check_mac_block(block, &Claim { product, family, uid }, secrets) {
        Ok(block) => Activation::Valid { code: block.code() },
        Err(_) if is_blank(block) => Activation::Absent,
        Err(refusal) => Activation::Invalid(refusal),
    }
}

/// What the chip knows about its own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Activated: the code and the columns.
    Valid(PoolBlock<'a>),
    /// Never activated: the place of the block is erased flash.
    Absent,
    /// Something else lies there: why it is not this chip's credential.
    Invalid(Refusal),
}

/// Checks this chip's activation in mode *pool* and finds its credential.
///
/// `region` begins at the recipe's address and may be longer than the block; what follows the block
/// is not looked at. Otherwise as [`check_activation`].
#[must_use]
pub fn check_pool_activation<'a>(
    region: &'a [u8],
    uid: &[u8],
    product: &str,
    family: &str,
    keys: &[[u8; 32]; 2],
) -> Credential<'a> {
    // Where the head names no length, the check says what is wrong with the head.
    let bytes = activation::pool_block_bytes(region).unwrap_or(BLOCK_BYTES);
    let block = region.get(..bytes).unwrap_or(region);
    match activation::check_pool_block(block, &Claim { product, family, uid }, keys) {
        Ok(block) => Credential::Valid(block),
        Err(_) if is_blank(region) => Credential::Absent,
        Err(refusal) => Credential::Invalid(refusal),
    }
}
