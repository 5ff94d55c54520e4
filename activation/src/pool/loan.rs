//! What a hub lends one station out of a pool: a share, sealed for it.

use super::credential::SealedCredential;
use super::schema::Schema;
use crate::certificate::AllotmentCertificate;
use crate::chip::Chip;
use serde::{Deserialize, Serialize};
use std::string::String;
use std::vec::Vec;

/// A share on its way to a station; the hub signs it as a statement of [`Loan::KIND`]. Its
/// credentials are sealed for that station and numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loan {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose pool.
    pub tenant: String,
    /// For which station.
    pub station: String,
    /// The product whose pool it is.
    pub product: String,
    /// R&D's certificate over the station's key: names the share and bounds it.
    pub certificate: AllotmentCertificate,
    /// What the columns are.
    pub schema: Schema,
    /// The chip that alone may have the one credential of this share: it was bound elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_for: Option<OnlyFor>,
    /// The credentials, in order.
    pub credentials: Vec<SealedCredential>,
}

/// A chip in a loan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlyFor {
    /// Its family.
    pub family: String,
    /// Its unique id.
    #[serde(with = "hex::serde")]
    pub uid: Vec<u8>,
}

impl From<&Chip> for OnlyFor {
    fn from(chip: &Chip) -> Self {
        Self { family: chip.family.clone(), uid: chip.uid.clone() }
    }
}

impl From<OnlyFor> for Chip {
    fn from(only: OnlyFor) -> Self {
        Self { family: only.family, uid: only.uid }
    }
}

impl Loan {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline pool loan v1";

    /// Whether the credentials are numbered from 0 without a gap, as many as the certificate
    /// bounds at most.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.v == 1
            && self.credentials.len() as u64 <= u64::from(self.certificate.quota())
            && (0..).zip(&self.credentials).all(|(at, credential)| credential.number() == at)
    }
}
