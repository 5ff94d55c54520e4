//! `ring` for the TUF verifier: Ed25519 and SHA-2, nothing else.
//!
//! The verifier takes its cryptography from one process-wide provider. Every entry point of this
//! room installs ours first, so that callers need not know.

use std::sync::OnceLock;

use ring::digest::{Context, SHA256, SHA384, SHA512};
use ring::signature::{ED25519, UnparsedPublicKey};
use sigstore_crypto::{CryptoProvider, Error, HashContext, Result, SigningScheme};
use sigstore_types::HashAlgorithm;

#[derive(Debug)]
struct Ring;

static RING: Ring = Ring;
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Makes `ring` the verifier's cryptography, once per process.
pub(crate) fn install() {
    INSTALLED.get_or_init(|| {
        // Refused only if the program installed a provider of its own first; that one then serves.
        let _ = sigstore_crypto::install_default_provider(&RING);
    });
}

struct Hash(Context);

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl CryptoProvider for Ring {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        let known = [
            (HashAlgorithm::Sha2256, &SHA256),
            (HashAlgorithm::Sha2384, &SHA384),
            (HashAlgorithm::Sha2512, &SHA512),
        ];
        let (_, algorithm) = known
            .into_iter()
            .find(|(name, _)| *name == algorithm)
            .ok_or_else(|| Error::UnsupportedAlgorithm(format!("{algorithm:?}")))?;
        Ok(Box::new(Hash(Context::new(algorithm))))
    }

    fn verify_raw(
        &self,
        scheme: SigningScheme,
        public: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if scheme != SigningScheme::Ed25519 {
            return Err(Error::UnsupportedAlgorithm("only Ed25519 signs here".to_owned()));
        }
        UnparsedPublicKey::new(&ED25519, public)
            .verify(data, signature)
            .map_err(|_| Error::Verification("the signature is not by this key".to_owned()))
    }

    fn verify_prehashed(
        &self,
        _scheme: SigningScheme,
        _public: &[u8],
        _digest: &[u8],
        _signature: &[u8],
    ) -> Result<()> {
        Err(Error::UnsupportedAlgorithm("only Ed25519 signs here".to_owned()))
    }
}
