//! Pools are filled, listed and lent anew; secrets of mode *hmac-sha256* are taken.

use std::sync::Arc;

use activation::AllotmentCertificate;
use activation::pool::{Marks, Schema};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use base64::Engine as _;
use protocol::{PoolView, Problem, ProblemType, ProductName, Sha256, StationName};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Caller;
use crate::body::read_json;
use crate::hub::Hub;
use crate::pools::{self, Arriving};
use crate::refusal::Refusal;

/// A file of 64 MiB in base64, and the rest.
const FILE_BODY_BYTES_MAX: usize = 90 * 1024 * 1024;
const BODY_BYTES_MAX: usize = 16 * 1024;
const FILE_NAME_CHARACTERS_MAX: usize = 100;

/// A file of credentials to be imported whole.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolImport {
    /// The product whose pool it is for.
    pub product: ProductName,
    /// The columns (`activation/FORMAT.md`); the same for every file of a pool.
    pub schema: serde_json::Value,
    /// What people call the file.
    pub name: String,
    /// The CSV file.
    pub base64: String,
    /// At how many left the alarm is raised; as before when absent, 100 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_count: Option<u64>,
    /// Within how many days the present pace may empty the pool before the alarm is raised; as
    /// before when absent, 14 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_days: Option<u32>,
}

/// What was imported.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// How many credentials the file had.
    pub imported: u32,
}

/// A credential to be lent to the station at which its chip is now.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Relend {
    /// The product.
    pub product: ProductName,
    /// The chip's family.
    pub family: String,
    /// The chip's UID, hexadecimal.
    pub uid: String,
    /// Who shall write it.
    pub station: StationName,
    /// R&D's certificate over that station's key, of a quota of one or more, hexadecimal.
    pub allotment_certificate: String,
}

/// The secret of a product that is activated by *hmac-sha256*: a copy deterrent, no proof.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MacSecretCreate {
    /// The product.
    pub product: ProductName,
    /// The 32 bytes, hexadecimal.
    pub secret: String,
}

/// The secret was taken.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MacSecretTaken {
    /// SHA-256 of the secret, as recipes must name it.
    pub secret_sha256: Sha256,
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::because(ProblemType::RequestMalformed, detail)
}

/// How the pools stand, with the low-water alarm.
#[utoipa::path(get, path = "/v1/pools",
    responses((status = 200, body = Vec<PoolView>), (status = 401, body = Problem)))]
pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<PoolView>>, Refusal> {
    Ok(Json(pools::views(&hub, &caller.scope).await?))
}

/// Imports a file of credentials, whole or not at all.
#[utoipa::path(post, path = "/v1/admin/pools", request_body = PoolImport,
    responses((status = 201, body = Imported), (status = 422, body = Problem)))]
pub(super) async fn import(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Imported>), Refusal> {
    let import: PoolImport = read_json(&headers, body, FILE_BODY_BYTES_MAX).await?;
    let schema: Schema = serde_json::from_value(import.schema)
        .map_err(|error| malformed(format!("the schema: {error}")))?;
    let text = Zeroizing::new(import.base64);
    let file = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
    let file = Zeroizing::new(file.map_err(|_| malformed("the file is not base64"))?);
    let marks = match (import.low_count, import.low_days) {
        (None, None) => None,
        (few, days) => Some(Marks { few: few.unwrap_or(100), days: days.unwrap_or(14) }),
    };
    let name = import.name.chars().filter(|letter| !letter.is_control());
    let name = name.take(FILE_NAME_CHARACTERS_MAX).collect();
    let arriving = Arriving { product: import.product, schema, name, file, marks };
    let imported = pools::take(hub, &caller.scope, arriving, &caller.who).await?;
    Ok((StatusCode::CREATED, Json(Imported { imported })))
}

/// Lends the credential that a chip got at one station to another station, for that chip alone.
#[utoipa::path(post, path = "/v1/admin/pools/relend", request_body = Relend,
    responses((status = 201), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn relend(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let relend: Relend = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let station = hub.store.station(&caller.scope, &relend.station).await?;
    if station.revoked || station.forked {
        return Err(Refusal::of(ProblemType::GrantsStopped));
    }
    let certificate: AllotmentCertificate = super::orders::certificate_for(
        &relend.allotment_certificate,
        relend.product.as_str(),
        &station,
    )?;
    let uid = relend.uid.to_ascii_uppercase();
    let chip = (relend.product.as_str(), relend.family.as_str(), uid.as_str());
    pools::relend(&hub, &caller.scope, &station, chip, &certificate, &caller.who).await?;
    hub.announce_change();
    Ok(StatusCode::CREATED)
}

/// Takes a product's secret; the product's stations get it sealed. There is never a second one.
#[utoipa::path(post, path = "/v1/admin/mac-secrets", request_body = MacSecretCreate,
    responses((status = 201, body = MacSecretTaken), (status = 409, body = Problem)))]
pub(super) async fn mac_secret(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<MacSecretTaken>), Refusal> {
    let create: MacSecretCreate = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let text = Zeroizing::new(create.secret);
    let secret =
        hex::decode(text.as_bytes()).map_err(|_| malformed("the secret is not hexadecimal"))?;
    let secret = Zeroizing::new(secret);
    let scope = &caller.scope;
    let digest = pools::take_mac_secret(&hub, scope, &create.product, &secret, &caller.who).await?;
    hub.announce_change();
    Ok((StatusCode::CREATED, Json(MacSecretTaken { secret_sha256: digest })))
}
