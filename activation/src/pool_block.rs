//! The block of mode *pool*: a credential that somebody else issued, bound to one chip.
//!
//! The columns lie in it in the order of the pool's schema, so that firmware finds its own by
//! number. Two signatures prove that the station that was lent the credential bound it to this
//! chip; whether the credential itself is good, its issuer's server knows.

use core::fmt;

use crate::block::Claim;
use crate::certificate::{AllotmentCertificate, CERTIFICATE_BYTES};
use crate::header::{self, Header};
use crate::mode::Mode;
use crate::refusal::Refusal;
use crate::wire::{CONTEXT_BYTES, Fields, context, digest_message, is_signed};

/// Longest block of mode *pool*: one flash page of the smallest chips with pages that large.
pub const POOL_BLOCK_BYTES_MAX: usize = 4096;
/// Most columns of a credential.
pub const COLUMNS_MAX: usize = 16;
/// Longest public column that is the activation code.
pub const POOL_CODE_BYTES_MAX: usize = 64;

/// A block's length is a multiple of this, so that it is whole flash words.
const WORD_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// Before the columns: header, zeros, certificate, three counts.
const BEFORE_COLUMNS_BYTES: usize = 228;
/// Before every column's bytes: length, kind, a zero.
const BEFORE_COLUMN_BYTES: usize = 4;
const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline pool block");

/// Whether a column may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Openness {
    /// Anybody may read it: it stands in records and on labels.
    Public,
    /// Only the chip may hold it.
    Secret,
}

/// One column of a credential. Its debug form shows no secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PoolColumn<'a> {
    /// Whether it may be shown.
    pub openness: Openness,
    /// Its value, as the chip uses it.
    pub bytes: &'a [u8],
}

impl fmt::Debug for PoolColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.openness {
            Openness::Public => f.debug_tuple("Public").field(&self.bytes).finish(),
            Openness::Secret => write!(f, "Secret({} bytes)", self.bytes.len()),
        }
    }
}

/// A pool block that was proven to belong to the chip it was checked for. Its debug form shows no
/// secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PoolBlock<'a> {
    code: &'a str,
    allotment: [u8; 16],
    quota: u32,
    index: u32,
    station_key: [u8; 32],
    columns: &'a [u8],
}

impl<'a> PoolBlock<'a> {
    /// The activation code: the credential's public column that the schema names.
    #[must_use]
    pub const fn code(&self) -> &'a str {
        self.code
    }

    /// The share of the pool that the credential was taken from.
    #[must_use]
    pub const fn allotment(&self) -> [u8; 16] {
        self.allotment
    }

    /// How many credentials the share holds.
    #[must_use]
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// Which of the share's credentials this is, counted from 0; always below the quota.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The public key of the station that bound the credential.
    #[must_use]
    pub const fn station_key(&self) -> [u8; 32] {
        self.station_key
    }

    /// The columns in the order of the schema.
    pub fn columns(&self) -> impl Iterator<Item = PoolColumn<'a>> + use<'a> {
        columns_in(self.columns)
    }
}

impl fmt::Debug for PoolBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBlock")
            .field("code", &self.code)
            .field("allotment", &self.allotment)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// How many bytes the pool block that begins with `head` says it has, if `head` (8 bytes or more)
/// begins one. For readers that find a block in a larger region of flash.
#[must_use]
pub fn pool_block_bytes(head: &[u8]) -> Option<usize> {
    let mut fields = Fields::of(head);
    let begins = *fields.take()? == header::MAGIC
        && *fields.take()? == [header::VERSION, Mode::Pool.number()];
    let bytes = usize::from(fields.take_u16()?);
    (begins && bytes <= POOL_BLOCK_BYTES_MAX).then_some(bytes)
}

/// Proves that `bytes` is a pool block for the chip and product of `claim`, under one of
/// `product_keys` (current and next; an absent one is all zeros and never verifies).
///
/// # Errors
/// The first [`Refusal`] met; FORMAT.md has the order.
pub fn check_pool_block<'a>(
    bytes: &'a [u8],
    claim: &Claim<'_>,
    product_keys: &[[u8; 32]],
) -> Result<PoolBlock<'a>, Refusal> {
    claim.check()?;
    let found = bytes.len();
    if found > POOL_BLOCK_BYTES_MAX || !found.is_multiple_of(WORD_BYTES) {
        return Err(Refusal::WrongSize { found });
    }
    let read = Fieldset::read(bytes).unwrap_or(Err(Refusal::WrongSize { found }))?;
    let certificate = AllotmentCertificate::from_bytes(read.certificate)?;
    if !certificate.names_product(claim.product) {
        return Err(Refusal::OtherProduct);
    }
    read.header.check_chip(claim)?;
    let (index, quota) = (read.header.index, certificate.quota());
    if index >= quota {
        return Err(Refusal::IndexBeyondQuota { index, quota });
    }
    let code = read.code().ok_or(Refusal::Malformed)?;
    certificate.verify(product_keys, claim.product)?;
    let station_key = certificate.station_key();
    if !is_signed(&station_key, &digest_message(&CONTEXT, read.body), read.signature) {
        return Err(Refusal::BlockNotSigned);
    }
    let (allotment, columns) = (certificate.allotment(), read.column_area);
    Ok(PoolBlock { code, allotment, quota, index, station_key, columns })
}

