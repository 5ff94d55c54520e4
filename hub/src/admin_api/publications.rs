//! Publication bundles arrive: chunk by chunk, then the documents that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use base64::Engine as _;
use protocol::{Problem, ProblemType, Sha256};
use serde::{Deserialize, Serialize};

use super::Caller;
use crate::body::{read_bytes, read_json};
use crate::hub::Hub;
use crate::publish::{self, DocumentsTaken, Published};
use crate::refusal::Refusal;
use crate::store::ReleaseRow;

const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;
const PUBLICATION_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One file of a bundle that is no chunk.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Path in the bundle, `metadata/1.root.json`.
    pub path: String,
    /// Its bytes in standard base64.
    pub base64: String,
}

/// A bundle whose chunks were uploaded before.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Every file but the chunks.
    pub files: Vec<BundleFile>,
    /// The chunks' digests.
    pub chunks: Vec<Sha256>,
}

/// A published release.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReleaseView {
    /// The product.
    pub product: String,
    /// The version, as R&D named it.
    pub version: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Sha256,
    /// Milliseconds since the Unix epoch.
    pub published_ms: i64,
    /// What is in it, readable.
    pub summary: String,
}

impl From<ReleaseRow> for ReleaseView {
    fn from(row: ReleaseRow) -> Self {
        Self {
            product: row.product,
            version: row.version,
            manifest_sha256: row.manifest_sha256,
            published_ms: row.published_ms,
            summary: row.summary,
        }
    }
}

/// Uploads one sealed chunk. Nobody is given it before a release names it.
#[utoipa::path(put, path = "/v1/admin/chunks/{sha256}",
    params(("sha256" = String, Path, description = "Its digest")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 400, body = Problem), (status = 413, body = Problem)))]
pub(super) async fn upload_chunk(
    State(hub): State<Arc<Hub>>,
    Extension(_caller): Extension<Caller>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let digest: Sha256 = digest.parse().map_err(|_| Refusal::of(ProblemType::NotFound))?;
    let bytes = read_bytes(body, CHUNK_BYTES_MAX).await?;
    let blobs = hub.blobs.clone();
    tokio::task::spawn_blocking(move || blobs.keep(&digest, &bytes))
        .await
        .map_err(|error| Refusal::internal(&error))??;
    Ok(StatusCode::NO_CONTENT)
}

/// Publishes a bundle.
#[utoipa::path(post, path = "/v1/admin/publications", request_body = Publication,
    responses((status = 201, body = Published), (status = 422, body = Problem)))]
pub(super) async fn publish(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Published>), Refusal> {
    let publication: Publication = read_json(&headers, body, PUBLICATION_BYTES_MAX).await?;
    let files = files_of(publication.files)?;
    let published =
        publish::publish(&hub, &caller.scope, files, &publication.chunks, &caller.who).await?;
    Ok((StatusCode::CREATED, Json(published)))
}

/// Takes documents that come without a release: a newer root, other people, a withdrawal.
#[utoipa::path(post, path = "/v1/admin/documents", request_body = Publication,
    responses((status = 200, body = DocumentsTaken), (status = 422, body = Problem)))]
pub(super) async fn take_documents(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<DocumentsTaken>, Refusal> {
    let publication: Publication = read_json(&headers, body, PUBLICATION_BYTES_MAX).await?;
    if !publication.chunks.is_empty() {
        let detail = "documents come without chunks";
        return Err(Refusal::because(ProblemType::RequestMalformed, detail));
    }
    let files = files_of(publication.files)?;
    Ok(Json(publish::take_documents(&hub, &caller.scope, files, &caller.who).await?))
}

fn files_of(given: Vec<BundleFile>) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let mut files = BTreeMap::new();
    for file in given {
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(&file.base64).map_err(|_| {
                let detail = format!("{:?} is not base64", file.path);
                Refusal::because(ProblemType::RequestMalformed, detail)
            })?;
        if files.insert(file.path.clone(), bytes).is_some() {
            let detail = format!("{:?} is given twice", file.path);
            return Err(Refusal::because(ProblemType::RequestMalformed, detail));
        }
    }
    Ok(files)
}
