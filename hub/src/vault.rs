//! Private keys at rest: AES-256-GCM under one secret that lives outside the data folder.
//!
//! Owns the sealed form (`FORMAT.md`): the key's name is authenticated, so one sealed key cannot be
//! put in the place of another.
//!
//! Promise: a backup of the data folder without the secret holds no usable key.

use std::io;
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::replace_file::{Readers, replace_file};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Name of the systemd credential that holds the secret.
const CREDENTIAL: &str = "flashline-hub-secret";

/// A key cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Neither file nor credential.
    #[error("finding the hub's secret: give --secret-file or the systemd credential {CREDENTIAL}")]
    NoSecret,
    /// The file cannot be read or made.
    #[error("reading the hub's secret from {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not 64 hexadecimal digits.
    #[error("the hub's secret in {path} is not 64 hexadecimal digits")]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// No randomness.
    #[error("drawing random bytes")]
    Random,
    /// Another secret, another name, or a changed byte.
    #[error("opening the sealed key {name:?}: it was not sealed under this secret and name")]
    NotOurs {
        /// Which key.
        name: String,
    },
}

/// Where the secret comes from.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A file of 64 hexadecimal digits.
    File(PathBuf),
    /// The credential that systemd hands over in `CREDENTIALS_DIRECTORY`.
    Credential(PathBuf),
}

impl Secret {
    /// `file` when given, the credential in `credentials` otherwise.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`] when there is neither.
    pub fn find(file: Option<PathBuf>, credentials: Option<PathBuf>) -> Result<Self, VaultError> {
        match (file, credentials) {
            (Some(file), _) => Ok(Self::File(file)),
            (None, Some(folder)) => Ok(Self::Credential(folder.join(CREDENTIAL))),
            (None, None) => Err(VaultError::NoSecret),
        }
    }

    /// Draws a new secret into the file when there is none yet.
    ///
    /// # Errors
    /// [`VaultError::File`], [`VaultError::Random`].
    pub fn make_if_missing(&self) -> Result<(), VaultError> {
        if let Self::File(path) = self
            && !path.exists()
        {
            let mut secret = Zeroizing::new([0_u8; 32]);
            SystemRandom::new().fill(&mut *secret).map_err(|_| VaultError::Random)?;
            let text = Zeroizing::new(hex::encode(*secret));
            replace_file(path, text.as_bytes(), Readers::Owner)
                .map_err(|source| VaultError::File { path: path.clone(), source })?;
        }
        Ok(())
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Credential(path) => path,
        }
    }
}

/// Seals and opens keys.
pub struct Vault {
    key: LessSafeKey,
}

impl Vault {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`VaultError::File`], [`VaultError::Malformed`].
    pub fn open(secret: &Secret) -> Result<Self, VaultError> {
        let path = secret.path().to_owned();
        let text = Zeroizing::new(
            std::fs::read_to_string(&path)
                .map_err(|source| VaultError::File { path: path.clone(), source })?,
        );
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim(), &mut *bytes)
            .map_err(|_| VaultError::Malformed { path: path.clone() })?;
        let key =
            UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| VaultError::Malformed { path })?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals `plain` under `name`.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        SystemRandom::new().fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let mut sealed = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| VaultError::Random)?;
        Ok([&[VERSION], nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what [`Vault::seal`] made under the same name.
    ///
    /// # Errors
    /// [`VaultError::NotOurs`].
    pub fn open_sealed(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let not_ours = || VaultError::NotOurs { name: name.to_owned() };
        let (head, body) = sealed.split_at_checked(1 + NONCE_BYTES).ok_or_else(not_ours)?;
        if head[0] != VERSION {
            return Err(not_ours());
        }
        let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| not_ours())?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut plain)
            .map_err(|_| not_ours())?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(folder: &Path, name: &str) -> Vault {
        let secret = Secret::File(folder.join(name));
        secret.make_if_missing().unwrap();
        Vault::open(&secret).unwrap()
    }

    #[test]
    fn a_sealed_key_opens_under_its_own_name_and_secret_only() {
        let folder = tempfile::tempdir().unwrap();
        let ours = vault(folder.path(), "a");
        let sealed = ours.seal("ca", b"key").unwrap();
        assert_eq!(&**ours.open_sealed("ca", &sealed).unwrap(), b"key");
        assert_eq!(&**vault(folder.path(), "a").open_sealed("ca", &sealed).unwrap(), b"key");
        assert!(ours.open_sealed("lease", &sealed).is_err(), "other name");
        assert!(vault(folder.path(), "b").open_sealed("ca", &sealed).is_err(), "other secret");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ours.open_sealed("ca", &changed).is_err(), "byte {index}");
            assert!(ours.open_sealed("ca", &sealed[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn the_worked_example_of_the_format_page_opens() {
        let page = include_str!("../FORMAT.md");
        let is_hex = |line: &&str| line.len() > 9 && line.bytes().all(|b| b.is_ascii_hexdigit());
        let hex: String = page.lines().filter(is_hex).collect();
        let folder = tempfile::tempdir().unwrap();
        let secret: Vec<u8> = (0..32).collect();
        let path = folder.path().join("secret");
        let text = format!(" {}\n", hex::encode(secret));
        replace_file(&path, text.as_bytes(), Readers::Owner).unwrap();
        let vault = Vault::open(&Secret::File(path)).unwrap();
        let key = vault.open_sealed("tenant/acme/lease", &hex::decode(hex).unwrap()).unwrap();
        assert_eq!(&**key, b"an example key");
    }

    #[test]
    fn a_secret_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret::File(path.clone());
        secret.make_if_missing().unwrap();
        let first = std::fs::read(&path).unwrap();
        secret.make_if_missing().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}
