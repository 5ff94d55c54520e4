//! The list of a station's documents, and each of them.
//!
//! Promise: a list and the documents behind it belong together; a document that changed meanwhile
//! has another digest, and the station asks for the list again.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::station::BACKLOG_HEADER;
use protocol::{
    Backlog, Document, DocumentList, DocumentName, LeaseRequest, OrdersDocument, ProblemType,
    Sha256, StationOrder,
};
use serde::Deserialize;

use super::Caller;
use crate::body::read_json;
use crate::custody;
use crate::digest::sha256;
use crate::hub::Hub;
use crate::lease;
use crate::publish;
use crate::recovery;
use crate::refusal::Refusal;
use crate::roster;
use crate::store::{PortionRow, StationRow, TenantScope};

/// Longest wait for a change, in seconds.
const WAIT_S_MAX: u64 = 30;
/// A shorter document goes as it is.
const PACKED_FROM_BYTES: usize = 1024;
const ZSTD: &str = "zstd";
const LEASE_REQUEST_BYTES_MAX: usize = 4096;
const BACKLOG_BYTES_MAX: usize = 512;

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    /// What the caller knows the list by.
    known: Option<String>,
    /// How long to wait for another one, in seconds.
    wait_s: Option<u64>,
}

/// What the hub writes for one station at the moment of asking.
struct Written {
    lease: Option<Vec<u8>>,
    orders: Vec<u8>,
    roster: Option<Vec<u8>>,
    manifests: Vec<Sha256>,
}

async fn written(hub: &Hub, scope: &TenantScope, station: &StationRow) -> Result<Written, Refusal> {
    let lease = lease::current(hub, scope, station, None).await?;
    let portions = hub.store.portions(scope, station).await?;
    let roster = roster::current(hub, scope, station).await?;
    let json = |error: serde_json::Error| Refusal::internal(&error);
    Ok(Written {
        lease: lease.map(|lease| lease.bytes),
        orders: serde_json::to_vec(&orders_of(&portions)).map_err(json)?,
        roster: roster.map(|roster| roster.bytes),
        manifests: portions.iter().map(|portion| portion.order.release.manifest_sha256).collect(),
    })
}

fn orders_of(portions: &[PortionRow]) -> OrdersDocument {
    let orders = portions
        .iter()
        .map(|portion| StationOrder {
            number: portion.order.number.clone(),
            product: portion.order.product.clone(),
            release: portion.order.release.version.clone(),
            manifest_sha256: portion.order.release.manifest_sha256,
            quantity: portion.quantity,
        })
        .collect();
    OrdersDocument { v: 1, orders }
}

/// What a station should hold now.
pub(crate) async fn list_for(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
) -> Result<DocumentList, Refusal> {
    let written = written(hub, scope, station).await?;
    let mut documents = Vec::new();
    for (name, etag) in hub.store.document_list(scope).await? {
        let name: DocumentName = name.parse().map_err(|error| Refusal::internal(&error))?;
        // A manifest is for the stations that have a portion of its release.
        if let DocumentName::Manifest(digest) = &name
            && !written.manifests.contains(digest)
        {
            continue;
        }
        documents.push(Document { name, etag });
    }
    if let Some(lease) = &written.lease {
        documents.push(Document { name: DocumentName::Lease, etag: sha256(lease) });
    }
    if let Some(epoch) = &station.epoch_document {
        documents.push(Document { name: DocumentName::Epoch, etag: sha256(epoch) });
    }
    documents.push(Document { name: DocumentName::Orders, etag: sha256(&written.orders) });
    if let Some(roster) = &written.roster {
        documents.push(Document { name: DocumentName::Roster, etag: sha256(roster) });
    }
    for (name, bytes) in custody::documents(hub, scope, station).await? {
        documents.push(Document { name, etag: sha256(&bytes) });
    }
    Ok(DocumentList { documents })
}

