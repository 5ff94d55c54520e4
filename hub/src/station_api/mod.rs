//! What stations may ask, over mutual TLS.
//!
//! Owns the routes and the guard before them. Promises: every route but enrolment sees a station
//! whose certificate the hub's CA issued and nobody revoked, and through it exactly one tenant; a
//! station whose certificate is over may renew it, ask the time and bring records, nothing else; one
//! that was revoked is told so over the hub's signature, nothing else.

mod chunks;
pub(crate) mod documents;
mod enrol;
mod journal;
mod renewal;
mod report;
mod revocation;
pub(crate) mod time;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use protocol::{ProblemType, Sha256};

use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::{KnownCertificate, StationRow, TenantScope};

/// SHA-256 of the client certificate of this connection, if one was shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<Sha256>);

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) scope: TenantScope,
    pub(crate) station: StationRow,
    /// The certificate it asks with.
    pub(crate) certificate: KnownCertificate,
}

/// The routes for stations.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let guarded = Router::new()
        .route("/v1/documents", get(documents::list))
        .route("/v1/documents/{*name}", get(documents::document))
        .route("/v1/lease", post(documents::lease))
        .route("/v1/chunks/{sha256}", get(chunks::chunk))
        .layer(from_fn_with_state(hub.clone(), certificate_in_time))
        .route("/v1/journal/{epoch}", get(journal::state).post(journal::push))
        .route("/v1/report", post(report::report))
        .route("/v1/time", get(time::time))
        .route("/v1/renewal", post(renewal::renew))
        .layer(from_fn_with_state(hub.clone(), known_station));
    Router::new()
        .route("/v1/enrol", post(enrol::enrol))
        .route("/v1/revocation", get(revocation::revocation))
        .merge(guarded)
        .fallback(crate::body::nothing_there)
        .method_not_allowed_fallback(crate::body::method_not_allowed)
        .with_state(hub)
}

async fn known_station(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let refused = || Refusal::of(ProblemType::CertificateRefused);
    let certificate = peer.0.ok_or_else(refused)?;
    let (scope, station, certificate) =
        hub.store.station_of_certificate(&certificate).await?.ok_or_else(refused)?;
    hub.store.heard(&scope, &station, hub.now_ms()).await?;
    request.extensions_mut().insert(Caller { scope, station, certificate });
    Ok(next.run(request).await)
}

/// Runs behind [`known_station`].
async fn certificate_in_time(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if hub.now_ms() > caller.certificate.not_after_ms {
        return Err(Refusal::of(ProblemType::CertificateExpired));
    }
    Ok(next.run(request).await)
}
