//! What may be flashed: images, recipe, packing, signing, sealing, refusing.
//!
//! R&D packs images and a recipe into a sealed release and signs it ([`Pack`], [`tuf`],
//! [`bundle`]). A hub keeps ciphertext, says which documents are the newest ([`freshen`]) and
//! lends stations a [`Lease`]. A station trusts a root it pinned ([`PinnedRoot`]), what that root
//! signs for ([`TrustedRepository`]), and only then holds a [`SealedRelease`], which its lease's
//! content key opens into a [`Release`].
//!
//! Owns no clock, no network and no database: bytes, times and randomness come in as arguments.
//! Imports nothing of ours. The formats are in `FORMAT.md`, to the byte.
//!
//! Promise: no [`Release`] exists whose every byte was not sealed by R&D, named by the product's
//! people under the pinned root, and not withdrawn when it entered the shelf.

pub mod bundle;
pub mod canonical;
pub mod chips;
pub mod envelope;
pub mod folder;
pub mod hub_keys;
pub mod image;
pub mod key;
pub mod lease;
pub mod limits;
pub mod manifest;
pub mod names;
pub mod pack;
pub mod parcel;
pub mod pin;
pub mod random;
pub mod recipe;
pub mod roster;
pub mod seal;
pub mod sealed;
pub mod summary;
pub mod tuf;
pub mod wrap;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

mod digest;
mod opening;
mod pem;
mod provider;
mod trouble;
mod words;

pub use bundle::{Bundle, BundleError, CheckedBundle, CheckedDocuments};
pub use canonical::{DocumentError, NoCanonicalForm};
pub use digest::{BadDigest, Digest};
pub use hub_keys::{HubKeys, HubSecrets, HubWrap};
pub use image::{FormatName, ImageError, ImageFormat, Segment};
pub use key::{PublicKey, Signed, SigningKey};
pub use lease::{
    Lease, LeaseCheck, LeaseError, LeaseTerms, LeasedRelease, MayNot, PinPolicy, Portion,
};
pub use manifest::{ChunkRef, Manifest};
pub use names::{BadName, Channel, Label, Name};
pub use pack::{ImageFile, Pack, PackError, Packed};
pub use pem::KeyError;
pub use pin::{BadPin, NoVerifier, Pepper, Pin, PinVerifier};
pub use random::{NoRandom, Random, SystemRandom};
pub use recipe::Recipe;
pub use roster::{Operator, Role, Roster, RosterCheck, RosterError, RosterTerms};
pub use sealed::{OpenError, OpenImage, Release, SealedRelease};
pub use summary::Summary;
pub use trouble::ReleaseTrouble;
pub use tuf::{
    Documents, FreshenWith, Freshness, LeaseKeys, ListedRelease, PinnedRoot, SeenVersions,
    TrustError, TrustedRepository, freshen,
};
pub use wrap::{ContentKey, Receiver, WrapBinding, WrapError, WrapKey, WrapPublicKey, WrappedKey};
