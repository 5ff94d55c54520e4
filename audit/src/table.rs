//! The same exports as CSV, for people with spreadsheets: a row for each record, with its proof.

use crate::checkpoint::SignedCheckpoint;
use crate::export::{Checker, ExportError, ExportKeys, ExportReport, LineFault, prove_head};
use crate::frontier::Hash;
use crate::record::Envelope;
use crate::tree::Tree;
use csv::{ReaderBuilder, StringRecord, Writer};
use std::io::{Read, Write};

/// The first row: what the columns hold.
pub const COLUMNS: [&str; 5] = ["seq", "at_ms", "event", "record", "proof"];
/// In the column `seq` of the second row, which holds the signed head.
const HEAD: &str = "checkpoint";
/// In its column `event`.
const COMPLETE: &str = "complete";
const PARTIAL: &str = "partial";

/// Writes an export as CSV: with `tree` the records are some, each with its proof for the head's
/// `size`; without, they are all of the journal.
///
/// # Errors
/// [`ExportError::Csv`], [`ExportError::Record`], [`ExportError::OutOfRange`].
pub fn write_csv_export<R: AsRef<[u8]>>(
    out: &mut impl Write,
    signed: &SignedCheckpoint,
    tree: Option<(&Tree, u64)>,
    records: impl IntoIterator<Item = (u64, R)>,
) -> Result<(), ExportError> {
    let mut rows = Writer::from_writer(out);
    rows.write_record(COLUMNS).map_err(ExportError::Csv)?;
    let kind = if tree.is_some() { PARTIAL } else { COMPLETE };
    rows.write_record([HEAD, "", kind, signed.as_str(), ""]).map_err(ExportError::Csv)?;
    for (seq, record) in records {
        let record = record.as_ref();
        let envelope =
            Envelope::read(record).map_err(|source| ExportError::Record { seq, source })?;
        let proof = match tree {
            None => Vec::new(),
            Some((tree, size)) => tree
                .inclusion_proof(seq, size)
                .map_err(|source| ExportError::OutOfRange { seq, source })?,
        };
        let proof: Vec<String> = proof.iter().map(hex::encode).collect();
        // Canonical JSON is UTF-8.
        let text = String::from_utf8_lossy(record);
        let (seq, at_ms) = (seq.to_string(), envelope.at_ms.to_string());
        let row = [seq.as_str(), &at_ms, &envelope.event, &text, &proof.join(" ")];
        rows.write_record(row).map_err(ExportError::Csv)?;
    }
    rows.flush().map_err(ExportError::Io)
}

/// Proves an export that was written as CSV; the columns beside `record` must say what it says.
///
/// # Errors
/// [`ExportError`]; the first row that is wrong is named, counted as a line from 1.
pub fn verify_csv_export(file: impl Read, keys: &ExportKeys) -> Result<ExportReport, ExportError> {
    let mut rows = ReaderBuilder::new().has_headers(false).from_reader(file);
    let mut rows = rows.records();
    let at_line = |line| move |fault| ExportError::Line { line, fault };
    let columns = next(&mut rows)?.ok_or_else(|| at_line(1)(LineFault::Members))?;
    if !columns.iter().eq(COLUMNS) {
        return Err(at_line(1)(LineFault::UnknownFormat));
    }
    let head = next(&mut rows)?.ok_or_else(|| at_line(2)(LineFault::Members))?;
    let complete = match (&head[0], &head[1], &head[2], &head[4]) {
        (HEAD, "", COMPLETE, "") => true,
        (HEAD, "", PARTIAL, "") => false,
        _ => return Err(at_line(2)(LineFault::Members)),
    };
    let (checkpoint, seen_s) = prove_head(&head[3], keys)?;
    let mut checker = Checker::new(checkpoint, complete);
    while let Some(row) = next(&mut rows)? {
        let refused = at_line(checker.records + 3);
        let record = row[3].as_bytes();
        let envelope =
            Envelope::read(record).map_err(|source| refused(LineFault::Record(source)))?;
        let said = [envelope.seq.to_string(), envelope.at_ms.to_string(), envelope.event];
        if !row.iter().take(said.len()).eq(&said) {
            return Err(refused(LineFault::Members));
        }
        let proof = match (complete, &row[4]) {
            (true, "") => None,
            (_, text) => Some(hashes(text).ok_or_else(|| refused(LineFault::Members))?),
        };
        checker.take(record, proof).map_err(refused)?;
    }
    checker.finish(seen_s)
}

fn next(
    rows: &mut impl Iterator<Item = csv::Result<StringRecord>>,
) -> Result<Option<StringRecord>, ExportError> {
    let row = rows.next().transpose().map_err(ExportError::Csv)?;
    // The reader refuses rows of unequal lengths; the first one decides.
    Ok(row.filter(|row| row.len() == COLUMNS.len()))
}

fn hashes(text: &str) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    for text in text.split(' ').filter(|text| !text.is_empty()) {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok()?;
        hashes.push(hash);
    }
    Some(hashes)
}
