//! What a release is: the one document that a trusted target names by its digest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::digest::Digest;
use crate::image::{Facts, LeftOut};
use crate::limits::{
    CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNKS_MAX, IMAGE_BYTES_MAX, IMAGES_MAX, INTEGER_MAX,
    MANIFEST_BYTES_MAX, REVISIONS_MAX, SEGMENTS_MAX, TAG_BYTES,
};
use crate::names::{Channel, Label, Name};
use crate::recipe::{ChipRecipe, Recipe};

const WHAT: &str = "a manifest";

/// The manifest's `format`.
pub const MANIFEST_FORMAT: &str = "flashline-manifest";
/// The `v` of a manifest for a unit with one chip, whose recipe is written flat.
pub const MANIFEST_OF_ONE_CHIP: u64 = 1;
/// The `v` of a manifest for a unit with several chips: its recipe lists them, and every image
/// names its chip.
pub const MANIFEST_OF_CHIPS: u64 = 2;

/// The manifest of a release, version 1 or 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`MANIFEST_FORMAT`].
    pub format: String,
    /// [`MANIFEST_OF_ONE_CHIP`] or [`MANIFEST_OF_CHIPS`], as the recipe asks.
    pub v: u64,
    /// Whose firmware it is.
    pub tenant: Name,
    /// The product it is for.
    pub product: Name,
    /// The release's version, as R&D calls it.
    pub version: Label,
    /// The hardware revisions it fits.
    pub hardware_revisions: Vec<Label>,
    /// When it was packed, in milliseconds since the Unix epoch. Information, never a rule.
    pub packed_ms: i64,
    /// The steps around flashing.
    pub recipe: Recipe,
    /// What is flashed.
    pub images: Vec<ImageEntry>,
    /// Plain bytes in each sealed chunk but the last of an image.
    pub chunk_bytes: u32,
    /// The sealed forms, one per channel of the recipe, in its order.
    pub sealed: Vec<SealedChannel>,
}

/// One image: what it is when opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEntry {
    /// R&D's name for it.
    pub name: Name,
    /// The chip it is for; absent in version 1, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<Name>,
    /// Sum of the segments' bytes.
    pub bytes: u64,
    /// The pieces, by address.
    pub segments: Vec<SegmentEntry>,
    /// The recipe's excluded ranges and what each kept out of this image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What the file said of itself; absent for raw bytes without headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// One contiguous piece of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// Address of the first byte.
    pub address: u64,
    /// Length.
    pub bytes: u64,
    /// SHA-256 of the plain bytes.
    pub sha256: Digest,
}

/// The release, sealed for one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedChannel {
    /// The channel whose content key opens it.
    pub channel: Channel,
    /// The images in the manifest's order.
    pub images: Vec<SealedImage>,
}

/// One image, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedImage {
    /// The image's name.
    pub name: Name,
    /// SHA-256 of each sealed chunk, in order.
    pub chunks: Vec<Digest>,
}

/// A sealed chunk as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// SHA-256 of the sealed bytes.
    pub digest: Digest,
    /// Length of the sealed bytes: the plain bytes and the tag.
    pub bytes: usize,
}

