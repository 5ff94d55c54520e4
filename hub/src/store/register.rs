//! The register of units: what stations and administrators said, and what people must be shown.
//!
//! Owns the rows. The rules are `activation::books::Register`, a fold over facts in the order in
//! which the hub learnt them; for each batch as much of it is read back as the batch touches.

use std::collections::{BTreeMap, BTreeSet};

use activation::Chip;
use activation::books::{Activation, Fact, Finding, Register};
use protocol::{Conflict, ProductName, StationName, VoidUnit};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::entities::{conflict, fact, station, unit};
use super::stations::StationRow;
use super::{Store, StoreError, TenantScope, bytes32, count, note_change, parsed};

/// Rows in one statement.
const ROWS_PER_INSERT: usize = 500;
/// Values in one question.
const VALUES_PER_QUESTION: usize = 2000;
/// How often the facts that a batch touches may touch further ones: a chain of chips replaced by
/// chips longer than this is read no further back.
const ROUNDS_MAX: usize = 16;

const ACTIVATED: &str = "activated";
const PASSED: &str = "passed";
const SCRAPPED: &str = "scrapped";
const REPLACED: &str = "replaced";

/// A fact with what the register does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFact {
    pub(crate) product: String,
    pub(crate) fact: Fact,
    /// Who decided it, where a person did.
    pub(crate) operator: Option<u32>,
    /// Station time, or the hub's own; milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
}

/// What a verified record says that cannot be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Impossible {
    /// The kind of conflict.
    pub(crate) kind: &'static str,
    /// The product, or a word in its place.
    pub(crate) product: String,
    /// The chip's family as the record has it.
    pub(crate) family: String,
    /// Its UID as the record has it, upper-case hexadecimal.
    pub(crate) uid: String,
    /// What is wrong, for people.
    pub(crate) detail: String,
}

/// What a question is about.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Touched {
    uids: BTreeSet<String>,
    codes: BTreeSet<String>,
    numbers: BTreeSet<(Vec<u8>, i64)>,
}

impl Touched {
    fn add(&mut self, row: &fact::Model) {
        self.uids.insert(row.uid.clone());
        self.uids.extend(row.new_uid.clone());
        self.codes.extend(row.code.clone());
        if let (Some(allotment), Some(number)) = (&row.allotment, row.number) {
            self.numbers.insert((allotment.clone(), number));
        }
    }
}

fn uid_of(chip: &Chip) -> String {
    hex::encode_upper(&chip.uid)
}

fn row_of(scope: &TenantScope, new: &NewFact) -> fact::Model {
    let mut row = fact::Model {
        id: 0,
        tenant_id: scope.id(),
        product: new.product.clone(),
        kind: String::new(),
        family: String::new(),
        uid: String::new(),
        station_key: None,
        code: None,
        allotment: None,
        number: None,
        serial: None,
        new_family: None,
        new_uid: None,
        operator: new.operator.map(i64::from),
        at_ms: new.at_ms,
    };
    let mut about = |kind: &str, chip: &Chip, station: Option<&[u8; 32]>| {
        row.kind = kind.to_owned();
        (row.family, row.uid) = (chip.family.clone(), uid_of(chip));
        row.station_key = station.map(|key| key.to_vec());
    };
    match &new.fact {
        Fact::Activated { station, chip, activation } => {
            about(ACTIVATED, chip, Some(station));
            row.code = Some(activation.code.clone());
            row.allotment = Some(activation.allotment.to_vec());
            row.number = Some(i64::from(activation.index));
        }
        Fact::Passed { station, chip } => about(PASSED, chip, Some(station)),
        Fact::Scrapped { station, chip } => about(SCRAPPED, chip, station.as_ref()),
        Fact::ChipReplaced { station, serial, old, new } => {
            about(REPLACED, old, station.as_ref());
            row.serial = Some(serial.clone());
            (row.new_family, row.new_uid) = (Some(new.family.clone()), Some(uid_of(new)));
        }
    }
    row
}

