//! The signed list of a parcel: what belongs to it, and that it is whole.

use std::collections::BTreeSet;

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::{
    Address, CHUNK_BYTES_MAX, CHUNKS_MAX, LETTER_BYTES_MAX, LETTERS_MAX, PARCEL_BYTES_MAX,
    StickError, Way, is_letter_name, shown,
};

const VERSION: u64 = 1;
const SIGNED: &[u8] = b"flashline stick list v1\n";
const WHAT: &str = "the list";

/// A file that a list names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedFile {
    /// The document's name; a chunk's is its digest.
    pub name: String,
    /// Its size on the stick, in bytes.
    pub bytes: u64,
    /// SHA-256 of it as it lies on the stick, hexadecimal.
    pub sha256: String,
}

/// What a parcel is and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParcelList {
    v: u64,
    tenant: String,
    station: String,
    way: Way,
    /// Rises with every parcel of its station and way.
    pub number: u64,
    /// When it was written by its sender's clock, milliseconds since the Unix epoch.
    pub written_ms: i64,
    /// X25519 public key that answers are sealed to, hexadecimal.
    pub reply_to: String,
    /// The letters.
    pub letters: Vec<ListedFile>,
    /// The chunks that go with it.
    pub chunks: Vec<ListedFile>,
}

/// The list as it lies on the stick.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedList {
    payload: String,
    signature: String,
}

/// Only the version, for lists of other forms.
#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

impl ParcelList {
    /// An empty list.
    #[must_use]
    pub fn new(address: &Address, number: u64, written_ms: i64, reply_to: &[u8; 32]) -> Self {
        Self {
            v: VERSION,
            tenant: address.tenant.clone(),
            station: address.station.clone(),
            way: address.way,
            number,
            written_ms,
            reply_to: hex::encode(reply_to),
            letters: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// The bytes of `list.json`.
    ///
    /// # Errors
    /// [`StickError::NotSealed`] when it has no JSON form, which plain data always has.
    pub fn sign(&self, sender: &Ed25519KeyPair) -> Result<Vec<u8>, StickError> {
        let payload = serde_json::to_string(self).map_err(|_| StickError::NotSealed)?;
        let signature = hex::encode(sender.sign(&[SIGNED, payload.as_bytes()].concat()).as_ref());
        serde_json::to_vec(&SignedList { payload, signature }).map_err(|_| StickError::NotSealed)
    }

    /// Reads a list of this address whose signature nobody has looked at yet.
    ///
    /// # Errors
    /// [`StickError::Malformed`], [`StickError::Version`], [`StickError::OtherAddress`],
    /// [`StickError::Name`], [`StickError::TooMany`], [`StickError::TooLarge`].
    pub fn read(bytes: &[u8], address: &Address) -> Result<Self, StickError> {
        let malformed = || StickError::Malformed { what: WHAT };
        let signed: SignedList = serde_json::from_slice(bytes).map_err(|_| malformed())?;
        let Versioned { v } = serde_json::from_str(&signed.payload).map_err(|_| malformed())?;
        if v != VERSION {
            return Err(StickError::Version { what: WHAT, version: v });
        }
        let list: Self = serde_json::from_str(&signed.payload).map_err(|_| malformed())?;
        let own = (address.tenant.as_str(), address.station.as_str(), address.way);
        if (list.tenant.as_str(), list.station.as_str(), list.way) != own {
            let found = shown(&format!("{}/{} {}", list.tenant, list.station, list.way));
            return Err(StickError::OtherAddress { what: WHAT, found });
        }
        list.within_limits()?;
        Ok(list)
    }

    fn within_limits(&self) -> Result<(), StickError> {
        for (files, what, max) in [
            (&self.letters, "the list of letters", LETTERS_MAX),
            (&self.chunks, "the list of chunks", CHUNKS_MAX),
        ] {
            if files.len() > max {
                return Err(StickError::TooMany { what, max });
            }
        }
        let mut names = BTreeSet::new();
        let mut all = 0_u64;
        for (file, max) in self
            .letters
            .iter()
            .map(|file| (file, LETTER_BYTES_MAX))
            .chain(self.chunks.iter().map(|file| (file, CHUNK_BYTES_MAX)))
        {
            let ListedFile { name, bytes, sha256 } = file;
            let too_large =
                |bytes, max| StickError::TooLarge { path: shown(name).into(), bytes, max };
            if !is_letter_name(name) || !names.insert(name.to_ascii_lowercase()) {
                return Err(StickError::Name { name: shown(name) });
            }
            if digest_of(sha256).is_none() {
                return Err(StickError::Malformed { what: WHAT });
            }
            if *bytes > max {
                return Err(too_large(*bytes, max));
            }
            if max == LETTER_BYTES_MAX {
                all += bytes;
                if all > PARCEL_BYTES_MAX {
                    return Err(too_large(all, PARCEL_BYTES_MAX));
                }
            } else if name != sha256 {
                return Err(StickError::Name { name: shown(name) });
            }
        }
        Ok(())
    }

    /// Whether `bytes`, from which this list was read, are signed by `sender`.
    ///
    /// # Errors
    /// [`StickError::ForeignSender`].
    pub fn prove(bytes: &[u8], sender: &[u8; 32]) -> Result<(), StickError> {
        let foreign = || StickError::ForeignSender { what: WHAT };
        let signed: SignedList = serde_json::from_slice(bytes).map_err(|_| foreign())?;
        let signature = hex::decode(&signed.signature).map_err(|_| foreign())?;
        UnparsedPublicKey::new(&ED25519, sender)
            .verify(&[SIGNED, signed.payload.as_bytes()].concat(), &signature)
            .map_err(|_| foreign())
    }

    /// The key that answers are sealed to.
    ///
    /// # Errors
    /// [`StickError::Malformed`].
    pub fn reply_key(&self) -> Result<[u8; 32], StickError> {
        digest_of(&self.reply_to).ok_or(StickError::Malformed { what: WHAT })
    }
}

/// 32 bytes from 64 lower-case hexadecimal digits.
pub(super) fn digest_of(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    (hex::encode(digest) == text).then_some(digest)
}
