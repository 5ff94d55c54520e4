//! People of the lines: numbers, roles, sealed badges and PINs, and the rosters made of them.
//!
//! Names stand in a table of their own, so that one can be erased and the number stays.

use protocol::{LineName, Role, Sha256};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};

use super::entities::{person, person_name, pin_verifier, roster, tenant_key};
use super::stations::StationRow;
use super::{Store, StoreError, TenantScope, bytes32, column, count, note_change, parsed};

/// One person.
#[derive(Debug, Clone)]
pub(crate) struct PersonRow {
    pub(crate) number: u32,
    pub(crate) role: Role,
    pub(crate) lines: Vec<LineName>,
    /// The badge's text, sealed by the vault.
    pub(crate) badge: Vec<u8>,
    /// The badge's digest under the tenant's own pepper: no two people have one badge.
    pub(crate) badge_digest: Sha256,
    /// The PIN, sealed by the vault.
    pub(crate) pin: Option<Vec<u8>>,
    /// Counts the PINs; a verifier of another count is of an older PIN.
    pub(crate) pin_serial: u64,
    pub(crate) ends_ms: Option<i64>,
    pub(crate) disabled: bool,
    /// Counts the changes of this row.
    pub(crate) serial: u64,
    pub(crate) changed_ms: i64,
}

/// A roster as it was given to a station.
#[derive(Debug, Clone)]
pub(crate) struct SignedRoster {
    pub(crate) version: u64,
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 over what it says, without version and time: tells whether it must change.
    pub(crate) content_sha256: Sha256,
}

/// What the hub keeps for a station's rosters.
pub(crate) struct RosterRow {
    /// The station's pepper, sealed by the vault.
    pub(crate) pepper: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) signed: Option<SignedRoster>,
}

/// The word for a role in the store.
pub(crate) const fn role_text(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Lead => "lead",
        Role::It => "it",
    }
}

fn role_of(text: &str) -> Result<Role, StoreError> {
    [Role::Worker, Role::Lead, Role::It]
        .into_iter()
        .find(|role| role_text(*role) == text)
        .ok_or(StoreError::Damaged { what: "a person's role" })
}

fn lines_text(lines: &[LineName]) -> String {
    let lines: Vec<&str> = lines.iter().map(LineName::as_str).collect();
    lines.join("\n")
}

impl TryFrom<person::Model> for PersonRow {
    type Error = StoreError;
    fn try_from(row: person::Model) -> Result<Self, StoreError> {
        Ok(Self {
            number: count(row.number, "a person's number")?,
            role: role_of(&row.role)?,
            lines: row
                .lines
                .lines()
                .map(|line| parsed(line, "a person's line"))
                .collect::<Result<_, _>>()?,
            badge: row.badge,
            badge_digest: Sha256(bytes32(&row.badge_digest, "a badge's digest")?),
            pin: row.pin,
            pin_serial: count(row.pin_serial, "a PIN's count")?,
            ends_ms: row.ends_ms,
            disabled: row.disabled,
            serial: count(row.serial, "a person's count of changes")?,
            changed_ms: row.changed_ms,
        })
    }
}

fn model(scope: &TenantScope, row: &PersonRow) -> person::ActiveModel {
    person::ActiveModel {
        tenant_id: Set(scope.id()),
        number: Set(i64::from(row.number)),
        role: Set(role_text(row.role).to_owned()),
        lines: Set(lines_text(&row.lines)),
        badge: Set(row.badge.clone()),
        badge_digest: Set(row.badge_digest.0.to_vec()),
        pin: Set(row.pin.clone()),
        pin_serial: Set(column(row.pin_serial)),
        ends_ms: Set(row.ends_ms),
        disabled: Set(row.disabled),
        serial: Set(column(row.serial)),
        changed_ms: Set(row.changed_ms),
        ..Default::default()
    }
}

/// What a change of a person is told about, for the log: never a name, a badge or a PIN.
fn said(row: &PersonRow, verb: &str) -> String {
    let lines = lines_text(&row.lines).replace('\n', ", ");
    let state = if row.disabled { ", disabled" } else { "" };
    let pin = if row.pin.is_some() { "" } else { ", without PIN" };
    let role = role_text(row.role);
    format!("person {} {verb}: {role} on {lines}{pin}{state}", row.number)
}

impl Store {
    /// Adds a person; neither number nor badge may be another's.
    pub(crate) async fn add_person(
        &self,
        scope: &TenantScope,
        row: &PersonRow,
        name: Option<&str>,
        who: &str,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        if person_of(transaction, scope, row.number).await?.is_some() {
            return Err(StoreError::Exists { what: "person of this number" });
        }
        badge_is_free(transaction, scope, row).await?;
        person::Entity::insert(model(scope, row)).exec(transaction).await?;
        put_name(transaction, scope, row.number, name).await?;
        note_change(transaction, scope, row.changed_ms, who, said(row, "added")).await?;
        writing.commit().await
    }