fn fact_of(row: &fact::Model) -> Result<Fact, StoreError> {
    let damaged = || StoreError::Damaged { what: "a fact about a unit" };
    let chip = |family: &str, uid: &str| {
        hex::decode(uid).ok().and_then(|uid| Chip::new(family, &uid).ok()).ok_or_else(damaged)
    };
    let own = chip(&row.family, &row.uid)?;
    let station = row.station_key.as_deref().map(|key| bytes32(key, "a station's key"));
    let station = station.transpose()?;
    Ok(match row.kind.as_str() {
        ACTIVATED => Fact::Activated {
            station: station.ok_or_else(damaged)?,
            chip: own,
            activation: Activation {
                code: row.code.clone().ok_or_else(damaged)?,
                allotment: row
                    .allotment
                    .as_deref()
                    .and_then(|name| name.try_into().ok())
                    .ok_or_else(damaged)?,
                index: count(row.number.ok_or_else(damaged)?, "an index")?,
            },
        },
        PASSED => Fact::Passed { station: station.ok_or_else(damaged)?, chip: own },
        SCRAPPED => Fact::Scrapped { station, chip: own },
        REPLACED => Fact::ChipReplaced {
            station,
            serial: row.serial.clone().ok_or_else(damaged)?,
            old: own,
            new: chip(
                row.new_family.as_deref().ok_or_else(damaged)?,
                row.new_uid.as_deref().ok_or_else(damaged)?,
            )?,
        },
        _ => return Err(damaged()),
    })
}

/// The facts held about what `touched` names, and about what those name, in their order.
async fn held(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    product: &str,
    mut touched: Touched,
) -> Result<BTreeMap<i64, fact::Model>, StoreError> {
    let mut rows = BTreeMap::new();
    let mut asked = Touched::default();
    for _ in 0..ROUNDS_MAX {
        let new = |all: &BTreeSet<String>, old: &BTreeSet<String>| {
            all.difference(old).cloned().collect::<Vec<_>>()
        };
        let uids = new(&touched.uids, &asked.uids);
        let codes = new(&touched.codes, &asked.codes);
        let numbers: Vec<_> = touched.numbers.difference(&asked.numbers).cloned().collect();
        asked = touched.clone();
        let mut questions = Vec::new();
        for uids in uids.chunks(VALUES_PER_QUESTION) {
            questions.push(
                Condition::any()
                    .add(fact::Column::Uid.is_in(uids.to_vec()))
                    .add(fact::Column::NewUid.is_in(uids.to_vec())),
            );
        }
        for codes in codes.chunks(VALUES_PER_QUESTION) {
            questions.push(Condition::any().add(fact::Column::Code.is_in(codes.to_vec())));
        }
        let mut by_allotment: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
        for (allotment, number) in numbers {
            by_allotment.entry(allotment).or_default().push(number);
        }
        for (allotment, numbers) in by_allotment {
            for numbers in numbers.chunks(VALUES_PER_QUESTION) {
                let theirs = Condition::all()
                    .add(fact::Column::Allotment.eq(allotment.clone()))
                    .add(fact::Column::Number.is_in(numbers.to_vec()));
                questions.push(Condition::any().add(theirs));
            }
        }
        if questions.is_empty() {
            break;
        }
        for question in questions {
            let found = fact::Entity::find()
                .filter(fact::Column::TenantId.eq(scope.id()))
                .filter(fact::Column::Product.eq(product))
                .filter(question)
                .all(transaction)
                .await?;
            for row in found {
                touched.add(&row);
                rows.insert(row.id, row);
            }
        }
        if touched == asked {
            break;
        }
    }
    Ok(rows)
}

/// Takes facts in, in the transaction that keeps what they come from: the register's rows, the
/// units that become void, and what people must be shown.
pub(super) async fn record(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    facts: &[NewFact],
    now_ms: i64,
) -> Result<(), StoreError> {
    let products: BTreeSet<&str> = facts.iter().map(|new| new.product.as_str()).collect();
    for product in products {
        let new: Vec<_> = facts.iter().filter(|new| new.product == product).collect();
        let rows: Vec<_> = new.iter().map(|new| row_of(scope, new)).collect();
        let mut touched = Touched::default();
        rows.iter().for_each(|row| touched.add(row));
        let mut register = Register::default();
        for row in held(transaction, scope, product, touched).await?.values() {
            register.record(&fact_of(row)?);
        }
        let findings: Vec<_> = new.iter().flat_map(|new| register.record(&new.fact)).collect();
        for rows in rows.chunks(ROWS_PER_INSERT) {
            let rows = rows.iter().map(|row| fact::ActiveModel {
                id: sea_orm::ActiveValue::NotSet,
                ..fact::ActiveModel::from(row.clone())
            });
            fact::Entity::insert_many(rows).exec(transaction).await?;
        }
        void_units(transaction, scope, product, &new).await?;
        if !findings.is_empty() {
            show(transaction, scope, product, &findings, now_ms).await?;
        }
    }
    Ok(())
}

