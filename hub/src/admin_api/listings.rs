//! What the hub knows, to be read.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use protocol::{Epoch, Fork, Problem, ProblemType, Station, StationName, UnitPage, WorkOrder};
use serde::{Deserialize, Serialize};

use super::{Caller, ReleaseView};
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::{LOG_EPOCH, StationRow, TenantScope};

/// What stands in the place of a station in the origin of the hub's own logs; no station may be
/// called so.
pub(super) const HUB_IN_LOGS: &str = "hub";
const PAGE_MAX: u64 = 1000;
const PAGE: u64 = 100;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Paging {
    /// From the page before.
    cursor: Option<String>,
    /// Most entries; 100 when absent, at most 1000.
    limit: Option<u64>,
}

impl Paging {
    pub(super) fn limit(&self) -> u64 {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)
    }

    pub(super) fn cursor<T: std::str::FromStr>(&self, first: T) -> Result<T, Refusal> {
        match &self.cursor {
            None => Ok(first),
            Some(cursor) => cursor.parse().map_err(|_| {
                Refusal::because(ProblemType::RequestMalformed, "the cursor is not one of ours")
            }),
        }
    }
}

/// Units, in the order the hub learnt of them.
#[utoipa::path(get, path = "/v1/units", params(Paging),
    responses((status = 200, body = UnitPage), (status = 401, body = Problem)))]
pub(super) async fn units(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(paging): Query<Paging>,
) -> Result<Json<UnitPage>, Refusal> {
    Ok(Json(hub.store.units(&caller.scope, paging.cursor(0)?, paging.limit()).await?))
}

/// Stations, by name.
#[utoipa::path(get, path = "/v1/stations",
    responses((status = 200, body = Vec<Station>), (status = 401, body = Problem)))]
pub(super) async fn stations(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<Station>>, Refusal> {
    Ok(Json(hub.store.stations(&caller.scope).await?))
}

/// Work orders, oldest first.
#[utoipa::path(get, path = "/v1/orders",
    responses((status = 200, body = Vec<WorkOrder>), (status = 401, body = Problem)))]
pub(super) async fn orders(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<WorkOrder>>, Refusal> {
    Ok(Json(hub.store.orders(&caller.scope).await?))
}

/// Releases, oldest first.
#[utoipa::path(get, path = "/v1/releases",
    responses((status = 200, body = Vec<ReleaseView>), (status = 401, body = Problem)))]
pub(super) async fn releases(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ReleaseView>>, Refusal> {
    let rows = hub.store.releases(&caller.scope).await?;
    Ok(Json(rows.into_iter().map(ReleaseView::from).collect()))
}

/// Records of a journal, as text, with the newest head.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JournalPage {
    /// Which journal.
    pub epoch: Epoch,
    /// Records the hub holds of it.
    pub size: u64,
    /// The newest checkpoint, signed by the station, cosigned by the hub.
    pub cosigned: Option<String>,
    /// The name in the hub's cosignatures.
    pub hub_cosign_name: String,
    /// The key of the hub's cosignatures, hexadecimal.
    pub hub_cosign_key: protocol::Ed25519Key,
    /// The key of the station's signatures, hexadecimal.
    pub journal_key: protocol::Ed25519Key,
    /// Canonical JSON of each record, from the cursor on; empty for one that was let go.
    pub records: Vec<String>,
    /// The next page's cursor; none on the last.
    pub next_cursor: Option<String>,
    /// Other histories of this station's journals; `/forks` shows them.
    pub forks: usize,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Journal {
    /// Which journal; the newest when absent.
    epoch: Option<u32>,
    /// From the page before: a sequence number.
    cursor: Option<String>,
    /// Most records; 100 when absent, at most 1000.
    limit: Option<u64>,
}

pub(super) async fn newest_epoch(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
) -> Result<Epoch, Refusal> {
    let newest = hub.store.newest_journal(scope, station).await?;
    Ok(newest.map_or(Epoch::FIRST, |(epoch, _)| epoch))
}

/// A station's journal.
#[utoipa::path(get, path = "/v1/stations/{name}/journal",
    params(("name" = String, Path, description = "The station"), Journal),
    responses((status = 200, body = JournalPage), (status = 404, body = Problem)))]
