//! Pools of credentials: what was imported, what is lent to whom; all secrets sealed.
//!
//! Owns the rows. Leaves the rules of lending to `activation::pool`, the seals to `crate::pools`.

use std::collections::HashMap;
use std::ops::Range;

use activation::pool::{BookError, Cut, Marks, PoolBook, Schema, SealedCredential};
use activation::{AllotmentCertificate, Chip, Numbers};
use protocol::ProductName;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::entities::{mac_parcel, mac_secret, pool, pool_credential, pool_share, pool_value};
use super::stations::StationRow;
use super::{Store, StoreError, TenantScope, bytes32, count, note_change};

/// SQLite takes 32,766 parameters in a statement.
const ROWS_PER_INSERT: usize = 500;

/// A pool as the store knows it.
#[derive(Debug, Clone)]
pub(crate) struct PoolRow {
    id: i64,
    pub(crate) product: String,
    pub(crate) schema: Schema,
    /// The key of its fingerprints, sealed.
    pub(crate) pepper: Vec<u8>,
    pub(crate) imported: u32,
    pub(crate) marks: Marks,
}

/// A pool to be made.
pub(crate) struct NewPool {
    pub(crate) product: ProductName,
    pub(crate) schema: Schema,
    pub(crate) pepper: Vec<u8>,
}

/// What an import keeps of one row.
pub(crate) struct ImportedRow {
    pub(crate) sealed: SealedCredential,
    /// Column and fingerprint of every value that must not repeat.
    pub(crate) values: Vec<(String, [u8; 16])>,
    /// Where it was, in words for a person.
    pub(crate) source: String,
}

/// A share that a station was lent.
#[derive(Debug, Clone)]
pub(crate) struct ShareRow {
    id: i64,
    pub(crate) pool_id: i64,
    pub(crate) certificate: AllotmentCertificate,
    pub(crate) numbers: Numbers,
    pub(crate) given_back: Numbers,
    pub(crate) only_for: Option<Chip>,
    /// The signed loan, once it was written.
    pub(crate) statement: Option<Vec<u8>>,
}

impl ShareRow {
    fn cut(&self) -> Cut {
        Cut {
            allotment: self.certificate.allotment(),
            station_key: self.certificate.station_key(),
            numbers: self.numbers.clone(),
            given_back: self.given_back.clone(),
            only_for: self.only_for.clone(),
        }
    }
}

impl TryFrom<pool::Model> for PoolRow {
    type Error = StoreError;
    fn try_from(row: pool::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            product: row.product,
            schema: serde_json::from_str(&row.schema)
                .map_err(|_| StoreError::Damaged { what: "a pool's schema" })?,
            pepper: row.pepper,
            imported: count(row.imported, "a pool's size")?,
            marks: Marks {
                few: count(row.few, "a pool's mark")?,
                days: count(row.days, "a pool's mark")?,
            },
        })
    }
}

impl TryFrom<pool_share::Model> for ShareRow {
    type Error = StoreError;
    fn try_from(row: pool_share::Model) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged { what: "a share of a pool" };
        let only_for = match (row.only_family, row.only_uid) {
            (Some(family), Some(uid)) => {
                let uid = hex::decode(uid).map_err(|_| damaged())?;
                Some(Chip::new(&family, &uid).map_err(|_| damaged())?)
            }
            _ => None,
        };
        Ok(Self {
            id: row.id,
            pool_id: row.pool_id,
            certificate: AllotmentCertificate::from_bytes(&row.certificate)
                .map_err(|_| damaged())?,
            numbers: numbers(&row.numbers).ok_or_else(damaged)?,
            given_back: numbers(&row.given_back).ok_or_else(damaged)?,
            only_for,
            statement: row.statement,
        })
    }
}

/// Ranges as text: `0-3,7-8`, ends not in them.
fn text(numbers: &Numbers) -> String {
    let range = |range: &Range<u32>| format!("{}-{}", range.start, range.end);
    numbers.ranges().iter().map(range).collect::<Vec<_>>().join(",")
}

