//! One record: the canonical JSON text whose hash is a leaf of the journal.

use crate::canonical::{CanonicalError, canonical, canonical_value};
use crate::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest record, in bytes of its canonical text.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The record format written here.
const VERSION: u32 = 1;

/// What happened, when, and at which place of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The journal's epoch.
    pub epoch: u32,
    /// Place in the journal, from 0.
    pub seq: u64,
    /// Station time in ms since the Unix epoch.
    pub at_ms: i64,
    /// What happened.
    pub event: Event,
}

/// What every record says whatever its event: enough to keep and prove records whose event this
/// program does not know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The journal's epoch.
    pub epoch: u32,
    /// Place in the journal, from 0.
    pub seq: u64,
    /// Station time in ms since the Unix epoch.
    pub at_ms: i64,
    /// The event's name.
    pub event: String,
}

/// Why bytes are no record, or a record has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`RECORD_BYTES_MAX`].
    #[error("a record of {bytes} bytes is longer than {RECORD_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON.
    #[error("reading a record as JSON")]
    NotJson(#[source] serde_json::Error),
    /// Holds what a record cannot hold.
    #[error("writing a record in canonical form")]
    Canonical(#[source] CanonicalError),
    /// JSON, but not its canonical text: another order, spaces, escapes, a member twice, a member
    /// that no such event has.
    #[error("the record is not in canonical form")]
    NotCanonical,
    /// A format version this program does not know.
    #[error("record format version {found} is not known to this program")]
    UnknownVersion {
        /// The member `v`.
        found: u64,
    },
    /// One of `v`, `epoch`, `seq`, `at_ms` and `event` is missing or of another kind.
    #[error("the record has no proper {member:?}")]
    Member {
        /// Which.
        member: &'static str,
    },
    /// The event is unknown, or lacks a member.
    #[error("reading event {event:?} of a record")]
    Event {
        /// The event's name.
        event: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The record as it stands in JSON.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    epoch: u32,
    seq: u64,
    at_ms: i64,
    #[serde(flatten)]
    event: Event,
}

impl Record {
    /// The canonical text, which is hashed, stored and sent.
    ///
    /// # Errors
    /// [`RecordError::Canonical`] for integers beyond 2^53 - 1, [`RecordError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let wire = Wire {
            v: VERSION,
            epoch: self.epoch,
            seq: self.seq,
            at_ms: self.at_ms,
            event: self.event.clone(),
        };
        let bytes = canonical(&wire).map_err(RecordError::Canonical)?;
        check_length(&bytes)?;
        Ok(bytes)
    }

    /// Reads a record; takes exactly the bytes that [`Record::encode`] writes for it.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (envelope, value) = open(bytes)?;
        let wire: Wire = serde_json::from_value(value)
            .map_err(|source| RecordError::Event { event: envelope.event, source })?;
        let record =
            Self { epoch: wire.epoch, seq: wire.seq, at_ms: wire.at_ms, event: wire.event };
        // Finds members that the event does not have.
        if record.encode()? == bytes { Ok(record) } else { Err(RecordError::NotCanonical) }
    }
}

impl Envelope {
    /// Reads what every record says, and refuses text that is not canonical. The event's own
    /// members are not looked at.
    ///
    /// # Errors
    /// [`RecordError`], but never [`RecordError::Event`].
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        open(bytes).map(|(envelope, _)| envelope)
    }
}

fn check_length(bytes: &[u8]) -> Result<(), RecordError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(RecordError::TooLong { bytes: bytes.len() });
    }
    Ok(())
}

fn open(bytes: &[u8]) -> Result<(Envelope, Value), RecordError> {
    check_length(bytes)?;
    let value: Value = serde_json::from_slice(bytes).map_err(RecordError::NotJson)?;
    if canonical_value(&value).map_err(RecordError::Canonical)? != bytes {
        return Err(RecordError::NotCanonical);
    }
    let number = |member| value.get(member).and_then(Value::as_u64);
    let missing = |member| RecordError::Member { member };
    let found = number("v").ok_or(missing("v"))?;
    if found != u64::from(VERSION) {
        return Err(RecordError::UnknownVersion { found });
    }
    let epoch = number("epoch").and_then(|epoch| u32::try_from(epoch).ok());
    let envelope = Envelope {
        epoch: epoch.ok_or(missing("epoch"))?,
        seq: number("seq").ok_or(missing("seq"))?,
        at_ms: value.get("at_ms").and_then(Value::as_i64).ok_or(missing("at_ms"))?,
        event: value.get("event").and_then(Value::as_str).ok_or(missing("event"))?.to_owned(),
    };
    Ok((envelope, value))
}
