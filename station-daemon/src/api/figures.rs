//! The lead's doors: figures of an order, its visits, and both as a file.
//!
//! Reads the store beside the desk, so that no chart holds up a slot.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use crate::figures::{Figures, OrderFigures, PAGE_VISITS, VisitFilter, VisitRow};
use crate::store::StoreError;
use crate::trouble::chain;

/// Visits fetched at a time for a file.
const FILE_PAGE: u32 = 5_000;
/// The file's first line.
const CSV_HEAD: &str = "number,at_ms,slot,visit,unit,attempt,ending,trouble,step,code,took_ms\n";

/// Where the figures come from.
#[derive(Debug, Clone)]
pub struct FiguresSource {
    /// The station's store.
    pub store: PathBuf,
    /// Seconds a unit may take on this line.
    pub takt_s: Option<u32>,
}

/// Which order.
#[derive(Debug, Clone, Deserialize, IntoParams)]
pub(super) struct OrderQuery {
    /// Number of the work order; the one in hand when it is left out.
    order: Option<String>,
}

/// Which visits.
#[derive(Debug, Clone, Deserialize, IntoParams)]
pub(super) struct VisitsQuery {
    /// Number of the work order; the one in hand when it is left out.
    order: Option<String>,
    /// Of this slot only.
    slot: Option<u32>,
    /// That failed with this code only.
    trouble: Option<String>,
    /// Of this unit only, by its unique id in upper-case hexadecimal.
    unit: Option<String>,
    /// Older than this number only: the next page.
    before: Option<u32>,
}

/// Orders with visits at this station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderList {
    /// Numbers, the one worked on last first.
    pub orders: Vec<String>,
}

/// A page of visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VisitPage {
    /// The visits, the last first.
    pub visits: Vec<VisitRow>,
    /// What to ask `before` for the next page; null on the last one.
    #[schema(required = true)]
    pub next: Option<u32>,
}

/// Every order with ended visits.
#[utoipa::path(get, path = "/api/orders/worked", responses(
    (status = 200, description = "Their numbers", body = OrderList),
    (status = 401, description = "No cookie: open the page through its entry address"),
    (status = 403, description = "Who is in is neither a lead nor IT, or was not proven by PIN"),
    (status = 503, description = "The station's records are not open")
))]
pub(super) async fn orders(State(api): State<Api>) -> Response {
    answer(api, |figures, _| Ok(OrderList { orders: figures.orders()? })).await
}

/// First-pass yield, causes, slots, charts and pace of an order.
#[utoipa::path(get, path = "/api/figures", params(OrderQuery), responses(
    (status = 200, description = "The figures", body = OrderFigures),
    (status = 401, description = "No cookie: open the page through its entry address"),
    (status = 403, description = "Who is in is neither a lead nor IT, or was not proven by PIN"),
    (status = 503, description = "The station's records are not open")
))]
pub(super) async fn order(State(api): State<Api>, Query(query): Query<OrderQuery>) -> Response {
    let (order, quantity) = subject(&api, query.order);
    answer(api, move |figures, takt_s| {
        figures.of_order(&order, quantity, takt_s, crate::desk::os_ms())
    })
    .await
}

/// The visits behind the figures, a page at a time.
#[utoipa::path(get, path = "/api/figures/visits", params(VisitsQuery), responses(
    (status = 200, description = "At most 200 visits", body = VisitPage),
    (status = 401, description = "No cookie: open the page through its entry address"),
    (status = 403, description = "Who is in is neither a lead nor IT, or was not proven by PIN"),
    (status = 503, description = "The station's records are not open")
))]
pub(super) async fn visits(State(api): State<Api>, Query(query): Query<VisitsQuery>) -> Response {
    let (order, _) = subject(&api, query.order.clone());
    let filter = filter(query);
    answer(api, move |figures, _| {
        let visits = figures.visits(&order, &filter, PAGE_VISITS)?;
        let full = u32::try_from(visits.len()).is_ok_and(|count| count == PAGE_VISITS);
        let next = visits.last().filter(|_| full).map(|last| last.number);
        Ok(VisitPage { visits, next })
    })
    .await
}

