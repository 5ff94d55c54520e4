//! Where a station stands when it meets its hub, and what the hub makes of it.
//!
//! Owns the envelopes. A hub that was set back to an older backup learns from these what it missed:
//! the papers are its own word, over its own signatures.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, StationName};
use crate::journal::JournalState;

/// Largest report, in bytes.
pub const REPORT_BYTES_MAX: usize = 1024 * 1024;

/// `POST /v1/report`: what a station has from this hub, at the beginning of every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StationReport {
    /// The journal it wants to carry.
    pub epoch: Epoch,
    /// Records in it.
    pub journal_size: u64,
    /// The last head of it that the hub cosigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosigned: Option<String>,
    /// The lease in force, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Version of the trusted `snapshot.json`, 0 for none.
    pub snapshot_version: u64,
    /// Version of the trusted `timestamp.json`, 0 for none.
    pub timestamp_version: u64,
}

/// The hub's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReportAnswer {
    /// The hub was set back and grants nothing before it is whole: bring everything again that it
    /// does not say it holds, of every epoch.
    pub recovering: bool,
    /// What it holds of the journal in the report.
    pub journal: JournalState,
}

/// `GET /v1/recovery`: how far a hub that was set back has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Recovery {
    /// Since when, milliseconds since the Unix epoch; none when the hub is whole.
    pub since_ms: Option<i64>,
    /// The stations it waits for.
    pub waits_for: Vec<AwaitedStation>,
}

/// A station that a recovering hub waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AwaitedStation {
    /// Which.
    pub name: StationName,
    /// It has reported since.
    pub reported: bool,
    /// The journal it has to bring; 0 when it has proven none.
    pub epoch: Epoch,
    /// Records the hub itself had cosigned of it.
    pub cosigned_size: u64,
    /// Records held of it.
    pub held_size: u64,
}
