//! Who may talk to the station over loopback: a page that was let in by its nonce.
//!
//! Owns the nonce file, the cookie and the checks of Host and Origin. A cookie is a screen, not a
//! role: it opens what stands on the screen. What a lead or IT does there needs their badge and PIN.
//!
//! Promise: a nonce works once; the next one is written to the file before the first is answered,
//! so a restarted window finds a working one.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::rand::{SecureRandom, SystemRandom};

use crate::platform::replace_file;

/// Name of the cookie a screen shows.
pub const COOKIE: &str = "flashline_screen";
/// Screens remembered at once; the oldest is forgotten first.
const SCREENS_MAX: usize = 32;
/// Nothing is loaded from elsewhere, nothing inline runs, nobody frames the page.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; media-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// Nonces and cookies of one daemon.
pub struct Guard {
    entry_file: PathBuf,
    address: SocketAddr,
    state: Mutex<Admissions>,
}

#[derive(Default)]
struct Admissions {
    nonce: String,
    cookies: Vec<String>,
}

impl Guard {
    /// Writes the first entry address to `entry_file` (mode 0600).
    ///
    /// # Errors
    /// When the file cannot be written or the system has no randomness.
    pub fn open(entry_file: PathBuf, address: SocketAddr) -> io::Result<Self> {
        let guard = Self { entry_file, address, state: Mutex::default() };
        let nonce = token()?;
        guard.publish(&nonce)?;
        guard.lock().nonce = nonce;
        Ok(guard)
    }

    /// The cookie header for a nonce that was never shown before.
    pub fn admit(&self, nonce: &str) -> Option<String> {
        let mut state = self.lock();
        if !same(&state.nonce, nonce) {
            return None;
        }
        let next = token().ok()?;
        self.publish(&next).ok()?;
        state.nonce = next;
        let cookie = token().ok()?;
        if state.cookies.len() >= SCREENS_MAX {
            state.cookies.remove(0);
        }
        let header = format!("{COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/");
        state.cookies.push(cookie);
        Some(header)
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let state = self.lock();
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == COOKIE)
            .any(|(_, value)| state.cookies.iter().any(|known| same(known, value)))
    }

    fn publish(&self, nonce: &str) -> io::Result<()> {
        let line = format!("http://{}/enter?nonce={nonce}\n", self.address);
        replace_file(&self.entry_file, line.as_bytes())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Admissions> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Thirty-two hexadecimal digits nobody can guess.
fn token() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gave no randomness"))?;
    Ok(hex::encode(bytes))
}

/// Compares without telling by its time how much was right.
fn same(known: &str, shown: &str) -> bool {
    known.len() == shown.len()
        && !known.is_empty()
        && known.bytes().zip(shown.bytes()).fold(0_u8, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// Names a caller may use for this listener.
#[derive(Debug)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// The names of a loopback listener at `address`.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let port = address.port();
        Self([address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}")].into())
    }

    fn accept(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
        let host = text(header::HOST).is_some_and(|host| self.0.contains(host));
        let origin = text(header::ORIGIN).is_none_or(|origin| {
            origin.strip_prefix("http://").is_some_and(|host| self.0.contains(host))
        });
        host && origin
    }
}

/// Refuses a request that names another host or comes from another origin.
pub async fn need_own_host(
    State(hosts): State<Arc<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    if hosts.accept(request.headers()) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

/// Refuses a request without a screen's cookie.
pub async fn need_cookie(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    if guard.knows(request.headers()) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// Adds what every answer carries.
pub async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}
