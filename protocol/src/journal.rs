//! What goes up: ranges of a station's journal, and the hub's word that it holds them.
//!
//! Owns the envelopes. Leaves records, checkpoints and proofs to the audit room: here they are
//! text.

use serde::{Deserialize, Serialize};

use crate::ids::Epoch;

/// Most records in one push.
pub const PUSH_RECORDS_MAX: usize = 4096;
/// Largest push after decompression, in bytes.
pub const PUSH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// `GET /v1/journal/{epoch}`: what the hub holds of this journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct JournalState {
    /// Which journal.
    pub epoch: Epoch,
    /// Records held: the next sequence number wanted.
    pub size: u64,
    /// The last checkpoint with the hub's cosignature, when there is one.
    pub cosigned: Option<String>,
    /// The hub holds two branches of this journal and grants nothing.
    pub forked: bool,
    /// The newest epoch that the hub holds records of; 0 for none. A station that writes an
    /// earlier one was set back.
    #[serde(default)]
    pub newest_epoch: Epoch,
}

/// Two histories of one journal, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Fork {
    /// Which journal.
    pub epoch: Epoch,
    /// The first place where they differ.
    pub at: u64,
    /// When the branch was first seen, milliseconds since the Unix epoch.
    pub received_ms: i64,
    /// Records held of the journal that was there first.
    pub held_size: u64,
    /// Its records from `at` on, at most [`FORK_RECORDS_MAX`].
    pub held: Vec<String>,
    /// Its cosigned head.
    pub cosigned: Option<String>,
    /// Records held of the branch.
    pub branch_size: u64,
    /// Its records from `at` on, at most [`FORK_RECORDS_MAX`].
    pub branch: Vec<String>,
    /// Its head, signed by the station.
    pub checkpoint: String,
}

/// Most records of either side in a [`Fork`].
pub const FORK_RECORDS_MAX: u64 = 1000;

/// `POST /v1/journal/{epoch}` (body: this as JSON, zstd-compressed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JournalPush {
    /// Sequence number of the first record; counted from 0.
    pub from: u64,
    /// Canonical JSON of each record, byte for byte as the station hashed it.
    pub records: Vec<String>,
    /// Signed note over the journal after the last of these records.
    pub checkpoint: String,
}

/// The acknowledgement: the same checkpoint with the hub's cosignature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct JournalAck {
    /// Records held now; what the note is over.
    pub size: u64,
    /// Cosigned note.
    pub cosigned: String,
    /// First record after the ones pushed: where to go on.
    pub next: u64,
}
