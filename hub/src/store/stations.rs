//! Stations: invited by a code, enrolled once, leased to, heard from, revoked.

use protocol::{
    Backlog, Ed25519Key, Epoch, HpkeKey, KeyProtection, LineName, Sha256, Station, StationName,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::ca::StationCertificate;

use super::entities::{certificate, code, journal, station, tenant};
use super::{Store, StoreError, TenantScope, bytes32, column, count, note_change, parsed};

/// How often `last_contact_ms` is worth a write.
const CONTACT_MS: i64 = 10_000;

/// A code to be given out.
pub(crate) struct NewCode {
    pub(crate) secret_sha256: Sha256,
    pub(crate) station: StationName,
    pub(crate) line: LineName,
    pub(crate) expires_ms: i64,
}

/// A code that was found by its secret.
#[derive(Debug, Clone)]
pub(crate) struct CodeFound {
    pub(super) id: i64,
    pub(crate) station: StationName,
    pub(crate) line: LineName,
    pub(crate) expires_ms: i64,
    pub(crate) used: bool,
}

/// A station that has shown its code.
pub(crate) struct NewStation {
    pub(crate) journal_key: Ed25519Key,
    pub(crate) hpke_key: HpkeKey,
    pub(crate) key_protection: KeyProtection,
    pub(crate) certificate_sha256: Sha256,
    pub(crate) certificate_not_after_ms: i64,
}

/// An enrolled station.
#[derive(Debug, Clone)]
pub(crate) struct StationRow {
    pub(super) id: i64,
    pub(crate) name: StationName,
    pub(crate) line: LineName,
    pub(crate) journal_key: Ed25519Key,
    pub(crate) hpke_key: HpkeKey,
    pub(crate) key_protection: KeyProtection,
    pub(crate) enrolled_ms: i64,
    pub(crate) last_contact_ms: Option<i64>,
    pub(crate) revoked: bool,
    /// When it was turned away, milliseconds since the Unix epoch.
    pub(crate) revoked_ms: Option<i64>,
    pub(crate) forked: bool,
    /// It says itself that its journal was set back.
    pub(crate) quarantined: bool,
    /// The epoch an administrator opened last; the first one without any.
    pub(crate) epoch_opened: Epoch,
    /// The signed instruction to begin it, until it has begun.
    pub(crate) epoch_document: Option<Vec<u8>>,
    /// The epoch and size up to which this hub itself had cosigned, when it was set back.
    pub(crate) owed: (Epoch, u64),
    pub(crate) lease: Option<SignedLease>,
    pub(crate) lease_version: u64,
    /// What it last said waits there, as JSON.
    pub(crate) backlog: Option<String>,
}

impl StationRow {
    /// Whether its journal cannot be relied on, so that nothing is granted.
    pub(crate) const fn in_quarantine(&self) -> bool {
        self.forked || self.quarantined
    }
}

/// A certificate that the hub gave a station.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownCertificate {
    pub(super) id: i64,
    /// End of its life, milliseconds since the Unix epoch.
    pub(crate) not_after_ms: i64,
}

/// A lease as it was given to a station.
#[derive(Debug, Clone)]
pub(crate) struct SignedLease {
    pub(crate) version: u64,
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 over what it allows, without version and times: tells whether it must change.
    pub(crate) terms_sha256: Sha256,
    /// When a fresh one is due although nothing changed.
    pub(crate) renew_ms: i64,
}

