//! A hub's four keys for one tenant, and the content keys it is entrusted with.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::digest::Digest;
use crate::key::{PublicKey, SigningKey};
use crate::limits::{HUB_KEYS_BYTES_MAX, HUB_WRAP_BYTES_MAX};
use crate::names::{Channel, Name};
use crate::random::{NoRandom, Random};
use crate::wrap::{
    ContentKey, Receiver, WrapBinding, WrapError, WrapKey, WrapPublicKey, WrappedKey,
};

const KEYS: &str = "the hub's keys";
const KEYS_FORMAT: &str = "flashline-hub-keys";
const WRAP: &str = "the hub's content keys";
const WRAP_FORMAT: &str = "flashline-hub-wrap";

/// The private keys that a hub holds for one tenant. None of them can name a release.
#[derive(Debug)]
pub struct HubSecrets {
    /// Whose.
    pub tenant: Name,
    /// Says which documents belong together.
    pub snapshot: SigningKey,
    /// Says which of those is the newest.
    pub timestamp: SigningKey,
    /// Signs leases.
    pub lease: SigningKey,
    /// Opens the content keys that R&D wraps for the hub.
    pub release: WrapKey,
}

/// The public halves, as a hub shows them to R&D. Version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubKeys {
    format: String,
    v: u64,
    /// Whose.
    pub tenant: Name,
    /// Says which documents belong together.
    pub snapshot: PublicKey,
    /// Says which of those is the newest.
    pub timestamp: PublicKey,
    /// Signs leases.
    pub lease: PublicKey,
    /// For this one R&D wraps content keys.
    pub release: WrapPublicKey,
}

/// A release's content keys, wrapped for the hub. Version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubWrap {
    format: String,
    v: u64,
    /// The release.
    pub manifest_sha256: Digest,
    /// SHA-256 of the hub's X25519 public key.
    pub hub_key_sha256: Digest,
    /// One per channel.
    pub wraps: Vec<ChannelWrap>,
}

/// The content key of one channel, wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelWrap {
    /// The channel.
    pub channel: Channel,
    /// Its content key.
    pub wrapped_key: WrappedKey,
}

impl HubSecrets {
    /// Draws a hub's keys for a tenant.
    ///
    /// # Errors
    /// [`NoRandom`] when the source gives nothing.
    pub fn generate(tenant: Name, random: &mut dyn Random) -> Result<Self, NoRandom> {
        Ok(Self {
            tenant,
            snapshot: SigningKey::generate(random)?,
            timestamp: SigningKey::generate(random)?,
            lease: SigningKey::generate(random)?,
            release: WrapKey::generate(random)?,
        })
    }

    /// The public halves.
    #[must_use]
    pub fn public(&self) -> HubKeys {
        HubKeys {
            format: KEYS_FORMAT.to_owned(),
            v: 1,
            tenant: self.tenant.clone(),
            snapshot: self.snapshot.public(),
            timestamp: self.timestamp.public(),
            lease: self.lease.public(),
            release: self.release.public(),
        }
    }
}

impl HubKeys {
    /// Reads the document.
    ///
    /// # Errors
    /// [`DocumentError`] by kind of refusal.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        canonical::from_versioned_bytes(KEYS, (KEYS_FORMAT, 1), bytes, HUB_KEYS_BYTES_MAX)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// Never in practice: names and keys always have a canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NoCanonicalForm> {
        canonical::to_bytes(self)
    }
}

impl HubWrap {
    /// Wraps a release's content keys for a hub.
    ///
    /// # Errors
    /// [`WrapError`] when the hub's key is not usable or there is no randomness.
    pub fn seal(
        tenant: &Name,
        manifest_sha256: Digest,
        content_keys: &[(Channel, ContentKey)],
        hub: &WrapPublicKey,
        random: &mut dyn Random,
    ) -> Result<Self, WrapError> {
        let mut wraps = Vec::with_capacity(content_keys.len());
        for (channel, key) in content_keys {
            let binding = binding(tenant, manifest_sha256, *channel);
            let wrapped_key = key.wrap_for(hub, &binding, random)?;
            wraps.push(ChannelWrap { channel: *channel, wrapped_key });
        }
        let hub_key_sha256 = hub.digest();
        Ok(Self { format: WRAP_FORMAT.to_owned(), v: 1, manifest_sha256, hub_key_sha256, wraps })
    }

    /// Opens one channel's content key with the hub's key.
    ///
    /// # Errors
    /// [`WrapError::OtherReceiver`], [`WrapError::NoSuchChannel`] or [`WrapError::DoesNotOpen`].
    pub fn content_key(
        &self,
        hub: &WrapKey,
        tenant: &Name,
        channel: Channel,
    ) -> Result<ContentKey, WrapError> {
        if hub.public().digest() != self.hub_key_sha256 {
            return Err(WrapError::OtherReceiver);
        }
        let wrap = self
            .wraps
            .iter()
            .find(|wrap| wrap.channel == channel)
            .ok_or(WrapError::NoSuchChannel(channel))?;
        wrap.wrapped_key.unwrap_with(hub, &binding(tenant, self.manifest_sha256, channel))
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`DocumentError`] by kind of refusal.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        let wrap: Self =
            canonical::from_versioned_bytes(WRAP, (WRAP_FORMAT, 1), bytes, HUB_WRAP_BYTES_MAX)?;
        if wrap.wraps.is_empty() || !wrap.wraps.is_sorted_by(|a, b| a.channel < b.channel) {
            let rule = "channels must be given, each once, in order";
            return Err(DocumentError::Rule { what: WRAP, rule });
        }
        Ok(wrap)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// Never in practice: digests and keys always have a canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NoCanonicalForm> {
        canonical::to_bytes(self)
    }
}

fn binding(tenant: &Name, release: Digest, channel: Channel) -> WrapBinding {
    WrapBinding { tenant: tenant.clone(), release, channel, receiver: Receiver::Hub }
}
