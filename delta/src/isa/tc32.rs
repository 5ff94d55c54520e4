//! Telink TC32: the call pair, deduced from firmware; there is no public manual.

use super::{Reference, WINDOW};

fn halves(bytes: [u8; WINDOW]) -> (u32, u32) {
    let [a, b, c, d, ..] = bytes;
    (u32::from(u16::from_le_bytes([a, b])), u32::from(u16::from_le_bytes([c, d])))
}

fn joined(bytes: [u8; WINDOW], first: u32, second: u32) -> [u8; WINDOW] {
    let ([a, b, ..], [c, d, ..]) = (first.to_le_bytes(), second.to_le_bytes());
    let [_, _, _, _, e, f, g, h] = bytes;
    [a, b, c, d, e, f, g, h]
}

/// The reference at `at`.
pub(crate) fn find(bytes: [u8; WINDOW], at: u32) -> Option<Reference> {
    let (first, second) = halves(bytes);
    if !at.is_multiple_of(2) || first & 0xF800 != 0x9000 || second & 0xF800 != 0x9800 {
        return None;
    }
    let distance = (first & 0x7FF) << 12 | (second & 0x7FF) << 1;
    let distance = ((distance << 9) as i32 >> 9) as u32;
    let target = at.wrapping_add(4).wrapping_add(distance);
    Some(Reference { target, bytes: 4, kind: 0, always: true })
}

/// Re-encodes what [`find`] found; `None` if out of reach.
pub(crate) fn aim(bytes: [u8; WINDOW], at: u32, target: u32) -> Option<[u8; WINDOW]> {
    let (first, second) = halves(bytes);
    let distance = target.wrapping_sub(at.wrapping_add(4));
    let fits = ((distance << 9) as i32 >> 9) as u32 == distance && distance.is_multiple_of(2);
    fits.then(|| {
        joined(
            bytes,
            first & 0xF800 | distance >> 12 & 0x7FF,
            second & 0xF800 | distance >> 1 & 0x7FF,
        )
    })
}

/// `bytes` with the distance cleared. For alignment only; no part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: [u8; WINDOW], at: u32) -> Option<([u8; WINDOW], usize)> {
    let (first, second) = halves(bytes);
    find(bytes, at).map(|_| (joined(bytes, first & 0xF800, second & 0xF800), 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for first in (0x9000..0x9800).step_by(7) {
            for second in (0x9800..0xA000).step_by(5) {
                let bytes = joined([0; WINDOW], first, second);
                let found = find(bytes, 0x1002).expect("a call");
                assert_eq!(aim(bytes, 0x1002, found.target), Some(bytes));
            }
        }
    }
}
