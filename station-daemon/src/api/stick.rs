//! The door for USB sticks: a person of IT or a lead has one written or read.
//!
//! The act is journalled with the number that is given. Only where sticks are mounted may be named.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use crate::api::view::TroubleCode;

/// What is to be done with a stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StickVerb {
    /// What waits for the hub goes onto it.
    Write,
    /// What the hub wrote comes from it.
    Read,
}

/// A stick, and what is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StickAct {
    /// Write or read.
    pub verb: StickVerb,
    /// Where the stick is mounted: an absolute path at or below one of the configuration's `sticks`.
    pub folder: String,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StickDone {
    /// Whether it was done whole.
    pub accepted: bool,
    /// Stable word for a screen: `written`, `read`, or why not (`no_parcel`, `unfinished`,
    /// `replayed`, `foreign_sender` …).
    pub word: String,
    /// The trouble, when it was not done.
    #[schema(required = true)]
    pub code: Option<TroubleCode>,
    /// Letters written, or documents read.
    pub documents: u32,
    /// Chunks read.
    pub chunks: u32,
    /// Whether the hub's time came with it.
    pub time: bool,
}

/// A stick is written, or read: an act of a lead or of IT, recorded as such.
#[utoipa::path(post, path = "/api/stick", request_body = StickAct, responses(
    (status = 200, description = "What became of it", body = StickDone),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
pub(super) async fn carry_stick(State(api): State<Api>, Json(act): Json<StickAct>) -> Response {
    let desk = api.desk;
    match tokio::task::spawn_blocking(move || desk.stick(&act)).await {
        Ok(done) => Json(done).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
