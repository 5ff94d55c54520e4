//! AVR: calls and jumps by word address, `LDS`/`STS`, and `LDI` pairs that build an address.

use super::{Reference, Variable, WINDOW};

const CALL: u8 = 0;
const NEAR_CALL: u8 = 1;
const BRANCH: u8 = 2;

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
    if !at.is_multiple_of(2) {
        return None;
    }
    let (first, second) = halves(bytes);
    let from = at.wrapping_add(2);
    if first & 0xFE0C == 0x940C {
        let high = first >> 3 & 0x3E | first & 1;
        let target = (high << 16 | second) << 1;
        return Some(Reference { target, bytes: 4, kind: CALL, always: true });
    }
    if first & 0xE000 == 0xC000 {
        let target = from.wrapping_add(((first << 20) as i32 >> 19) as u32);
        let call = first & 0x1000 != 0;
        let kind = if call { NEAR_CALL } else { BRANCH };
        return Some(Reference { target, bytes: 2, kind, always: call });
    }
    if first & 0xF800 == 0xF000 {
        let target = from.wrapping_add((((first >> 3) << 25) as i32 >> 24) as u32);
        return Some(Reference { target, bytes: 2, kind: BRANCH, always: false });
    }
    None
}

/// Re-encodes what [`find`] found; `None` if out of reach.
pub(crate) fn aim(bytes: [u8; WINDOW], at: u32, target: u32) -> Option<[u8; WINDOW]> {
    let (first, second) = halves(bytes);
    if !target.is_multiple_of(2) {
        return None;
    }
    if first & 0xFE0C == 0x940C {
        let word = target >> 1;
        let high = word >> 16;
        return (high < 64)
            .then(|| joined(bytes, first & 0xFE0E | (high & 0x3E) << 3 | high & 1, word & 0xFFFF));
    }
    let words = (target.wrapping_sub(at.wrapping_add(2)) as i32) >> 1;
    if first & 0xE000 == 0xC000 {
        return (-2048..2048)
            .contains(&words)
            .then(|| joined(bytes, first & 0xF000 | words as u32 & 0xFFF, second));
    }
    (-64..64)
        .contains(&words)
        .then(|| joined(bytes, first & 0xFC07 | (words as u32 & 0x7F) << 3, second))
}

/// The data address at `at`: `LDS`, `STS`, or two `LDI` into neighbouring registers.
pub(crate) fn variable(bytes: [u8; WINDOW], at: u32) -> Option<Variable> {
    if !at.is_multiple_of(2) {
        return None;
    }
    let (first, second) = halves(bytes);
    if first & 0xFC0F == 0x9000 {
        return Some(Variable { address: second, bytes: 4, always: true });
    }
    let pair = first & 0xF000 == 0xE000
        && second & 0xF000 == 0xE000
        && first & 0x10 == 0
        && second & 0xF0 == first & 0xF0 | 0x10;
    let address = constant(first) | constant(second) << 8;
    (pair && address >= 0x100).then_some(Variable { address, bytes: 4, always: false })
}

fn constant(load: u32) -> u32 {
    load >> 4 & 0xF0 | load & 0xF
}

/// Re-encodes what [`variable`] found, for another address.
pub(crate) fn move_variable(bytes: [u8; WINDOW], address: u32) -> [u8; WINDOW] {
    let (first, second) = halves(bytes);
    if first & 0xFC0F == 0x9000 {
        return joined(bytes, first, address & 0xFFFF);
    }
    let with = |load: u32, value: u32| load & 0xF0F0 | (value & 0xF0) << 4 | value & 0xF;
    joined(bytes, with(first, address & 0xFF), with(second, address >> 8 & 0xFF))
}

/// `bytes` with every field cleared that depends on where things stand, and how many bytes that
/// covers. For alignment only; no part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: [u8; WINDOW], at: u32, hard: bool) -> Option<([u8; WINDOW], usize)> {
    let (first, second) = halves(bytes);
    if let Some(found) = find(bytes, at) {
        let cleared = match found.bytes {
            4 => joined(bytes, first & 0xFE0E, 0),
            _ if found.always => joined(bytes, first & 0xF000, second),
            _ if !hard => return None,
            _ if first & 0xF800 == 0xF000 => joined(bytes, first & 0xFC07, second),
            _ => joined(bytes, first & 0xF000, second),
        };
        return Some((cleared, usize::from(found.bytes)));
    }
    (first & 0xFC0F == 0x9000).then(|| (joined(bytes, first, 0), 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for first in 0..=0xFFFF_u32 {
            for second in [0, 0x1234, 0xE59F, 0xFFFF] {
                let bytes = joined([0; WINDOW], first, second);
                if let Some(found) = find(bytes, 0x1002) {
                    assert_eq!(aim(bytes, 0x1002, found.target), Some(bytes), "{first:04x}");
                }
                if let Some(found) = variable(bytes, 0x1002) {
                    assert_eq!(move_variable(bytes, found.address), bytes, "{first:04x}");
                }
            }
        }
    }
}