/// Keeps what the station says waits there, when it is something else than before.
async fn note_backlog(hub: &Hub, caller: &Caller, headers: &HeaderMap) -> Result<(), Refusal> {
    let said = headers.get(BACKLOG_HEADER).and_then(|value| value.to_str().ok());
    let backlog = said.filter(|said| said.len() <= BACKLOG_BYTES_MAX);
    let backlog: Option<Backlog> = backlog.and_then(|said| serde_json::from_str(said).ok());
    let Some(backlog) = backlog else { return Ok(()) };
    let known = caller.station.backlog.as_deref();
    let known: Option<Backlog> = known.and_then(|text| serde_json::from_str(text).ok());
    if known != Some(backlog) {
        hub.store.keep_backlog(&caller.scope, &caller.station, &backlog).await?;
    }
    if let Some(now) = backlog.key_protection
        && now != caller.station.key_protection
    {
        let (scope, station) = (&caller.scope, &caller.station);
        hub.store.keep_protection(scope, station, now, hub.now_ms()).await?;
    }
    Ok(())
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(wait): Query<Wait>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    note_backlog(&hub, &caller, &headers).await?;
    let station = hub.store.station(&caller.scope, &caller.station.name).await?;
    let deadline =
        tokio::time::Instant::now() + Duration::from_secs(wait.wait_s.unwrap_or(0).min(WAIT_S_MAX));
    let mut changes = hub.watch_changes();
    let mut stopping = hub.watch_stopping();
    let mut station = station;
    loop {
        recovery::refuse_while_recovering(&hub, &caller.scope).await?;
        changes.borrow_and_update();
        publish::refresh(&hub, &caller.scope).await?;
        let list = list_for(&hub, &caller.scope, &station).await?;
        let bytes = serde_json::to_vec(&list).map_err(|error| Refusal::internal(&error))?;
        let etag = sha256(&bytes).to_string();
        if wait.known.as_deref() != Some(etag.as_str()) {
            return Ok(with_etag(StatusCode::OK, "application/json", &etag, bytes));
        }
        tokio::select! {
            changed = changes.changed() => { let _ = changed; }
            stopped = stopping.wait_for(|stopping| *stopping) => {
                let _ = stopped;
                return Ok(not_modified(&etag));
            }
            () = tokio::time::sleep_until(deadline) => return Ok(not_modified(&etag)),
        }
        // It may have been revoked, or leased to, meanwhile.
        station = hub.store.station(&caller.scope, &station.name).await?;
        if station.revoked {
            return Err(Refusal::of(ProblemType::CertificateRefused));
        }
    }
}

/// A document as the station should hold it now. None: it should hold none of that name.
pub(crate) async fn bytes_of(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    name: &DocumentName,
) -> Result<Option<Vec<u8>>, Refusal> {
    Ok(match name {
        DocumentName::Lease => written(hub, scope, station).await?.lease,
        DocumentName::Orders => Some(written(hub, scope, station).await?.orders),
        DocumentName::Roster => written(hub, scope, station).await?.roster,
        DocumentName::Manifest(digest) => {
            let held = hub.store.document(scope, &name.to_string()).await?;
            let portions = hub.store.portions(scope, station).await?;
            held.filter(|_| portions.iter().any(|p| p.order.release.manifest_sha256 == *digest))
        }
        DocumentName::Metadata(_) => hub.store.document(scope, &name.to_string()).await?,
        DocumentName::Epoch => station.epoch_document.clone(),
        DocumentName::Revocations => None,
        DocumentName::Voids | DocumentName::Credentials(_) | DocumentName::MacSecret(_) => {
            custody::documents(hub, scope, station)
                .await?
                .into_iter()
                .find(|(listed, _)| listed == name)
                .map(|(_, bytes)| bytes)
        }
    })
}

pub(super) async fn document(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let missing = || Refusal::of(ProblemType::NotFound);
    let name: DocumentName = name.parse().map_err(|_| missing())?;
    recovery::refuse_while_recovering(&hub, &caller.scope).await?;
    let bytes = bytes_of(&hub, &caller.scope, &caller.station, &name).await?;
    let bytes = bytes.ok_or_else(missing)?;
    let etag = sha256(&bytes).to_string();
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.trim_matches('"') == etag) {
        return Ok(not_modified(&etag));
    }
    let asked = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let packs = asked.is_some_and(|asked| asked.split(',').any(|word| word.trim() == ZSTD));
    if !packs || bytes.len() < PACKED_FROM_BYTES {
        return Ok(with_etag(StatusCode::OK, "application/octet-stream", &etag, bytes));
    }
    let packed = tokio::task::spawn_blocking(move || zstd::encode_all(bytes.as_slice(), 3))
        .await
        .map_err(|error| Refusal::internal(&error))?
        .map_err(|error| Refusal::internal(&error))?;
    let mut response = with_etag(StatusCode::OK, "application/octet-stream", &etag, packed);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(ZSTD));
    Ok(response)
}

/// A fresh lease on request, with a version beyond the one the station holds.
pub(super) async fn lease(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: LeaseRequest = read_json(&headers, body, LEASE_REQUEST_BYTES_MAX).await?;
    let Caller { scope, station, .. } = &caller;
    if station.in_quarantine() {
        return Err(Refusal::of(ProblemType::GrantsStopped));
    }
    recovery::refuse_while_recovering(&hub, scope).await?;
    if request.key_protection != station.key_protection {
        hub.store.keep_protection(scope, station, request.key_protection, hub.now_ms()).await?;
    }
    let station = &hub.store.station(scope, &station.name).await?;
    if station.key_protection < hub.store.least_protection(scope).await? {
        return Err(Refusal::of(ProblemType::KeyProtectionTooWeak));
    }
    let lease = lease::current(&hub, scope, station, Some(request.last_version))
        .await?
        .ok_or_else(|| Refusal::of(ProblemType::NothingPublished))?;
    hub.announce_change();
    let etag = sha256(&lease.bytes).to_string();
    Ok(with_etag(StatusCode::OK, "application/octet-stream", &etag, lease.bytes))
}

fn with_etag(status: StatusCode, kind: &'static str, etag: &str, bytes: Vec<u8>) -> Response {
    let mut response = (status, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn not_modified(etag: &str) -> Response {
    with_etag(StatusCode::NOT_MODIFIED, "application/json", etag, Vec::new())
}
