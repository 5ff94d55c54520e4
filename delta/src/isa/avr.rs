//! AVR: calls and jumps by word address, `LDS`/`STS`, and `LDI` pairs that build an address.

use super::form::{Field, Form, Origin, Reading, field};
use super::{Variable, Window};

const CALL: u8 = 0;
const NEAR_CALL: u8 = 1;
const BRANCH: u8 = 2;

const FROM: Origin = Origin::after(2);

pub(super) const FORMS: &[Form] = &[
    // CALL, JMP: word addresses.
    Form {
        mask: 0xFE0C,
        value: 0x940C,
        origin: Origin { before: 0, keep: 0, after: 0 },
        fields: &[field(16, 1, 16), field(0, 17, 1), field(4, 18, 5)],
        reading: Reading::Unsigned,
        bytes: 4,
        kind: CALL,
        always: true,
    },
    // RCALL
    near(0xF000, 0xD000, NEAR_CALL, &[field(0, 1, 12)], Reading::Signed(13)),
    // RJMP
    near(0xF000, 0xC000, BRANCH, &[field(0, 1, 12)], Reading::Signed(13)),
    // BRxx
    near(0xF800, 0xF000, BRANCH, &[field(3, 1, 7)], Reading::Signed(8)),
];

const fn near(mask: u32, value: u32, kind: u8, fields: &'static [Field], reading: Reading) -> Form {
    let always = kind == NEAR_CALL;
    Form { mask, value, origin: FROM, fields, reading, bytes: 2, kind, always }
}

/// The data address at `at`: `LDS`, `STS`, or two `LDI` into neighbouring registers.
pub(crate) fn variable(bytes: Window, at: u32) -> Option<Variable> {
    if !at.is_multiple_of(2) {
        return None;
    }
    let (first, second) = bytes.halves();
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
pub(crate) fn move_variable(bytes: Window, address: u32) -> Window {
    let (first, second) = bytes.halves();
    if first & 0xFC0F == 0x9000 {
        return bytes.with_halves(first, address & 0xFFFF);
    }
    let with = |load: u32, value: u32| load & 0xF0F0 | (value & 0xF0) << 4 | value & 0xF;
    bytes.with_halves(with(first, address & 0xFF), with(second, address >> 8 & 0xFF))
}

/// `LDS` and `STS` without the address. For alignment only; no part of the format.
#[cfg(feature = "make")]
pub(crate) fn mask(bytes: Window) -> Option<(Window, usize)> {
    let (first, _) = bytes.halves();
    (first & 0xFC0F == 0x9000).then(|| (bytes.with_halves(first, 0), 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for first in 0..=0xFFFF_u32 {
            for second in [0, 0x1234, 0xE59F, 0xFFFF] {
                let bytes = Window::default().with_halves(first, second);
                if let Some(found) = Isa::Avr.find(bytes, 0x1002) {
                    assert_eq!(
                        Isa::Avr.aim(bytes, 0x1002, found.target),
                        Some(bytes),
                        "{first:04x}"
                    );
                }
                if let Some(found) = variable(bytes, 0x1002) {
                    assert_eq!(move_variable(bytes, found.address), bytes, "{first:04x}");
                }
            }
        }
    }
}
