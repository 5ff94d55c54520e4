//! What the hub states over its signature: who a station is, what time it is.
//!
//! Owns the texts and the bytes that are signed. Leaves signing and checking to the programs.

use serde::{Deserialize, Serialize};

use crate::enrolment::KeyProtection;
use crate::ids::{Ed25519Key, Epoch, HpkeKey, Sha256, StationName, TenantName};

/// A statement and the hub's signature over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignedStatement {
    /// The statement's JSON, byte for byte as it was signed.
    pub payload: String,
    /// Ed25519 over [`SignedStatement::signed_bytes`], hexadecimal.
    pub signature: String,
}

impl SignedStatement {
    /// What the signature covers: the kind, a line feed, the payload. A statement of one kind can
    /// therefore never pass for another.
    #[must_use]
    pub fn signed_bytes(kind: &str, payload: &str) -> Vec<u8> {
        [kind.as_bytes(), b"\n", payload.as_bytes()].concat()
    }
}

/// Which keys belong to a station. Kind: [`EnrolmentStatement::KIND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentStatement {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose station.
    pub tenant: TenantName,
    /// Which station.
    pub station: StationName,
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo in DER.
    pub tls_key_sha256: Sha256,
    /// What content keys are sealed to.
    pub hpke_key: HpkeKey,
    /// What signs journal and activation blocks.
    pub journal_key: Ed25519Key,
    /// What guards these keys.
    pub key_protection: KeyProtection,
    /// Milliseconds since the Unix epoch.
    pub issued_ms: i64,
}

impl EnrolmentStatement {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline enrolment statement v1";
}

/// `GET /v1/time?nonce=…`: the hub's time. Kind: [`TimeStatement::KIND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeStatement {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose station asked.
    pub tenant: TenantName,
    /// Which station asked.
    pub station: StationName,
    /// What the station sent to know the answer for fresh; up to 64 hexadecimal digits.
    pub nonce: String,
    /// Milliseconds since the Unix epoch.
    pub hub_time_ms: i64,
}

impl TimeStatement {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline hub time v1";
}

/// `GET /v1/revocation`: the station was turned away, and erases what it was lent. Kind:
/// [`RevocationStatement::KIND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationStatement {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose station.
    pub tenant: TenantName,
    /// Which station.
    pub station: StationName,
    /// SHA-256 of its X25519 public key: a later station of the same name is not meant.
    pub hpke_key_sha256: Sha256,
    /// Milliseconds since the Unix epoch.
    pub revoked_ms: i64,
}

impl RevocationStatement {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline station revocation v1";
}

/// A new epoch for a station's journal. Kind: [`EpochStatement::KIND`]. The document `epoch` is a
/// [`SignedStatement`] over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStatement {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose station.
    pub tenant: TenantName,
    /// Which station.
    pub station: StationName,
    /// The epoch to begin.
    pub epoch: Epoch,
    /// The newest epoch that the hub holds records of.
    pub previous_epoch: Epoch,
    /// How many it holds.
    pub previous_size: u64,
    /// Their root hash.
    pub previous_root: Sha256,
    /// Activation indices that the station's records say are spent, whether it still has those
    /// records or not.
    pub spent: Vec<SpentIndices>,
    /// Milliseconds since the Unix epoch.
    pub opened_ms: i64,
}

/// How far an allotment's activation indices are spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentIndices {
    /// The allotment's name, 16 bytes in hexadecimal.
    pub allotment: String,
    /// The first index that no record names.
    pub next: u32,
}

impl EpochStatement {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline new epoch v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_of_the_format_page_are_what_the_code_signs() {
        let signed = SignedStatement::signed_bytes(TimeStatement::KIND, "{}");
        assert!(include_str!("../FORMAT.md").contains(&hex::encode(signed)));
    }
}
