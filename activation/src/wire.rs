//! Taking fixed-size fields off the front of bytes, hashing length-prefixed texts, and checking
//! one signature: the three motions every format of this crate is made of.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Length of every domain-separation prefix; the texts are padded with zeros.
pub(crate) const CONTEXT_BYTES: usize = 32;

/// A domain-separation prefix: `text`, then zeros.
#[allow(clippy::indexing_slicing, reason = "in bounds by the condition; evaluated by the compiler")]
pub(crate) const fn context(text: &str) -> [u8; CONTEXT_BYTES] {
    let text = text.as_bytes();
    let mut padded = [0; CONTEXT_BYTES];
    let mut at = 0;
    while at < text.len() && at < CONTEXT_BYTES {
        padded[at] = text[at];
        at += 1;
    }
    padded
}

/// Reads fields one after another; a field beyond the end is `None`.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (field, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(field)
    }

    pub(crate) fn take_some(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(field)
    }

    #[cfg(feature = "pool")]
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take_u16(&mut self) -> Option<u16> {
        self.take().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(crate) fn take_u32(&mut self) -> Option<u32> {
        self.take().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// The bytes in front of `padded`'s zero padding, if `used` fits and the rest really is zero.
pub(crate) fn unpadded(padded: &[u8], used: u8) -> Option<&[u8]> {
    let (text, padding) = padded.split_at_checked(usize::from(used))?;
    padding.iter().all(|&byte| byte == 0).then_some(text)
}

/// SHA-256 over a context and parts, each part behind its length as u64 little endian, so that no
/// two different lists of parts hash the same input.
pub(crate) fn digest_of(context: &[u8; CONTEXT_BYTES], parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(context);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The digest under which a product's name stands in certificates.
pub(crate) fn product_digest(product: &str) -> [u8; 32] {
    const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline product");
    digest_of(&CONTEXT, &[product.as_bytes()])
}

/// What a key signs: the context, then the body. `MESSAGE` is their length together.
pub(crate) fn message_of<const BODY: usize, const MESSAGE: usize>(
    context: &[u8; CONTEXT_BYTES],
    body: &[u8; BODY],
) -> [u8; MESSAGE] {
    const { assert!(MESSAGE == CONTEXT_BYTES + BODY) };
    let mut message = [0; MESSAGE];
    let source = context.iter().chain(body);
    message.iter_mut().zip(source).for_each(|(target, &byte)| *target = byte);
    message
}

/// What a key signs of bytes whose number varies: the context, then their SHA-256. A small chip so
/// needs no room for a copy of them.
pub(crate) fn digest_message(
    context: &[u8; CONTEXT_BYTES],
    body: &[u8],
) -> [u8; CONTEXT_BYTES + 32] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    message_of(context, &digest)
}

/// Strict Ed25519: small-order keys and points are refused, so an all-zero key never verifies.
pub(crate) fn is_signed(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
        .is_ok()
}
