//! Credentials of pools pass through the hub: imported whole or not at all, kept sealed, sealed
//! anew for the station that is lent them.
//!
//! Owns the seals. Leaves the rules to `activation::pool`, the rows to the store.
//!
//! Promise: a secret column is in the clear while it goes from one seal to the next, and nowhere
//! else; no value of a file stands in an answer or a log.

use std::collections::HashMap;
use std::sync::Arc;

use activation::AllotmentCertificate;
use activation::pool::{
    Column, Fingerprint, ImportError, Limits, Loan, Marks, OnlyFor, Pepper, Row, Schema,
    SealedCredential, Staging, Stock, Water, import, water,
};
use protocol::{MacSecretStatement, PoolView, ProblemType, ProductName, Sha256, WaterLevel};
use release::parcel::{ParcelBinding, ParcelSecret, seal_parcel};
use release::recipe::ActivationMode;
use release::{Manifest, Name, WrapPublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::hub::Hub;
use crate::refusal::{Refusal, chain};
use crate::store::{ImportedRow, NewPool, PoolRow, ReleaseRow, ShareRow, StationRow, TenantScope};
use crate::vault::VaultError;

/// How often an import may find that another one was faster.
const ATTEMPTS_MAX: u32 = 3;
/// The days over which the pace of a pool is counted.
const PACE_DAYS: u32 = 14;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longest statement that a station takes as one document, with room for its signature.
const LOAN_BYTES_MAX: usize = 7 * 1024 * 1024;

/// A file on its way into a pool.
pub(crate) struct Arriving {
    pub(crate) product: ProductName,
    pub(crate) schema: Schema,
    /// What people call the file.
    pub(crate) name: String,
    pub(crate) file: Zeroizing<Vec<u8>>,
    pub(crate) marks: Option<Marks>,
}

fn refused(detail: impl Into<String>) -> Refusal {
    Refusal::because(ProblemType::PoolFileRefused, detail)
}

/// The rows of a file, sealed, until the last one is good.
struct Sealing<'a> {
    hub: &'a Hub,
    scope: &'a TenantScope,
    product: &'a str,
    schema: &'a Schema,
    known: &'a HashMap<(String, [u8; 16]), String>,
    source: &'a str,
    next: u32,
    rows: Vec<ImportedRow>,
}

impl Staging for Sealing<'_> {
    type Error = VaultError;
    type Kept = Vec<ImportedRow>;

    fn seen(&mut self, column: &Column, value: Fingerprint) -> Result<Option<String>, VaultError> {
        Ok(self.known.get(&(column.name.clone(), value.0)).cloned())
    }

    fn stage(&mut self, row: Row) -> Result<(), VaultError> {
        let sealed = row.credential.seal(self.next, |secrets, digest| {
            self.hub.seal_for(self.scope, &credential_name(self.product, digest), secrets)
        })?;
        let named = |(at, fingerprint): (usize, Fingerprint)| {
            let name = self.schema.columns().get(at).map(|column| column.name.clone());
            (name.unwrap_or_default(), fingerprint.0)
        };
        self.rows.push(ImportedRow {
            sealed,
            values: row.fingerprints.into_iter().map(named).collect(),
            source: format!("{}, line {}", self.source, row.line),
        });
        self.next += 1;
        Ok(())
    }

    fn keep(self, _: u32) -> Result<Vec<ImportedRow>, VaultError> {
        Ok(self.rows)
    }
}

fn credential_name(product: &str, digest: &[u8; 32]) -> String {
    format!("pool/{product}/{}", hex::encode(digest))
}

fn pepper_name(product: &str) -> String {
    format!("pool/{product}/pepper")
}

fn mac_name(product: &str) -> String {
    format!("mac-secret/{product}")
}