/// The columns of an area, up to one that is none.
fn columns_in(area: &[u8]) -> impl Iterator<Item = PoolColumn<'_>> {
    let mut fields = Fields::of(area);
    core::iter::from_fn(move || {
        let bytes = usize::from(fields.take_u16()?);
        let openness = match *fields.take()? {
            [0, 0] => Openness::Public,
            [1, 0] => Openness::Secret,
            _ => return None,
        };
        Some(PoolColumn { openness, bytes: fields.take_some(bytes)? })
    })
}

/// Whether `bytes` can be an activation code of mode *pool*.
pub(crate) fn is_code(bytes: &[u8]) -> bool {
    (1..=POOL_CODE_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// A pool block taken apart, nothing proven.
struct Fieldset<'a> {
    header: Header<'a>,
    certificate: &'a [u8; CERTIFICATE_BYTES],
    column_count: u8,
    code_column: u8,
    column_area: &'a [u8],
    body: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> Fieldset<'a> {
    fn read(bytes: &'a [u8]) -> Option<Result<Self, Refusal>> {
        let mut fields = Fields::of(bytes);
        let header = match Header::take(&mut fields, header::MAGIC, Mode::Pool)? {
            Ok(header) => header,
            Err(refusal) => return Some(Err(refusal)),
        };
        if header.stated_bytes != bytes.len() || *fields.take()? != [0; 20] {
            return Some(Err(Refusal::Malformed));
        }
        let certificate = fields.take()?;
        let [column_count, code_column] = *fields.take()?;
        let column_area_bytes = usize::from(fields.take_u16()?);
        let (body, signature) = bytes.split_last_chunk()?;
        let Some(column_area) = fields.take_some(column_area_bytes) else {
            return Some(Err(Refusal::Malformed));
        };
        let used = BEFORE_COLUMNS_BYTES + column_area_bytes;
        let shortest = (used + SIGNATURE_BYTES).next_multiple_of(WORD_BYTES) == bytes.len();
        let padded = body.get(used..).is_some_and(|zeros| zeros.iter().all(|&byte| byte == 0));
        if !shortest || !padded {
            return Some(Err(Refusal::Malformed));
        }
        Some(Ok(Self {
            header,
            certificate,
            column_count,
            code_column,
            column_area,
            body,
            signature,
        }))
    }

    /// The code: a public column that can be one, among columns that fill their area exactly.
    fn code(&self) -> Option<&'a str> {
        let (count, place) = (usize::from(self.column_count), usize::from(self.code_column));
        let columns = || columns_in(self.column_area);
        let area: usize = columns().map(|column| BEFORE_COLUMN_BYTES + column.bytes.len()).sum();
        if count > COLUMNS_MAX || columns().count() != count || area != self.column_area.len() {
            return None;
        }
        let code = columns().nth(place).filter(|code| code.openness == Openness::Public)?;
        is_code(code.bytes).then(|| core::str::from_utf8(code.bytes).ok())?
    }
}

/// Bytes of a pool block with these columns' bytes, if it is not too long.
#[cfg(feature = "issue")]
pub(crate) fn bytes_with(column_bytes: impl Iterator<Item = usize>) -> Option<usize> {
    let used =
        BEFORE_COLUMNS_BYTES + column_bytes.map(|bytes| BEFORE_COLUMN_BYTES + bytes).sum::<usize>();
    let bytes = (used + SIGNATURE_BYTES).next_multiple_of(WORD_BYTES);
    (bytes <= POOL_BLOCK_BYTES_MAX).then_some(bytes)
}

/// Writes and signs a pool block; `claim` was checked. `None`: too many columns or too long, or the
/// code column can be no code.
#[cfg(feature = "issue")]
pub(crate) fn make(
    claim: &Claim<'_>,
    certificate: &AllotmentCertificate,
    index: u32,
    columns: &[PoolColumn<'_>],
    code_column: usize,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Option<zeroize::Zeroizing<std::vec::Vec<u8>>> {
    let code = columns.get(code_column).filter(|code| code.openness == Openness::Public)?;
    if columns.len() > COLUMNS_MAX || !is_code(code.bytes) {
        return None;
    }
    let bytes = bytes_with(columns.iter().map(|column| column.bytes.len()))?;
    // The capacity is the final one: a secret is never left behind in a buffer outgrown.
    let mut block = zeroize::Zeroizing::new(std::vec::Vec::with_capacity(bytes));
    block.extend_from_slice(&header::make(header::MAGIC, Mode::Pool, bytes, claim, index));
    block.extend_from_slice(&[0; 20]);
    block.extend_from_slice(certificate.as_bytes());
    block.extend_from_slice(&[columns.len() as u8, code_column as u8]);
    let area: usize = columns.iter().map(|column| BEFORE_COLUMN_BYTES + column.bytes.len()).sum();
    block.extend_from_slice(&(area as u16).to_le_bytes());
    for column in columns {
        block.extend_from_slice(&(column.bytes.len() as u16).to_le_bytes());
        block.extend_from_slice(&[u8::from(column.openness == Openness::Secret), 0]);
        block.extend_from_slice(column.bytes);
    }
    block.resize(bytes - SIGNATURE_BYTES, 0);
    let signature = sign(&digest_message(&CONTEXT, &block));
    block.extend_from_slice(&signature);
    Some(block)
}
