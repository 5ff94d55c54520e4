//! Exports: a JSON Lines file that anyone can check with nothing but public keys.
//!
//! The first line holds the signed checkpoint, every other line a record. A *complete* export holds
//! the whole journal and is checked by recomputing its root. A *partial* one (one unit, one day)
//! carries an inclusion proof with every record: it shows that each was there, not that no other
//! was.

use crate::canonical::{CanonicalError, canonical, canonical_value};
use crate::checkpoint::{Checkpoint, CheckpointError, Cosigner, SignedCheckpoint};
use crate::frontier::{Frontier, Hash, leaf_hash};
use crate::hexed::Digest;
use crate::note::NOTE_BYTES_MAX;
use crate::origin::Origin;
use crate::proof::verify_inclusion;
use crate::record::{Envelope, RECORD_BYTES_MAX, RecordError};
use crate::tree::{OutOfRange, Tree};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, BufRead, Read as _, Write};

/// The header's `format`.
const FORMAT: &str = "flashline-journal";
/// The export format written here.
const VERSION: u32 = 1;
/// Longest line: a record, or a note with every character escaped, and a proof of 64 hashes.
const LINE_BYTES_MAX: usize = RECORD_BYTES_MAX + 2 * NOTE_BYTES_MAX + 64 * 67;

/// What the reader of an export trusts.
#[derive(Debug, Clone)]
pub struct ExportKeys {
    /// The journal it must be; `None` takes any journal that `station_key` signed.
    pub origin: Option<Origin>,
    /// The station's journal key.
    pub station_key: [u8; 32],
    /// The hub's cosigning key; `None` asks for no cosignature.
    pub cosigner: Option<Cosigner>,
}

/// What an export proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// The head that was signed.
    pub checkpoint: Checkpoint,
    /// When the hub saw it, in seconds since the Unix epoch, if a cosigner was asked for.
    pub seen_s: Option<u64>,
    /// Records in the file; all of them proven.
    pub records: u64,
    /// Whether the file holds the whole journal up to the checkpoint.
    pub complete: bool,
}

