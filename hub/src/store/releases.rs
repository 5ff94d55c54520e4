//! Releases and the documents that make them trusted: kept as they came.

use std::collections::BTreeMap;

use protocol::Sha256;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entities::{chunk, document, release, tenant};
use super::{Store, StoreError, TenantScope, bytes32, note_change};
use crate::digest::sha256;

/// A release whose bundle was checked.
pub(crate) struct NewRelease {
    pub(crate) product: String,
    pub(crate) version: String,
    pub(crate) manifest_sha256: Sha256,
    pub(crate) hub_wrap: Vec<u8>,
    pub(crate) summary: String,
    pub(crate) chunks: Vec<Sha256>,
    /// Pinned with the first release.
    pub(crate) root_json: Option<Vec<u8>>,
    /// Every document that changes, by name.
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
}

/// A published release.
#[derive(Debug, Clone)]
pub(crate) struct ReleaseRow {
    pub(super) id: i64,
    pub(crate) product: String,
    pub(crate) version: String,
    pub(crate) manifest_sha256: Sha256,
    pub(crate) hub_wrap: Vec<u8>,
    pub(crate) summary: String,
    pub(crate) published_ms: i64,
}

impl TryFrom<release::Model> for ReleaseRow {
    type Error = StoreError;
    fn try_from(row: release::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            product: row.product,
            version: row.version,
            manifest_sha256: Sha256(bytes32(&row.manifest_sha256, "a manifest's digest")?),
            hub_wrap: row.hub_wrap,
            summary: row.summary,
            published_ms: row.published_ms,
        })
    }
}

impl Store {
    /// Keeps a release with its documents and chunk list, all or nothing. One that is there
    /// already only has its documents renewed.
    pub(crate) async fn publish(
        &self,
        scope: &TenantScope,
        new: NewRelease,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        if let Some(root) = new.root_json {
            tenant::Entity::update_many()
                .col_expr(tenant::Column::RootJson, Expr::value(root))
                .filter(tenant::Column::Id.eq(scope.id()))
                .filter(tenant::Column::RootJson.is_null())
                .exec(transaction)
                .await?;
        }
        let held = release::Entity::find()
            .filter(release::Column::TenantId.eq(scope.id()))
            .filter(release::Column::ManifestSha256.eq(new.manifest_sha256.0.to_vec()))
            .one(transaction)
            .await?;
        if held.is_none() {
            let same_version = release::Entity::find()
                .filter(release::Column::TenantId.eq(scope.id()))
                .filter(release::Column::Product.eq(&new.product))
                .filter(release::Column::Version.eq(&new.version))
                .one(transaction)
                .await?;
            if same_version.is_some() {
                return Err(StoreError::Exists { what: "release of this version" });
            }
            let what = format!("{} {} published", new.product, new.version);
            let row = release::ActiveModel {
                tenant_id: Set(scope.id()),
                product: Set(new.product),
                version: Set(new.version),
                manifest_sha256: Set(new.manifest_sha256.0.to_vec()),
                hub_wrap: Set(new.hub_wrap),
                summary: Set(new.summary),
                published_ms: Set(now_ms),
                ..Default::default()
            };
            let id = release::Entity::insert(row).exec(transaction).await?.last_insert_id;
            for digests in new.chunks.chunks(100) {
                let rows = digests.iter().map(|digest| chunk::ActiveModel {
                    tenant_id: Set(scope.id()),
                    release_id: Set(id),
                    sha256: Set(digest.0.to_vec()),
                    ..Default::default()
                });
                chunk::Entity::insert_many(rows).exec(transaction).await?;
            }
            note_change(transaction, scope, now_ms, who, what).await?;
        }
        keep_documents(transaction, scope, &new.documents, now_ms).await?;
        writing.commit().await
    }

    /// Keeps a snapshot and timestamp that were written anew.
    pub(crate) async fn keep_documents(
        &self,
        scope: &TenantScope,
        documents: &BTreeMap<String, Vec<u8>>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        keep_documents(&writing.transaction, scope, documents, now_ms).await?;
        writing.commit().await
    }

    /// Keeps documents that people brought without a release, and says so in the hub's log.
    pub(crate) async fn take_documents(
        &self,
        scope: &TenantScope,
        documents: &BTreeMap<String, Vec<u8>>,
        who: &str,
        what: String,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        note_change(&writing.transaction, scope, now_ms, who, what).await?;
        keep_documents(&writing.transaction, scope, documents, now_ms).await?;
        writing.commit().await
    }

