//! Stations are invited and turned away.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use protocol::{
    EnrolmentCode, EnrolmentSecret, KeyProtection, LineName, Problem, ProblemType, StationName,
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::Caller;
use super::listings::HUB_IN_LOGS;
use crate::body::read_json;
use crate::digest::sha256;
use crate::hub::{Hub, HubError};
use crate::refusal::Refusal;
use crate::store::NewCode;

const BODY_BYTES_MAX: usize = 4096;
const CODE_LIFE_S: u32 = 24 * 60 * 60;
const CODE_LIFE_S_MAX: u32 = 30 * 24 * 60 * 60;

/// A station to be invited.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeCreate {
    /// What it will be called.
    pub station: StationName,
    /// Where it stands.
    pub line: LineName,
    /// `host:port` of the hub as the station sees it; the hub's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// How long the code is good, in seconds; a day when absent, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u32>,
}

/// The invitation. The hub keeps only a digest of its secret.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CodeCreated {
    /// To be typed, scanned or carried to the station; works once.
    pub code: String,
    /// Milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// Makes an enrolment code.
#[utoipa::path(post, path = "/v1/admin/stations/codes", request_body = CodeCreate,
    responses((status = 201, body = CodeCreated), (status = 409, body = Problem)))]
pub(super) async fn create_code(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CodeCreated>), Refusal> {
    let create: CodeCreate = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let malformed = |detail: &str| Refusal::because(ProblemType::RequestMalformed, detail);
    if create.station.as_str() == HUB_IN_LOGS {
        return Err(malformed("no station may be called `hub`: the hub's own log is"));
    }
    let life_s = create.expires_in_s.unwrap_or(CODE_LIFE_S);
    if !(1..=CODE_LIFE_S_MAX).contains(&life_s) {
        return Err(malformed("a code is good for 1 second to 30 days"));
    }
    let (_, root_sha256) = hub
        .store
        .root(&caller.scope)
        .await?
        .ok_or_else(|| Refusal::of(ProblemType::NothingPublished))?;
    let mut secret = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| Refusal::internal(&HubError::Key { what: "enrolment secret" }))?;
    let code = EnrolmentCode {
        hub: create
            .hub
            .or_else(|| hub.station_address().map(str::to_owned))
            .ok_or_else(|| malformed("the hub's address is not known"))?,
        hub_ca_sha256: hub.authority.sha256(),
        root_sha256,
        secret: EnrolmentSecret(secret),
    };
    let text = code.to_text().map_err(|error| malformed(&error.to_string()))?;
    let now_ms = hub.now_ms();
    let expires_ms = now_ms.saturating_add(i64::from(life_s) * 1000);
    let new = NewCode {
        secret_sha256: sha256(&secret),
        station: create.station,
        line: create.line,
        expires_ms,
    };
    hub.store.add_code(&caller.scope, new, &caller.who, now_ms).await?;
    Ok((StatusCode::CREATED, Json(CodeCreated { code: text, expires_ms })))
}

/// Turns a station away: its certificate is accepted no more.
#[utoipa::path(post, path = "/v1/admin/stations/{name}/revoke",
    params(("name" = String, Path, description = "The station")),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn revoke(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    let name: StationName = name.parse().map_err(|_| Refusal::of(ProblemType::NotFound))?;
    hub.store.revoke(&caller.scope, &name, &caller.who, hub.now_ms()).await?;
    hub.announce_change();
    Ok(StatusCode::NO_CONTENT)
}

/// What a tenant asks of its stations.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyProtectionDemand {
    /// The least that must guard a station's keys before it is enrolled or granted anything.
    pub least: KeyProtection,
}

/// Decides what must guard the stations' keys. Stations below it keep the lease they have to its
/// end.
#[utoipa::path(post, path = "/v1/admin/key-protection", request_body = KeyProtectionDemand,
    responses((status = 204), (status = 400, body = Problem)))]
pub(super) async fn demand_protection(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let demand: KeyProtectionDemand = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let (scope, who) = (&caller.scope, &caller.who);
    hub.store.demand_protection(scope, demand.least, who, hub.now_ms()).await?;
    hub.announce_change();
    Ok(StatusCode::NO_CONTENT)
}
