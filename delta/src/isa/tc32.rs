//! Telink TC32: the call pair, deduced from firmware; there is no public manual.

use super::form::{Form, Origin, Reading, field};

pub(super) const FORMS: &[Form] = &[Form {
    mask: 0xF800_F800,
    value: 0x9800_9000,
    origin: Origin::after(4),
    fields: &[field(16, 1, 11), field(0, 12, 11)],
    reading: Reading::Signed(23),
    bytes: 4,
    kind: 0,
    always: true,
}];

#[cfg(test)]
mod tests {
    use crate::isa::{Isa, Window};

    #[test]
    fn what_is_found_and_aimed_at_its_own_target_is_unchanged() {
        for first in (0x9000..0x9800).step_by(7) {
            for second in (0x9800..0xA000).step_by(5) {
                let bytes = Window::new(first | second << 16, 0);
                let found = Isa::Tc32.find(bytes, 0x1002).expect("a call");
                assert_eq!(Isa::Tc32.aim(bytes, 0x1002, found.target), Some(bytes));
            }
        }
    }
}