impl TryFrom<station::Model> for StationRow {
    type Error = StoreError;
    fn try_from(row: station::Model) -> Result<Self, StoreError> {
        let lease_version = count(row.lease_version, "a lease's version")?;
        let lease = match (row.lease, row.lease_terms_sha256) {
            (Some(bytes), Some(terms)) => Some(SignedLease {
                version: lease_version,
                bytes,
                terms_sha256: Sha256(bytes32(&terms, "a lease's terms")?),
                renew_ms: row.lease_renew_ms,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            name: parsed(&row.name, "a station's name")?,
            line: parsed(&row.line, "a line's name")?,
            journal_key: Ed25519Key(bytes32(&row.journal_key, "a station's journal key")?),
            hpke_key: HpkeKey(bytes32(&row.hpke_key, "a station's HPKE key")?),
            key_protection: protection_of(&row.key_protection)?,
            enrolled_ms: row.enrolled_ms,
            last_contact_ms: row.last_contact_ms,
            revoked: row.revoked_ms.is_some(),
            revoked_ms: row.revoked_ms,
            forked: row.forked,
            quarantined: row.quarantined,
            epoch_opened: Epoch(count(row.epoch_opened, "a station's epoch")?),
            epoch_document: row.epoch_document,
            owed: (
                Epoch(count(row.owed_epoch, "a journal's epoch")?),
                count(row.owed_size, "a journal's size")?,
            ),
            lease,
            lease_version,
            backlog: row.backlog,
        })
    }
}

pub(super) fn protection_of(text: &str) -> Result<KeyProtection, StoreError> {
    match text {
        "none" => Ok(KeyProtection::None),
        "disk" => Ok(KeyProtection::Disk),
        "tpm" => Ok(KeyProtection::Tpm),
        _ => Err(StoreError::Damaged { what: "a station's key protection" }),
    }
}

impl Store {
    /// Notes a code that was given out. A station of that name must not exist yet.
    pub(crate) async fn add_code(
        &self,
        scope: &TenantScope,
        new: NewCode,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let existing = station::Entity::find()
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Name.eq(new.station.as_str()))
            .one(transaction)
            .await?;
        if existing.is_some() {
            return Err(StoreError::Exists { what: "station" });
        }
        let what = format!("enrolment code made for station {}", new.station);
        let row = code::ActiveModel {
            tenant_id: Set(scope.id()),
            secret_sha256: Set(new.secret_sha256.0.to_vec()),
            station: Set(new.station.into()),
            line: Set(new.line.into()),
            expires_ms: Set(new.expires_ms),
            used_ms: Set(None),
            ..Default::default()
        };
        code::Entity::insert(row).exec(transaction).await?;
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// Uses the code up and makes its station, both or neither. `false`: the code was used
    /// meanwhile.
    pub(crate) async fn enrol(
        &self,
        scope: &TenantScope,
        code: &CodeFound,
        new: NewStation,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let used = code::Entity::update_many()
            .col_expr(code::Column::UsedMs, Expr::value(now_ms))
            .filter(code::Column::TenantId.eq(scope.id()))
            .filter(code::Column::Id.eq(code.id))
            .filter(code::Column::UsedMs.is_null())
            .exec(transaction)
            .await?;
        if used.rows_affected != 1 {
            return Ok(false);
        }
        let existing = station::Entity::find()
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Name.eq(code.station.as_str()))
            .one(transaction)
            .await?;
        if existing.is_some() {
            return Err(StoreError::Exists { what: "station" });
        }
        let row = station::ActiveModel {
            tenant_id: Set(scope.id()),
            name: Set(code.station.to_string()),
            line: Set(code.line.to_string()),
            journal_key: Set(new.journal_key.0.to_vec()),
            hpke_key: Set(new.hpke_key.0.to_vec()),
            key_protection: Set(new.key_protection.word().to_owned()),
            enrolled_ms: Set(now_ms),
            last_contact_ms: Set(Some(now_ms)),
            revoked_ms: Set(None),
            forked: Set(false),
            quarantined: Set(false),
            epoch_opened: Set(i64::from(Epoch::FIRST.0)),
            epoch_document: Set(None),
            reported_ms: Set(None),
            owed_epoch: Set(0),
            owed_size: Set(0),
            lease_version: Set(0),
            lease: Set(None),
            lease_terms_sha256: Set(None),
            lease_renew_ms: Set(0),
            backlog: Set(None),
            ..Default::default()
        };
        let station_id = station::Entity::insert(row).exec(transaction).await?.last_insert_id;
        let row = certificate::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station_id),
            sha256: Set(new.certificate_sha256.0.to_vec()),
            not_after_ms: Set(new.certificate_not_after_ms),
            ..Default::default()
        };
        certificate::Entity::insert(row).exec(transaction).await?;
        let what = format!("station {} enrolled", code.station);
        note_change(transaction, scope, now_ms, code.station.as_str(), what).await?;
        writing.commit().await?;
        Ok(true)
    }

    /// A station by name.
    pub(crate) async fn station(
        &self,
        scope: &TenantScope,
        name: &StationName,
    ) -> Result<StationRow, StoreError> {
        station::Entity::find()
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Name.eq(name.as_str()))
            .one(&self.db)
            .await?
            .ok_or(StoreError::Missing { what: "station" })?
            .try_into()
    }

    /// Every station, as people see them.
    pub(crate) async fn stations(&self, scope: &TenantScope) -> Result<Vec<Station>, StoreError> {
        let rows = station::Entity::find()
            .filter(station::Column::TenantId.eq(scope.id()))
            .order_by_asc(station::Column::Name)
            .all(&self.db)
            .await?;
        let journals = journal::Entity::find()
            .filter(journal::Column::TenantId.eq(scope.id()))
            .order_by_asc(journal::Column::Epoch)
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                // Only a word of the station: what cannot be read was never said.
                let row = StationRow::try_from(row)?;
                let backlog = row.backlog.as_deref();
                let backlog = backlog.and_then(|text| serde_json::from_str(text).ok());
                let newest = journals.iter().rfind(|journal| journal.station_id == row.id);
                Ok(Station {
                    name: row.name,
                    line: row.line,
                    journal_key: row.journal_key,
                    hpke_key: row.hpke_key,
                    key_protection: row.key_protection,
                    enrolled_ms: row.enrolled_ms,
                    last_contact_ms: row.last_contact_ms,
                    revoked: row.revoked,
                    epoch: Epoch(match newest {
                        Some(journal) => count(journal.epoch, "a journal's epoch")?,
                        None => 0,
                    }),
                    journal_size: match newest {
                        Some(journal) => count(journal.size, "a journal's size")?,
                        None => 0,
                    },
                    forked: row.forked,
                    quarantined: row.quarantined,
                    epoch_opened: row.epoch_opened,
                    lease_version: row.lease_version,
                    backlog,
                })
            })
            .collect()
    }

    /// The station was heard.
    pub(crate) async fn heard(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if station.last_contact_ms.is_some_and(|last| (0..CONTACT_MS).contains(&(now_ms - last))) {
            return Ok(());
        }
        let writing = self.write().await?;
        station::Entity::update_many()
            .col_expr(station::Column::LastContactMs, Expr::value(now_ms))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .exec(&writing.transaction)
            .await?;
        writing.commit().await
    }

    /// The station says what guards its keys since it was asked last.
    pub(crate) async fn keep_protection(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        protection: KeyProtection,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        station::Entity::update_many()
            .col_expr(station::Column::KeyProtection, Expr::value(protection.word()))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .exec(&writing.transaction)
            .await?;
        let what = format!("keys of {} are guarded by: {}", station.name, protection.word());
        note_change(&writing.transaction, scope, now_ms, station.name.as_str(), what).await?;
        writing.commit().await
    }

    /// What must guard a station's keys before it is granted anything.
    pub(crate) async fn least_protection(
        &self,
        scope: &TenantScope,
    ) -> Result<KeyProtection, StoreError> {
        let row = tenant::Entity::find_by_id(scope.id()).one(&self.db).await?;
        let row = row.ok_or(StoreError::Damaged { what: "a tenant" })?;
        protection_of(&row.least_protection)
    }

    /// Decides it.
    pub(crate) async fn demand_protection(
        &self,
        scope: &TenantScope,
        least: KeyProtection,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        tenant::Entity::update_many()
            .col_expr(tenant::Column::LeastProtection, Expr::value(least.word()))
            .filter(tenant::Column::Id.eq(scope.id()))
            .exec(&writing.transaction)
            .await?;
        let what = format!("stations need key protection: {}", least.word());
        note_change(&writing.transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// The station says what waits there.
    pub(crate) async fn keep_backlog(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        backlog: &Backlog,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(backlog)
            .map_err(|_| StoreError::Damaged { what: "a station's backlog" })?;
        let writing = self.write().await?;
        station::Entity::update_many()
            .col_expr(station::Column::Backlog, Expr::value(text))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .exec(&writing.transaction)
            .await?;
        writing.commit().await
    }

    /// Keeps the station's next certificate beside the one it asked `with`; all others go.
    pub(crate) async fn renew_certificate(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        with: &KnownCertificate,
        next: &StationCertificate,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        certificate::Entity::delete_many()
            .filter(certificate::Column::TenantId.eq(scope.id()))
            .filter(certificate::Column::StationId.eq(station.id))
            .filter(certificate::Column::Id.ne(with.id))
            .exec(transaction)
            .await?;
        let row = certificate::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station.id),
            sha256: Set(next.sha256.0.to_vec()),
            not_after_ms: Set(next.not_after_ms),
            ..Default::default()
        };
        certificate::Entity::insert(row).exec(transaction).await?;
        let what = format!("certificate of station {} renewed", station.name);
        note_change(transaction, scope, now_ms, station.name.as_str(), what).await?;
        writing.commit().await
    }

    /// The station's certificate is accepted no more.
    pub(crate) async fn revoke(
        &self,
        scope: &TenantScope,
        name: &StationName,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let changed = station::Entity::update_many()
            .col_expr(station::Column::RevokedMs, Expr::value(now_ms))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Name.eq(name.as_str()))
            .filter(station::Column::RevokedMs.is_null())
            .exec(&writing.transaction)
            .await?;
        if changed.rows_affected == 0 {
            return Err(StoreError::Missing { what: "station" });
        }
        let what = format!("station {name} revoked");
        note_change(&writing.transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// Keeps a lease that was signed, unless another one was kept since `station` was read.
    /// `false`: read the station again.
    pub(crate) async fn keep_lease(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        lease: &SignedLease,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let writing = self.write().await?;
        let changed = station::Entity::update_many()
            .col_expr(station::Column::LeaseVersion, Expr::value(column(lease.version)))
            .col_expr(station::Column::Lease, Expr::value(lease.bytes.clone()))
            .col_expr(station::Column::LeaseTermsSha256, Expr::value(lease.terms_sha256.0.to_vec()))
            .col_expr(station::Column::LeaseRenewMs, Expr::value(lease.renew_ms))
            .filter(station::Column::TenantId.eq(scope.id()))
            .filter(station::Column::Id.eq(station.id))
            .filter(station::Column::LeaseVersion.eq(column(station.lease_version)))
            .exec(&writing.transaction)
            .await?;
        if changed.rows_affected != 1 {
            return Ok(false);
        }
        let what = format!("lease {} signed for station {}", lease.version, station.name);
        note_change(&writing.transaction, scope, now_ms, "hub", what).await?;
        writing.commit().await?;
        Ok(true)
    }
}
