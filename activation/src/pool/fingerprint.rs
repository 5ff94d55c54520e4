//! How the pool recognises a value it has imported before without keeping it.

use ring::hmac;
use std::fmt;
use zeroize::Zeroizing;

const CONTEXT: &[u8] = b"flashline pool fingerprint";

/// The pool's own random key for fingerprints. Without it a fingerprint tells nothing, even of a
/// value that could be guessed. Erased when dropped.
pub struct Pepper(Zeroizing<[u8; 32]>);

impl Pepper {
    /// 32 random bytes that the pool keeps as long as its credentials.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The fingerprint of `value` in the column `name`: HMAC-SHA256 over a context, the name's
    /// length as u64 little endian, the name and the value, cut to 16 bytes.
    #[must_use]
    pub fn fingerprint(&self, name: &str, value: &[u8]) -> Fingerprint {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        let mut mac = hmac::Context::with_key(&key);
        mac.update(CONTEXT);
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(value);
        let mut fingerprint = [0; 16];
        fingerprint.iter_mut().zip(mac.sign().as_ref()).for_each(|(to, &from)| *to = from);
        Fingerprint(fingerprint)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper")
    }
}

/// What the pool remembers of a value: equal for equal values of one column, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);
