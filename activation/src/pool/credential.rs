//! A credential, and the three doors its secrets pass: into the seal, from seal to seal, and into
//! the block for the one chip it is bound to.
//!
//! The types are the proof. A [`Credential`] has no way to its secrets but to be sealed. A
//! [`SealedCredential`] is bytes; only a [`Journalled`] reservation, made for its number and
//! already on the disk, opens it. An [`OpenCredential`] has no way out but the block, and
//! [`ChipBytes`] are erased when dropped. What is open or opens can be neither cloned nor
//! serialised, and shows no secret in its debug form.

use super::schema::Schema;
use super::share::Reservation;
use crate::issue::{Allotment, IssueError};
use crate::pool_block::{Openness, PoolColumn};
use crate::wire::{CONTEXT_BYTES, Fields, context, digest_of};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::string::String;
use std::vec::Vec;
use zeroize::Zeroizing;

const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline pool credential");

type Cell = (Openness, Zeroizing<Vec<u8>>);

/// A credential out of an import, in the clear.
pub struct Credential {
    cells: Vec<Cell>,
    code: usize,
}

impl Credential {
    pub(super) const fn new(cells: Vec<Cell>, code: usize) -> Self {
        Self { cells, code }
    }

    /// The activation code: the public column that the schema names.
    #[must_use]
    pub fn code(&self) -> &str {
        let code = self.cells.get(self.code).map(|(_, value)| value.as_slice());
        code.and_then(|code| std::str::from_utf8(code).ok()).unwrap_or_default()
    }

    /// Seals the secret columns and forgets them. `number` is the credential's place in the share
    /// or pool that it is sealed for.
    ///
    /// `seal` gets the secrets in the form that FORMAT.md gives, and the 32 bytes that the seal
    /// must authenticate with them (as associated data), so that no seal fits another credential.
    ///
    /// # Errors
    /// Whatever `seal` fails with.
    pub fn seal<E>(
        self,
        number: u32,
        seal: impl FnOnce(&[u8], &[u8; 32]) -> Result<Vec<u8>, E>,
    ) -> Result<SealedCredential, E> {
        let mut public = Vec::new();
        let secret_bytes = self.secrets().map(|secret| 2 + secret.len()).sum();
        let mut secrets = Zeroizing::new(Vec::with_capacity(secret_bytes));
        for secret in self.secrets() {
            secrets.extend_from_slice(&(secret.len() as u16).to_le_bytes());
            secrets.extend_from_slice(secret);
        }
        for (openness, value) in &self.cells {
            if *openness == Openness::Public {
                public.push(value.to_vec());
            }
        }
        let sealed = seal(&secrets, &digest(&public))?;
        Ok(SealedCredential { number, public, sealed })
    }

    fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        self.cells
            .iter()
            .filter(|(openness, _)| *openness == Openness::Secret)
            .map(|(_, value)| value.as_slice())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("code", &self.code()).finish_non_exhaustive()
    }
}

/// What names a credential for ever: SHA-256 over its public columns.
fn digest(public: &[Vec<u8>]) -> [u8; 32] {
    let parts: Vec<&[u8]> = public.iter().map(Vec::as_slice).collect();
    digest_of(&CONTEXT, &parts)
}

/// A credential whose secret columns are sealed: what lies in a database and travels to a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedCredential {
    number: u32,
    #[serde(with = "hex_list")]
    public: Vec<Vec<u8>>,
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
}

impl SealedCredential {
    /// Its place in the share or pool that it was sealed for, counted from 0.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The public columns, in the schema's order.
    #[must_use]
    pub fn public(&self) -> &[Vec<u8>] {
        &self.public
    }

    /// What names the credential for ever: the digest over its public columns, which its seal
    /// authenticates.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.public)
    }

    /// The activation code, if the credential is one of this schema.
    #[must_use]
    pub fn code(&self, schema: &Schema) -> Option<&str> {
        let before = schema.columns().iter().take(schema.code());
        let place = before.filter(|column| column.openness == Openness::Public).count();
        std::str::from_utf8(self.public.get(place)?).ok()
    }

    /// Seals the same credential for somebody else: the secrets go from `open` to `seal` and
    /// nowhere else. `number` is its place there.
    ///
    /// # Errors
    /// Whatever `open` or `seal` fail with.
    pub fn reseal<E>(
        &self,
        number: u32,
        open: impl FnOnce(&[u8], &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, E>,
        seal: impl FnOnce(&[u8], &[u8; 32]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let digest = self.digest();
        let secrets = open(&self.sealed, &digest)?;
        let sealed = seal(&secrets, &digest)?;
        Ok(Self { number, public: self.public.clone(), sealed })
    }
}

/// Which record of the journal holds a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordId {
    /// The journal's epoch.
    pub epoch: u64,
    /// The record's place in it.
    pub sequence: u64,
    /// The record's hash.
    pub hash: [u8; 32],
}

