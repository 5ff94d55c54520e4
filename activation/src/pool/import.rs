//! A file of credentials, taken whole or not at all.
//!
//! Rows are read, checked and staged one after another; only when the last one is good is anything
//! kept. Every refusal names the line and, where there is one, the column. One line is one record:
//! a quotation mark may enclose a value and do nothing else, so no value can hide a line's end.

use super::cell::{self, CellFault};
use super::credential::Credential;
use super::fingerprint::{Fingerprint, Pepper};
use super::lines::{LINE_BYTES_MAX, Lines, NoLine};
use super::schema::{Column, Schema};
use crate::pool_block::COLUMNS_MAX;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use std::collections::HashMap;
use std::io::{self, Read};
use std::string::String;
use std::vec;
use std::vec::Vec;
use zeroize::Zeroizing;

/// How much one file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; 64 MiB by default.
    pub file_bytes: u64,
    /// Rows; 250,000 by default: what a hub checks in one transaction.
    pub rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 64 * 1024 * 1024, rows: 250_000 }
    }
}

/// Where an import goes: usually a transaction.
///
/// Promise asked of it: dropped without [`Staging::keep`], it leaves nothing behind.
pub trait Staging {
    /// What a row or the end can fail with.
    type Error: std::error::Error + 'static;
    /// What is left when everything was kept.
    type Kept;

    /// In whose import, in words for a person, this pool has seen the value before.
    ///
    /// # Errors
    /// If the store cannot answer.
    fn seen(
        &mut self,
        column: &Column,
        fingerprint: Fingerprint,
    ) -> Result<Option<String>, Self::Error>;

    /// Takes a row, in the file's order.
    ///
    /// # Errors
    /// If the row cannot be sealed or stored; the import ends.
    fn stage(&mut self, row: Row) -> Result<(), Self::Error>;

    /// Keeps all `rows` rows, at once.
    ///
    /// # Errors
    /// If they cannot be kept; then none is.
    fn keep(self, rows: u32) -> Result<Self::Kept, Self::Error>;
}

/// A row that passed every check.
#[derive(Debug)]
pub struct Row {
    /// Its line in the file, counted from 1.
    pub line: u32,
    /// Its values.
    pub credential: Credential,
    /// What to remember of each column that does not repeat: the column's place in the schema,
    /// counted from 0, and the value's fingerprint.
    pub fingerprints: Vec<(usize, Fingerprint)>,
}

/// What is wrong with a line as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Nothing on it.
    #[error("is empty")]
    Empty,
    /// Longer than a line may be.
    #[error("is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// A quotation mark inside a value, or without its partner.
    #[error("has a quotation mark at byte {byte} that does not enclose a value")]
    StrayQuote {
        /// Counted from 1.
        byte: usize,
    },
    /// More or fewer values than the heading.
    #[error("has {found} values; the heading has {expected}")]
    ValueCount {
        /// Values in the heading.
        expected: usize,
        /// Values on this line.
        found: usize,
    },
    /// Heading only: a column that the schema does not name.
    #[error("has a heading in column {column} that the schema does not name")]
    UnknownHeading {
        /// Counted from 1.
        column: usize,
    },
    /// Heading only: a column twice.
    #[error("names {name:?} again in column {column}")]
    HeadingTwice {
        /// Counted from 1.
        column: usize,
        /// The heading.
        name: String,
    },
    /// Heading only: a column of the schema is not there.
    #[error("does not name the column {name:?}")]
    HeadingMissing {
        /// The heading.
        name: String,
    },
}

