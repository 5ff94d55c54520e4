//! Stations' journals as verified: records, the frontier to go on from, and forks with both
//! branches.

use protocol::{Epoch, StationName};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entities::{fork, journal, record, station};
use super::orders::{self, Returned};
use super::register::{self, NewFact};
use super::units::{self, UnitChange};
use super::{Store, StoreError, TenantScope, bytes32, column, count, note_change};
use crate::store::stations::StationRow;

/// SQLite takes 32,766 parameters in a statement.
const ROWS_PER_INSERT: usize = 500;

/// What is held of one journal.
#[derive(Debug, Clone)]
pub(crate) struct HeldJournal {
    pub(crate) size: u64,
    pub(crate) frontier: audit::Frontier,
    /// The last note with the hub's cosignature; none before the first record.
    pub(crate) cosigned: Option<String>,
}

/// One record to be kept.
pub(crate) struct JournalRecord<'a> {
    pub(crate) seq: u64,
    pub(crate) leaf: audit::Hash,
    pub(crate) text: &'a str,
}

/// New records, with the state of the journal after them.
pub(crate) struct Growth<'a> {
    pub(crate) held: &'a HeldJournal,
    pub(crate) records: &'a [JournalRecord<'a>],
    pub(crate) frontier: &'a audit::Frontier,
    pub(crate) cosigned: &'a str,
    pub(crate) units: &'a [UnitChange],
    /// What they say for the register.
    pub(crate) facts: &'a [NewFact],
    /// What the station gives back.
    pub(crate) returned: &'a [Returned],
    pub(crate) now_ms: i64,
}

impl Store {
    /// What is held of a station's journal; an empty one when nothing is.
    pub(crate) async fn journal(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
    ) -> Result<HeldJournal, StoreError> {
        let row = journal::Entity::find()
            .filter(journal::Column::TenantId.eq(scope.id()))
            .filter(journal::Column::StationId.eq(station.id))
            .filter(journal::Column::Epoch.eq(i64::from(epoch.0)))
            .one(&self.db)
            .await?;
        match row {
            Some(row) => Ok(HeldJournal {
                size: count(row.size, "a journal's size")?,
                frontier: audit::Frontier::from_bytes(&row.frontier)
                    .map_err(|_| StoreError::Damaged { what: "a journal's frontier" })?,
                cosigned: Some(row.cosigned),
            }),
            None => Ok(HeldJournal { size: 0, frontier: audit::Frontier::new(), cosigned: None }),
        }
    }

    /// Leaf hashes of the records from `from` on.
    pub(crate) async fn leaves(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        from: u64,
    ) -> Result<Vec<audit::Hash>, StoreError> {
        let rows: Vec<Vec<u8>> = record::Entity::find()
            .select_only()
            .column(record::Column::Leaf)
            .filter(record::Column::TenantId.eq(scope.id()))
            .filter(record::Column::StationId.eq(station.id))
            .filter(record::Column::Epoch.eq(i64::from(epoch.0)))
            .filter(record::Column::Seq.gte(column(from)))
            .order_by_asc(record::Column::Seq)
            .into_tuple()
            .all(&self.db)
            .await?;
        rows.iter().map(|leaf| bytes32(leaf, "a record's hash")).collect()
    }

    /// A page of records as text, from sequence number `from` on.
    pub(crate) async fn records(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        from: u64,
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
        Ok(record::Entity::find()
            .select_only()
            .column(record::Column::Text)
            .filter(record::Column::TenantId.eq(scope.id()))
            .filter(record::Column::StationId.eq(station.id))
            .filter(record::Column::Epoch.eq(i64::from(epoch.0)))
            .filter(record::Column::Seq.gte(column(from)))
            .order_by_asc(record::Column::Seq)
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?)
    }