    /// Changes a person, if nobody else did since `row` was read. `false`: read it again.
    pub(crate) async fn change_person(
        &self,
        scope: &TenantScope,
        row: &PersonRow,
        name: Option<&str>,
        who: &str,
    ) -> Result<bool, StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let found = person_of(transaction, scope, row.number).await?;
        let found = found.ok_or(StoreError::Missing { what: "person of this number" })?;
        if column(row.serial) != found.serial + 1 {
            return Ok(false);
        }
        badge_is_free(transaction, scope, row).await?;
        let changed = person::ActiveModel { id: Set(found.id), ..model(scope, row) };
        person::Entity::update(changed).exec(transaction).await?;
        put_name(transaction, scope, row.number, name).await?;
        note_change(transaction, scope, row.changed_ms, who, said(row, "changed")).await?;
        writing.commit().await?;
        Ok(true)
    }

    /// Erases a person's name; the number stays.
    pub(crate) async fn erase_name(
        &self,
        scope: &TenantScope,
        number: u32,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let erased = person_name::Entity::delete_many()
            .filter(person_name::Column::TenantId.eq(scope.id()))
            .filter(person_name::Column::Number.eq(i64::from(number)))
            .exec(&writing.transaction)
            .await?;
        if erased.rows_affected == 0 {
            return Err(StoreError::Missing { what: "name of a person of this number" });
        }
        let what = format!("name of person {number} erased");
        note_change(&writing.transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// A person by number.
    pub(crate) async fn person(
        &self,
        scope: &TenantScope,
        number: u32,
    ) -> Result<PersonRow, StoreError> {
        person_of(&self.db, scope, number)
            .await?
            .ok_or(StoreError::Missing { what: "person of this number" })?
            .try_into()
    }

    /// Everybody, by number, with their name where there is one.
    pub(crate) async fn people(
        &self,
        scope: &TenantScope,
    ) -> Result<Vec<(PersonRow, Option<String>)>, StoreError> {
        let names = person_name::Entity::find()
            .filter(person_name::Column::TenantId.eq(scope.id()))
            .all(&self.db)
            .await?;
        let rows = self.person_rows(scope).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let name = names.iter().find(|name| name.number == i64::from(row.number));
                (row, name.map(|name| name.name.clone()))
            })
            .collect())
    }

    /// The people of one line, by number.
    pub(crate) async fn people_of_line(
        &self,
        scope: &TenantScope,
        line: &LineName,
    ) -> Result<Vec<PersonRow>, StoreError> {
        let rows = self.person_rows(scope).await?;
        Ok(rows.into_iter().filter(|row| row.lines.contains(line)).collect())
    }

    async fn person_rows(&self, scope: &TenantScope) -> Result<Vec<PersonRow>, StoreError> {
        let rows = person::Entity::find()
            .filter(person::Column::TenantId.eq(scope.id()))
            .order_by_asc(person::Column::Number)
            .all(&self.db)
            .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// What the hub keeps for a station's rosters, if it ever made one.
    pub(crate) async fn roster(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Option<RosterRow>, StoreError> {
        let row = roster::Entity::find()
            .filter(roster::Column::TenantId.eq(scope.id()))
            .filter(roster::Column::StationId.eq(station.id))
            .one(&self.db)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let version = count(row.version, "a roster's version")?;
        let signed = match (row.bytes, row.content_sha256) {
            (Some(bytes), Some(content)) => {
                let content_sha256 = Sha256(bytes32(&content, "a roster's content")?);
                Some(SignedRoster { version, bytes, content_sha256 })
            }
            _ => None,
        };
        Ok(Some(RosterRow { pepper: row.pepper, version, signed }))
    }

    /// Keeps the sealed pepper of a station that had none; one that is there stays.
    pub(crate) async fn keep_pepper(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        pepper: &[u8],
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let found = roster::Entity::find()
            .filter(roster::Column::TenantId.eq(scope.id()))
            .filter(roster::Column::StationId.eq(station.id))
            .one(&writing.transaction)
            .await?;
        if found.is_none() {
            let row = roster::ActiveModel {
                tenant_id: Set(scope.id()),
                station_id: Set(station.id),
                pepper: Set(pepper.to_vec()),
                version: Set(0),
                content_sha256: Set(None),
                bytes: Set(None),
                ..Default::default()
            };
            roster::Entity::insert(row).exec(&writing.transaction).await?;
        }
        writing.commit().await
    }

    /// Keeps a roster that was signed, unless another one was kept meanwhile. `false`: look again.
    pub(crate) async fn keep_roster(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        signed: &SignedRoster,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let writing = self.write().await?;
        let changed = roster::Entity::update_many()
            .col_expr(roster::Column::Version, Expr::value(column(signed.version)))
            .col_expr(roster::Column::Bytes, Expr::value(signed.bytes.clone()))
            .col_expr(roster::Column::ContentSha256, Expr::value(signed.content_sha256.0.to_vec()))
            .filter(roster::Column::TenantId.eq(scope.id()))
            .filter(roster::Column::StationId.eq(station.id))
            .filter(roster::Column::Version.eq(column(signed.version) - 1))
            .exec(&writing.transaction)
            .await?;
        if changed.rows_affected != 1 {
            return Ok(false);
        }
        let what = format!("roster {} signed for station {}", signed.version, station.name);
        note_change(&writing.transaction, scope, now_ms, "hub", what).await?;
        writing.commit().await?;
        Ok(true)
    }

    /// The verifiers made for a station: a person's number, the count of their PIN, the verifier.
    pub(crate) async fn pin_verifiers(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Vec<(u32, u64, Vec<u8>)>, StoreError> {
        let rows = pin_verifier::Entity::find()
            .filter(pin_verifier::Column::TenantId.eq(scope.id()))
            .filter(pin_verifier::Column::StationId.eq(station.id))
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    count(row.number, "a person's number")?,
                    count(row.pin_serial, "a PIN's count")?,
                    row.verifier,
                ))
            })
            .collect()
    }

    /// Keeps the verifier of a person's newest PIN at a station; an older one goes.
    pub(crate) async fn keep_pin_verifier(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        (number, pin_serial): (u32, u64),
        verifier: &[u8],
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        pin_verifier::Entity::delete_many()
            .filter(pin_verifier::Column::TenantId.eq(scope.id()))
            .filter(pin_verifier::Column::StationId.eq(station.id))
            .filter(pin_verifier::Column::Number.eq(i64::from(number)))
            .exec(&writing.transaction)
            .await?;
        let row = pin_verifier::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station.id),
            number: Set(i64::from(number)),
            pin_serial: Set(column(pin_serial)),
            verifier: Set(verifier.to_vec()),
            ..Default::default()
        };
        pin_verifier::Entity::insert(row).exec(&writing.transaction).await?;
        writing.commit().await
    }

    /// Keeps a tenant's key that is made when it is first needed; one that is there stays.
    pub(crate) async fn keep_tenant_key(
        &self,
        scope: &TenantScope,
        name: &str,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let found = tenant_key::Entity::find()
            .filter(tenant_key::Column::TenantId.eq(scope.id()))
            .filter(tenant_key::Column::Name.eq(name))
            .one(&writing.transaction)
            .await?;
        if found.is_none() {
            let row = tenant_key::ActiveModel {
                tenant_id: Set(scope.id()),
                name: Set(name.to_owned()),
                sealed: Set(sealed.to_vec()),
                ..Default::default()
            };
            tenant_key::Entity::insert(row).exec(&writing.transaction).await?;
        }
        writing.commit().await
    }
}