/// The same visits as one CSV file (RFC 4180), all of them.
#[utoipa::path(get, path = "/api/figures/visits.csv", params(VisitsQuery), responses(
    (status = 200, description = "One line per visit, the last first", content_type = "text/csv"),
    (status = 401, description = "No cookie: open the page through its entry address"),
    (status = 403, description = "Who is in is neither a lead nor IT, or was not proven by PIN"),
    (status = 503, description = "The station's records are not open")
))]
pub(super) async fn visits_csv(
    State(api): State<Api>,
    Query(query): Query<VisitsQuery>,
) -> Response {
    let Some(source) = api.figures.clone() else { return closed() };
    let desk = Arc::clone(&api.desk);
    if !tokio::task::spawn_blocking(move || desk.may_see_figures()).await.unwrap_or(false) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (order, _) = subject(&api, query.order.clone());
    let filter = filter(query);
    let head = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(CSV_HEAD))]);
    let lines = futures_util::stream::try_unfold(
        (source, order, Some(filter)),
        async |(source, order, filter)| {
            let Some(mut filter) = filter else { return Ok(None) };
            let read = tokio::task::spawn_blocking(move || {
                let rows = Figures::open(&source.store)?.visits(&order, &filter, FILE_PAGE)?;
                filter.before = rows.last().map(|row| row.number);
                Ok::<_, StoreError>((rows, (source, order, filter)))
            });
            let (rows, (source, order, filter)) =
                read.await.map_err(std::io::Error::other)?.map_err(std::io::Error::other)?;
            let last = u32::try_from(rows.len()).is_ok_and(|count| count < FILE_PAGE);
            let text: String = rows.iter().map(csv_line).collect();
            Ok(Some((Bytes::from(text), (source, order, (!last).then_some(filter)))))
        },
    );
    let body = Body::from_stream(futures_util::StreamExt::chain(head, lines));
    let attachment = "attachment; filename=\"visits.csv\"";
    (
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (header::CONTENT_DISPOSITION, attachment),
            (header::CACHE_CONTROL, "no-store"),
        ],
        body,
    )
        .into_response()
}

/// The order asked for, and the portion's quantity where it is the one in hand.
fn subject(api: &Api, order: Option<String>) -> (String, Option<u32>) {
    let view = Arc::clone(&api.view.borrow());
    let in_hand = view.order.as_ref();
    let order = order.or_else(|| in_hand.map(|order| order.number.clone())).unwrap_or_default();
    let quantity = in_hand.filter(|hand| hand.number == order).map(|hand| hand.quantity);
    (order, quantity)
}

fn filter(query: VisitsQuery) -> VisitFilter {
    VisitFilter { slot: query.slot, trouble: query.trouble, unit: query.unit, before: query.before }
}

/// Reads on a blocking thread and answers in JSON.
async fn answer<T: Serialize + Send + 'static>(
    api: Api,
    read: impl FnOnce(&Figures, Option<u32>) -> Result<T, StoreError> + Send + 'static,
) -> Response {
    let Some(source) = api.figures else { return closed() };
    let desk = api.desk;
    let read = tokio::task::spawn_blocking(move || {
        if !desk.may_see_figures() {
            return None;
        }
        Some(Figures::open(&source.store).and_then(|figures| read(&figures, source.takt_s)))
    });
    let read = match read.await {
        Ok(None) => return StatusCode::FORBIDDEN.into_response(),
        Ok(Some(read)) => Ok(read),
        Err(error) => Err(error),
    };
    match read {
        Ok(Ok(figures)) => ([(header::CACHE_CONTROL, "no-store")], Json(figures)).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(error = %chain(&error), "the figures could not be read");
            closed()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn closed() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn csv_line(row: &VisitRow) -> String {
    let text = |text: &Option<String>| text.as_deref().map(field).unwrap_or_default();
    format!(
        "{},{},{},{},{},{},{},{},{},{},{}\n",
        row.number,
        row.at_ms,
        row.slot,
        field(&row.visit),
        text(&row.unit),
        field(&row.attempt),
        field(&row.ending),
        text(&row.trouble),
        text(&row.step),
        text(&row.code),
        row.took_ms
    )
}

/// A field as RFC 4180 has it: quoted where it holds a comma, a quote or a line end.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_field_with_a_comma_or_a_quote_is_quoted() {
        for (text, written) in
            [("F-10", "F-10"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("", "")]
        {
            assert_eq!(field(text), written);
        }
    }
}
