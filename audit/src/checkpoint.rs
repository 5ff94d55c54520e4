//! Checkpoints (C2SP tlog-checkpoint): a journal's signed head, and the hub's cosignature on it
//! (C2SP tlog-cosignature, version 1).
//!
//! [`SignedCheckpoint`] is text and says nothing about the journal; only verification turns it
//! into a [`Checkpoint`].

use crate::frontier::{Frontier, Hash};
use crate::note::{Note, NoteError, SignatureType, is_key_name, key_id, signature_line};
use crate::origin::{Origin, OriginError};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use std::str::FromStr;

/// How long a journal is and what it hashes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which journal.
    pub origin: Origin,
    /// Records in it.
    pub size: u64,
    /// Its RFC 6962 root hash at that size.
    pub root: Hash,
}

/// A well-formed signed checkpoint of which nothing is proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint(String);

/// Who may cosign: a name and its Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigner {
    /// The name in the signature line.
    pub name: String,
    /// The public key.
    pub key: [u8; 32],
}

/// A checkpoint that both the station and a cosigner signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// What they signed.
    pub checkpoint: Checkpoint,
    /// When the cosigner saw it: seconds since the Unix epoch, by the cosigner's clock.
    pub seen_s: u64,
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note.
    #[error("reading a checkpoint as a signed note")]
    Note(#[source] NoteError),
    /// The origin line names no journal of ours.
    #[error("reading a checkpoint's origin line")]
    Origin(#[source] OriginError),
    /// The size or root line is malformed, or there are other lines.
    #[error("a checkpoint is an origin, a size and a root hash, one line each")]
    Form,
    /// The checkpoint of another journal.
    #[error("the checkpoint is of journal {found}, not of {wanted}")]
    OtherJournal {
        /// The origin that was wanted.
        wanted: Origin,
        /// The origin in the checkpoint.
        found: Origin,
    },
    /// No signature by this key, or one that does not verify.
    #[error("the checkpoint is not signed by the key of {name}")]
    NotSigned {
        /// The key's name.
        name: String,
    },
    /// No cosignature by this key, or one that does not verify.
    #[error("the checkpoint is not cosigned by the key of {name}")]
    NotCosigned {
        /// The key's name.
        name: String,
    },
}

impl Checkpoint {
    /// The head of a journal at its frontier.
    #[must_use]
    pub fn of(origin: Origin, frontier: &Frontier) -> Self {
        Self { origin, size: frontier.size(), root: frontier.root() }
    }

    /// Signs with the journal's key; the key's name is the origin, as the format recommends.
    #[must_use]
    pub fn sign(&self, key: &Ed25519KeyPair) -> SignedCheckpoint {
        let text = self.to_text();
        let name = self.origin.to_string();
        let id = key_id(&name, SignatureType::Ed25519, &public_of(key));
        let line = signature_line(&name, id, key.sign(text.as_bytes()).as_ref());
        SignedCheckpoint(format!("{text}\n{line}"))
    }

    /// The three lines that are signed.
    fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    fn from_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Form);
        };
        let origin = origin.parse().map_err(CheckpointError::Origin)?;
        let number: u64 = size.parse().map_err(|_| CheckpointError::Form)?;
        let root = BASE64_STANDARD.decode(root).map_err(|_| CheckpointError::Form)?;
        let root = root.try_into().map_err(|_| CheckpointError::Form)?;
        if number.to_string() != size {
            return Err(CheckpointError::Form);
        }
        Ok(Self { origin, size: number, root })
    }
}

impl SignedCheckpoint {
    /// The note as it travels and is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which journal this claims to be the head of, for looking up the key. Proves nothing.
    ///
    /// # Errors
    /// [`CheckpointError`], which no value of this type is known to cause.
    pub fn claimed_origin(&self) -> Result<Origin, CheckpointError> {
        self.read().map(|(_, checkpoint)| checkpoint.origin)
    }

