//! What people and their programs may ask, over TLS with a token.
//!
//! Owns the routes and the guard before them; `/openapi.json` describes them. Promise: every
//! route but health and the description sees exactly one tenant, the one the token speaks for.

mod dispositions;
mod epochs;
mod exports;
mod keys;
mod listings;
mod orders;
mod people;
mod pools;
mod publications;
mod recovery;
mod stations;
mod sticks;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use protocol::{Health, ProblemType};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use dispositions::{ConflictPage, DispositionCreate};
pub use epochs::EpochOpened;
pub use listings::{JournalPage, LogPage};
pub use orders::OrderCreate;
pub use people::{Person, PersonChange, PersonCreate, Withheld};
pub use pools::{Imported, MacSecretCreate, MacSecretTaken, PoolImport, Relend};
pub use publications::{BundleFile, Publication, ReleaseView};
pub use stations::{CodeCreate, CodeCreated, KeyProtectionDemand};

use crate::digest::sha256;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::{SCHEMA, TenantScope};

const TOKEN_BYTES_MAX: usize = 256;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) scope: TenantScope,
    pub(crate) who: String,
}

/// The routes for people, and their description.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let (guarded, mut description) = OpenApiRouter::new()
        .routes(routes!(listings::units))
        .routes(routes!(listings::stations))
        .routes(routes!(listings::journal))
        .routes(routes!(listings::forks))
        .routes(routes!(exports::export))
        .routes(routes!(listings::log))
        .routes(routes!(listings::orders))
        .routes(routes!(listings::releases))
        .routes(routes!(stations::create_code))
        .routes(routes!(stations::revoke))
        .routes(routes!(stations::demand_protection))
        .routes(routes!(people::list))
        .routes(routes!(people::create))
        .routes(routes!(people::change))
        .routes(routes!(people::erase_name))
        .routes(routes!(epochs::open))
        .routes(routes!(keys::next))
        .routes(routes!(recovery::show))
        .routes(routes!(recovery::end))
        .routes(routes!(orders::create))
        .routes(routes!(orders::grant))
        .routes(routes!(pools::list))
        .routes(routes!(pools::import))
        .routes(routes!(pools::relend))
        .routes(routes!(pools::mac_secret))
        .routes(routes!(dispositions::conflicts))
        .routes(routes!(dispositions::dispose))
        .routes(routes!(sticks::check_list))
        .routes(routes!(sticks::take_letter))
        .routes(routes!(sticks::end_read))
        .routes(routes!(sticks::write))
        .routes(routes!(publications::upload_chunk, sticks::chunk))
        .routes(routes!(publications::publish))
        .routes(routes!(publications::take_documents))
        .split_for_parts();
    let (open, health_description) = OpenApiRouter::new().routes(routes!(health)).split_for_parts();
    description.merge(health_description);
    describe(&mut description);
    let described = Arc::new(description);
    let guarded = guarded.layer(from_fn_with_state(hub.clone(), known_token));
    Router::new()
        .merge(guarded)
        .merge(open)
        .route("/openapi.json", get(move || async move { Json((*described).clone()) }))
        .fallback(crate::body::nothing_there)
        .method_not_allowed_fallback(crate::body::method_not_allowed)
        .with_state(hub)
}

fn describe(description: &mut OpenApi) {
    description.info.title = "Flashline hub".to_owned();
    description.info.version = env!("CARGO_PKG_VERSION").to_owned();
    description.info.description =
        Some("For people and their programs. Every refusal is problem+json.".to_owned());
}

async fn known_token(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let refused = || Refusal::of(ProblemType::TokenRefused);
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| token.len() <= TOKEN_BYTES_MAX)
        .ok_or_else(refused)?;
    // Looked up by its digest: how long that takes says nothing about the token.
    let (scope, who) =
        hub.store.tenant_of_token(&sha256(token.as_bytes())).await?.ok_or_else(refused)?;
    request.extensions_mut().insert(Caller { scope, who });
    Ok(next.run(request).await)
}

/// Whether the hub serves.
#[utoipa::path(get, path = "/v1/health", responses((status = 200, body = Health)))]
async fn health(State(hub): State<Arc<Hub>>) -> Result<Json<Health>, Refusal> {
    hub.store.answers().await?;
    Ok(Json(Health {
        state: "ok".to_owned(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        schema: SCHEMA,
        hub_time_ms: hub.now_ms(),
    }))
}
