//! A station says where it stands.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use protocol::report::REPORT_BYTES_MAX;
use protocol::{ReportAnswer, StationReport};

use super::Caller;
use crate::body::read_json;
use crate::hub::Hub;
use crate::refusal::Refusal;

pub(super) async fn report(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, station, .. }): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReportAnswer>, Refusal> {
    let report: StationReport = read_json(&headers, body, REPORT_BYTES_MAX).await?;
    Ok(Json(crate::recovery::hear(&hub, &scope, &station, &report).await?))
}
