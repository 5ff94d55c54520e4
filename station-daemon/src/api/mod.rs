//! The station API: what a screen may ask over loopback HTTP.
//!
//! Owns the routes, the OpenAPI document that the page's types come from, and the guard before
//! them. Leaves every decision to the [`Desk`] behind it; the API reads the last view and passes
//! scans and touches on.
//!
//! Promise: no answer leaves for a caller that names another host, comes from another origin or
//! shows no cookie.

pub mod figures;
pub mod guard;
pub mod handover;
mod page;
pub mod preflight;
pub mod scan;
pub mod stick;
#[cfg(test)]
mod tests;
pub mod view;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use guard::Guard;
use handover::Handover;
use preflight::Preflight;
use stick::{StickAct, StickDone};
use view::{
    ActAnswer, ApprovalAnswer, Disposition, DispositionAnswer, LookAnswer, OpenAnswer, PinEntry,
    Scan, ScanAnswer, StationView, TeachAnswer, Wish,
};

use crate::scanners::label::{LABEL_BYTES_MAX, NotALabel};

/// Longest request body taken, bytes: a scan of [`LABEL_BYTES_MAX`] in JSON, escaped.
const BODY_BYTES_MAX: usize = 2048;
/// Shortest pause between two views on one stream: at most five a second. What a scanner read does not
/// wait for it: somebody stands there with the scanner in their hand.
const VIEW_PAUSE: Duration = Duration::from_millis(200);
/// A silent stream says a comment this often, so that a dead page is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What the API needs from the station behind it.
pub trait Desk: Send + Sync + 'static {
    /// Judges a scan. Blocks for at most a journal write.
    fn scan(&self, text: &str) -> ScanAnswer;

    /// Has a slot look again; whether a board makes contact, `None` when there is no such slot.
    /// Blocks for at most [`LOOK_ANSWER_MAX`](crate::desk::LOOK_ANSWER_MAX).
    fn look(&self, slot: u32) -> Option<bool>;

    /// Opens a closed slot; `None` when there is no such slot. Blocks for at most a journal write.
    fn open(&self, slot: u32) -> Option<OpenAnswer>;

    /// Takes the approval of the lead who is in. Blocks for at most a journal write.
    fn approve(&self, wish: &Wish) -> ApprovalAnswer;

    /// Writes or reads a stick. Blocks as long as the stick needs.
    fn stick(&self, act: &StickAct) -> StickDone;

    /// Takes a disposition of the lead who is in. Blocks for at most a journal write.
    fn dispose(&self, disposition: &Disposition) -> DispositionAnswer;

    /// Proves the operator who is in by their PIN. Blocks for journal writes and the comparison.
    fn prove(&self, pin: &str) -> ActAnswer;

    /// Whether who is in may see a lead's figures. Blocks for an answer of the desk.
    fn may_see_figures(&self) -> bool;

    /// Signs out who is in. Blocks for at most a journal write.
    fn sign_out(&self) -> ActAnswer;

    /// Closes the station's share of the order in hand. Blocks for at most a journal write.
    fn close_order(&self) -> ActAnswer;

    /// Looks whether the station is fit for a shift; `None` when who is in may not see it. Blocks
    /// for reading some of the system's files.
    fn preflight(&self) -> Option<Preflight>;

    /// What this shift leaves to the next; `None` where people are kept and nobody is in. Blocks
    /// for reading.
    fn handover(&self) -> Option<Handover>;

    /// Binds to a slot what is plugged in from now on; `None` when there is no such slot. Blocks
    /// until something came, at most [`TEACH_WITHIN`](crate::run::TEACH_WITHIN).
    fn teach(&self, slot: u32) -> Option<TeachAnswer>;
}

/// Everything the handlers share.
#[derive(Clone)]
pub struct Api {
    /// The last view; the desk's thread writes it.
    pub view: watch::Receiver<Arc<StationView>>,
    /// Takes scans and touches.
    pub desk: Arc<dyn Desk>,
    /// Who may ask.
    pub guard: Arc<Guard>,
    /// Where the lead's figures come from; `None` while the records are not open.
    pub figures: Option<figures::FiguresSource>,
    /// Folder the kiosk page is served from; `None` = the page inside the program.
    pub page_folder: Option<PathBuf>,
}

/// Title and version of the document; the paths come from the router.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flashline station",
        description = "What a screen may ask a station over loopback HTTP.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(StationView))
)]
struct Document;

