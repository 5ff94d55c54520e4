//! What must not be lost: one SQLite file, one owner.
//!
//! Owns the schema, the migrations and what a failed write means. Leaves the meaning of records to
//! the journal, of documents to the shelf. The connection lives on one thread; whoever needs it
//! asks that thread.
//!
//! Promises: a commit that returned is on the disk (`synchronous=FULL`); one that failed changed
//! nothing; a file written by newer software is refused and left as it is.

mod credentials;
mod journal;
mod migrate;
mod outcomes;
mod people;
mod rejects;
mod shelf;
mod slots;
mod station;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

pub use credentials::{BindingRow, ShareRow};
pub use journal::{Head, JournalRow};
pub use outcomes::EndedVisit;
pub use rejects::{KeptReject, OpenCode};
pub use station::KeyKind;
pub use units::{Place, Reservation, UnitKey, UnitRow, UnitState};

/// How long a reader of the same file (a backup, say) may hold a commit up.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Extended result code of a write that the file system refused (EFBIG, EDQUOT).
const SQLITE_IOERR_WRITE: i32 = 778;

/// Why the store does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room; nothing was changed.
    #[error("the disk has no room for a commit")]
    Full(#[source] rusqlite::Error),
    /// The file is not a sound database of ours.
    #[error("the station's records are damaged: {what}")]
    Damaged {
        /// What was found, for the log.
        what: String,
    },
    /// Written by newer software.
    #[error("the station's records have schema {found}, this program knows {known}")]
    Newer {
        /// Schema of the file.
        found: u32,
        /// Newest schema this program knows.
        known: u32,
    },
    /// Another process owns the file.
    #[error("another program uses the station's records")]
    InUse(#[source] rusqlite::Error),
    /// Anything else the database reports.
    #[error("asking the station's records")]
    Database(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(cause) = error.sqlite_error() else {
            return Self::Database(error);
        };
        if cause.code == ErrorCode::DiskFull || cause.extended_code == SQLITE_IOERR_WRITE {
            return Self::Full(error);
        }
        if matches!(cause.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) {
            return Self::Damaged { what: error.to_string() };
        }
        if matches!(cause.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) {
            return Self::InUse(error);
        }
        Self::Database(error)
    }
}

/// The open store.
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens or creates the file, checks it and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file from the future, [`StoreError::Damaged`] for an unsound
    /// one, [`StoreError::Full`] when there is no room to begin.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_MAX)?;
        // Judged before anything is changed: a newer file must stay as it is.
        migrate::refuse_newer(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Wrapped keys and settings that were erased leave no bytes in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        check_soundness(&connection)?;
        migrate::bring_up_to_date(&mut connection)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` as one commit: all of it is on the disk afterwards, or none of it.
    ///
    /// # Errors
    /// What `work` returns, or why the commit failed.
    pub fn commit<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Commit<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        let commit = Commit { transaction };
        let done = work(&commit)?;
        commit.transaction.commit().map_err(StoreError::from)?;
        Ok(done)
    }

    /// Empties the write-ahead log into the file, so that what was erased is in neither. Whether it
    /// could: a reader of the same file (a backup) may be in the way.
    ///
    /// # Errors
    /// As the database says.
    pub fn forget_erased(&mut self) -> Result<bool, StoreError> {
        let busy: i64 =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// Reads without changing anything.
    ///
    /// # Errors
    /// What `work` returns, or why reading failed.
    pub fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Commit<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.connection.transaction().map_err(StoreError::from)?;
        work(&Commit { transaction })
    }
}

/// One transaction; the noun files add what can be asked and changed in it.
pub struct Commit<'a> {
    transaction: Transaction<'a>,
}

fn check_soundness(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(StoreError::Damaged { what: answer }) }
}
