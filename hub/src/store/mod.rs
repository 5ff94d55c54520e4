//! What the hub remembers: SQLite through sea-orm, one tenant at a time.
//!
//! Owns tables, transactions and the doors by which a tenant is found. Leaves verification to the
//! rooms that own the formats: what arrives here was checked before.
//!
//! Promise: every method about a tenant's things takes a [`TenantScope`], and a scope is only
//! given out for a tenant's token, station certificate, enrolment secret or name. A query without
//! a tenant does not compile.

mod allotments;
mod branches;
mod entities;
mod journals;
mod log;
mod migrations;
mod orders;
mod people;
mod pools;
mod recovery;
mod register;
mod releases;
mod retention;
mod scope;
mod stations;
mod sticks;
mod units;

use std::path::Path;

use sea_orm::{
    ActiveValue::Set, ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait, TransactionTrait,
};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use branches::{HeldBranch, NewBranch};
pub(crate) use journals::{Growth, HeldJournal, JournalRecord, Standing};
pub(crate) use log::LOG_EPOCH;
use log::note_change;
pub(crate) use migrations::SCHEMA;
pub(crate) use orders::{NewOrder, NewPortion, PortionRow, Returned};
pub(crate) use people::{PersonRow, SignedRoster};
pub(crate) use pools::{ImportedRow, NewPool, PoolRow, ShareRow};
pub(crate) use recovery::Missed;
pub(crate) use register::{Impossible, NewFact};
pub(crate) use releases::{NewRelease, ReleaseRow};
pub use scope::TenantScope;
pub(crate) use stations::{KnownCertificate, NewCode, NewStation, SignedLease, StationRow};
pub(crate) use sticks::StickState;
pub(crate) use units::{UnitChange, UnitKey};

/// The store failed or refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("asking the hub's store")]
    Database(#[from] DbErr),
    /// Written by a later program.
    #[error("opening the hub's store: it has form {found}, this program knows up to {known}")]
    Newer {
        /// Its form.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// A value that this program cannot have written.
    #[error("reading {what} from the hub's store")]
    Damaged {
        /// What it was to be.
        what: &'static str,
    },
    /// There is one already.
    #[error("there is already such a {what}")]
    Exists {
        /// What.
        what: &'static str,
    },
    /// There is none, for this tenant.
    #[error("there is no such {what}")]
    Missing {
        /// What.
        what: &'static str,
    },
    /// An order has fewer units left.
    #[error("the order has {left} units left")]
    OrderExhausted {
        /// Units not granted yet.
        left: i64,
    },
    /// The allotment's indices are taken.
    #[error("the allotment's indices up to {taken} are taken")]
    AllotmentTaken {
        /// First free index.
        taken: i64,
    },
    /// The journal grew since it was read.
    #[error("the journal changed meanwhile")]
    JournalMoved,
}

/// The database and its one writer at a time.
pub struct Store {
    db: DatabaseConnection,
    writer: Mutex<()>,
}

/// A write in progress: a transaction, and the turn of the writer.
struct Writing<'a> {
    transaction: DatabaseTransaction,
    _turn: MutexGuard<'a, ()>,
}

impl Writing<'_> {
    async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

impl Store {
    /// Opens the database file, makes it when missing, and brings it to the newest form.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a store of a later program, [`StoreError::Database`].
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let file = file.to_owned();
        let mut options = ConnectOptions::new("sqlite://hub.db");
        options.max_connections(4).min_connections(1).sqlx_logging(false);
        options.map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .filename(&file)
                .create_if_missing(true)
                .foreign_keys(true)
                .busy_timeout(std::time::Duration::from_secs(10))
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", "FULL")
                // A name that was erased leaves no bytes in free pages.
                .pragma("secure_delete", "ON")
        });
        let db = Database::connect(options).await?;
        migrations::migrate(&db).await?;
        Ok(Self { db, writer: Mutex::new(()) })
    }

    /// Closes the database in order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn close(&self) -> Result<(), StoreError> {
        let _turn = self.writer.lock().await;
        Ok(self.db.clone().close().await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn answers(&self) -> Result<(), StoreError> {
        Ok(self.db.ping().await?)
    }

    async fn write(&self) -> Result<Writing<'_>, StoreError> {
        let turn = self.writer.lock().await;
        Ok(Writing { transaction: self.db.begin().await?, _turn: turn })
    }

    /// A value of the hub itself.
    pub(crate) async fn hub_value(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        use entities::hub_value::{Column, Entity};
        use sea_orm::{ColumnTrait, QueryFilter};
        let row = Entity::find().filter(Column::Name.eq(name)).one(&self.db).await?;
        Ok(row.map(|row| row.bytes))
    }

    /// Keeps values of the hub itself that are not there yet.
    pub(crate) async fn keep_hub_values(
        &self,
        values: &[(&str, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        for (name, bytes) in values {
            let row = entities::hub_value::ActiveModel {
                name: Set((*name).to_owned()),
                bytes: Set(bytes.clone()),
                ..Default::default()
            };
            entities::hub_value::Entity::insert(row).exec(&writing.transaction).await?;
        }
        writing.commit().await
    }
}

/// SHA-256 or key of 32 bytes from a column.
fn bytes32(bytes: &[u8], what: &'static str) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged { what })
}

/// A name from a column.
fn parsed<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Damaged { what })
}

/// A count from a column.
fn count<T: TryFrom<i64>>(number: i64, what: &'static str) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| StoreError::Damaged { what })
}

/// A number for a column. Sequence numbers and sizes stay far below 2^63.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