/// Why a file was not imported. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError<E: std::error::Error + 'static> {
    /// The file could not be read.
    #[error("reading line {line} of the pool's file")]
    Read {
        /// The line, counted from 1.
        line: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is too large.
    #[error("the pool's file is larger than {bytes_max} bytes; split it")]
    FileTooLong {
        /// Most bytes.
        bytes_max: u64,
    },
    /// The file has too many rows.
    #[error("the pool's file has more than {rows_max} rows; split it")]
    TooManyRows {
        /// Most rows.
        rows_max: u32,
    },
    /// The file has a heading at most.
    #[error("the pool's file has no rows")]
    NoRows,
    /// A line is wrong.
    #[error("line {line} {fault}")]
    Line {
        /// The line, counted from 1.
        line: u32,
        /// How.
        fault: LineFault,
    },
    /// A value is wrong.
    #[error("line {line}, column {column} ({name}) {fault}")]
    Cell {
        /// The line, counted from 1.
        line: u32,
        /// The column in the file, counted from 1.
        column: usize,
        /// The column's heading.
        name: String,
        /// How.
        fault: CellFault,
    },
    /// A row could not be looked up or stored.
    #[error("storing the row on line {line}")]
    Staging {
        /// The line, counted from 1.
        line: u32,
        /// Why.
        #[source]
        source: E,
    },
    /// The rows could not be kept.
    #[error("keeping the imported rows")]
    Keeping(#[source] E),
}

/// Imports `file`: a heading that names the schema's columns in any order, then one row a line. A
/// UTF-8 mark at the beginning is passed over.
///
/// # Errors
/// The first [`ImportError`] met; `staging` was dropped then.
pub fn import<S: Staging>(
    file: impl Read,
    schema: &Schema,
    pepper: &Pepper,
    limits: Limits,
    mut staging: S,
) -> Result<S::Kept, ImportError<S::Error>> {
    let mut lines = Lines::of(file, limits.file_bytes);
    let mut splitter = Splitter::of(schema.delimiter());
    let heading = match next(&mut lines, limits)? {
        Some(line) => line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line),
        None => return Err(ImportError::NoRows),
    };
    let in_line = |line| move |fault| ImportError::Line { line, fault };
    let places =
        splitter.split(heading).and_then(|values| places(&values, schema)).map_err(in_line(1))?;

    let mut earlier = HashMap::new();
    let mut rows = 0;
    loop {
        let number = lines.number() + 1;
        let Some(line) = next(&mut lines, limits)? else { break };
        if rows == limits.rows {
            return Err(ImportError::TooManyRows { rows_max: limits.rows });
        }
        let values = splitter.split(line).map_err(in_line(number))?;
        if values.len() != places.len() {
            let (expected, found) = (places.len(), values.len());
            return Err(in_line(number)(LineFault::ValueCount { expected, found }));
        }
        let row = row(number, &values, &places, schema, pepper, &mut earlier, &mut staging)?;
        staging.stage(row).map_err(|source| ImportError::Staging { line: number, source })?;
        rows += 1;
    }
    if rows == 0 {
        return Err(ImportError::NoRows);
    }
    staging.keep(rows).map_err(ImportError::Keeping)
}

fn next<R: Read, E: std::error::Error>(
    lines: &mut Lines<R>,
    limits: Limits,
) -> Result<Option<&[u8]>, ImportError<E>> {
    let line = lines.number() + 1;
    lines.next().map_err(|no_line| match no_line {
        NoLine::Read(source) => ImportError::Read { line, source },
        NoLine::FileTooLong => ImportError::FileTooLong { bytes_max: limits.file_bytes },
        NoLine::LineTooLong => ImportError::Line { line, fault: LineFault::TooLong },
    })
}

/// For each column of the schema: where it stands in the file, counted from 0.
fn places(headings: &[&[u8]], schema: &Schema) -> Result<Vec<usize>, LineFault> {
    let mut places = vec![None; schema.columns().len()];
    for (at, heading) in headings.iter().enumerate() {
        let known = schema
            .columns()
            .iter()
            .zip(&mut places)
            .find(|(column, _)| column.name.as_bytes() == *heading);
        let Some((column, place)) = known else {
            return Err(LineFault::UnknownHeading { column: at + 1 });
        };
        if place.replace(at).is_some() {
            let name = column.name.clone();
            return Err(LineFault::HeadingTwice { column: at + 1, name });
        }
    }
    schema
        .columns()
        .iter()
        .zip(places)
        .map(|(column, place)| {
            place.ok_or_else(|| LineFault::HeadingMissing { name: column.name.clone() })
        })
        .collect()
}

