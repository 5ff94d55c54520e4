//! Images and a recipe in, a manifest and sealed chunks out.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::canonical::{DocumentError, NoCanonicalForm};
use crate::chips;
use crate::digest::Digest;
use crate::image::{self, Facts, ImageError, ImageFormat, LeftOut, Segment};
use crate::limits::CHUNK_BYTES;
use crate::manifest::{
    ImageEntry, MANIFEST_FORMAT, MANIFEST_VERSION, Manifest, SealedChannel, SealedImage,
    SegmentEntry,
};
use crate::names::{Channel, Label, Name};
use crate::random::{NoRandom, Random};
use crate::recipe::Recipe;
use crate::seal::{NotAuthentic, Seal, seal_image};
use crate::wrap::ContentKey;

/// What R&D hands in.
pub struct Pack {
    /// Whose firmware it is.
    pub tenant: Name,
    /// The product.
    pub product: Name,
    /// The release's version.
    pub version: Label,
    /// The hardware revisions it fits, in any order.
    pub hardware_revisions: Vec<Label>,
    /// When it is packed, in milliseconds since the Unix epoch.
    pub packed_ms: i64,
    /// The recipe; an empty memory map is filled from the chip table.
    pub recipe: Recipe,
    /// The images.
    pub images: Vec<ImageFile>,
    /// Plain bytes in a chunk; [`CHUNK_BYTES`] unless there is a reason.
    pub chunk_bytes: u32,
}

/// One image file.
pub struct ImageFile {
    /// R&D's name for the image.
    pub name: Name,
    /// How the file is written.
    pub format: ImageFormat,
    /// The file.
    pub file: Zeroizing<Vec<u8>>,
}

/// A sealed release, not yet signed.
pub struct Packed {
    /// The manifest.
    pub manifest: Manifest,
    /// Its canonical bytes: what is signed and named by digest.
    pub manifest_bytes: Vec<u8>,
    /// The sealed chunks by digest.
    pub chunks: BTreeMap<Digest, Vec<u8>>,
    /// The content key of each channel.
    pub content_keys: Vec<(Channel, ContentKey)>,
}

