//! Which sealed chunks the leased releases still lack.
//!
//! A release that lacks none lies whole on the shelf: boards can be flashed with it whatever
//! happens to the network. That moment is journalled once per release.

use std::collections::{BTreeMap, BTreeSet};

use audit::Event;
use release::{Digest, SealedRelease};

use super::{LeaseState, put, setting};
use crate::store::{Commit, StoreError};

/// Releases whose arrival is in the journal.
const ARRIVED: &str = "shelf_arrived";

/// What is not here yet, by release.
#[derive(Debug, Default)]
pub(super) struct Missing(BTreeMap<Digest, BTreeSet<Digest>>);

impl Missing {
    /// Looks for every chunk of the releases in the lease.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn look(
        lease: &LeaseState,
        sealed: &BTreeMap<Digest, SealedRelease>,
        commit: &Commit<'_>,
    ) -> Result<Self, StoreError> {
        let LeaseState::InForce(lease) = lease else { return Ok(Self::default()) };
        let mut missing: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        for leased in &lease.releases {
            let Some(release) = sealed.get(&leased.manifest_sha256) else { continue };
            let lacks = missing.entry(leased.manifest_sha256).or_default();
            for chunk in release.chunks(leased.channel) {
                if !commit.has_chunk(chunk.digest.as_bytes())? {
                    lacks.insert(chunk.digest);
                }
            }
        }
        Ok(Self(missing))
    }

    /// A chunk came in.
    pub(super) fn came(&mut self, chunk: &Digest) {
        for lacks in self.0.values_mut() {
            lacks.remove(chunk);
        }
    }

    /// A chunk of this release turned out damaged and was forgotten.
    pub(super) fn lost(&mut self, release: &Digest, chunk: Digest) {
        self.0.entry(*release).or_default().insert(chunk);
    }

    /// Every chunk that any of them lacks.
    pub(super) fn all(&self) -> BTreeSet<Digest> {
        self.0.values().flatten().copied().collect()
    }

    /// Whether the release lacks nothing.
    pub(super) fn has_none(&self, release: &Digest) -> bool {
        self.0.get(release).is_some_and(BTreeSet::is_empty)
    }

    /// Releases that lie whole and whose arrival is not journalled yet, as events.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn arrivals(
        &self,
        sealed: &BTreeMap<Digest, SealedRelease>,
        commit: &Commit<'_>,
    ) -> Result<Vec<Event>, StoreError> {
        let journalled: BTreeSet<Digest> = setting(commit, ARRIVED)?.unwrap_or_default();
        let whole = self.whole().filter(|release| !journalled.contains(release));
        Ok(whole
            .filter_map(|release| sealed.get(release))
            .map(|release| Event::ReleaseShelved {
                manifest_sha256: audit::Digest::from(*release.digest().as_bytes()),
                product: release.manifest().product.as_str().to_owned(),
                version: release.manifest().version.as_str().to_owned(),
            })
            .collect())
    }

    /// The releases that lack nothing.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter().filter(|(_, lacks)| lacks.is_empty()).map(|(release, _)| release)
    }
}

/// Remembers that the arrivals are journalled; belongs into the same commit as their records.
///
/// # Errors
/// As the store says.
pub(super) fn keep_arrivals(commit: &Commit<'_>, whole: &[Digest]) -> Result<(), StoreError> {
    put(commit, ARRIVED, &whole)
}