/// Checks one row's values, column after column of the schema.
fn row<S: Staging>(
    line: u32,
    values: &[&[u8]],
    places: &[usize],
    schema: &Schema,
    pepper: &Pepper,
    earlier: &mut HashMap<(usize, Fingerprint), u32>,
    staging: &mut S,
) -> Result<Row, ImportError<S::Error>> {
    let mut cells = Vec::with_capacity(places.len());
    let mut fingerprints = Vec::with_capacity(places.len());
    for (at, (column, &place)) in schema.columns().iter().zip(places).enumerate() {
        let faulty = |fault| {
            let name = column.name.clone();
            ImportError::Cell { line, column: place + 1, name, fault }
        };
        let text = values.get(place).copied().unwrap_or_default();
        let value = cell::read(text, column, at == schema.code()).map_err(faulty)?;
        if !column.repeats {
            let fingerprint = pepper.fingerprint(&column.name, &value);
            if let Some(&first) = earlier.get(&(at, fingerprint)) {
                return Err(faulty(CellFault::TwiceInFile { line: first }));
            }
            let seen = staging.seen(column, fingerprint);
            let seen = seen.map_err(|source| ImportError::Staging { line, source })?;
            if let Some(earlier) = seen {
                return Err(faulty(CellFault::SeenBefore { earlier }));
            }
            fingerprints.push((at, fingerprint));
        }
        cells.push((column.openness, value));
    }
    for &(at, fingerprint) in &fingerprints {
        earlier.insert((at, fingerprint), line);
    }
    let credential = Credential::new(cells, schema.code());
    Ok(Row { line, credential, fingerprints })
}

/// Splits a line into values, through buffers of its own that are zeroed when dropped.
struct Splitter {
    reader: Reader,
    delimiter: u8,
    values: Zeroizing<Vec<u8>>,
    ends: [usize; COLUMNS_MAX + 1],
}

impl Splitter {
    fn of(delimiter: u8) -> Self {
        let reader =
            ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        let values = Zeroizing::new(vec![0; LINE_BYTES_MAX + 1]);
        Self { reader, delimiter, values, ends: [0; COLUMNS_MAX + 1] }
    }

    fn split(&mut self, line: &[u8]) -> Result<Vec<&[u8]>, LineFault> {
        if line.is_empty() {
            return Err(LineFault::Empty);
        }
        if let Some(at) = stray_quote(line, self.delimiter) {
            return Err(LineFault::StrayQuote { byte: at + 1 });
        }
        self.reader.reset();
        let (_, _, used, ended) = self.reader.read_record(line, &mut self.values, &mut self.ends);
        let (mut used, mut ended) = (used, ended);
        let (rest, ends) = (self.values.get_mut(used..), self.ends.get_mut(ended..));
        let (result, _, more_used, more_ended) =
            self.reader.read_record(b"\n", rest.unwrap_or_default(), ends.unwrap_or_default());
        used += more_used;
        ended += more_ended;
        // No value holds a quotation mark or a line's end, so the line's end always ends the record,
        // unless there are more values than any schema has columns.
        if result != ReadRecordResult::Record {
            let found = line.iter().filter(|&&byte| byte == self.delimiter).count() + 1;
            return Err(LineFault::ValueCount { expected: COLUMNS_MAX, found });
        }
        let values = self.values.get(..used).unwrap_or_default();
        let mut start = 0;
        let ends = self.ends.get(..ended).unwrap_or_default().iter();
        Ok(ends
            .map(|&end| values.get(std::mem::replace(&mut start, end)..end).unwrap_or_default())
            .collect())
    }
}

/// The first quotation mark that neither opens a value nor closes it. CSV readers guess what such a
/// mark means; a guess about a secret is a wrong secret in a chip.
fn stray_quote(line: &[u8], delimiter: u8) -> Option<usize> {
    let (mut opened_at, mut at_start) = (None, true);
    for (at, &byte) in line.iter().enumerate() {
        if byte == b'"' {
            if opened_at.is_some() {
                if line.get(at + 1).is_some_and(|&next| next != delimiter) {
                    return Some(at);
                }
                opened_at = None;
            } else if at_start {
                opened_at = Some(at);
            } else {
                return Some(at);
            }
        }
        at_start = opened_at.is_none() && byte == delimiter;
    }
    opened_at
}