fn routes() -> (Router<Api>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(view_now))
        .routes(routes!(view_events))
        .routes(routes!(take_scan))
        .routes(routes!(look_again))
        .routes(routes!(open_slot))
        .routes(routes!(preflight_now))
        .routes(routes!(teach_slot))
        .routes(routes!(approve))
        .routes(routes!(dispose))
        .routes(routes!(enter_pin))
        .routes(routes!(badge_out))
        .routes(routes!(close_order))
        .routes(routes!(stick::carry_stick))
        .routes(routes!(handover::handover))
        .routes(routes!(figures::orders))
        .routes(routes!(figures::order))
        .routes(routes!(figures::visits))
        .routes(routes!(figures::visits_csv))
        .split_for_parts()
}

/// The OpenAPI document as pretty JSON with a line end, the form that is committed.
///
/// # Panics
/// Never: the document is plain data.
#[must_use]
pub fn openapi_json() -> String {
    let mut document = routes().1;
    "1".clone_into(&mut document.info.version);
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The router with its guard, for `address` (the listener's own).
pub fn router(api: Api, address: SocketAddr) -> Router {
    let (protected, _) = routes();
    let hosts = Arc::new(guard::Hosts::of(address));
    protected
        .route_layer(middleware::from_fn_with_state(Arc::clone(&api.guard), guard::need_cookie))
        .route("/api/openapi.json", get(document))
        .route("/enter", get(enter))
        .fallback(page::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(hosts, guard::need_own_host))
        .layer(middleware::map_response(guard::add_headers))
        .with_state(api)
}

/// The whole station now.
#[utoipa::path(get, path = "/api/view", responses(
    (status = 200, description = "The whole station", body = StationView),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn view_now(State(api): State<Api>) -> Response {
    let view = Arc::clone(&api.view.borrow());
    ([(header::CACHE_CONTROL, "no-store")], Json(&*view)).into_response()
}

/// The whole station again after every change, at most five times a second, and at once after a scan.
#[utoipa::path(get, path = "/api/events", responses(
    (status = 200, description = "Server-sent events named `view`; data is a StationView",
        content_type = "text/event-stream", body = StationView),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn view_events(State(api): State<Api>) -> impl IntoResponse {
    Sse::new(views(api.view)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn views(
    receiver: watch::Receiver<Arc<StationView>>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold((receiver, None), async |(mut receiver, shown)| {
        if let Some(scan) = shown {
            next_view(&mut receiver, scan).await?;
        }
        let view = Arc::clone(&receiver.borrow_and_update());
        let event = Event::default().event("view").json_data(&*view).ok()?;
        Some((Ok(event), (receiver, Some(scans(&view)))))
    })
}

/// How many scans a view tells of.
fn scans(view: &StationView) -> u32 {
    view.scan.as_ref().map_or(0, |scan| scan.number)
}

/// Waits until a view is to be shown after one that told of `shown` scans; none when there will be
/// no more.
async fn next_view(receiver: &mut watch::Receiver<Arc<StationView>>, shown: u32) -> Option<()> {
    let pause = tokio::time::sleep(VIEW_PAUSE);
    tokio::pin!(pause);
    let mut changed = false;
    loop {
        tokio::select! {
            () = &mut pause => break,
            news = receiver.changed() => {
                news.ok()?;
                changed = true;
                if scans(&receiver.borrow_and_update()) != shown {
                    return Some(());
                }
            }
        }
    }
    if !changed {
        receiver.changed().await.ok()?;
    }
    Some(())
}

/// A scan: it selects, it never configures.
#[utoipa::path(post, path = "/api/scan", request_body = Scan, responses(
    (status = 200, description = "What the station makes of it", body = ScanAnswer),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn take_scan(State(api): State<Api>, Json(scan): Json<Scan>) -> Response {
    if scan.text.len() > LABEL_BYTES_MAX {
        return Json(ScanAnswer::unread(NotALabel::TooLong)).into_response();
    }
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.scan(&scan.text)).await {
        Ok(answer) => Json(answer).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A touch on a slot that shows EMPTY: a board is in here. The slot looks again at once; when
/// nothing answers, its tile says no contact until a board does, the next touch, or a minute.
#[utoipa::path(post, path = "/api/slots/{number}/look",
    params(("number" = u32, Path, description = "The slot, as printed on the fixture")),
    responses(
        (status = 200, description = "What the slot saw", body = LookAnswer),
        (status = 401, description = "No cookie: open the page through its entry address"),
        (status = 404, description = "No such slot")
))]
async fn look_again(State(api): State<Api>, Path(number): Path<u32>) -> Response {
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.look(number)).await {
        Ok(Some(found)) => Json(LookAnswer { found }).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Opens a slot that closed after failures of one cause: an act of a person, recorded as such. The
/// board that lies in it is looked at anew.
#[utoipa::path(post, path = "/api/slots/{number}/open",
    params(("number" = u32, Path, description = "The slot, as printed on the fixture")),
    responses(
        (status = 200, description = "What became of it", body = OpenAnswer),
        (status = 401, description = "No cookie: open the page through its entry address"),
        (status = 404, description = "No such slot")
))]
async fn open_slot(State(api): State<Api>, Path(number): Path<u32>) -> Response {
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.open(number)).await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A lead's approval: of a chip that is not proven in one way, or of the erase of the next board in
/// a slot. It is journalled with the number of the lead who is in and proved it by PIN.
#[utoipa::path(post, path = "/api/approvals", request_body = Wish, responses(
    (status = 200, description = "What became of it", body = ApprovalAnswer),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn approve(State(api): State<Api>, Json(wish): Json<Wish>) -> Response {
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.approve(&wish)).await {
        Ok(answer) => Json(answer).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A disposition of the lead who is in: scrap, chip replaced, a portion given back. It is journalled
/// with their number.
#[utoipa::path(post, path = "/api/dispositions", request_body = Disposition, responses(
    (status = 200, description = "What became of it", body = DispositionAnswer),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn dispose(State(api): State<Api>, Json(disposition): Json<Disposition>) -> Response {
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.dispose(&disposition)).await {
        Ok(answer) => Json(answer).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The PIN of the operator who badged in. The attempt is journalled before it is answered.
#[utoipa::path(post, path = "/api/operator/pin", request_body = PinEntry, responses(
    (status = 200, description = "What became of it", body = ActAnswer),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn enter_pin(State(api): State<Api>, Json(entry): Json<PinEntry>) -> Response {
    act(api, move |desk| desk.prove(&entry.pin)).await
}

/// Signs out the operator who is in.
#[utoipa::path(post, path = "/api/operator/out", responses(
    (status = 200, description = "What became of it", body = ActAnswer),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn badge_out(State(api): State<Api>) -> Response {
    act(api, |desk| desk.sign_out()).await
}

/// Closes the station's share of the order in hand: a lead's act. It takes no board any more until
/// a lead scans the order again.
#[utoipa::path(post, path = "/api/order/close", responses(
    (status = 200, description = "What became of it", body = ActAnswer),
    (status = 401, description = "No cookie: open the page through its entry address")
))]
async fn close_order(State(api): State<Api>) -> Response {
    act(api, |desk| desk.close_order()).await
}

async fn act(api: Api, act: impl FnOnce(&dyn Desk) -> ActAnswer + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(move || act(&*api.desk)).await {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What a shift needs before it begins: sockets, rights, disk, swap, clock, hub, key chip.
#[utoipa::path(get, path = "/api/preflight", responses(
    (status = 200, description = "One finding per thing looked at", body = Preflight),
    (status = 401, description = "No cookie: open the page through its entry address"),
    (status = 403, description = "People are kept, and neither IT nor a lead is in")
))]
async fn preflight_now(State(api): State<Api>) -> Response {
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.preflight()).await {
        Ok(Some(preflight)) => {
            ([(header::CACHE_CONTROL, "no-store")], Json(preflight)).into_response()
        }
        Ok(None) => StatusCode::FORBIDDEN.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Teach-in: the probe, adapter or board that is plugged in while this waits is the slot's, by the
/// socket it is in. Takes the place of what the slot was taught before, from the next start on.
#[utoipa::path(post, path = "/api/slots/{number}/teach",
    params(("number" = u32, Path, description = "The slot, as printed on the fixture")),
    responses(
        (status = 200, description = "What came", body = TeachAnswer),
        (status = 401, description = "No cookie: open the page through its entry address"),
        (status = 404, description = "No such slot")
))]
async fn teach_slot(State(api): State<Api>, Path(number): Path<u32>) -> Response {
    let desk = Arc::clone(&api.desk);
    match tokio::task::spawn_blocking(move || desk.teach(number)).await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json())
}

#[derive(Deserialize)]
struct Entry {
    nonce: String,
}

/// Exchanges the single-use nonce for the cookie and leads to the page.
async fn enter(State(api): State<Api>, Query(entry): Query<Entry>) -> Response {
    match api.guard.admit(&entry.nonce) {
        Some(cookie) => {
            (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/".into())])
                .into_response()
        }
        None => StatusCode::FORBIDDEN.into_response(),
    }
}
