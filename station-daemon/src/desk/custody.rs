//! What the hub hands over beside releases and leases: shares of pools, a product's secret, the
//! units that are void.
//!
//! Owns judging these documents and keeping what is in them. Each is a statement of its own kind
//! over the hub's key, for this tenant and, where it holds something secret, this station.
//!
//! Promise: a document that does not verify changes nothing; what was void stays void.

use std::collections::BTreeSet;

use activation::pool::Loan;
use protocol::{DocumentName, MacSecretStatement, SignedStatement, VoidsStatement};
use sync::ArrivedDocument;

use super::credentials::keep_loan;
use crate::enrolment::Membership;
use crate::store::{Commit, StoreError, UnitKey};
use crate::trouble::chain;

/// Setting that holds the version of the newest statement about void units.
const VOIDS_SEEN: &str = "voids_seen";

/// A document of this kind, judged.
pub(super) enum Custody {
    /// A share.
    Loan(Box<Loan>),
    /// The sealed secret of a product.
    MacSecret {
        /// Which product.
        product: String,
        /// The parcel.
        sealed: Vec<u8>,
    },
    /// The units that are void.
    Voids(VoidsStatement),
    /// It does not verify, or is not for this station: nothing is kept of it.
    Refused,
}

/// Why a document was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("reading a statement of the hub")]
    Form(#[from] serde_json::Error),
    #[error("reading a sealed secret")]
    Hex(#[from] hex::FromHexError),
    #[error("the hub's signature does not hold")]
    Signature,
    #[error("it is for another tenant, station or name")]
    Other,
    #[error("its credentials are not in order")]
    Disorder,
}

/// What a document hands over, if it is one of this kind.
pub(super) fn custody_of(document: &ArrivedDocument, membership: &Membership) -> Option<Custody> {
    let name: DocumentName = document.name.parse().ok()?;
    let judged = match &name {
        DocumentName::Voids => voids(&document.bytes, membership),
        DocumentName::Credentials(allotment) => loan(&document.bytes, allotment, membership),
        DocumentName::MacSecret(product) => {
            mac_secret(&document.bytes, product.as_str(), membership)
        }
        DocumentName::Metadata(_)
        | DocumentName::Manifest(_)
        | DocumentName::Lease
        | DocumentName::Orders
        | DocumentName::Roster
        | DocumentName::Epoch
        | DocumentName::Revocations => return None,
    };
    Some(judged.unwrap_or_else(|error| {
        tracing::error!(%name, error = %chain(&error), "a document of the hub is not taken");
        Custody::Refused
    }))
}

fn payload(bytes: &[u8], kind: &str, membership: &Membership) -> Result<String, NotTaken> {
    let SignedStatement { payload, signature } = serde_json::from_slice(bytes)?;
    if !membership.hub_signed(kind, &payload, &signature) {
        return Err(NotTaken::Signature);
    }
    Ok(payload)
}

fn voids(bytes: &[u8], membership: &Membership) -> Result<Custody, NotTaken> {
    let payload = payload(bytes, VoidsStatement::KIND, membership)?;
    let voids: VoidsStatement = serde_json::from_str(&payload)?;
    if voids.v != 1 || voids.tenant.as_str() != membership.tenant {
        return Err(NotTaken::Other);
    }
    Ok(Custody::Voids(voids))
}

fn loan(bytes: &[u8], allotment: &[u8; 16], membership: &Membership) -> Result<Custody, NotTaken> {
    let payload = payload(bytes, Loan::KIND, membership)?;
    let loan: Loan = serde_json::from_str(&payload)?;
    if loan.tenant != membership.tenant
        || loan.station != membership.station
        || loan.certificate.allotment() != *allotment
        || !loan.certificate.names_product(&loan.product)
    {
        return Err(NotTaken::Other);
    }
    if !loan.is_in_order() || (loan.only_for.is_some() && loan.credentials.len() != 1) {
        return Err(NotTaken::Disorder);
    }
    Ok(Custody::Loan(Box::new(loan)))
}

fn mac_secret(bytes: &[u8], product: &str, membership: &Membership) -> Result<Custody, NotTaken> {
    let payload = payload(bytes, MacSecretStatement::KIND, membership)?;
    let secret: MacSecretStatement = serde_json::from_str(&payload)?;
    if secret.v != 1
        || secret.tenant.as_str() != membership.tenant
        || secret.station.as_str() != membership.station
        || secret.product.as_str() != product
    {
        return Err(NotTaken::Other);
    }
    let sealed = hex::decode(&secret.sealed)?;
    Ok(Custody::MacSecret { product: product.to_owned(), sealed })
}

impl Custody {
    /// Puts what was handed over into a commit.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn keep(self, commit: &Commit<'_>) -> Result<(), StoreError> {
        match self {
            Self::Refused => Ok(()),
            Self::MacSecret { product, sealed } => commit.put_mac_secret(&product, &sealed),
            Self::Loan(loan) => {
                let (product, count) = (loan.product.clone(), loan.credentials.len());
                if keep_loan(commit, *loan)? {
                    tracing::info!(product, count, "a share of the pool has come");
                }
                Ok(())
            }
            Self::Voids(voids) => keep_voids(commit, &voids),
        }
    }
}

/// An older statement takes nothing back: it is passed over.
fn keep_voids(commit: &Commit<'_>, voids: &VoidsStatement) -> Result<(), StoreError> {
    let seen = commit.setting(VOIDS_SEEN)?;
    let seen = seen.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
    if seen.is_some_and(|seen| u64::from_le_bytes(seen) > voids.version) {
        tracing::warn!(version = voids.version, "an older statement of void units");
        return Ok(());
    }
    let units: BTreeSet<_> = voids.units.iter().collect();
    for unit in units {
        commit.void_unit(&UnitKey {
            product: unit.product.to_string(),
            family: unit.family.clone(),
            uid: unit.uid.clone(),
        })?;
    }
    commit.put_setting(VOIDS_SEEN, &voids.version.to_le_bytes())
}

/// What goes with a document that the hub no longer lists.
///
/// # Errors
/// As the store says.
pub(super) fn forget(commit: &Commit<'_>, name: &str) -> Result<(), StoreError> {
    match name.parse() {
        Ok(DocumentName::Credentials(allotment)) => commit.erase_unbound(&allotment).map(drop),
        Ok(DocumentName::MacSecret(product)) => commit.drop_mac_secret(product.as_str()),
        Ok(_) | Err(_) => Ok(()),
    }
}
