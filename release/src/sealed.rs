//! A release that trusted documents name, sealed; and the same release, opened.
//!
//! [`SealedRelease`] comes only from [`crate::TrustedRepository::release`], [`Release`] only from
//! [`SealedRelease::open`]: who holds one has the proof in hand. Neither can be read from bytes.

use std::error::Error;
use std::fmt;

use crate::digest::Digest;
use crate::image::Segment;
use crate::manifest::{ChunkRef, Manifest};
use crate::names::{Channel, Name};
use crate::opening::open_image;
use crate::seal::Seal;
use crate::wrap::ContentKey;

/// A release named by trusted targets. Its chunks may be anywhere; they are judged when opened.
#[derive(Debug, Clone)]
pub struct SealedRelease {
    manifest: Manifest,
    manifest_sha256: Digest,
}

/// An opened release: every byte came out of a chunk that R&D sealed and signed.
pub struct Release {
    manifest: Manifest,
    manifest_sha256: Digest,
    channel: Channel,
    images: Vec<OpenImage>,
}

/// One image, ready to be flashed.
pub struct OpenImage {
    /// R&D's name for it.
    pub name: Name,
    /// The pieces, by address. Plain bytes: in memory only, erased when dropped.
    pub segments: Vec<Segment>,
}

/// Why a release could not be opened. Each names the image and the chunk, counted from 0.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The release is not sealed for this channel.
    #[error("opening the release: it is not meant for the channel {0}")]
    NotForChannel(Channel),
    /// The chunk could not be read from where it is kept.
    #[error("opening chunk {chunk} of the image {image}: reading it")]
    Unreadable {
        /// The image.
        image: Name,
        /// The chunk.
        chunk: usize,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The chunk is cut off or too long.
    #[error("opening chunk {chunk} of the image {image}: {bytes} bytes instead of {expected}")]
    WrongLength {
        /// The image.
        image: Name,
        /// The chunk.
        chunk: usize,
        /// Its length.
        bytes: usize,
        /// The length the manifest implies.
        expected: usize,
    },
    /// The chunk is not the one the manifest names: damaged, or another one in its place.
    #[error("opening chunk {chunk} of the image {image}: its digest is not the manifest's")]
    WrongDigest {
        /// The image.
        image: Name,
        /// The chunk.
        chunk: usize,
    },
    /// The chunk is the named one, but not sealed for this place under this content key.
    #[error(
        "opening chunk {chunk} of the image {image}: it does not authenticate at this place under this key"
    )]
    NotAuthentic {
        /// The image.
        image: Name,
        /// The chunk.
        chunk: usize,
    },
    /// The opened bytes are not the manifest's: packed wrongly.
    #[error("opening the image {image}: the piece at {address:#010x} is not the manifest's")]
    WrongPiece {
        /// The image.
        image: Name,
        /// The piece's address.
        address: u64,
    },
}

impl SealedRelease {
    /// For [`crate::TrustedRepository`] only: the manifest's digest has been found in trusted
    /// targets.
    pub(crate) fn proven(manifest: Manifest, manifest_sha256: Digest) -> Self {
        Self { manifest, manifest_sha256 }
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest: the name of the release everywhere.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.manifest_sha256
    }

    /// The chunks that a station needs for a channel, in order; none if it is not meant for it.
    #[must_use]
    pub fn chunks(&self, channel: Channel) -> Vec<ChunkRef> {
        self.manifest.chunks(channel)
    }

    /// Opens the release for a channel, fetching each sealed chunk by its digest.
    ///
    /// # Errors
    /// [`OpenError`] with image, chunk and cause; nothing opened is given out then.
    pub fn open<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        channel: Channel,
        key: &ContentKey,
        mut read_chunk: impl FnMut(&Digest) -> Result<Vec<u8>, E>,
    ) -> Result<Release, OpenError> {
        let manifest = &self.manifest;
        let sealed = manifest.sealed_for(channel).ok_or(OpenError::NotForChannel(channel))?;
        let mut images = Vec::with_capacity(manifest.images.len());
        for (number, (entry, sealed)) in (0u16..).zip(manifest.images.iter().zip(&sealed.images)) {
            let seal = Seal::of(manifest, channel, number, key)
                .map_err(|_| OpenError::NotAuthentic { image: entry.name.clone(), chunk: 0 })?;
            let read = |chunk: usize, digest: &Digest| {
                read_chunk(digest).map_err(|source| OpenError::Unreadable {
                    image: entry.name.clone(),
                    chunk,
                    source: source.into(),
                })
            };
            let segments = open_image(entry, manifest.chunk_bytes, &sealed.chunks, &seal, read)?;
            images.push(OpenImage { name: entry.name.clone(), segments });
        }
        Ok(Release {
            manifest: manifest.clone(),
            manifest_sha256: self.manifest_sha256,
            channel,
            images,
        })
    }
}

impl Release {
    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.manifest_sha256
    }

    /// The channel for which it was opened.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// The images in the manifest's order.
    #[must_use]
    pub fn images(&self) -> &[OpenImage] {
        &self.images
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release")
            .field("manifest_sha256", &self.manifest_sha256)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenImage")
            .field("name", &self.name)
            .field("segments", &self.segments)
            .finish()
    }
}
