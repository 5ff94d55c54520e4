//! The hub's keys for a tenant: which are to follow.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use protocol::Problem;

use super::Caller;
use crate::hub::Hub;
use crate::refusal::Refusal;

/// The public keys that R&D names in its next root: made when there are none that wait for it.
#[utoipa::path(post, path = "/v1/admin/keys/next",
    responses((status = 200, body = Vec<u8>, content_type = "application/json"),
        (status = 401, body = Problem)))]
pub(super) async fn next(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Refusal> {
    let keys = hub.renew_keys(&caller.scope, &caller.who).await;
    let keys = keys.map_err(|error| Refusal::internal(&error))?;
    let bytes = keys.to_bytes().map_err(|error| Refusal::internal(&error))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes))
}
