//! Canonical JSON: RFC 8785 for the values that records are made of.
//!
//! Objects, arrays, strings, booleans and integers up to 2^53 - 1 in either direction. Fractions,
//! exponents and null have no place in a record and are refused, so the one difficult part of RFC
//! 8785 (printing floats) never arises.

use serde::Serialize;
use serde_json::Value;

/// Largest integer that every JSON reader keeps exact: 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a value has no canonical form here.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The value is no JSON at all (a map with keys that are no strings, say).
    #[error("turning a value into JSON")]
    NotJson(#[source] serde_json::Error),
    /// An integer that not every reader keeps exact.
    #[error("the integer {0} lies beyond 2^53 - 1")]
    IntegerTooLarge(String),
    /// A number with a fraction or an exponent.
    #[error("the number {0} is no integer")]
    NotAnInteger(String),
    /// null.
    #[error("null has no place in a record; leave the member out")]
    Null,
}

/// The canonical JSON text of `value`.
///
/// # Errors
/// [`CanonicalError`].
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    canonical_value(&serde_json::to_value(value).map_err(CanonicalError::NotJson)?)
}

pub(crate) fn canonical_value(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut text = Vec::with_capacity(256);
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, text: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => return Err(CanonicalError::Null),
        Value::Bool(true) => text.extend_from_slice(b"true"),
        Value::Bool(false) => text.extend_from_slice(b"false"),
        Value::Number(number) => {
            let magnitude = if let Some(positive) = number.as_u64() {
                positive
            } else if let Some(negative) = number.as_i64() {
                negative.unsigned_abs()
            } else {
                return Err(CanonicalError::NotAnInteger(number.to_string()));
            };
            if magnitude > INTEGER_MAX {
                return Err(CanonicalError::IntegerTooLarge(number.to_string()));
            }
            text.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at != 0 {
                    text.push(b',');
                }
                write(item, text)?;
            }
            text.push(b']');
        }
        Value::Object(members) => {
            // RFC 8785 sorts by UTF-16 code units, which differs from UTF-8 order beyond the BMP.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push(b'{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at != 0 {
                    text.push(b',');
                }
                write_string(name, text);
                text.push(b':');
                write(member, text)?;
            }
            text.push(b'}');
        }
    }
    Ok(())
}

fn write_string(string: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    for character in string.chars() {
        match character {
            '"' => text.extend_from_slice(b"\\\""),
            '\\' => text.extend_from_slice(b"\\\\"),
            '\u{8}' => text.extend_from_slice(b"\\b"),
            '\t' => text.extend_from_slice(b"\\t"),
            '\n' => text.extend_from_slice(b"\\n"),
            '\u{C}' => text.extend_from_slice(b"\\f"),
            '\r' => text.extend_from_slice(b"\\r"),
            control if control < ' ' => {
                text.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => text.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_rfc_8785_says() {
        let check = |json: &str, expected: &str| {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
        };
        check(r#" { "b" : [ true , false ] , "a" : -7 } "#, r#"{"a":-7,"b":[true,false]}"#);
        check("{}", "{}");
        check("[]", "[]");
        check("9007199254740991", "9007199254740991");
        check("-9007199254740991", "-9007199254740991");
        // RFC 8785, section 3.2.2.2 and 3.2.3 (the members that hold no fraction).
        check(
            r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#,
            "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"",
        );
        check(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        );
        check("\"\\u007f\\u2028\"", "\"\u{7f}\u{2028}\"");
    }

    #[test]
    fn what_not_every_reader_keeps_exact_is_refused() {
        for json in ["9007199254740992", "-9007199254740992", "18446744073709551615"] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert!(matches!(canonical(&value), Err(CanonicalError::IntegerTooLarge(_))), "{json}");
        }
        for json in ["1.5", "1e3", "99999999999999999999", "1.0", "-0"] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert!(matches!(canonical(&value), Err(CanonicalError::NotAnInteger(_))), "{json}");
        }
        assert!(matches!(canonical(&[None::<u8>]), Err(CanonicalError::Null)));
    }
}