    /// Proves that `key` signed this head of the journal `origin`.
    ///
    /// # Errors
    /// [`CheckpointError::OtherJournal`], [`CheckpointError::NotSigned`].
    pub fn verify(&self, origin: &Origin, key: &[u8; 32]) -> Result<Checkpoint, CheckpointError> {
        let (note, checkpoint) = self.read()?;
        if checkpoint.origin != *origin {
            return Err(CheckpointError::OtherJournal {
                wanted: origin.clone(),
                found: checkpoint.origin,
            });
        }
        let name = origin.to_string();
        let id = key_id(&name, SignatureType::Ed25519, key);
        let verifies = |signature: &[u8]| is_signed(key, note.text.as_bytes(), signature);
        if all_and_some(note.by(&name, id).map(verifies)) {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::NotSigned { name })
        }
    }

    /// Proves that both the station's `key` and the cosigner signed this head.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::verify`], and [`CheckpointError::NotCosigned`].
    pub fn verify_cosigned(
        &self,
        origin: &Origin,
        key: &[u8; 32],
        cosigner: &Cosigner,
    ) -> Result<Cosigned, CheckpointError> {
        let checkpoint = self.verify(origin, key)?;
        let (note, _) = self.read()?;
        let id = key_id(&cosigner.name, SignatureType::Cosignature, &cosigner.key);
        let mut seen_s = None;
        for signature in note.by(&cosigner.name, id) {
            let verified = cosignature_time(signature, note.text, &cosigner.key);
            // A line by a known key that does not verify spoils the note.
            let Some(time) = verified else {
                seen_s = None;
                break;
            };
            seen_s = seen_s.max(Some(time));
        }
        match seen_s {
            Some(seen_s) => Ok(Cosigned { checkpoint, seen_s }),
            None => Err(CheckpointError::NotCosigned { name: cosigner.name.clone() }),
        }
    }

    /// Adds the cosigner's line. The caller has judged the journal first: a cosignature says that
    /// this is the longest consistent head the cosigner has seen. An earlier line by the same key
    /// is replaced.
    ///
    /// `now_s` is the time in seconds since the Unix epoch, at most 2^63 - 1.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] when `name` can be no key's name.
    pub fn cosign(
        &self,
        name: &str,
        key: &Ed25519KeyPair,
        now_s: u64,
    ) -> Result<Self, CheckpointError> {
        if !is_key_name(name) {
            return Err(CheckpointError::Note(NoteError::KeyName));
        }
        let (note, _) = self.read()?;
        let id = key_id(name, SignatureType::Cosignature, &public_of(key));
        let signature = key.sign(cosigned_message(now_s, note.text).as_bytes());
        let mut stamped = now_s.to_be_bytes().to_vec();
        stamped.extend_from_slice(signature.as_ref());
        let mut cosigned = format!("{}\n", note.text);
        for line in note.signatures.iter().filter(|line| (line.name, line.key_id) != (name, id)) {
            cosigned += &signature_line(line.name, line.key_id, &line.bytes);
        }
        cosigned += &signature_line(name, id, &stamped);
        Ok(Self(cosigned))
    }

    fn read(&self) -> Result<(Note<'_>, Checkpoint), CheckpointError> {
        let note = Note::read(&self.0).map_err(CheckpointError::Note)?;
        let checkpoint = Checkpoint::from_text(note.text)?;
        Ok((note, checkpoint))
    }
}

impl FromStr for SignedCheckpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let signed = Self(text.to_owned());
        signed.read()?;
        Ok(signed)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn public_of(key: &Ed25519KeyPair) -> [u8; 32] {
    let mut public = [0; 32];
    public.copy_from_slice(key.public_key().as_ref());
    public
}

fn is_signed(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// There is a first, and every one holds.
fn all_and_some(mut verified: impl Iterator<Item = bool>) -> bool {
    verified.next() == Some(true) && verified.all(|holds| holds)
}

fn cosigned_message(seen_s: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seen_s}\n{text}")
}

/// The time of a timestamped signature, if it verifies.
fn cosignature_time(stamped: &[u8], text: &str, key: &[u8; 32]) -> Option<u64> {
    let (seen_s, signature) = stamped.split_first_chunk()?;
    let seen_s = u64::from_be_bytes(*seen_s);
    let message = cosigned_message(seen_s, text);
    (seen_s <= i64::MAX as u64 && is_signed(key, message.as_bytes(), signature)).then_some(seen_s)
}
