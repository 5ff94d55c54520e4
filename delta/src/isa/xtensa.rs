//! Xtensa with windowed or plain calls: `CALLn`, `J`, and loads from literal pools.
//!
//! Instructions have two or three bytes and no alignment, so recognition must run in step with them.
//! Addresses are image offsets: good as long as segments keep their address modulo four.

use super::{Reference, WINDOW};

const CALL: u8 = 0;
const LOAD: u8 = 1;
const JUMP: u8 = 2;

fn word(bytes: [u8; WINDOW]) -> u32 {
    let [a, b, c, ..] = bytes;
    u32::from_le_bytes([a, b, c, 0])
}

fn with(bytes: [u8; WINDOW], word: u32) -> [u8; WINDOW] {
    let [_, _, _, rest @ ..] = bytes;
    let [a, b, c, _] = word.to_le_bytes();
    let [d, e, f, g, h] = rest;
    [a, b, c, d, e, f, g, h]
}

/// Bytes of the instruction that begins with `first`.
pub(crate) fn instruction_bytes(first: u8) -> u32 {
    if first & 8 == 0 { 3 } else { 2 }
}

/// The reference at `at`, where an instruction begins.
pub(crate) fn find(bytes: [u8; WINDOW], at: u32) -> Option<Reference> {
    let word = word(bytes);
    let (target, kind) = match word & 0x3F {
        0x05 | 0x15 | 0x25 | 0x35 => {
            let words = ((word << 8) as i32 >> 14) as u32;
            ((at & !3).wrapping_add(4).wrapping_add(words << 2), CALL)
        }
        0x06 => {
            let distance = ((word << 8) as i32 >> 14) as u32;
            (at.wrapping_add(4).wrapping_add(distance), JUMP)
        }
        0x01 | 0x11 | 0x21 | 0x31 => {
            let back = 0xFFFC_0000 | (word >> 8) << 2;
            ((at.wrapping_add(3) & !3).wrapping_add(back), LOAD)
        }
        _ => return None,
    };
    Some(Reference { target, bytes: 3, kind, always: kind != JUMP })
}

/// Re-encodes what [`find`] found; `None` if out of reach.
pub(crate) fn aim(bytes: [u8; WINDOW], at: u32, target: u32) -> Option<[u8; WINDOW]> {
    let word = word(bytes);
    let fits = |value: i32| (-0x2_0000..0x2_0000).contains(&value);
    match word & 0xF {
        5 => {
            let distance = target.wrapping_sub((at & !3).wrapping_add(4)) as i32;
            let words = distance >> 2;
            (distance & 3 == 0 && fits(words))
                .then(|| with(bytes, word & 0x3F | (words as u32) << 6))
        }
        6 => {
            let distance = target.wrapping_sub(at.wrapping_add(4)) as i32;
            fits(distance).then(|| with(bytes, word & 0x3F | (distance as u32) << 6))
        }
        _ => {
            let back = target.wrapping_sub(at.wrapping_add(3) & !3);
            (back & 3 == 0 && back >= 0xFFFC_0000)
                .then(|| with(bytes, word & 0xFF | (back >> 2 & 0xFFFF) << 8))
        }
    }
}

/// `bytes` without distances, and how many bytes that covers: never none. For alignment only; no
/// part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: [u8; WINDOW], at: u32) -> ([u8; WINDOW], usize) {
    let cleared = match find(bytes, at) {
        Some(Reference { kind: LOAD, .. }) => with(bytes, word(bytes) & 0xFF),
        Some(_) => with(bytes, word(bytes) & 0x3F),
        None => bytes,
    };
    (cleared, instruction_bytes(bytes[0]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for word in (0..0x100_0000_u32).step_by(3) {
            let bytes = with([0; WINDOW], word);
            for at in [0x10_0000, 0x10_0003] {
                if let Some(found) = find(bytes, at) {
                    assert_eq!(aim(bytes, at, found.target), Some(bytes), "{word:06x}");
                }
            }
        }
    }
}
