#![doc = include_str!("../FORMAT.md")]
//!
//! # The crate
//!
//! The core (everything but the features `issue` and `pool`) runs on the chip, on the station, at
//! the hub and in service tools alike: no allocator, no panic, no unsafe code, one function that
//! decides for each mode. `issue` makes certificates and blocks and keeps their books; `pool`
//! imports credentials, lends them and binds them. Both are for hosts.
//!
//! Owns the activation code, the certificate, the blocks and the receipt: their bytes, how they are
//! made, and when they are refused; and, as pure functions, what the books must say: which numbers
//! are lent to whom, what a scrapped or replaced chip means, who wins a conflict. Leaves to others
//! where a block lies in flash, where the books are stored, and how secrets are sealed.
//!
//! Promise: a check answers only for bytes that a holder of an allotment of this very product made
//! for this very chip in the mode asked for. (*hmac-sha256*: that a holder of the secret made.)
#![no_std]
#![forbid(unsafe_code)]
// A chip has nobody to catch a panic.
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

#[cfg(feature = "issue")]
extern crate std;

mod block;
#[cfg(feature = "issue")]
pub mod books;
mod certificate;
#[cfg(feature = "issue")]
mod chip;
mod code;
mod header;
#[cfg(feature = "issue")]
mod issue;
#[cfg(any(feature = "mac", feature = "issue"))]
mod mac;
#[cfg(feature = "issue")]
mod mac_secret;
mod mode;
#[cfg(feature = "issue")]
mod numbers;
#[cfg(feature = "pool")]
pub mod pool;
mod pool_block;
mod refusal;
mod wire;

pub use block::{
    BLOCK_BYTES, Block, BlockFound, Claim, FAMILY_BYTES_MAX, PRODUCT_BYTES_MAX, UID_BYTES_MAX,
    check_block, check_stored_block, is_blank, look_at, look_at_stored,
};
pub use certificate::{AllotmentCertificate, CERTIFICATE_BYTES};
#[cfg(feature = "issue")]
pub use chip::Chip;
pub use code::{ActivationCode, CodeError, code_for};
#[cfg(feature = "issue")]
pub use issue::{Allotment, IssueError, KeyError, ProductKey};
#[cfg(any(feature = "mac", feature = "issue"))]
pub use mac::{MAC_BLOCK_BYTES, MacBlock, check_mac_block};
#[cfg(feature = "issue")]
pub use mac_secret::MacSecret;
pub use mode::{Mode, ModeError};
#[cfg(feature = "issue")]
pub use numbers::{Numbers, NumbersError};
pub use pool_block::{
    COLUMNS_MAX, Openness, POOL_BLOCK_BYTES_MAX, POOL_CODE_BYTES_MAX, PoolBlock, PoolColumn,
    check_pool_block, pool_block_bytes,
};
pub use refusal::Refusal;
