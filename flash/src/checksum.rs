//! CRC-32 over a polynomial drawn anew for every visit: what a chip's memory holds, told in four
//! bytes.
//!
//! A fixed CRC finds accidents. It does not stop somebody who sets a prepared board into the
//! fixture: bytes of their own with the CRC of ours are made in a second, and a sector that "holds
//! its bytes already" would be left alone. So the polynomial is drawn at random from the irreducible
//! ones of degree 32 and nobody knows it beforehand (Rabin 1981, "Fingerprinting by random
//! polynomials").
//!
//! What it promises for stretches of at most [`STRETCH_BYTES_MAX`]:
//! * accidents: every error of one or two bits, every burst of up to 32 bits, and all but one in
//!   2^32 of the rest. Two bits, because the order of such a polynomial divides 2^32 - 1 and not
//!   2^16 - 1, so it is a multiple of 65537, and a stretch has fewer bits than that;
//! * intent: a stretch prepared without knowing the polynomial passes with a chance of at most
//!   1 in 60,000: the difference to ours has at most 2,048 irreducible factors of degree 32, of
//!   134,215,680 there are.

/// Bytes of one checksum at most.
pub(crate) const STRETCH_BYTES_MAX: u64 = 8 * 1024;

/// An irreducible polynomial of degree 32 over GF(2) with its table.
pub(crate) struct Checksum {
    /// The coefficients below x^32, bit 31 being x^0.
    reflected: u32,
    table: Box<[u32; 256]>,
}

impl Checksum {
    /// Takes the first irreducible polynomial that `random` offers; every 16th is one.
    pub(crate) fn draw(mut random: impl FnMut() -> u32) -> Self {
        loop {
            // Without the constant term it would be divisible by x.
            let candidate = random() | 1;
            if is_irreducible(candidate) {
                return Self::new(candidate.reverse_bits());
            }
        }
    }

    fn new(reflected: u32) -> Self {
        let mut table = Box::new([0; 256]);
        for (entry, index) in table.iter_mut().zip(0u32..) {
            *entry = (0..8).fold(index, |value, _| {
                if value & 1 == 1 { value >> 1 ^ reflected } else { value >> 1 }
            });
        }
        Self { reflected, table }
    }

    /// The polynomial as the chip's program wants it.
    pub(crate) fn reflected(&self) -> u32 {
        self.reflected
    }

    /// The checksum of some bytes.
    pub(crate) fn over(&self, bytes: impl Iterator<Item = u8>) -> u32 {
        !bytes.fold(u32::MAX, |crc, byte| {
            self.table[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ crc >> 8
        })
    }
}

/// Rabin's test for x^32 + `below`: x^(2^32) = x, and x^(2^16) - x shares no factor with it (2 is
/// the only prime that divides 32).
fn is_irreducible(below: u32) -> bool {
    const X: u32 = 2;
    let square_often = |times| (0..times).fold(X, |value, _| multiply(value, value, below));
    square_often(32) == X
        && greatest_common_divisor(1 << 32 | u64::from(below), u64::from(square_often(16) ^ X)) == 1
}

/// The product of two residues modulo x^32 + `below`.
fn multiply(a: u32, b: u32, below: u32) -> u32 {
    (0..32).rev().fold(0, |product: u32, bit| {
        let shifted = product << 1 ^ if product >> 31 == 1 { below } else { 0 };
        if b >> bit & 1 == 1 { shifted ^ a } else { shifted }
    })
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        while a != 0 && a.leading_zeros() <= b.leading_zeros() {
            a ^= b << (b.leading_zeros() - a.leading_zeros());
        }
        (a, b) = (b, a);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IEEE 802.3: x^32 + x^26 + ... + 1 is primitive, hence irreducible.
    const IEEE: u32 = 0x04C1_1DB7;

    #[test]
    fn with_the_polynomial_of_ieee_802_3_the_check_value_is_the_published_one() {
        let checksum = Checksum::new(IEEE.reverse_bits());
        assert_eq!(checksum.over(b"123456789".iter().copied()), 0xCBF4_3926);
        assert_eq!(checksum.over(std::iter::empty()), 0);
    }

    #[test]
    fn irreducible_polynomials_are_told_from_products() {
        assert!(is_irreducible(IEEE));
        // Castagnoli's is (x + 1) times a polynomial of degree 31.
        assert!(!is_irreducible(0x1EDC_6F41));
        // x^32 + 1 = (x + 1)^32; x^32 + x = x * (...).
        assert!(!is_irreducible(1) && !is_irreducible(2));
        // The one of the lowest terms (Seroussi's table HPL-98-135): x^32 + x^7 + x^3 + x^2 + 1.
        assert!(is_irreducible(0x8D));
        assert!((3..0x8D).all(|below| !is_irreducible(below)));
    }

    #[test]
    fn drawn_polynomials_are_irreducible_and_one_or_two_flipped_bits_are_always_found() {
        let mut state = 0x2545_F491u32;
        println!("seed {state:#x}");
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let zeros = vec![0u8; usize::try_from(STRETCH_BYTES_MAX).expect("small")];
        for _ in 0..4 {
            let checksum = Checksum::draw(&mut random);
            assert!(is_irreducible(checksum.reflected().reverse_bits()));
            let right = checksum.over(zeros.iter().copied());
            // CRC is linear: the sums of all single flips differ from each other and from none, so
            // no two of them cancel.
            let mut flips = vec![0];
            let mut flipped = zeros.clone();
            for bit in 0..zeros.len() * 8 {
                if bit % 4099 != 0 && bit < zeros.len() * 8 - 512 && bit > 512 {
                    continue;
                }
                flipped[bit / 8] ^= 1 << (bit % 8);
                flips.push(checksum.over(flipped.iter().copied()) ^ right);
                flipped[bit / 8] = 0;
            }
            let count = flips.len();
            flips.sort_unstable();
            flips.dedup();
            assert_eq!(flips.len(), count);
        }
    }
}
