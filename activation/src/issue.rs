//! The host side: product keys certify allotments, allotments issue blocks.
//!
//! Everything here is deterministic: the same key, index and chip give the same bytes, so a block
//! that was lost in a power cut is made again, not made anew.

use crate::block::{self, BLOCK_BYTES, Claim};
use crate::certificate::AllotmentCertificate;
use crate::mode::Mode;
use crate::pool_block::{self, PoolColumn};
use crate::refusal::Refusal;
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::fmt;
use std::sync::Arc;
use std::vec::Vec;
use zeroize::Zeroizing;

/// R&D's activation key of one product; stays in R&D's hands.
pub struct ProductKey {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The source of randomness gave none.
    #[error("making a product key needs randomness and there was none")]
    NoRandomness,
    /// Not an Ed25519 key in PKCS #8 v2.
    #[error("reading a product key: not an Ed25519 key in PKCS #8 version 2")]
    NotAKey,
    /// All zeros, which firmware takes for "no secret".
    #[error("reading a MAC secret: 32 zeros are no secret")]
    NotASecret,
}

impl ProductKey {
    /// A new key from `random`.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut()).map_err(|_| KeyError::NoRandomness)?;
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte RFC 8032 seed.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`], which no seed is known to cause.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::NotAKey)?;
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_BYTES));
        pkcs8.extend_from_slice(&PKCS8_BEFORE_SEED);
        pkcs8.extend_from_slice(seed);
        pkcs8.extend_from_slice(&PKCS8_BEFORE_PUBLIC_KEY);
        pkcs8.extend_from_slice(pair.public_key().as_ref());
        Ok(Self { pair, pkcs8 })
    }

    /// Reads PKCS #8 version 2 (RFC 8410, with the public key).
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::NotAKey)?;
        Ok(Self { pair, pkcs8: Zeroizing::new(der.to_vec()) })
    }

    /// The private key as PKCS #8 version 2 in DER; the caller guards it.
    #[must_use]
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half, as firmware carries it.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        public_of(&self.pair)
    }

    /// Lends `quota` activations of `product` to the holder of `station_key`, under the random
    /// name `allotment`, which the caller never uses twice.
    #[must_use]
    pub fn certify(
        &self,
        product: &str,
        allotment: [u8; 16],
        quota: u32,
        station_key: [u8; 32],
    ) -> AllotmentCertificate {
        AllotmentCertificate::make(
            product,
            allotment,
            quota,
            station_key,
            self.public(),
            |message| sign(&self.pair, message),
        )
    }
}

impl fmt::Debug for ProductKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProductKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// A station's share of the quota, with the key that spends it.
#[derive(Debug)]
pub struct Allotment {
    certificate: AllotmentCertificate,
    product: std::string::String,
    key: Arc<Ed25519KeyPair>,
}

/// Why an allotment cannot be used or issues no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The certificate is not good for this product.
    #[error("taking up an allotment of this product")]
    Certificate(#[source] Refusal),
    /// The certificate names another station's key.
    #[error("the allotment belongs to another station")]
    OtherStation,
    /// The allotment is used up, or the index was never in it.
    #[error("activation index {index} is not within the allotment's quota of {quota}")]
    IndexBeyondQuota {
        /// Index asked for, counted from 0.
        index: u32,
        /// Indices the allotment holds.
        quota: u32,
    },
    /// Family or UID are empty or too long for a block.
    #[error("a chip with an empty or overlong family or UID cannot be activated")]
    ChipUnusable,
    /// A credential with too many columns, too long ones, or a code column that can be no code.
    #[error("a pool block cannot hold this credential")]
    CredentialUnusable,
    /// The reservation was made in another share than this allotment's.
    #[error("the credential was reserved in another share of the pool")]
    OtherShare,
}

impl Allotment {
    /// Takes up an allotment: proves the certificate under `product_keys` and that it is for
    /// `key`.
    ///
    /// # Errors
    /// [`IssueError::Certificate`], [`IssueError::OtherStation`].
    pub fn take_up(
        certificate: AllotmentCertificate,
        product: &str,
        product_keys: &[[u8; 32]],
        key: Arc<Ed25519KeyPair>,
    ) -> Result<Self, IssueError> {
        certificate.verify(product_keys, product).map_err(IssueError::Certificate)?;
        if certificate.station_key() != public_of(&key) {
            return Err(IssueError::OtherStation);
        }
        Ok(Self { certificate, product: product.into(), key })
    }

    /// The certificate behind the allotment.
    #[must_use]
    pub const fn certificate(&self) -> &AllotmentCertificate {
        &self.certificate
    }

    /// Makes the block of mode *ed25519* that activates the chip `uid` of `family` with the
    /// allotment's activation number `index`. The caller journals index and chip first and never
    /// gives an index to two chips.
    ///
    /// # Errors
    /// [`IssueError::IndexBeyondQuota`], [`IssueError::ChipUnusable`].
    pub fn issue(
        &self,
        index: u32,
        family: &str,
        uid: &[u8],
    ) -> Result<[u8; BLOCK_BYTES], IssueError> {
        self.make(Mode::Ed25519, index, family, uid)
    }

    /// As [`Allotment::issue`], for a chip that holds the block and never checks it: mode *stored*.
    ///
    /// # Errors
    /// [`IssueError::IndexBeyondQuota`], [`IssueError::ChipUnusable`].
    pub fn issue_stored(
        &self,
        index: u32,
        family: &str,
        uid: &[u8],
    ) -> Result<[u8; BLOCK_BYTES], IssueError> {
        self.make(Mode::Stored, index, family, uid)
    }

    fn make(
        &self,
        mode: Mode,
        index: u32,
        family: &str,
        uid: &[u8],
    ) -> Result<[u8; BLOCK_BYTES], IssueError> {
        let claim = self.claim(index, family, uid)?;
        Ok(block::make(mode, &claim, &self.certificate, index, |message| sign(&self.key, message)))
    }

    /// Makes the block of mode *pool* that binds the share's credential number `index` to a chip.
    /// `columns` are in the schema's order; `code_column` says which of them, a public one of
    /// printable ASCII, is the activation code. The same chip and credential give the same bytes.
    ///
    /// # Errors
    /// [`IssueError::IndexBeyondQuota`], [`IssueError::ChipUnusable`],
    /// [`IssueError::CredentialUnusable`].
    pub fn issue_pool(
        &self,
        index: u32,
        family: &str,
        uid: &[u8],
        columns: &[PoolColumn<'_>],
        code_column: usize,
    ) -> Result<Zeroizing<Vec<u8>>, IssueError> {
        let claim = self.claim(index, family, uid)?;
        let signed = |message: &[u8]| sign(&self.key, message);
        pool_block::make(&claim, &self.certificate, index, columns, code_column, signed)
            .ok_or(IssueError::CredentialUnusable)
    }

    /// What a block is made for, if this allotment may make it.
    fn claim<'a>(
        &'a self,
        index: u32,
        family: &'a str,
        uid: &'a [u8],
    ) -> Result<Claim<'a>, IssueError> {
        let quota = self.certificate.quota();
        if index >= quota {
            return Err(IssueError::IndexBeyondQuota { index, quota });
        }
        let claim = Claim { product: &self.product, family, uid };
        claim.check().map_err(|_| IssueError::ChipUnusable)?;
        Ok(claim)
    }

    /// The product whose chips it activates.
    #[must_use]
    pub fn product(&self) -> &str {
        &self.product
    }

    #[cfg(feature = "pool")]
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        sign(&self.key, message)
    }
}

/// RFC 8410's OneAsymmetricKey around the seed and the public key.
const PKCS8_BYTES: usize = PKCS8_BEFORE_SEED.len() + 32 + PKCS8_BEFORE_PUBLIC_KEY.len() + 32;
const PKCS8_BEFORE_SEED: [u8; 16] = [
    0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const PKCS8_BEFORE_PUBLIC_KEY: [u8; 3] = [0x81, 0x21, 0x00];

fn public_of(pair: &Ed25519KeyPair) -> [u8; 32] {
    let mut public = [0; 32];
    public.copy_from_slice(pair.public_key().as_ref());
    public
}

fn sign(pair: &Ed25519KeyPair, message: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature.copy_from_slice(pair.sign(message).as_ref());
    signature
}