async fn person_of(
    db: &impl ConnectionTrait,
    scope: &TenantScope,
    number: u32,
) -> Result<Option<person::Model>, StoreError> {
    Ok(person::Entity::find()
        .filter(person::Column::TenantId.eq(scope.id()))
        .filter(person::Column::Number.eq(i64::from(number)))
        .one(db)
        .await?)
}

async fn badge_is_free(
    db: &impl ConnectionTrait,
    scope: &TenantScope,
    row: &PersonRow,
) -> Result<(), StoreError> {
    let other = person::Entity::find()
        .filter(person::Column::TenantId.eq(scope.id()))
        .filter(person::Column::BadgeDigest.eq(row.badge_digest.0.to_vec()))
        .filter(person::Column::Number.ne(i64::from(row.number)))
        .one(db)
        .await?;
    if other.is_some() { Err(StoreError::Exists { what: "badge" }) } else { Ok(()) }
}

async fn put_name(
    db: &impl ConnectionTrait,
    scope: &TenantScope,
    number: u32,
    name: Option<&str>,
) -> Result<(), StoreError> {
    let Some(name) = name else { return Ok(()) };
    person_name::Entity::delete_many()
        .filter(person_name::Column::TenantId.eq(scope.id()))
        .filter(person_name::Column::Number.eq(i64::from(number)))
        .exec(db)
        .await?;
    let row = person_name::ActiveModel {
        tenant_id: Set(scope.id()),
        number: Set(i64::from(number)),
        name: Set(name.to_owned()),
        ..Default::default()
    };
    person_name::Entity::insert(row).exec(db).await?;
    Ok(())
}
