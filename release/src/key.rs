//! Ed25519 keys: those of people and hubs who sign documents, by `ring`.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::canonical;
use crate::digest::{Digest, hex_array};
use crate::pem::{self, KeyError};
use crate::random::{NoRandom, Random};

/// A private Ed25519 key. Its `Debug` shows the public half only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// A public Ed25519 key. In documents: 64 lower-case hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

const WHAT: &str = "Ed25519";

/// `PrivateKeyInfo` (version 1, no public key) up to the 32-byte seed.
const PRIVATE_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

impl SigningKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`NoRandom`] when the source gives nothing.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandom> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut())?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-byte seed (RFC 8032 "private key").
    ///
    /// # Panics
    /// Never: every 32-byte seed is an Ed25519 key.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pkcs8 = Zeroizing::new([PRIVATE_PREFIX.as_slice(), seed].concat());
        Self::from_pkcs8(&pkcs8).unwrap_or_else(|_| unreachable!("any 32 bytes are a seed"))
    }

    /// Reads PKCS#8 DER, with or without the public half.
    ///
    /// # Errors
    /// [`KeyError::WrongKind`] for anything that is not one Ed25519 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map_err(|_| KeyError::WrongKind(WHAT))?;
        Ok(Self { pair, pkcs8: Zeroizing::new(der.to_vec()) })
    }

    /// The PKCS#8 DER of this key.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// [`KeyError`] when it is not one Ed25519 private key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8(&pem::from_pem(pem::PRIVATE, text)?)
    }

    /// The PEM text of this key.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::to_pem(pem::PRIVATE, &self.pkcs8)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// Whether a signature is by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// It is.
    ByThisKey,
    /// It is not.
    NotByThisKey,
}

impl PublicKey {
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

    /// Looks at a signature.
    #[must_use]
    pub fn check(&self, message: &[u8], signature: &[u8]) -> Signed {
        match UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature) {
            Ok(()) => Signed::ByThisKey,
            Err(_) => Signed::NotByThisKey,
        }
    }

    /// The TUF key id: SHA-256 of the canonical `{keytype, keyval, scheme}`.
    #[must_use]
    pub fn key_id(&self) -> Digest {
        let object = serde_json::json!({
            "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": self.to_string() }
        });
        // A tree of plain ASCII texts always has a canonical form.
        Digest::of(&canonical::value_to_bytes(&object).unwrap_or_default())
    }

    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// [`KeyError`] when it is not one Ed25519 public key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::from_pem(pem::PUBLIC, text)?;
        Ok(Self(*pem::after_prefix(&der, &pem::ED25519_PUBLIC_PREFIX, WHAT)?))
    }

    /// The PEM text of this key.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [pem::ED25519_PUBLIC_PREFIX.as_slice(), &self.0].concat();
        pem::to_pem(pem::PUBLIC, &der).to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex_array(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom("expected a public key of 64 lower-case hex characters")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_signs_as_rfc_8032_says() {
        // RFC 8032, 7.1, TEST 1.
        let seed = hex_array("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = SigningKey::from_seed(&seed.unwrap());
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(
            again.public().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert!(hex::encode(again.sign(b"")).starts_with("e5564300c360ac729086e2cc806e828a"));
        assert_eq!(again.public().check(b"", &again.sign(b"")), Signed::ByThisKey);
        assert_eq!(again.public().check(b"x", &again.sign(b"")), Signed::NotByThisKey);
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()), Ok(key.public()));
    }

    #[test]
    fn another_kind_of_key_file_is_refused_by_name() {
        let key = SigningKey::from_seed(&[1; 32]);
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Err(KeyError::NotPem("PUBLIC KEY")));
        let x25519 =
            pem::to_pem(pem::PUBLIC, &[pem::X25519_PUBLIC_PREFIX.as_slice(), &[9; 32]].concat());
        assert_eq!(PublicKey::from_pem(&x25519), Err(KeyError::WrongKind("Ed25519")));
        assert!(!format!("{key:?}").contains("0101010101"));
    }
}
