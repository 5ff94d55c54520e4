//! Sticks: which parcels of a station were read and written, and what it asked for.

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};

use super::entities::stick;
use super::stations::StationRow;
use super::{Store, StoreError, TenantScope, column, count, note_change};

/// How far the exchange by stick with a station has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StickState {
    /// The newest parcel of the station that was read; 0 for none.
    pub(crate) read: u64,
    /// The newest parcel for the station that was written; 0 for none.
    pub(crate) written: u64,
    /// Its newest request, as JSON.
    pub(crate) request: Option<String>,
}

impl Store {
    /// How far the exchange by stick with a station has come.
    pub(crate) async fn stick(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<StickState, StoreError> {
        let row = stick::Entity::find()
            .filter(stick::Column::TenantId.eq(scope.id()))
            .filter(stick::Column::StationId.eq(station.id))
            .one(&self.db)
            .await?;
        let Some(row) = row else { return Ok(StickState::default()) };
        Ok(StickState {
            read: count(row.read_number, "a parcel's number")?,
            written: count(row.written_number, "a parcel's number")?,
            request: row.request,
        })
    }

    /// Keeps what a station asks for.
    pub(crate) async fn keep_stick_request(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        request: &str,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        row_of(&writing.transaction, scope, station).await?;
        stick::Entity::update_many()
            .col_expr(stick::Column::Request, Expr::value(request))
            .filter(stick::Column::TenantId.eq(scope.id()))
            .filter(stick::Column::StationId.eq(station.id))
            .exec(&writing.transaction)
            .await?;
        writing.commit().await
    }

    /// A parcel of the station was read to its end.
    pub(crate) async fn stick_read(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        number: u64,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let what = format!("stick of station {} read, parcel {number}", station.name);
        self.stick_moved(scope, station, (stick::Column::ReadNumber, number), who, what, now_ms)
            .await
    }

    /// A parcel for the station was given out.
    pub(crate) async fn stick_written(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        number: u64,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let what = format!("stick for station {} written, parcel {number}", station.name);
        self.stick_moved(scope, station, (stick::Column::WrittenNumber, number), who, what, now_ms)
            .await
    }

    async fn stick_moved(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        (which, number): (stick::Column, u64),
        who: &str,
        what: String,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        row_of(&writing.transaction, scope, station).await?;
        stick::Entity::update_many()
            .col_expr(which, Expr::value(column(number)))
            .filter(stick::Column::TenantId.eq(scope.id()))
            .filter(stick::Column::StationId.eq(station.id))
            .filter(which.lt(column(number)))
            .exec(&writing.transaction)
            .await?;
        note_change(&writing.transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }
}

/// Sees to it that the station has a row.
async fn row_of(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationRow,
) -> Result<(), StoreError> {
    let found = stick::Entity::find()
        .filter(stick::Column::TenantId.eq(scope.id()))
        .filter(stick::Column::StationId.eq(station.id))
        .one(transaction)
        .await?;
    if found.is_none() {
        let row = stick::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station.id),
            read_number: Set(0),
            written_number: Set(0),
            request: Set(None),
            ..Default::default()
        };
        stick::Entity::insert(row).exec(transaction).await?;
    }
    Ok(())
}
