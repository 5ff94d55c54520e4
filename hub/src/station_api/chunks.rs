//! Sealed chunks by digest, whole or from somewhere on.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{ProblemType, Sha256};

use super::Caller;
use crate::hub::Hub;
use crate::refusal::Refusal;

pub(super) async fn chunk(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let missing = || Refusal::of(ProblemType::NotFound);
    let digest: Sha256 = digest.parse().map_err(|_| missing())?;
    if !hub.store.has_chunk(&caller.scope, &digest).await? {
        return Err(missing());
    }
    let blobs = hub.blobs.clone();
    let bytes = tokio::task::spawn_blocking(move || blobs.read(&digest))
        .await
        .map_err(|error| Refusal::internal(&error))?
        // A chunk that rotted on the hub's disk is the hub's trouble, not a malformed request.
        .map_err(|error| Refusal::internal(&error))?
        .ok_or_else(missing)?;
    let whole = bytes.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let mut response = match asked.and_then(bounds) {
        None => (StatusCode::OK, bytes).into_response(),
        Some((from, to)) => {
            let to = to.map_or(whole, |last| last.saturating_add(1).min(whole));
            if from >= to {
                return Err(Refusal::of(ProblemType::RangeNotSatisfiable));
            }
            let range = format!("bytes {from}-{}/{whole}", to - 1);
            let part = bytes[from..to].to_vec();
            let mut response = (StatusCode::PARTIAL_CONTENT, part).into_response();
            if let Ok(range) = HeaderValue::from_str(&range) {
                response.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable"),
    );
    Ok(response)
}

/// First and last byte of `bytes=first-` or `bytes=first-last`; any other form is ignored, as HTTP
/// allows, and the whole chunk is sent.
fn bounds(range: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn only_one_plain_range_is_understood() {
        for (range, expected) in [
            ("bytes=0-", Some((0, None))),
            ("bytes=5-9", Some((5, Some(9)))),
            ("bytes=-5", None),
            ("bytes=1-2,4-5", None),
            ("items=1-2", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(bounds(range), expected, "{range}");
        }
    }
}
