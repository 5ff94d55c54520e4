//! What becomes of units, decided at the hub; what of units must be shown to people.

use std::sync::Arc;

use activation::Chip;
use activation::books::Fact;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use protocol::{Conflict, Problem, ProblemType, ProductName};
use serde::{Deserialize, Serialize};

use super::Caller;
use super::listings::Paging;
use crate::body::read_json;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::NewFact;

const BODY_BYTES_MAX: usize = 16 * 1024;
const SERIAL_CHARACTERS_MAX: usize = 64;

/// A disposition to be recorded.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DispositionCreate {
    /// The unit is scrapped: its UID and code are void for ever.
    Scrap {
        /// The product.
        product: ProductName,
        /// The chip's family.
        family: String,
        /// The chip's UID, hexadecimal.
        uid: String,
    },
    /// The unit got another chip: the old one is void, the serial number links the two.
    ChipReplaced {
        /// The product.
        product: ProductName,
        /// The unit's serial number, 1 to 64 printable characters.
        serial: String,
        /// Family of the chip that came off.
        old_family: String,
        /// Its UID, hexadecimal.
        old_uid: String,
        /// Family of the chip that came on.
        new_family: String,
        /// Its UID, hexadecimal.
        new_uid: String,
    },
}

/// A page of conflicts.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConflictPage {
    /// Oldest first.
    pub conflicts: Vec<Conflict>,
    /// The next page's cursor; none on the last.
    pub next_cursor: Option<String>,
}

fn malformed(detail: &str) -> Refusal {
    Refusal::because(ProblemType::RequestMalformed, detail)
}

fn chip(family: &str, uid: &str) -> Result<Chip, Refusal> {
    let uid = hex::decode(uid).map_err(|_| malformed("a UID is hexadecimal"))?;
    Chip::new(family, &uid).map_err(|_| malformed("a family or UID is empty or too long"))
}

/// Records a disposition; every station hears of a void with its next documents.
#[utoipa::path(post, path = "/v1/admin/dispositions", request_body = DispositionCreate,
    responses((status = 201), (status = 400, body = Problem)))]
pub(super) async fn dispose(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let create: DispositionCreate = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let (product, fact, what) = match create {
        DispositionCreate::Scrap { product, family, uid } => {
            let chip = chip(&family, &uid)?;
            let what = format!("{product} with {chip} scrapped");
            (product, Fact::Scrapped { station: None, chip }, what)
        }
        DispositionCreate::ChipReplaced {
            product,
            serial,
            old_family,
            old_uid,
            new_family,
            new_uid,
        } => {
            let (old, new) = (chip(&old_family, &old_uid)?, chip(&new_family, &new_uid)?);
            let printable = !serial.chars().any(char::is_control);
            if !(1..=SERIAL_CHARACTERS_MAX).contains(&serial.chars().count()) || !printable {
                return Err(malformed("a serial number is 1 to 64 printable characters"));
            }
            if old == new {
                return Err(malformed("a chip cannot be the replacement of itself"));
            }
            let what = format!("{product} {serial}: {old} replaced by {new}");
            (product, Fact::ChipReplaced { station: None, serial, old, new }, what)
        }
    };
    let now_ms = hub.now_ms();
    let new = NewFact { product: product.to_string(), fact, operator: None, at_ms: now_ms };
    hub.store.dispose(&caller.scope, new, (&caller.who, what), now_ms).await?;
    hub.announce_change();
    Ok(StatusCode::CREATED)
}

/// Conflicts about units, oldest first.
#[utoipa::path(get, path = "/v1/conflicts", params(Paging),
    responses((status = 200, body = ConflictPage), (status = 401, body = Problem)))]
pub(super) async fn conflicts(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(paging): Query<Paging>,
) -> Result<Json<ConflictPage>, Refusal> {
    let limit = paging.limit();
    let mut found = hub.store.conflicts(&caller.scope, paging.cursor(0)?, limit + 1).await?;
    let more = found.len() as u64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = found.last().filter(|_| more).map(|last| last.number.to_string());
    Ok(Json(ConflictPage { conflicts: found, next_cursor }))
}
