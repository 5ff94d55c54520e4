//! RISC-V: `JAL`, and `AUIPC` with the instruction that completes the address.

use super::{Reference, WINDOW};

const JUMP: u8 = 0;
const CALL: u8 = 1;
const DATA: u8 = 2;

fn words(bytes: [u8; WINDOW]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn joined(first: u32, second: u32) -> [u8; WINDOW] {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_le_bytes(), second.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

/// How the second word of an `AUIPC` pair holds the low 12 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Low {
    Load,
    Store,
}

/// The completion of `AUIPC rd`, if `second` is one.
fn completion(first: u32, second: u32) -> Option<(Low, u8)> {
    let rd = first >> 7 & 31;
    if first & 0x7F != 0x17 || second >> 15 & 31 != rd {
        return None;
    }
    match second & 0x7F {
        0x67 => Some((Low::Load, CALL)),
        0x13 if second >> 12 & 7 == 0 => Some((Low::Load, DATA)),
        0x03 => Some((Low::Load, DATA)),
        0x23 => Some((Low::Store, DATA)),
        _ => None,
    }
}

/// The reference at `at`.
pub(crate) fn find(bytes: [u8; WINDOW], at: u32) -> Option<Reference> {
    if !at.is_multiple_of(2) {
        return None;
    }
    let (first, second) = words(bytes);
    if first & 0x7F == 0x6F && first >> 7 & 31 <= 1 {
        let distance = ((first as i32) >> 31 << 20) as u32
            | first & 0xF_F000
            | (first >> 20 & 1) << 11
            | (first >> 21 & 0x3FF) << 1;
        let target = at.wrapping_add(distance);
        return Some(Reference { target, bytes: 4, kind: JUMP, always: true });
    }
    let (low, kind) = completion(first, second)?;
    let low = match low {
        Low::Load => (second as i32) >> 20,
        Low::Store => (second as i32) >> 25 << 5 | (second >> 7 & 31) as i32,
    };
    let target = at.wrapping_add(first & 0xFFFF_F000).wrapping_add(low as u32);
    Some(Reference { target, bytes: 8, kind, always: true })
}

/// Re-encodes what [`find`] found; `None` if out of reach.
pub(crate) fn aim(bytes: [u8; WINDOW], at: u32, target: u32) -> Option<[u8; WINDOW]> {
    let (first, second) = words(bytes);
    let distance = target.wrapping_sub(at);
    if first & 0x7F == 0x6F {
        let fits = ((distance << 11) as i32 >> 11) as u32 == distance;
        return (fits && distance.is_multiple_of(2)).then(|| {
            let field = (distance >> 20 & 1) << 31
                | (distance >> 1 & 0x3FF) << 21
                | (distance >> 11 & 1) << 20
                | distance & 0xF_F000;
            joined(first & 0xFFF | field, second)
        });
    }
    let (low, _) = completion(first, second)?;
    let first = first & 0xFFF | distance.wrapping_add(0x800) & 0xFFFF_F000;
    let second = match low {
        Low::Load => second & 0xF_FFFF | distance << 20,
        Low::Store => second & 0x1FF_F07F | (distance >> 5 & 0x7F) << 25 | (distance & 31) << 7,
    };
    Some(joined(first, second))
}

/// `bytes` with the distance cleared. For alignment only; no part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: [u8; WINDOW], at: u32) -> Option<([u8; WINDOW], usize)> {
    let (first, second) = words(bytes);
    let found = find(bytes, at)?;
    if found.bytes == 4 {
        return Some((joined(first & 0xFFF, second), 4));
    }
    let second = match completion(first, second)?.0 {
        Low::Load => second & 0xF_FFFF,
        Low::Store => second & 0x1FF_F07F,
    };
    Some((joined(first & 0xFFF, second), 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        let mut x = 1_u32;
        let mut seen = 0;
        for _ in 0..200_000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let rd = x >> 27 & 1;
            for first in [x & !0xFFF | rd << 7 | 0x6F, x & !0xFFF | 0x517] {
                for second in [0x0005_0567, 0x0005_0513, 0x0005_2503, 0x00A5_2023] {
                    let field = x.rotate_left(11);
                    let second = if second & 0x7F == 0x23 {
                        second & 0x1FF_F07F | field & 0xFE00_0F80
                    } else {
                        second & 0xF_FFFF | field & 0xFFF0_0000
                    };
                    let bytes = joined(first, second);
                    if let Some(found) = find(bytes, 0x1002) {
                        seen += 1;
                        let again = aim(bytes, 0x1002, found.target);
                        // An AUIPC pair has one canonical form; both reach the same place.
                        let again = again.expect("its own target");
                        assert_eq!(find(again, 0x1002), Some(found), "{first:08x} {second:08x}");
                    }
                }
            }
        }
        assert!(seen > 1000);
    }
}
