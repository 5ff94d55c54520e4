//! What comes down: named documents, known by their ETags.
//!
//! Owns the names. Leaves every document's contents to the room that signs or verifies it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{ProductName, Sha256};

/// Name of one document, which is also the rest of its URL after `/v1/documents/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DocumentName {
    /// TUF metadata by file name: `root.json`, `2.root.json`, `timestamp.json`, `demo-lamp.json`.
    Metadata(String),
    /// The manifest of one release, by its SHA-256.
    Manifest(Sha256),
    /// What this station may flash until when; signed by the lease key.
    Lease,
    /// The work orders with a portion for this station.
    Orders,
    /// The people of this station's line.
    Roster,
    /// Withdrawn releases, revoked keys.
    Revocations,
    /// The tenant's void units, as the hub states them.
    Voids,
    /// A share of a pool, by its allotment's name: credentials sealed for this station.
    Credentials([u8; 16]),
    /// The sealed secret of a product that is activated by *hmac-sha256*.
    MacSecret(ProductName),
    /// A new epoch for this station's journal; while it has not begun.
    Epoch,
}

/// The text is not the name of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a document")]
pub struct DocumentNameError(String);

const MANIFEST_PREFIX: &str = "manifest/";
const CREDENTIALS_PREFIX: &str = "credentials/";
const MAC_SECRET_PREFIX: &str = "mac-secret/";
const METADATA_SUFFIX: &str = ".json";

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(file) => f.write_str(file),
            Self::Manifest(digest) => write!(f, "{MANIFEST_PREFIX}{digest}"),
            Self::Lease => f.write_str("lease"),
            Self::Orders => f.write_str("orders"),
            Self::Roster => f.write_str("roster"),
            Self::Revocations => f.write_str("revocations"),
            Self::Voids => f.write_str("voids"),
            Self::Credentials(allotment) => {
                write!(f, "{CREDENTIALS_PREFIX}{}", hex::encode(allotment))
            }
            Self::MacSecret(product) => write!(f, "{MAC_SECRET_PREFIX}{product}"),
            Self::Epoch => f.write_str("epoch"),
        }
    }
}

impl FromStr for DocumentName {
    type Err = DocumentNameError;

    fn from_str(text: &str) -> Result<Self, DocumentNameError> {
        let refused = || DocumentNameError(text.chars().take(100).collect());
        if let Some(digest) = text.strip_prefix(MANIFEST_PREFIX) {
            return digest.parse().map(Self::Manifest).map_err(|_| refused());
        }
        if let Some(allotment) = text.strip_prefix(CREDENTIALS_PREFIX) {
            let mut name = [0; 16];
            let lower = !allotment.bytes().any(|byte| byte.is_ascii_uppercase());
            let read = hex::decode_to_slice(allotment, &mut name).is_ok() && lower;
            return if read { Ok(Self::Credentials(name)) } else { Err(refused()) };
        }
        if let Some(product) = text.strip_prefix(MAC_SECRET_PREFIX) {
            return product.parse().map(Self::MacSecret).map_err(|_| refused());
        }
        match text {
            "lease" => return Ok(Self::Lease),
            "orders" => return Ok(Self::Orders),
            "roster" => return Ok(Self::Roster),
            "revocations" => return Ok(Self::Revocations),
            "voids" => return Ok(Self::Voids),
            "epoch" => return Ok(Self::Epoch),
            _ => {}
        }
        let stem = text.strip_suffix(METADATA_SUFFIX).ok_or_else(refused)?;
        let starts_well = stem.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let letters_fit = stem
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if starts_well && letters_fit && text.len() <= 100 {
            Ok(Self::Metadata(text.to_owned()))
        } else {
            Err(refused())
        }
    }
}

impl TryFrom<String> for DocumentName {
    type Error = DocumentNameError;
    fn try_from(text: String) -> Result<Self, DocumentNameError> {
        text.parse()
    }
}

impl From<DocumentName> for String {
    fn from(name: DocumentName) -> Self {
        name.to_string()
    }
}

/// One line of `GET /v1/documents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Document {
    /// Its name.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub name: DocumentName,
    /// SHA-256 of its bytes; the ETag is this in double quotes.
    pub etag: Sha256,
}

/// `GET /v1/documents`: what this station should hold, in the order to take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DocumentList {
    /// Every document; one that is missing here is no longer valid.
    pub documents: Vec<Document>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_name_survives_its_own_text() {
        for name in [
            DocumentName::Metadata("2.root.json".into()),
            DocumentName::Metadata("demo-lamp.json".into()),
            DocumentName::Manifest(Sha256([3; 32])),
            DocumentName::Lease,
            DocumentName::Orders,
            DocumentName::Roster,
            DocumentName::Revocations,
            DocumentName::Voids,
            DocumentName::Credentials([7; 16]),
            DocumentName::MacSecret("demo-lamp".parse().unwrap()),
            DocumentName::Epoch,
        ] {
            assert_eq!(name.to_string().parse::<DocumentName>().unwrap(), name);
        }
    }

    #[test]
    fn a_name_that_leaves_the_documents_is_refused() {
        for text in ["", ".json", "../root.json", "a/b.json", "manifest/xx", "Root.json", "lease2"]
        {
            assert!(text.parse::<DocumentName>().is_err(), "{text:?}");
        }
    }
}
