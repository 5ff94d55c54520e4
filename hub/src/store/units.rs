//! What the verified records say about each unit; kept beside them, can be built again from them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{StationName, Unit, UnitPage, Verdict};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
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

/// SQLite takes 32,766 parameters in a statement.
const UIDS_PER_QUERY: usize = 500;
const ROWS_PER_UPSERT: usize = 500;

const IN_WORK: &str = "in_work";
const PASSED: &str = "passed";
const FAILED: &str = "failed";
pub(super) const VOIDED: &str = "voided";

/// Applies changes in the order of their records, in the transaction that keeps the records. The
/// units they are about are read at once and written at once, however many records there are.
pub(super) async fn apply(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationName,
    changes: &[UnitChange],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut held = Held::read(transaction, scope, changes).await?;
    for change in changes {
        let Some(unit) = held.find_or_make(scope, station, change) else {
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
                set_unless_voided(unit, PASSED);
            }
            UnitChange::SeenBefore { at_ms, .. } => {
                unit.last_seen_ms = *at_ms;
                unit.seen_before_count += 1;
            }
            UnitChange::Failed { at_ms, .. } => {
                unit.last_seen_ms = *at_ms;
                unit.failed_count += 1;
                set_unless_voided(unit, FAILED);
            }
        }
    }
    held.write(transaction).await
}

fn set_unless_voided(unit: &mut unit::Model, state: &str) {
    if unit.state != VOIDED {
        unit.state = state.to_owned();
    }
}

impl UnitChange {
    fn uid(&self) -> &str {
        match self {
            Self::InWork { unit, .. } | Self::Passed { unit, .. } => &unit.uid,
            Self::SeenBefore { uid, .. } | Self::Failed { uid, .. } => uid,
        }
    }
}

/// The units that some changes are about, in memory.
struct Held {
    units: Vec<unit::Model>,
    /// Places in `units` of every unit with a UID, in the order the hub learnt of them.
    by_uid: BTreeMap<String, Vec<usize>>,
    touched: Vec<bool>,
}

impl Held {
    async fn read(
        transaction: &DatabaseTransaction,
        scope: &TenantScope,
        changes: &[UnitChange],
    ) -> Result<Self, StoreError> {
        let uids: BTreeSet<&str> = changes.iter().map(UnitChange::uid).collect();
        let uids: Vec<&str> = uids.into_iter().collect();
        let mut held = Self { units: Vec::new(), by_uid: BTreeMap::new(), touched: Vec::new() };
        for uids in uids.chunks(UIDS_PER_QUERY) {
            let rows = unit::Entity::find()
                .filter(unit::Column::TenantId.eq(scope.id()))
                .filter(unit::Column::Uid.is_in(uids.iter().copied()))
                .order_by_asc(unit::Column::Id)
                .all(transaction)
                .await?;
            rows.into_iter().for_each(|row| {
                held.put(row);
            });
        }
        Ok(held)
    }

    fn put(&mut self, row: unit::Model) -> usize {
        let place = self.units.len();
        self.by_uid.entry(row.uid.clone()).or_default().push(place);
        self.units.push(row);
        self.touched.push(false);
        place
    }

    /// The row a change is about. A record that names only a UID can be about no unit that the hub
    /// knows yet: then there is nothing to change.
    fn find_or_make(
        &mut self,
        scope: &TenantScope,
        station: &StationName,
        change: &UnitChange,
    ) -> Option<&mut unit::Model> {
        let places = self.by_uid.get(change.uid()).map(Vec::as_slice).unwrap_or_default();
        let units = &self.units;
        let place = match change {
            UnitChange::InWork { unit: key, at_ms, .. }
            | UnitChange::Passed { unit: key, at_ms, .. } => {
                let known = places.iter().copied().find(|place| {
                    units[*place].product == key.product && units[*place].family == key.family
                });
                known.unwrap_or_else(|| self.put(fresh(scope, station, key, *at_ms)))
            }
            UnitChange::SeenBefore { code, .. } => {
                places.iter().copied().find(|place| units[*place].code.as_ref() == Some(code))?
            }
            UnitChange::Failed { .. } => {
                places.iter().copied().max_by_key(|place| units[*place].last_seen_ms)?
            }
        };
        self.touched[place] = true;
        self.units.get_mut(place)
    }

    async fn write(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        let touched = self.units.into_iter().zip(self.touched).filter(|(_, touched)| *touched);
        let touched: Vec<unit::Model> = touched.map(|(row, _)| row).collect();
        for rows in touched.chunks(ROWS_PER_UPSERT) {
            let rows = rows.iter().map(|row| {
                let mut row = row.clone().into_active_model().reset_all();
                // Known by its key: a new one gets its number when it is written.
                row.id = ActiveValue::NotSet;
                row
            });
            let replace = OnConflict::columns([
                unit::Column::TenantId,
                unit::Column::Product,
                unit::Column::Family,
                unit::Column::Uid,
            ])
            .update_columns([
                unit::Column::Code,
                unit::Column::Station,
                unit::Column::WorkOrder,
                unit::Column::Release,
                unit::Column::FirstPassedMs,
                unit::Column::LastSeenMs,
                unit::Column::State,
                unit::Column::SeenBeforeCount,
                unit::Column::PassedCount,
                unit::Column::FailedCount,
            ])
            .to_owned();
            unit::Entity::insert_many(rows)
                .on_conflict(replace)
                .exec_without_returning(transaction)
                .await?;
        }
        Ok(())
    }
}

fn fresh(scope: &TenantScope, station: &StationName, key: &UnitKey, at_ms: i64) -> unit::Model {
    unit::Model {
        id: 0,
        tenant_id: scope.id(),
        product: key.product.clone(),
        family: key.family.clone(),
        uid: key.uid.clone(),
        code: None,
        station: station.to_string(),
        work_order: None,
        release: None,
        first_passed_ms: None,
        last_seen_ms: at_ms,
        state: IN_WORK.to_owned(),
        seen_before_count: 0,
        passed_count: 0,
        failed_count: 0,
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
