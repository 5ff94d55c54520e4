//! Keys in files: PKCS#8 and SubjectPublicKeyInfo of RFC 8410, in PEM, as OpenSSL reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Why a key file could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block of the expected kind.
    #[error("reading a key: expected one PEM block {0:?}")]
    NotPem(&'static str),
    /// The block holds another kind of key, or a damaged one.
    #[error("reading a key: not a whole key of the kind {0}")]
    WrongKind(&'static str),
}

pub(crate) const PRIVATE: &str = "PRIVATE KEY";
pub(crate) const PUBLIC: &str = "PUBLIC KEY";

/// `PrivateKeyInfo` up to the 32 bytes of an X25519 key.
pub(crate) const X25519_PRIVATE_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
];
/// `SubjectPublicKeyInfo` up to the 32 bytes of an X25519 key.
pub(crate) const X25519_PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];
/// `SubjectPublicKeyInfo` up to the 32 bytes of an Ed25519 key.
pub(crate) const ED25519_PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(crate) fn to_pem(kind: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut out = Zeroizing::new(String::with_capacity(body.len() + 80));
    out.push_str(&format!("-----BEGIN {kind}-----\n"));
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push_str(&format!("\n-----END {kind}-----\n"));
    out
}

pub(crate) fn from_pem(kind: &'static str, text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let body = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {kind}-----"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {kind}-----")))
        .ok_or(KeyError::NotPem(kind))?;
    let joined: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    STANDARD.decode(joined.as_bytes()).map(Zeroizing::new).map_err(|_| KeyError::NotPem(kind))
}

/// The 32 bytes behind a fixed DER prefix.
pub(crate) fn after_prefix(
    der: &[u8],
    prefix: &[u8],
    what: &'static str,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let raw = der.strip_prefix(prefix).ok_or(KeyError::WrongKind(what))?;
    let bytes: [u8; 32] = raw.try_into().map_err(|_| KeyError::WrongKind(what))?;
    Ok(Zeroizing::new(bytes))
}