fn numbers(text: &str) -> Option<Numbers> {
    let mut all = Numbers::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (start, end) = part.split_once('-')?;
        all.put(&Numbers::of(start.parse().ok()?..end.parse().ok()?)).ok()?;
    }
    Some(all)
}

async fn shares_of(
    db: &impl ConnectionTrait,
    scope: &TenantScope,
    pool_id: i64,
) -> Result<Vec<ShareRow>, StoreError> {
    let rows = pool_share::Entity::find()
        .filter(pool_share::Column::TenantId.eq(scope.id()))
        .filter(pool_share::Column::PoolId.eq(pool_id))
        .order_by_asc(pool_share::Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(ShareRow::try_from).collect()
}

async fn book_of(
    db: &impl ConnectionTrait,
    scope: &TenantScope,
    pool: &PoolRow,
) -> Result<PoolBook, StoreError> {
    let cuts = shares_of(db, scope, pool.id).await?;
    PoolBook::restore(pool.imported, cuts.iter().map(ShareRow::cut))
        .map_err(|_| StoreError::Damaged { what: "the book of a pool" })
}

impl Store {
    /// The pool of a product.
    pub(crate) async fn pool(
        &self,
        scope: &TenantScope,
        product: &str,
    ) -> Result<Option<PoolRow>, StoreError> {
        let row = pool::Entity::find()
            .filter(pool::Column::TenantId.eq(scope.id()))
            .filter(pool::Column::Product.eq(product))
            .one(&self.db)
            .await?;
        row.map(PoolRow::try_from).transpose()
    }

    /// Every pool, by product.
    pub(crate) async fn pools(&self, scope: &TenantScope) -> Result<Vec<PoolRow>, StoreError> {
        let rows = pool::Entity::find()
            .filter(pool::Column::TenantId.eq(scope.id()))
            .order_by_asc(pool::Column::Product)
            .all(&self.db)
            .await?;
        rows.into_iter().map(PoolRow::try_from).collect()
    }

    /// Makes an empty pool.
    pub(crate) async fn add_pool(
        &self,
        scope: &TenantScope,
        new: NewPool,
        who: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let schema = serde_json::to_string(&new.schema)
            .map_err(|_| StoreError::Damaged { what: "a pool's schema" })?;
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let product = new.product.to_string();
        let row = pool::ActiveModel {
            tenant_id: Set(scope.id()),
            product: Set(product.clone()),
            schema: Set(schema),
            pepper: Set(new.pepper),
            imported: Set(0),
            few: Set(100),
            days: Set(14),
            ..Default::default()
        };
        let added = pool::Entity::insert(row)
            .on_conflict_do_nothing_on([pool::Column::TenantId, pool::Column::Product])
            .exec_without_returning(transaction)
            .await?;
        if matches!(added, sea_orm::TryInsertResult::Inserted(1)) {
            note_change(transaction, scope, now_ms, who, format!("pool of {product} made")).await?;
        }
        writing.commit().await
    }

    /// What the pool has imported before: column and fingerprint, and where that was.
    pub(crate) async fn pool_values(
        &self,
        scope: &TenantScope,
        pool: &PoolRow,
    ) -> Result<HashMap<(String, [u8; 16]), String>, StoreError> {
        let rows: Vec<(String, Vec<u8>, String)> = pool_value::Entity::find()
            .select_only()
            .column(pool_value::Column::ColumnName)
            .column(pool_value::Column::Fingerprint)
            .column(pool_value::Column::Source)
            .filter(pool_value::Column::TenantId.eq(scope.id()))
            .filter(pool_value::Column::PoolId.eq(pool.id))
            .into_tuple()
            .all(&self.db)
            .await?;
        let damaged = |_| StoreError::Damaged { what: "a fingerprint" };
        rows.into_iter()
            .map(|(column, value, source)| {
                Ok(((column, <[u8; 16]>::try_from(value).map_err(damaged)?), source))
            })
            .collect()
    }

    /// Keeps imported rows, all or none. `false`: the pool grew since it was read.
    pub(crate) async fn import(
        &self,
        scope: &TenantScope,
        pool: &PoolRow,
        rows: &[ImportedRow],
        marks: Option<Marks>,
        (who, now_ms): (&str, i64),
    ) -> Result<bool, StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let marks = marks.unwrap_or(pool.marks);
        let imported = i64::from(pool.imported) + rows.len() as i64;
        let changed = pool::Entity::update_many()
            .col_expr(pool::Column::Imported, Expr::value(imported))
            .col_expr(pool::Column::Few, Expr::value(super::column(marks.few)))
            .col_expr(pool::Column::Days, Expr::value(i64::from(marks.days)))
            .filter(pool::Column::TenantId.eq(scope.id()))
            .filter(pool::Column::Id.eq(pool.id))
            .filter(pool::Column::Imported.eq(i64::from(pool.imported)))
            .exec(transaction)
            .await?;
        if changed.rows_affected != 1 {
            return Ok(false);
        }
        for rows in rows.chunks(ROWS_PER_INSERT) {
            let mut credentials = Vec::with_capacity(rows.len());
            for row in rows {
                let body = serde_json::to_vec(&row.sealed)
                    .map_err(|_| StoreError::Damaged { what: "a credential" })?;
                credentials.push(pool_credential::ActiveModel {
                    tenant_id: Set(scope.id()),
                    pool_id: Set(pool.id),
                    number: Set(i64::from(row.sealed.number())),
                    body: Set(body),
                    ..Default::default()
                });
            }
            pool_credential::Entity::insert_many(credentials).exec(transaction).await?;
            let values: Vec<_> = rows
                .iter()
                .flat_map(|row| row.values.iter().map(move |value| (row, value)))
                .map(|(row, (column, fingerprint))| pool_value::ActiveModel {
                    tenant_id: Set(scope.id()),
                    pool_id: Set(pool.id),
                    column_name: Set(column.clone()),
                    fingerprint: Set(fingerprint.to_vec()),
                    source: Set(row.source.clone()),
                    ..Default::default()
                })
                .collect();
            for values in values.chunks(ROWS_PER_INSERT) {
                pool_value::Entity::insert_many(values.to_vec()).exec(transaction).await?;
            }
        }
        let what = format!("{} credentials imported into the pool of {}", rows.len(), pool.product);
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await?;
        Ok(true)
    }

    /// The book of a pool.
    pub(crate) async fn pool_book(
        &self,
        scope: &TenantScope,
        pool: &PoolRow,
    ) -> Result<PoolBook, StoreError> {
        book_of(&self.db, scope, pool).await
    }

    /// Lends a station what its certificate bounds, or the credential that a chip has.
    pub(crate) async fn lend(
        &self,
        scope: &TenantScope,
        pool: &PoolRow,
        station: &StationRow,
        certificate: &AllotmentCertificate,
        only_for: Option<(u32, Chip)>,
        (who, now_ms): (&str, i64),
    ) -> Result<Result<(), BookError>, StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let (allotment, key) = (certificate.allotment(), certificate.station_key());
        let mut book = book_of(transaction, scope, pool).await?;
        if let Some(cut) = book.cuts().get(&allotment)
            && only_for.is_none()
            && cut.station_key == key
            && cut.only_for.is_none()
        {
            // A further portion under the same certificate: its share is there.
            return Ok(Ok(()));
        }
        let cut = match &only_for {
            None => book.cut(allotment, key, certificate.quota()),
            Some((number, chip)) => book.relend(*number, chip, allotment, key),
        };
        let cut = match cut {
            Ok(cut) => cut,
            Err(error) => return Ok(Err(error)),
        };
        let row = pool_share::ActiveModel {
            tenant_id: Set(scope.id()),
            pool_id: Set(pool.id),
            station_id: Set(station.id),
            allotment: Set(allotment.to_vec()),
            certificate: Set(certificate.as_bytes().to_vec()),
            numbers: Set(text(&cut.numbers)),
            given_back: Set(String::new()),
            only_family: Set(cut.only_for.as_ref().map(|chip| chip.family.clone())),
            only_uid: Set(cut.only_for.as_ref().map(|chip| hex::encode_upper(&chip.uid))),
            statement: Set(None),
            granted_ms: Set(now_ms),
            ..Default::default()
        };
        pool_share::Entity::insert(row).exec(transaction).await?;
        let (lent, name) = (cut.numbers.count(), &station.name);
        let what = format!("{lent} credentials of {} lent to station {name}", pool.product);
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await?;
        Ok(Ok(()))
    }

    /// The shares that a station holds, with their pools.
    pub(crate) async fn shares_of_station(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Vec<(PoolRow, ShareRow)>, StoreError> {
        let rows = pool_share::Entity::find()
            .filter(pool_share::Column::TenantId.eq(scope.id()))
            .filter(pool_share::Column::StationId.eq(station.id))
            .order_by_asc(pool_share::Column::Id)
            .all(&self.db)
            .await?;
        let mut shares = Vec::with_capacity(rows.len());
        for row in rows {
            let pool = pool::Entity::find_by_id(row.pool_id)
                .filter(pool::Column::TenantId.eq(scope.id()))
                .one(&self.db)
                .await?
                .ok_or(StoreError::Damaged { what: "a share's pool" })?;
            shares.push((pool.try_into()?, row.try_into()?));
        }
        Ok(shares)
    }

    /// The sealed credentials of a share, in its order.
    pub(crate) async fn credentials(
        &self,
        scope: &TenantScope,
        share: &ShareRow,
    ) -> Result<Vec<SealedCredential>, StoreError> {
        let mut credentials = Vec::new();
        for range in share.numbers.ranges() {
            let bodies: Vec<Vec<u8>> = pool_credential::Entity::find()
                .select_only()
                .column(pool_credential::Column::Body)
                .filter(pool_credential::Column::TenantId.eq(scope.id()))
                .filter(pool_credential::Column::PoolId.eq(share.pool_id))
                .filter(pool_credential::Column::Number.gte(i64::from(range.start)))
                .filter(pool_credential::Column::Number.lt(i64::from(range.end)))
                .order_by_asc(pool_credential::Column::Number)
                .into_tuple()
                .all(&self.db)
                .await?;
            for body in bodies {
                let sealed = serde_json::from_slice(&body);
                credentials.push(sealed.map_err(|_| StoreError::Damaged { what: "a credential" })?);
            }
        }
        if credentials.len() as u64 != u64::from(share.numbers.count()) {
            return Err(StoreError::Damaged { what: "a credential that is gone" });
        }
        Ok(credentials)
    }

    /// Keeps the signed loan of a share, unless there is one; gives the one that is kept.
    pub(crate) async fn keep_loan(
        &self,
        scope: &TenantScope,
        share: &ShareRow,
        statement: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let writing = self.write().await?;
        pool_share::Entity::update_many()
            .col_expr(pool_share::Column::Statement, Expr::value(statement))
            .filter(pool_share::Column::TenantId.eq(scope.id()))
            .filter(pool_share::Column::Id.eq(share.id))
            .filter(pool_share::Column::Statement.is_null())
            .exec(&writing.transaction)
            .await?;
        writing.commit().await?;
        let row = pool_share::Entity::find_by_id(share.id)
            .filter(pool_share::Column::TenantId.eq(scope.id()))
            .one(&self.db)
            .await?;
        row.and_then(|row| row.statement).ok_or(StoreError::Missing { what: "share" })
    }

    /// How many shares of a pool there are.
    pub(crate) async fn share_count(
        &self,
        scope: &TenantScope,
        pool: &PoolRow,
    ) -> Result<u64, StoreError> {
        Ok(pool_share::Entity::find()
            .filter(pool_share::Column::TenantId.eq(scope.id()))
            .filter(pool_share::Column::PoolId.eq(pool.id))
            .count(&self.db)
            .await?)
    }

    /// Keeps a product's secret of mode *hmac-sha256*, sealed; there is never a second one.
    pub(crate) async fn add_mac_secret(
        &self,
        scope: &TenantScope,
        product: &ProductName,
        (secret_sha256, sealed): (&[u8; 32], Vec<u8>),
        (who, now_ms): (&str, i64),
    ) -> Result<(), StoreError> {
        let writing = self.write().await?;
        let transaction = &writing.transaction;
        let row = mac_secret::ActiveModel {
            tenant_id: Set(scope.id()),
            product: Set(product.to_string()),
            secret_sha256: Set(secret_sha256.to_vec()),
            sealed: Set(sealed),
            ..Default::default()
        };
        let added = mac_secret::Entity::insert(row)
            .on_conflict_do_nothing_on([mac_secret::Column::TenantId, mac_secret::Column::Product])
            .exec_without_returning(transaction)
            .await?;
        if !matches!(added, sea_orm::TryInsertResult::Inserted(1)) {
            return Err(StoreError::Exists { what: "secret of this product" });
        }
        let what = format!("secret of {product} taken: a copy deterrent, no proof");
        note_change(transaction, scope, now_ms, who, what).await?;
        writing.commit().await
    }

    /// A product's secret of mode *hmac-sha256*: its SHA-256, and the secret sealed.
    pub(crate) async fn mac_secret(
        &self,
        scope: &TenantScope,
        product: &str,
    ) -> Result<Option<([u8; 32], Vec<u8>)>, StoreError> {
        let row = mac_secret::Entity::find()
            .filter(mac_secret::Column::TenantId.eq(scope.id()))
            .filter(mac_secret::Column::Product.eq(product))
            .one(&self.db)
            .await?;
        row.map(|row| Ok((bytes32(&row.secret_sha256, "a secret's digest")?, row.sealed)))
            .transpose()
    }

    /// The statement in which a station gets a product's secret, if it was written.
    pub(crate) async fn mac_parcel(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        product: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row = mac_parcel::Entity::find()
            .filter(mac_parcel::Column::TenantId.eq(scope.id()))
            .filter(mac_parcel::Column::StationId.eq(station.id))
            .filter(mac_parcel::Column::Product.eq(product))
            .one(&self.db)
            .await?;
        Ok(row.map(|row| row.statement))
    }

    /// Keeps it, unless there is one; gives the one that is kept.
    pub(crate) async fn keep_mac_parcel(
        &self,
        scope: &TenantScope,
        station: &StationRow,
        product: &str,
        statement: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let writing = self.write().await?;
        let row = mac_parcel::ActiveModel {
            tenant_id: Set(scope.id()),
            station_id: Set(station.id),
            product: Set(product.to_owned()),
            statement: Set(statement),
            ..Default::default()
        };
        mac_parcel::Entity::insert(row)
            .on_conflict_do_nothing_on([mac_parcel::Column::StationId, mac_parcel::Column::Product])
            .exec_without_returning(&writing.transaction)
            .await?;
        writing.commit().await?;
        let kept = self.mac_parcel(scope, station, product).await?;
        kept.ok_or(StoreError::Missing { what: "secret of this product" })
    }
}