/// Imports a file; how many credentials it had.
pub(crate) async fn take(
    hub: Arc<Hub>,
    scope: &TenantScope,
    arriving: Arriving,
    who: &str,
) -> Result<u32, Refusal> {
    let product = arriving.product.as_str().to_owned();
    if hub.store.pool(scope, &product).await?.is_none() {
        let mut pepper = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(pepper.as_mut())
            .map_err(|_| Refusal::internal(&VaultError::Random))?;
        let pepper = hub
            .seal_for(scope, &pepper_name(&product), pepper.as_ref())
            .map_err(|error| Refusal::internal(&error))?;
        let (product, schema) = (arriving.product.clone(), arriving.schema.clone());
        let new = NewPool { product, schema, pepper };
        hub.store.add_pool(scope, new, who, hub.now_ms()).await?;
    }
    let arriving = Arc::new(arriving);
    for _ in 0..ATTEMPTS_MAX {
        let pool = hub.store.pool(scope, &product).await?;
        let pool = pool.ok_or_else(|| Refusal::of(ProblemType::NotFound))?;
        if pool.schema != arriving.schema {
            return Err(refused("the pool of this product has another schema"));
        }
        let known = hub.store.pool_values(scope, &pool).await?;
        let (sealing, of) = ((hub.clone(), scope.clone()), (pool.clone(), arriving.clone()));
        let rows = tokio::task::spawn_blocking(move || {
            let ((hub, scope), (pool, arriving)) = (sealing, of);
            seal_rows(&hub, &scope, &pool, &arriving, &known)
        })
        .await
        .map_err(|error| Refusal::internal(&error))??;
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        if hub.store.import(scope, &pool, &rows, arriving.marks, (who, hub.now_ms())).await? {
            return Ok(count);
        }
    }
    Err(refused("other files arrive all the time; try again"))
}

fn seal_rows(
    hub: &Hub,
    scope: &TenantScope,
    pool: &PoolRow,
    arriving: &Arriving,
    known: &HashMap<(String, [u8; 16]), String>,
) -> Result<Vec<ImportedRow>, Refusal> {
    let pepper = hub
        .open_for(scope, &pepper_name(&pool.product), &pool.pepper)
        .map_err(|error| Refusal::internal(&error))?;
    let pepper = <&[u8; 32]>::try_from(pepper.as_slice()).map(Pepper::new);
    let pepper = pepper.map_err(|error| Refusal::internal(&error))?;
    let staging = Sealing {
        hub,
        scope,
        product: &pool.product,
        schema: &pool.schema,
        known,
        source: &arriving.name,
        next: pool.imported,
        rows: Vec::new(),
    };
    let file = arriving.file.as_slice();
    import(file, &pool.schema, &pepper, Limits::default(), staging).map_err(|error| match error {
        ImportError::Staging { source, .. } | ImportError::Keeping(source) => {
            Refusal::internal(&source)
        }
        error @ (ImportError::Read { .. }
        | ImportError::FileTooLong { .. }
        | ImportError::TooManyRows { .. }
        | ImportError::NoRows
        | ImportError::Line { .. }
        | ImportError::Cell { .. }) => refused(chain(&error)),
    })
}

/// How a release's units are activated, if they are.
pub(crate) async fn mode_of(
    hub: &Hub,
    scope: &TenantScope,
    release: &ReleaseRow,
) -> Result<Option<ActivationMode>, Refusal> {
    let name = format!("manifest/{}", release.manifest_sha256);
    let bytes = hub.store.document(scope, &name).await?;
    let bytes = bytes.ok_or_else(|| Refusal::of(ProblemType::NotFound))?;
    let manifest = Manifest::from_bytes(&bytes).map_err(|error| Refusal::internal(&error))?;
    Ok(manifest.recipe.chips.iter().find_map(|chip| Some(chip.activation.as_ref()?.mode)))
}

/// Lends a station, with a portion, as many credentials as its certificate bounds.
pub(crate) async fn lend(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    product: &str,
    certificate: &AllotmentCertificate,
    who: &str,
) -> Result<(), Refusal> {
    let pool = hub.store.pool(scope, product).await?;
    let pool = pool.ok_or_else(|| exhausted("the product has no pool yet"))?;
    let by = (who, hub.now_ms());
    let lent = hub.store.lend(scope, &pool, station, certificate, None, by).await?;
    lent.map_err(|error| exhausted(chain(&error)))
}

fn exhausted(detail: impl Into<String>) -> Refusal {
    Refusal::because(ProblemType::PoolExhausted, detail)
}

