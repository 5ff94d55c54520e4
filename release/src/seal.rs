//! Sealing an image in chunks, and opening chunks.
//!
//! AES-256-GCM. Nonce: 5 zero bytes, image number (16 bit), chunk counter (32 bit), last flag
//! (8 bit), so that under one content key no nonce repeats and a cut, swapped or reordered chunk
//! cannot authenticate. Additional data: SHA-256 of the seal header, which says whose image of
//! which release for which channel this is. A content key must seal one release for one channel.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::canonical::{self, NoCanonicalForm};
use crate::digest::Digest;
use crate::image::Segment;
use crate::limits::TAG_BYTES;
use crate::manifest::{Manifest, chunk_lengths};
use crate::names::{Channel, Label, Name};
use crate::wrap::ContentKey;

/// Where a chunk stands in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Another chunk follows.
    Inner,
    /// It is the last.
    Last,
}

/// One image of one release for one channel: what every chunk of it is bound to.
pub struct Seal {
    key: LessSafeKey,
    image: u16,
    header_sha256: Digest,
}

#[derive(Serialize)]
struct Header<'a> {
    format: &'static str,
    v: u8,
    tenant: &'a Name,
    product: &'a Name,
    version: &'a Label,
    channel: Channel,
    image: &'a Name,
    image_number: u16,
    image_bytes: u64,
    chunk_bytes: u32,
}

/// A chunk did not authenticate, or the platform refused to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("opening a sealed chunk: it does not authenticate")]
pub struct NotAuthentic;

/// The seal header of one image: canonical JSON, never stored, rebuilt from the manifest.
///
/// # Errors
/// [`NoCanonicalForm`] never happens for a checked manifest.
pub fn header(
    manifest: &Manifest,
    channel: Channel,
    image: u16,
) -> Result<Vec<u8>, NoCanonicalForm> {
    let entry = manifest.images.get(usize::from(image)).ok_or(NoCanonicalForm)?;
    canonical::to_bytes(&Header {
        format: "flashline-seal",
        v: 1,
        tenant: &manifest.tenant,
        product: &manifest.product,
        version: &manifest.version,
        channel,
        image: &entry.name,
        image_number: image,
        image_bytes: entry.bytes,
        chunk_bytes: manifest.chunk_bytes,
    })
}

/// The nonce of a chunk.
#[must_use]
pub fn nonce(image: u16, counter: u32, place: Place) -> [u8; 12] {
    let mut out = [0; 12];
    out[5..7].copy_from_slice(&image.to_be_bytes());
    out[7..11].copy_from_slice(&counter.to_be_bytes());
    out[11] = u8::from(place == Place::Last);
    out
}

impl Seal {
    /// The seal of one image of a manifest.
    ///
    /// # Errors
    /// [`NoCanonicalForm`] never happens for a checked manifest.
    ///
    /// # Panics
    /// Never: a content key has the length AES-256 wants.
    pub fn of(
        manifest: &Manifest,
        channel: Channel,
        image: u16,
        key: &ContentKey,
    ) -> Result<Self, NoCanonicalForm> {
        let header_sha256 = Digest::of(&header(manifest, channel, image)?);
        let key = UnboundKey::new(&AES_256_GCM, key.expose())
            .unwrap_or_else(|_| unreachable!("32 bytes are an AES-256 key"));
        Ok(Self { key: LessSafeKey::new(key), image, header_sha256 })
    }

    /// Seals one chunk in place: plain bytes in, sealed bytes and tag out.
    ///
    /// # Errors
    /// [`NotAuthentic`] never happens below the size limits.
    pub fn seal_chunk(
        &self,
        counter: u32,
        place: Place,
        plain: Vec<u8>,
    ) -> Result<Vec<u8>, NotAuthentic> {
        let mut bytes = Zeroizing::new(plain);
        let nonce = Nonce::assume_unique_for_key(nonce(self.image, counter, place));
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(self.header_sha256.as_bytes()), &mut bytes)
            .map_err(|_| NotAuthentic)?;
        Ok([bytes.as_slice(), tag.as_ref()].concat())
    }

    /// Opens one chunk in place and gives its plain part.
    ///
    /// # Errors
    /// [`NotAuthentic`] for anything but this chunk of this image at this place.
    pub fn open_chunk<'a>(
        &self,
        counter: u32,
        place: Place,
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], NotAuthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce(self.image, counter, place));
        self.key
            .open_in_place(nonce, Aad::from(self.header_sha256.as_bytes()), sealed)
            .map(|plain| &*plain)
            .map_err(|_| NotAuthentic)
    }
}

impl Seal {
    /// Opens one chunk into `plain`, which has the length of its plain part.
    ///
    /// # Errors
    /// [`NotAuthentic`] for anything but this chunk of this image at this place; `plain` is erased.
    pub(crate) fn open_chunk_into(
        &self,
        counter: u32,
        place: Place,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let (cipher, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(NotAuthentic)?;
        if cipher.len() != plain.len() {
            return Err(NotAuthentic);
        }
        plain.copy_from_slice(cipher);
        let nonce = Nonce::assume_unique_for_key(nonce(self.image, counter, place));
        let aad = Aad::from(self.header_sha256.as_bytes());
        let opened = self.key.open_in_place_separate_tag(nonce, aad, Tag::from(*tag), plain, 0..);
        match opened {
            Ok(_) => Ok(()),
            Err(_) => {
                plain.fill(0);
                Err(NotAuthentic)
            }
        }
    }
}

/// Seals the pieces of an image, one behind the other, chunk by chunk.
///
/// # Errors
/// [`NotAuthentic`] never happens below the size limits.
pub(crate) fn seal_image(
    seal: &Seal,
    segments: &[Segment],
    chunk_bytes: u32,
) -> Result<Vec<Vec<u8>>, NotAuthentic> {
    let total: u64 = segments.iter().map(|segment| segment.bytes.len() as u64).sum();
    let lengths: Vec<usize> = chunk_lengths(total, chunk_bytes).collect();
    let mut later = segments.iter();
    let mut now: &[u8] = &[];
    let mut out = Vec::with_capacity(lengths.len());
    for (index, &length) in lengths.iter().enumerate() {
        let place = if index + 1 == lengths.len() { Place::Last } else { Place::Inner };
        // Room for all of it at once: growing would leave copies of plain bytes behind.
        let mut plain = Vec::with_capacity(length);
        while plain.len() < length {
            if now.is_empty() {
                let Some(segment) = later.next() else { break };
                now = &segment.bytes;
            }
            let (taken, rest) = now.split_at(now.len().min(length - plain.len()));
            plain.extend_from_slice(taken);
            now = rest;
        }
        out.push(seal.seal_chunk(counter(index)?, place, plain)?);
    }
    Ok(out)
}

pub(crate) fn counter(index: usize) -> Result<u32, NotAuthentic> {
    u32::try_from(index).map_err(|_| NotAuthentic)
}