/// A reservation that is on the disk: the licence to open one credential for one chip.
#[derive(Debug)]
pub struct Journalled {
    reservation: Reservation,
    record: RecordId,
}

impl Reservation {
    /// Says that the reservation is in the journal, synced. The caller's word: it has the record.
    #[must_use]
    pub const fn journalled(self, record: RecordId) -> Journalled {
        Journalled { reservation: self, record }
    }
}

/// Why a credential stays closed. `E` is what the caller's unsealing fails with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E: std::error::Error + 'static> {
    /// The reservation is for another credential.
    #[error("credential {found} was given; number {reserved} is reserved for this chip")]
    OtherNumber {
        /// Reserved.
        reserved: u32,
        /// Given.
        found: u32,
    },
    /// The seal did not open.
    #[error("opening the sealed columns of credential {number}")]
    Sealed {
        /// The credential's number.
        number: u32,
        /// Why.
        #[source]
        source: E,
    },
    /// What came out, or the public columns, are not those of the schema.
    #[error("credential {number} does not have the columns of the pool's schema")]
    OtherSchema {
        /// The credential's number.
        number: u32,
    },
}

impl Journalled {
    /// The credential's number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.reservation.number()
    }

    /// The record that holds the reservation.
    #[must_use]
    pub const fn record(&self) -> RecordId {
        self.record
    }

    /// The reservation.
    #[must_use]
    pub const fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Opens the reserved credential for its write. `unseal` gets the sealed bytes and the 32
    /// bytes that the seal authenticates with them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open<'a, E: std::error::Error + 'static>(
        &'a self,
        credential: &'a SealedCredential,
        schema: &'a Schema,
        unseal: impl FnOnce(&[u8], &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<OpenCredential<'a>, OpenError<E>> {
        let number = self.number();
        if credential.number != number {
            return Err(OpenError::OtherNumber { reserved: number, found: credential.number });
        }
        let secrets = unseal(&credential.sealed, &credential.digest())
            .map_err(|source| OpenError::Sealed { number, source })?;
        let open = OpenCredential { reservation: &self.reservation, credential, schema, secrets };
        open.columns().ok_or(OpenError::OtherSchema { number })?;
        Ok(open)
    }
}

/// A credential in the clear, for one write to one chip.
pub struct OpenCredential<'a> {
    reservation: &'a Reservation,
    credential: &'a SealedCredential,
    schema: &'a Schema,
    secrets: Zeroizing<Vec<u8>>,
}

impl OpenCredential<'_> {
    /// The block for the chip that the credential is reserved for; the clear secrets are erased.
    ///
    /// # Errors
    /// [`IssueError`]; [`IssueError::OtherShare`] where `allotment` is not the reservation's.
    pub fn into_block(self, allotment: &Allotment) -> Result<ChipBytes, IssueError> {
        let Reservation { allotment: reserved_in, number, chip, .. } = self.reservation;
        if allotment.certificate().allotment() != *reserved_in {
            return Err(IssueError::OtherShare);
        }
        let columns = self.columns().ok_or(IssueError::CredentialUnusable)?;
        let code = self.schema.code();
        allotment.issue_pool(*number, &chip.family, &chip.uid, &columns, code).map(ChipBytes)
    }

    fn columns(&self) -> Option<Vec<PoolColumn<'_>>> {
        let mut secrets = Fields::of(&self.secrets);
        let mut public = self.credential.public.iter();
        let mut columns = Vec::with_capacity(self.schema.columns().len());
        for column in self.schema.columns() {
            let bytes = match column.openness {
                Openness::Public => public.next()?.as_slice(),
                Openness::Secret => {
                    let bytes = secrets.take_u16()?;
                    secrets.take_some(usize::from(bytes))?
                }
            };
            let lengths = usize::from(column.bytes_min)..=usize::from(column.bytes_max);
            if !lengths.contains(&bytes.len()) {
                return None;
            }
            columns.push(PoolColumn { openness: column.openness, bytes });
        }
        (secrets.is_at_end() && public.next().is_none()).then_some(columns)
    }
}

impl fmt::Debug for OpenCredential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenCredential").field(&self.reservation).finish()
    }
}

/// A pool block on its way into its chip, secrets in the clear; erased when dropped.
pub struct ChipBytes(Zeroizing<Vec<u8>>);

impl ChipBytes {
    /// The bytes to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ChipBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChipBytes({} bytes)", self.0.len())
    }
}

/// A list of byte strings as a list of hexadecimal texts.
mod hex_list {
    use super::{String, Vec};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(hex::encode))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let list: Vec<String> = Vec::deserialize(deserializer)?;
        list.iter().map(|text| hex::decode(text).map_err(de::Error::custom)).collect()
    }
}