    /// Keeps new records, the cosigned head and what they say about units: all or nothing.
    pub(crate) async fn grow(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        growth: &Growth<'_>,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let size = column(growth.frontier.size());
        if growth.held.cosigned.is_some() {
            let changed = journal::Entity::update_many()
                .col_expr(journal::Column::Size, Expr::value(size))
                .col_expr(journal::Column::Frontier, Expr::value(growth.frontier.to_bytes()))
                .col_expr(journal::Column::Cosigned, Expr::value(growth.cosigned))
                .filter(journal::Column::TenantId.eq(scope.id()))
                .filter(journal::Column::StationId.eq(station.id))
                .filter(journal::Column::Epoch.eq(i64::from(epoch.0)))
                .filter(journal::Column::Size.eq(column(growth.held.size)))
                .exec(transaction)
                .await?;
            if changed.rows_affected != 1 {
                return Err(StoreError::JournalMoved);
            }
        } else {
            let row = journal::ActiveModel {
                tenant_id: Set(scope.id()),
                station_id: Set(station.id),
                epoch: Set(i64::from(epoch.0)),
                size: Set(size),
                frontier: Set(growth.frontier.to_bytes()),
                cosigned: Set(growth.cosigned.to_owned()),
                ..Default::default()
            };
            let inserted = journal::Entity::insert(row)
                .on_conflict_do_nothing_on([journal::Column::StationId, journal::Column::Epoch])
                .exec_without_returning(transaction)
                .await?;
            if !matches!(inserted, sea_orm::TryInsertResult::Inserted(1)) {
                return Err(StoreError::JournalMoved);
            }
        }
        for records in growth.records.chunks(ROWS_PER_INSERT) {
            let rows = records.iter().map(|new| record::ActiveModel {
                tenant_id: Set(scope.id()),
                station_id: Set(station.id),
                epoch: Set(i64::from(epoch.0)),
                seq: Set(column(new.seq)),
                leaf: Set(new.leaf.to_vec()),
                text: Set(new.text.to_owned()),
                ..Default::default()
            });
            record::Entity::insert_many(rows).exec(transaction).await?;
        }
        units::apply(transaction, scope, &station.name, growth.units).await?;
        register::record(transaction, scope, growth.facts, growth.now_ms).await?;
        for returned in growth.returned {
            orders::take_back(transaction, scope, station, returned).await?;
        }
        writing.commit().await
    }

    /// Keeps the other branch of a journal and stops grants to its station.
    pub(crate) async fn keep_fork(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        branch: &[JournalRecord<'_>],
        checkpoint: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        for records in branch.chunks(ROWS_PER_INSERT) {
            let rows = records.iter().map(|new| fork::ActiveModel {
                tenant_id: Set(scope.id()),
                station_id: Set(station.id),
                epoch: Set(i64::from(epoch.0)),
                seq: Set(column(new.seq)),
                leaf: Set(new.leaf.to_vec()),
                text: Set(new.text.to_owned()),
                checkpoint: Set(checkpoint.to_owned()),
                received_ms: Set(now_ms),
                ..Default::default()
            });
            let held_already = OnConflict::columns([
                fork::Column::StationId,
                fork::Column::Epoch,
                fork::Column::Seq,
                fork::Column::Leaf,
            ])
            .do_nothing()
            .to_owned();
            fork::Entity::insert_many(rows)
                .on_conflict(held_already)
                .exec_without_returning(transaction)
                .await?;
        }
        station::Entity::update_many()
            .col_expr(station::Column::Forked, Expr::value(true))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .exec(transaction)
            .await?;
        let what = format!("journal {epoch} of station {} forked; grants stopped", station.name);
        note_change(transaction, scope, now_ms, station.name.as_str(), what).await?;
        writing.commit().await
    }

    /// The records of the other branches, as `(epoch, seq, text)`.
    pub(crate) async fn forks(
        &self,
        scope: &TenantScope,
        station: &StationName,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        let station = self.station(scope, station).await?;
        Ok(fork::Entity::find()
            .select_only()
            .column(fork::Column::Epoch)
            .column(fork::Column::Seq)
            .column(fork::Column::Text)
            .filter(fork::Column::TenantId.eq(scope.id()))
            .filter(fork::Column::StationId.eq(station.id))
            .order_by_asc(fork::Column::Id)
            .into_tuple()
            .all(&self.db)
            .await?)
    }
}
