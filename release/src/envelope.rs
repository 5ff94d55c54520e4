//! `{"signatures": […], "signed": {…}}`: how every signed document of this room looks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::digest::{Digest, hex_array};
use crate::key::{PublicKey, Signed, SigningKey};
use crate::limits::SIGNATURES_MAX;

/// A document and who signed it. Says nothing about whether the signatures are good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope<T> {
    pub(crate) signatures: Vec<Signature>,
    pub(crate) signed: T,
}

/// One signature: by which key, and 64 bytes in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    pub(crate) keyid: Digest,
    pub(crate) sig: String,
}

impl<T: Serialize> Envelope<T> {
    /// Signs the canonical bytes of `signed` with every key.
    pub(crate) fn sign(signed: T, keys: &[&SigningKey]) -> Result<Self, NoCanonicalForm> {
        let message = canonical::to_bytes(&signed)?;
        let mut envelope = Self { signatures: Vec::new(), signed };
        for key in keys {
            envelope.put(key, &message);
        }
        Ok(envelope)
    }

    fn put(&mut self, key: &SigningKey, message: &[u8]) {
        let keyid = key.public().key_id();
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(Signature { keyid, sig: hex::encode(key.sign(message)) });
        self.signatures.sort_by_key(|signature| signature.keyid);
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, NoCanonicalForm> {
        canonical::to_bytes(self)
    }

    /// How many of these keys signed. Keys are distinct by their ids, signatures too.
    pub(crate) fn signers(&self, keys: &[PublicKey]) -> Result<usize, NoCanonicalForm> {
        let message = canonical::to_bytes(&self.signed)?;
        let signed_by = |key: &&PublicKey| {
            self.signatures.iter().any(|signature| {
                signature.keyid == key.key_id()
                    && hex::decode(&signature.sig)
                        .is_ok_and(|sig| key.check(&message, &sig) == Signed::ByThisKey)
            })
        };
        Ok(keys.iter().filter(signed_by).count())
    }
}

/// Checks that a signed document has our one spelling, whatever its content is: canonical, no
/// stranger fields, signatures in lower-case hex, at most one by each key.
pub(crate) fn require(
    what: &'static str,
    document: &[u8],
    bytes_max: usize,
) -> Result<(), DocumentError> {
    let envelope: Envelope<Value> = canonical::from_bytes(what, document, bytes_max)?;
    check_signatures(what, &envelope.signatures)
}

pub(crate) fn check_signatures(
    what: &'static str,
    signatures: &[Signature],
) -> Result<(), DocumentError> {
    let whole = signatures.iter().all(|signature| hex_array::<64>(&signature.sig).is_some());
    let distinct: BTreeSet<&Digest> = signatures.iter().map(|signature| &signature.keyid).collect();
    if whole && distinct.len() == signatures.len() && signatures.len() <= SIGNATURES_MAX {
        return Ok(());
    }
    let rule = "signatures must be 128 lower-case hex characters, one for each key, at most 64";
    Err(DocumentError::Rule { what, rule })
}

/// How many of these keys have put a good signature on a signed document.
///
/// # Errors
/// [`DocumentError`] when the document is not a signed one in canonical form.
pub fn good_signatures(
    document: &[u8],
    keys: &[PublicKey],
    bytes_max: usize,
) -> Result<usize, DocumentError> {
    const WHAT: &str = "a signed document";
    let envelope: Envelope<Value> = canonical::from_bytes(WHAT, document, bytes_max)?;
    check_signatures(WHAT, &envelope.signatures)?;
    envelope.signers(keys).map_err(|NoCanonicalForm| DocumentError::NotCanonical { what: WHAT })
}

/// Adds (or replaces) one key's signature on a signed document.
///
/// # Errors
/// [`DocumentError`] when the document is not a signed one in canonical form.
pub fn add_signature(
    document: &[u8],
    key: &SigningKey,
    bytes_max: usize,
) -> Result<Vec<u8>, DocumentError> {
    const WHAT: &str = "a signed document";
    let mut envelope: Envelope<Value> = canonical::from_bytes(WHAT, document, bytes_max)?;
    let not_canonical = |NoCanonicalForm| DocumentError::NotCanonical { what: WHAT };
    let message = canonical::to_bytes(&envelope.signed).map_err(not_canonical)?;
    envelope.put(key, &message);
    if envelope.signatures.len() > SIGNATURES_MAX {
        return Err(DocumentError::Rule { what: WHAT, rule: "at most 64 signatures" });
    }
    envelope.to_bytes().map_err(not_canonical)
}
