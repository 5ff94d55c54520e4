//! One hub over HTTPS: each exchange as a method, each failure as what it means for a station.
//!
//! Owns the requests and their limits. Leaves when to make them to the postman.

use std::error::Error as StdError;
use std::io::Read as _;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;

use crate::state::OfflineReason;
use crate::wire::{self, ANSWER_BYTES_MAX, DOCUMENT_BYTES_MAX, Problem};

/// Header in which a station says what waits there.
const BACKLOG_HEADER: &str = "flashline-backlog";
/// The problem of a station whose certificate is over.
pub(crate) const CERTIFICATE_EXPIRED: &str = "certificate-expired";

/// The problem of a hub that was set back and waits for its stations' records.
pub(crate) const HUB_RECOVERING: &str = "hub-recovering";

/// The largest zstd window accepted: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

const CONNECT_MS_MAX: u64 = 10_000;
const READ_MS_MAX: u64 = 60_000;
const KEEP_ALIVE_MS: u64 = 10_000;
/// How long the hub may hold an idle question open, in seconds.
const LONG_POLL_S: u64 = 25;

/// An exchange with the hub did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// `host:port` makes no URL.
    #[error("making an address of {address:?}")]
    Address {
        /// What was given.
        address: String,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// No connection, or it broke.
    #[error("reaching the hub")]
    Unreachable(#[source] reqwest::Error),
    /// The certificate shown is not from the hub's CA, or not for this address.
    #[error("checking the hub's certificate")]
    HubCertificate(#[source] reqwest::Error),
    /// The hub does not accept the station's certificate.
    #[error("showing the station's certificate to the hub")]
    StationRefused(#[source] Option<reqwest::Error>),
    /// The hub refuses this one exchange.
    #[error("the hub refuses: {kind}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable type of the problem, or empty.
        kind: String,
        /// The hub's words.
        detail: String,
        /// With a journal gap: the record wanted.
        expected: Option<u64>,
        /// With a journal fork: the record that differs.
        seq: Option<u64>,
    },
    /// The hub has a trouble of its own.
    #[error("the hub has a trouble of its own (HTTP {status})")]
    HubTrouble {
        /// HTTP status.
        status: u16,
    },
    /// The answer is not of the shape that was asked for.
    #[error("reading the hub's answer to {what}")]
    NotUnderstood {
        /// What was asked.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl HubError {
    pub(crate) fn reason(&self) -> OfflineReason {
        match self {
            Self::Unreachable(_) => OfflineReason::Unreachable,
            Self::HubCertificate(_) => OfflineReason::HubCertificate,
            Self::StationRefused(_) => OfflineReason::StationRefused,
            Self::HubTrouble { .. } => OfflineReason::HubTrouble,
            Self::Refused { kind, .. } if kind == CERTIFICATE_EXPIRED => {
                OfflineReason::StationRefused
            }
            Self::Refused { kind, .. } if kind == HUB_RECOVERING => OfflineReason::HubTrouble,
            Self::Refused { .. } | Self::NotUnderstood { .. } => OfflineReason::NotUnderstood,
            Self::Address { .. } | Self::Client(_) => OfflineReason::StationTrouble,
        }
    }

    fn of_transport(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(current) = cause {
            match rustls_error(current) {
                Some(rustls::Error::InvalidCertificate(_)) => return Self::HubCertificate(error),
                Some(rustls::Error::AlertReceived(alert)) if refuses_certificate(*alert) => {
                    return Self::StationRefused(Some(error));
                }
                Some(_) | None if is_alert_in_words(current) => {
                    return Self::StationRefused(Some(error));
                }
                Some(_) | None => cause = current.source(),
            }
        }
        Self::Unreachable(error)
    }
}

/// An `io::Error` hides what it carries from `source()`, so look inside it as well.
fn rustls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
        rustls_error(inner)
    })
}

/// HTTP/2 keeps only the kind and the words of an I/O error (h2 0.4). The hub's verdict on the
/// station's certificate comes after the client's side of the handshake, so this is how it shows.
fn is_alert_in_words(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| {
        error.kind() == std::io::ErrorKind::InvalidData
            && error.to_string().starts_with("received fatal alert: ")
    })
}

