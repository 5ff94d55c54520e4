//! The block of mode *hmac-sha256*: a copy deterrent, for customers who have it already.
//!
//! The secret that makes a block is the secret that checks it, and it lies in every chip's
//! firmware. Whoever reads one chip, or one firmware image, makes blocks for all chips. There is no
//! quota that a thief could not exceed. New products take *ed25519*.
//!
//! Owns the bytes and the check. On hosts `ring` computes the MAC, on chips RustCrypto's `hmac`.

use crate::block::Claim;
use crate::code::{ActivationCode, CODE_SYMBOLS};
use crate::header::{self, Header};
use crate::mode::Mode;
use crate::refusal::Refusal;
use crate::wire::{CONTEXT_BYTES, Fields, context, message_of, product_digest};

/// Bytes of a block of mode *hmac-sha256*: whole flash words of 4, 8, 16 and 32 bytes alike.
pub const MAC_BLOCK_BYTES: usize = BODY_BYTES + 32;

const BODY_BYTES: usize = 128;
const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline activation mac block");

/// A block whose MAC was made with the product's secret for the chip it was checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacBlock {
    code: ActivationCode,
    allotment: [u8; 16],
    index: u32,
}

impl MacBlock {
    /// The chip's activation code.
    #[must_use]
    pub const fn code(&self) -> ActivationCode {
        self.code
    }

    /// The name of the share it was taken from, for the hub's books. Nothing certifies it.
    #[must_use]
    pub const fn allotment(&self) -> [u8; 16] {
        self.allotment
    }

    /// Which of the share's activations this is, counted from 0. No quota bounds it.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

/// Proves that `bytes` was made with one of `secrets` (current and next; an absent one is all
/// zeros and never verifies) for the chip and product of `claim`.
///
/// # Errors
/// The first [`Refusal`] met; FORMAT.md has the order.
pub fn check_mac_block(
    bytes: &[u8],
    claim: &Claim<'_>,
    secrets: &[[u8; 32]],
) -> Result<MacBlock, Refusal> {
    claim.check()?;
    let bytes: &[u8; MAC_BLOCK_BYTES] =
        bytes.try_into().map_err(|_| Refusal::WrongSize { found: bytes.len() })?;
    let read = Fieldset::read(bytes).unwrap_or(Err(Refusal::Malformed))?;
    if *read.product != product_digest(claim.product) {
        return Err(Refusal::OtherProduct);
    }
    read.header.check_chip(claim)?;
    let code = claim.code();
    if *read.code != code.to_symbols() {
        return Err(Refusal::OtherCode);
    }
    let message: [u8; CONTEXT_BYTES + BODY_BYTES] = message_of(&CONTEXT, read.body);
    let made = secrets
        .iter()
        .filter(|secret| **secret != [0; 32])
        .any(|secret| verify(secret, &message, read.tag));
    if !made {
        return Err(Refusal::MacWrong);
    }
    Ok(MacBlock { code, allotment: *read.allotment, index: read.header.index })
}

/// A block taken apart, nothing proven.
struct Fieldset<'a> {
    header: Header<'a>,
    code: &'a [u8; CODE_SYMBOLS],
    product: &'a [u8; 32],
    allotment: &'a [u8; 16],
    body: &'a [u8; BODY_BYTES],
    tag: &'a [u8; 32],
}

impl<'a> Fieldset<'a> {
    fn read(bytes: &'a [u8; MAC_BLOCK_BYTES]) -> Option<Result<Self, Refusal>> {
        let mut fields = Fields::of(bytes);
        let header = match Header::take(&mut fields, header::MAGIC, Mode::HmacSha256)? {
            Ok(header) => header,
            Err(refusal) => return Some(Err(refusal)),
        };
        let code = fields.take()?;
        let zeros_a: &[u8; 3] = fields.take()?;
        let product = fields.take()?;
        let allotment = fields.take()?;
        let zeros_b: &[u8; 12] = fields.take()?;
        if header.stated_bytes != MAC_BLOCK_BYTES || *zeros_a != [0; 3] || *zeros_b != [0; 12] {
            return Some(Err(Refusal::Malformed));
        }
        let tag = fields.take()?;
        let body = bytes.first_chunk()?;
        Some(Ok(Self { header, code, product, allotment, body, tag }))
    }
}

/// Compares in constant time.
#[cfg(feature = "issue")]
fn verify(secret: &[u8; 32], message: &[u8], tag: &[u8; 32]) -> bool {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    ring::hmac::verify(&key, message, tag).is_ok()
}

/// Compares in constant time.
#[cfg(not(feature = "issue"))]
fn verify(secret: &[u8; 32], message: &[u8], tag: &[u8; 32]) -> bool {
    use hmac::{Hmac, KeyInit, Mac};
    // HMAC takes keys of any length; a refusal would verify nothing.
    Hmac::<sha2::Sha256>::new_from_slice(secret)
        .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok())
}

/// Writes a block; `claim` was checked.
#[cfg(feature = "issue")]
#[allow(
    clippy::indexing_slicing,
    reason = "hosts only; offsets are the table of FORMAT.md, lengths were checked"
)]
pub(crate) fn make(
    claim: &Claim<'_>,
    allotment: [u8; 16],
    index: u32,
    secret: &[u8; 32],
) -> [u8; MAC_BLOCK_BYTES] {
    let mut body = [0; BODY_BYTES];
    let header = header::make(header::MAGIC, Mode::HmacSha256, MAC_BLOCK_BYTES, claim, index);
    body[..header::HEADER_BYTES].copy_from_slice(&header);
    body[48..48 + CODE_SYMBOLS].copy_from_slice(&claim.code().to_symbols());
    body[68..100].copy_from_slice(&product_digest(claim.product));
    body[100..116].copy_from_slice(&allotment);
    let message: [u8; CONTEXT_BYTES + BODY_BYTES] = message_of(&CONTEXT, &body);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let mut bytes = [0; MAC_BLOCK_BYTES];
    bytes[..BODY_BYTES].copy_from_slice(&body);
    bytes[BODY_BYTES..].copy_from_slice(ring::hmac::sign(&key, &message).as_ref());
    bytes
}
