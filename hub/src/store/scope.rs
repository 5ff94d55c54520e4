//! Whose things a query is about, and the doors by which that is found out.

use protocol::{Sha256, TenantName};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::entities::{certificate, code, station, tenant, tenant_key, token};
use super::stations::{CodeFound, KnownCertificate, StationRow};
use super::{Store, StoreError, parsed};

/// One tenant's part of the store. Cannot be made outside of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScope {
    id: i64,
    name: TenantName,
}

impl TenantScope {
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Which tenant.
    #[must_use]
    pub fn name(&self) -> &TenantName {
        &self.name
    }
}

impl TryFrom<tenant::Model> for TenantScope {
    type Error = StoreError;
    fn try_from(row: tenant::Model) -> Result<Self, StoreError> {
        Ok(Self { id: row.id, name: parsed(&row.name, "a tenant's name")? })
    }
}

impl Store {
    /// Every tenant: for the hub's own chores.
    pub(crate) async fn tenants(&self) -> Result<Vec<TenantScope>, StoreError> {
        let rows = tenant::Entity::find().all(&self.db).await?;
        rows.into_iter().map(TenantScope::try_from).collect()
    }

    async fn scope(&self, tenant_id: i64) -> Result<TenantScope, StoreError> {
        tenant::Entity::find_by_id(tenant_id)
            .one(&self.db)
            .await?
            .ok_or(StoreError::Damaged { what: "a row's tenant" })?
            .try_into()
    }

    /// The tenant that an admin token speaks for, and the token's label.
    pub(crate) async fn tenant_of_token(
        &self,
        token_sha256: &Sha256,
    ) -> Result<Option<(TenantScope, String)>, StoreError> {
        let row = token::Entity::find()
            .filter(token::Column::Sha256.eq(token_sha256.0.to_vec()))
            .one(&self.db)
            .await?;
        match row {
            Some(row) => Ok(Some((self.scope(row.tenant_id).await?, row.label))),
            None => Ok(None),
        }
    }

    /// The station that holds a client certificate, unless it was revoked.
    pub(crate) async fn station_of_certificate(
        &self,
        certificate_sha256: &Sha256,
    ) -> Result<Option<(TenantScope, StationRow, KnownCertificate)>, StoreError> {
        let found = self.station_of_any_certificate(certificate_sha256).await?;
        Ok(found.filter(|(_, station, _)| !station.revoked))
    }

    /// The station that has this certificate, turned away or not.
    pub(crate) async fn station_of_any_certificate(
        &self,
        certificate_sha256: &Sha256,
    ) -> Result<Option<(TenantScope, StationRow, KnownCertificate)>, StoreError> {
        let row = certificate::Entity::find()
            .filter(certificate::Column::Sha256.eq(certificate_sha256.0.to_vec()))
            .one(&self.db)
            .await?;
        let Some(certificate) = row else { return Ok(None) };
        let station = station::Entity::find_by_id(certificate.station_id)
            .filter(station::Column::TenantId.eq(certificate.tenant_id))
            .one(&self.db)
            .await?
            .ok_or(StoreError::Damaged { what: "a certificate's station" })?;
        let scope = self.scope(certificate.tenant_id).await?;
        let known = KnownCertificate { id: certificate.id, not_after_ms: certificate.not_after_ms };
        Ok(Some((scope, StationRow::try_from(station)?, known)))
    }

    /// The enrolment code that has this secret.
    pub(crate) async fn code_of_secret(
        &self,
        secret_sha256: &Sha256,
    ) -> Result<Option<(TenantScope, CodeFound)>, StoreError> {
        let row = code::Entity::find()
            .filter(code::Column::SecretSha256.eq(secret_sha256.0.to_vec()))
            .one(&self.db)
            .await?;
        match row {
            Some(row) => Ok(Some((self.scope(row.tenant_id).await?, CodeFound::try_from(row)?))),
            None => Ok(None),
        }
    }