fn refuses_certificate(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    [
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::UnknownCA,
        Alert::AccessDenied,
        Alert::CertificateRequired,
        Alert::DecryptError,
    ]
    .contains(&alert)
}

fn not_understood<E>(what: &'static str, source: E) -> HubError
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    HubError::NotUnderstood { what, source: source.into() }
}

/// What `GET /v1/documents` says.
pub(crate) enum Listing {
    /// As it was when `known` was given out.
    Unchanged,
    /// The list, and what to give as `known` next time.
    Changed { documents: Vec<wire::Listed>, known: String },
}

/// A connection pool to one hub.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    client: Client,
    base: Url,
}

impl Hub {
    pub(crate) fn new(address: &str, tls: ClientConfig) -> Result<Self, HubError> {
        let base = Url::parse(&format!("https://{address}/v1/"))
            .ok()
            .filter(|url| url.host_str().is_some() && url.username().is_empty())
            .ok_or_else(|| HubError::Address { address: address.to_owned() })?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .read_timeout(Duration::from_millis(READ_MS_MAX))
            .http2_keep_alive_interval(Duration::from_millis(KEEP_ALIVE_MS))
            .http2_keep_alive_timeout(Duration::from_millis(KEEP_ALIVE_MS))
            .user_agent(concat!("flashline-station/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(HubError::Client)?;
        Ok(Self { client, base })
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, HubError> {
        let url =
            self.base.join(path).map_err(|error| not_understood("a document's name", error))?;
        if !url.path().starts_with(self.base.path()) {
            return Err(not_understood("a document's name", "it leads out of the hub's API"));
        }
        Ok(self.client.request(method, url))
    }

    pub(crate) async fn enrol<A: DeserializeOwned>(&self, body: Vec<u8>) -> Result<A, HubError> {
        let request = self
            .request(Method::POST, "enrol")?
            .header("content-type", "application/json")
            .body(body);
        json("the enrolment", request).await
    }

    /// Asks for the list; `backlog` says what waits here.
    pub(crate) async fn documents(
        &self,
        known: Option<&str>,
        backlog: Option<&str>,
    ) -> Result<Listing, HubError> {
        let path = match known {
            Some(known) => format!("documents?known={known}&wait_s={LONG_POLL_S}"),
            None => "documents".to_owned(),
        };
        let mut request = self.request(Method::GET, &path)?;
        if let Some(backlog) = backlog {
            request = request.header(BACKLOG_HEADER, backlog);
        }
        let what = "the list of documents";
        let response = send(request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Listing::Unchanged);
        }
        let known = header(&response, "etag")
            .ok_or_else(|| not_understood(what, "it has no ETag"))?
            .trim_matches('"')
            .to_owned();
        let list: wire::DocumentList = parse(what, &read(what, response, ANSWER_BYTES_MAX).await?)?;
        if list.documents.len() > wire::DOCUMENTS_MAX {
            return Err(not_understood(what, "it is too long"));
        }
        Ok(Listing::Changed { documents: list.documents, known })
    }

    pub(crate) async fn document(&self, name: &str) -> Result<Vec<u8>, HubError> {
        let what = "a document";
        let request = self.request(Method::GET, &format!("documents/{name}"))?;
        let response = send(request.header("accept-encoding", "zstd")).await?;
        let packed = response.headers().get("content-encoding").cloned();
        let bytes = read(what, response, DOCUMENT_BYTES_MAX).await?;
        match packed.as_ref().map(|encoding| encoding.as_bytes()) {
            None => Ok(bytes),
            Some(b"zstd") => unpack(&bytes, DOCUMENT_BYTES_MAX)
                .ok_or_else(|| not_understood(what, "it does not unpack, or is too large")),
            Some(_) => Err(not_understood(what, "it is packed in a way that was not asked for")),
        }
    }

    pub(crate) async fn journal_state(&self, epoch: u32) -> Result<wire::JournalState, HubError> {
        json("the journal's state", self.request(Method::GET, &format!("journal/{epoch}"))?).await
    }

    pub(crate) async fn report(
        &self,
        report: &wire::StationReport,
    ) -> Result<wire::ReportAnswer, HubError> {
        let what = "a report";
        let body = serde_json::to_vec(report).map_err(|error| not_understood(what, error))?;
        let request = self
            .request(Method::POST, "report")?
            .header("content-type", "application/json")
            .body(body);
        json(what, request).await
    }

    pub(crate) async fn push(
        &self,
        epoch: u32,
        push: &wire::JournalPush<'_>,
    ) -> Result<wire::JournalAck, HubError> {
        let what = "a journal range";
        let plain = serde_json::to_vec(push).map_err(|error| not_understood(what, error))?;
        let body =
            zstd::encode_all(plain.as_slice(), 3).map_err(|error| not_understood(what, error))?;
        let request = self
            .request(Method::POST, &format!("journal/{epoch}"))?
            .header("content-type", "application/json")
            .header("content-encoding", "zstd")
            .body(body);
        json(what, request).await
    }

    pub(crate) async fn renew(
        &self,
        request: &wire::CertificateRenewal<'_>,
    ) -> Result<wire::RenewedCertificate, HubError> {
        let what = "the renewal of the certificate";
        let body = serde_json::to_vec(request).map_err(|error| not_understood(what, error))?;
        let request = self
            .request(Method::POST, "renewal")?
            .header("content-type", "application/json")
            .body(body);
        json(what, request).await
    }

    pub(crate) async fn time(&self, nonce: &str) -> Result<wire::SignedStatement, HubError> {
        json("the time", self.request(Method::GET, &format!("time?nonce={nonce}"))?).await
    }

    /// The hub's signed word that this station is revoked.
    pub(crate) async fn revocation(&self) -> Result<wire::SignedStatement, HubError> {
        json("the revocation", self.request(Method::GET, "revocation")?).await
    }

    /// Streams a chunk from `offset` on into `keep`, which says whether it wants more.
    pub(crate) async fn chunk(
        &self,
        sha256: &[u8; 32],
        offset: u64,
        mut keep: impl FnMut(&[u8]) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<(), HubError> {
        let what = "a chunk";
        let mut request = self.request(Method::GET, &format!("chunks/{}", hex::encode(sha256)))?;
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        let response = send(request).await?;
        let ranged = response.status() == StatusCode::PARTIAL_CONTENT;
        let starts = header(&response, "content-range")
            .is_some_and(|range| range.starts_with(&format!("bytes {offset}-")));
        if (offset > 0) != ranged || (ranged && !starts) {
            return Err(not_understood(what, "it is not the range that was asked for"));
        }
        let mut stream = response.bytes_stream();
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(HubError::of_transport)?;
            keep(&bytes).map_err(|source| HubError::NotUnderstood { what, source })?;
        }
        Ok(())
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn parse<A: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<A, HubError> {
    serde_json::from_slice(bytes).map_err(|error| not_understood(what, error))
}

async fn json<A: DeserializeOwned>(
    what: &'static str,
    request: RequestBuilder,
) -> Result<A, HubError> {
    parse(what, &read(what, send(request).await?, ANSWER_BYTES_MAX).await?)
}

/// Sends, and turns everything but success and 304 into what it means.
async fn send(request: RequestBuilder) -> Result<Response, HubError> {
    let response = request.send().await.map_err(HubError::of_transport)?;
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let body = read("a refusal", response, ANSWER_BYTES_MAX).await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    if problem.kind == "certificate-refused" {
        return Err(HubError::StationRefused(None));
    }
    if status.is_server_error() {
        return Err(HubError::HubTrouble { status: status.as_u16() });
    }
    Err(HubError::Refused {
        status: status.as_u16(),
        kind: problem.kind,
        detail: problem.detail.unwrap_or_default(),
        expected: problem.expected,
        seq: problem.seq,
    })
}

/// At most `bytes_max` bytes, or nothing.
fn unpack(packed: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut decoder = zstd::Decoder::with_buffer(packed).ok()?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
    let mut plain = Vec::new();
    decoder.take(bytes_max as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= bytes_max).then_some(plain)
}

async fn read(
    what: &'static str,
    response: Response,
    bytes_max: usize,
) -> Result<Vec<u8>, HubError> {
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(HubError::of_transport)?;
        if body.len() + bytes.len() > bytes_max {
            return Err(not_understood(what, "it is too large"));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}
