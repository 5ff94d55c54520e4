//! The content key of a release, wrapped for one receiver by HPKE (RFC 9180).
//!
//! Base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. What the wrap is for (tenant,
//! release, channel, receiver, lease version) is its additional data: moved anywhere else, it does
//! not open.

use std::convert::Infallible;
use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::canonical::{self, NoCanonicalForm};
use crate::digest::{Digest, hex_array};
use crate::names::{Channel, Name};
use crate::pem::{self, KeyError};
use crate::random::{NoRandom, Random};

/// The fixed HPKE `info` of this version of wrapping.
pub const WRAP_INFO: &[u8] = b"flashline content key wrap v1";
/// Bytes of a wrapped key: 32 encapsulated, 32 sealed, 16 of tag.
pub const WRAPPED_BYTES: usize = 80;

pub(crate) type Kem = X25519HkdfSha256;
type PrivateHalf = <Kem as hpke::Kem>::PrivateKey;
pub(crate) type PublicHalf = <Kem as hpke::Kem>::PublicKey;

const WHAT: &str = "X25519";

/// The 256-bit key under which one release is sealed for one channel. Erased when dropped.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; 32]>);

/// The X25519 key with which a station or a hub opens what was wrapped for it.
pub struct WrapKey(PrivateHalf);

/// The public half of a [`WrapKey`]. In documents: 64 lower-case hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WrapPublicKey([u8; 32]);

/// A content key that only its receiver can open. In documents: 160 lower-case hex characters.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey([u8; WRAPPED_BYTES]);

/// What a wrap is for. Both sides must say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrapBinding {
    /// Whose firmware it is.
    pub tenant: Name,
    /// SHA-256 of the manifest.
    pub release: Digest,
    /// The channel this content key seals.
    pub channel: Channel,
    /// Who may open it.
    pub receiver: Receiver,
}

/// Who may open a wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// The hub to which the release is published.
    Hub,
    /// The station that holds the lease of this version.
    Station {
        /// The lease's version.
        lease_version: u64,
    },
}

/// Why a key could not be wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The receiver's public key is not usable for X25519.
    #[error("wrapping a content key: the receiver's public key is not usable")]
    BadReceiverKey,
    /// Damaged, made for another receiver, or bound to another purpose: which one cannot be told.
    #[error("unwrapping a content key: not made for this key and this purpose, or damaged")]
    DoesNotOpen,
    /// The document says it was made for another key.
    #[error("unwrapping a content key: it was wrapped for another key")]
    OtherReceiver,
    /// It was here and was erased: the lease's end, a withdrawal, a revocation.
    #[error("unwrapping a content key: it was erased")]
    Erased,
    /// No randomness.
    #[error("wrapping a content key: drawing a one-use key")]
    NoRandom(#[from] NoRandom),
    /// The release is not wrapped for this channel.
    #[error("unwrapping a content key: none for the channel {0}")]
    NoSuchChannel(Channel),
}

#[derive(Serialize)]
struct Additional<'a> {
    format: &'static str,
    v: u8,
    tenant: &'a Name,
    release: Digest,
    channel: Channel,
    receiver: &'static str,
    receiver_key_sha256: Digest,
    lease_version: u64,
}

impl WrapBinding {
    /// The additional data of the wrap: one canonical JSON object.
    ///
    /// # Errors
    /// Never in practice: names and digests always have a canonical form.
    pub fn additional(&self, receiver: &WrapPublicKey) -> Result<Vec<u8>, NoCanonicalForm> {
        let (word, lease_version) = match self.receiver {
            Receiver::Hub => ("hub", 0),
            Receiver::Station { lease_version } => ("station", lease_version),
        };
        canonical::to_bytes(&Additional {
            format: "flashline-wrap",
            v: 1,
            tenant: &self.tenant,
            release: self.release,
            channel: self.channel,
            receiver: word,
            receiver_key_sha256: receiver.digest(),
            lease_version,
        })
    }
}

impl ContentKey {
    /// Draws a fresh key.
    ///
    /// # Errors
    /// [`NoRandom`] when the source gives nothing.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandom> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// Takes 32 key bytes.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Wraps this key for a receiver and a purpose.
    ///
    /// # Errors
    /// [`WrapError::BadReceiverKey`] or [`WrapError::NoRandom`].
    pub fn wrap_for(
        &self,
        receiver: &WrapPublicKey,
        binding: &WrapBinding,
        random: &mut dyn Random,
    ) -> Result<WrappedKey, WrapError> {
        let additional = binding.additional(receiver).map_err(|_| WrapError::BadReceiverKey)?;
        seal_to(receiver, WRAP_INFO, self.expose(), &additional, random)
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

impl WrappedKey {
    /// Opens the wrap, if it was made for this key and this purpose.
    ///
    /// # Errors
    /// [`WrapError::DoesNotOpen`].
    pub fn unwrap_with(
        &self,
        key: &WrapKey,
        binding: &WrapBinding,
    ) -> Result<ContentKey, WrapError> {
        let additional = binding.additional(&key.public()).map_err(|_| WrapError::DoesNotOpen)?;
        open_with(self, key, WRAP_INFO, &additional).map(ContentKey)
    }

    /// SHA-256 of the 80 bytes: how a lease names it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The 80 bytes: encapsulated key, sealed key, tag.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; WRAPPED_BYTES] {
        &self.0
    }

    /// Takes the 80 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; WRAPPED_BYTES]) -> Self {
        Self(bytes)
    }
}

