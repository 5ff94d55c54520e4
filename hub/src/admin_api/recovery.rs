//! How far a hub that was set back has come.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use protocol::{Problem, Recovery};

use super::Caller;
use crate::hub::Hub;
use crate::refusal::Refusal;

/// Whether the hub is recovering, and which stations it waits for.
#[utoipa::path(get, path = "/v1/recovery",
    responses((status = 200, body = Recovery), (status = 401, body = Problem)))]
pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Recovery>, Refusal> {
    Ok(Json(hub.store.recovery(&caller.scope).await?))
}

/// Ends the recovery although stations are missing: they will never come.
#[utoipa::path(post, path = "/v1/admin/recovery/end",
    responses((status = 204), (status = 401, body = Problem)))]
pub(super) async fn end(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, Refusal> {
    hub.store.whole(&caller.scope, &caller.who, hub.now_ms()).await?;
    hub.announce_change();
    Ok(StatusCode::NO_CONTENT)
}
