//! The postman's round: revocations, journal, documents, chunks, then wait for news.
//!
//! Owns the order and the waiting. One task, no shared state: the journal's cursor is asked from
//! the hub at every connection, so the postman remembers nothing that could be wrong.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset};
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::digest::sha256;
use crate::hub::{CERTIFICATE_EXPIRED, HUB_RECOVERING, Hub, HubError, Listing};
use crate::parties::{
    ArrivedDocument, DocumentSink, JournalRefusal, JournalSource, NextCertificate, PartyError,
    WantedChunk,
};
use crate::staging::{Staging, StagingError};
use crate::state::{BackOff, HubState, OfflineReason, Pace};
use crate::tls::{self, Judge, StationTime, TlsError};
use crate::window::BulkWindows;
use crate::wire::{
    self, PUSH_BYTES_MAX, PUSH_RECORDS_MAX, PUSH_WHOLE_BYTES_MAX, PUSH_WHOLE_RECORDS_MAX,
};

const REVOCATIONS: &str = "revocations";
/// A hub that keeps asking for another beginning is not believed for ever.
const GAPS_MAX: u32 = 4;

/// What a postman needs to know.
pub struct PostmanConfig {
    /// `host:port` of the hub's station listener.
    pub hub: String,
    /// Certificate of the hub's CA.
    pub ca_pem: String,
    /// The station's certificate.
    pub certificate_pem: String,
    /// The key of that certificate.
    pub key_pem: Zeroizing<String>,
    /// Folder for half-fetched chunks; may be deleted between runs.
    pub staging: PathBuf,
    /// Waits between failures.
    pub back_off: BackOff,
    /// A random number below its argument.
    pub jitter: Jitter,
    /// When chunks may be fetched.
    pub bulk: BulkWindows,
    /// The wall clock with the station's time zone, for those windows.
    pub wall_clock: WallClock,
    /// Station time, by which the hub's certificate is judged.
    pub station_time: StationTime,
}

/// Says what a clock on the wall shows.
pub type WallClock = Box<dyn Fn() -> DateTime<FixedOffset> + Send + Sync>;

/// A source of random numbers: each below the argument.
pub type Jitter = Box<dyn FnMut(u64) -> u64 + Send + Sync>;