async fn void_units(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    product: &str,
    facts: &[&NewFact],
) -> Result<(), StoreError> {
    for new in facts {
        let chip = match &new.fact {
            Fact::Scrapped { chip, .. } => chip,
            Fact::ChipReplaced { old, new, .. } if old != new => old,
            Fact::ChipReplaced { .. } | Fact::Activated { .. } | Fact::Passed { .. } => continue,
        };
        unit::Entity::update_many()
            .col_expr(unit::Column::State, sea_orm::sea_query::Expr::value(super::units::VOIDED))
            .filter(unit::Column::TenantId.eq(scope.id()))
            .filter(unit::Column::Product.eq(product))
            .filter(unit::Column::Family.eq(&chip.family))
            .filter(unit::Column::Uid.eq(uid_of(chip)))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

/// A finding as a row: kind, the chip it is about, the station, the sentence.
fn words<'a>(
    finding: &'a Finding,
    name: &dyn Fn(&[u8; 32]) -> String,
) -> (&'static str, &'a Chip, Option<String>, String) {
    match finding {
        Finding::SecondCredential { chip, kept, voided } => (
            "second-credential",
            chip,
            None,
            format!("{chip} has credential {} and got {}, which is void", kept.code, voided.code),
        ),
        Finding::SpentTwice { chip, first, second } => (
            "spent-twice",
            chip,
            None,
            format!(
                "the code of {chip} was paid for twice: {} and {}",
                number(first),
                number(second)
            ),
        ),
        Finding::CodeOnTwoChips { code, first, second } => (
            "code-on-two-chips",
            second,
            None,
            format!("pull the board with {second}: credential {code} belongs to {first}"),
        ),
        Finding::IndexOnTwoChips { allotment, index, first, second } => (
            "index-on-two-chips",
            second,
            None,
            format!(
                "index {index} of allotment {} is on {first} and {second}: a copied station \
                 database or a stolen key",
                hex::encode(allotment)
            ),
        ),
        Finding::PullBoard { chip, passed_at } => (
            "pull-board",
            chip,
            Some(name(passed_at)),
            format!("pull the board with {chip}: it is void and passed at {}", name(passed_at)),
        ),
        Finding::VoidInUse { chip, station } => (
            "void-in-use",
            chip,
            Some(name(station)),
            format!("{chip} is void and was activated at {}", name(station)),
        ),
        Finding::ReplacedByItself { chip, serial } => (
            "replaced-by-itself",
            chip,
            None,
            format!("{chip} was recorded as its own replacement under serial number {serial}"),
        ),
        Finding::SecondSerial { chip, kept, refused } => (
            "second-serial",
            chip,
            None,
            format!("{chip} has serial number {kept} and was given {refused}"),
        ),
    }
}

fn number(activation: &Activation) -> String {
    format!("{} in {}", activation.index, hex::encode(activation.allotment))
}

async fn show(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    product: &str,
    findings: &[Finding],
    now_ms: i64,
) -> Result<(), StoreError> {
    let stations = station::Entity::find()
        .filter(station::Column::TenantId.eq(scope.id()))
        .all(transaction)
        .await?;
    let name = |key: &[u8; 32]| {
        let named = stations.iter().find(|row| row.journal_key == key);
        named.map_or_else(
            || format!("a station with key {}", hex::encode(key)),
            |row| row.name.clone(),
        )
    };
    for finding in findings {
        let (kind, chip, station, detail) = words(finding, &name);
        let (family, uid) = (chip.family.clone(), uid_of(chip));
        let about = Impossible { kind, product: product.to_owned(), family, uid, detail };
        show_one(transaction, scope, station, about, now_ms).await?;
    }
    Ok(())
}

/// Shows people what records of a station say that cannot be so; each thing once.
pub(super) async fn show_records(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationRow,
    records: &[Impossible],
    now_ms: i64,
) -> Result<(), StoreError> {
    for record in records {
        let station = Some(station.name.to_string());
        let shown = conflict::Entity::find()
            .filter(conflict::Column::TenantId.eq(scope.id()))
            .filter(conflict::Column::Kind.eq(record.kind))
            .filter(conflict::Column::Station.eq(station.clone()))
            .filter(conflict::Column::Detail.eq(&record.detail))
            .count(transaction)
            .await?;
        if shown > 0 {
            continue;
        }
        show_one(transaction, scope, station, record.clone(), now_ms).await?;
    }
    Ok(())
}

async fn show_one(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: Option<String>,
    about: Impossible,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Impossible { kind, product, family, uid, detail } = about;
    tracing::error!(tenant = %scope.name(), product, kind, detail, "conflict");
    let row = conflict::ActiveModel {
        tenant_id: Set(scope.id()),
        product: Set(product),
        kind: Set(kind.to_owned()),
        family: Set(family),
        uid: Set(uid),
        station: Set(station),
        detail: Set(detail),
        found_ms: Set(now_ms),
        ..Default::default()
    };
    conflict::Entity::insert(row).exec(transaction).await?;
    Ok(())
}

impl Store {
    /// Records what an administrator decided about a unit.
    pub(crate) async fn dispose(
        &self,
        scope: &TenantScope,
        new: NewFact,
        (who, what): (&str, String),
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        record(&writing.transaction, scope, &[new], now_ms).await?;
        note_change(&writing.transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// Everything that people must be shown, oldest first, after `cursor`.
    pub(crate) async fn conflicts(
        &self,
        scope: &TenantScope,
        cursor: i64,
        limit: u64,
    ) -> Result<Vec<Conflict>, StoreError> {
        let rows = conflict::Entity::find()
            .filter(conflict::Column::TenantId.eq(scope.id()))
            .filter(conflict::Column::Id.gt(cursor))
            .order_by_asc(conflict::Column::Id)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                let station: Option<StationName> = row.station.and_then(|name| name.parse().ok());
                Ok(Conflict {
                    number: count(row.id, "a conflict's number")?,
                    product: parsed(&row.product, "a conflict's product")?,
                    kind: row.kind,
                    family: row.family,
                    uid: row.uid,
                    station,
                    detail: row.detail,
                    found_ms: row.found_ms,
                })
            })
            .collect()
    }

    /// The void units, oldest first, and the version of that statement: void is for ever, so their
    /// number is one.
    pub(crate) async fn voids(
        &self,
        scope: &TenantScope,
    ) -> Result<(u64, Vec<VoidUnit>), StoreError> {
        let rows: Vec<(String, String, String, Option<String>)> = fact::Entity::find()
            .select_only()
            .column(fact::Column::Product)
            .column(fact::Column::Family)
            .column(fact::Column::Uid)
            .column(fact::Column::NewUid)
            .filter(fact::Column::TenantId.eq(scope.id()))
            .filter(fact::Column::Kind.is_in([SCRAPPED, REPLACED]))
            .order_by_asc(fact::Column::Id)
            .into_tuple()
            .all(&self.db)
            .await?;
        let mut units = Vec::new();
        let mut seen = BTreeSet::new();
        for (product, family, uid, new_uid) in rows {
            if new_uid.as_deref() == Some(uid.as_str()) {
                continue;
            }
            let product: ProductName = parsed(&product, "a fact's product")?;
            let unit = VoidUnit { product, family, uid };
            if seen.insert(unit.clone()) {
                units.push(unit);
            }
        }
        Ok((units.len() as u64, units))
    }

    /// Which share's which credential was first recorded for a chip.
    pub(crate) async fn first_activation(
        &self,
        scope: &TenantScope,
        product: &str,
        family: &str,
        uid: &str,
    ) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
        let row = fact::Entity::find()
            .filter(fact::Column::TenantId.eq(scope.id()))
            .filter(fact::Column::Product.eq(product))
            .filter(fact::Column::Kind.eq(ACTIVATED))
            .filter(fact::Column::Family.eq(family))
            .filter(fact::Column::Uid.eq(uid))
            .order_by_asc(fact::Column::Id)
            .one(&self.db)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let spent = row.allotment.zip(row.number);
        spent.map(|(allotment, number)| Ok((allotment, count(number, "an index")?))).transpose()
    }

    /// How many chips got a credential of these allotments, at all and since `from_ms`.
    pub(crate) async fn spent(
        &self,
        scope: &TenantScope,
        allotments: Vec<Vec<u8>>,
        from_ms: i64,
    ) -> Result<(u64, u64), StoreError> {
        let question = || {
            fact::Entity::find()
                .select_only()
                .column(fact::Column::Allotment)
                .column(fact::Column::Number)
                .distinct()
                .filter(fact::Column::TenantId.eq(scope.id()))
                .filter(fact::Column::Kind.eq(ACTIVATED))
                .filter(fact::Column::Allotment.is_in(allotments.clone()))
        };
        let all = question().count(&self.db).await?;
        let lately = question().filter(fact::Column::AtMs.gte(from_ms)).count(&self.db).await?;
        Ok((all, lately))
    }
}
