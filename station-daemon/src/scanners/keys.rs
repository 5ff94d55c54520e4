//! The keys of a scanner that is a keyboard, as the characters it meant.
//!
//! Scanners type as a US keyboard unless somebody told them otherwise, and this reader knows no
//! other: another layout gives a damaged or foreign scan, never a wrong order, because the digits
//! and capital letters of a label lie elsewhere together with its colon.

/// Key codes by row (`input-event-codes.h`), without shift and with it.
const ROWS: [(u16, &[u8], &[u8]); 6] = [
    (2, b"1234567890-=", b"!@#$%^&*()_+"),
    (16, b"qwertyuiop[]", b"QWERTYUIOP{}"),
    (30, b"asdfghjkl;'`", b"ASDFGHJKL:\"~"),
    (43, b"\\zxcvbnm,./", b"|ZXCVBNM<>?"),
    (57, b" ", b" "),
    // The number pad: 7 8 9 - 4 5 6 + 1 2 3 0 .
    (71, b"789-456+1230.", b"789-456+1230."),
];
const ENTER: u16 = 28;
const PAD_ENTER: u16 = 96;
const SHIFTS: [u16; 2] = [42, 54];
/// What a group separator is typed as by those that can: Ctrl with `]`.
const CONTROLS: [u16; 2] = [29, 97];
const CLOSING_BRACKET: u16 = 27;
const GROUP_SEPARATOR: u8 = 0x1d;

/// What a keyboard event says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// It went down.
    Down,
    /// It came up.
    Up,
}

/// The state of the keyboard: which of the keys that change others are down.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    shift: bool,
    control: bool,
}

impl Keyboard {
    /// Takes one event; the byte it means, if any. A key that no label holds means `NUL`, so that
    /// the scan it stands in is damaged and not shortened.
    pub(super) fn take(&mut self, code: u16, stroke: Stroke) -> Option<u8> {
        let down = stroke == Stroke::Down;
        if SHIFTS.contains(&code) {
            self.shift = down;
            return None;
        }
        if CONTROLS.contains(&code) {
            self.control = down;
            return None;
        }
        if !down {
            return None;
        }
        if code == ENTER || code == PAD_ENTER {
            return Some(b'\r');
        }
        if self.control {
            return Some(if code == CLOSING_BRACKET { GROUP_SEPARATOR } else { 0 });
        }
        let typed = ROWS.iter().find_map(|(first, plain, shifted)| {
            let place = usize::from(code.checked_sub(*first)?);
            if self.shift { shifted.get(place) } else { plain.get(place) }.copied()
        });
        Some(typed.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulators::scanner::key;

    fn typed(text: &str) -> Vec<u8> {
        let mut keyboard = Keyboard::default();
        let mut bytes = Vec::new();
        for character in text.chars() {
            let (code, shifted) = key(character).unwrap_or_else(|| panic!("{character:?}"));
            if shifted {
                bytes.extend(keyboard.take(42, Stroke::Down));
            }
            bytes.extend(keyboard.take(code, Stroke::Down));
            bytes.extend(keyboard.take(code, Stroke::Up));
            if shifted {
                bytes.extend(keyboard.take(42, Stroke::Up));
            }
        }
        bytes.extend(keyboard.take(ENTER, Stroke::Down));
        bytes
    }

    #[test]
    fn what_a_scanner_types_is_what_it_read() {
        for text in
            ["WO:4711", "OP:b_0007-X", "SN:A/1 (2) {3}|~`", "BIN:RED.1", "!\"#$%&'*+,;<=>?@[]^\\"]
        {
            assert_eq!(typed(text), format!("{text}\r").into_bytes());
        }
    }

    #[test]
    fn a_key_that_no_label_holds_damages_the_scan_and_a_separator_is_kept() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.take(59, Stroke::Down), Some(0), "F1");
        assert_eq!(keyboard.take(29, Stroke::Down), None);
        assert_eq!(keyboard.take(27, Stroke::Down), Some(GROUP_SEPARATOR));
        assert_eq!(keyboard.take(46, Stroke::Down), Some(0), "Ctrl-C");
        assert_eq!(keyboard.take(29, Stroke::Up), None);
        assert_eq!(keyboard.take(27, Stroke::Down), Some(b']'));
        assert_eq!(keyboard.take(600, Stroke::Down), Some(0));
    }
}