    /// Names and digests of the tenant's documents, by name.
    pub(crate) async fn document_list(
        &self,
        scope: &TenantScope,
    ) -> Result<Vec<(String, Sha256)>, StoreError> {
        let rows: Vec<(String, Vec<u8>)> = document::Entity::find()
            .select_only()
            .column(document::Column::Name)
            .column(document::Column::Sha256)
            .filter(document::Column::TenantId.eq(scope.id()))
            .order_by_asc(document::Column::Name)
            .into_tuple()
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|(name, digest)| Ok((name, Sha256(bytes32(&digest, "a document's digest")?))))
            .collect()
    }

    /// One document.
    pub(crate) async fn document(
        &self,
        scope: &TenantScope,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row = document::Entity::find()
            .filter(document::Column::TenantId.eq(scope.id()))
            .filter(document::Column::Name.eq(name))
            .one(&self.db)
            .await?;
        Ok(row.map(|row| row.bytes))
    }

    /// Every metadata document with its bytes.
    pub(crate) async fn metadata(
        &self,
        scope: &TenantScope,
    ) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let rows = document::Entity::find()
            .filter(document::Column::TenantId.eq(scope.id()))
            .filter(document::Column::Name.ends_with(".json"))
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|row| (row.name, row.bytes)).collect())
    }

    /// Whether a release of this tenant names the chunk.
    pub(crate) async fn has_chunk(
        &self,
        scope: &TenantScope,
        digest: &Sha256,
    ) -> Result<bool, StoreError> {
        let row = chunk::Entity::find()
            .filter(chunk::Column::TenantId.eq(scope.id()))
            .filter(chunk::Column::Sha256.eq(digest.0.to_vec()))
            .one(&self.db)
            .await?;
        Ok(row.is_some())
    }

    /// The chunks that a release names.
    pub(crate) async fn chunks_of(
        &self,
        scope: &TenantScope,
        manifest_sha256: &Sha256,
    ) -> Result<Vec<Sha256>, StoreError> {
        let release = self.release(scope, manifest_sha256).await?;
        let rows = chunk::Entity::find()
            .filter(chunk::Column::TenantId.eq(scope.id()))
            .filter(chunk::Column::ReleaseId.eq(release.id))
            .order_by_asc(chunk::Column::Id)
            .all(&self.db)
            .await?;
        rows.iter().map(|row| Ok(Sha256(bytes32(&row.sha256, "a chunk's digest")?))).collect()
    }

    /// Every release, newest last.
    pub(crate) async fn releases(
        &self,
        scope: &TenantScope,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let rows = release::Entity::find()
            .filter(release::Column::TenantId.eq(scope.id()))
            .order_by_asc(release::Column::Id)
            .all(&self.db)
            .await?;
        rows.into_iter().map(ReleaseRow::try_from).collect()
    }

    /// The release of this manifest.
    pub(crate) async fn release(
        &self,
        scope: &TenantScope,
        manifest_sha256: &Sha256,
    ) -> Result<ReleaseRow, StoreError> {
        release::Entity::find()
            .filter(release::Column::TenantId.eq(scope.id()))
            .filter(release::Column::ManifestSha256.eq(manifest_sha256.0.to_vec()))
            .one(&self.db)
            .await?
            .ok_or(StoreError::Missing { what: "release" })?
            .try_into()
    }
}

async fn keep_documents(
    transaction: &sea_orm::DatabaseTransaction,
    scope: &TenantScope,
    documents: &BTreeMap<String, Vec<u8>>,
    now_ms: i64,
) -> Result<(), StoreError> {
    tenant::Entity::update_many()
        .col_expr(tenant::Column::FreshenedMs, Expr::value(now_ms))
        .filter(tenant::Column::Id.eq(scope.id()))
        .exec(transaction)
        .await?;
    for (name, bytes) in documents {
        let row = document::ActiveModel {
            tenant_id: Set(scope.id()),
            name: Set(name.clone()),
            sha256: Set(sha256(bytes).0.to_vec()),
            bytes: Set(bytes.clone()),
            ..Default::default()
        };
        let replace = OnConflict::columns([document::Column::TenantId, document::Column::Name])
            .update_columns([document::Column::Sha256, document::Column::Bytes])
            .to_owned();
        document::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}
