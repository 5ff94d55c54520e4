//! A secret of a product, sealed for one station by HPKE (RFC 9180): an activation credential, or
//! the secret of mode *hmac-sha256*.
//!
//! The same suite as for content keys, under its own `info`, so that neither opens as the other.
//! What a parcel is for (tenant, product, station, which secret) is its additional data: moved
//! anywhere else, it does not open.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::canonical::{self, NoCanonicalForm};
use crate::digest::Digest;
use crate::names::Name;
use crate::random::Random;
use crate::wrap::{Kem, OneSeed, PublicHalf, WrapError, WrapKey, WrapPublicKey};

/// The fixed HPKE `info` of this version of parcels.
pub const PARCEL_INFO: &[u8] = b"flashline secret parcel v1";
/// Bytes that a parcel is longer than its secret: 32 encapsulated, 16 of tag.
pub const PARCEL_OVERHEAD_BYTES: usize = 48;

/// What a parcel is for. Both sides must say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParcelBinding {
    /// Whose product it is.
    pub tenant: Name,
    /// The product.
    pub product: Name,
    /// Which of its secrets.
    pub secret: ParcelSecret,
}

/// Which secret a parcel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParcelSecret {
    /// The secret columns of one credential.
    Credential {
        /// The name of the share it was lent in.
        allotment: [u8; 16],
        /// Its place in the share.
        index: u32,
        /// What names the credential: the digest over its public columns.
        credential: [u8; 32],
    },
    /// The product's secret for mode *hmac-sha256*.
    Mac {
        /// SHA-256 of the secret, as the recipe names it.
        secret_sha256: Digest,
    },
}

#[derive(Serialize)]
struct Additional<'a> {
    format: &'static str,
    v: u8,
    tenant: &'a Name,
    product: &'a Name,
    receiver_key_sha256: Digest,
    secret: &'static str,
    name: String,
}

impl ParcelBinding {
    /// The additional data of the parcel: one canonical JSON object.
    ///
    /// # Errors
    /// Never in practice: names and digests always have a canonical form.
    pub fn additional(&self, receiver: &WrapPublicKey) -> Result<Vec<u8>, NoCanonicalForm> {
        let (secret, name) = match &self.secret {
            ParcelSecret::Credential { allotment, index, credential } => {
                let (allotment, credential) = (hex::encode(allotment), hex::encode(credential));
                ("credential", format!("{allotment}/{index}/{credential}"))
            }
            ParcelSecret::Mac { secret_sha256 } => ("hmac-sha256", secret_sha256.to_string()),
        };
        canonical::to_bytes(&Additional {
            format: "flashline-parcel",
            v: 1,
            tenant: &self.tenant,
            product: &self.product,
            receiver_key_sha256: receiver.digest(),
            secret,
            name,
        })
    }
}

/// Seals `secret` for a receiver and a purpose: the encapsulated key, the sealed bytes, the tag.
///
/// # Errors
/// [`WrapError::BadReceiverKey`] or [`WrapError::NoRandom`].
pub fn seal_parcel(
    secret: &[u8],
    receiver: &WrapPublicKey,
    binding: &ParcelBinding,
    random: &mut dyn Random,
) -> Result<Vec<u8>, WrapError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut())?;
    let bad = WrapError::BadReceiverKey;
    let public = PublicHalf::from_bytes(receiver.as_bytes()).map_err(|_| bad)?;
    let additional = binding.additional(receiver).map_err(|_| bad)?;
    let (encapped, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        PARCEL_INFO,
        secret,
        &additional,
        &mut OneSeed(Some(seed)),
    )
    .map_err(|_| bad)?;
    Ok([encapped.to_bytes().as_slice(), &sealed].concat())
}

/// Opens a parcel, if it was made for this key and this purpose.
///
/// # Errors
/// [`WrapError::DoesNotOpen`].
pub fn open_parcel(
    parcel: &[u8],
    key: &WrapKey,
    binding: &ParcelBinding,
) -> Result<Zeroizing<Vec<u8>>, WrapError> {
    let fail = WrapError::DoesNotOpen;
    let (encapped, sealed) = parcel.split_at_checked(32).ok_or(fail)?;
    let additional = binding.additional(&key.public()).map_err(|_| fail)?;
    let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapped).map_err(|_| fail)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
        &OpModeR::Base,
        key.private_half(),
        &encapped,
        PARCEL_INFO,
        sealed,
        &additional,
    )
    .map(Zeroizing::new)
    .map_err(|_| fail)
}