    /// Makes a tenant with its sealed keys and first admin token.
    pub(crate) async fn add_tenant(
        &self,
        name: &TenantName,
        sealed_keys: &[(&str, Vec<u8>)],
        token_sha256: &Sha256,
        now_ms: i64,
    ) -> Result<TenantScope, StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let existing =
            tenant::Entity::find().filter(tenant::Column::Name.eq(name.as_str())).one(transaction);
        if existing.await?.is_some() {
            return Err(StoreError::Exists { what: "tenant" });
        }
        let row = tenant::ActiveModel {
            name: Set(name.to_string()),
            root_json: Set(None),
            created_ms: Set(now_ms),
            freshened_ms: Set(0),
            recovering_ms: Set(None),
            ..Default::default()
        };
        let id = tenant::Entity::insert(row).exec(transaction).await?.last_insert_id;
        for (key, sealed) in sealed_keys {
            let row = tenant_key::ActiveModel {
                tenant_id: Set(id),
                name: Set((*key).to_owned()),
                sealed: Set(sealed.clone()),
                ..Default::default()
            };
            tenant_key::Entity::insert(row).exec(transaction).await?;
        }
        let row = token::ActiveModel {
            tenant_id: Set(id),
            sha256: Set(token_sha256.0.to_vec()),
            label: Set("first administrator".to_owned()),
            created_ms: Set(now_ms),
            ..Default::default()
        };
        token::Entity::insert(row).exec(transaction).await?;
        let scope = TenantScope { id, name: name.clone() };
        super::note_change(transaction, &scope, now_ms, "hub", "tenant made".to_owned()).await?;
        writing.commit().await?;
        Ok(scope)
    }

    /// A tenant's key, still sealed.
    pub(crate) async fn sealed_key(
        &self,
        scope: &TenantScope,
        name: &'static str,
    ) -> Result<Vec<u8>, StoreError> {
        tenant_key::Entity::find()
            .filter(tenant_key::Column::TenantId.eq(scope.id))
            .filter(tenant_key::Column::Name.eq(name))
            .one(&self.db)
            .await?
            .map(|row| row.sealed)
            .ok_or(StoreError::Missing { what: name })
    }

    /// Keeps a tenant's sealed key unless there is one of this name; gives the one that is there.
    pub(crate) async fn keep_sealed_key(
        &self,
        scope: &TenantScope,
        name: &'static str,
        sealed: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let writing = self.write().await?;
        let row = tenant_key::Entity::find()
            .filter(tenant_key::Column::TenantId.eq(scope.id))
            .filter(tenant_key::Column::Name.eq(name))
            .one(&writing.transaction)
            .await?;
        if let Some(row) = row {
            return Ok(row.sealed);
        }
        let row = tenant_key::ActiveModel {
            tenant_id: Set(scope.id),
            name: Set(name.to_owned()),
            sealed: Set(sealed.clone()),
            ..Default::default()
        };
        tenant_key::Entity::insert(row).exec(&writing.transaction).await?;
        writing.commit().await?;
        Ok(sealed)
    }

    /// Keeps a tenant's sealed keys, in the place of those of the same name.
    pub(crate) async fn put_sealed_keys(
        &self,
        scope: &TenantScope,
        keys: &[(&'static str, Vec<u8>)],
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        for (name, sealed) in keys {
            tenant_key::Entity::delete_many()
                .filter(tenant_key::Column::TenantId.eq(scope.id))
                .filter(tenant_key::Column::Name.eq(*name))
                .exec(&writing.transaction)
                .await?;
            let row = tenant_key::ActiveModel {
                tenant_id: Set(scope.id),
                name: Set((*name).to_owned()),
                sealed: Set(sealed.clone()),
                ..Default::default()
            };
            tenant_key::Entity::insert(row).exec(&writing.transaction).await?;
        }
        let what = "the hub's next keys for snapshot, timestamp and leases made".to_owned();
        super::note_change(&writing.transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// When snapshot and timestamp were last written, milliseconds since the Unix epoch.
    pub(crate) async fn freshened_ms(&self, scope: &TenantScope) -> Result<i64, StoreError> {
        let row = tenant::Entity::find_by_id(scope.id).one(&self.db).await?;
        Ok(row.map_or(0, |row| row.freshened_ms))
    }

    /// The tenant's pinned root metadata and its SHA-256, once a release was published.
    pub(crate) async fn root(
        &self,
        scope: &TenantScope,
    ) -> Result<Option<(Vec<u8>, Sha256)>, StoreError> {
        let row = tenant::Entity::find_by_id(scope.id).one(&self.db).await?;
        let json = row.and_then(|row| row.root_json);
        Ok(json.map(|json| {
            let digest = crate::digest::sha256(&json);
            (json, digest)
        }))
    }
}

impl TryFrom<code::Model> for CodeFound {
    type Error = StoreError;
    fn try_from(row: code::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            station: parsed(&row.station, "a station's name")?,
            line: parsed(&row.line, "a line's name")?,
            expires_ms: row.expires_ms,
            used: row.used_ms.is_some(),
        })
    }
}
