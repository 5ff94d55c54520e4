//! RISC-V: `JAL`, and `AUIPC` with the instruction that completes the address.

use super::form::{Form, Origin, Reading, field};
use super::{Reference, Window};

const CALL: u8 = 1;
const DATA: u8 = 2;

pub(super) const FORMS: &[Form] = &[
    // JAL with link register zero or ra.
    Form {
        mask: 0xF7F,
        value: 0x6F,
        origin: Origin::after(0),
        fields: &[field(21, 1, 10), field(20, 11, 1), field(12, 12, 8), field(31, 20, 1)],
        reading: Reading::Signed(21),
        bytes: 4,
        kind: 0,
        always: true,
    },
];

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

/// The `AUIPC` pair at `at`, an even place.
pub(crate) fn find(bytes: Window, at: u32) -> Option<Reference> {
    let Window { low: first, high: second } = bytes;
    let (low, kind) = completion(first, second)?;
    let low = match low {
        Low::Load => (second as i32) >> 20,
        Low::Store => (second as i32) >> 25 << 5 | (second >> 7 & 31) as i32,
    };
    let target = at.wrapping_add(first & 0xFFFF_F000).wrapping_add(low as u32);
    Some(Reference { target, bytes: 8, kind, always: true })
}

/// Re-encodes what [`find`] found; `None` if out of reach.
pub(crate) fn aim(bytes: Window, at: u32, target: u32) -> Option<Window> {
    let Window { low: first, high: second } = bytes;
    let distance = target.wrapping_sub(at);
    let (low, _) = completion(first, second)?;
    let first = first & 0xFFF | distance.wrapping_add(0x800) & 0xFFFF_F000;
    let second = match low {
        Low::Load => second & 0xF_FFFF | distance << 20,
        Low::Store => second & 0x1FF_F07F | (distance >> 5 & 0x7F) << 25 | (distance & 31) << 7,
    };
    Some(Window::new(first, second))
}

/// `bytes` with the distance cleared. For alignment only; no part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: Window) -> Option<(Window, usize)> {
    let Window { low: first, high: second } = bytes;
    let second = match completion(first, second)?.0 {
        Low::Load => second & 0xF_FFFF,
        Low::Store => second & 0x1FF_F07F,
    };
    Some((Window::new(first & 0xFFF, second), 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

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
                    let bytes = Window::new(first, second);
                    if let Some(found) = Isa::RiscV.find(bytes, 0x1002) {
                        seen += 1;
                        let again = Isa::RiscV.aim(bytes, 0x1002, found.target);
                        // An AUIPC pair has one canonical form; both reach the same place.
                        let again = again.expect("its own target");
                        assert_eq!(
                            Isa::RiscV.find(again, 0x1002),
                            Some(found),
                            "{first:08x} {second:08x}"
                        );
                    }
                }
            }
        }
        assert!(seen > 1000);
    }
}
