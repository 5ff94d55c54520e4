//! A hub on its two listeners: stations by mutual TLS 1.3, people by TLS and token.
//!
//! Owns sockets, handshakes, limits on connections and the orderly end. Leaves every answer to the
//! two APIs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::ca::CaError;
use crate::client_certificate::{Enduring, HubTime};
use crate::digest::sha256;
use crate::hub::{Hub, HubError};
use crate::refusal::chain;
use crate::server_certificate::OwnCertificate;
use crate::station_api::Peer;
use crate::{admin_api, station_api};

const HANDSHAKE_MS_MAX: u64 = 10_000;
const HEADERS_MS_MAX: u64 = 10_000;
const CONNECTIONS_MAX: usize = 4096;
const STREAMS_MAX: u32 = 64;
const STOP_MS_MAX: u64 = 5_000;
/// How often old records are looked for.
const LET_GO_EVERY: Duration = Duration::from_secs(60 * 60);

/// Where to listen.
#[derive(Debug, Clone)]
pub struct ServeWith {
    /// For stations; port 0 takes a free one.
    pub station_listen: SocketAddr,
    /// For people; port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// `host:port` that enrolment codes name; where stations are listened for when absent.
    pub station_address: Option<String>,
}

/// A hub cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A sealed key does not open.
    #[error("opening the hub's keys")]
    Hub(#[from] HubError),
    /// The server certificate.
    #[error("making the hub's server certificate")]
    Ca(#[from] CaError),
    /// TLS refuses what was made.
    #[error("setting up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address is taken or not ours.
    #[error("listening on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A hub that serves.
pub struct Serving {
    /// Where stations are listened for.
    pub station: SocketAddr,
    /// Where people are listened for.
    pub admin: SocketAddr,
    hub: Arc<Hub>,
    listeners: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Ends in order: no new connections, waits are answered, requests in progress are finished
    /// within five seconds, the store is closed.
    pub async fn stop(self) {
        self.hub.stop();
        for listener in self.listeners {
            // A listener that panicked has nothing left to end.
            let _ = listener.await;
        }
        if let Err(error) = self.hub.store.close().await {
            tracing::error!(error = %chain(&error), "closing the store failed");
        }
    }
}

/// Serves a hub on both listeners.
///
/// # Errors
/// [`ServeError`]; nothing is listened on then.
pub async fn serve(hub: Hub, with: &ServeWith) -> Result<Serving, ServeError> {
    hub.open_every_key().await?;
    hub.let_old_records_go().await?;
    let hub = Arc::new(hub);
    let (station_tls, admin_tls) = tls(&hub)?;
    let (station_listener, station) = listen(with.station_listen).await?;
    let (admin_listener, admin) = listen(with.admin_listen).await?;
    hub.serve_stations_at(with.station_address.clone().unwrap_or_else(|| station.to_string()));

    let stations =
        accept(hub.clone(), station_listener, station_tls, station_api::router(hub.clone()));
    let people = accept(hub.clone(), admin_listener, admin_tls, admin_api::router(hub.clone()));
    let listeners =
        vec![tokio::spawn(stations), tokio::spawn(people), tokio::spawn(let_go(hub.clone()))];
    Ok(Serving { station, admin, hub, listeners })
}

/// Lets old records go, once an hour.
async fn let_go(hub: Arc<Hub>) {
    let mut stopping = hub.watch_stopping();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LET_GO_EVERY) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if let Err(error) = hub.let_old_records_go().await {
            tracing::error!(error = %chain(&error), "old records were not let go");
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    Ok((listener, real))
}

fn tls(hub: &Arc<Hub>) -> Result<(TlsAcceptor, TlsAcceptor), ServeError> {
    let refused = |error: rustls::Error| ServeError::Tls(Box::new(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(hub.authority.certificate().clone()).map_err(refused)?;
    // Enrolment comes without a certificate; the station API refuses every other route then.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| ServeError::Tls(Box::new(error)))?;
    let verifier = Arc::new(Enduring { chain: verifier });
    let own = Arc::new(OwnCertificate::new(hub.clone())?);
    let builder = || {
        let time = Arc::new(HubTime(hub.clone()));
        rustls::ServerConfig::builder_with_details(provider.clone(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)
    };
    let alpn = || vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut station =
        builder()?.with_client_cert_verifier(verifier).with_cert_resolver(own.clone());
    station.alpn_protocols = alpn();
    let mut admin = builder()?.with_no_client_auth().with_cert_resolver(own);
    admin.alpn_protocols = alpn();
    Ok((TlsAcceptor::from(Arc::new(station)), TlsAcceptor::from(Arc::new(admin))))
}

async fn accept(hub: Arc<Hub>, listener: TcpListener, tls: TlsAcceptor, router: Router) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopping = hub.watch_stopping();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((socket, from)) = accepted else {
            // Out of file descriptors, or the caller is gone already: the others go on.
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(%from, "connection refused: too many");
            continue;
        };
        let (tls, router, watcher) = (tls.clone(), router.clone(), graceful.watcher());
        connections.spawn(async move {
            if let Err(error) = connection(socket, tls, router, watcher).await {
                tracing::debug!(%from, error = %chain(&*error), "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    let ended = tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), graceful.shutdown());
    if ended.await.is_err() {
        tracing::warn!("stopped before every connection had ended");
    }
    connections.shutdown().await;
}

async fn connection(
    socket: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    socket.set_nodelay(true)?;
    let handshake = tls.accept(socket);
    let stream = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS_MAX), handshake).await??;
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = Peer(peer.map(|certificate| sha256(certificate)));
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEADERS_MS_MAX));
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    watcher.watch(connection).await
}
