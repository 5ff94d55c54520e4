//! What may be flashed, and the plain bytes of it while it may.
//!
//! Owns the judgement of documents as they come in, the lease in force, and the opened images.
//! Leaves signatures and sealing to `release`, keeping to the store. An image is opened once per
//! release and lease, straight into sealed memory that the workers map.
//!
//! Promises: a set of documents that does not verify changes nothing; an image is in memory only
//! and is let go when its lease ends; nothing is opened that the trusted targets and the lease do
//! not both name; a key that may not be used any more is erased, and its erasure journalled.

mod erase;
mod missing;
mod open;
mod people;

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::Event;
use release::{
    Channel, Digest, Lease, LeaseCheck, LeaseError, Manifest, PinnedRoot, Portion, SealedRelease,
    SeenVersions, TrustedRepository, WrapKey,
};
use serde::{Deserialize, Serialize};

use crate::store::{Commit, Store, StoreError};
use crate::trouble::{TroubleCode, chain};

use erase::{LeaseFate, Why};
use missing::Missing;
pub use open::OpenRelease;
use open::open;

const SEEN: &str = "shelf_seen";
const LEASE_NAME: &str = "lease";
const LEASE_SEEN: &str = "lease_seen";

/// What the shelf keeps about the documents it trusts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entered {
    /// Station time at which the trusted documents were judged.
    at_ms: i64,
    versions: SeenVersions,
}

/// What the shelf keeps about leases, so that an older one never counts again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseSeen {
    version: u64,
    not_after_ms: i64,
}

/// The lease as it stands.
#[derive(Debug)]
pub enum LeaseState {
    /// There has been none.
    Missing,
    /// In force when it was judged; every use asks again with the time.
    InForce(Box<Lease>),
    /// It has ended; its keys are erased.
    Over {
        /// Its last millisecond.
        not_after_ms: i64,
    },
}

/// What came of a set of documents.
pub struct Taken {
    /// What to journal with the commit.
    pub events: Vec<Event>,
    entered: Option<Entered>,
    repository: Option<TrustedRepository>,
    lease: LeaseFate,
}

/// The shelf of one enrolled station.
pub struct Shelf {
    pin: PinnedRoot,
    station_key: Digest,
    repository: Option<TrustedRepository>,
    /// Why the newest documents were not taken.
    refused: Option<TroubleCode>,
    lease: LeaseState,
    lease_seen: Option<LeaseSeen>,
    sealed: BTreeMap<Digest, SealedRelease>,
    missing: Missing,
    opened: BTreeMap<(Digest, Channel), Arc<OpenRelease>>,
    /// Erasures that are not on the disk yet.
    to_erase: Vec<Event>,
}

