//! What the verified records say about each unit; kept beside them, can be built again from them.

use protocol::{StationName, Unit, UnitPage, Verdict};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use super::entities::unit;
use super::{Store, StoreError, TenantScope, count, parsed};

/// What one record means for a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnitChange {
    /// A place and a code were set aside, or the chip's own block was adopted.
    InWork { unit: UnitKey, code: String, order: String, at_ms: i64 },
    /// It passed.
    Passed { unit: UnitKey, code: String, order: String, release: String, at_ms: i64 },
    /// A station recognised it.
    SeenBefore { uid: String, code: String, at_ms: i64 },
    /// A visit of it ended in a trouble.
    Failed { uid: String, at_ms: i64 },
}

/// Which unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitKey {
    pub(crate) product: String,
    pub(crate) family: String,
    pub(crate) uid: String,
}

const IN_WORK: &str = "in_work";
const PASSED: &str = "passed";
const FAILED: &str = "failed";
pub(super) const VOIDED: &str = "voided";

/// Applies changes in the order of their records, in the transaction that keeps the records.
pub(super) async fn apply(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationName,
    changes: &[UnitChange],
) -> Result<(), StoreError> {
    for change in changes {
        let Some(mut unit) = find_or_make(transaction, scope, station, change).await? else {
            continue;
        };
        unit.station = station.to_string();
        match change {
            UnitChange::InWork { code, order, at_ms, .. } => {
                unit.code = Some(code.clone());
                unit.work_order = Some(order.clone());
                unit.last_seen_ms = *at_ms;
            }
            UnitChange::Passed { code, order, release, at_ms, .. } => {
                unit.code = Some(code.clone());
                unit.work_order = Some(order.clone());
                unit.release = Some(release.clone());
                unit.first_passed_ms =
                    Some(unit.first_passed_ms.map_or(*at_ms, |first| first.min(*at_ms)));
                unit.last_seen_ms = *at_ms;
                unit.passed_count += 1;
                set_unless_voided(&mut unit, PASSED);
            }
            UnitChange::SeenBefore { at_ms, .. } => {
                unit.last_seen_ms = *at_ms;
                unit.seen_before_count += 1;
            }
            UnitChange::Failed { at_ms, .. } => {
                unit.last_seen_ms = *at_ms;
                unit.failed_count += 1;
                set_unless_voided(&mut unit, FAILED);
            }
        }
        unit.into_active_model().reset_all().update(transaction).await?;
    }
    Ok(())
}

fn set_unless_voided(unit: &mut unit::Model, state: &str) {
    if unit.state != VOIDED {
        unit.state = state.to_owned();
    }
}

/// The row a change is about. A record that names only a UID can be about no unit that the hub
/// knows yet: then there is nothing to change.
async fn find_or_make(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationName,
    change: &UnitChange,
) -> Result<Option<unit::Model>, StoreError> {
    let ours = || unit::Entity::find().filter(unit::Column::TenantId.eq(scope.id()));
    match change {
        UnitChange::InWork { unit: key, at_ms, .. }
        | UnitChange::Passed { unit: key, at_ms, .. } => {
            let held = ours()
                .filter(unit::Column::Product.eq(&key.product))
                .filter(unit::Column::Family.eq(&key.family))
                .filter(unit::Column::Uid.eq(&key.uid))
                .one(transaction)
                .await?;
            if held.is_some() {
                return Ok(held);
            }
            let row = unit::ActiveModel {
                tenant_id: Set(scope.id()),
                product: Set(key.product.clone()),
                family: Set(key.family.clone()),
                uid: Set(key.uid.clone()),
                code: Set(None),
                station: Set(station.to_string()),
                work_order: Set(None),
                release: Set(None),
                first_passed_ms: Set(None),
                last_seen_ms: Set(*at_ms),
                state: Set(IN_WORK.to_owned()),
                seen_before_count: Set(0),
                passed_count: Set(0),
                failed_count: Set(0),
                ..Default::default()
            };
            Ok(Some(row.insert(transaction).await?))
        }
        UnitChange::SeenBefore { uid, code, .. } => Ok(ours()
            .filter(unit::Column::Uid.eq(uid))
            .filter(unit::Column::Code.eq(code))
            .one(transaction)
            .await?),
        UnitChange::Failed { uid, .. } => Ok(ours()
            .filter(unit::Column::Uid.eq(uid))
            .order_by_desc(unit::Column::LastSeenMs)
            .one(transaction)
            .await?),
    }
}

impl Store {
    /// A page of units after `cursor`, in the order the hub learnt of them.
    pub(crate) async fn units(
        &self,
        scope: &TenantScope,
        cursor: i64,
        limit: u64,
    ) -> Result<UnitPage, StoreError> {
        let mut rows = unit::Entity::find()
            .filter(unit::Column::TenantId.eq(scope.id()))
            .filter(unit::Column::Id.gt(cursor))
            .order_by_asc(unit::Column::Id)
            .limit(limit + 1)
            .all(&self.db)
            .await?;
        let more = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next_cursor = rows.last().filter(|_| more).map(|row| row.id.to_string());
        let units = rows.into_iter().map(shown).collect::<Result<_, StoreError>>()?;
        Ok(UnitPage { units, next_cursor })
    }
}

fn shown(row: unit::Model) -> Result<Unit, StoreError> {
    let order = row.work_order.map(|order| parsed(&order, "a unit's order")).transpose()?;
    Ok(Unit {
        product: Some(parsed(&row.product, "a unit's product")?),
        family: row.family,
        uid: row.uid,
        code: row.code,
        station: parsed(&row.station, "a unit's station")?,
        order,
        release: row.release,
        first_passed_ms: row.first_passed_ms,
        last_seen_ms: row.last_seen_ms,
        state: match row.state.as_str() {
            IN_WORK => Verdict::InWork,
            PASSED => Verdict::Passed,
            FAILED => Verdict::Failed,
            VOIDED => Verdict::Voided,
            _ => return Err(StoreError::Damaged { what: "a unit's state" }),
        },
        seen_before_count: count(row.seen_before_count, "a unit's visits")?,
        passed_count: count(row.passed_count, "a unit's passes")?,
        failed_count: count(row.failed_count, "a unit's failures")?,
    })
}