impl Manifest {
    /// Reads a manifest: canonical, a version known here, every rule held. Says nothing about who signed it.
    ///
    /// # Errors
    /// [`DocumentError`] by kind of refusal.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        let manifest: Self = canonical::from_bytes_of_versions(
            WHAT,
            &[(MANIFEST_FORMAT, MANIFEST_OF_ONE_CHIP), (MANIFEST_FORMAT, MANIFEST_OF_CHIPS)],
            bytes,
            MANIFEST_BYTES_MAX,
        )?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`NoCanonicalForm`] for a self-test text with control characters.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NoCanonicalForm> {
        canonical::to_bytes(self)
    }

    /// The version that a manifest with this recipe has.
    #[must_use]
    pub fn version_for(recipe: &Recipe) -> u64 {
        if recipe.is_flat() { MANIFEST_OF_ONE_CHIP } else { MANIFEST_OF_CHIPS }
    }

    /// The place of an image's chip in the recipe; none in a manifest that was not checked.
    #[must_use]
    pub fn place_of(&self, image: &ImageEntry) -> Option<usize> {
        match &image.chip {
            None => self.recipe.is_flat().then_some(0),
            Some(name) => self.recipe.chip(name).map(|(place, _)| place),
        }
    }

    /// The sealed form for a channel, if the release is meant for it.
    #[must_use]
    pub fn sealed_for(&self, channel: Channel) -> Option<&SealedChannel> {
        self.sealed.iter().find(|sealed| sealed.channel == channel)
    }

    /// The chunks of the sealed form for a channel, image by image; none if there is none.
    #[must_use]
    pub fn chunks(&self, channel: Channel) -> Vec<ChunkRef> {
        let Some(sealed) = self.sealed_for(channel) else { return Vec::new() };
        let mut out = Vec::new();
        for (entry, image) in self.images.iter().zip(&sealed.images) {
            let lengths = chunk_lengths(entry.bytes, self.chunk_bytes);
            out.extend(
                image
                    .chunks
                    .iter()
                    .zip(lengths)
                    .map(|(&digest, plain)| ChunkRef { digest, bytes: plain + TAG_BYTES }),
            );
        }
        out
    }

    /// Checks every rule that one manifest can break by itself.
    ///
    /// # Errors
    /// [`DocumentError::Rule`] with the rule.
    pub fn check(&self) -> Result<(), DocumentError> {
        self.recipe.check()?;
        rule(
            self.v == Self::version_for(&self.recipe),
            "version 1 is for one chip called main, version 2 for everything else",
        )?;
        rule(
            Name::new_product(self.product.as_str()).is_ok(),
            "the product has the name of a document",
        )?;
        rule(
            (1..=REVISIONS_MAX).contains(&self.hardware_revisions.len())
                && self.hardware_revisions.is_sorted_by(|a, b| a < b),
            "1 to 32 hardware revisions, each once, in order",
        )?;
        rule(
            (0..=INTEGER_MAX.cast_signed()).contains(&self.packed_ms),
            "packed_ms must be a time after 1970",
        )?;
        rule(
            (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&self.chunk_bytes),
            "chunk_bytes must be 16 bytes to 4 MiB",
        )?;
        rule((1..=IMAGES_MAX).contains(&self.images.len()), "1 to 16 images")?;
        let names: BTreeSet<&Name> = self.images.iter().map(|image| &image.name).collect();
        rule(names.len() == self.images.len(), "every image must have its own name")?;
        let mut chips_used = BTreeSet::new();
        for image in &self.images {
            let (place, chip) = self
                .place_of(image)
                .and_then(|place| Some((place, self.recipe.chips.get(place)?)))
                .ok_or(DocumentError::Rule {
                    what: WHAT,
                    rule: "every image must name its chip where there are several",
                })?;
            check_image(image, chip)?;
            chips_used.insert(place);
        }
        rule(chips_used.len() == self.recipe.chips.len(), "every chip must have an image")?;
        let mut pieces: Vec<(Option<&Name>, u64, u64)> = self
            .images
            .iter()
            .flat_map(|image| {
                let chip = image.chip.as_ref();
                image.segments.iter().map(move |p| (chip, p.address, p.address + p.bytes))
            })
            .collect();
        pieces.sort_unstable();
        rule(
            pieces.is_sorted_by(|a, b| a.0 != b.0 || a.2 <= b.1),
            "no two images may claim one address of a chip",
        )?;
        rule(
            self.sealed.iter().map(|sealed| sealed.channel).eq(self
                .recipe
                .channels
                .iter()
                .copied()),
            "there must be one sealed form for each channel of the recipe, in its order",
        )?;
        for sealed in &self.sealed {
            rule(
                sealed
                    .images
                    .iter()
                    .map(|image| &image.name)
                    .eq(self.images.iter().map(|image| &image.name)),
                "every sealed form must hold the same images in the same order",
            )?;
            for (entry, image) in self.images.iter().zip(&sealed.images) {
                rule(
                    image.chunks.len() == chunk_lengths(entry.bytes, self.chunk_bytes).count()
                        && image.chunks.len() <= CHUNKS_MAX,
                    "the number of chunks must follow from the image's bytes",
                )?;
            }
        }
        Ok(())
    }
}

fn rule(holds: bool, rule: &'static str) -> Result<(), DocumentError> {
    if holds { Ok(()) } else { Err(DocumentError::Rule { what: WHAT, rule }) }
}

fn check_image(image: &ImageEntry, chip: &ChipRecipe) -> Result<(), DocumentError> {
    rule((1..=SEGMENTS_MAX).contains(&image.segments.len()), "1 to 4096 pieces in an image")?;
    let mut total = 0u64;
    let mut end = 0u64;
    for (index, piece) in image.segments.iter().enumerate() {
        let piece_end = piece.address.saturating_add(piece.bytes);
        rule(piece.bytes > 0 && piece_end <= INTEGER_MAX, "a piece must have bytes")?;
        rule(index == 0 || piece.address >= end, "pieces must be in order and not overlap")?;
        rule(
            chip.memory.iter().any(|m| m.start <= piece.address && piece_end <= m.end()),
            "every piece must lie in one memory of the chip",
        )?;
        rule(
            !chip.exclude.iter().any(|x| piece.address < x.end && x.start < piece_end),
            "no piece may lie in an excluded range",
        )?;
        if let Some(place) = &chip.activation {
            rule(
                !(piece.address..piece_end).contains(&place.address),
                "no image may lie over the activation block",
            )?;
        }
        total = total.saturating_add(piece.bytes);
        end = piece_end;
    }
    rule(
        image.facts.as_ref().is_none_or(Facts::keeps_limits),
        "what an image says of itself must be short",
    )?;
    rule(image.bytes == total && total <= IMAGE_BYTES_MAX, "an image's bytes must add up")?;
    rule(
        image.left_out.len() == chip.exclude.len()
            && image
                .left_out
                .iter()
                .zip(&chip.exclude)
                .all(|(left, range)| left.start == range.start && left.end == range.end),
        "every image must account for every excluded range",
    )
}

/// The plain length of each chunk of an image.
pub(crate) fn chunk_lengths(bytes: u64, chunk_bytes: u32) -> impl Iterator<Item = usize> {
    let chunk = u64::from(chunk_bytes.max(1));
    (0..bytes.div_ceil(chunk)).map(move |index| {
        // At most CHUNK_BYTES_MAX, so it fits.
        usize::try_from((bytes - index * chunk).min(chunk)).unwrap_or(usize::MAX)
    })
}
