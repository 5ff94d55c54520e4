//! The other histories of stations' journals, and the epochs opened to end them.
//!
//! Promise: a branch is only ever added to. What is held of it is the station's own signed word, and
//! stands beside the journal that was there first.

use protocol::{Epoch, Fork, journal::FORK_RECORDS_MAX};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entities::{branch, branch_record, record, station};
use super::journals::{JournalRecord, ROWS_PER_INSERT};
use super::units::{self, UnitChange};
use super::{Store, StoreError, TenantScope, bytes32, column, count, note_change};
use crate::store::stations::StationRow;

/// In the text of every record of a reservation.
const RESERVED: &str = "\"event\":\"reserved\"";

/// What is held of one branch.
#[derive(Debug, Clone)]
pub(crate) struct HeldBranch {
    id: i64,
    /// The first place where it differs from the journal that was there first.
    pub(crate) at: u64,
    pub(crate) size: u64,
    pub(crate) frontier: audit::Frontier,
    /// Leaf hashes from `at` on.
    pub(crate) leaves: Vec<audit::Hash>,
}

/// A branch that was not held before.
pub(crate) struct NewBranch<'a> {
    pub(crate) at: u64,
    /// The branch it shares records from `at` on with, and the first place it does not.
    pub(crate) parted_from: Option<(&'a HeldBranch, u64)>,
    pub(crate) records: &'a [JournalRecord<'a>],
    pub(crate) frontier: &'a audit::Frontier,
    pub(crate) checkpoint: &'a str,
    pub(crate) units: &'a [UnitChange],
}

