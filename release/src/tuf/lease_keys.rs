//! The target that says who may sign leases.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::key::PublicKey;
use crate::limits::{KEYS_MAX, LEASE_KEYS_BYTES_MAX};
use crate::names::Name;

/// The path of the target, and the name of its document.
pub const LEASE_KEYS_TARGET: &str = "lease-keys.json";

const WHAT: &str = "the lease keys";
const FORMAT: &str = "flashline-lease-keys";

/// Who may sign a tenant's leases, and how many of them must. Version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseKeys {
    format: String,
    v: u64,
    tenant: Name,
    threshold: usize,
    keys: Vec<PublicKey>,
}

impl LeaseKeys {
    /// Names the keys; order and repetition do not matter.
    ///
    /// # Errors
    /// [`DocumentError::Rule`] when the threshold cannot be met or is 0.
    pub fn new(
        tenant: Name,
        threshold: usize,
        mut keys: Vec<PublicKey>,
    ) -> Result<Self, DocumentError> {
        keys.sort_unstable();
        keys.dedup();
        let document = Self { format: FORMAT.to_owned(), v: 1, tenant, threshold, keys };
        document.check()?;
        Ok(document)
    }

    /// Reads the document. Trusted only as a trusted target.
    ///
    /// # Errors
    /// [`DocumentError`] by kind of refusal.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self =
            canonical::from_versioned_bytes(WHAT, (FORMAT, 1), bytes, LEASE_KEYS_BYTES_MAX)?;
        document.check()?;
        Ok(document)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// Never in practice: names and keys always have a canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NoCanonicalForm> {
        canonical::to_bytes(self)
    }

    /// Whose leases.
    #[must_use]
    pub const fn tenant(&self) -> &Name {
        &self.tenant
    }

    /// How many keys must sign.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// Who may sign.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    fn check(&self) -> Result<(), DocumentError> {
        let holds = (1..=KEYS_MAX).contains(&self.keys.len())
            && self.keys.is_sorted_by(|a, b| a < b)
            && (1..=self.keys.len()).contains(&self.threshold);
        if holds {
            return Ok(());
        }
        Err(DocumentError::Rule {
            what: WHAT,
            rule: "1 to 32 keys in order, each once, and a threshold they can meet",
        })
    }
}
