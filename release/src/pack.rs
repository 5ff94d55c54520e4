//! Images and a recipe in, a manifest and sealed chunks out.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::canonical::{DocumentError, NoCanonicalForm};
use crate::chips;
use crate::digest::Digest;
use crate::image::{self, Facts, ImageError, ImageFormat, LeftOut, Segment};
use crate::limits::CHUNK_BYTES;
use crate::manifest::{
    ImageEntry, MANIFEST_FORMAT, Manifest, SealedChannel, SealedImage, SegmentEntry,
};
use crate::names::{Channel, Label, Name};
use crate::random::{NoRandom, Random};
use crate::recipe::{ChipRecipe, OrderError, Recipe};
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
    /// The recipe, its chips in any order that `after` allows to be put right; an empty memory map
    /// is filled from the chip table.
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
    /// The chip it is for; may be left out where the unit has one.
    pub chip: Option<Name>,
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
    /// The chips cannot be put in one order.
    #[error("packing the release")]
    Order(#[from] OrderError),
    /// What the recipe says of one of several chips breaks a rule.
    #[error("packing the chip {chip}")]
    Chip {
        /// Its name.
        chip: Name,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// An image that is for none of the chips.
    #[error("packing the image {image}: {}", Homeless(chip.as_ref()))]
    NoSuchChip {
        /// The image.
        image: Name,
        /// The chip it names, if it names one.
        chip: Option<Name>,
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
        let recipe = self.complete_recipe()?;
        self.hardware_revisions.sort();
        self.hardware_revisions.dedup();

        let mut found: Vec<(usize, ImageEntry, Vec<Segment>)> = Vec::new();
        for file in &self.images {
            let (place, chip) = home_of(file, &recipe)?;
            let Plain { segments, left_out, facts } = read(file, chip)
                .map_err(|source| PackError::Image { image: file.name.clone(), source })?;
            let named = (!recipe.is_flat()).then(|| chip.name.clone());
            let entry = entry(file.name.clone(), named, &segments, left_out, facts);
            found.push((place, entry, segments));
        }
        found.sort_by_key(|(place, ..)| *place);
        let mut images = Vec::with_capacity(found.len());
        let mut plain = Vec::with_capacity(found.len());
        for (_, entry, segments) in found {
            images.push(entry);
            plain.push(segments);
        }
        check_apart(&images)?;
        let mut manifest = Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            v: Manifest::version_for(&recipe),
            tenant: self.tenant,
            product: self.product,
            version: self.version,
            hardware_revisions: self.hardware_revisions,
            packed_ms: self.packed_ms,
            recipe,
            images,
            chunk_bytes: self.chunk_bytes,
            sealed: Vec::new(),
        };
        let mut chunks = BTreeMap::new();
        let mut content_keys = Vec::new();
        for channel in manifest.recipe.channels.clone() {
            let key = ContentKey::generate(random)?;
            let mut sealed = SealedChannel { channel, images: Vec::new() };
            for (number, (entry, segments)) in (0u16..).zip(manifest.images.iter().zip(&plain)) {
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

    /// The recipe as the manifest holds it: chips in order, memory maps and texts filled in, every
    /// rule held.
    fn complete_recipe(&self) -> Result<Recipe, PackError> {
        let mut recipe = self.recipe.clone().in_order()?;
        for chip in &mut recipe.chips {
            if chip.memory.is_empty() {
                chip.memory = chips::memory_of(chip.chip.as_str())
                    .ok_or_else(|| PackError::UnknownChip { chip: chip.chip.clone() })?;
            }
            if let Some(test) = &mut chip.self_test {
                test.expect = test
                    .expect
                    .replace("{version}", self.version.as_str())
                    .replace("{product}", self.product.as_str());
            }
        }
        if !recipe.is_flat() {
            for chip in &recipe.chips {
                let named = |source| PackError::Chip { chip: chip.name.clone(), source };
                chip.check().map_err(named)?;
            }
        }
        recipe.check()?;
        Ok(recipe)
    }
}

/// The chip an image is for, with its place in the order.
fn home_of<'a>(file: &ImageFile, recipe: &'a Recipe) -> Result<(usize, &'a ChipRecipe), PackError> {
    let home = match (&file.chip, recipe.chips.as_slice()) {
        (Some(name), _) => recipe.chip(name),
        (None, [only]) => Some((0, only)),
        (None, _) => None,
    };
    let missing = || PackError::NoSuchChip { image: file.name.clone(), chip: file.chip.clone() };
    home.ok_or_else(missing)
}

/// Why an image has no chip, in words.
struct Homeless<'a>(Option<&'a Name>);

impl fmt::Display for Homeless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(chip) => write!(f, "the recipe has no chip called {chip}"),
            None => f.write_str("the unit has several chips, and the image names none"),
        }
    }
}

struct Plain {
    segments: Vec<Segment>,
    left_out: Vec<LeftOut>,
    facts: Facts,
}

fn read(file: &ImageFile, chip: &ChipRecipe) -> Result<Plain, ImageError> {
    let read = image::read(file.format, &file.file)?;
    let facts = read.facts.clone();
    let (segments, left_out) = read.for_chip(chip)?;
    Ok(Plain { segments, left_out, facts })
}

/// Refuses two images that claim one address of a chip, by their names; two of one name are refused for that
/// by the manifest's rules.
fn check_apart(images: &[ImageEntry]) -> Result<(), PackError> {
    let mut pieces: Vec<(&SegmentEntry, &ImageEntry)> = images
        .iter()
        .flat_map(|image| image.segments.iter().map(move |piece| (piece, image)))
        .collect();
    pieces.sort_by_key(|(piece, image)| (image.chip.as_ref(), piece.address));
    for pair in pieces.windows(2) {
        let ((before, first), (after, second)) = (pair[0], pair[1]);
        let is_claimed = first.chip == second.chip
            && first.name != second.name
            && after.address < before.address + before.bytes;
        if is_claimed {
            let (first, second) = (first.name.clone(), second.name.clone());
            return Err(PackError::Overlap { first, second, address: after.address });
        }
    }
    Ok(())
}

fn entry(
    name: Name,
    chip: Option<Name>,
    plain: &[Segment],
    left_out: Vec<LeftOut>,
    facts: Facts,
) -> ImageEntry {
    let segments: Vec<SegmentEntry> = plain
        .iter()
        .map(|segment| SegmentEntry {
            address: segment.address,
            bytes: segment.bytes.len() as u64,
            sha256: Digest::of(&segment.bytes),
        })
        .collect();
    ImageEntry {
        name,
        chip,
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        segments,
        left_out,
        facts: (!facts.is_plain()).then_some(facts),
    }
}