impl WrapKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`NoRandom`] when the source gives nothing.
    ///
    /// # Panics
    /// Never: every 32 bytes are an X25519 key.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandom> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Takes the 32 bytes of a private key.
    ///
    /// # Panics
    /// Never: every 32 bytes are an X25519 key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(
            PrivateHalf::from_bytes(bytes)
                .unwrap_or_else(|_| unreachable!("any 32 bytes are an X25519 key")),
        )
    }

    /// The 32 bytes of this private key.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        self.0.write_exact(out.as_mut());
        out
    }

    pub(crate) const fn private_half(&self) -> &PrivateHalf {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> WrapPublicKey {
        let mut out = [0; 32];
        Kem::sk_to_pk(&self.0).write_exact(&mut out);
        WrapPublicKey(out)
    }

    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// [`KeyError`] when it is not one X25519 private key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::from_pem(pem::PRIVATE, text)?;
        Ok(Self::from_bytes(&*pem::after_prefix(&der, &pem::X25519_PRIVATE_PREFIX, WHAT)?))
    }

    /// The PEM text of this key.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let der =
            Zeroizing::new([pem::X25519_PRIVATE_PREFIX.as_slice(), &*self.to_bytes()].concat());
        pem::to_pem(pem::PRIVATE, &der)
    }
}

impl fmt::Debug for WrapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrapKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl WrapPublicKey {
    /// Takes the 32 bytes of a public key.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the 32 bytes: how leases and wraps name a station.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// [`KeyError`] when it is not one X25519 public key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::from_pem(pem::PUBLIC, text)?;
        Ok(Self(*pem::after_prefix(&der, &pem::X25519_PUBLIC_PREFIX, WHAT)?))
    }

    /// The PEM text of this key.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [pem::X25519_PUBLIC_PREFIX.as_slice(), &self.0].concat();
        pem::to_pem(pem::PUBLIC, &der).to_string()
    }
}

impl fmt::Display for WrapPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for WrapPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrapPublicKey({self})")
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedKey(..)")
    }
}

macro_rules! hex_serde {
    ($type:ident, $says:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&hex::encode(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                hex_array(&text).map(Self).ok_or_else(|| serde::de::Error::custom($says))
            }
        }
    };
}

hex_serde!(WrapPublicKey, "expected a public key of 64 lower-case hex characters");
hex_serde!(WrappedKey, "expected a wrapped key of 160 lower-case hex characters");

/// Seals 32 bytes to a receiver, for one purpose (`info`) and one use of it (`additional`).
pub(crate) fn seal_to(
    receiver: &WrapPublicKey,
    info: &[u8],
    plain: &[u8; 32],
    additional: &[u8],
    random: &mut dyn Random,
) -> Result<WrappedKey, WrapError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut())?;
    let public = PublicHalf::from_bytes(&receiver.0).map_err(|_| WrapError::BadReceiverKey)?;
    let (encapped, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        info,
        plain,
        additional,
        &mut OneSeed(Some(seed)),
    )
    .map_err(|_| WrapError::BadReceiverKey)?;
    let mut out = [0; WRAPPED_BYTES];
    out[..32].copy_from_slice(&encapped.to_bytes());
    out[32..].copy_from_slice(&sealed);
    Ok(WrappedKey(out))
}

/// Opens what [`seal_to`] sealed for the same key, purpose and use.
pub(crate) fn open_with(
    sealed: &WrappedKey,
    key: &WrapKey,
    info: &[u8],
    additional: &[u8],
) -> Result<Zeroizing<[u8; 32]>, WrapError> {
    let fail = WrapError::DoesNotOpen;
    let encapped =
        <Kem as hpke::Kem>::EncappedKey::from_bytes(&sealed.0[..32]).map_err(|_| fail)?;
    let plain = Zeroizing::new(
        hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Base,
            &key.0,
            &encapped,
            info,
            &sealed.0[32..],
            additional,
        )
        .map_err(|_| fail)?,
    );
    let mut bytes = Zeroizing::new([0; 32]);
    if plain.len() != bytes.len() {
        return Err(fail);
    }
    bytes.copy_from_slice(&plain);
    Ok(bytes)
}

/// The 32 bytes HPKE draws for its one-use key, drawn beforehand so that a failing source is an
/// error and a worked example can fix them.
pub(crate) struct OneSeed(pub(crate) Option<Zeroizing<[u8; 32]>>);

impl TryRng for OneSeed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("X25519 key generation draws bytes, not words")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("X25519 key generation draws bytes, not words")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        // Drawing twice from one seed would reuse a one-use key: rather stop.
        let Some(seed) = self.0.take() else { unreachable!("X25519 key generation draws once") };
        out.copy_from_slice(&*seed);
        Ok(())
    }
}

impl TryCryptoRng for OneSeed {}