/// Lends the credential that a chip has to another station, for that chip alone.
pub(crate) async fn relend(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    (product, family, uid): (&str, &str, &str),
    certificate: &AllotmentCertificate,
    who: &str,
) -> Result<(), Refusal> {
    let none = || Refusal::because(ProblemType::NotFound, "no credential is bound to this chip");
    let pool = hub.store.pool(scope, product).await?.ok_or_else(none)?;
    let first = hub.store.first_activation(scope, product, family, uid).await?;
    let (allotment, index) = first.ok_or_else(none)?;
    let book = hub.store.pool_book(scope, &pool).await?;
    let cut = <[u8; 16]>::try_from(allotment).ok().and_then(|name| book.cuts().get(&name));
    let number = cut.and_then(|cut| cut.number_of(index)).ok_or_else(none)?;
    let uid = hex::decode(uid).map_err(|_| none())?;
    let chip = activation::Chip::new(family, &uid).map_err(|_| none())?;
    let (only, by) = (Some((number, chip)), (who, hub.now_ms()));
    let lent = hub.store.lend(scope, &pool, station, certificate, only, by).await?;
    lent.map_err(|error| exhausted(chain(&error)))
}

/// The signed loan of a share: written once, then the same for ever.
pub(crate) async fn statement(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    pool: &PoolRow,
    share: &ShareRow,
) -> Result<Vec<u8>, Refusal> {
    if let Some(statement) = &share.statement {
        return Ok(statement.clone());
    }
    let receiver = WrapPublicKey::from_bytes(station.hpke_key.0);
    let allotment = share.certificate.allotment();
    let names = Name::new(scope.name().as_str()).ok().zip(Name::new(&pool.product).ok());
    let (tenant, product) = names.ok_or_else(|| Refusal::of(ProblemType::Internal))?;
    let reseal = |(index, credential): (u32, &SealedCredential)| {
        credential.reseal(
            index,
            |sealed, digest| {
                hub.open_for(scope, &credential_name(&pool.product, digest), sealed)
                    .map_err(|error| Refusal::internal(&error))
            },
            |secrets, digest| {
                let credential = *digest;
                let secret = ParcelSecret::Credential { allotment, index, credential };
                let (tenant, product) = (tenant.clone(), product.clone());
                let binding = ParcelBinding { tenant, product, secret };
                seal_parcel(secrets, &receiver, &binding, &mut release::SystemRandom)
                    .map_err(|error| Refusal::internal(&error))
            },
        )
    };
    let credentials = hub.store.credentials(scope, share).await?;
    let loan = Loan {
        v: 1,
        tenant: scope.name().to_string(),
        station: station.name.to_string(),
        product: pool.product.clone(),
        certificate: share.certificate,
        schema: pool.schema.clone(),
        only_for: share.only_for.as_ref().map(OnlyFor::from),
        credentials: (0..).zip(&credentials).map(reseal).collect::<Result<_, _>>()?,
    };
    let bytes = signed(hub, scope, Loan::KIND, &loan).await?;
    Ok(hub.store.keep_loan(scope, share, bytes).await?)
}

/// Whether a share of `count` credentials of this pool fits one document.
pub(crate) async fn fits(
    hub: &Hub,
    scope: &TenantScope,
    product: &str,
    count: u32,
) -> Result<bool, Refusal> {
    let Some(pool) = hub.store.pool(scope, product).await? else { return Ok(true) };
    let longest: usize = pool.schema.columns().iter().map(|c| usize::from(c.bytes_max)).sum();
    // Hexadecimal, the seal, and the JSON around it, which the payload's own quoting lengthens.
    let each = 2 * (longest + 96) + 128;
    Ok(each.saturating_mul(count as usize) <= LOAN_BYTES_MAX)
}

/// A statement of the hub as a document's bytes.
pub(crate) async fn signed(
    hub: &Hub,
    scope: &TenantScope,
    kind: &str,
    statement: &impl serde::Serialize,
) -> Result<Vec<u8>, Refusal> {
    let payload = serde_json::to_string(statement).map_err(|error| Refusal::internal(&error))?;
    let statement = hub.keys(scope).await?.state(kind, payload);
    serde_json::to_vec(&statement).map_err(|error| Refusal::internal(&error))
}

