//! A station's journal as a file that anyone can check without this hub.

use std::sync::Arc;

use audit::{SignedCheckpoint, Tree, write_csv_export, write_export, write_partial_export};
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use protocol::{Epoch, Problem, ProblemType, StationName};
use serde::Deserialize;

use super::Caller;
use super::listings::newest_epoch;
use crate::hub::Hub;
use crate::refusal::Refusal;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Export {
    /// Which journal; the newest when absent.
    epoch: Option<u32>,
    /// A table instead of JSON Lines.
    #[serde(default)]
    csv: bool,
}

/// A station's journal up to its cosigned head: complete, or partial with a proof for each record
/// where old ones were let go.
#[utoipa::path(get, path = "/v1/stations/{name}/export",
    params(("name" = String, Path, description = "The station"), Export),
    responses((status = 200, content_type = "application/jsonl"),
        (status = 404, body = Problem)))]
pub(super) async fn export(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Path(name): Path<String>,
    Query(Export { epoch, csv }): Query<Export>,
) -> Result<Response, Refusal> {
    let name: StationName = name.parse().map_err(|_| Refusal::of(ProblemType::NotFound))?;
    let station = hub.store.station(&scope, &name).await?;
    let epoch = match epoch {
        Some(epoch) => Epoch(epoch),
        None => newest_epoch(&hub, &scope, &station).await?,
    };
    let held = hub.store.journal(&scope, &station, epoch).await?;
    let note = held.cosigned.ok_or_else(|| {
        Refusal::because(ProblemType::NotFound, "no head of the journal is cosigned yet")
    })?;
    let leaves = hub.store.leaves(&scope, &station, epoch, 0).await?;
    let records = hub.store.records(&scope, &station, epoch, 0, held.size).await?;
    let size = held.size;
    let file = tokio::task::spawn_blocking(move || written(&note, leaves, records, size, csv))
        .await
        .map_err(|error| Refusal::internal(&error))??;
    let kind = if csv { "text/csv" } else { "application/jsonl" };
    Ok(([(header::CONTENT_TYPE, kind)], file).into_response())
}

fn written(
    note: &str,
    leaves: Vec<audit::Hash>,
    records: Vec<String>,
    size: u64,
    csv: bool,
) -> Result<Vec<u8>, Refusal> {
    let signed: SignedCheckpoint = note.parse().map_err(|error| Refusal::internal(&error))?;
    let whole = records.iter().all(|record| !record.is_empty());
    // More may have arrived since the head was read.
    let tree = Tree::from_leaf_hashes(leaves.into_iter().take(usize::try_from(size).unwrap_or(0)));
    let kept = (0..).zip(records).filter(|(_, record)| !record.is_empty());
    let mut file = Vec::new();
    match (csv, whole) {
        (true, whole) => {
            write_csv_export(&mut file, &signed, (!whole).then_some((&tree, size)), kept)
        }
        (false, true) => write_export(&mut file, &signed, kept.map(|(_, record)| record)),
        (false, false) => write_partial_export(&mut file, &signed, &tree, size, kept),
    }
    .map_err(|error| Refusal::internal(&error))?;
    Ok(file)
}
