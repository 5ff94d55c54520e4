//! The kiosk page's files, from a folder or from inside the program.

use std::path::{Component, Path};

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use super::Api;

/// The built page, if it was built before the program.
#[derive(Embed)]
#[folder = "../ui/kiosk/dist"]
#[allow_missing = true]
struct Built;

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Flashline</title><h1>Flashline</h1><p>The station runs. Its kiosk page is not built: \
    run <code>npm run build</code> in <code>ui/</code>, or start the daemon with \
    <code>--ui FOLDER</code>.</p></html>\n";

/// Answers everything that is not the API: a file of the page, or the page itself.
pub(super) async fn serve(State(api): State<Api>, method: Method, uri: Uri) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || !(path.is_empty() || plain(path)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    // A path without an ending is a screen of the page (`/gallery`), not a file.
    let path = if Path::new(path).extension().is_none() { "index.html" } else { path };
    let found = match &api.page_folder {
        Some(folder) => tokio::fs::read(folder.join(path)).await.ok(),
        None => Built::get(path).map(|file| file.data.into_owned()),
    };
    match found {
        Some(bytes) => ([(header::CONTENT_TYPE, media_type(path))], bytes).into_response(),
        None if path == "index.html" => {
            ([(header::CONTENT_TYPE, media_type(path))], NOT_BUILT).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Whether a path stays below its folder.
fn plain(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn media_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json" | "webmanifest") => "application/json",
        Some("wav") => "audio/wav",
        Some("ogg") => "audio/ogg",
        Some("mp3") => "audio/mpeg",
        _ => "application/octet-stream",
    }
}
