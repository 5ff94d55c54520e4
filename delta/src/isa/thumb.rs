//! Thumb-1 and Thumb-2: `BL`, branches, and loads from the literal pool.

use super::{Reference, WINDOW};

/// Kinds, as context numbers.
const CALL: u8 = 0;
const JUMP: u8 = 1;
const SHORT: u8 = 2;
const LOAD: u8 = 3;

fn halves(bytes: [u8; WINDOW]) -> (u32, u32) {
    let [a, b, c, d, ..] = bytes;
    (u32::from(u16::from_le_bytes([a, b])), u32::from(u16::from_le_bytes([c, d])))
}

fn joined(bytes: [u8; WINDOW], first: u32, second: u32) -> [u8; WINDOW] {
    let ([a, b, ..], [c, d, ..]) = (first.to_le_bytes(), second.to_le_bytes());
    let [_, _, _, _, e, f, g, h] = bytes;
    [a, b, c, d, e, f, g, h]
}

fn extend(value: u32, bits: u32) -> u32 {
    ((value << (32 - bits)) as i32 >> (32 - bits)) as u32
}

/// The reference at `at`.
pub(crate) fn find(bytes: [u8; WINDOW], at: u32) -> Option<Reference> {
    if !at.is_multiple_of(2) {
        return None;
    }
    let (first, second) = halves(bytes);
    let from = at.wrapping_add(4);
    if first & 0xF800 == 0xF000 && (second & 0xD000 == 0xD000 || second & 0xD000 == 0x9000) {
        let sign = first >> 10 & 1;
        let i1 = 1 ^ (second >> 13 & 1) ^ sign;
        let i2 = 1 ^ (second >> 11 & 1) ^ sign;
        let distance =
            sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1;
        let kind = if second & 0x4000 != 0 { CALL } else { JUMP };
        let target = from.wrapping_add(extend(distance, 25));
        return Some(Reference { target, bytes: 4, kind, always: true });
    }
    // B<c>.W: condition below 14.
    if first & 0xF800 == 0xF000 && second & 0xD000 == 0x8000 && first >> 7 & 7 != 7 {
        let distance = (first >> 10 & 1) << 20
            | (second >> 11 & 1) << 19
            | (second >> 13 & 1) << 18
            | (first & 0x3F) << 12
            | (second & 0x7FF) << 1;
        let target = from.wrapping_add(extend(distance, 21));
        return Some(Reference { target, bytes: 4, kind: JUMP, always: false });
    }
    // LDR.W Rt, [PC, #±imm12]
    if first & 0xFF7F == 0xF85F {
        let distance = second & 0xFFF;
        let base = from & !3;
        let target = if first & 0x80 != 0 {
            base.wrapping_add(distance)
        } else {
            base.wrapping_sub(distance)
        };
        return Some(Reference { target, bytes: 4, kind: LOAD, always: false });
    }
    let (target, kind) = if first & 0xF800 == 0x4800 {
        ((from & !3).wrapping_add((first & 0xFF) << 2), LOAD)
    } else if first & 0xF800 == 0xE000 {
        (from.wrapping_add(extend((first & 0x7FF) << 1, 12)), SHORT)
    } else if first & 0xF000 == 0xD000 && first & 0x0E00 != 0x0E00 {
        (from.wrapping_add(extend((first & 0xFF) << 1, 9)), SHORT)
    } else if first & 0xF500 == 0xB100 {
        (from.wrapping_add((first >> 9 & 1) << 6 | (first >> 3 & 0x1F) << 1), SHORT)
    } else {
        return None;
    };
    Some(Reference { target, bytes: 2, kind, always: false })
}

