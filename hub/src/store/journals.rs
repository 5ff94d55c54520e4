//! Stations' journals as verified: records, and the frontier to go on from.

use protocol::Epoch;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entities::{journal, record, station};
use super::orders::{self, Returned};
use super::register::{self, Impossible, NewFact};
use super::units::{self, UnitChange};
use super::{Store, StoreError, TenantScope, allotments, bytes32, column, count, note_change};
use crate::store::stations::StationRow;

/// SQLite takes 32,766 parameters in a statement.
pub(super) const ROWS_PER_INSERT: usize = 500;

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
    /// Records about what there cannot be.
    pub(crate) impossible: &'a [Impossible],
    /// What the station gives back.
    pub(crate) returned: &'a [Returned],
    /// What the records mean for the station itself.
    pub(crate) standing: Standing,
    pub(crate) now_ms: i64,
}

/// What new records say about their journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Unchanged,
    /// The journal was set back: grants stop.
    Quarantined,
    /// A new epoch begins: grants go on.
    EpochBegun,
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
            Some(row) => row.try_into(),
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
        let now_ms = growth.now_ms;
        let unlent = allotments::unlent(transaction, scope, station, growth.facts).await?;
        register::show_records(transaction, scope, station, &unlent, now_ms).await?;
        register::show_records(transaction, scope, station, growth.impossible, now_ms).await?;
        for returned in growth.returned {
            orders::take_back(transaction, scope, station, returned).await?;
        }
        self.apply_standing(transaction, scope, station, epoch, growth).await?;
        writing.commit().await
    }

    async fn apply_standing(
        &self,
        transaction: &DatabaseTransaction,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        growth: &Growth<'_>,
    ) -> Result<(), StoreError> {
        let update = station::Entity::update_many()
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id));
        let (update, what) = match growth.standing {
            Standing::Unchanged => return Ok(()),
            Standing::Quarantined => (
                update.col_expr(station::Column::Quarantined, Expr::value(true)),
                format!(
                    "station {} is in quarantine: its journal {epoch} was set back; grants stopped",
                    station.name
                ),
            ),
            Standing::EpochBegun => (
                update
                    .col_expr(station::Column::Quarantined, Expr::value(false))
                    .col_expr(station::Column::Forked, Expr::value(false))
                    .col_expr(station::Column::EpochDocument, Expr::value(None::<Vec<u8>>)),
                format!("station {} has begun epoch {epoch}; grants go on", station.name),
            ),
        };
        update.exec(transaction).await?;
        note_change(transaction, scope, growth.now_ms, station.name.as_str(), what).await
    }

    /// The newest epoch that records are held of, and what is held of it.
    pub(crate) async fn newest_journal(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Option<(Epoch, HeldJournal)>, StoreError> {
        let row = journal::Entity::find()
            .filter(journal::Column::TenantId.eq(scope.id()))
            .filter(journal::Column::StationId.eq(station.id))
            .order_by_desc(journal::Column::Epoch)
            .one(&self.db)
            .await?;
        row.map(|row| {
            Ok((Epoch(count(row.epoch, "a journal's epoch")?), HeldJournal::try_from(row)?))
        })
        .transpose()
    }
}

impl TryFrom<journal::Model> for HeldJournal {
    type Error = StoreError;
    fn try_from(row: journal::Model) -> Result<Self, StoreError> {
        Ok(Self {
            size: count(row.size, "a journal's size")?,
            frontier: audit::Frontier::from_bytes(&row.frontier)
                .map_err(|_| StoreError::Damaged { what: "a journal's frontier" })?,
            cosigned: Some(row.cosigned),
        })
    }
}
