//! A new epoch for a station in quarantine.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::{Event, Record};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use protocol::{Epoch, EpochStatement, Problem, ProblemType, Sha256, SpentIndices, StationName};
use serde::{Deserialize, Serialize};

use super::Caller;
use crate::hub::Hub;
use crate::refusal::Refusal;

/// The epoch that was opened. The station begins it when it hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpochOpened {
    /// Whose journal.
    pub station: StationName,
    /// The epoch to begin.
    pub epoch: Epoch,
    /// The epoch before it.
    pub previous_epoch: Epoch,
    /// Records the hub holds of that.
    pub previous_size: u64,
    /// Their root hash.
    pub previous_root: Sha256,
}

/// Opens a new epoch for a station whose journal was set back or forked. Both histories stay.
#[utoipa::path(post, path = "/v1/admin/stations/{name}/epoch",
    params(("name" = String, Path, description = "The station")),
    responses((status = 200, body = EpochOpened), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn open(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<EpochOpened>, Refusal> {
    let name: StationName = name.parse().map_err(|_| Refusal::of(ProblemType::NotFound))?;
    let scope = &caller.scope;
    let station = hub.store.station(scope, &name).await?;
    if !station.in_quarantine() {
        return Err(Refusal::of(ProblemType::NotQuarantined));
    }
    let newest = hub.store.newest_journal(scope, &station).await?;
    let (previous_epoch, previous_size, previous_root) = match newest {
        Some((epoch, held)) => (epoch, held.size, held.frontier.root()),
        None => (Epoch::FIRST, 0, audit::Frontier::new().root()),
    };
    let statement = EpochStatement {
        v: 1,
        tenant: scope.name().clone(),
        station: name.clone(),
        epoch: Epoch(station.epoch_opened.max(previous_epoch).0.saturating_add(1)),
        previous_epoch,
        previous_size,
        previous_root: Sha256(previous_root),
        spent: spent(hub.store.reserved(scope, &station).await?),
        opened_ms: hub.now_ms(),
    };
    let payload = serde_json::to_string(&statement).map_err(|error| Refusal::internal(&error))?;
    let signed = hub.keys(scope).await?.state(EpochStatement::KIND, payload);
    let document = serde_json::to_vec(&signed).map_err(|error| Refusal::internal(&error))?;
    let EpochStatement { epoch, previous_size, previous_root, opened_ms, .. } = statement;
    hub.store.open_epoch(scope, &station, epoch, &document, &caller.who, opened_ms).await?;
    hub.announce_change();
    Ok(Json(EpochOpened { station: name, epoch, previous_epoch, previous_size, previous_root }))
}

/// How far each allotment is spent by records of a reservation, in whichever history they stand.
fn spent(reserved: Vec<String>) -> Vec<SpentIndices> {
    let mut next = BTreeMap::new();
    for record in reserved {
        if let Ok(Record { event: Event::Reserved { allotment, index, .. }, .. }) =
            Record::decode(record.as_bytes())
        {
            let next = next.entry(hex::encode(&allotment.0)).or_insert(0);
            *next = index.saturating_add(1).max(*next);
        }
    }
    next.into_iter().map(|(allotment, next)| SpentIndices { allotment, next }).collect()
}