/// Takes back the indices of a share that no chip has, in the transaction of the record that says
/// so. A share that is not there, or an index that came back before, changes nothing.
pub(super) async fn give_back(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    allotment: &[u8],
    unused: Range<u32>,
) -> Result<(), StoreError> {
    let row = pool_share::Entity::find()
        .filter(pool_share::Column::TenantId.eq(scope.id()))
        .filter(pool_share::Column::Allotment.eq(allotment.to_vec()))
        .one(transaction)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let share = ShareRow::try_from(row)?;
    let pool = pool::Entity::find_by_id(share.pool_id)
        .filter(pool::Column::TenantId.eq(scope.id()))
        .one(transaction)
        .await?
        .ok_or(StoreError::Damaged { what: "a share's pool" })?;
    let mut book = book_of(transaction, scope, &pool.try_into()?).await?;
    let name = share.certificate.allotment();
    match book.give_back(name, &Numbers::of(unused)) {
        Ok(()) => {
            let given_back = book.cuts().get(&name).map(|cut| text(&cut.given_back));
            pool_share::Entity::update_many()
                .col_expr(pool_share::Column::GivenBack, Expr::value(given_back))
                .filter(pool_share::Column::TenantId.eq(scope.id()))
                .filter(pool_share::Column::Id.eq(share.id))
                .exec(transaction)
                .await?;
        }
        Err(error) => tracing::warn!(%error, "credentials do not come back"),
    }
    Ok(())
}
