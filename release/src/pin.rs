//! What proves a person at a station: a PIN against a verifier, a badge against its digest.
//!
//! Both are keyed with the station's pepper, which comes to the station sealed to its own key
//! ([`Pepper::seal_for`]) and lies nowhere in the clear: a stolen disk without the station secret
//! holds nothing that ten thousand guesses could be tried against. Owns the arithmetic
//! (`FORMAT.md`, section 7). Leaves counting the guesses to the station.
//!
//! Promise: a PIN, a pepper and what is made of them are erased when dropped and show nothing when
//! printed.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use ring::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::canonical;
use crate::digest::{Digest, hex_array};
use crate::names::Name;
use crate::random::{NoRandom, Random};
use crate::wrap::{self, WrapError, WrapKey, WrapPublicKey, WrappedKey};

/// The fixed HPKE `info` of a sealed pepper.
pub const PEPPER_INFO: &[u8] = b"flashline pepper seal v1";
/// The longest PIN, in digits.
pub const PIN_DIGITS_MAX: u8 = 12;
/// The shortest PIN that anything here reads, in digits; a lease's policy asks for as many or more.
pub const PIN_DIGITS_MIN: u8 = 4;
/// Memory of one verification, in KiB (OWASP's second choice for Argon2id).
const ARGON2_KIB: u32 = 19_456;
/// Passes over it.
const ARGON2_PASSES: u32 = 2;
const ARGON2_LANES: u32 = 1;

const BADGE_DOMAIN: &[u8] = b"flashline badge v1\n";
const PIN_DOMAIN: &[u8] = b"flashline pin v1\n";

/// A PIN as a person enters it: 4 to 12 digits.
pub struct Pin(Zeroizing<Vec<u8>>);

/// A text that is no PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading a PIN: it is {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")]
pub struct BadPin;

impl Pin {
    /// Reads a PIN.
    ///
    /// # Errors
    /// [`BadPin`], which does not repeat what was entered.
    pub fn read(text: &str) -> Result<Self, BadPin> {
        let digits = usize::from(PIN_DIGITS_MIN)..=usize::from(PIN_DIGITS_MAX);
        let good = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if good { Ok(Self(Zeroizing::new(text.as_bytes().to_vec()))) } else { Err(BadPin) }
    }

    /// How many digits it has.
    #[must_use]
    pub fn digits(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    /// Whether it is one of the first that anybody tries: one digit repeated, or a run up or down.
    #[must_use]
    pub fn is_obvious(&self) -> bool {
        let step =
            |by: i16| self.0.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by);
        step(0) || step(1) || step(-1)
    }

    /// The digits as text, for the vault that keeps them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// A station's pepper: 32 bytes that key everything made of its people's badges and PINs.
pub struct Pepper(Zeroizing<[u8; 32]>);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// A verifier could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("computing a PIN's verifier")]
pub struct NoVerifier;

#[derive(Serialize)]
struct Additional<'a> {
    format: &'static str,
    v: u8,
    tenant: &'a Name,
    station_key_sha256: Digest,
}

impl Pepper {
    /// Draws a pepper.
    ///
    /// # Errors
    /// [`NoRandom`] when the source gives nothing.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandom> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// Takes 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for the vault that keeps them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals the pepper so that one station of one tenant can open it.
    ///
    /// # Errors
    /// [`WrapError::BadReceiverKey`] or [`WrapError::NoRandom`].
    pub fn seal_for(
        &self,
        station: &WrapPublicKey,
        tenant: &Name,
        random: &mut dyn Random,
    ) -> Result<WrappedKey, WrapError> {
        let additional = additional(station, tenant).ok_or(WrapError::BadReceiverKey)?;
        wrap::seal_to(station, PEPPER_INFO, &self.0, &additional, random)
    }

