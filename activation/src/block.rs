//! The activation block: the proof in flash that this chip was activated, and its check.
//!
//! The modes *ed25519* and *stored* share it; the mode byte is signed, so neither passes for the
//! other. *hmac-sha256* and *pool* have blocks of their own ([`crate::mac`], [`crate::pool_block`]).

use crate::certificate::{AllotmentCertificate, CERTIFICATE_BYTES};
use crate::code::{ActivationCode, CODE_SYMBOLS, code_for};
use crate::header::{self, Header};
use crate::mode::Mode;
use crate::refusal::Refusal;
use crate::wire::{CONTEXT_BYTES, Fields, context, is_signed, message_of};

/// Bytes of an activation block: whole flash words of 4, 8, 16 and 32 bytes alike.
pub const BLOCK_BYTES: usize = BODY_BYTES + 64;
/// Longest product name, in UTF-8 bytes.
pub const PRODUCT_BYTES_MAX: usize = 64;
/// Longest chip family name, in bytes.
pub const FAMILY_BYTES_MAX: usize = 16;
/// Longest chip UID, in bytes.
pub const UID_BYTES_MAX: usize = 16;

pub(crate) const BODY_BYTES: usize = 224;
const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline activation block");

/// Which chip a block is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Product name, 1 to 64 bytes.
    pub product: &'a str,
    /// Chip family in lower case (`nrf52`), 1 to 16 bytes.
    pub family: &'a str,
    /// The chip's unique id as it lies in its memory, 1 to 16 bytes.
    pub uid: &'a [u8],
}

impl Claim<'_> {
    /// Refuses names the format cannot hold.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let fits = |bytes: &[u8], bytes_max| (1..=bytes_max).contains(&bytes.len());
        if fits(self.product.as_bytes(), PRODUCT_BYTES_MAX)
            && fits(self.family.as_bytes(), FAMILY_BYTES_MAX)
            && fits(self.uid, UID_BYTES_MAX)
        {
            Ok(())
        } else {
            Err(Refusal::ClaimUnusable)
        }
    }

    pub(crate) fn code(&self) -> ActivationCode {
        code_for(self.product, self.family, self.uid)
    }
}

/// A block that was proven to belong to the chip it was checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    code: ActivationCode,
    allotment: [u8; 16],
    quota: u32,
    index: u32,
    station_key: [u8; 32],
}

impl Block {
    /// The chip's activation code.
    #[must_use]
    pub const fn code(&self) -> ActivationCode {
        self.code
    }

    /// The allotment the block was taken from.
    #[must_use]
    pub const fn allotment(&self) -> [u8; 16] {
        self.allotment
    }

    /// How many indices the allotment holds.
    #[must_use]
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// Which of the allotment's activations this is, counted from 0; always below the quota.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The public key of the station that made the block.
    #[must_use]
    pub const fn station_key(&self) -> [u8; 32] {
        self.station_key
    }
}

/// What lies where an activation block belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockFound {
    /// Erased flash: every byte is 0xFF.
    Blank,
    /// This chip's own, proven block.
    Valid(Block),
    /// Anything else, and why.
    Foreign(Refusal),
}

/// Says what lies in `bytes`: erased flash, this chip's block, or something else. Mode *ed25519*.
#[must_use]
pub fn look_at(bytes: &[u8], claim: &Claim<'_>, product_keys: &[[u8; 32]]) -> BlockFound {
    found(bytes, check_block(bytes, claim, product_keys))
}

/// As [`look_at`], in mode *stored*: what stations, the hub and service tools ask about chips that
/// hold a block and cannot check it.
#[must_use]
pub fn look_at_stored(bytes: &[u8], claim: &Claim<'_>, product_keys: &[[u8; 32]]) -> BlockFound {
    found(bytes, check_stored_block(bytes, claim, product_keys))
}

fn found(bytes: &[u8], checked: Result<Block, Refusal>) -> BlockFound {
    match checked {
        Ok(block) => BlockFound::Valid(block),
        Err(_) if bytes.len() == BLOCK_BYTES && is_blank(bytes) => BlockFound::Blank,
        Err(refusal) => BlockFound::Foreign(refusal),
    }
}

/// Whether `bytes` is erased flash: every byte 0xFF. No bytes at all are not blank.
#[must_use]
pub fn is_blank(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| byte == 0xFF)
}

