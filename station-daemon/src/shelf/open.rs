//! A release, opened into sealed memory.

use std::sync::Arc;

use release::recipe::ActivationPlace;
use release::{Channel, Digest, Manifest, Release, SealedRelease};
use ring::digest::{Context, SHA256};

use super::Unopened;
use crate::hands::SealedImage;
use crate::store::{Store, StoreError};
use crate::trouble::{TroubleCode, chain};

/// A release, opened.
pub struct OpenRelease {
    /// Its manifest.
    pub manifest: Manifest,
    /// Digest of the manifest.
    pub digest: Digest,
    /// The channel it was opened for.
    pub channel: Channel,
    /// What goes onto each chip, in the recipe's order.
    pub chips: Vec<OpenChip>,
}

/// The opened images of one chip.
pub struct OpenChip {
    /// The plain bytes, for the workers alone.
    pub image: Arc<SealedImage>,
    /// SHA-256 over all bytes, lowest address first.
    pub bytes_sha256: [u8; 32],
    /// How many bytes.
    pub bytes: u64,
}

impl OpenRelease {
    /// Where and how the unit is activated, if it is.
    #[must_use]
    pub fn activation(&self) -> Option<&ActivationPlace> {
        self.manifest.recipe.chips.iter().find_map(|chip| chip.activation.as_ref())
    }

    /// The product's activation keys; empty where nothing is activated.
    #[must_use]
    pub fn product_keys(&self) -> Vec<[u8; 32]> {
        self.activation()
            .map(|place| place.product_keys.iter().map(|key| *key.as_bytes()).collect())
            .unwrap_or_default()
    }
}

/// Opens a release; a chunk that turns out damaged is forgotten, so that it is fetched again.
pub(super) fn open(
    store: &mut Store,
    sealed: &SealedRelease,
    channel: Channel,
    key: &release::ContentKey,
) -> Result<OpenRelease, Unopened> {
    let mut last = None;
    let opened = store.read(|commit| {
        let release = sealed.open(channel, key, |digest| {
            let found = commit.chunk(digest.as_bytes())?;
            last = Some(*digest);
            found.ok_or_else(|| StoreError::Damaged { what: "a chunk is not here".to_owned() })
        });
        Ok::<_, StoreError>(release)
    });
    let release = match opened {
        Ok(Ok(release)) => release,
        Ok(Err(error)) => {
            let code = TroubleCode::from(&error);
            tracing::warn!(error = %chain(&error), code = code.text(), "a release does not open");
            let mut forgotten = None;
            if let (TroubleCode::ReleaseDamaged, Some(digest)) = (code, last) {
                match store.commit(|commit| commit.drop_chunk(digest.as_bytes())) {
                    Ok(()) => forgotten = Some(digest),
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "a damaged chunk stays");
                    }
                }
            }
            return Err(Unopened { code, forgotten });
        }
        Err(error) => return Err(TroubleCode::from(&error).into()),
    };
    let manifest = release.manifest().clone();
    let chips: Result<Vec<OpenChip>, TroubleCode> =
        (0..manifest.recipe.chips.len()).map(|place| open_chip(&release, place)).collect();
    Ok(OpenRelease { digest: release.digest(), channel, chips: chips?, manifest })
}

/// Moves the images of one chip into sealed memory.
fn open_chip(release: &Release, place: usize) -> Result<OpenChip, TroubleCode> {
    let manifest = release.manifest();
    let pieces = || {
        let images = release.images().iter().zip(&manifest.images);
        let own = images.filter(|(_, entry)| manifest.place_of(entry) == Some(place));
        own.flat_map(|(image, _)| {
            image.segments.iter().map(|piece| (image.name.as_str(), piece.address, &*piece.bytes))
        })
    };
    let image = SealedImage::new(pieces().map(|(name, address, bytes)| (name, address, &**bytes)))
        .map_err(|error| {
            tracing::error!(%error, "no sealed memory for an image");
            TroubleCode::Internal
        })?;
    let mut by_address: Vec<_> = pieces().collect();
    by_address.sort_by_key(|(_, address, _)| *address);
    let mut hash = Context::new(&SHA256);
    let mut bytes = 0;
    for (_, _, piece) in by_address {
        hash.update(piece);
        bytes += piece.len() as u64;
    }
    let mut bytes_sha256 = [0; 32];
    bytes_sha256.copy_from_slice(hash.finish().as_ref());
    Ok(OpenChip { image: Arc::new(image), bytes_sha256, bytes })
}
