//! Sticks: what stations wrote comes in, what they are to be brought goes out.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::{Extension, Json};
use protocol::{Problem, ProblemType, Sha256, StickParcel, StickTaken};

use super::Caller;
use crate::body::read_bytes;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::stick;
use crate::store::StationRow;

const LIST_BYTES_MAX: usize = sync::stick::LIST_BYTES_MAX as usize;
const LETTER_BYTES_MAX: usize = sync::stick::LETTER_BYTES_MAX as usize;

/// The station that a path names, and who asks.
pub(super) struct Named {
    hub: Arc<Hub>,
    caller: Caller,
    station: StationRow,
}

impl FromRequestParts<Arc<Hub>> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        let missing = || Refusal::of(ProblemType::NotFound);
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Refusal::of(ProblemType::TokenRefused))?;
        let Path(name) =
            Path::<String>::from_request_parts(parts, hub).await.map_err(|_| missing())?;
        let name = name.parse().map_err(|_| missing())?;
        let station = hub.store.station(&caller.scope, &name).await?;
        Ok(Self { hub: hub.clone(), caller, station })
    }
}

/// Checks the signed list of a parcel that a station wrote, before any letter of it is brought.
#[utoipa::path(post, path = "/v1/admin/stations/{name}/stick/list",
    params(("name" = String, Path, description = "The station")),
    request_body(content = Vec<u8>, content_type = "application/json"),
    responses((status = 200, body = StickTaken), (status = 422, body = Problem)))]
pub(super) async fn check_list(
    Named { hub, caller, station }: Named,
    body: Body,
) -> Result<Json<StickTaken>, Refusal> {
    let list = read_bytes(body, LIST_BYTES_MAX).await?;
    let number = stick::take_list(&hub, &caller.scope, &station, &list).await?;
    Ok(Json(StickTaken { number }))
}

/// Takes one sealed letter of a station's parcel.
#[utoipa::path(post, path = "/v1/admin/stations/{name}/stick/letters",
    params(("name" = String, Path, description = "The station")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = StickTaken), (status = 422, body = Problem)))]
pub(super) async fn take_letter(
    Named { hub, caller, station }: Named,
    body: Body,
) -> Result<Json<StickTaken>, Refusal> {
    let letter = read_bytes(body, LETTER_BYTES_MAX).await?;
    let number = stick::take_letter(&hub, &caller.scope, &station, &letter).await?;
    Ok(Json(StickTaken { number }))
}

/// Every letter was brought: nothing of this parcel is taken again.
#[utoipa::path(post, path = "/v1/admin/stations/{name}/stick/read",
    params(("name" = String, Path, description = "The station")),
    request_body(content = Vec<u8>, content_type = "application/json"),
    responses((status = 200, body = StickTaken), (status = 422, body = Problem)))]
pub(super) async fn end_read(
    Named { hub, caller, station }: Named,
    body: Body,
) -> Result<Json<StickTaken>, Refusal> {
    let list = read_bytes(body, LIST_BYTES_MAX).await?;
    let number = stick::end_read(&hub, &caller.scope, &station, &list, &caller.who).await?;
    Ok(Json(StickTaken { number }))
}

/// Makes a parcel for a station.
#[utoipa::path(post, path = "/v1/admin/stations/{name}/stick/write",
    params(("name" = String, Path, description = "The station")),
    responses((status = 200, body = StickParcel), (status = 404, body = Problem)))]
pub(super) async fn write(
    Named { hub, caller, station }: Named,
) -> Result<Json<StickParcel>, Refusal> {
    Ok(Json(stick::write(&hub, &caller.scope, &station, &caller.who).await?))
}

/// A sealed chunk of one of the tenant's releases.
#[utoipa::path(get, path = "/v1/admin/chunks/{sha256}",
    params(("sha256" = String, Path, description = "Its digest")),
    responses((status = 200, body = Vec<u8>), (status = 404, body = Problem)))]
pub(super) async fn chunk(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(digest): Path<String>,
) -> Result<Bytes, Refusal> {
    let missing = || Refusal::of(ProblemType::NotFound);
    let digest: Sha256 = digest.parse().map_err(|_| missing())?;
    if !hub.store.has_chunk(&caller.scope, &digest).await? {
        return Err(missing());
    }
    let blobs = hub.blobs.clone();
    let bytes = tokio::task::spawn_blocking(move || blobs.read(&digest))
        .await
        .map_err(|error| Refusal::internal(&error))?
        .map_err(|error| Refusal::internal(&error))?;
    Ok(bytes.ok_or_else(missing)?.into())
}
