//! Work orders and the portions of them that stations got.

use activation::AllotmentCertificate;
use protocol::{OrderNumber, OrderState, ProductName, Sha256, WorkOrder};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder,
};

use super::entities::{order, portion, release};
use super::releases::ReleaseRow;
use super::stations::StationRow;
use super::{Store, StoreError, TenantScope, count, note_change, parsed};

/// An order to be made.
pub(crate) struct NewOrder {
    pub(crate) number: OrderNumber,
    pub(crate) quantity: u32,
}

/// An order with its release.
#[derive(Debug, Clone)]
pub(crate) struct OrderRow {
    id: i64,
    pub(crate) number: OrderNumber,
    pub(crate) product: ProductName,
    pub(crate) quantity: u32,
    pub(crate) closed: bool,
    pub(crate) release: ReleaseRow,
}

/// A portion to be granted.
pub(crate) struct NewPortion {
    pub(crate) channel: String,
    pub(crate) quantity: u32,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) index_from: Option<u32>,
    pub(crate) index_to: u32,
}

/// A portion as it was granted.
#[derive(Debug, Clone)]
pub(crate) struct PortionRow {
    pub(crate) order: OrderRow,
    pub(crate) channel: String,
    pub(crate) quantity: u32,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) index_from: u32,
    pub(crate) index_to: u32,
}

/// What a station gives back of a portion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) order: String,
    /// Units that passed; the others may be granted anew.
    pub(crate) passed: u32,
    pub(crate) allotment: Option<Vec<u8>>,
    /// Indices that no chip of the station has.
    pub(crate) unused: std::ops::Range<u32>,
}

impl OrderRow {
    fn of(row: order::Model, release: release::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            number: parsed(&row.number, "an order's number")?,
            product: parsed(&row.product, "an order's product")?,
            quantity: count(row.quantity, "an order's quantity")?,
            closed: row.closed,
            release: release.try_into()?,
        })
    }
}

