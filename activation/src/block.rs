//! The activation block: the proof in flash that this chip was activated, and its check.

use crate::certificate::{AllotmentCertificate, CERTIFICATE_BYTES, SCHEME_ED25519};
use crate::code::{ActivationCode, CODE_SYMBOLS, code_for};
use crate::refusal::Refusal;
use crate::wire::{CONTEXT_BYTES, Fields, context, is_signed, message_of, unpadded};

/// Bytes of an activation block: whole flash words of 4, 8, 16 and 32 bytes alike.
pub const BLOCK_BYTES: usize = BODY_BYTES + 64;
/// Longest product name, in UTF-8 bytes.
pub const PRODUCT_BYTES_MAX: usize = 64;
/// Longest chip family name, in bytes.
pub const FAMILY_BYTES_MAX: usize = 16;
/// Longest chip UID, in bytes.
pub const UID_BYTES_MAX: usize = 16;

pub(crate) const BODY_BYTES: usize = 224;
const MAGIC: [u8; 4] = *b"FLAB";
const VERSION: u8 = 1;
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

    fn code(&self) -> ActivationCode {
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

/// Says what lies in `bytes`: erased flash, this chip's block, or something else.
#[must_use]
pub fn look_at(bytes: &[u8], claim: &Claim<'_>, product_keys: &[[u8; 32]]) -> BlockFound {
    if bytes.len() == BLOCK_BYTES && bytes.iter().all(|&byte| byte == 0xFF) {
        return BlockFound::Blank;
    }
    match check_block(bytes, claim, product_keys) {
        Ok(block) => BlockFound::Valid(block),
        Err(refusal) => BlockFound::Foreign(refusal),
    }
}

/// Proves that `bytes` is an activation block for the chip and product of `claim`, under one of
/// `product_keys` (current and next; an absent one is all zeros and never verifies).
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
    claim.check()?;
    let bytes: &[u8; BLOCK_BYTES] =
        bytes.try_into().map_err(|_| Refusal::WrongSize { found: bytes.len() })?;
    let read = Fieldset::read(bytes).unwrap_or(Err(Refusal::Malformed))?;

    let certificate = AllotmentCertificate::from_bytes(read.certificate)?;
    if !certificate.names_product(claim.product) {
        return Err(Refusal::OtherProduct);
    }
    if read.family != claim.family.as_bytes() {
        return Err(Refusal::OtherFamily);
    }
    if read.uid != claim.uid {
        return Err(Refusal::OtherChip);
    }
    let code = claim.code();
    if *read.code != code.to_symbols() {
        return Err(Refusal::OtherCode);
    }
    let quota = certificate.quota();
    if read.index >= quota {
        return Err(Refusal::IndexBeyondQuota { index: read.index, quota });
    }
    certificate.verify(product_keys, claim.product)?;
    let station_key = certificate.station_key();
    if !is_signed(&station_key, &signed_message(read.body), read.signature) {
        return Err(Refusal::BlockNotSigned);
    }
    Ok(Block { code, allotment: certificate.allotment(), quota, index: read.index, station_key })
}

/// A block taken apart, nothing proven.
struct Fieldset<'a> {
    family: &'a [u8],
    uid: &'a [u8],
    index: u32,
    code: &'a [u8; CODE_SYMBOLS],
    certificate: &'a [u8; CERTIFICATE_BYTES],
    body: &'a [u8; BODY_BYTES],
    signature: &'a [u8; 64],
}

impl<'a> Fieldset<'a> {
    fn read(bytes: &'a [u8; BLOCK_BYTES]) -> Option<Result<Self, Refusal>> {
        let mut fields = Fields::of(bytes);
        if *fields.take()? != MAGIC {
            return Some(Err(Refusal::NotOurs));
        }
        let [version, scheme] = *fields.take()?;
        if version != VERSION {
            return Some(Err(Refusal::UnknownVersion { version }));
        }
        if scheme != SCHEME_ED25519 {
            return Some(Err(Refusal::UnknownScheme { scheme }));
        }
        let stated_bytes = u16::from_le_bytes(*fields.take()?);
        if usize::from(stated_bytes) != BLOCK_BYTES {
            return Some(Err(Refusal::Malformed));
        }
        let [family_bytes, uid_bytes, reserved_a, reserved_b] = *fields.take()?;
        if [reserved_a, reserved_b] != [0, 0] {
            return Some(Err(Refusal::Malformed));
        }
        let family: &[u8; FAMILY_BYTES_MAX] = fields.take()?;
        let uid: &[u8; UID_BYTES_MAX] = fields.take()?;
        let index = fields.take_u32()?;
        let code = fields.take()?;
        if *fields.take()? != [0; 3] {
            return Some(Err(Refusal::Malformed));
        }
        let (Some(family), Some(uid)) = (unpadded(family, family_bytes), unpadded(uid, uid_bytes))
        else {
            return Some(Err(Refusal::Malformed));
        };
        let certificate = fields.take()?;
        let signature = fields.take()?;
        let body = bytes.first_chunk()?;
        Some(Ok(Self { family, uid, index, code, certificate, body, signature }))
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
    claim: &Claim<'_>,
    certificate: &AllotmentCertificate,
    index: u32,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> [u8; BLOCK_BYTES] {
    let (family, uid) = (claim.family.as_bytes(), claim.uid);
    let mut body = [0; BODY_BYTES];
    body[0..4].copy_from_slice(&MAGIC);
    body[4] = VERSION;
    body[5] = SCHEME_ED25519;
    body[6..8].copy_from_slice(&(BLOCK_BYTES as u16).to_le_bytes());
    body[8] = family.len() as u8;
    body[9] = uid.len() as u8;
    body[12..12 + family.len()].copy_from_slice(family);
    body[28..28 + uid.len()].copy_from_slice(uid);
    body[44..48].copy_from_slice(&index.to_le_bytes());
    body[48..48 + CODE_SYMBOLS].copy_from_slice(&claim.code().to_symbols());
    body[68..BODY_BYTES].copy_from_slice(certificate.as_bytes());
    let mut bytes = [0; BLOCK_BYTES];
    bytes[..BODY_BYTES].copy_from_slice(&body);
    bytes[BODY_BYTES..].copy_from_slice(&sign(&signed_message(&body)));
    bytes
}
