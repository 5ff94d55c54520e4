//! Journal ranges arrive.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use protocol::journal::PUSH_BYTES_MAX;
use protocol::{Epoch, JournalAck, JournalPush, JournalState, ProblemType};

use super::Caller;
use crate::body::read_json;
use crate::hub::Hub;
use crate::refusal::Refusal;

fn epoch_of(text: &str) -> Result<Epoch, Refusal> {
    text.parse()
        .ok()
        .filter(|epoch: &Epoch| *epoch >= Epoch::FIRST)
        .ok_or_else(|| Refusal::of(ProblemType::NotFound))
}

pub(super) async fn state(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, station, .. }): Extension<Caller>,
    Path(epoch): Path<String>,
) -> Result<Json<JournalState>, Refusal> {
    let epoch = epoch_of(&epoch)?;
    Ok(Json(hub.store.journal_state(&scope, &station, epoch).await?))
}

pub(super) async fn push(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, station, .. }): Extension<Caller>,
    Path(epoch): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<JournalAck>, Refusal> {
    let epoch = epoch_of(&epoch)?;
    let push: JournalPush = read_json(&headers, body, PUSH_BYTES_MAX).await?;
    Ok(Json(crate::journal::take(&hub, &scope, &station, epoch, push).await?))
}
