//! The receipt: a station's signed word that a credential belongs to a chip, so that another
//! station can adopt the binding. It holds no secret.

use super::credential::{Journalled, SealedCredential};
use super::schema::Schema;
use crate::block::Claim;
use crate::certificate::{AllotmentCertificate, CERTIFICATE_BYTES};
use crate::header::{self, Header};
use crate::issue::{Allotment, IssueError};
use crate::mode::Mode;
use crate::pool_block::{POOL_CODE_BYTES_MAX, is_code};
use crate::refusal::Refusal;
use crate::wire::{CONTEXT_BYTES, Fields, context, is_signed, message_of};
use std::string::String;

/// Bytes of a receipt.
pub const RECEIPT_BYTES: usize = BODY_BYTES + 64;

const BODY_BYTES: usize = 300;
const MAGIC: [u8; 4] = *b"FLAR";
const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline pool receipt");

/// A receipt that was proven, under the product's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    code: String,
    credential: [u8; 32],
    allotment: [u8; 16],
    index: u32,
    station_key: [u8; 32],
}

impl Receipt {
    /// The activation code: the credential's public column that the schema names.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What names the credential ([`SealedCredential::digest`]).
    #[must_use]
    pub const fn credential(&self) -> [u8; 32] {
        self.credential
    }

    /// The share it was taken from.
    #[must_use]
    pub const fn allotment(&self) -> [u8; 16] {
        self.allotment
    }

    /// Which of the share's credentials, counted from 0.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The station that bound it.
    #[must_use]
    pub const fn station_key(&self) -> [u8; 32] {
        self.station_key
    }
}

impl Journalled {
    /// Signs the receipt of this binding. The same binding gives the same bytes.
    ///
    /// # Errors
    /// [`IssueError`]: another share's allotment, another credential than the reserved one, a
    /// credential of another schema.
    pub fn receipt(
        &self,
        credential: &SealedCredential,
        schema: &Schema,
        allotment: &Allotment,
    ) -> Result<[u8; RECEIPT_BYTES], IssueError> {
        let reservation = self.reservation();
        let certificate = allotment.certificate();
        if certificate.allotment() != reservation.allotment() {
            return Err(IssueError::OtherShare);
        }
        let (index, quota) = (reservation.number(), certificate.quota());
        if index >= quota {
            return Err(IssueError::IndexBeyondQuota { index, quota });
        }
        let code = credential.code(schema).filter(|code| is_code(code.as_bytes()));
        let code = code.ok_or(IssueError::CredentialUnusable)?;
        if credential.number() != index {
            return Err(IssueError::CredentialUnusable);
        }
        let claim = reservation.chip().claim(allotment.product());
        claim.check().map_err(|_| IssueError::ChipUnusable)?;
        Ok(make(&claim, certificate, index, code, &credential.digest(), |m| allotment.sign(m)))
    }
}

/// Proves a receipt for the chip and product of `claim`.
///
/// # Errors
/// The first [`Refusal`] met; FORMAT.md has the order.
pub fn check_receipt(
    bytes: &[u8],
    claim: &Claim<'_>,
    product_keys: &[[u8; 32]],
) -> Result<Receipt, Refusal> {
    claim.check()?;
    let bytes: &[u8; RECEIPT_BYTES] =
        bytes.try_into().map_err(|_| Refusal::WrongSize { found: bytes.len() })?;
    let read = Fieldset::read(bytes).unwrap_or(Err(Refusal::Malformed))?;
    let certificate = AllotmentCertificate::from_bytes(read.certificate)?;
    if !certificate.names_product(claim.product) {
        return Err(Refusal::OtherProduct);
    }
    read.header.check_chip(claim)?;
    let (index, quota) = (read.header.index, certificate.quota());
    if index >= quota {
        return Err(Refusal::IndexBeyondQuota { index, quota });
    }
    certificate.verify(product_keys, claim.product)?;
    let station_key = certificate.station_key();
    let message: [u8; CONTEXT_BYTES + BODY_BYTES] = message_of(&CONTEXT, read.body);
    if !is_signed(&station_key, &message, read.signature) {
        return Err(Refusal::BlockNotSigned);
    }
    let code = read.code.into();
    let (credential, allotment) = (*read.credential, certificate.allotment());
    Ok(Receipt { code, credential, allotment, index, station_key })
}

/// A receipt taken apart, nothing proven.
struct Fieldset<'a> {
    header: Header<'a>,
    code: &'a str,
    credential: &'a [u8; 32],
    certificate: &'a [u8; CERTIFICATE_BYTES],
    body: &'a [u8; BODY_BYTES],
    signature: &'a [u8; 64],
}

impl<'a> Fieldset<'a> {
    fn read(bytes: &'a [u8; RECEIPT_BYTES]) -> Option<Result<Self, Refusal>> {
        let mut fields = Fields::of(bytes);
        let header = match Header::take(&mut fields, MAGIC, Mode::Pool)? {
            Ok(header) => header,
            Err(refusal) => return Some(Err(refusal)),
        };
        let padded: &[u8; POOL_CODE_BYTES_MAX] = fields.take()?;
        let used = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let code = padded.get(..used).filter(|code| is_code(code));
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let (Some(code), RECEIPT_BYTES) = (code, header.stated_bytes) else {
            return Some(Err(Refusal::Malformed));
        };
        let credential = fields.take()?;
        let certificate = fields.take()?;
        let signature = fields.take()?;
        let body = bytes.first_chunk()?;
        Some(Ok(Self { header, code, credential, certificate, body, signature }))
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "offsets are the table of FORMAT.md; the code's length was checked"
)]
fn make(
    claim: &Claim<'_>,
    certificate: &AllotmentCertificate,
    index: u32,
    code: &str,
    credential: &[u8; 32],
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> [u8; RECEIPT_BYTES] {
    let mut body = [0; BODY_BYTES];
    body[..48].copy_from_slice(&header::make(MAGIC, Mode::Pool, RECEIPT_BYTES, claim, index));
    body[48..48 + code.len()].copy_from_slice(code.as_bytes());
    body[112..144].copy_from_slice(credential);
    body[144..].copy_from_slice(certificate.as_bytes());
    let message: [u8; CONTEXT_BYTES + BODY_BYTES] = message_of(&CONTEXT, &body);
    let mut bytes = [0; RECEIPT_BYTES];
    bytes[..BODY_BYTES].copy_from_slice(&body);
    bytes[BODY_BYTES..].copy_from_slice(&sign(&message));
    bytes
}