    /// Opens a pepper with the station's own key.
    ///
    /// # Errors
    /// [`WrapError::DoesNotOpen`].
    pub fn open(sealed: &WrappedKey, station: &WrapKey, tenant: &Name) -> Result<Self, WrapError> {
        let additional = additional(&station.public(), tenant).ok_or(WrapError::DoesNotOpen)?;
        wrap::open_with(sealed, station, PEPPER_INFO, &additional).map(Self)
    }

    /// What a roster holds in place of a badge's text.
    #[must_use]
    pub fn badge_digest(&self, badge: &str) -> Digest {
        let tag = self.tag(&[BADGE_DOMAIN, badge.as_bytes()]);
        Digest::from_bytes(*tag)
    }

    /// Makes the verifier of an operator's PIN at this station. Takes some 30 ms and 19 MiB.
    ///
    /// # Errors
    /// [`NoVerifier`].
    pub fn verifier(
        &self,
        operator: u32,
        pin: &Pin,
        salt: [u8; 16],
    ) -> Result<PinVerifier, NoVerifier> {
        let hash = *self.hash(operator, pin, &salt)?;
        Ok(PinVerifier { salt, hash })
    }

    /// Whether a PIN is the one of a verifier; compared in constant time. As long as making one.
    ///
    /// # Errors
    /// [`NoVerifier`].
    pub fn proves(
        &self,
        operator: u32,
        pin: &Pin,
        verifier: &PinVerifier,
    ) -> Result<bool, NoVerifier> {
        let hash = self.hash(operator, pin, &verifier.salt)?;
        // Keyed with fresh tags, unequal bytes cannot be timed one by one.
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        let wanted = hmac::sign(&key, &verifier.hash);
        Ok(hmac::verify(&key, hash.as_ref(), wanted.as_ref()).is_ok())
    }

    fn hash(
        &self,
        operator: u32,
        pin: &Pin,
        salt: &[u8; 16],
    ) -> Result<Zeroizing<[u8; 32]>, NoVerifier> {
        let password = self.tag(&[PIN_DOMAIN, &operator.to_be_bytes(), &pin.0]);
        let params = Params::new(ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32))
            .map_err(|_| NoVerifier)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hash = Zeroizing::new([0; 32]);
        argon2
            .hash_password_into(password.as_ref(), salt, hash.as_mut())
            .map_err(|_| NoVerifier)?;
        Ok(hash)
    }

    fn tag(&self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(part);
        }
        let mut out = Zeroizing::new([0; 32]);
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

/// The additional data of a sealed pepper: one canonical JSON object.
fn additional(station: &WrapPublicKey, tenant: &Name) -> Option<Vec<u8>> {
    let format = "flashline-pepper";
    canonical::to_bytes(&Additional { format, v: 1, tenant, station_key_sha256: station.digest() })
        .ok()
}

/// What a roster holds in place of a PIN. In documents: `{"hash":…,"salt":…}` in lower-case hex.
#[derive(Clone, PartialEq, Eq)]
pub struct PinVerifier {
    salt: [u8; 16],
    hash: [u8; 32],
}

impl PinVerifier {
    /// The 48 bytes: salt, then hash.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        let mut out = [0; 48];
        out[..16].copy_from_slice(&self.salt);
        out[16..].copy_from_slice(&self.hash);
        out
    }

    /// Takes the 48 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 48]) -> Self {
        let (mut salt, mut hash) = ([0; 16], [0; 32]);
        salt.copy_from_slice(&bytes[..16]);
        hash.copy_from_slice(&bytes[16..]);
        Self { salt, hash }
    }

    /// Tells one verifier from another without showing it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

impl Drop for PinVerifier {
    fn drop(&mut self) {
        self.hash.zeroize();
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinVerifier(..)")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifierForm {
    salt: String,
    hash: String,
}

impl Serialize for PinVerifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = VerifierForm { salt: hex::encode(self.salt), hash: hex::encode(self.hash) };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PinVerifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = VerifierForm::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("expected 32 and 64 lower-case hex characters");
        Ok(Self {
            salt: hex_array(&form.salt).ok_or_else(wrong)?,
            hash: hex_array(&form.hash).ok_or_else(wrong)?,
        })
    }
}
