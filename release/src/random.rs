//! Randomness as an argument: the system's in programs, a fixed one in worked examples.

use ring::rand::SecureRandom as _;

/// A source of random bytes.
pub trait Random {
    /// Fills the whole slice.
    ///
    /// # Errors
    /// [`NoRandom`] when the source has none to give.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom>;
}

/// The source of randomness gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("drawing random bytes from the system")]
pub struct NoRandom;

/// The operating system's random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        ring::rand::SystemRandom::new().fill(bytes).map_err(|_| NoRandom)
    }
}