/// Proves that `bytes` is an activation block of mode *ed25519* for the chip and product of
/// `claim`, under one of `product_keys` (current and next; an absent one is all zeros and never
/// verifies).
///
/// Cheap checks come first, so that a foreign block costs a small chip no signature check.
///
/// # Errors
/// The first [`Refusal`] met; FORMAT.md has the order.
pub fn check_block(
    bytes: &[u8],
    claim: &Claim<'_>,
    product_keys: &[[u8; 32]],
) -> Result<Block, Refusal> {
    check(bytes, Mode::Ed25519, claim, product_keys)
}

/// As [`check_block`], for a block of mode *stored*.
///
/// # Errors
/// The first [`Refusal`] met; FORMAT.md has the order.
pub fn check_stored_block(
    bytes: &[u8],
    claim: &Claim<'_>,
    product_keys: &[[u8; 32]],
) -> Result<Block, Refusal> {
    check(bytes, Mode::Stored, claim, product_keys)
}

fn check(
    bytes: &[u8],
    mode: Mode,
    claim: &Claim<'_>,
    product_keys: &[[u8; 32]],
) -> Result<Block, Refusal> {
    claim.check()?;
    let bytes: &[u8; BLOCK_BYTES] =
        bytes.try_into().map_err(|_| Refusal::WrongSize { found: bytes.len() })?;
    let read = Fieldset::read(bytes, mode).unwrap_or(Err(Refusal::Malformed))?;

    let certificate = AllotmentCertificate::from_bytes(read.certificate)?;
    if !certificate.names_product(claim.product) {
        return Err(Refusal::OtherProduct);
    }
    read.header.check_chip(claim)?;
    let code = claim.code();
    if *read.code != code.to_symbols() {
        return Err(Refusal::OtherCode);
    }
    let (index, quota) = (read.header.index, certificate.quota());
    if index >= quota {
        return Err(Refusal::IndexBeyondQuota { index, quota });
    }
    certificate.verify(product_keys, claim.product)?;
    let station_key = certificate.station_key();
    if !is_signed(&station_key, &signed_message(read.body), read.signature) {
        return Err(Refusal::BlockNotSigned);
    }
    Ok(Block { code, allotment: certificate.allotment(), quota, index, station_key })
}

/// A block taken apart, nothing proven.
struct Fieldset<'a> {
    header: Header<'a>,
    code: &'a [u8; CODE_SYMBOLS],
    certificate: &'a [u8; CERTIFICATE_BYTES],
    body: &'a [u8; BODY_BYTES],
    signature: &'a [u8; 64],
}

impl<'a> Fieldset<'a> {
    fn read(bytes: &'a [u8; BLOCK_BYTES], mode: Mode) -> Option<Result<Self, Refusal>> {
        let mut fields = Fields::of(bytes);
        let header = match Header::take(&mut fields, header::MAGIC, mode)? {
            Ok(header) => header,
            Err(refusal) => return Some(Err(refusal)),
        };
        if header.stated_bytes != BLOCK_BYTES {
            return Some(Err(Refusal::Malformed));
        }
        let code = fields.take()?;
        if *fields.take()? != [0; 3] {
            return Some(Err(Refusal::Malformed));
        }
        let certificate = fields.take()?;
        let signature = fields.take()?;
        let body = bytes.first_chunk()?;
        Some(Ok(Self { header, code, certificate, body, signature }))
    }
}

/// What the station's allotment key signs.
fn signed_message(body: &[u8; BODY_BYTES]) -> [u8; CONTEXT_BYTES + BODY_BYTES] {
    message_of(&CONTEXT, body)
}

/// Writes and signs a block; `claim` was checked, `sign` is the station's allotment key at work.
#[cfg(feature = "issue")]
#[allow(
    clippy::indexing_slicing,
    reason = "hosts only; offsets are the table of FORMAT.md, lengths were checked"
)]
pub(crate) fn make(
    mode: Mode,
    claim: &Claim<'_>,
    certificate: &AllotmentCertificate,
    index: u32,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> [u8; BLOCK_BYTES] {
    let mut body = [0; BODY_BYTES];
    let header = header::make(header::MAGIC, mode, BLOCK_BYTES, claim, index);
    body[..header::HEADER_BYTES].copy_from_slice(&header);
    body[48..48 + CODE_SYMBOLS].copy_from_slice(&claim.code().to_symbols());
    body[68..BODY_BYTES].copy_from_slice(certificate.as_bytes());
    let mut bytes = [0; BLOCK_BYTES];
    bytes[..BODY_BYTES].copy_from_slice(&body);
    bytes[BODY_BYTES..].copy_from_slice(&sign(&signed_message(&body)));
    bytes
}