impl Store {
    /// Makes an order.
    pub(crate) async fn add_order(
        &self,
        scope: &TenantScope,
        new: NewOrder,
        release: &ReleaseRow,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let existing = order::Entity::find()
            .filter(order::Column::TenantId.eq(scope.id()))
            .filter(order::Column::Number.eq(new.number.as_str()))
            .one(transaction)
            .await?;
        if existing.is_some() {
            return Err(StoreError::Exists { what: "work order" });
        }
        let what = format!("order {} over {} {} made", new.number, new.quantity, release.product);
        let row = order::ActiveModel {
            tenant_id: Set(scope.id()),
            number: Set(new.number.into()),
            product: Set(release.product.clone()),
            release_id: Set(release.id),
            quantity: Set(i64::from(new.quantity)),
            closed: Set(false),
            created_ms: Set(now_ms),
            ..Default::default()
        };
        order::Entity::insert(row).exec(transaction).await?;
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// An order by number.
    pub(crate) async fn order(
        &self,
        scope: &TenantScope,
        number: &OrderNumber,
    ) -> Result<OrderRow, StoreError> {
        let row = order::Entity::find()
            .filter(order::Column::TenantId.eq(scope.id()))
            .filter(order::Column::Number.eq(number.as_str()))
            .one(&self.db)
            .await?
            .ok_or(StoreError::Missing { what: "work order" })?;
        self.with_release(scope, row).await
    }

    async fn with_release(
        &self,
        scope: &TenantScope,
        row: order::Model,
    ) -> Result<OrderRow, StoreError> {
        let release = release::Entity::find_by_id(row.release_id)
            .filter(release::Column::TenantId.eq(scope.id()))
            .one(&self.db)
            .await?
            .ok_or(StoreError::Damaged { what: "an order's release" })?;
        OrderRow::of(row, release)
    }

    /// Every order, oldest first.
    pub(crate) async fn orders(&self, scope: &TenantScope) -> Result<Vec<WorkOrder>, StoreError> {
        let rows = order::Entity::find()
            .filter(order::Column::TenantId.eq(scope.id()))
            .order_by_asc(order::Column::Id)
            .all(&self.db)
            .await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in rows {
            let order = self.with_release(scope, row).await?;
            let granted = granted(&self.db, scope, order.id).await?;
            orders.push(WorkOrder {
                number: order.number,
                product: order.product,
                manifest_sha256: Sha256(order.release.manifest_sha256.0),
                quantity: order.quantity,
                granted: count(granted, "an order's granted units")?,
                state: if order.closed { OrderState::Closed } else { OrderState::Open },
            });
        }
        Ok(orders)
    }

    /// Grants a portion: never more than the order has left, never an index twice.
    pub(crate) async fn grant(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        order: &OrderRow,
        new: NewPortion,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let existing = portion::Entity::find()
            .filter(portion::Column::TenantId.eq(scope.id()))
            .filter(portion::Column::StationId.eq(station.id))
            .filter(portion::Column::OrderId.eq(order.id))
            .one(transaction)
            .await?;
        if existing.is_some() {
            return Err(StoreError::Exists { what: "portion" });
        }
        let left = i64::from(order.quantity) - granted(transaction, scope, order.id).await?;
        if order.closed || i64::from(new.quantity) > left {
            return Err(StoreError::OrderExhausted { left });
        }
        let mut index_from = 0;
        if let Some(certificate) = &new.certificate {
            let earlier = portion::Entity::find()
                .filter(portion::Column::TenantId.eq(scope.id()))
                .filter(portion::Column::Certificate.eq(certificate.clone()))
                .all(transaction)
                .await?;
            let taken = earlier.iter().map(|portion| portion.index_to).max().unwrap_or(0);
            index_from = new.index_from.map_or(taken, i64::from);
            if index_from < taken || index_from >= i64::from(new.index_to) {
                return Err(StoreError::AllotmentTaken { taken });
            }
        }
        let what = format!(
            "portion of {} units of order {} granted to station {}",
            new.quantity, order.number, station.name
        );
        let row = portion::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station.id),
            order_id: Set(order.id),
            channel: Set(new.channel),
            quantity: Set(i64::from(new.quantity)),
            certificate: Set(new.certificate),
            index_from: Set(index_from),
            index_to: Set(i64::from(new.index_to)),
            granted_ms: Set(now_ms),
            ..Default::default()
        };
        portion::Entity::insert(row).exec(transaction).await?;
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// A station's portions of open orders, oldest first.
    pub(crate) async fn portions(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Vec<PortionRow>, StoreError> {
        let rows = portion::Entity::find()
            .filter(portion::Column::TenantId.eq(scope.id()))
            .filter(portion::Column::StationId.eq(station.id))
            .order_by_asc(portion::Column::Id)
            .all(&self.db)
            .await?;
        let mut portions = Vec::with_capacity(rows.len());
        for row in rows {
            let order = order::Entity::find_by_id(row.order_id)
                .filter(order::Column::TenantId.eq(scope.id()))
                .one(&self.db)
                .await?
                .ok_or(StoreError::Damaged { what: "a portion's order" })?;
            if order.closed {
                continue;
            }
            portions.push(PortionRow {
                order: self.with_release(scope, order).await?,
                channel: row.channel,
                quantity: count(row.quantity, "a portion's quantity")?,
                certificate: row.certificate,
                index_from: count(row.index_from, "a portion's first index")?,
                index_to: count(row.index_to, "a portion's last index")?,
            });
        }
        Ok(portions)
    }
}

/// Takes back what a station has not used of a portion, in the transaction of the record that says
/// so. It can only make a portion smaller, and only by indices at its end.
pub(super) async fn take_back(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationRow,
    returned: &Returned,
) -> Result<(), StoreError> {
    let order = order::Entity::find()
        .filter(order::Column::TenantId.eq(scope.id()))
        .filter(order::Column::Number.eq(&returned.order))
        .one(transaction)
        .await?;
    let Some(order) = order else { return Ok(()) };
    let row = portion::Entity::find()
        .filter(portion::Column::TenantId.eq(scope.id()))
        .filter(portion::Column::StationId.eq(station.id))
        .filter(portion::Column::OrderId.eq(order.id))
        .one(transaction)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let certificate = row.certificate.as_deref();
    let certificate = certificate.and_then(|bytes| AllotmentCertificate::from_bytes(bytes).ok());
    let name = certificate.map(|certificate| certificate.allotment().to_vec());
    let (from, to) = (i64::from(returned.unused.start), i64::from(returned.unused.end));
    let own = name == returned.allotment && (row.index_from..=row.index_to).contains(&from);
    let index_to = if own && to == row.index_to && from < to { from } else { row.index_to };
    let quantity = row.quantity.min(i64::from(returned.passed));
    portion::Entity::update_many()
        .col_expr(portion::Column::Quantity, Expr::value(quantity))
        .col_expr(portion::Column::IndexTo, Expr::value(index_to))
        .filter(portion::Column::TenantId.eq(scope.id()))
        .filter(portion::Column::Id.eq(row.id))
        .exec(transaction)
        .await?;
    match &returned.allotment {
        Some(allotment) if index_to == from && from < to => {
            super::pools::give_back(transaction, scope, allotment, returned.unused.clone()).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Units of an order that are in portions already.
async fn granted(
    db: &impl ConnectionTrait,
    scope: &TenantScope,
    order_id: i64,
) -> Result<i64, StoreError> {
    let portions = portion::Entity::find()
        .filter(portion::Column::TenantId.eq(scope.id()))
        .filter(portion::Column::OrderId.eq(order_id))
        .all(db)
        .await?;
    Ok(portions.iter().map(|portion| portion.quantity).sum())
}
