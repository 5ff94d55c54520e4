//! The station's log: what is appended, and its signed head.
//!
//! Owns the Merkle tree in memory and the signing of heads. Leaves the bytes to `audit`, keeping
//! them to the store, and the moment of a commit to the desk: records are drafted, committed with
//! whatever belongs to them, and only then accepted into the tree.
//!
//! Promise: a tree that does not match the last head this station signed is never continued.

use std::sync::Arc;

use audit::{Checkpoint, Event, Origin, OutOfRange, Record, RecordError, Tree, leaf_hash};
use ring::signature::Ed25519KeyPair;

use crate::store::{Commit, Head, JournalRow, Store, StoreError};

/// The first epoch of every station.
pub const FIRST_EPOCH: u32 = 1;

/// Why the journal cannot be opened or continued.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The tenant's or station's name makes no origin line.
    #[error("naming the journal")]
    Origin(#[source] audit::OriginError),
    /// The store.
    #[error("keeping the journal")]
    Store(#[from] StoreError),
    /// An event that has no record.
    #[error("writing a journal record")]
    Record(#[source] RecordError),
    /// More was asked for than there is.
    #[error("reading the journal beyond its end")]
    Beyond(#[source] OutOfRange),
}

/// Records that are written but not committed yet.
pub struct Draft {
    rows: Vec<JournalRow>,
    at_ms: i64,
    head: Head,
}

impl Draft {
    /// The signed head with the drafted records.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.head.note
    }
}

/// One epoch of the station's log.
pub struct Journal {
    origin: Origin,
    epoch: u32,
    tree: Tree,
    key: Arc<Ed25519KeyPair>,
    public: [u8; 32],
}

impl Journal {
    /// Opens the newest epoch and compares it with the last signed head.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when records are missing or edited.
    pub fn open(
        store: &mut Store,
        tenant: &str,
        station: &str,
        key: Arc<Ed25519KeyPair>,
        public: [u8; 32],
    ) -> Result<Self, JournalError> {
        store.read(|commit| {
            let epoch = commit.newest_epoch()?.unwrap_or(FIRST_EPOCH);
            let origin = Origin::new(tenant, station, epoch).map_err(JournalError::Origin)?;
            let mut tree = Tree::new();
            commit.leaves(epoch, |leaf| {
                tree.append_hash(leaf);
            })?;
            let journal = Self { origin, epoch, tree, key, public };
            journal.compare_with_head(commit)?;
            Ok(journal)
        })
    }

    /// Opens an earlier epoch of the same log, to be read.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn earlier(&self, store: &mut Store, epoch: u32) -> Result<Self, JournalError> {
        let mut journal = self.begin(epoch)?;
        store.read(|commit| {
            commit.leaves(epoch, |leaf| {
                journal.tree.append_hash(leaf);
            })
        })?;
        Ok(journal)
    }

    /// Another epoch of the same log, without records.
    ///
    /// # Errors
    /// [`JournalError::Origin`], which no name that made a journal before can cause.
    pub fn begin(&self, epoch: u32) -> Result<Self, JournalError> {
        let origin = Origin::new(self.origin.tenant(), self.origin.station(), epoch)
            .map_err(JournalError::Origin)?;
        let key = Arc::clone(&self.key);
        Ok(Self { origin, epoch, tree: Tree::new(), key, public: self.public })
    }

    fn compare_with_head(&self, commit: &Commit<'_>) -> Result<(), JournalError> {
        let damaged = |what: &str| StoreError::Damaged { what: what.to_owned() };
        let Some(head) = commit.head(self.epoch, false)? else {
            if self.tree.size() == 0 {
                return Ok(());
            }
            return Err(damaged("the journal's head is gone").into());
        };
        let signed: audit::SignedCheckpoint =
            head.note.parse().map_err(|_| damaged("the journal's head is unreadable"))?;
        let proven = signed
            .verify(&self.origin, &self.public)
            .map_err(|_| damaged("the journal's head is not ours"))?;
        if proven.size != self.tree.size() || proven.root != self.tree.root() {
            return Err(damaged("the journal does not match its head").into());
        }
        // The leaves make the root; the records must make the leaves.
        const BATCH: u32 = 1024;
        let acknowledged = crate::desk::sent(commit, self.epoch)?;
        let mut from = 0;
        while from < self.tree.size() {
            let rows = commit.records(self.epoch, from, BATCH)?;
            let edited = |row: &JournalRow| {
                // One that was let go after its time has left only its hash.
                let let_go = row.record.is_empty() && row.seq < acknowledged;
                !let_go && leaf_hash(&row.record) != row.leaf
            };
            if rows.is_empty() || rows.iter().any(edited) {
                return Err(damaged("a journal record was edited").into());
            }
            from += rows.len() as u64;
        }
        Ok(())
    }

    /// Which epoch this is.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Records in it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The name of the journal.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The station's public journal key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Writes records for `events` behind the present end; nothing is kept yet.
    ///
    /// # Errors
    /// [`JournalError::Record`].
    pub fn draft(&self, at_ms: i64, events: Vec<Event>) -> Result<Draft, JournalError> {
        let mut frontier = self.tree.frontier_at(self.tree.size()).map_err(JournalError::Beyond)?;
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let seq = frontier.size();
            let record = Record { epoch: self.epoch, seq, at_ms, event }
                .encode()
                .map_err(JournalError::Record)?;
            let leaf = leaf_hash(&record);
            frontier.append_hash(leaf);
            rows.push(JournalRow { seq, record, leaf });
        }
        let signed = Checkpoint::of(self.origin.clone(), &frontier).sign(&self.key);
        let head = Head { size: frontier.size(), note: signed.as_str().to_owned() };
        Ok(Draft { rows, at_ms, head })
    }

    /// Puts a draft into a commit.
    ///
    /// # Errors
    /// As the store says.
    pub fn keep(&self, draft: &Draft, commit: &Commit<'_>) -> Result<(), StoreError> {
        for row in &draft.rows {
            commit.append_record(self.epoch, draft.at_ms, row)?;
        }
        commit.put_head(self.epoch, false, &draft.head)
    }

    /// Takes a draft into the tree after its commit returned.
    pub fn accept(&mut self, draft: Draft) {
        for row in draft.rows {
            self.tree.append_hash(row.leaf);
        }
    }

    /// A signed head over exactly `size` records.
    ///
    /// # Errors
    /// [`JournalError::Beyond`].
    pub fn head_at(&self, size: u64) -> Result<String, JournalError> {
        let frontier = self.tree.frontier_at(size).map_err(JournalError::Beyond)?;
        let signed = Checkpoint::of(self.origin.clone(), &frontier).sign(&self.key);
        Ok(signed.as_str().to_owned())
    }

    /// Whether a head of `size` records has this root here.
    #[must_use]
    pub fn has_root(&self, size: u64, root: &[u8; 32]) -> bool {
        self.tree.root_at(size).is_ok_and(|own| own == *root)
    }
}
