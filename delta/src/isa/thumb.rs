//! Thumb-1 and Thumb-2: `BL`, branches, and loads from the literal pool (Armv7-M Architecture
//! Reference Manual, DDI 0403, A5 and A7.7).

use super::form::{Field, Form, Origin, Reading, field};

/// Kinds, as context numbers.
const CALL: u8 = 0;
const JUMP: u8 = 1;
const SHORT: u8 = 2;
const LOAD: u8 = 3;

const FROM: Origin = Origin::after(4);
const FROM_POOL: Origin = Origin { before: 4, keep: !3, after: 0 };
/// imm11, imm10, J2, J1, S.
const LONG: &[Field] =
    &[field(16, 1, 11), field(0, 12, 10), field(27, 22, 1), field(29, 23, 1), field(10, 24, 1)];

const fn long(value: u32, kind: u8) -> Form {
    let (mask, value) = (0xD000_F800, value);
    let reading = Reading::ThumbCall;
    Form { mask, value, origin: FROM, fields: LONG, reading, bytes: 4, kind, always: true }
}

const fn short(mask: u32, value: u32, fields: &'static [Field], reading: Reading) -> Form {
    Form { mask, value, origin: FROM, fields, reading, bytes: 2, kind: SHORT, always: false }
}

pub(super) const FORMS: &[Form] = &[
    // BL, B.W
    long(0xD000_F000, CALL),
    long(0x9000_F000, JUMP),
    // No B<c>.W: conditions 14 and 15.
    Form { mask: 0xD000_FB80, value: 0x8000_F380, fields: &[], ..long(0, JUMP) },
    // B<c>.W: imm11, imm6, J1, J2, S.
    Form {
        value: 0x8000_F000,
        fields: &[
            field(16, 1, 11),
            field(0, 12, 6),
            field(29, 18, 1),
            field(27, 19, 1),
            field(10, 20, 1),
        ],
        reading: Reading::Signed(21),
        always: false,
        ..long(0, JUMP)
    },
    // LDR.W Rt, [PC, #±imm12]: imm12, U.
    Form {
        mask: 0xFF7F,
        value: 0xF85F,
        origin: FROM_POOL,
        fields: &[field(16, 0, 12), field(7, 12, 1)],
        reading: Reading::SizeAndPlus,
        bytes: 4,
        kind: LOAD,
        always: false,
    },
    // LDR Rt, [PC, #imm8]
    Form {
        origin: FROM_POOL,
        kind: LOAD,
        ..short(0xF800, 0x4800, &[field(0, 2, 8)], Reading::Unsigned)
    },
    // B
    short(0xF800, 0xE000, &[field(0, 1, 11)], Reading::Signed(12)),
    // No B<c>: UDF and SVC.
    short(0xFE00, 0xDE00, &[], Reading::Unsigned),
    // B<c>
    short(0xF000, 0xD000, &[field(0, 1, 8)], Reading::Signed(9)),
    // CBZ, CBNZ
    short(0xF500, 0xB100, &[field(3, 1, 5), field(9, 6, 1)], Reading::Unsigned),
];

#[cfg(test)]
mod tests {
    use crate::isa::{Isa, Window};

    fn instruction(first: u32, second: u32) -> Window {
        Window::new(first | second << 16, 0)
    }

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        let mut found_any = 0;
        for first in 0..=0xFFFF_u32 {
            for second in [0, 0x1234, 0x8000, 0x8ABC, 0x9FFF, 0xB801, 0xD000, 0xF7FF, 0xFFFF] {
                let bytes = instruction(first, second);
                let Some(found) = Isa::Thumb.find(bytes, 0x1002) else { continue };
                let mut again = Isa::Thumb.aim(bytes, 0x1002, found.target).expect("its own");
                if first & 0xFF7F == 0xF85F && found.target == 0x1004 {
                    // −0 and +0 are one address.
                    again.low = bytes.low;
                }
                assert_eq!(again, bytes, "{first:04x} {second:04x}");
                found_any += 1;
            }
        }
        assert!(found_any > 90_000, "{found_any}");
    }

    #[test]
    fn an_aimed_reference_reaches_its_target() {
        for (first, second) in [(0xF000, 0xF800), (0xF000, 0xB800), (0xE000, 0)] {
            for target in [0x0FF0_u32, 0x1000, 0x1400] {
                let aimed = Isa::Thumb.aim(instruction(first, second), 0x1100, target);
                let found = Isa::Thumb.find(aimed.expect("in reach"), 0x1100);
                assert_eq!(found.expect("a reference").target, target);
            }
        }
    }

    #[test]
    fn distances_are_those_of_the_manual() {
        for (first, second, target) in [
            // BL −2, BL +0xFFFFFE, B.W to itself, B<c>.W −4
            (0xF7FF, 0xFFFF, Some(0x1002)),
            (0xF3FF, 0xD7FF, Some(0x100_1002)),
            (0xF7FF, 0xBFFE, Some(0x1000)),
            (0xF47F, 0xAFFE, Some(0x1000)),
            // The form of B<c>.W with condition 14: a hint or a system instruction.
            (0xF3BF, 0x8F4F, None),
            (0xF85F, 0x0004, Some(0x1000)),
            (0xF8DF, 0x0004, Some(0x1008)),
            (0xDE00, 0, None),
            (0xDF01, 0, None),
            (0xB101, 0, Some(0x1004)),
        ] {
            let found = Isa::Thumb.find(instruction(first, second), 0x1000);
            assert_eq!(found.map(|found| found.target), target, "{first:04x} {second:04x}");
        }
    }
}