pub(super) async fn journal(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Path(name): Path<String>,
    Query(query): Query<Journal>,
) -> Result<Json<JournalPage>, Refusal> {
    let name: StationName = name.parse().map_err(|_| Refusal::of(ProblemType::NotFound))?;
    let station = hub.store.station(&scope, &name).await?;
    let epoch = match query.epoch {
        Some(epoch) => Epoch(epoch),
        None => newest_epoch(&hub, &scope, &station).await?,
    };
    let paging = Paging { cursor: query.cursor, limit: query.limit };
    let from: u64 = paging.cursor(0)?;
    let held = hub.store.journal(&scope, &station, epoch).await?;
    let records = hub.store.records(&scope, &station, epoch, from, paging.limit()).await?;
    let next = from + records.len() as u64;
    let keys = hub.keys(&scope).await?;
    let forks = hub.store.forks(&scope, &station).await?;
    Ok(Json(JournalPage {
        epoch,
        size: held.size,
        cosigned: held.cosigned,
        hub_cosign_name: Hub::cosign_name(&scope),
        hub_cosign_key: protocol::Ed25519Key(keys.cosign_public()),
        journal_key: station.journal_key,
        next_cursor: (next < held.size).then(|| next.to_string()),
        records,
        forks: forks.len(),
    }))
}

/// A station's forks: both histories, side by side from where they differ.
#[utoipa::path(get, path = "/v1/stations/{name}/forks",
    params(("name" = String, Path, description = "The station")),
    responses((status = 200, body = Vec<Fork>), (status = 404, body = Problem)))]
pub(super) async fn forks(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Fork>>, Refusal> {
    let name: StationName = name.parse().map_err(|_| Refusal::of(ProblemType::NotFound))?;
    let station = hub.store.station(&scope, &name).await?;
    Ok(Json(hub.store.forks(&scope, &station).await?))
}

/// The hub's own log of the tenant, with its signed head.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogPage {
    /// Records in the log.
    pub size: u64,
    /// Checkpoint over exactly `size` records, signed by the hub; none while the log is empty.
    pub checkpoint: Option<String>,
    /// The key of that signature, hexadecimal.
    pub hub_cosign_key: protocol::Ed25519Key,
    /// Canonical JSON of each record, from the cursor on.
    pub records: Vec<String>,
    /// The next page's cursor; none on the last.
    pub next_cursor: Option<String>,
}

/// Who changed what at the hub, for this tenant.
#[utoipa::path(get, path = "/v1/log", params(Paging),
    responses((status = 200, body = LogPage), (status = 401, body = Problem)))]
pub(super) async fn log(
    State(hub): State<Arc<Hub>>,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Query(paging): Query<Paging>,
) -> Result<Json<LogPage>, Refusal> {
    let from: u64 = paging.cursor(0)?;
    let page = hub.store.log(&scope, from, paging.limit()).await?;
    let keys = hub.keys(&scope).await?;
    let size = page.frontier.size();
    let origin = audit::Origin::new(scope.name().as_str(), HUB_IN_LOGS, LOG_EPOCH)
        .map_err(|error| Refusal::internal(&error))?;
    let head = audit::Checkpoint::of(origin, &page.frontier).sign(keys.cosign_key());
    let next = from.saturating_add(page.records.len() as u64);
    Ok(Json(LogPage {
        size,
        checkpoint: (size > 0).then(|| head.to_string()),
        hub_cosign_key: protocol::Ed25519Key(keys.cosign_public()),
        next_cursor: (next < size).then(|| next.to_string()),
        records: page.records,
    }))
}
