//! A hub that answers by script, and a station that remembers what it was given.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use sync::{
    ArrivedDocument, BackOff, BulkWindows, DocumentSink, HubState, JournalHead, JournalRange,
    JournalRefusal, JournalSource, Nudge, PartyError, Postman, PostmanConfig, WantedChunk,
};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(60);

/// What was asked of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `GET /v1/documents`, without the query.
    pub(crate) what: String,
    pub(crate) query: String,
    pub(crate) range: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What the hub says.
pub(crate) struct Said(pub(crate) u16, pub(crate) Vec<(&'static str, String)>, pub(crate) Vec<u8>);

impl Said {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self(200, vec![], value.to_string().into_bytes())
    }

    pub(crate) fn problem(status: u16, problem: &serde_json::Value) -> Self {
        Self(status, vec![], problem.to_string().into_bytes())
    }
}

type Script = Box<dyn FnMut(&Asked) -> Said + Send>;

/// A hub that follows a script, and everything that was asked of it.
pub(crate) struct ScriptedHub {
    pub(crate) address: SocketAddr,
    ca_pem: String,
    station_pem: String,
    station_key: String,
    /// When chunks may flow, and the clock on the wall.
    pub(crate) bulk: BulkWindows,
    pub(crate) clock: Arc<Mutex<DateTime<FixedOffset>>>,
    pub(crate) asked: watch::Sender<Vec<Asked>>,
    /// Station time.
    pub(crate) station_ms: Arc<AtomicI64>,
}

impl ScriptedHub {
    pub(crate) async fn saying(script: impl FnMut(&Asked) -> Said + Send + 'static) -> Self {
        // rcgen's own: for ever.
        Self::certified_for(1975..4096, script).await
    }

    /// One whose server certificate is good in these years.
    pub(crate) async fn certified_for(
        years: Range<i32>,
        script: impl FnMut(&Asked) -> Said + Send + 'static,
    ) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let make = || {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.not_before = date_time_ymd(years.start, 1, 1);
            params.not_after = date_time_ymd(years.end, 1, 1);
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, server_key) = make();
        let (station, station_key) = make();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![server.der().clone()],
            PrivatePkcs8KeyDer::from(server_key.serialize_der()).into(),
        )
        .unwrap();
        let listener =
            TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await.unwrap();
        let hub = Self {
            address: listener.local_addr().unwrap(),
            ca_pem: ca_certificate.pem(),
            station_pem: station.pem(),
            station_key: station_key.serialize_pem(),
            bulk: BulkWindows::default(),
            clock: Arc::new(Mutex::new(
                DateTime::parse_from_rfc3339("2026-11-20T12:00:00+08:00").unwrap(),
            )),
            asked: watch::Sender::new(Vec::new()),
            station_ms: Arc::new(AtomicI64::new(1_764_000_000_000)),
        };
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), script, hub.asked.clone()));
        hub
    }

    /// A postman of this hub.
    pub(crate) fn station(&self, staging: &Path, party: Party) -> Round {
        let config = PostmanConfig {
            hub: self.address.to_string(),
            ca_pem: self.ca_pem.clone(),
            certificate_pem: self.station_pem.clone(),
            key_pem: self.station_key.clone().into(),
            staging: staging.to_owned(),
            back_off: BackOff { first_ms: 10, cap_ms: 50 },
            jitter: Box::new(|below| below / 2),
            bulk: self.bulk.clone(),
            wall_clock: {
                let clock = self.clock.clone();
                Box::new(move || *clock.lock().unwrap())
            },
            station_time: {
                let clock = self.station_ms.clone();
                Box::new(move || clock.load(Ordering::SeqCst))
            },
        };
        let party = Arc::new(party);
        let told = party.clone();
        let on_state = Box::new(move |state| told.seen.send_modify(|seen| seen.states.push(state)));
        let (postman, nudge) =
            Postman::new(config, party.clone(), party.clone(), on_state).unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(postman.run(async {
            let _: Result<(), _> = stopped.await;
        }));
        Round { party, nudge, stop, task }
    }

    pub(crate) async fn until_asked(&self, what: &str, holds: impl Fn(&[Asked]) -> bool) {
        let mut asked = self.asked.subscribe();
        let waited = tokio::time::timeout(PATIENCE, asked.wait_for(|asked| holds(asked))).await;
        assert!(waited.is_ok(), "never asked: {what}");
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|asked| asked.what.clone()).collect()
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    script: Arc<Mutex<Script>>,
    log: watch::Sender<Vec<Asked>>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, script, log) = (tls.clone(), script.clone(), log.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(socket).await else { return };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (script, log) = (script.clone(), log.clone());
                async move { Ok::<_, Infallible>(answer(request, &script, &log).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: &Mutex<Script>,
    log: &watch::Sender<Vec<Asked>>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let asked = Asked {
        what: format!("{} {}", parts.method, parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        range: parts.headers.get("range").map(|range| range.to_str().unwrap().to_owned()),
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    };
    let waits = asked.query.contains("wait_s");
    log.send_modify(|log| log.push(asked.clone()));
    if waits {
        // Nothing new ever: the postman is left waiting until it is nudged.
        std::future::pending::<()>().await;
    }
    let Said(status, headers, body) = script.lock().unwrap()(&asked);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::from(body)).unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    digest
}

pub(crate) fn hex(digest: [u8; 32]) -> String {
    hex::encode(digest)
}

/// The list of these documents, truthfully.
pub(crate) fn listing(documents: &[(&str, &[u8])]) -> Said {
    let documents: Vec<_> = documents
        .iter()
        .map(|(name, bytes)| json!({ "name": name, "etag": hex(sha256(bytes)) }))
        .collect();
    let body = json!({ "documents": documents }).to_string();
    let etag = format!("\"{}\"", hex(sha256(body.as_bytes())));
    Said(200, vec![("etag", etag)], body.into_bytes())
}

pub(crate) fn no_journal() -> Said {
    Said::json(&json!({ "epoch": 1, "size": 0, "cosigned": null, "forked": false }))
}

/// What the station was given, to be waited for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) states: Vec<HubState>,
    pub(crate) acknowledged: Vec<(u64, String)>,
    pub(crate) refusals: Vec<JournalRefusal>,
    pub(crate) sets: Vec<(Vec<String>, Vec<String>)>,
    pub(crate) etags: BTreeMap<String, String>,
    pub(crate) chunks: BTreeMap<[u8; 32], Vec<u8>>,
}

/// A station's journal and shelf.
pub(crate) struct Party {
    pub(crate) records: Mutex<Vec<String>>,
    pub(crate) wanted: Mutex<Vec<WantedChunk>>,
    pub(crate) seen: watch::Sender<Seen>,
    /// How many calls of `head` still fail.
    pub(crate) troubles: Mutex<u32>,
    /// Station time, which the hub may set.
    pub(crate) station_ms: Option<Arc<AtomicI64>>,
}

impl Party {
    pub(crate) fn with(records: usize, wanted: Vec<WantedChunk>) -> Self {
        let records = (0..records).map(|number| format!("record {number}")).collect();
        Self {
            records: Mutex::new(records),
            wanted: Mutex::new(wanted),
            seen: watch::Sender::new(Seen::default()),
            troubles: Mutex::new(0),
            station_ms: None,
        }
    }
}

impl JournalSource for Party {
    fn head(&self) -> Result<JournalHead, PartyError> {
        let mut troubles = self.troubles.lock().unwrap();
        if *troubles > 0 {
            *troubles -= 1;
            return Err("the disk is full".into());
        }
        Ok(JournalHead { epoch: 1, size: self.records.lock().unwrap().len() as u64 })
    }

    fn range(
        &self,
        _epoch: u32,
        from: u64,
        records_max: usize,
        _bytes_max: usize,
    ) -> Result<JournalRange, PartyError> {
        let records = self.records.lock().unwrap();
        let from = from as usize;
        let to = records.len().min(from + records_max);
        let checkpoint = format!("checkpoint {to}");
        Ok(JournalRange { records: records[from..to].to_vec(), checkpoint })
    }

    fn acknowledged(&self, _epoch: u32, size: u64, cosigned: &str) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| seen.acknowledged.push((size, cosigned.to_owned())));
        Ok(())
    }

    fn refused(&self, _epoch: u32, refusal: &JournalRefusal) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| seen.refusals.push(refusal.clone()));
        Ok(())
    }
}

