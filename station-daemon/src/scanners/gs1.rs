//! GS1 element strings: application identifiers and their values, as General Specifications 7.8
//! concatenates them.
//!
//! Owns where one element ends: after a predefined length, or at the separator. Leaves to others
//! what a value means.

/// What FNC1 is transmitted as behind an element without predefined length.
pub(super) const SEPARATOR: char = '\u{1d}';

/// Digits of the application identifier, and of the value where its length is predefined, by the
/// first two digits (figure 7.8.5-2; the predefined lengths will not change).
fn shape(first_two: &str) -> Option<(usize, Option<usize>)> {
    Some(match first_two {
        "00" => (2, Some(18)),
        "01" | "02" | "03" => (2, Some(14)),
        "04" => (2, Some(16)),
        "11" | "12" | "13" | "14" | "15" | "16" | "17" | "18" | "19" => (2, Some(6)),
        "20" => (2, Some(2)),
        "31" | "32" | "33" | "34" | "35" | "36" => (4, Some(6)),
        "41" => (3, Some(13)),
        "10" | "21" | "22" | "30" | "37" => (2, None),
        "90" | "91" | "92" | "93" | "94" | "95" | "96" | "97" | "98" | "99" => (2, None),
        "23" | "24" | "25" | "40" | "42" | "71" => (3, None),
        "39" | "43" | "70" | "72" | "80" | "81" | "82" => (4, None),
        _ => return None,
    })
}

/// Whether a symbology identifier announces element strings: GS1-128, DataBar, Data Matrix, QR and
/// DotCode.
pub(super) fn is_announced(identifier: &str) -> bool {
    matches!(identifier, "]C1" | "]e0" | "]d2" | "]Q3" | "]J1")
}

/// Whether the identifier is for what a company prints for itself.
pub(super) fn is_company_internal(ai: &str) -> bool {
    matches!(ai.as_bytes(), [b'9', b'0'..=b'9'])
}

/// The elements in their order; none when the string is not made of whole elements.
pub(super) fn elements(content: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = content.strip_prefix(SEPARATOR).unwrap_or(content);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (digits, length) = shape(rest.get(..2)?)?;
        let (ai, behind) = rest.split_at_checked(digits)?;
        let (value, next) = match length {
            Some(length) => behind.split_at_checked(length)?,
            None => behind.split_once(SEPARATOR).unwrap_or((behind, "")),
        };
        let good = ai.bytes().all(|byte| byte.is_ascii_digit())
            && !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !good {
            return None;
        }
        found.push((ai, value));
        // A separator is allowed behind a predefined length as well.
        rest = next.strip_prefix(SEPARATOR).unwrap_or(next);
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_end_at_their_length_or_at_the_separator() {
        let check = |content: &str, wanted: Option<&[(&str, &str)]>| {
            assert_eq!(elements(content).as_deref(), wanted, "{content:?}");
        };
        let code = ("01", "09506000134352");
        check("0109506000134352", Some(&[code]));
        check("010950600013435221A7", Some(&[code, ("21", "A7")]));
        check("0109506000134352\u{1d}21A7", Some(&[code, ("21", "A7")]));
        check("21A7\u{1d}0109506000134352", Some(&[("21", "A7"), code]));
        check("3103000750", Some(&[("3103", "000750")]));
        check("\u{1d}10L", Some(&[("10", "L")]));
        check("", None);
        check("01095060001343", None);
        check("0", None);
        check("05123", None);
        check("21", None);
        check("21\u{1d}10L", None);
        check("21A\u{e9}", None);
        check("\u{e9}\u{e9}", None);
    }
}