impl Store {
    /// Every branch of a journal, oldest first.
    pub(crate) async fn branches(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
    ) -> Result<Vec<HeldBranch>, StoreError> {
        let rows = branch::Entity::find()
            .filter(branch::Column::TenantId.eq(scope.id()))
            .filter(branch::Column::StationId.eq(station.id))
            .filter(branch::Column::Epoch.eq(i64::from(epoch.0)))
            .order_by_asc(branch::Column::Id)
            .all(&self.db)
            .await?;
        let mut branches = Vec::with_capacity(rows.len());
        for row in rows {
            let leaves: Vec<Vec<u8>> = branch_record::Entity::find()
                .select_only()
                .column(branch_record::Column::Leaf)
                .filter(branch_record::Column::TenantId.eq(scope.id()))
                .filter(branch_record::Column::BranchId.eq(row.id))
                .order_by_asc(branch_record::Column::Seq)
                .into_tuple()
                .all(&self.db)
                .await?;
            branches.push(HeldBranch {
                id: row.id,
                at: count(row.at_seq, "a branch's place")?,
                size: count(row.size, "a branch's size")?,
                frontier: audit::Frontier::from_bytes(&row.frontier)
                    .map_err(|_| StoreError::Damaged { what: "a branch's frontier" })?,
                leaves: leaves
                    .iter()
                    .map(|leaf| bytes32(leaf, "a branch record's hash"))
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(branches)
    }

    /// Keeps a new branch and stops grants to its station.
    pub(crate) async fn keep_branch(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        new: &NewBranch<'_>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let row = branch::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station.id),
            epoch: Set(i64::from(epoch.0)),
            at_seq: Set(column(new.at)),
            size: Set(column(new.frontier.size())),
            frontier: Set(new.frontier.to_bytes()),
            checkpoint: Set(new.checkpoint.to_owned()),
            received_ms: Set(now_ms),
            ..Default::default()
        };
        let id = branch::Entity::insert(row).exec(transaction).await?.last_insert_id;
        if let Some((other, until)) = new.parted_from {
            let shared = branch_record::Entity::find()
                .filter(branch_record::Column::TenantId.eq(scope.id()))
                .filter(branch_record::Column::BranchId.eq(other.id))
                .filter(branch_record::Column::Seq.lt(column(until)))
                .order_by_asc(branch_record::Column::Seq)
                .all(transaction)
                .await?;
            let mut records = Vec::with_capacity(shared.len());
            for row in &shared {
                records.push(JournalRecord {
                    seq: count(row.seq, "a branch record's place")?,
                    leaf: bytes32(&row.leaf, "a branch record's hash")?,
                    text: &row.text,
                });
            }
            put_records(transaction, scope, id, &records).await?;
        }
        put_records(transaction, scope, id, new.records).await?;
        units::apply(transaction, scope, &station.name, new.units).await?;
        station::Entity::update_many()
            .col_expr(station::Column::Forked, Expr::value(true))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .exec(transaction)
            .await?;
        let what = format!(
            "journal {epoch} of station {} forked at record {}; both branches kept, grants stopped",
            station.name, new.at
        );
        note_change(transaction, scope, now_ms, station.name.as_str(), what).await?;
        writing.commit().await
    }

    /// Keeps further records of a branch.
    pub(crate) async fn grow_branch(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        held: &HeldBranch,
        records: &[JournalRecord<'_>],
        (frontier, checkpoint): (&audit::Frontier, &str),
        changes: &[UnitChange],
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let changed = branch::Entity::update_many()
            .col_expr(branch::Column::Size, Expr::value(column(frontier.size())))
            .col_expr(branch::Column::Frontier, Expr::value(frontier.to_bytes()))
            .col_expr(branch::Column::Checkpoint, Expr::value(checkpoint))
            .filter(branch::Column::TenantId.eq(scope.id()))
            .filter(branch::Column::Id.eq(held.id))
            .filter(branch::Column::Size.eq(column(held.size)))
            .exec(transaction)
            .await?;
        if changed.rows_affected != 1 {
            return Err(StoreError::JournalMoved);
        }
        put_records(transaction, scope, held.id, records).await?;
        units::apply(transaction, scope, &station.name, changes).await?;
        writing.commit().await
    }

    /// A station's forks, oldest first, both sides from where they differ.
    pub(crate) async fn forks(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Vec<Fork>, StoreError> {
        let rows = branch::Entity::find()
            .filter(branch::Column::TenantId.eq(scope.id()))
            .filter(branch::Column::StationId.eq(station.id))
            .order_by_asc(branch::Column::Id)
            .all(&self.db)
            .await?;
        let mut forks = Vec::with_capacity(rows.len());
        for row in rows {
            let epoch = Epoch(count(row.epoch, "a branch's epoch")?);
            let at = count(row.at_seq, "a branch's place")?;
            let held = self.journal(scope, station, epoch).await?;
            let branch = branch_record::Entity::find()
                .select_only()
                .column(branch_record::Column::Text)
                .filter(branch_record::Column::TenantId.eq(scope.id()))
                .filter(branch_record::Column::BranchId.eq(row.id))
                .order_by_asc(branch_record::Column::Seq)
                .limit(FORK_RECORDS_MAX)
                .into_tuple()
                .all(&self.db)
                .await?;
            forks.push(Fork {
                epoch,
                at,
                received_ms: row.received_ms,
                held_size: held.size,
                held: self.records(scope, station, epoch, at, FORK_RECORDS_MAX).await?,
                cosigned: held.cosigned,
                branch_size: count(row.size, "a branch's size")?,
                branch,
                checkpoint: row.checkpoint,
            });
        }
        Ok(forks)
    }

    /// Every record of a station that may be of a reservation, of all its histories.
    pub(crate) async fn reserved(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Vec<String>, StoreError> {
        let mut records: Vec<String> = record::Entity::find()
            .select_only()
            .column(record::Column::Text)
            .filter(record::Column::TenantId.eq(scope.id()))
            .filter(record::Column::StationId.eq(station.id))
            .filter(record::Column::Text.contains(RESERVED))
            .into_tuple()
            .all(&self.db)
            .await?;
        let branches: Vec<i64> = branch::Entity::find()
            .select_only()
            .column(branch::Column::Id)
            .filter(branch::Column::TenantId.eq(scope.id()))
            .filter(branch::Column::StationId.eq(station.id))
            .into_tuple()
            .all(&self.db)
            .await?;
        for branch in branches {
            let more: Vec<String> = branch_record::Entity::find()
                .select_only()
                .column(branch_record::Column::Text)
                .filter(branch_record::Column::TenantId.eq(scope.id()))
                .filter(branch_record::Column::BranchId.eq(branch))
                .filter(branch_record::Column::Text.contains(RESERVED))
                .into_tuple()
                .all(&self.db)
                .await?;
            records.extend(more);
        }
        Ok(records)
    }

    /// Opens an epoch for a station with a signed instruction.
    pub(crate) async fn open_epoch(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
        document: &[u8],
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let changed = station::Entity::update_many()
            .col_expr(station::Column::EpochOpened, Expr::value(i64::from(epoch.0)))
            .col_expr(station::Column::EpochDocument, Expr::value(document.to_vec()))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .filter(station::Column::EpochOpened.eq(i64::from(station.epoch_opened.0)))
            .exec(transaction)
            .await?;
        if changed.rows_affected != 1 {
            return Err(StoreError::JournalMoved);
        }
        let what = format!("epoch {epoch} opened for station {}", station.name);
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }
}

async fn put_records(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    branch_id: i64,
    records: &[JournalRecord<'_>],
) -> Result<(), StoreError> {
    for records in records.chunks(ROWS_PER_INSERT) {
        let rows = records.iter().map(|new| branch_record::ActiveModel {
            tenant_id: Set(scope.id()),
            branch_id: Set(branch_id),
            seq: Set(column(new.seq)),
            leaf: Set(new.leaf.to_vec()),
            text: Set(new.text.to_owned()),
            ..Default::default()
        });
        branch_record::Entity::insert_many(rows).exec(transaction).await?;
    }
    Ok(())
}
