//! Records and heads of the station's log, as bytes.

use std::ops::Range;

use rusqlite::{OptionalExtension, params};

use super::{Commit, StoreError};

/// One record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Place in the epoch, from 0.
    pub seq: u64,
    /// Canonical JSON as it was hashed.
    pub record: Vec<u8>,
    /// RFC 6962 leaf hash.
    pub leaf: [u8; 32],
}

/// A signed head of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Records under it.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

impl Commit<'_> {
    /// Adds a record at the end of the epoch.
    ///
    /// # Errors
    /// A second record under the same number is refused by the database.
    pub fn append_record(
        &self,
        epoch: u32,
        at_ms: i64,
        row: &JournalRow,
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO journal (epoch, seq, at_ms, record, leaf) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![epoch, signed(row.seq), at_ms, row.record, row.leaf])?;
        Ok(())
    }

    /// Records `from..` of an epoch, at most `records_max` of them.
    ///
    /// # Errors
    /// As the database says.
    pub fn records(
        &self,
        epoch: u32,
        from: u64,
        records_max: u32,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT seq, record, leaf FROM journal WHERE epoch = ?1 AND seq >= ?2
             ORDER BY seq LIMIT ?3",
        )?;
        let rows = statement.query_map(params![epoch, signed(from), records_max], |row| {
            Ok(JournalRow { seq: unsigned(row.get(0)?), record: row.get(1)?, leaf: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Hands every leaf hash of an epoch to `each`, in order.
    ///
    /// # Errors
    /// As the database says; [`StoreError::Damaged`] when a record is missing in between.
    pub fn leaves(&self, epoch: u32, mut each: impl FnMut([u8; 32])) -> Result<u64, StoreError> {
        let mut statement = self
            .transaction
            .prepare("SELECT seq, leaf FROM journal WHERE epoch = ?1 ORDER BY seq")?;
        let mut rows = statement.query([epoch])?;
        let mut size = 0;
        while let Some(row) = rows.next()? {
            if unsigned(row.get(0)?) != size {
                return Err(StoreError::Damaged { what: format!("journal record {size} is gone") });
            }
            each(row.get(1)?);
            size += 1;
        }
        Ok(size)
    }

    /// Keeps a head, ours or the cosigned one, instead of the one before it.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_head(&self, epoch: u32, cosigned: bool, head: &Head) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO checkpoint (epoch, cosigned, size, note) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET size = excluded.size, note = excluded.note",
            )?
            .execute(params![epoch, cosigned, signed(head.size), head.note])?;
        Ok(())
    }

    /// The last head, ours or the cosigned one.
    ///
    /// # Errors
    /// As the database says.
    pub fn head(&self, epoch: u32, cosigned: bool) -> Result<Option<Head>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT size, note FROM checkpoint WHERE epoch = ?1 AND cosigned = ?2")?
            .query_row(params![epoch, cosigned], |row| {
                Ok(Head { size: unsigned(row.get(0)?), note: row.get(1)? })
            })
            .optional()?)
    }

    /// The first record of an epoch that is still here with its text.
    ///
    /// # Errors
    /// As the database says.
    pub fn first_kept(&self, epoch: u32) -> Result<Option<u64>, StoreError> {
        let seq: Option<i64> = self.transaction.query_row(
            "SELECT min(seq) FROM journal WHERE epoch = ?1 AND length(record) > 0",
            [epoch],
            |row| row.get(0),
        )?;
        Ok(seq.map(unsigned))
    }

    /// The first record of an epoch written at or after `since_ms`.
    ///
    /// # Errors
    /// As the database says.
    pub fn first_since(&self, epoch: u32, since_ms: i64) -> Result<Option<u64>, StoreError> {
        let seq: Option<i64> = self.transaction.query_row(
            "SELECT min(seq) FROM journal WHERE epoch = ?1 AND at_ms >= ?2",
            params![epoch, since_ms],
            |row| row.get(0),
        )?;
        Ok(seq.map(unsigned))
    }

    /// Erases the text of records `from..to`; their hashes stay.
    ///
    /// # Errors
    /// As the database says.
    pub fn let_records_go(&self, epoch: u32, from: u64, to: u64) -> Result<(), StoreError> {
        self.transaction.execute(
            "UPDATE journal SET record = x'' WHERE epoch = ?1 AND seq >= ?2 AND seq < ?3",
            params![epoch, signed(from), signed(to)],
        )?;
        Ok(())
    }

    /// Epoch and size of every head of our own, oldest first.
    ///
    /// # Errors
    /// As the database says.
    pub fn own_heads(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT epoch, size FROM checkpoint WHERE cosigned = 0 ORDER BY epoch",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Station time of one record, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As the database says.
    pub fn record_time(&self, epoch: u32, seq: u64) -> Result<Option<i64>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT at_ms FROM journal WHERE epoch = ?1 AND seq = ?2")?
            .query_row(params![epoch, signed(seq)], |row| row.get(0))
            .optional()?)
    }

    /// Bytes of these records together.
    ///
    /// # Errors
    /// As the database says.
    pub fn record_bytes(&self, epoch: u32, range: Range<u64>) -> Result<u64, StoreError> {
        if range.is_empty() {
            return Ok(0);
        }
        let bytes: i64 = self
            .transaction
            .prepare_cached(
                "SELECT coalesce(sum(length(record)), 0) FROM journal
                 WHERE epoch = ?1 AND seq >= ?2 AND seq < ?3",
            )?
            .query_row(params![epoch, signed(range.start), signed(range.end)], |row| row.get(0))?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    /// The newest epoch that has records.
    ///
    /// # Errors
    /// As the database says.
    pub fn newest_epoch(&self) -> Result<Option<u32>, StoreError> {
        Ok(self.transaction.query_row("SELECT max(epoch) FROM journal", [], |row| row.get(0))?)
    }
}

/// SQLite integers are signed; a journal never gets near 2^63 records.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