/// Takes a product's secret of mode *hmac-sha256*; gives its SHA-256, which recipes name.
pub(crate) async fn take_mac_secret(
    hub: &Hub,
    scope: &TenantScope,
    product: &ProductName,
    secret: &Zeroizing<Vec<u8>>,
    who: &str,
) -> Result<Sha256, Refusal> {
    let bytes = <&[u8; 32]>::try_from(secret.as_slice());
    let usable = bytes.ok().filter(|bytes| activation::MacSecret::from_bytes(bytes).is_ok());
    let usable = usable.ok_or_else(|| {
        Refusal::because(ProblemType::RequestMalformed, "a secret is 32 bytes, not all zero")
    })?;
    let sealed = hub
        .seal_for(scope, &mac_name(product.as_str()), usable)
        .map_err(|error| Refusal::internal(&error))?;
    let digest = crate::digest::sha256(usable);
    let by = (who, hub.now_ms());
    hub.store.add_mac_secret(scope, product, (&digest.0, sealed), by).await?;
    Ok(digest)
}

/// The statement in which a station gets a product's secret; none where the product has none.
pub(crate) async fn mac_statement(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    product: &ProductName,
) -> Result<Option<Vec<u8>>, Refusal> {
    if let Some(statement) = hub.store.mac_parcel(scope, station, product.as_str()).await? {
        return Ok(Some(statement));
    }
    let held = hub.store.mac_secret(scope, product.as_str()).await?;
    let Some((digest, sealed)) = held else { return Ok(None) };
    let secret = hub
        .open_for(scope, &mac_name(product.as_str()), &sealed)
        .map_err(|error| Refusal::internal(&error))?;
    let names = Name::new(scope.name().as_str()).ok().zip(Name::new(product.as_str()).ok());
    let (tenant, name) = names.ok_or_else(|| Refusal::of(ProblemType::Internal))?;
    let secret_sha256 = release::Digest::from_bytes(digest);
    let binding =
        ParcelBinding { tenant, product: name, secret: ParcelSecret::Mac { secret_sha256 } };
    let receiver = WrapPublicKey::from_bytes(station.hpke_key.0);
    let parcel = seal_parcel(&secret, &receiver, &binding, &mut release::SystemRandom)
        .map_err(|error| Refusal::internal(&error))?;
    let statement = MacSecretStatement {
        v: 1,
        tenant: scope.name().clone(),
        station: station.name.clone(),
        product: product.clone(),
        secret_sha256: Sha256(digest),
        sealed: hex::encode(parcel),
    };
    let bytes = signed(hub, scope, MacSecretStatement::KIND, &statement).await?;
    Ok(Some(hub.store.keep_mac_parcel(scope, station, product.as_str(), bytes).await?))
}

/// How every pool stands.
pub(crate) async fn views(hub: &Hub, scope: &TenantScope) -> Result<Vec<PoolView>, Refusal> {
    let mut views = Vec::new();
    for pool in hub.store.pools(scope).await? {
        let book = hub.store.pool_book(scope, &pool).await?;
        let allotments: Vec<_> = book.cuts().keys().map(|name| name.to_vec()).collect();
        let from_ms = hub.now_ms() - i64::from(PACE_DAYS) * DAY_MS;
        let (bound, lately) = hub.store.spent(scope, allotments, from_ms).await?;
        let stock = Stock {
            left: u64::from(book.imported()).saturating_sub(bound),
            spent: lately,
            over_days: PACE_DAYS,
        };
        let level = match water(stock, pool.marks) {
            Water::Empty => WaterLevel::Empty,
            Water::Low => WaterLevel::Low,
            Water::Enough => WaterLevel::Enough,
        };
        if level != WaterLevel::Enough {
            tracing::warn!(tenant = %scope.name(), product = pool.product, ?level, left = stock.left,
                "the pool runs low");
        }
        views.push(PoolView {
            product: pool.product.parse().map_err(|error| Refusal::internal(&error))?,
            imported: book.imported(),
            free: book.free().count(),
            bound,
            left: stock.left,
            days_left: stock.days_left(),
            level,
            shares: hub.store.share_count(scope, &pool).await?,
        });
    }
    Ok(views)
}
