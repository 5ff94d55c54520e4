//! Between whom the postman carries: the station's journal and the station's shelf.
//!
//! Promise: every method is called on a blocking thread, one call at a time.

use std::collections::BTreeMap;

/// A party's own trouble; the postman logs it, waits and comes again.
pub type PartyError = Box<dyn std::error::Error + Send + Sync>;

/// How far a journal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHead {
    /// Which of the station's journals.
    pub epoch: u32,
    /// Records in it.
    pub size: u64,
}

/// Records to carry up, and the station's signature over the journal after the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRange {
    /// Canonical bytes of each record, as hashed.
    pub records: Vec<String>,
    /// Signed note.
    pub checkpoint: String,
}

/// Why the hub takes a journal no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalRefusal {
    /// The hub holds another record under this sequence number.
    Fork {
        /// First record that differs.
        seq: u64,
    },
    /// The checkpoint or a record does not verify.
    NotVerified {
        /// The hub's words.
        detail: String,
    },
}

/// What a station has from its hub: the hub's own word, to be shown to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records in the journal.
    pub journal_size: u64,
    /// The last head of it that the hub cosigned.
    pub cosigned: Option<String>,
    /// The lease in force.
    pub lease: Option<Vec<u8>>,
    /// Version of the trusted snapshot, 0 for none.
    pub snapshot_version: u64,
    /// Version of the trusted timestamp, 0 for none.
    pub timestamp_version: u64,
}

/// The station's journal.
pub trait JournalSource: Send + Sync + 'static {
    /// How far it reaches now.
    ///
    /// # Errors
    /// The station's own trouble.
    fn head(&self) -> Result<JournalHead, PartyError>;

    /// Records `from ..`, at least one, at most `records_max` and about `bytes_max` bytes, with a
    /// checkpoint over exactly `from + records.len()` records.
    ///
    /// # Errors
    /// The station's own trouble.
    fn range(
        &self,
        epoch: u32,
        from: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<JournalRange, PartyError>;

    /// The hub says it holds `size` records. `cosigned` is its note; its cosignature is to be
    /// verified before it is believed.
    ///
    /// # Errors
    /// The station's own trouble, or a note that does not verify.
    fn acknowledged(&self, epoch: u32, size: u64, cosigned: &str) -> Result<(), PartyError>;

    /// The hub takes this journal no further as its own. It stays with the station; after a fork
    /// the hub keeps it as a branch, and says so with [`JournalSource::branch_taken`].
    ///
    /// # Errors
    /// The station's own trouble.
    fn refused(&self, epoch: u32, refusal: &JournalRefusal) -> Result<(), PartyError>;

    /// What to report to the hub about this journal, at the beginning of a connection.
    ///
    /// # Errors
    /// The station's own trouble.
    fn report(&self, _epoch: u32) -> Result<Option<Report>, PartyError> {
        Ok(None)
    }

    /// The hub was set back to an older state: every epoch is to be offered again.
    ///
    /// # Errors
    /// The station's own trouble.
    fn hub_recovers(&self) -> Result<(), PartyError> {
        Ok(())
    }

    /// The newest epoch that the hub holds records of; 0 for none.
    ///
    /// # Errors
    /// The station's own trouble.
    fn newest_epoch(&self, _newest: u32) -> Result<(), PartyError> {
        Ok(())
    }

    /// Where this journal may part from what the hub holds; none when the hub's is this one. Asked
    /// after the hub's head was acknowledged.
    ///
    /// # Errors
    /// The station's own trouble.
    fn branch_from(&self, _epoch: u32) -> Result<Option<u64>, PartyError> {
        Ok(None)
    }

    /// The hub holds this journal up to `size` records as a branch of its own, beside the one it
    /// has cosigned.
    ///
    /// # Errors
    /// The station's own trouble.
    fn branch_taken(&self, _epoch: u32, _size: u64) -> Result<(), PartyError> {
        Ok(())
    }
}

/// A document that came, with the digest it was listed under already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedDocument {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub etag: String,
    /// Its bytes; not opened.
    pub bytes: Vec<u8>,
}

/// A chunk the station lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedChunk {
    /// Its digest and name.
    pub sha256: [u8; 32],
    /// Its size, from the signed manifest.
    pub bytes: u64,
}

/// What comes down, and where it goes.
pub trait DocumentSink: Send + Sync + 'static {
    /// What is held: name and ETag.
    ///
    /// # Errors
    /// The station's own trouble.
    fn etags(&self) -> Result<BTreeMap<String, String>, PartyError>;

    /// Keeps one consistent set: everything that changed, and the names no longer listed.
    ///
    /// # Errors
    /// The station's own trouble. A document that does not verify is no error of this kind: the
    /// sink keeps or drops it, and says no more about it.
    fn store(&self, arrived: Vec<ArrivedDocument>, gone: Vec<String>) -> Result<(), PartyError>;

    /// Chunks to fetch, in this order. Asked after every [`DocumentSink::store`] and nudge.
    ///
    /// # Errors
    /// The station's own trouble.
    fn chunks_wanted(&self) -> Result<Vec<WantedChunk>, PartyError>;

    /// Keeps a chunk whose digest has been checked.
    ///
    /// # Errors
    /// The station's own trouble.
    fn store_chunk(&self, sha256: [u8; 32], bytes: Vec<u8>) -> Result<(), PartyError>;

    /// What waits here, for the hub to know: one line of text, or nothing.
    ///
    /// # Errors
    /// The station's own trouble.
    fn backlog(&self) -> Result<Option<String>, PartyError> {
        Ok(None)
    }

    /// A fresh nonce in hexadecimal: ask the hub for its signed time at this connection.
    fn time_nonce(&self) -> Option<String> {
        None
    }

    /// The hub's signed time: the statement and the signature over it.
    ///
    /// # Errors
    /// The station's own trouble, or a statement that does not verify.
    fn hub_time(&self, _payload: &str, _signature: &str) -> Result<(), PartyError> {
        Ok(())
    }

    /// The hub's signed word that this station is revoked: the statement and the signature over it.
    ///
    /// # Errors
    /// The station's own trouble, or a statement that does not verify.
    fn revoked(&self, _payload: &str, _signature: &str) -> Result<(), PartyError> {
        Ok(())
    }

    /// A certificate request in PEM, when the station's certificate is due to be renewed.
    ///
    /// # Errors
    /// The station's own trouble.
    fn renewal(&self) -> Result<Option<String>, PartyError> {
        Ok(None)
    }

    /// The next certificate, over the key of the request. Used from now on once it is kept.
    ///
    /// # Errors
    /// The station's own trouble.
    fn renewed(&self, _next: &NextCertificate) -> Result<(), PartyError> {
        Ok(())
    }
}

/// A certificate the hub gave for the next part of the station's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCertificate {
    /// PEM.
    pub certificate_pem: String,
    /// Begin of its life by the hub's clock, milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// End of its life, milliseconds since the Unix epoch.
    pub not_after_ms: i64,
}
