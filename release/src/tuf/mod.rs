//! The TUF repository of one tenant: written by us, verified by `sigstore-tuf` over `ring`.
//!
//! Shape: an offline root; top-level targets, which hold `lease-keys.json` and one terminating
//! delegation `<product>/*` per product; snapshot and timestamp by the hub. Every document must be
//! canonical, every key Ed25519 under its computed id, so that two ids are two keys.
//!
//! Never: a hub's key names a release. It only says which documents are the newest.

mod edition;
mod error;
mod lease_keys;
mod pin;
mod repository;
mod rules;
mod write;

pub use edition::{DocumentFacts, EditionError, ProductEdition, TargetsEdition, show_document};
pub use error::TrustError;
pub use lease_keys::{LEASE_KEYS_TARGET, LeaseKeys};
pub use pin::PinnedRoot;
pub use repository::{Documents, ListedRelease, SeenVersions, TrustedRepository};
pub use write::{
    FreshenWith, Freshness, ProductRole, ReleaseTarget, RoleKeys, RootPlan, WriteError,
    expires_text, freshen, product_document, product_targets, release_path, root_document,
    targets_document,
};

pub(crate) use repository::{follow_roots, lease_keys, time};
pub(crate) use rules::{delegations_of, releases_of, role_name_of};

/// Makes `ring` the verifier's cryptography, once per process. Every entry point of this room does
/// so by itself; only who uses the verifier without them needs to.
pub fn use_ring() {
    crate::provider::install();
}
