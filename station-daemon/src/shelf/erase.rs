//! Keys that may not be used any more: gone from memory at once, from the disk with the commit that
//! journals it.
//!
//! A wrapped key is erased when its lease is over, its release withdrawn, the station revoked, or
//! the key that signed its lease retired.

use audit::Event;
use release::{Digest, Lease, TrustedRepository};

use super::{LEASE_NAME, LeaseSeen, LeaseState, Shelf};
use crate::store::{Commit, StoreError};

/// Why keys are erased, as the journal says it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    LeaseOver,
    Withdrawn,
    Revoked,
    Retired,
}

impl Why {
    const fn word(self) -> &'static str {
        match self {
            Self::LeaseOver => "lease_over",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }
}

/// What becomes of the lease when documents were judged.
pub(super) enum LeaseFate {
    /// As it was.
    Stays,
    /// A newer one, or the same again.
    Taken { seen: LeaseSeen, lease: Lease, document: Vec<u8> },
    /// The one in force, judged again under the new documents.
    Kept { lease: Lease, document: Vec<u8> },
    /// Nobody stands for it any more.
    Ends,
}

impl LeaseFate {
    /// Takes the keys of withdrawn releases out of the lease; gives what to journal.
    pub(super) fn erase_withdrawn(&mut self, repository: &TrustedRepository) -> Vec<Event> {
        let (Self::Taken { lease, document, .. } | Self::Kept { lease, document }) = self else {
            return Vec::new();
        };
        let withdrawn = |digest: &Digest| {
            let releases = repository.releases().iter();
            releases.filter(|listed| listed.withdrawn).any(|l| l.manifest_sha256 == *digest)
        };
        let erased = lease.erase(|leased| withdrawn(&leased.manifest_sha256));
        if !erased.is_empty()
            && let Ok(rest) =
                release::lease::without_keys(document, |leased| withdrawn(&leased.manifest_sha256))
        {
            *document = rest;
        }
        erased.into_iter().map(|(digest, _)| event(digest, Why::Withdrawn)).collect()
    }
}

/// The erasure of every key that a lease document holds, as events.
pub(super) fn keys_in(document: Option<&[u8]>, why: Why) -> Vec<Event> {
    let terms = document.and_then(|bytes| release::lease::show_lease(bytes).ok());
    let releases = terms.into_iter().flat_map(|terms| terms.releases);
    releases
        .filter(|leased| leased.wrapped_key.is_some())
        .map(|leased| event(leased.manifest_sha256, why))
        .collect()
}

fn event(manifest_sha256: Digest, why: Why) -> Event {
    Event::ReleaseErased {
        manifest_sha256: audit::Digest(*manifest_sha256.as_bytes()),
        why: why.word().to_owned(),
    }
}

impl Shelf {
    /// Ends the lease when its time has come: opened images go at once, the wraps with the commit
    /// of [`Shelf::to_erase`].
    pub fn end_lease(&mut self, now_ms: i64) {
        if let LeaseState::InForce(lease) = &self.lease
            && now_ms > lease.not_after_ms
        {
            self.let_go(Why::LeaseOver);
        }
    }

    /// The hub has turned this station away: nothing may be flashed any more.
    pub fn revoke(&mut self) {
        self.let_go(Why::Revoked);
    }

    fn let_go(&mut self, why: Why) {
        let LeaseState::InForce(lease) = &mut self.lease else { return };
        let not_after_ms = lease.not_after_ms;
        let erased = lease.erase(|_| true);
        self.to_erase.extend(erased.into_iter().map(|(digest, _)| event(digest, why)));
        self.lease = LeaseState::Over { not_after_ms };
        self.opened.clear();
    }

    /// What is to be journalled with [`Shelf::erase_lease`] in one commit; empty when everything is
    /// on the disk. Stays until [`Shelf::erased`] was told.
    #[must_use]
    pub fn to_erase(&self) -> &[Event] {
        &self.to_erase
    }

    /// The commit is on the disk.
    pub fn erased(&mut self) {
        self.to_erase.clear();
    }

    /// Erases the wrapped keys of the ended lease.
    ///
    /// # Errors
    /// As the store says.
    pub fn erase_lease(commit: &Commit<'_>) -> Result<(), StoreError> {
        commit.put_trusted(LEASE_NAME, None)?;
        commit.empty_document(LEASE_NAME)
    }
}
