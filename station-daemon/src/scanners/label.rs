//! What a label says: the four kinds that this line prints, told apart by their prefix.
//!
//! A pure function of the bytes a scanner gave. It knows what scanners put around a label (line
//! ends, the symbology identifier of ISO/IEC 15424) and the element strings of GS1. Leaves to the
//! desk what a label does.
//!
//! Promise: whatever the bytes are, the answer is one label or one named refusal, and a label keeps
//! the pattern of its kind.

use std::fmt;
use std::str::FromStr as _;

use protocol::OrderNumber;

use super::gs1;

/// Longest content taken, bytes. A QR label of a work order is far below it.
pub const LABEL_BYTES_MAX: usize = 256;
/// Characters of a badge's text, as the hub gives them out.
const BADGE_CHARACTERS: std::ops::RangeInclusive<usize> = 4..=64;
/// What stands for a badge on the label that signs out.
const SIGN_OUT: &str = "OUT";
/// Characters of a serial number, as records hold them.
const SERIAL_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=64;
/// Characters of a bin's name.
const BIN_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=16;

/// One label of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// `WO:` – a work order.
    Order(OrderNumber),
    /// `OP:` – a person's badge.
    Badge(Badge),
    /// `OP:OUT` – whoever is in goes. Too short for a badge.
    SignOut,
    /// `SN:`, or GS1's (21) – a unit's serial number.
    Serial(String),
    /// `BIN:` – a bin for rejected boards.
    Bin(String),
}

/// A badge's text. It opens doors, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Badge(String);

impl Badge {
    /// The text behind the prefix.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Badge(..)")
    }
}

/// Why a scan is no label of this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotALabel {
    /// Nothing but spaces and line ends.
    #[error("nothing was read")]
    Empty,
    /// More than [`LABEL_BYTES_MAX`].
    #[error("longer than any label of this line")]
    TooLong,
    /// Not text, or not of its prefix's pattern.
    #[error("the label is damaged")]
    Damaged,
    /// Its end did not come.
    #[error("only a part of the label came")]
    Incomplete,
    /// Somebody else's label.
    #[error("not a label of this line")]
    Foreign,
}

impl NotALabel {
    /// Stable word for a screen to translate.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::Damaged => "damaged",
            Self::Incomplete => "incomplete",
            Self::Foreign => "not_a_scan",
        }
    }
}

/// Reads one label.
///
/// # Errors
/// [`NotALabel`] for everything else.
pub fn read_label(raw: &[u8]) -> Result<Label, NotALabel> {
    if raw.len() > LABEL_BYTES_MAX {
        return Err(NotALabel::TooLong);
    }
    let text = std::str::from_utf8(raw).map_err(|_| NotALabel::Damaged)?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Err(NotALabel::Empty);
    }
    let (identifier, content) = symbology(text);
    if gs1::is_announced(identifier) || content.contains(gs1::SEPARATOR) {
        return of_elements(content);
    }
    of_text(content)
}

/// What a reader may put before the content: `]`, a letter for the symbology, a modifier.
fn symbology(text: &str) -> (&str, &str) {
    let mut characters = text.chars();
    let [bracket, letter, modifier] = [characters.next(), characters.next(), characters.next()];
    let is_identifier = bracket == Some(']')
        && letter.is_some_and(|letter| letter.is_ascii_alphabetic())
        && modifier.is_some_and(|modifier| modifier.is_ascii_alphanumeric());
    // All three are ASCII then, so three bytes are three characters.
    if is_identifier { text.split_at(3) } else { ("", text) }
}

fn of_text(text: &str) -> Result<Label, NotALabel> {
    if text.chars().any(|character| character.is_control() || character == '\u{FFFD}') {
        return Err(NotALabel::Damaged);
    }
    let (prefix, rest) = text.split_once(':').ok_or(NotALabel::Foreign)?;
    let rest = rest.trim();
    match prefix {
        "WO" => OrderNumber::from_str(rest).map(Label::Order).map_err(|_| NotALabel::Damaged),
        "OP" if rest == SIGN_OUT => Ok(Label::SignOut),
        "OP" => printable(rest, BADGE_CHARACTERS).map(|text| Label::Badge(Badge(text))),
        "SN" => printable(rest, SERIAL_CHARACTERS).map(Label::Serial),
        "BIN" => bin_name(rest).map(Label::Bin).ok_or(NotALabel::Damaged),
        _ => Err(NotALabel::Foreign),
    }
}

/// A name a bin may have: letters, digits, `-`, `_` and `.`.
#[must_use]
pub fn bin_name(text: &str) -> Option<String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let good = BIN_CHARACTERS.contains(&text.len()) && text.chars().all(plain);
    good.then(|| text.to_owned())
}

fn printable(text: &str, characters: std::ops::RangeInclusive<usize>) -> Result<String, NotALabel> {
    let plain = |character: char| character.is_ascii_graphic() || character == ' ';
    let good = characters.contains(&text.len()) && text.chars().all(plain);
    good.then(|| text.to_owned()).ok_or(NotALabel::Damaged)
}