/// What is wrong with one line.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// Longer than any line of an export.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Does not end with a newline: the file was cut.
    #[error("the line does not end; the file was cut")]
    Cut,
    /// Not JSON.
    #[error("the line is no JSON")]
    NotJson(#[source] serde_json::Error),
    /// Has no canonical form, or is not in it.
    #[error("the line is not in canonical form")]
    NotCanonical,
    /// No header, or no line with a record (and a proof, in a partial export).
    #[error("the line does not have the members it should")]
    Members,
    /// A header of another format or version.
    #[error("the export's format or version is not known to this program")]
    UnknownFormat,
    /// The record does not read.
    #[error("reading the record")]
    Record(#[source] RecordError),
    /// The record is of another epoch, or out of order, or beyond the checkpoint.
    #[error("record {seq} of epoch {epoch} does not belong here")]
    Misplaced {
        /// The epoch it says.
        epoch: u32,
        /// The place it says.
        seq: u64,
    },
    /// The proof does not lead to the signed root: the record was edited.
    #[error("record {seq} is not in the signed journal")]
    NotIncluded {
        /// The place it says.
        seq: u64,
    },
}

/// Why an export is refused, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file could not be read or written.
    #[error("reading or writing the export")]
    Io(#[source] io::Error),
    /// The checkpoint does not verify.
    #[error("proving the export's checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// A line is wrong.
    #[error("checking line {line} of the export")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        #[source]
        fault: LineFault,
    },
    /// A complete export ends early.
    #[error("the export is called complete and holds {found} of {signed} records")]
    Incomplete {
        /// Records in the file.
        found: u64,
        /// Records that were signed.
        signed: u64,
    },
    /// A complete export that hashes to another root: something was edited.
    #[error("the records of the export are not the records that were signed")]
    NotTheSignedRecords,
    /// The writer's tree does not reach to the checkpoint or record.
    #[error("proving record {seq} from the tree")]
    OutOfRange {
        /// The record's place.
        seq: u64,
        /// The tree's size.
        #[source]
        source: OutOfRange,
    },
    /// A record to be written is none.
    #[error("writing record {seq}")]
    Record {
        /// Its place.
        seq: u64,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// A table could not be written or read as CSV.
    #[error("reading or writing the export as CSV")]
    Csv(#[source] csv::Error),
    /// A line has no canonical form.
    #[error("writing a line of the export")]
    Canonical(#[source] CanonicalError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    v: u32,
    complete: bool,
    checkpoint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<Vec<Digest>>,
    record: Value,
}

/// Writes a complete export: `records` are all records of the journal, oldest first.
///
/// # Errors
/// [`ExportError::Io`], [`ExportError::Record`].
pub fn write_export<R: AsRef<[u8]>>(
    out: &mut impl Write,
    signed: &SignedCheckpoint,
    records: impl IntoIterator<Item = R>,
) -> Result<(), ExportError> {
    write_header(out, signed, true)?;
    for (seq, record) in (0..).zip(records) {
        write_line(out, &Line { proof: None, record: value_of(seq, record.as_ref())? })?;
    }
    Ok(())
}

/// Writes a partial export: `records` are some records with their places, oldest first, and `tree`
/// reaches at least to `size`, the size in the checkpoint.
///
/// # Errors
/// [`ExportError::Io`], [`ExportError::Record`], [`ExportError::OutOfRange`].
pub fn write_partial_export<R: AsRef<[u8]>>(
    out: &mut impl Write,
    signed: &SignedCheckpoint,
    tree: &Tree,
    size: u64,
    records: impl IntoIterator<Item = (u64, R)>,
) -> Result<(), ExportError> {
    write_header(out, signed, false)?;
    for (seq, record) in records {
        let proof = tree
            .inclusion_proof(seq, size)
            .map_err(|source| ExportError::OutOfRange { seq, source })?;
        let proof = Some(proof.into_iter().map(Digest).collect());
        write_line(out, &Line { proof, record: value_of(seq, record.as_ref())? })?;
    }
    Ok(())
}

fn write_header(
    out: &mut impl Write,
    signed: &SignedCheckpoint,
    complete: bool,
) -> Result<(), ExportError> {
    let checkpoint = signed.as_str().to_owned();
    write_line(out, &Header { format: FORMAT.to_owned(), v: VERSION, complete, checkpoint })
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<(), ExportError> {
    let mut text = canonical(line).map_err(ExportError::Canonical)?;
    text.push(b'\n');
    out.write_all(&text).map_err(ExportError::Io)
}

fn value_of(seq: u64, record: &[u8]) -> Result<Value, ExportError> {
    let read = |record| {
        Envelope::read(record)?;
        serde_json::from_slice(record).map_err(RecordError::NotJson)
    };
    read(record).map_err(|source| ExportError::Record { seq, source })
}

/// Proves an export: every record in it stands in the journal that the station signed.
///
/// # Errors
/// [`ExportError`]; the first line that is wrong is named.
pub fn verify_export(
    mut file: impl BufRead,
    keys: &ExportKeys,
) -> Result<ExportReport, ExportError> {
    let header =
        next_line(&mut file, 1)?.ok_or(ExportError::Line { line: 1, fault: LineFault::Members })?;
    let (checkpoint, seen_s, complete) = open_header(header, keys)?;

    let mut checker = Checker::new(checkpoint, complete);
    while let Some(line) = next_line(&mut file, checker.records + 2)? {
        let at = checker.records + 2;
        let at_line = |fault| ExportError::Line { line: at, fault };
        let line: Line = serde_json::from_value(line).map_err(|_| at_line(LineFault::Members))?;
        let record = canonical_value(&line.record).map_err(|_| at_line(LineFault::NotCanonical))?;
        let proof = line.proof.map(|proof| proof.into_iter().map(|Digest(hash)| hash).collect());
        checker.take(&record, proof).map_err(at_line)?;
    }
    checker.finish(seen_s)
}

/// Proves records one after the other against a head that was proven.
pub(crate) struct Checker {
    checkpoint: Checkpoint,
    complete: bool,
    whole: Frontier,
    next_seq: u64,
    /// Records proven so far.
    pub(crate) records: u64,
}

impl Checker {
    pub(crate) fn new(checkpoint: Checkpoint, complete: bool) -> Self {
        Self { checkpoint, complete, whole: Frontier::new(), next_seq: 0, records: 0 }
    }

    pub(crate) fn take(
        &mut self,
        record: &[u8],
        proof: Option<Vec<Hash>>,
    ) -> Result<(), LineFault> {
        let Envelope { epoch, seq, .. } = Envelope::read(record).map_err(LineFault::Record)?;
        let in_order = if self.complete { seq == self.next_seq } else { seq >= self.next_seq };
        let Checkpoint { origin, size, root } = &self.checkpoint;
        if epoch != origin.epoch() || !in_order || seq >= *size {
            return Err(LineFault::Misplaced { epoch, seq });
        }
        match (self.complete, proof) {
            (true, None) => {
                self.whole.append(record);
            }
            (false, Some(proof)) => {
                if !verify_inclusion(seq, *size, leaf_hash(record), &proof, *root) {
                    return Err(LineFault::NotIncluded { seq });
                }
            }
            (true, Some(_)) | (false, None) => return Err(LineFault::Members),
        }
        self.next_seq = seq + 1;
        self.records += 1;
        Ok(())
    }

    pub(crate) fn finish(self, seen_s: Option<u64>) -> Result<ExportReport, ExportError> {
        let Self { checkpoint, complete, whole, records, .. } = self;
        if complete && records != checkpoint.size {
            return Err(ExportError::Incomplete { found: records, signed: checkpoint.size });
        }
        if complete && whole.root() != checkpoint.root {
            return Err(ExportError::NotTheSignedRecords);
        }
        Ok(ExportReport { checkpoint, seen_s, records, complete })
    }
}

fn open_header(
    header: Value,
    keys: &ExportKeys,
) -> Result<(Checkpoint, Option<u64>, bool), ExportError> {
    let at_line = |fault| ExportError::Line { line: 1, fault };
    let known = |member, wanted: &Value| header.get(member).is_none_or(|found| found == wanted);
    if !known("format", &FORMAT.into()) || !known("v", &VERSION.into()) {
        return Err(at_line(LineFault::UnknownFormat));
    }
    let header: Header = serde_json::from_value(header).map_err(|_| at_line(LineFault::Members))?;
    let (checkpoint, seen_s) = prove_head(&header.checkpoint, keys)?;
    Ok((checkpoint, seen_s, header.complete))
}

/// Proves the head of an export.
pub(crate) fn prove_head(
    note: &str,
    keys: &ExportKeys,
) -> Result<(Checkpoint, Option<u64>), ExportError> {
    let signed: SignedCheckpoint = note.parse().map_err(ExportError::Checkpoint)?;
    let prove = || {
        let origin = match &keys.origin {
            Some(origin) => origin.clone(),
            None => signed.claimed_origin()?,
        };
        match &keys.cosigner {
            None => Ok((signed.verify(&origin, &keys.station_key)?, None)),
            Some(cosigner) => signed
                .verify_cosigned(&origin, &keys.station_key, cosigner)
                .map(|cosigned| (cosigned.checkpoint, Some(cosigned.seen_s))),
        }
    };
    prove().map_err(ExportError::Checkpoint)
}

/// The next line as canonical JSON; `None` at the end of the file.
fn next_line(file: &mut impl BufRead, line: u64) -> Result<Option<Value>, ExportError> {
    let at_line = |fault| ExportError::Line { line, fault };
    let mut text = Vec::new();
    let mut bounded = file.take(LINE_BYTES_MAX as u64 + 1);
    bounded.read_until(b'\n', &mut text).map_err(ExportError::Io)?;
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > LINE_BYTES_MAX {
        return Err(at_line(LineFault::TooLong));
    }
    let Some(text) = text.strip_suffix(b"\n") else {
        return Err(at_line(LineFault::Cut));
    };
    let value: Value =
        serde_json::from_slice(text).map_err(|source| at_line(LineFault::NotJson(source)))?;
    match canonical_value(&value) {
        Ok(canonical) if canonical == text => Ok(Some(value)),
        Ok(_) | Err(_) => Err(at_line(LineFault::NotCanonical)),
    }
}