impl DocumentSink for Party {
    fn etags(&self) -> Result<BTreeMap<String, String>, PartyError> {
        Ok(self.seen.borrow().etags.clone())
    }

    fn store(&self, arrived: Vec<ArrivedDocument>, gone: Vec<String>) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| {
            for document in &arrived {
                assert_eq!(hex(sha256(&document.bytes)), document.etag);
                seen.etags.insert(document.name.clone(), document.etag.clone());
            }
            for name in &gone {
                seen.etags.remove(name);
            }
            seen.sets.push((arrived.into_iter().map(|document| document.name).collect(), gone));
        });
        Ok(())
    }

    fn chunks_wanted(&self) -> Result<Vec<WantedChunk>, PartyError> {
        let seen = self.seen.borrow();
        let wanted = self.wanted.lock().unwrap();
        Ok(wanted.iter().filter(|c| !seen.chunks.contains_key(&c.sha256)).copied().collect())
    }

    fn time_nonce(&self) -> Option<String> {
        self.station_ms.as_ref().map(|_| "c0ffee".to_owned())
    }

    fn hub_time(&self, payload: &str, signature: &str) -> Result<(), PartyError> {
        if signature != "signed" {
            return Err("not signed".into());
        }
        let clock = self.station_ms.as_ref().ok_or("nobody asked")?;
        clock.store(payload.parse()?, Ordering::SeqCst);
        Ok(())
    }

    fn store_chunk(&self, digest: [u8; 32], bytes: Vec<u8>) -> Result<(), PartyError> {
        assert_eq!(sha256(&bytes), digest);
        self.seen.send_modify(|seen| {
            seen.chunks.insert(digest, bytes);
        });
        Ok(())
    }
}

/// A postman at work.
pub(crate) struct Round {
    pub(crate) party: Arc<Party>,
    pub(crate) nudge: Nudge,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Round {
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.party.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| holds(seen))).await;
        match waited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("never: {what}; seen: {:?}", self.party.seen.borrow()),
        }
    }

    pub(crate) async fn end(self) -> Seen {
        let _ = self.stop.send(());
        self.task.await.unwrap();
        self.party.seen.borrow().clone()
    }
}
