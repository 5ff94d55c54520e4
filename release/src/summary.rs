//! A release in words: what a person reads before signing or publishing it.

use std::fmt;

use crate::digest::Digest;
use crate::limits::TAG_BYTES;
use crate::manifest::{ImageEntry, Manifest};
use crate::recipe::ChipRecipe;

/// The readable summary of a manifest. Says what the manifest says, not that it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    manifest: &'a Manifest,
    manifest_sha256: Digest,
}

impl<'a> Summary<'a> {
    /// The summary of a manifest with this digest.
    #[must_use]
    pub const fn of(manifest: &'a Manifest, manifest_sha256: Digest) -> Self {
        Self { manifest, manifest_sha256 }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { tenant, product, version, recipe, .. } = self.manifest;
        writeln!(f, "release    {product} {version} of {tenant}")?;
        writeln!(f, "manifest   {}", self.manifest_sha256)?;
        writeln!(f, "fits       {}", listed(&self.manifest.hardware_revisions))?;
        writeln!(f, "channels   {}", listed(&recipe.channels))?;
        for (place, chip) in recipe.chips.iter().enumerate() {
            self.show_chip(f, place, chip)?;
        }
        for sealed in &self.manifest.sealed {
            let chunks = self.manifest.chunks(sealed.channel);
            let bytes: usize = chunks.iter().map(|chunk| chunk.bytes).sum();
            writeln!(
                f,
                "sealed     {} in {} chunks of at most {} bytes, {bytes} bytes in all",
                sealed.channel,
                chunks.len(),
                self.manifest.chunk_bytes as usize + TAG_BYTES,
            )?;
        }
        Ok(())
    }
}

impl Summary<'_> {
    /// One chip: what it is, what goes onto it, what is done with it.
    fn show_chip(
        &self,
        f: &mut fmt::Formatter<'_>,
        place: usize,
        chip: &ChipRecipe,
    ) -> fmt::Result {
        let recipe = &self.manifest.recipe;
        if recipe.is_flat() {
            writeln!(f, "chip       {} (family {})", chip.chip, chip.family)?;
        } else {
            let (number, count, name) = (place + 1, recipe.chips.len(), &chip.name);
            writeln!(
                f,
                "chip       {name}, {number} of {count}: {} (family {})",
                chip.chip, chip.family
            )?;
            if !chip.after.is_empty() {
                writeln!(f, "  after    {}", listed(&chip.after))?;
            }
            if place == recipe.identity() {
                writeln!(f, "  identity of the unit")?;
            }
        }
        if let Some(through) = chip.through {
            writeln!(f, "through    {} only", through.as_str())?;
        }
        for memory in &chip.memory {
            let (start, end, name) = (memory.start, memory.end(), &memory.name);
            writeln!(f, "memory     {start:#010x}..{end:#010x} {name}")?;
        }
        let images = self.manifest.images.iter();
        for image in images.filter(|image| self.manifest.place_of(image) == Some(place)) {
            show_image(f, image, chip)?;
        }
        match &chip.self_test {
            Some(test) => writeln!(
                f,
                "self-test  {:?} must say {:?} within {} ms",
                test.via, test.expect, test.within_ms
            )?,
            None => writeln!(f, "self-test  none")?,
        }
        match &chip.activation {
            Some(place) => {
                let (mode, address) = (place.mode, place.address);
                writeln!(f, "activation {} block at {address:#010x}", mode.as_str())?;
                writeln!(f, "  proof    {}", mode.promise())?;
                for key in &place.product_keys {
                    writeln!(f, "  key      {key}")?;
                }
                if let Some(digest) = place.mac_secret_sha256 {
                    writeln!(f, "  secret   sha256 {digest}")?;
                }
            }
            None => writeln!(f, "activation none")?,
        }
        writeln!(f, "protect    {}", if chip.protect { "locks the chip" } else { "no" })
    }
}

fn show_image(f: &mut fmt::Formatter<'_>, image: &ImageEntry, chip: &ChipRecipe) -> fmt::Result {
    writeln!(f, "image      {} ({} bytes)", image.name, image.bytes)?;
    if let Some(facts) = &image.facts {
        write!(f, "{facts}")?;
    }
    let mut before = None;
    for piece in &image.segments {
        let (start, end) = (piece.address, piece.address + piece.bytes);
        let memory = chip.memory.iter().find(|m| (m.start..m.end()).contains(&start));
        let place = memory.map(|memory| memory.name.as_str()).unwrap_or("nowhere");
        // Between two pieces of one memory the chip keeps what it holds, or 0xFF.
        if let Some((last, last_end)) = before.replace((place, end))
            && last == place
            && last_end < start
        {
            let bytes = start - last_end;
            writeln!(f, "  gap      {last_end:#010x}..{start:#010x} {bytes} bytes")?;
        }
        writeln!(f, "  flash    {start:#010x}..{end:#010x} {place} sha256 {}", piece.sha256)?;
    }
    for left in &image.left_out {
        let (start, end, bytes) = (left.start, left.end, left.bytes);
        writeln!(f, "  EXCLUDED {start:#010x}..{end:#010x} {bytes} bytes NOT flashed")?;
    }
    Ok(())
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
