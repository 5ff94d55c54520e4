//! The station's own keys: made here, kept sealed, each for one purpose.
//!
//! Owns making, sealing and opening them. The seal is AES-256-GCM under the station secret: 12
//! bytes nonce, ciphertext, tag; the key's kind is bound into it.
//!
//! Promise: a private key is in the store only sealed, and in memory only in types that erase
//! themselves. A secret that is sealed by the machine is never replaced by a fresh one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::KeyProtection;
use rcgen::{CertificateParams, KeyPair as TlsKeyPair, PKCS_ECDSA_P256_SHA256};
use release::{WrapKey, WrapPublicKey};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::platform::sealing::{self, SealWith};
use crate::platform::{create_secret_file, remove_file, replace_file};
use crate::store::{Commit, KeyKind, Store, StoreError};

/// Bytes of the station secret.
const SECRET_BYTES: usize = 32;

/// Why keys cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The secret's file cannot be read or written.
    #[error("opening the station secret")]
    SecretFile(#[source] io::Error),
    /// The secret's file holds something else.
    #[error("the station secret is not {SECRET_BYTES} bytes long")]
    SecretForm,
    /// There is a sealed secret, and it does not open.
    #[error("unsealing what the TPM or the own key of the machine sealed")]
    Unseal(#[source] io::Error),
    /// The secret cannot be sealed.
    #[error("sealing the station secret")]
    Seal(#[source] io::Error),
    /// There is no bare secret to be sealed.
    #[error("there is no bare station secret here")]
    NoBareSecret,
    /// What was sealed does not give the secret back; the bare one stays.
    #[error("the sealed station secret does not open to what was sealed")]
    SealedOther,
    /// The system gave no randomness.
    #[error("making a key without randomness")]
    NoRandomness,
    /// A sealed key does not open under this secret.
    #[error("the {0} key does not open under the station secret")]
    Sealed(&'static str),
    /// There are no keys: the station is not enrolled.
    #[error("the station has no {0} key")]
    Missing(&'static str),
    /// The certificate request cannot be made.
    #[error("making a certificate request")]
    Request(#[source] rcgen::Error),
    /// The store.
    #[error("keeping the keys")]
    Store(#[from] StoreError),
}

/// Where the station secret may be.
#[derive(Debug, Clone)]
pub struct SecretPlaces {
    /// The bare secret, made at the first start.
    pub bare: PathBuf,
    /// The secret as the machine seals it; its keys are then on no disk.
    pub sealed: PathBuf,
    /// The sealed one opened by the system for this service.
    pub handed_over: Option<PathBuf>,
}

/// The one secret everything else is sealed under.
pub struct StationSecret {
    bytes: Zeroizing<[u8; SECRET_BYTES]>,
    protection: KeyProtection,
}

impl StationSecret {
    /// Reads the secret wherever it is, or makes it at the first start. A sealed one is taken from the
    /// system, or opened by `systemd-creds`; never is another one made beside it.
    ///
    /// # Errors
    /// [`KeyError::Unseal`], and those of [`StationSecret::open_or_make`].
    pub fn open(places: &SecretPlaces, random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let sealed = match std::fs::read(&places.sealed) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::open_or_make(&places.bare, random);
            }
            Err(error) => return Err(KeyError::SecretFile(error)),
        };
        let handed_over = places.handed_over.as_deref().map(std::fs::read);
        let bytes = match handed_over {
            Some(Ok(bytes)) => Zeroizing::new(bytes),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                return Err(KeyError::Unseal(error));
            }
            Some(Err(_)) | None => sealing::unseal(&sealed).map_err(KeyError::Unseal)?,
        };
        // A bare copy that a cut left behind opens everything, whatever the seal is worth.
        let guarded = sealing::needs_tpm(&sealed) && !places.bare.exists();
        let protection =
            if guarded { KeyProtection::Tpm } else { sealing::protection_of_disk(&places.sealed) };
        Ok(Self { bytes: Self::form(&bytes)?, protection })
    }

    /// Reads the bare secret, or makes it at the first start.
    ///
    /// # Errors
    /// [`KeyError::SecretFile`], [`KeyError::SecretForm`], [`KeyError::NoRandomness`].
    pub fn open_or_make(path: &Path, random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Self::form(&Zeroizing::new(bytes))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut secret = Zeroizing::new([0; SECRET_BYTES]);
                random.fill(secret.as_mut()).map_err(|_| KeyError::NoRandomness)?;
                create_secret_file(path, secret.as_ref()).map_err(KeyError::SecretFile)?;
                secret
            }
            Err(error) => return Err(KeyError::SecretFile(error)),
        };
        Ok(Self { bytes, protection: sealing::protection_of_disk(path) })
    }

    fn form(bytes: &[u8]) -> Result<Zeroizing<[u8; SECRET_BYTES]>, KeyError> {
        bytes.try_into().map(Zeroizing::new).map_err(|_| KeyError::SecretForm)
    }

    /// What guards the secret, and with it every key of the station.
    #[must_use]
    pub fn protection(&self) -> KeyProtection {
        self.protection
    }

    /// Has the machine seal the bare secret, and removes the bare one once the sealed one is on the
    /// disk and was opened again. A call that was cut is finished by the next one.
    ///
    /// # Errors
    /// [`KeyError::Seal`] when the machine does not; [`KeyError::SealedOther`]; the files. The bare
    /// secret stays then.
    pub fn seal_bare(places: &SecretPlaces, with: SealWith) -> Result<KeyProtection, KeyError> {
        let bare = match std::fs::read(&places.bare) {
            Ok(bytes) => Self::form(&Zeroizing::new(bytes))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::NoBareSecret);
            }
            Err(error) => return Err(KeyError::SecretFile(error)),
        };
        let sealed = sealing::seal(bare.as_ref(), with).map_err(KeyError::Seal)?;
        replace_file(&places.sealed, &sealed).map_err(KeyError::SecretFile)?;
        let on_disk = std::fs::read(&places.sealed).map_err(KeyError::SecretFile)?;
        let opened = sealing::unseal(&on_disk).map_err(KeyError::Unseal)?;
        if opened.as_slice() != bare.as_slice() {
            return Err(KeyError::SealedOther);
        }
        remove_file(&places.bare).map_err(KeyError::SecretFile)?;
        Ok(if sealing::needs_tpm(&on_disk) {
            KeyProtection::Tpm
        } else {
            sealing::protection_of_disk(&places.sealed)
        })
    }

    fn cipher(&self) -> Result<LessSafeKey, KeyError> {
        let key =
            UnboundKey::new(&AES_256_GCM, self.bytes.as_ref()).map_err(|_| KeyError::SecretForm)?;
        Ok(LessSafeKey::new(key))
    }

    fn seal(
        &self,
        kind: KeyKind,
        plain: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| KeyError::NoRandomness)?;
        // Room for the tag from the start: a growing vector would leave the plain key behind.
        let mut body = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        body.extend_from_slice(plain);
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                bound_to(kind),
                &mut body,
            )
            .map_err(|_| KeyError::Sealed(kind.word()))?;
        Ok([nonce.as_slice(), &body].concat())
    }

    fn open_key(&self, kind: KeyKind, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let refused = || KeyError::Sealed(kind.word());
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain_bytes = self
            .cipher()?
            .open_in_place(nonce, bound_to(kind), &mut body)
            .map_err(|_| refused())?
            .len();
        body.truncate(plain_bytes);
        Ok(body)
    }
}