/// Re-encodes what [`find`] found, for another place and target; `None` if out of reach.
pub(crate) fn aim(bytes: [u8; WINDOW], at: u32, target: u32) -> Option<[u8; WINDOW]> {
    let (first, second) = halves(bytes);
    let from = at.wrapping_add(4);
    let distance = target.wrapping_sub(from);
    let fits = |bits: u32| extend(distance, bits) == distance && distance.is_multiple_of(2);
    if first & 0xF800 == 0xF000 && (second & 0xD000 == 0xD000 || second & 0xD000 == 0x9000) {
        if !fits(25) {
            return None;
        }
        let sign = distance >> 24 & 1;
        let j1 = 1 ^ (distance >> 23 & 1) ^ sign;
        let j2 = 1 ^ (distance >> 22 & 1) ^ sign;
        return Some(joined(
            bytes,
            first & 0xF800 | sign << 10 | distance >> 12 & 0x3FF,
            second & 0xD000 | j1 << 13 | j2 << 11 | distance >> 1 & 0x7FF,
        ));
    }
    if first & 0xF800 == 0xF000 && second & 0xD000 == 0x8000 && first >> 7 & 7 != 7 {
        return fits(21).then(|| {
            joined(
                bytes,
                first & !0x43F | (distance >> 20 & 1) << 10 | distance >> 12 & 0x3F,
                second & !0x2FFF
                    | (distance >> 18 & 1) << 13
                    | (distance >> 19 & 1) << 11
                    | distance >> 1 & 0x7FF,
            )
        });
    }
    let from_pool = target.wrapping_sub(from & !3);
    if first & 0xFF7F == 0xF85F {
        let (up, size) =
            if from_pool <= 0xFFF { (0x80, from_pool) } else { (0, from_pool.wrapping_neg()) };
        return (size <= 0xFFF).then(|| joined(bytes, first & !0x80 | up, second & 0xF000 | size));
    }
    let first = if first & 0xF800 == 0x4800 {
        (from_pool <= 0x3FC && from_pool.is_multiple_of(4))
            .then_some(first & 0xFF00 | from_pool >> 2)
    } else if first & 0xF800 == 0xE000 {
        fits(12).then_some(first & 0xF800 | distance >> 1 & 0x7FF)
    } else if first & 0xF000 == 0xD000 {
        fits(9).then_some(first & 0xFF00 | distance >> 1 & 0xFF)
    } else if first & 0xF500 == 0xB100 {
        (distance <= 0x7E && distance.is_multiple_of(2))
            .then_some(first & !0x2F8 | (distance >> 6 & 1) << 9 | (distance >> 1 & 0x1F) << 3)
    } else {
        None
    }?;
    Some(joined(bytes, first, second))
}

/// `bytes` with every field cleared that depends on where it stands; how many bytes that covers.
/// For alignment only; no part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: [u8; WINDOW], at: u32, hard: bool) -> Option<([u8; WINDOW], usize)> {
    let (first, second) = halves(bytes);
    let found = find(bytes, at)?;
    if found.bytes == 4 {
        let cleared = if found.kind == LOAD {
            joined(bytes, first, second & 0xF000)
        } else if second & 0xD000 == 0x8000 {
            joined(bytes, first & !0x43F, second & !0x2FFF)
        } else {
            joined(bytes, first & 0xF800, second & 0xD000)
        };
        return Some((cleared, 4));
    }
    if !hard {
        return None;
    }
    let kept = match first >> 11 {
        0b11100 => 0xF800,
        0b10110 | 0b10111 => 0xFD07,
        _ => 0xFF00,
    };
    Some((joined(bytes, first & kept, second), 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for first in 0..=0xFFFF_u32 {
            for second in [0, 0x1234, 0x8000, 0x8ABC, 0x9FFF, 0xB801, 0xD000, 0xF7FF, 0xFFFF] {
                let bytes = joined([0; WINDOW], first, second);
                let Some(found) = find(bytes, 0x1002) else { continue };
                let mut again = aim(bytes, 0x1002, found.target).expect("its own target");
                if found.kind == LOAD && found.target == 0x1004 {
                    // −0 and +0 are one address.
                    again[0] = bytes[0];
                }
                assert_eq!(again, bytes, "{first:04x} {second:04x}");
            }
        }
    }

    #[test]
    fn an_aimed_reference_reaches_its_target() {
        for (first, second) in [(0xF000, 0xF800), (0xF000, 0xB800), (0xE000, 0)] {
            let bytes = joined([0; WINDOW], first, second);
            for target in [0x0FF0_u32, 0x1000, 0x1400] {
                let aimed = aim(bytes, 0x1100, target).expect("in reach");
                assert_eq!(find(aimed, 0x1100).expect("a reference").target, target);
            }
        }
    }
}
