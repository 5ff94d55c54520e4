//! Signed notes (C2SP signed-note): a text, a blank line, and signature lines.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::digest::{SHA256, digest};

/// Longest note that is read, in bytes.
pub(crate) const NOTE_BYTES_MAX: usize = 16 * 1024;
/// Most signature lines that are read.
pub(crate) const SIGNATURES_MAX: usize = 64;

/// Signature types of the C2SP register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureType {
    /// Ed25519 over the note text.
    Ed25519 = 0x01,
    /// Timestamped Ed25519 cosignature, version 1.
    Cosignature = 0x04,
}

/// Why a text is no signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than any note we read.
    #[error("a note of {bytes} bytes is longer than {NOTE_BYTES_MAX}")]
    TooLong {
        /// Bytes given.
        bytes: usize,
    },
    /// A control character other than newline.
    #[error("a note holds no control characters")]
    ControlCharacter,
    /// No text, blank line and signature line, or no newline at the end.
    #[error("a note is a text, a blank line and signature lines, each ended by a newline")]
    Form,
    /// A signature line that is none.
    #[error("signature line {line} of the note is malformed")]
    SignatureLine {
        /// Counted from 1.
        line: usize,
    },
    /// More signature lines than anybody needs.
    #[error("a note has at most {SIGNATURES_MAX} signature lines")]
    TooManySignatures,
    /// A key name that is empty or holds spaces or a plus sign.
    #[error("a key name is not empty and holds neither spaces nor a plus sign")]
    KeyName,
}

/// A note taken apart; nothing is proven.
pub(crate) struct Note<'a> {
    /// The text with its final newline.
    pub(crate) text: &'a str,
    pub(crate) signatures: Vec<NoteSignature<'a>>,
}

/// One signature line.
pub(crate) struct NoteSignature<'a> {
    pub(crate) name: &'a str,
    pub(crate) key_id: [u8; 4],
    pub(crate) bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    pub(crate) fn read(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong { bytes: note.len() });
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::ControlCharacter);
        }
        // The blank line that parts text and signatures is the last one.
        let split = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for (at, line) in lines.split('\n').enumerate() {
            if at == SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            let signature = NoteSignature::read(line);
            signatures.push(signature.ok_or(NoteError::SignatureLine { line: at + 1 })?);
        }
        Ok(Self { text, signatures })
    }

    /// The signatures that claim to be by this key.
    pub(crate) fn by(&self, name: &str, key_id: [u8; 4]) -> impl Iterator<Item = &[u8]> {
        self.signatures
            .iter()
            .filter(move |line| line.name == name && line.key_id == key_id)
            .map(|line| line.bytes.as_slice())
    }
}

impl<'a> NoteSignature<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        if !is_key_name(name) {
            return None;
        }
        let bytes = BASE64_STANDARD.decode(encoded).ok()?;
        let (key_id, bytes) = bytes.split_first_chunk()?;
        if bytes.is_empty() {
            return None;
        }
        Some(Self { name, key_id: *key_id, bytes: bytes.to_vec() })
    }
}

/// One signature line with its newline.
pub(crate) fn signature_line(name: &str, key_id: [u8; 4], signature: &[u8]) -> String {
    let mut bytes = key_id.to_vec();
    bytes.extend_from_slice(signature);
    format!("— {name} {}\n", BASE64_STANDARD.encode(bytes))
}

/// The first four bytes of SHA-256 over name, newline, type and key.
pub(crate) fn key_id(name: &str, kind: SignatureType, key: &[u8; 32]) -> [u8; 4] {
    let mut text = name.as_bytes().to_vec();
    text.extend_from_slice(&[b'\n', kind as u8]);
    text.extend_from_slice(key);
    let mut id = [0; 4];
    id.iter_mut().zip(digest(&SHA256, &text).as_ref()).for_each(|(id, byte)| *id = *byte);
    id
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control() || letter == '+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    /// The example of golang.org/x/mod/sumdb/note: other people's bytes.
    #[test]
    fn a_note_signed_by_the_go_implementation_verifies() {
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ\
                    SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let key = BASE64_STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let (kind, key) = key.split_first().unwrap();
        assert_eq!(*kind, SignatureType::Ed25519 as u8);
        let key: [u8; 32] = key.try_into().unwrap();
        let id = key_id("PeterNeumann", SignatureType::Ed25519, &key);
        assert_eq!(id, [0xc7, 0x4f, 0x20, 0xa3]);

        let note = Note::read(note).unwrap();
        let signature = note.by("PeterNeumann", id).next().unwrap();
        UnparsedPublicKey::new(&ED25519, key).verify(note.text.as_bytes(), signature).unwrap();
    }

    #[test]
    fn texts_that_are_no_notes_are_refused_by_reason() {
        let check = |note: &str, refused| assert_eq!(Note::read(note).err(), refused, "{note:?}");
        let line = signature_line("name", [1, 2, 3, 4], &[5; 64]);
        check(&format!("text\n\n{line}"), None);
        check(&format!("text\n\nmore\n\n{line}{line}"), None);
        check("", Some(NoteError::Form));
        check("text\n", Some(NoteError::Form));
        check("text\n\n", Some(NoteError::Form));
        check(&format!("text\n{line}"), Some(NoteError::Form));
        check(&format!("text\n\n{}", line.trim_end()), Some(NoteError::Form));
        check(&format!("te\tt\n\n{line}"), Some(NoteError::ControlCharacter));
        check(&format!("te\rt\n\n{line}"), Some(NoteError::ControlCharacter));
        let malformed = |line| Some(NoteError::SignatureLine { line });
        check(&format!("text\n\n{line}more\n"), malformed(2));
        check("text\n\n- name AQIDBAU=\n", malformed(1));
        check("text\n\n— name AQIDBA==\n", malformed(1));
        check("text\n\n— name AQIDBAV=\n", malformed(1));
        check("text\n\n— a+b AQIDBAU=\n", malformed(1));
        check("text\n\n—  AQIDBAU=\n", malformed(1));
        check("text\n\n— name AQIDBAU= \n", malformed(1));
        check(&format!("text\n\n{}", line.repeat(65)), Some(NoteError::TooManySignatures));
        let long = format!("{}\n\n{line}", "t".repeat(NOTE_BYTES_MAX));
        check(&long, Some(NoteError::TooLong { bytes: long.len() }));
    }
}
