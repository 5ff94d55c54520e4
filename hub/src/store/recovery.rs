//! What a hub that was set back still waits for.

use protocol::{AwaitedStation, Epoch, JournalState, Recovery};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::entities::{roster, station, tenant};
use super::{Store, StoreError, TenantScope, column, count, note_change, parsed};
use crate::store::stations::StationRow;

/// What a station has proven that this hub signed and does not know.
pub(crate) struct Missed {
    /// A cosigned head: epoch and size.
    pub(crate) head: Option<(Epoch, u64)>,
    /// A lease's version, and that of the roster it names.
    pub(crate) lease: Option<(u64, u64)>,
}

impl Store {
    /// What is held of a journal, as its station is told.
    pub(crate) async fn journal_state(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        epoch: Epoch,
    ) -> Result<JournalState, StoreError> {
        let held = self.journal(scope, station, epoch).await?;
        let newest = self.newest_journal(scope, station).await?;
        Ok(JournalState {
            epoch,
            size: held.size,
            cosigned: held.cosigned,
            forked: station.forked,
            newest_epoch: newest.map_or(Epoch::default(), |(epoch, _)| epoch),
        })
    }

    /// Notes what this hub missed; from now on it is recovering.
    pub(crate) async fn missed(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        missed: &Missed,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let begun = tenant::Entity::update_many()
            .col_expr(tenant::Column::RecoveringMs, Expr::value(now_ms))
            .filter(tenant::Column::Id.eq(scope.id()))
            .filter(tenant::Column::RecoveringMs.is_null())
            .exec(transaction)
            .await?;
        if begun.rows_affected == 1 {
            let what = format!(
                "this hub was set back: station {} holds what it signed later; recovering, no grants",
                station.name
            );
            note_change(transaction, scope, now_ms, "hub", what).await?;
        }
        let mut update = station::Entity::update_many()
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id));
        if let Some((epoch, size)) = missed.head {
            let opened = station.epoch_opened.max(epoch);
            update = update
                .col_expr(station::Column::OwedEpoch, Expr::value(i64::from(epoch.0)))
                .col_expr(station::Column::OwedSize, Expr::value(column(size)))
                .col_expr(station::Column::EpochOpened, Expr::value(i64::from(opened.0)));
        }
        if let Some((version, roster_version)) = missed.lease {
            // The next roster is beyond the one that the station has seen.
            roster::Entity::update_many()
                .col_expr(roster::Column::Version, Expr::value(column(roster_version)))
                .col_expr(roster::Column::Bytes, Expr::value(None::<Vec<u8>>))
                .col_expr(roster::Column::ContentSha256, Expr::value(None::<Vec<u8>>))
                .filter(roster::Column::TenantId.eq(scope.id()))
                .filter(roster::Column::StationId.eq(station.id))
                .filter(roster::Column::Version.lt(column(roster_version)))
                .exec(transaction)
                .await?;
            update = update
                .col_expr(station::Column::LeaseVersion, Expr::value(column(version)))
                // The lease held is older than that one.
                .col_expr(station::Column::LeaseRenewMs, Expr::value(0));
        }
        update.col_expr(station::Column::ReportedMs, Expr::value(now_ms)).exec(transaction).await?;
        writing.commit().await
    }

    /// A station has reported.
    pub(crate) async fn reported(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        // Only a recovering hub asks who has.
        if self.recovery(scope).await?.since_ms.is_none() {
            return Ok(());
        }
        let writing = self.write().await?;
        station::Entity::update_many()
            .col_expr(station::Column::ReportedMs, Expr::value(now_ms))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .exec(&writing.transaction)
            .await?;
        writing.commit().await
    }

    /// How far the recovery is; `since_ms` is none when there is none.
    pub(crate) async fn recovery(&self, scope: &TenantScope) -> Result<Recovery, StoreError> {
        let row = tenant::Entity::find_by_id(scope.id()).one(&self.db).await?;
        let Some(since_ms) = row.and_then(|row| row.recovering_ms) else {
            return Ok(Recovery { since_ms: None, waits_for: Vec::new() });
        };
        let rows = station::Entity::find()
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::RevokedMs.is_null())
            .order_by_asc(station::Column::Name)
            .all(&self.db)
            .await?;
        let mut waits_for = Vec::new();
        for row in rows {
            let reported = row.reported_ms.is_some_and(|reported| reported >= since_ms);
            let epoch = Epoch(count(row.owed_epoch, "a journal's epoch")?);
            let cosigned_size = count(row.owed_size, "a journal's size")?;
            let name = parsed(&row.name, "a station's name")?;
            let held = self.journal(scope, &StationRow::try_from(row)?, epoch).await?;
            if !reported || held.size < cosigned_size {
                let held_size = held.size;
                waits_for.push(AwaitedStation { name, reported, epoch, cosigned_size, held_size });
            }
        }
        Ok(Recovery { since_ms: Some(since_ms), waits_for })
    }

    /// Ends the recovery.
    pub(crate) async fn whole(
        &self,
        scope: &TenantScope,
        who: &str,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let ended = tenant::Entity::update_many()
            .col_expr(tenant::Column::RecoveringMs, Expr::value(None::<i64>))
            .filter(tenant::Column::Id.eq(scope.id()))
            .filter(tenant::Column::RecoveringMs.is_not_null())
            .exec(transaction)
            .await?;
        if ended.rows_affected != 1 {
            return Ok(false);
        }
        station::Entity::update_many()
            .col_expr(station::Column::OwedEpoch, Expr::value(0))
            .col_expr(station::Column::OwedSize, Expr::value(0))
            .filter(station::Column::TenantId.eq(scope.id()))
            .exec(transaction)
            .await?;
        let what = "recovery ended; grants go on".to_owned();
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await?;
        Ok(true)
    }
}
