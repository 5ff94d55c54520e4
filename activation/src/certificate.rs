//! The allotment certificate: a product key lends a share of its activation quota to one station.

use crate::block::PRODUCT_BYTES_MAX;
use crate::refusal::Refusal;
use crate::wire::{CONTEXT_BYTES, Fields, context, is_signed, message_of, product_digest};

/// Bytes of an allotment certificate.
pub const CERTIFICATE_BYTES: usize = BODY_BYTES + 64;

pub(crate) const BODY_BYTES: usize = 92;
pub(crate) const MAGIC: [u8; 4] = *b"FLAC";
pub(crate) const VERSION: u8 = 1;
/// Ed25519 as in RFC 8032, checked strictly.
pub(crate) const SCHEME_ED25519: u8 = 1;
const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline allotment certificate");

/// "The holder of this station key may activate `quota` chips of this product."
///
/// Well formed, not yet proven: [`AllotmentCertificate::verify`] proves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllotmentCertificate {
    bytes: [u8; CERTIFICATE_BYTES],
    key_hint: [u8; 2],
    product: [u8; 32],
    allotment: [u8; 16],
    quota: u32,
    station_key: [u8; 32],
}

impl AllotmentCertificate {
    /// Reads the form, proves nothing.
    ///
    /// # Errors
    /// [`Refusal::WrongSize`], [`Refusal::NotOurs`], [`Refusal::UnknownVersion`],
    /// [`Refusal::UnknownScheme`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let bytes: &[u8; CERTIFICATE_BYTES] =
            bytes.try_into().map_err(|_| Refusal::WrongSize { found: bytes.len() })?;
        Self::read(bytes).unwrap_or(Err(Refusal::Malformed))
    }

    fn read(bytes: &[u8; CERTIFICATE_BYTES]) -> Option<Result<Self, Refusal>> {
        let mut fields = Fields::of(bytes);
        if *fields.take()? != MAGIC {
            return Some(Err(Refusal::NotOurs));
        }
        let [version, scheme] = *fields.take()?;
        if version != VERSION {
            return Some(Err(Refusal::UnknownVersion { version }));
        }
        if scheme != SCHEME_ED25519 {
            return Some(Err(Refusal::UnknownScheme { scheme }));
        }
        Some(Ok(Self {
            bytes: *bytes,
            key_hint: *fields.take()?,
            product: *fields.take()?,
            allotment: *fields.take()?,
            quota: fields.take_u32()?,
            station_key: *fields.take()?,
        }))
    }

    /// Proves that one of `product_keys` certified this allotment for `product`.
    ///
    /// # Errors
    /// [`Refusal::ClaimUnusable`], [`Refusal::OtherProduct`], [`Refusal::CertificateNotSigned`].
    pub fn verify(&self, product_keys: &[[u8; 32]], product: &str) -> Result<(), Refusal> {
        if product.is_empty() || product.len() > PRODUCT_BYTES_MAX {
            return Err(Refusal::ClaimUnusable);
        }
        if self.product != product_digest(product) {
            return Err(Refusal::OtherProduct);
        }
        let message = signed_message(self.body());
        let signed = product_keys
            .iter()
            // The hint saves a small chip a second full check when the other key signed.
            .filter(|key| key.first_chunk() == Some(&self.key_hint))
            .any(|key| is_signed(key, &message, self.signature()));
        if signed { Ok(()) } else { Err(Refusal::CertificateNotSigned) }
    }

    /// The certificate as it travels.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CERTIFICATE_BYTES] {
        &self.bytes
    }

    /// The allotment's random name.
    #[must_use]
    pub const fn allotment(&self) -> [u8; 16] {
        self.allotment
    }

    /// How many indices the allotment holds; the first is 0.
    #[must_use]
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// The Ed25519 public key that signs blocks of this allotment.
    #[must_use]
    pub const fn station_key(&self) -> [u8; 32] {
        self.station_key
    }

    /// Whether the certificate names `product` (by digest). Says nothing about who signed it.
    #[must_use]
    pub fn names_product(&self, product: &str) -> bool {
        self.product == product_digest(product)
    }

    fn body(&self) -> &[u8; BODY_BYTES] {
        // Both halves exist for every value of this type; the fallback verifies nothing.
        self.bytes.first_chunk().unwrap_or(&[0; BODY_BYTES])
    }

    fn signature(&self) -> &[u8; 64] {
        self.bytes.last_chunk().unwrap_or(&[0; 64])
    }
}

/// What the product key signs.
pub(crate) fn signed_message(body: &[u8; BODY_BYTES]) -> [u8; CONTEXT_BYTES + BODY_BYTES] {
    message_of(&CONTEXT, body)
}

#[cfg(feature = "issue")]
impl AllotmentCertificate {
    /// Writes and signs a certificate; `sign` is the product key at work.
    #[allow(clippy::indexing_slicing, reason = "hosts only; offsets are the table of FORMAT.md")]
    pub(crate) fn make(
        product: &str,
        allotment: [u8; 16],
        quota: u32,
        station_key: [u8; 32],
        product_key: [u8; 32],
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let key_hint = [product_key[0], product_key[1]];
        let product = product_digest(product);
        let mut body = [0; BODY_BYTES];
        body[0..4].copy_from_slice(&MAGIC);
        body[4] = VERSION;
        body[5] = SCHEME_ED25519;
        body[6..8].copy_from_slice(&key_hint);
        body[8..40].copy_from_slice(&product);
        body[40..56].copy_from_slice(&allotment);
        body[56..60].copy_from_slice(&quota.to_le_bytes());
        body[60..92].copy_from_slice(&station_key);
        let mut bytes = [0; CERTIFICATE_BYTES];
        bytes[..BODY_BYTES].copy_from_slice(&body);
        bytes[BODY_BYTES..].copy_from_slice(&sign(&signed_message(&body)));
        Self { bytes, key_hint, product, allotment, quota, station_key }
    }
}

#[cfg(feature = "issue")]
impl serde::Serialize for AllotmentCertificate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 2 * CERTIFICATE_BYTES];
        hex::encode_to_slice(self.bytes, &mut text).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(core::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

#[cfg(feature = "issue")]
impl<'de> serde::Deserialize<'de> for AllotmentCertificate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: std::string::String = serde::Deserialize::deserialize(deserializer)?;
        let mut bytes = [0; CERTIFICATE_BYTES];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(serde::de::Error::custom)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}
