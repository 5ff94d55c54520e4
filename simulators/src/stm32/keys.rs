//! The locks in front of a flash controller.

use crate::silicon::BusFault;

/// The two key registers' memory: what was written so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyhole {
    Locked,
    HalfOpen,
    Open,
    /// A wrong key was tried: shut until the next reset.
    Jammed,
}

impl Keyhole {
    /// Takes a key; a wrong one is a bus error.
    pub(super) fn turn(&mut self, key: u32, keys: [u32; 2]) -> Result<(), BusFault> {
        *self = match *self {
            Self::Locked if key == keys[0] => Self::HalfOpen,
            Self::HalfOpen if key == keys[1] => Self::Open,
            Self::Open => Self::Open,
            Self::Locked | Self::HalfOpen | Self::Jammed => {
                *self = Self::Jammed;
                return Err(BusFault);
            }
        };
        Ok(())
    }

    pub(super) fn open(self) -> bool {
        self == Self::Open
    }
}

/// Whether main flash may be touched at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Free,
    /// Read-out protection is in force and a debugger, or the boot loader, is at work.
    Shut,
}
