//! The secret of mode *hmac-sha256*, on the host side.

use crate::block::Claim;
use crate::issue::{IssueError, KeyError};
use crate::mac::{self, MAC_BLOCK_BYTES};
use ring::rand::SecureRandom;
use std::fmt;
use zeroize::Zeroizing;

/// A product's own secret for mode *hmac-sha256*: 32 random bytes that are used for nothing else.
/// Erased when dropped; its debug form shows nothing.
pub struct MacSecret(Zeroizing<[u8; 32]>);

impl MacSecret {
    /// A new secret from `random`.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut()).map_err(|_| KeyError::NoRandomness)?;
        Self::from_bytes(&secret)
    }

    /// The secret that a customer has already. All zeros means *no secret* in firmware, and is none.
    ///
    /// # Errors
    /// [`KeyError::NotASecret`].
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        if *secret == [0; 32] {
            return Err(KeyError::NotASecret);
        }
        Ok(Self(Zeroizing::new(*secret)))
    }

    /// The secret, as firmware carries it; the caller guards it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Makes the block that activates the chip `uid` of `family` for `product`. `allotment` and
    /// `index` are for the hub's books: nothing in this mode stops a holder of the secret from
    /// making any number of blocks.
    ///
    /// # Errors
    /// [`IssueError::ChipUnusable`].
    pub fn issue(
        &self,
        product: &str,
        allotment: [u8; 16],
        index: u32,
        family: &str,
        uid: &[u8],
    ) -> Result<[u8; MAC_BLOCK_BYTES], IssueError> {
        let claim = Claim { product, family, uid };
        claim.check().map_err(|_| IssueError::ChipUnusable)?;
        Ok(mac::make(&claim, allotment, index, &self.0))
    }
}

impl fmt::Debug for MacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacSecret")
    }
}