impl Shelf {
    /// The shelf as the store left it.
    ///
    /// # Errors
    /// As the store says. Documents that no longer verify leave the shelf empty, not an error.
    pub fn open(
        store: &mut Store,
        pin: PinnedRoot,
        station_key: Digest,
        now_ms: i64,
    ) -> Result<Self, StoreError> {
        let mut shelf = Self {
            pin,
            station_key,
            repository: None,
            refused: None,
            lease: LeaseState::Missing,
            lease_seen: None,
            sealed: BTreeMap::new(),
            missing: Missing::default(),
            opened: BTreeMap::new(),
            to_erase: Vec::new(),
        };
        store.read(|commit| {
            shelf.lease_seen = setting(commit, LEASE_SEEN)?;
            let Some(entered) = setting::<Entered>(commit, SEEN)? else { return Ok(()) };
            let documents = commit.documents(true)?;
            let found = TrustedRepository::verify(
                &shelf.pin,
                &|name| documents.get(name).cloned(),
                Some(&entered.versions),
                entered.at_ms,
            );
            match found {
                Ok(repository) => shelf.put_repository(repository, &documents),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "the stored documents do not verify");
                    shelf.refused = Some(TroubleCode::from(&error));
                    return Ok(());
                }
            }
            let document = documents.get(LEASE_NAME).map(Vec::as_slice);
            shelf.lease = match document.and_then(|bytes| shelf.judge_lease(bytes, now_ms)) {
                Some(Ok(lease)) => LeaseState::InForce(Box::new(lease)),
                Some(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "the stored lease is not in force");
                    if matches!(error, LeaseError::Over { .. }) {
                        // It ended while the station was off.
                        shelf.to_erase = erase::keys_in(document, Why::LeaseOver);
                    }
                    shelf.lease_after_end()
                }
                None => shelf.lease_after_end(),
            };
            shelf.missing = Missing::look(&shelf.lease, &shelf.sealed, commit)?;
            Ok::<(), StoreError>(())
        })?;
        Ok(shelf)
    }

    fn lease_after_end(&self) -> LeaseState {
        self.lease_seen.map_or(LeaseState::Missing, |seen| LeaseState::Over {
            not_after_ms: seen.not_after_ms,
        })
    }

    fn judge_lease(&self, bytes: &[u8], now_ms: i64) -> Option<Result<Lease, LeaseError>> {
        let repository = self.repository.as_ref()?;
        Some(self.judge_lease_under(repository, bytes, now_ms))
    }

    fn judge_lease_under(
        &self,
        repository: &TrustedRepository,
        bytes: &[u8],
        now_ms: i64,
    ) -> Result<Lease, LeaseError> {
        let check = LeaseCheck {
            tenant: self.pin.tenant(),
            station_key: self.station_key,
            keys: repository.lease_keys(),
            version_seen: self.lease_seen.map(|seen| seen.version),
            now_ms,
        };
        Lease::verify(bytes, &check)
    }

    fn put_repository(
        &mut self,
        repository: TrustedRepository,
        documents: &BTreeMap<String, Vec<u8>>,
    ) {
        for (product, error) in repository.refused() {
            tracing::warn!(%product, error = %chain(error), "a product is set aside");
            self.refused = Some(TroubleCode::from(error));
        }
        self.sealed.clear();
        for (name, bytes) in documents {
            if !name.starts_with("manifest/") {
                continue;
            }
            match repository.release(bytes) {
                Ok(sealed) => {
                    self.sealed.insert(sealed.digest(), sealed);
                }
                Err(error) => {
                    tracing::warn!(%name, error = %chain(&error), "a release is set aside");
                }
            }
        }
        let sealed = &self.sealed;
        self.opened.retain(|(digest, _), _| sealed.contains_key(digest));
        self.repository = Some(repository);
    }

    /// Judges everything that came in, as of `now_ms`. Nothing is changed yet: put what came of
    /// it into a commit with [`Shelf::keep`], then [`Shelf::accept`] it.
    ///
    /// # Errors
    /// As the store says.
    pub fn judge(&mut self, store: &mut Store, now_ms: i64) -> Result<Taken, StoreError> {
        let mut taken =
            Taken { events: Vec::new(), entered: None, repository: None, lease: LeaseFate::Stays };
        let (documents, entered, in_force) = store.read(|commit| {
            let entered = setting::<Entered>(commit, SEEN)?;
            let in_force = commit.document(LEASE_NAME, true)?;
            Ok::<_, StoreError>((commit.documents(false)?, entered, in_force))
        })?;
        let versions = entered.map(|entered| entered.versions);
        let verified = TrustedRepository::verify(
            &self.pin,
            &|name| documents.get(name).cloned(),
            versions.as_ref(),
            now_ms,
        );
        let repository = match verified {
            Ok(repository) => repository,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "documents were not taken");
                self.refused = Some(TroubleCode::from(&error));
                return Ok(taken);
            }
        };
        self.refused = None;
        let arrived = documents.get(LEASE_NAME).filter(|bytes| !bytes.is_empty());
        let judged =
            arrived.map(|bytes| (bytes, self.judge_lease_under(&repository, bytes, now_ms)));
        match judged {
            Some((bytes, Ok(lease))) => {
                let seen = LeaseSeen { version: lease.version, not_after_ms: lease.not_after_ms };
                if self.lease_seen != Some(seen) {
                    taken.events.push(Event::LeaseTaken {
                        version: lease.version,
                        not_after_ms: lease.not_after_ms,
                        lease_sha256: audit::Digest::of(bytes),
                    });
                }
                taken.lease = LeaseFate::Taken { seen, lease, document: bytes.clone() };
            }
            refused => {
                if let Some((_, Err(error))) = refused {
                    tracing::warn!(error = %chain(&error), "the lease was not taken");
                    self.refused = Some(TroubleCode::from(&error));
                }
                if let Some(document) = in_force {
                    // The one in force stays, if the tenant still stands for who signed it.
                    let judged = self.judge_lease_under(&repository, &document, now_ms);
                    taken.lease = match judged {
                        Err(LeaseError::TooFewSignatures { .. }) => {
                            let keys = erase::keys_in(Some(&document), Why::Retired);
                            taken.events.extend(keys);
                            LeaseFate::Ends
                        }
                        Ok(lease) => LeaseFate::Kept { lease, document },
                        Err(_) => LeaseFate::Stays,
                    };
                }
            }
        }
        taken.events.extend(taken.lease.erase_withdrawn(&repository));
        taken.entered = Some(Entered { at_ms: now_ms, versions: repository.seen().clone() });
        taken.repository = Some(repository);
        Ok(taken)
    }

    /// Puts what was judged good into a commit.
    ///
    /// # Errors
    /// As the store says.
    pub fn keep(&self, taken: &Taken, commit: &Commit<'_>) -> Result<(), StoreError> {
        let Some(entered) = &taken.entered else { return Ok(()) };
        let old_lease = commit.document(LEASE_NAME, true)?;
        commit.trust_documents()?;
        put(commit, SEEN, entered)?;
        match &taken.lease {
            LeaseFate::Taken { seen, document, .. } => {
                commit.put_trusted(LEASE_NAME, Some(document))?;
                commit.replace_body(LEASE_NAME, document)?;
                put(commit, LEASE_SEEN, seen)
            }
            // The one that came was no good: the one in force stays.
            LeaseFate::Kept { document, .. } => commit.put_trusted(LEASE_NAME, Some(document)),
            LeaseFate::Stays => commit.put_trusted(LEASE_NAME, old_lease.as_deref()),
            LeaseFate::Ends => Self::erase_lease(commit),
        }
    }

    /// Takes what was committed.
    ///
    /// # Errors
    /// As the store says.
    pub fn accept(&mut self, store: &mut Store, taken: Taken) -> Result<(), StoreError> {
        let Some(repository) = taken.repository else { return Ok(()) };
        let documents = store.read(|commit| commit.documents(true))?;
        self.put_repository(repository, &documents);
        match taken.lease {
            LeaseFate::Taken { seen, lease, .. } => {
                // What the new lease no longer names goes at once.
                let still = &lease;
                self.opened.retain(|(digest, channel), _| {
                    still
                        .releases
                        .iter()
                        .any(|named| named.manifest_sha256 == *digest && named.channel == *channel)
                });
                self.lease_seen = Some(seen);
                self.lease = LeaseState::InForce(Box::new(lease));
            }
            LeaseFate::Kept { lease, .. } => self.lease = LeaseState::InForce(Box::new(lease)),
            LeaseFate::Stays => {}
            LeaseFate::Ends => {
                self.opened.clear();
                self.lease = self.lease_after_end();
            }
        }
        self.missing = store.read(|commit| Missing::look(&self.lease, &self.sealed, commit))?;
        Ok(())
    }

    /// A chunk was stored.
    pub fn chunk_came(&mut self, chunk: &Digest) {
        self.missing.came(chunk);
    }

    /// Whether the release lies whole on the shelf.
    #[must_use]
    pub fn is_whole(&self, release: &Digest) -> bool {
        self.missing.has_none(release)
    }

    /// Releases that have come to lie whole since the last [`Shelf::keep_arrivals`], to journal.
    ///
    /// # Errors
    /// As the store says.
    pub fn arrivals(&self, store: &mut Store) -> Result<Vec<Event>, StoreError> {
        store.read(|commit| self.missing.arrivals(&self.sealed, commit))
    }

    /// The releases that lie whole on the shelf.
    #[must_use]
    pub fn whole(&self) -> Vec<Digest> {
        self.missing.whole().copied().collect()
    }

    /// Puts into the commit of the arrivals' records that they are journalled.
    ///
    /// # Errors
    /// As the store says.
    pub fn keep_arrivals(commit: &Commit<'_>, whole: &[Digest]) -> Result<(), StoreError> {
        missing::keep_arrivals(commit, whole)
    }

    /// The lease as it stands.
    #[must_use]
    pub const fn lease(&self) -> &LeaseState {
        &self.lease
    }

    /// Why the newest documents were not taken, if they were not.
    #[must_use]
    pub const fn refused(&self) -> Option<TroubleCode> {
        self.refused
    }

    /// The portions of the lease in force.
    #[must_use]
    pub fn portions(&self) -> &[Portion] {
        match &self.lease {
            LeaseState::InForce(lease) => &lease.portions,
            LeaseState::Missing | LeaseState::Over { .. } => &[],
        }
    }

    /// The manifest of a portion's release, if it is trusted and here.
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.sealed.get(digest).map(SealedRelease::manifest)
    }

    /// The sealed chunks the lease needs, in order, without asking which are here.
    #[must_use]
    pub fn chunks(&self) -> Vec<release::ChunkRef> {
        let LeaseState::InForce(lease) = &self.lease else { return Vec::new() };
        lease
            .releases
            .iter()
            .filter_map(|leased| {
                let sealed = self.sealed.get(&leased.manifest_sha256)?;
                Some(sealed.chunks(leased.channel))
            })
            .flatten()
            .collect()
    }

    /// Chunks that the leased releases lack, and their bytes.
    #[must_use]
    pub fn lacks(&self) -> (u64, u64) {
        let lacks = self.missing.all();
        if lacks.is_empty() {
            return (0, 0);
        }
        // One chunk may stand in several images.
        let sizes: BTreeMap<Digest, u64> = self
            .chunks()
            .into_iter()
            .filter(|chunk| lacks.contains(&chunk.digest))
            .map(|chunk| (chunk.digest, chunk.bytes as u64))
            .collect();
        (sizes.len() as u64, sizes.values().sum())
    }

    /// Version of the newest lease seen; 0 for none.
    #[must_use]
    pub fn lease_version(&self) -> u64 {
        self.lease_seen.map_or(0, |seen| seen.version)
    }

    /// Why a release that the lease names cannot be used, as far as documents tell.
    fn missing(&self, digest: &Digest) -> TroubleCode {
        let listed = self.repository.as_ref().and_then(|repository| {
            repository.releases().iter().find(|listed| listed.manifest_sha256 == *digest)
        });
        match listed {
            Some(listed) if listed.withdrawn => TroubleCode::ReleaseWithdrawn,
            Some(_) => TroubleCode::NoRelease,
            None => self.refused.unwrap_or(TroubleCode::ReleaseNotTrusted),
        }
    }

    /// The opened release of a portion. Asked at every visit: the lease is judged by `now_ms`.
    ///
    /// # Errors
    /// The trouble that keeps it from being flashed. A damaged chunk is forgotten, so that it is
    /// fetched again.
    pub fn release(
        &mut self,
        store: &mut Store,
        portion: &Portion,
        station_key: &WrapKey,
        now_ms: i64,
    ) -> Result<Arc<OpenRelease>, TroubleCode> {
        let lease = match &self.lease {
            LeaseState::InForce(lease) => lease,
            LeaseState::Over { .. } => return Err(TroubleCode::LeaseOver),
            LeaseState::Missing => return Err(TroubleCode::NoRelease),
        };
        let leased = lease
            .may_flash(&portion.manifest_sha256, portion.channel, now_ms)
            .map_err(|error| TroubleCode::from(&error))?;
        let name = (portion.manifest_sha256, portion.channel);
        let Some(sealed) = self.sealed.get(&portion.manifest_sha256) else {
            return Err(self.missing(&portion.manifest_sha256));
        };
        if let Some(open) = self.opened.get(&name) {
            return Ok(Arc::clone(open));
        }
        let key = lease.unwrap_key(leased, station_key).map_err(|error| {
            tracing::error!(error = %chain(&error), "a content key does not open");
            TroubleCode::from(&error)
        })?;
        let open = match open(store, sealed, portion.channel, &key) {
            Ok(open) => Arc::new(open),
            Err(Unopened { code, forgotten }) => {
                if let Some(chunk) = forgotten {
                    self.missing.lost(&portion.manifest_sha256, chunk);
                }
                return Err(code);
            }
        };
        self.opened.insert(name, Arc::clone(&open));
        Ok(open)
    }
}

/// A release that did not open.
struct Unopened {
    code: TroubleCode,
    /// The damaged chunk that was forgotten, to be fetched again.
    forgotten: Option<Digest>,
}

impl From<TroubleCode> for Unopened {
    fn from(code: TroubleCode) -> Self {
        Self { code, forgotten: None }
    }
}

fn setting<T: for<'a> Deserialize<'a>>(
    commit: &Commit<'_>,
    name: &str,
) -> Result<Option<T>, StoreError> {
    commit
        .setting(name)?
        .map(|bytes| serde_json::from_slice(&bytes))
        .transpose()
        .map_err(|error| StoreError::Damaged { what: format!("setting {name}: {error}") })
}

fn put<T: Serialize>(commit: &Commit<'_>, name: &str, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| StoreError::Damaged { what: format!("setting {name}: {error}") })?;
    commit.put_setting(name, &bytes)
}