fn bound_to(kind: KeyKind) -> Aad<String> {
    Aad::from(format!("flashline station key v1 {}", kind.word()))
}

/// The station's keys, open.
pub struct StationKeys {
    tls_pkcs8: Zeroizing<Vec<u8>>,
    hpke: WrapKey,
    journal_pkcs8: Zeroizing<Vec<u8>>,
    journal: Arc<Ed25519KeyPair>,
}

impl StationKeys {
    /// Makes a fresh set.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`], [`KeyError::Request`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let tls = TlsKeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Request)?;
        let journal = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| KeyError::NoRandomness)?;
        let hpke =
            WrapKey::generate(&mut release::SystemRandom).map_err(|_| KeyError::NoRandomness)?;
        Self::from_parts(
            Zeroizing::new(tls.serialize_der()),
            hpke,
            Zeroizing::new(journal.as_ref().to_vec()),
        )
    }

    fn from_parts(
        tls_pkcs8: Zeroizing<Vec<u8>>,
        hpke: WrapKey,
        journal_pkcs8: Zeroizing<Vec<u8>>,
    ) -> Result<Self, KeyError> {
        let journal = Ed25519KeyPair::from_pkcs8(&journal_pkcs8)
            .map_err(|_| KeyError::Sealed(KeyKind::Journal.word()))?;
        Ok(Self { tls_pkcs8, hpke, journal_pkcs8, journal: Arc::new(journal) })
    }

    /// Seals every key into the store.
    ///
    /// # Errors
    /// [`KeyError::Store`], also when the station has keys already.
    pub fn save(
        &self,
        commit: &Commit<'_>,
        secret: &StationSecret,
        random: &dyn SecureRandom,
    ) -> Result<(), KeyError> {
        for kind in KeyKind::ALL {
            let sealed = match kind {
                KeyKind::Tls => secret.seal(kind, &self.tls_pkcs8, random)?,
                KeyKind::Hpke => secret.seal(kind, self.hpke.to_bytes().as_ref(), random)?,
                KeyKind::Journal => secret.seal(kind, &self.journal_pkcs8, random)?,
            };
            commit.put_key(kind, &sealed)?;
        }
        Ok(())
    }

    /// Opens the keys of an enrolled station.
    ///
    /// # Errors
    /// [`KeyError::Missing`] before enrolment, [`KeyError::Sealed`] under another secret.
    pub fn load(store: &mut Store, secret: &StationSecret) -> Result<Self, KeyError> {
        store.read(|commit| {
            let open = |kind: KeyKind| {
                let sealed = commit.key(kind)?.ok_or(KeyError::Missing(kind.word()))?;
                secret.open_key(kind, &sealed)
            };
            let hpke = open(KeyKind::Hpke)?;
            let hpke = <[u8; 32]>::try_from(hpke.as_slice())
                .map_err(|_| KeyError::Sealed(KeyKind::Hpke.word()))?;
            Self::from_parts(
                open(KeyKind::Tls)?,
                WrapKey::from_bytes(&hpke),
                open(KeyKind::Journal)?,
            )
        })
    }

    /// The certificate request for the TLS key, PEM. Its subject says nothing: the hub decides.
    ///
    /// # Errors
    /// [`KeyError::Request`].
    pub fn certificate_request(&self) -> Result<String, KeyError> {
        let pair = self.tls_pair()?;
        let request =
            CertificateParams::default().serialize_request(&pair).and_then(|request| request.pem());
        request.map_err(KeyError::Request)
    }

    /// The TLS key as PKCS #8 PEM.
    ///
    /// # Errors
    /// [`KeyError::Request`].
    pub fn tls_key_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        Ok(Zeroizing::new(self.tls_pair()?.serialize_pem()))
    }

    fn tls_pair(&self) -> Result<TlsKeyPair, KeyError> {
        TlsKeyPair::try_from(self.tls_pkcs8.as_slice()).map_err(KeyError::Request)
    }

    /// What content keys are wrapped for.
    #[must_use]
    pub fn hpke(&self) -> &WrapKey {
        &self.hpke
    }

    /// Its public half.
    #[must_use]
    pub fn hpke_public(&self) -> WrapPublicKey {
        self.hpke.public()
    }

    /// What signs journal heads and activation blocks.
    #[must_use]
    pub fn journal(&self) -> Arc<Ed25519KeyPair> {
        Arc::clone(&self.journal)
    }

    /// Its public half.
    #[must_use]
    pub fn journal_public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(self.journal.public_key().as_ref());
        public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ring::rand::SystemRandom;

    #[test]
    fn keys_come_back_from_the_store_and_only_under_the_same_secret() {
        let folder = tempfile::tempdir().expect("folder");
        let random = SystemRandom::new();
        let secret_file = folder.path().join("station.secret");
        let secret = StationSecret::open_or_make(&secret_file, &random).expect("secret");
        let mut store = Store::open(&folder.path().join("station.db")).expect("store");
        assert!(matches!(StationKeys::load(&mut store, &secret), Err(KeyError::Missing("hpke"))));
        let keys = StationKeys::generate(&random).expect("keys");
        store.commit(|commit| keys.save(commit, &secret, &random)).expect("saved");

        let again = StationSecret::open_or_make(&secret_file, &random).expect("the same secret");
        let loaded = StationKeys::load(&mut store, &again).expect("keys");
        assert_eq!(loaded.journal_public(), keys.journal_public());
        assert_eq!(loaded.hpke_public().as_bytes(), keys.hpke_public().as_bytes());
        assert!(loaded.certificate_request().expect("request").contains("CERTIFICATE REQUEST"));

        let other = folder.path().join("other.secret");
        let stranger = StationSecret::open_or_make(&other, &random).expect("secret");
        assert!(matches!(StationKeys::load(&mut store, &stranger), Err(KeyError::Sealed("hpke"))));
        let file = std::fs::read(store.path()).expect("file");
        let bare = keys.hpke.to_bytes();
        assert!(!file.windows(32).any(|window| window == bare.as_slice()), "a bare key on disk");
    }

    #[test]
    fn the_worked_example_of_the_format_opens() {
        let format = include_str!("../FORMAT.md");
        let example = format.split("```").nth(1).expect("an example").trim();
        let sealed = hex::decode(example).expect("hex");
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        for (at, byte) in (0_u8..).zip(secret.iter_mut()) {
            *byte = at;
        }
        let secret = StationSecret { bytes: secret, protection: KeyProtection::None };
        let plain = secret.open_key(KeyKind::Hpke, &sealed).expect("opens");
        assert_eq!(plain.as_slice(), (0x40..0x60).collect::<Vec<u8>>());
    }

    #[test]
    fn a_sealed_key_does_not_pass_for_one_of_another_kind() {
        let folder = tempfile::tempdir().expect("folder");
        let random = SystemRandom::new();
        let secret =
            StationSecret::open_or_make(&folder.path().join("s"), &random).expect("secret");
        let sealed = secret.seal(KeyKind::Tls, b"key", &random).expect("sealed");
        assert_eq!(secret.open_key(KeyKind::Tls, &sealed).expect("opens").as_slice(), b"key");
        assert!(secret.open_key(KeyKind::Journal, &sealed).is_err());
        for length in 0..sealed.len() {
            assert!(secret.open_key(KeyKind::Tls, &sealed[..length]).is_err(), "cut at {length}");
        }
    }
}
