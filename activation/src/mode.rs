//! The modes: how a block is proven, and by whom. One byte of every block names its mode.

use core::fmt;
use core::str::FromStr;

/// How an activation block is proven.
///
/// A reader asks for one mode and refuses the blocks of the others with
/// [`Refusal::OtherMode`](crate::Refusal::OtherMode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Two Ed25519 signatures, checked by the chip, the station, the hub and service tools.
    Ed25519,
    /// The same block, checked by station, hub and service tools; the chip only holds it.
    Stored,
    /// HMAC-SHA256 under a secret that also lies in the firmware: whoever reads one chip can
    /// activate all. A copy deterrent for customers who have it already, not a proof.
    HmacSha256,
    /// A credential that somebody else issued, bound to this chip by two Ed25519 signatures.
    Pool,
}

impl Mode {
    /// Every mode, by number.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::Stored, Self::HmacSha256, Self::Pool];

    /// Byte 5 of a block of this mode.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Stored => 2,
            Self::HmacSha256 => 3,
            Self::Pool => 4,
        }
    }

    /// The mode that `number` names.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }

    /// The mode as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Stored => "stored",
            Self::HmacSha256 => "hmac-sha256",
            Self::Pool => "pool",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an activation mode is one of ed25519, stored, hmac-sha256, pool")]
pub struct ModeError;

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(ModeError)
    }
}
