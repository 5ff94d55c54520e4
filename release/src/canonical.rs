//! One spelling for every document.
//!
//! Documents are written in securesystemslib canonical JSON (sorted keys, no spaces, integers
//! only) by `sigstore-tuf`'s encoder and are read strictly: what does not equal its own canonical
//! spelling, byte for byte, is refused. Duplicate keys, unknown fields, stray white space, `null`
//! for an absent field and upper-case hex therefore have no second meaning: they have none.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Longer than its kind may be.
    #[error("reading {what}: {bytes} bytes, more than the {bytes_max} allowed")]
    TooLong {
        /// The kind of document.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not JSON of the expected shape: a missing, unknown or duplicate field, or a bad value.
    #[error("reading {what}: not a document of this kind")]
    Shape {
        /// The kind of document.
        what: &'static str,
        /// What serde objected to.
        #[source]
        source: serde_json::Error,
    },
    /// The right content in another spelling.
    #[error("reading {what}: not in canonical form")]
    NotCanonical {
        /// The kind of document.
        what: &'static str,
    },
    /// Another kind of document, or a version this program does not know.
    #[error("reading {what}: format {format:?} version {version} is not known here")]
    UnknownFormat {
        /// The kind of document.
        what: &'static str,
        /// The `format` it carries.
        format: String,
        /// The `v` it carries.
        version: u64,
    },
    /// Well formed, but a value breaks a rule of its kind.
    #[error("reading {what}: {rule}")]
    Rule {
        /// The kind of document.
        what: &'static str,
        /// The rule that is broken.
        rule: &'static str,
    },
}

/// A value that has no canonical form: it holds a fraction, or a control character in a text.
#[derive(Debug, thiserror::Error)]
#[error("writing canonical JSON: a value has no canonical form")]
pub struct NoCanonicalForm;

/// The canonical bytes of a value.
///
/// # Errors
/// [`NoCanonicalForm`] for fractions and for texts with control characters: the canonical
/// encoder writes those raw, and no JSON reader would take them back.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, NoCanonicalForm> {
    let value = serde_json::to_value(value).map_err(|_| NoCanonicalForm)?;
    value_to_bytes(&value)
}

pub(crate) fn value_to_bytes(value: &Value) -> Result<Vec<u8>, NoCanonicalForm> {
    if !speakable(value) {
        return Err(NoCanonicalForm);
    }
    sigstore_tuf::canonical_json::to_canonical_bytes(value).map_err(|_| NoCanonicalForm)
}

fn speakable(value: &Value) -> bool {
    let plain = |text: &str| !text.chars().any(char::is_control);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().all(speakable),
        Value::Object(map) => map.iter().all(|(key, item)| plain(key) && speakable(item)),
    }
}

/// Reads a document of at most `bytes_max` bytes that must be in canonical form.
///
/// # Errors
/// [`DocumentError`] by kind of refusal.
pub fn from_bytes<T: Serialize + DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, DocumentError> {
    fits(what, bytes, bytes_max)?;
    let value: T =
        serde_json::from_slice(bytes).map_err(|source| DocumentError::Shape { what, source })?;
    match to_bytes(&value) {
        Ok(canonical) if canonical == bytes => Ok(value),
        Ok(_) | Err(NoCanonicalForm) => Err(DocumentError::NotCanonical { what }),
    }
}

/// Reads a document that carries `format` and `v`: another kind or a later version is refused by
/// that name, before its fields are judged.
///
/// # Errors
/// [`DocumentError`] by kind of refusal.
pub(crate) fn from_versioned_bytes<T: Serialize + DeserializeOwned>(
    what: &'static str,
    known: (&str, u64),
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, DocumentError> {
    from_bytes_of_versions(what, &[known], bytes, bytes_max)
}

/// As [`from_versioned_bytes`], for a document of which several versions are known.
///
/// # Errors
/// [`DocumentError`] by kind of refusal.
pub(crate) fn from_bytes_of_versions<T: Serialize + DeserializeOwned>(
    what: &'static str,
    known: &[(&str, u64)],
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, DocumentError> {
    let value = require(what, bytes, bytes_max)?;
    let (format, version) = format_of(&value);
    if !known.contains(&(format, version)) {
        return Err(unknown_format(what, format, version));
    }
    from_bytes(what, bytes, bytes_max)
}

/// Refuses another kind of document, or a version not known here, by that name.
pub(crate) fn is_format(
    what: &'static str,
    value: &Value,
    known: (&str, u64),
) -> Result<(), DocumentError> {
    let found = format_of(value);
    if found == known { Ok(()) } else { Err(unknown_format(what, found.0, found.1)) }
}

fn format_of(value: &Value) -> (&str, u64) {
    (
        value.get("format").and_then(Value::as_str).unwrap_or_default(),
        value.get("v").and_then(Value::as_u64).unwrap_or_default(),
    )
}

fn unknown_format(what: &'static str, format: &str, version: u64) -> DocumentError {
    DocumentError::UnknownFormat { what, format: format.chars().take(64).collect(), version }
}

/// Checks length and canonical spelling of a document whose content another reader takes.
pub(crate) fn require(
    what: &'static str,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<Value, DocumentError> {
    from_bytes(what, bytes, bytes_max)
}

fn fits(what: &'static str, bytes: &[u8], bytes_max: usize) -> Result<(), DocumentError> {
    if bytes.len() > bytes_max {
        return Err(DocumentError::TooLong { what, bytes: bytes.len(), bytes_max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, accepted: bool) {
        let read = from_bytes::<Value>("a test", text.as_bytes(), 64);
        assert_eq!(read.is_ok(), accepted, "{text}: {read:?}");
    }

    #[test]
    fn a_document_has_one_spelling() {
        check(r#"{"a":1,"b":["x",true,null,-5]}"#, true);
        check(r#"{"b":1,"a":1}"#, false);
        check(r#"{"a": 1}"#, false);
        check(r#"{"a":1,"a":1}"#, false);
        check(r#"{"a":1.0}"#, false);
        check(r#"{"a":1e2}"#, false);
        check(r#"{"a":-0}"#, false);
        check(r#"{"a":"\u0062"}"#, false);
        check(r#"{"a":"\n"}"#, false);
        check("{\"a\":\"\u{7f}\"}", false);
        check(r#"{"a":1}x"#, false);
        check("", false);
        check(&format!("[{}1]", "1,".repeat(40)), false);
    }
}