/// Why a release could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// An image was refused.
    #[error("packing the image {image}")]
    Image {
        /// Its name.
        image: Name,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// Two images claim one address.
    #[error("packing the images {first} and {second}: both claim the address {address:#010x}")]
    Overlap {
        /// The one that begins lower.
        first: Name,
        /// The other one.
        second: Name,
        /// The first address that both claim.
        address: u64,
    },
    /// No memory map: neither in the recipe nor in the chip table.
    #[error("packing for the chip {chip}: not in the chip table, and the recipe has no memory map")]
    UnknownChip {
        /// The chip.
        chip: Label,
    },
    /// The recipe or the release as a whole breaks a rule.
    #[error("packing the release")]
    Rule(#[from] DocumentError),
    /// No randomness for the content keys.
    #[error("packing the release: drawing content keys")]
    NoRandom(#[from] NoRandom),
    /// A text with control characters.
    #[error("packing the release: writing the manifest")]
    NoCanonicalForm(#[from] NoCanonicalForm),
    /// The platform refused to seal.
    #[error("packing the release: sealing")]
    Seal(#[from] NotAuthentic),
}

impl Pack {
    /// The usual chunk size.
    pub const CHUNK_BYTES: u32 = CHUNK_BYTES;

    /// Reads the images, checks every rule, seals each channel under a fresh content key.
    ///
    /// # Errors
    /// [`PackError`] by kind of refusal.
    pub fn pack(mut self, random: &mut dyn Random) -> Result<Packed, PackError> {
        if self.recipe.memory.is_empty() {
            self.recipe.memory = chips::memory_of(self.recipe.chip.as_str())
                .ok_or_else(|| PackError::UnknownChip { chip: self.recipe.chip.clone() })?;
        }
        if let Some(test) = &mut self.recipe.self_test {
            test.expect = test
                .expect
                .replace("{version}", self.version.as_str())
                .replace("{product}", self.product.as_str());
        }
        self.recipe.check()?;
        self.hardware_revisions.sort();
        self.hardware_revisions.dedup();

        let mut plain = Vec::with_capacity(self.images.len());
        for file in &self.images {
            let read = read(file, &self.recipe)
                .map_err(|source| PackError::Image { image: file.name.clone(), source })?;
            plain.push(read);
        }
        let images: Vec<ImageEntry> =
            self.images.iter().zip(&plain).map(|(file, plain)| entry(&file.name, plain)).collect();
        check_apart(&images)?;
        let mut manifest = Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            v: MANIFEST_VERSION,
            tenant: self.tenant,
            product: self.product,
            version: self.version,
            hardware_revisions: self.hardware_revisions,
            packed_ms: self.packed_ms,
            recipe: self.recipe,
            images,
            chunk_bytes: self.chunk_bytes,
            sealed: Vec::new(),
        };
        let mut chunks = BTreeMap::new();
        let mut content_keys = Vec::new();
        for channel in manifest.recipe.channels.clone() {
            let key = ContentKey::generate(random)?;
            let mut sealed = SealedChannel { channel, images: Vec::new() };
            for (number, (entry, plain)) in (0u16..).zip(manifest.images.iter().zip(&plain)) {
                let segments = &plain.segments;
                let seal = Seal::of(&manifest, channel, number, &key)?;
                let mut digests = Vec::new();
                for chunk in seal_image(&seal, segments, manifest.chunk_bytes)? {
                    let digest = Digest::of(&chunk);
                    digests.push(digest);
                    chunks.insert(digest, chunk);
                }
                sealed.images.push(SealedImage { name: entry.name.clone(), chunks: digests });
            }
            manifest.sealed.push(sealed);
            content_keys.push((channel, key));
        }
        manifest.check()?;
        let manifest_bytes = manifest.to_bytes()?;
        // What a station would refuse to read is refused here already.
        Manifest::from_bytes(&manifest_bytes)?;
        Ok(Packed { manifest, manifest_bytes, chunks, content_keys })
    }
}

struct Plain {
    segments: Vec<Segment>,
    left_out: Vec<LeftOut>,
    facts: Facts,
}

fn read(file: &ImageFile, recipe: &Recipe) -> Result<Plain, ImageError> {
    let read = image::read(file.format, &file.file)?;
    let facts = read.facts.clone();
    let (segments, left_out) = read.for_recipe(recipe)?;
    Ok(Plain { segments, left_out, facts })
}

/// Refuses two images that claim one address, by their names; two of one name are refused for that
/// by the manifest's rules.
fn check_apart(images: &[ImageEntry]) -> Result<(), PackError> {
    let mut pieces: Vec<(&SegmentEntry, &Name)> = images
        .iter()
        .flat_map(|image| image.segments.iter().map(|piece| (piece, &image.name)))
        .collect();
    pieces.sort_by_key(|(piece, _)| piece.address);
    for pair in pieces.windows(2) {
        let ((before, first), (after, second)) = (pair[0], pair[1]);
        if first != second && after.address < before.address + before.bytes {
            let (first, second) = (first.clone(), second.clone());
            return Err(PackError::Overlap { first, second, address: after.address });
        }
    }
    Ok(())
}

fn entry(name: &Name, plain: &Plain) -> ImageEntry {
    let segments: Vec<SegmentEntry> = plain
        .segments
        .iter()
        .map(|segment| SegmentEntry {
            address: segment.address,
            bytes: segment.bytes.len() as u64,
            sha256: Digest::of(&segment.bytes),
        })
        .collect();
    ImageEntry {
        name: name.clone(),
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        segments,
        left_out: plain.left_out.clone(),
        facts: (!plain.facts.is_plain()).then(|| plain.facts.clone()),
    }
}
