//! Xtensa with windowed or plain calls: `CALLn`, `J`, and loads from literal pools.
//!
//! Instructions have two or three bytes and no alignment, so recognition must run in step with them.
//! Addresses are image offsets: good as long as segments keep their address modulo four.

use super::form::{Form, Origin, Reading, field};

const CALL: u8 = 0;
const LOAD: u8 = 1;
const JUMP: u8 = 2;

/// Bytes of the instruction that begins with `first`.
pub(crate) fn instruction_bytes(first: u8) -> u32 {
    if first & 8 == 0 { 3 } else { 2 }
}

pub(super) const FORMS: &[Form] = &[
    // CALLn
    Form {
        mask: 0xF,
        value: 5,
        origin: Origin { before: 0, keep: !3, after: 4 },
        fields: &[field(6, 2, 18)],
        reading: Reading::Signed(20),
        bytes: 3,
        kind: CALL,
        always: true,
    },
    // J
    Form {
        mask: 0x3F,
        value: 6,
        origin: Origin::after(4),
        fields: &[field(6, 0, 18)],
        reading: Reading::Signed(18),
        bytes: 3,
        kind: JUMP,
        always: false,
    },
    // L32R: backwards only.
    Form {
        mask: 0xF,
        value: 1,
        origin: Origin { before: 3, keep: !3, after: 0xFFFC_0000 },
        fields: &[field(8, 2, 16)],
        reading: Reading::Unsigned,
        bytes: 3,
        kind: LOAD,
        always: true,
    },
];

#[cfg(test)]
mod tests {
    use crate::isa::{Isa, Window};

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for word in (0..0x100_0000_u32).step_by(3) {
            let bytes = Window::new(word, 0);
            for at in [0x10_0000, 0x10_0003] {
                if let Some(found) = Isa::Xtensa.find(bytes, at) {
                    assert_eq!(Isa::Xtensa.aim(bytes, at, found.target), Some(bytes), "{word:06x}");
                }
            }
        }
    }
}