/// GS1 carries a serial number as (21), and what a company prints for itself as (91) to (99).
fn of_elements(content: &str) -> Result<Label, NotALabel> {
    let elements = gs1::elements(content).ok_or(NotALabel::Damaged)?;
    for (_, own) in elements.iter().filter(|(ai, _)| gs1::is_company_internal(ai)) {
        match of_text(own) {
            Err(NotALabel::Foreign) => {}
            read => return read,
        }
    }
    let serial = elements.iter().find(|(ai, _)| *ai == "21");
    let (_, serial) = serial.ok_or(NotALabel::Foreign)?;
    printable(serial, SERIAL_CHARACTERS).map(Label::Serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A label in few words.
    fn said(raw: &[u8]) -> String {
        match read_label(raw) {
            Ok(Label::Order(number)) => format!("order {number}"),
            Ok(Label::SignOut) => "sign out".to_owned(),
            Ok(Label::Badge(badge)) => format!("badge {}", badge.text()),
            Ok(Label::Serial(serial)) => format!("serial {serial}"),
            Ok(Label::Bin(bin)) => format!("bin {bin}"),
            Err(refusal) => refusal.word().to_owned(),
        }
    }

    #[test]
    fn every_prefix_has_a_pattern_of_its_own() {
        let check = |raw: &str, wanted: &str| assert_eq!(said(raw.as_bytes()), wanted, "{raw:?}");
        check("WO:4711", "order 4711");
        check(" WO: 4711 \r\n", "order 4711");
        check("WO:", "damaged");
        check("WO:47 11", "damaged");
        check("WO:../4711", "damaged");
        check("OP:B-0007", "badge B-0007");
        check("OP:abc", "damaged");
        check("OP:OUT\r", "sign out");
        check("OP:out", "damaged");
        check("OP:B-\u{e9}007", "damaged");
        check("SN:A 1/2", "serial A 1/2");
        check("SN:", "damaged");
        check(&format!("SN:{}", "9".repeat(65)), "damaged");
        check("BIN:RED-1", "bin RED-1");
        check("BIN:RED 1", "damaged");
        check("BIN:ABCDEFGHIJKLMNOPQ", "damaged");
        check("wo:4711", "not_a_scan");
        check("4006381333931", "not_a_scan");
        check("https://example.org/WO:4711", "not_a_scan");
        check("WO4711", "not_a_scan");
        check("", "empty");
        check(" \r\n", "empty");
        check("WO:47\u{0}11", "damaged");
        check("WO:47\u{FFFD}11", "damaged");
        check(&"x".repeat(257), "too_long");
        assert_eq!(said(b"WO:\xff\xfe"), "damaged");
    }

    #[test]
    fn what_readers_put_around_a_label_changes_nothing() {
        // Code 128, Data Matrix and QR with their symbology identifiers.
        for identifier in ["]C0", "]d1", "]Q1", ""] {
            for end in ["\r", "\n", "\r\n", "\t", ""] {
                let raw = format!("{identifier}WO:4711{end}");
                assert_eq!(said(raw.as_bytes()), "order 4711", "{raw:?}");
            }
        }
        assert_eq!(said(b"]C"), "not_a_scan");
        assert_eq!(said(b"]C0"), "not_a_scan");
        assert_eq!(said("]\u{e9}0".as_bytes()), "not_a_scan");
    }

    #[test]
    fn gs1_labels_give_their_serial_number_or_what_the_line_printed_for_itself() {
        let check = |raw: &str, wanted: &str| assert_eq!(said(raw.as_bytes()), wanted, "{raw:?}");
        check("]C1010950600013435221ABC123", "serial ABC123");
        check("]d2010950600013435217261231\u{1d}10L7\u{1d}21ABC123", "serial ABC123");
        check("]Q310L7\u{1d}21ABC123", "serial ABC123");
        check("10L7\u{1d}21ABC123", "serial ABC123");
        check("]C191WO:4711", "order 4711");
        check("]C121ABC\u{1d}92BIN:RED", "bin RED");
        check("]C1010950600013435210L7", "not_a_scan");
        check("]C101095", "damaged");
        check("]C1", "damaged");
        check("]C121", "damaged");
        check("]C1ABC", "damaged");
    }

    #[test]
    fn a_badge_is_not_in_what_is_logged_about_it() {
        let badge = read_label(b"OP:B-0007").expect("a badge");
        assert!(!format!("{badge:?}").contains("B-0007"));
    }

    proptest! {
        #[test]
        fn any_bytes_end_as_one_label_or_one_named_refusal(
            raw in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let word = read_label(&raw).map_err(NotALabel::word);
            prop_assert!(word.is_ok() || !word.err().unwrap_or_default().is_empty());
            prop_assert_eq!(raw.len() > LABEL_BYTES_MAX, read_label(&raw) == Err(NotALabel::TooLong));
        }

        #[test]
        fn bytes_that_look_like_labels_keep_the_pattern_or_are_refused(
            prefix in "(WO|OP|SN|BIN|XX|\\]C1|\\]d2|\\]Q1)",
            rest in "[ -~\u{0}-\u{1f}\u{e9}]{0,80}",
        ) {
            let raw = format!("{prefix}:{rest}");
            match read_label(raw.as_bytes()) {
                Ok(Label::Badge(badge)) => prop_assert!(BADGE_CHARACTERS.contains(&badge.text().len())),
                Ok(Label::Serial(serial)) => prop_assert!(SERIAL_CHARACTERS.contains(&serial.len())),
                Ok(Label::Bin(bin)) => prop_assert!(bin_name(&bin).is_some()),
                Ok(Label::Order(_) | Label::SignOut) | Err(_) => {}
            }
        }

        #[test]
        fn a_printed_label_is_read_as_it_was_printed(
            number in "[A-Za-z0-9][A-Za-z0-9-]{0,20}[A-Za-z0-9]",
            badge in "[!-~]{4,64}",
        ) {
            prop_assert_eq!(said(format!("WO:{number}").as_bytes()), format!("order {number}"));
            prop_assert_eq!(said(format!("]Q1OP:{badge}\r").as_bytes()), format!("badge {badge}"));
        }
    }
}
