//! The hub's time over its signature.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use protocol::{ProblemType, SignedStatement, StationName, TimeStatement};
use serde::Deserialize;

use super::Caller;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::TenantScope;

const NONCE_DIGITS_MAX: usize = 64;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    nonce: String,
}

pub(super) async fn time(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, station, .. }): Extension<Caller>,
    Query(Asked { nonce }): Query<Asked>,
) -> Result<Json<SignedStatement>, Refusal> {
    Ok(Json(answer(&hub, &scope, station.name, nonce).await?))
}

/// The hub's time for a station that asked with this nonce.
pub(crate) async fn answer(
    hub: &Hub,
    scope: &TenantScope,
    station: StationName,
    nonce: String,
) -> Result<SignedStatement, Refusal> {
    let digits = 1..=NONCE_DIGITS_MAX;
    if !digits.contains(&nonce.len()) || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let detail = format!("a nonce is 1 to {NONCE_DIGITS_MAX} hexadecimal digits");
        return Err(Refusal::because(ProblemType::RequestMalformed, detail));
    }
    let keys = hub.keys(scope).await?;
    let statement = TimeStatement {
        v: 1,
        tenant: scope.name().clone(),
        station,
        nonce,
        hub_time_ms: hub.now_ms(),
    };
    let payload = serde_json::to_string(&statement).map_err(|error| Refusal::internal(&error))?;
    Ok(keys.state(TimeStatement::KIND, payload))
}
