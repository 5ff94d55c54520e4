//! A chip as the books name it.

use crate::block::Claim;
use crate::refusal::Refusal;
use std::fmt;
use std::string::String;
use std::vec::Vec;

/// One chip: its family and its unique id. Equal for equal chips, ordered by family, then UID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chip {
    /// Chip family in lower case (`nrf52`), 1 to 16 bytes.
    pub family: String,
    /// The unique id as it lies in the chip's memory, 1 to 16 bytes.
    pub uid: Vec<u8>,
}

impl Chip {
    /// A chip that a block can name.
    ///
    /// # Errors
    /// [`Refusal::ClaimUnusable`].
    pub fn new(family: &str, uid: &[u8]) -> Result<Self, Refusal> {
        Claim { product: "any", family, uid }.check()?;
        Ok(Self { family: family.into(), uid: uid.to_vec() })
    }

    /// What a block of this chip is checked against.
    #[must_use]
    pub fn claim<'a>(&'a self, product: &'a str) -> Claim<'a> {
        Claim { product, family: &self.family, uid: &self.uid }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, hex::encode(&self.uid))
    }
}

impl fmt::Debug for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
