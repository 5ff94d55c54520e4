//! SHA-256 of an image that comes in pieces, cut to 16 bytes.
//!
//! The compression function is the library's; the blocks and the padding (FIPS 180-4, 5.1.1) are
//! filled here: the library's buffers and copies took 400 bytes of code and 100 of stack more on a
//! Cortex-M0.

use sha2::block_api::compress256;

/// The first 16 bytes of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of a whole image.
    pub fn of(image: &[u8]) -> Self {
        let mut hash = Hash::new();
        hash.add(image);
        hash.digest()
    }
}

const BLOCK_BYTES: usize = 64;
/// The square roots of the first eight primes, FIPS 180-4, 5.3.3.
const BEGINNING: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

/// An image being hashed, shorter than 2^29 bytes.
pub(crate) struct Hash {
    state: [u32; 8],
    block: [u8; BLOCK_BYTES],
    len: u32,
}

impl Hash {
    pub(crate) fn new() -> Self {
        Self { state: BEGINNING, block: [0; BLOCK_BYTES], len: 0 }
    }

    /// Takes the next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    fn push(&mut self, byte: u8) {
        let at = self.len as usize % BLOCK_BYTES;
        if let Some(slot) = self.block.get_mut(at) {
            *slot = byte;
        }
        self.len = self.len.wrapping_add(1);
        if at + 1 == BLOCK_BYTES {
            compress256(&mut self.state, core::slice::from_ref(&self.block));
        }
    }

    /// The digest of all bytes taken.
    pub(crate) fn digest(&mut self) -> Digest {
        let bits = self.len << 3;
        self.push(0x80);
        while self.len as usize % BLOCK_BYTES != BLOCK_BYTES - 8 {
            self.push(0);
        }
        self.add(&u64::from(bits).to_be_bytes());
        let mut first = [0; 16];
        for (bytes, word) in first.chunks_exact_mut(4).zip(self.state) {
            for (byte, from) in bytes.iter_mut().zip(word.to_be_bytes()) {
                *byte = from;
            }
        }
        Digest(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn a_digest_is_the_beginning_of_the_librarys_sha256_however_the_image_is_cut() {
        let image: Vec<u8> = (0..1000_u32).map(|i| ((i * i) >> 3) as u8).collect();
        for len in (0..300).chain([999, 1000]) {
            let image = &image[..len];
            let whole = Sha256::digest(image);
            assert_eq!(Digest::of(image).0, whole[..16], "{len} bytes");
            for piece in [1, 63, 64, 65] {
                let mut hash = Hash::new();
                image.chunks(piece).for_each(|piece| hash.add(piece));
                assert_eq!(hash.digest().0, whole[..16], "{len} bytes by {piece}");
            }
        }
    }
}