/// The postman cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PostmanError {
    /// Certificate, key or CA cannot be used.
    #[error("preparing the connection to the hub")]
    Tls(#[from] TlsError),
    /// The hub's address or the HTTP client cannot be used.
    #[error("preparing requests to the hub")]
    Hub(#[from] HubError),
    /// No place for half-fetched chunks.
    #[error("preparing the staging of chunks")]
    Staging(#[from] StagingError),
}

/// Tells the postman that there is something new to carry. Cheap; from any thread; many nudges
/// before he looks are one.
#[derive(Debug, Clone)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// There is something new.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("an exchange with the hub failed")]
    Hub(#[from] HubError),
    #[error("the station's own store failed")]
    Party(#[source] PartyError),
    #[error("staging a chunk failed")]
    Staging(#[from] StagingError),
    #[error("the renewed certificate cannot be used")]
    Tls(#[from] TlsError),
}

impl RoundError {
    fn reason(&self) -> OfflineReason {
        match self {
            Self::Hub(error) => error.reason(),
            Self::Party(_) | Self::Staging(_) => OfflineReason::StationTrouble,
            Self::Tls(_) => OfflineReason::NotUnderstood,
        }
    }
}

/// Carries between one station and its hub until told to stop.
pub struct Postman {
    hub: Hub,
    address: String,
    ca_pem: String,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
    judge: Arc<Judge>,
    journal: Arc<dyn JournalSource>,
    documents: Arc<dyn DocumentSink>,
    staging: Staging,
    on_state: Box<dyn Fn(HubState) + Send + Sync>,
    state: HubState,
    nudged: Arc<Notify>,
    /// Held by the call to a party that is in progress.
    asking: Arc<Mutex<()>>,
    pace: Pace,
    jitter: Jitter,
    /// Records the hub holds, of which epoch; unknown after a broken connection.
    cursor: Option<(u32, u64)>,
    /// The journal the hub takes no further.
    closed_epoch: Option<u32>,
    /// The journal the hub keeps as a branch beside another one.
    parted_epoch: Option<u32>,
    /// Chunks the hub does not have, until its documents change.
    missing: BTreeSet<[u8; 32]>,
    bulk: BulkWindows,
    wall_clock: WallClock,
    /// Chunks wait for their window to open.
    bulk_waits: bool,
}

impl Postman {
    /// Prepares a postman; nothing is sent before [`Postman::run`].
    ///
    /// # Errors
    /// [`PostmanError`] when certificate, address or staging cannot be used.
    pub fn new(
        config: PostmanConfig,
        journal: Arc<dyn JournalSource>,
        documents: Arc<dyn DocumentSink>,
        on_state: Box<dyn Fn(HubState) + Send + Sync>,
    ) -> Result<(Self, Nudge), PostmanError> {
        let judge = Arc::new(Judge::by(config.station_time));
        let tls = tls::mutual(&config.ca_pem, &config.certificate_pem, &config.key_pem, &judge)?;
        let nudged = Arc::new(Notify::new());
        let postman = Self {
            hub: Hub::new(&config.hub, tls)?,
            address: config.hub,
            ca_pem: config.ca_pem,
            certificate_pem: config.certificate_pem,
            key_pem: config.key_pem,
            judge,
            journal,
            documents,
            staging: Staging::open(&config.staging)?,
            on_state,
            state: HubState::Connecting,
            nudged: nudged.clone(),
            asking: Arc::new(Mutex::new(())),
            pace: Pace::new(config.back_off),
            jitter: config.jitter,
            cursor: None,
            closed_epoch: None,
            parted_epoch: None,
            missing: BTreeSet::new(),
            bulk: config.bulk,
            wall_clock: config.wall_clock,
            bulk_waits: false,
        };
        Ok((postman, Nudge(nudged)))
    }

    /// Carries until `shutdown` is ready. Never gives up before. When it returns, no call to the
    /// journal or the documents is in progress and none will come.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        (self.on_state)(self.state);
        tokio::select! {
            () = shutdown => {}
            never = self.rounds() => match never {},
        }
        // A call may still be on its blocking thread.
        drop(self.asking.lock().await);
    }

    async fn rounds(&mut self) -> Infallible {
        // Since when exchanges go well.
        let mut good: Option<Instant> = None;
        loop {
            // A round, then the long poll: either may find the hub gone.
            let ended = match self.round().await {
                Ok(known) => {
                    good.get_or_insert_with(Instant::now);
                    self.wait_for_news(&known).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                if matches!(&error, RoundError::Hub(HubError::StationRefused(None))) {
                    self.ask_whether_revoked().await;
                }
                self.cursor = None;
                let stood = good.take().map_or(0, |since| since.elapsed().as_millis());
                let stood_ms = u64::try_from(stood).unwrap_or(u64::MAX);
                let wait_ms = self.pace.failed(stood_ms, &mut *self.jitter);
                let failures = self.pace.failures();
                tracing::info!(failures, wait_ms, error = %chain(&error), "hub exchange failed");
                self.show(HubState::Offline(error.reason()));
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
        }
    }

    /// A hub that refuses the station may have turned it away, or have lost its memory: only its
    /// signed word counts, and the station judges that.
    async fn ask_whether_revoked(&mut self) {
        let told = match self.hub.revocation().await {
            Ok(statement) => {
                self.party(move |_, documents| {
                    documents.revoked(&statement.payload, &statement.signature)
                })
                .await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = told {
            tracing::info!(error = %chain(&error), "refused, and no revocation that counts");
        }
    }

    fn show(&mut self, state: HubState) {
        if self.state != state {
            self.state = state;
            (self.on_state)(state);
        }
    }

    /// Everything once, in the order of the lanes; returns what the hub's list is known by.
    async fn round(&mut self) -> Result<String, RoundError> {
        if self.cursor.is_none() {
            // First of all: whether a certificate is over is judged by this time.
            self.carry_time().await?;
        }
        self.renew().await?;
        let backlog = self.party(|_, documents| documents.backlog()).await?;
        let listing = match self.hub.documents(None, backlog.as_deref()).await {
            Err(HubError::Refused { kind, status, detail, expected, seq })
                if kind == CERTIFICATE_EXPIRED || kind == HUB_RECOVERING =>
            {
                // The records may still go up.
                self.carry_journal().await?;
                Err(HubError::Refused { kind, status, detail, expected, seq })
            }
            listing => listing,
        };
        let Listing::Changed { documents: listed, known } = listing? else {
            return Err(RoundError::Hub(HubError::NotUnderstood {
                what: "the list of documents",
                source: "an unchanged list that was never given".into(),
            }));
        };
        self.show(HubState::Online);

        let held = self.party(|_, documents| documents.etags()).await?;
        let changed = |document: &&wire::Listed| held.get(&document.name) != Some(&document.etag);
        let (first, then): (Vec<_>, Vec<_>) =
            listed.iter().filter(changed).partition(|document| document.name == REVOCATIONS);

        if !first.is_empty() {
            let arrived = self.fetch(&first).await?;
            self.party(move |_, documents| documents.store(arrived, Vec::new())).await?;
        }
        self.carry_journal().await?;
        let gone: Vec<String> = held
            .keys()
            .filter(|name| !listed.iter().any(|document| document.name == **name))
            .cloned()
            .collect();
        if !then.is_empty() || !gone.is_empty() {
            let arrived = self.fetch(&then).await?;
            self.party(move |_, documents| documents.store(arrived, gone)).await?;
            self.missing.clear();
        }
        self.carry_chunks().await?;
        Ok(known)
    }

    /// Renews the station's certificate when it is due. A hub that will not is asked again at the
    /// next round: the certificate is good for a third of its life yet, or over and of some use.
    async fn renew(&mut self) -> Result<(), RoundError> {
        let Some(tls_csr_pem) = self.party(|_, documents| documents.renewal()).await? else {
            return Ok(());
        };
        let request = wire::CertificateRenewal { tls_csr_pem: &tls_csr_pem };
        let next = match self.hub.renew(&request).await {
            Err(error @ HubError::Refused { .. }) => {
                tracing::warn!(error = %chain(&error), "the hub does not renew the certificate");
                return Ok(());
            }
            answer => answer?,
        };
        let (certificate_pem, from_ms, not_after_ms) =
            (next.certificate_pem, next.from_ms, next.not_after_ms);
        // A certificate that does not go with the key is refused here, before it replaces one.
        let hub = self.connected_with(&certificate_pem)?;
        let next =
            NextCertificate { certificate_pem: certificate_pem.clone(), from_ms, not_after_ms };
        self.party(move |_, documents| documents.renewed(&next)).await?;
        tracing::info!(not_after_ms, "the station's certificate is renewed");
        self.hub = hub;
        self.certificate_pem = certificate_pem;
        Ok(())
    }

    fn connected_with(&self, certificate_pem: &str) -> Result<Hub, RoundError> {
        let tls = tls::mutual(&self.ca_pem, certificate_pem, &self.key_pem, &self.judge)?;
        Ok(Hub::new(&self.address, tls)?)
    }

    /// Returns when the hub's list changed, somebody nudged, chunks may flow that had to wait, or
    /// the hub ended the wait.
    async fn wait_for_news(&mut self, known: &str) -> Result<(), RoundError> {
        let nudged = self.nudged.clone();
        let backlog = self.party(|_, documents| documents.backlog()).await?;
        let opening = self.bulk.wait((self.wall_clock)());
        tokio::select! {
            () = nudged.notified() => Ok(()),
            () = tokio::time::sleep(opening), if self.bulk_waits => Ok(()),
            answer = self.hub.documents(Some(known), backlog.as_deref()) => { answer?; Ok(()) }
        }
    }

    async fn carry_time(&mut self) -> Result<(), RoundError> {
        if let Some(nonce) = self.party(|_, documents| Ok(documents.time_nonce())).await? {
            let statement = self.hub.time(&nonce).await?;
            self.party(move |_, documents| {
                documents.hub_time(&statement.payload, &statement.signature)
            })
            .await?;
            if self.judge.time_is_proven() {
                // The certificate was out of its time by a clock that is right now: once more.
                self.hub = self.connected_with(&self.certificate_pem)?;
            }
        }
        Ok(())
    }

    async fn carry_journal(&mut self) -> Result<(), RoundError> {
        let mut gaps = 0;
        loop {
            let head = self.party(|journal, _| journal.head()).await?;
            if self.closed_epoch == Some(head.epoch) {
                return Ok(());
            }
            let from = match self.cursor {
                Some((epoch, size)) if epoch == head.epoch => size,
                _ => {
                    let state = self.report(head.epoch).await?;
                    let newest = state.newest_epoch;
                    self.party(move |journal, _| journal.newest_epoch(newest)).await?;
                    if let Some(note) = state.cosigned {
                        self.acknowledge(head.epoch, state.size, note).await?;
                    }
                    let parts = self.party(move |journal, _| journal.branch_from(head.epoch));
                    parts.await?.unwrap_or(state.size)
                }
            };
            self.cursor = Some((head.epoch, from));
            if from >= head.size {
                // What the hub said may have made another journal the one to carry.
                let now = self.party(|journal, _| journal.head()).await?;
                if now.epoch == head.epoch {
                    return Ok(());
                }
                continue;
            }
            let (records_max, bytes_max) = if gaps > 0 && from == 0 {
                (PUSH_WHOLE_RECORDS_MAX, PUSH_WHOLE_BYTES_MAX)
            } else {
                (PUSH_RECORDS_MAX, PUSH_BYTES_MAX)
            };
            let range = self
                .party(move |journal, _| journal.range(head.epoch, from, records_max, bytes_max))
                .await?;
            let sent = from + range.records.len() as u64;
            let push =
                wire::JournalPush { from, records: &range.records, checkpoint: &range.checkpoint };
            match self.hub.push(head.epoch, &push).await {
                Ok(ack) => {
                    self.acknowledge(head.epoch, ack.size, ack.cosigned).await?;
                    self.cursor = Some((head.epoch, ack.next));
                }
                Err(HubError::Refused { kind, detail, expected, seq, .. }) => {
                    match (kind.as_str(), expected, seq) {
                        ("journal-gap", Some(expected), _) if gaps < GAPS_MAX => {
                            gaps += 1;
                            self.cursor = Some((head.epoch, expected));
                        }
                        ("journal-fork", None, Some(seq)) => {
                            self.close(head.epoch, JournalRefusal::Fork { seq }).await?;
                            return Ok(());
                        }
                        ("journal-fork", Some(held), Some(seq)) if held.min(sent) > from => {
                            let refusal = JournalRefusal::Fork { seq };
                            self.carried_as_branch(head.epoch, refusal, held.min(sent)).await?;
                        }
                        ("journal-not-verified", _, _) => {
                            let refusal = JournalRefusal::NotVerified { detail };
                            self.close(head.epoch, refusal).await?;
                            return Ok(());
                        }
                        _ => {
                            let source = format!("refused as {kind:?}: {detail}").into();
                            let what = "a journal range";
                            return Err(HubError::NotUnderstood { what, source }.into());
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Tells the hub where this station stands, and hears what it holds of a journal.
    async fn report(&self, epoch: u32) -> Result<wire::JournalState, RoundError> {
        let Some(report) = self.party(move |journal, _| journal.report(epoch)).await? else {
            return Ok(self.hub.journal_state(epoch).await?);
        };
        let answer = self
            .hub
            .report(&wire::StationReport {
                epoch,
                journal_size: report.journal_size,
                cosigned: report.cosigned,
                lease: report.lease.map(hex::encode),
                snapshot_version: report.snapshot_version,
                timestamp_version: report.timestamp_version,
            })
            .await?;
        if answer.recovering {
            self.party(|journal, _| journal.hub_recovers()).await?;
        }
        Ok(answer.journal)
    }

    async fn acknowledge(&self, epoch: u32, size: u64, note: String) -> Result<(), RoundError> {
        self.party(move |journal, _| journal.acknowledged(epoch, size, &note)).await
    }

    /// The hub keeps what it was sent beside another history: the rest follows.
    async fn carried_as_branch(
        &mut self,
        epoch: u32,
        refusal: JournalRefusal,
        held: u64,
    ) -> Result<(), RoundError> {
        self.cursor = Some((epoch, held));
        let first = self.parted_epoch.replace(epoch) != Some(epoch);
        self.party(move |journal, _| {
            if first {
                journal.refused(epoch, &refusal)?;
            }
            journal.branch_taken(epoch, held)
        })
        .await
    }

    async fn close(&mut self, epoch: u32, refusal: JournalRefusal) -> Result<(), RoundError> {
        tracing::warn!(epoch, ?refusal, "the hub takes this journal no further");
        self.closed_epoch = Some(epoch);
        self.party(move |journal, _| journal.refused(epoch, &refusal)).await
    }

    async fn fetch(&self, listed: &[&wire::Listed]) -> Result<Vec<ArrivedDocument>, RoundError> {
        let mut arrived = Vec::with_capacity(listed.len());
        for document in listed {
            let bytes = self.hub.document(&document.name).await?;
            if hex::encode(sha256(&bytes)) != document.etag {
                // The hub changed it after it gave the list; the next round has the new list.
                return Err(RoundError::Hub(HubError::NotUnderstood {
                    what: "a document",
                    source: format!("{:?} is not the one that was listed", document.name).into(),
                }));
            }
            arrived.push(ArrivedDocument {
                name: document.name.clone(),
                etag: document.etag.clone(),
                bytes,
            });
        }
        Ok(arrived)
    }

    async fn carry_chunks(&mut self) -> Result<(), RoundError> {
        let wanted = self.party(|_, documents| documents.chunks_wanted()).await?;
        let digests: Vec<[u8; 32]> = wanted.iter().map(|chunk| chunk.sha256).collect();
        self.staging.retain(&digests)?;
        self.bulk_waits = false;
        for chunk in wanted {
            if self.missing.contains(&chunk.sha256) {
                continue;
            }
            if !self.bulk.is_open((self.wall_clock)()) {
                self.bulk_waits = true;
                return Ok(());
            }
            // New records do not wait behind bulk.
            self.carry_journal().await?;
            match self.carry_chunk(chunk).await {
                Err(RoundError::Hub(HubError::Refused { status: 404, .. })) => {
                    tracing::warn!(sha256 = hex::encode(chunk.sha256), "the hub lacks a chunk");
                    self.missing.insert(chunk.sha256);
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn carry_chunk(&self, chunk: WantedChunk) -> Result<(), RoundError> {
        let digest = chunk.sha256;
        let mut staged = self.staging.staged_bytes(&digest)?;
        if staged > chunk.bytes {
            self.staging.forget(&digest)?;
            staged = 0;
        }
        if staged < chunk.bytes {
            let staging = &self.staging;
            let mut offset = staged;
            self.hub
                .chunk(&digest, staged, |bytes| {
                    if offset + bytes.len() as u64 > chunk.bytes {
                        return Err("it is longer than the manifest says".into());
                    }
                    staging.keep(&digest, offset, bytes)?;
                    offset += bytes.len() as u64;
                    Ok(())
                })
                .await?;
        }
        let bytes = self.staging.assemble(&digest)?;
        if bytes.len() as u64 != chunk.bytes || sha256(&bytes) != digest {
            self.staging.forget(&digest)?;
            return Err(RoundError::Hub(HubError::NotUnderstood {
                what: "a chunk",
                source: "its bytes do not have its digest".into(),
            }));
        }
        self.party(move |_, documents| documents.store_chunk(digest, bytes)).await?;
        self.staging.forget(&digest)?;
        Ok(())
    }

    /// Asks one of the parties, on a blocking thread.
    async fn party<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn JournalSource, &dyn DocumentSink) -> Result<T, PartyError>
        + Send
        + 'static,
    ) -> Result<T, RoundError> {
        let (journal, documents) = (self.journal.clone(), self.documents.clone());
        let asking = self.asking.clone().lock_owned().await;
        spawn_blocking(move || {
            let answer = ask(&*journal, &*documents);
            drop((journal, documents));
            drop(asking);
            answer
        })
        .await
        .map_err(|error| RoundError::Party(error.into()))?
        .map_err(RoundError::Party)
    }
}

/// The whole chain of causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    text
}
