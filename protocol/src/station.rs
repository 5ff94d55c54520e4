//! A station as the hub knows it.

use serde::{Deserialize, Serialize};

use crate::enrolment::KeyProtection;
use crate::ids::{Ed25519Key, Epoch, HpkeKey, LineName, StationName};

/// One line of `GET /v1/stations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Station {
    /// What it is called.
    pub name: StationName,
    /// Where it stands.
    pub line: LineName,
    /// Signs its journal and its activation blocks; what R&D certifies an allotment for.
    pub journal_key: Ed25519Key,
    /// What content keys are sealed to.
    pub hpke_key: HpkeKey,
    /// What guards its keys.
    pub key_protection: KeyProtection,
    /// Milliseconds since the Unix epoch.
    pub enrolled_ms: i64,
    /// When it was last heard, milliseconds since the Unix epoch.
    pub last_contact_ms: Option<i64>,
    /// Its certificate is no longer accepted.
    pub revoked: bool,
    /// Its newest journal at the hub; 0 when nothing arrived yet.
    pub epoch: Epoch,
    /// Records held of it.
    pub journal_size: u64,
    /// Two branches of a journal arrived; grants are stopped.
    pub forked: bool,
    /// The station says that its journal was set back; grants are stopped.
    pub quarantined: bool,
    /// The epoch an administrator has opened last; the journal is in it once its first record
    /// arrived.
    pub epoch_opened: Epoch,
    /// Version of the lease it was last given; 0 for none.
    pub lease_version: u64,
    /// What waited at the station when it last asked for its documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
}

/// Header in which a station tells its [`Backlog`], as JSON.
pub const BACKLOG_HEADER: &str = "flashline-backlog";

/// What waits at a station.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Backlog {
    /// Records that the hub has not acknowledged.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Age of the oldest of them, in seconds; 0 when there is none.
    pub oldest_s: u64,
    /// Chunks of leased releases that have not come.
    pub chunks: u64,
    /// Their bytes.
    pub chunk_bytes: u64,
    /// What guards its keys today; absent from a station that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_protection: Option<KeyProtection>,
}
