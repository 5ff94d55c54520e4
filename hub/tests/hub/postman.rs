//! The postman and the hub together, with a wire between them that can be cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use protocol::{JournalAck, RevocationStatement, SignedStatement};
use ring::signature::{ED25519, UnparsedPublicKey};
use sync::{
    ArrivedDocument, BackOff, BulkWindows, DocumentSink, HubState, JournalHead, JournalRange,
    JournalRefusal, JournalSource, NextCertificate, Nudge, OfflineReason, PartyError, Postman,
    PostmanConfig, WantedChunk,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::factory::*;

/// What the postman was told and told us, to be waited for.
#[derive(Default, Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) states: Vec<HubState>,
    pub(crate) acknowledged: u64,
    pub(crate) refusals: Vec<JournalRefusal>,
    pub(crate) documents: BTreeMap<String, ArrivedDocument>,
    stores: usize,
    pub(crate) chunks: BTreeMap<[u8; 32], Vec<u8>>,
    time: Option<String>,
    renewed: Vec<NextCertificate>,
    revoked: Option<(String, String)>,
}

pub(crate) struct Party {
    station: Mutex<Station>,
    pub(crate) wanted: Mutex<Vec<WantedChunk>>,
    seen: watch::Sender<Seen>,
    /// The certificate is due to be renewed.
    due: AtomicBool,
}

impl JournalSource for Party {
    fn head(&self) -> Result<JournalHead, PartyError> {
        let size = self.station.lock().unwrap().records.len() as u64;
        Ok(JournalHead { epoch: 1, size })
    }

    fn range(
        &self,
        epoch: u32,
        from: u64,
        records_max: usize,
        _bytes_max: usize,
    ) -> Result<JournalRange, PartyError> {
        assert_eq!(epoch, 1);
        let station = self.station.lock().unwrap();
        let from = from as usize;
        let to = station.records.len().min(from + records_max.min(7));
        let push = station.push(from, to);
        Ok(JournalRange { records: push.records, checkpoint: push.checkpoint })
    }

    fn acknowledged(&self, _epoch: u32, size: u64, cosigned: &str) -> Result<(), PartyError> {
        let station = self.station.lock().unwrap();
        let cosigner = audit::Cosigner {
            name: station.enrolled.hub_cosign_name.clone(),
            key: station.enrolled.hub_cosign_key.0,
        };
        let note: audit::SignedCheckpoint = cosigned.parse()?;
        let head =
            note.verify_cosigned(&station.origin(), &station.keys.journal_public(), &cosigner)?;
        assert_eq!(head.checkpoint.size, size);
        self.seen.send_modify(|seen| seen.acknowledged = size);
        Ok(())
    }

    fn refused(&self, _epoch: u32, refusal: &JournalRefusal) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| seen.refusals.push(refusal.clone()));
        Ok(())
    }
}

impl DocumentSink for Party {
    fn etags(&self) -> Result<BTreeMap<String, String>, PartyError> {
        let seen = self.seen.borrow();
        Ok(seen.documents.iter().map(|(name, held)| (name.clone(), held.etag.clone())).collect())
    }

    fn store(&self, arrived: Vec<ArrivedDocument>, gone: Vec<String>) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| {
            seen.stores += 1;
            for document in arrived {
                assert_eq!(sha256(&document.bytes).to_string(), document.etag);
                seen.documents.insert(document.name.clone(), document);
            }
            for name in gone {
                seen.documents.remove(&name);
            }
        });
        Ok(())
    }

    fn chunks_wanted(&self) -> Result<Vec<WantedChunk>, PartyError> {
        let held = self.seen.borrow().chunks.keys().copied().collect::<Vec<_>>();
        let wanted = self.wanted.lock().unwrap();
        Ok(wanted.iter().filter(|chunk| !held.contains(&chunk.sha256)).copied().collect())
    }

    fn store_chunk(&self, sha256: [u8; 32], bytes: Vec<u8>) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| {
            assert!(seen.chunks.insert(sha256, bytes).is_none(), "a chunk came twice");
        });
        Ok(())
    }

    fn renewal(&self) -> Result<Option<String>, PartyError> {
        let due = self.due.load(Ordering::SeqCst);
        Ok(due.then(|| self.station.lock().unwrap().keys.request_pem()))
    }

    fn renewed(&self, next: &NextCertificate) -> Result<(), PartyError> {
        self.due.store(false, Ordering::SeqCst);
        self.seen.send_modify(|seen| seen.renewed.push(next.clone()));
        Ok(())
    }

    fn time_nonce(&self) -> Option<String> {
        Some("c0ffee".to_owned())
    }

    fn revoked(&self, payload: &str, signature: &str) -> Result<(), PartyError> {
        let told = Some((payload.to_owned(), signature.to_owned()));
        self.seen.send_modify(|seen| seen.revoked = told);
        Ok(())
    }

    fn hub_time(&self, payload: &str, _signature: &str) -> Result<(), PartyError> {
        self.seen.send_modify(|seen| seen.time = Some(payload.to_owned()));
        Ok(())
    }
}

impl Party {
    /// Loses what came down, but for the metadata: a conversation stays short.
    pub(crate) fn forget(&self) {
        self.seen.send_modify(|seen| {
            seen.documents.retain(|name, _| name.ends_with(".json"));
            seen.chunks.clear();
        });
    }
}

/// A postman at work, and what can be seen of it.
pub(crate) struct Round {
    pub(crate) party: Arc<Party>,
    nudge: Nudge,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

fn carry(station: Station, hub: &str, staging: &std::path::Path) -> Round {
    let config = PostmanConfig {
        hub: hub.to_owned(),
        ca_pem: station.enrolled.ca_pem.clone(),
        certificate_pem: station.enrolled.certificate_pem.clone(),
        key_pem: Zeroizing::new(station.keys.tls.serialize_pem()),
        staging: staging.to_owned(),
        back_off: BackOff { first_ms: 20, cap_ms: 200 },
        jitter: Box::new(|below| below / 2),
        bulk: BulkWindows::default(),
        wall_clock: Box::new(|| chrono::Local::now().fixed_offset()),
        station_time: Box::new(now_ms),
    };
    carry_with(station, config)
}

pub(crate) fn carry_with(station: Station, config: PostmanConfig) -> Round {
    let party = Arc::new(Party {
        station: Mutex::new(station),
        wanted: Mutex::new(Vec::new()),
        seen: watch::Sender::new(Seen::default()),
        due: AtomicBool::new(false),
    });
    let (told, stop) = ({ party.clone() }, tokio::sync::oneshot::channel::<()>());
    let on_state = Box::new(move |state| told.seen.send_modify(|seen| seen.states.push(state)));
    let (postman, nudge) = Postman::new(config, party.clone(), party.clone(), on_state).unwrap();
    let task = tokio::spawn(postman.run(async move {
        let _ = stop.1.await;
    }));
    Round { party, nudge, stop: stop.0, task }
}

impl Round {
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.party.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| holds(seen))).await;
        match waited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("never: {what}; seen: {:?}", self.party.seen.borrow().states),
        }
    }

    async fn until_state(&self, state: HubState) -> Seen {
        self.until(&format!("{state:?}"), |seen| seen.states.last() == Some(&state)).await
    }

    /// Waits for something that the postman does not tell.
    pub(crate) async fn until_true(&self, what: &str, holds: impl Fn() -> bool) {
        let waited = async {
            while !holds() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "never: {what}");
    }

    pub(crate) fn note(&self, count: usize) {
        self.party.station.lock().unwrap().note(count);
        self.nudge.now();
    }

    pub(crate) async fn end(self) -> (Station, Seen) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
        drop(self.nudge);
        let party = Arc::try_unwrap(self.party).unwrap_or_else(|_| panic!("still carried"));
        let seen = party.seen.borrow().clone();
        (party.station.into_inner().unwrap(), seen)
    }
}

#[tokio::test]
async fn records_go_up_documents_and_time_come_down_and_news_arrive_at_once() {
    let (factory, desk, published, mut station) = Factory::running("acme").await;
    station.note(20);
    let staging = tempfile::tempdir().unwrap();
    let round = carry(station, &factory.station_address(), staging.path());
    let seen = round.until("20 acknowledged", |seen| seen.acknowledged == 20).await;
    assert_eq!(seen.states, [HubState::Connecting, HubState::Online]);
    assert!(seen.time.unwrap().contains("c0ffee"));
    round.until("documents", |seen| seen.documents.contains_key("timestamp.json")).await;

    // An order arrives by itself, as one set; a record that is written goes up when nudged.
    let (station, _) = round.end().await;
    let round = carry(station, &factory.station_address(), staging.path());
    round.until("documents", |seen| seen.documents.contains_key("orders")).await;
    let manifest = format!("manifest/{}", published.manifest_sha256);
    {
        let station = factory.admin("acme").stations().await.unwrap();
        assert_eq!(station[0].journal_size, 20);
    }
    let (station, _) = round.end().await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let round = carry(station, &factory.station_address(), staging.path());
    let seen = round.until("the manifest", |seen| seen.documents.contains_key(&manifest)).await;
    assert!(seen.documents.contains_key("lease"), "in the same set");
    round.note(3);
    round.until("23 acknowledged", |seen| seen.acknowledged == 23).await;
    let (_, seen) = round.end().await;
    assert!(seen.stores <= 2, "{} sets", seen.stores);
}

#[tokio::test]
async fn records_written_while_the_hub_is_away_arrive_when_it_is_back_each_once() {
    let (mut factory, _, _, station) = Factory::running("acme").await;
    let staging = tempfile::tempdir().unwrap();
    let round = carry(station, &factory.station_address(), staging.path());
    round.note(5);
    round.until("5 acknowledged", |seen| seen.acknowledged == 5).await;
    let (stations, people) = factory.stop().await;
    round.until_state(HubState::Offline(OfflineReason::Unreachable)).await;
    for _ in 0..4 {
        round.note(10);
    }
    factory.start(stations, people).await;
    round.until("45 acknowledged", |seen| seen.acknowledged == 45).await;
    round.until_state(HubState::Online).await;
    let (station, _) = round.end().await;
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
}

#[tokio::test]
async fn a_hub_put_back_to_an_earlier_day_gets_the_records_it_lost_again() {
    let (mut factory, _, _, station) = Factory::running("acme").await;
    let staging = tempfile::tempdir().unwrap();
    let round = carry(station, &factory.station_address(), staging.path());
    round.note(6);
    round.until("6 acknowledged", |seen| seen.acknowledged == 6).await;
    let (stations, people) = factory.stop().await;
    let backup = factory.folder.path().join("backup");
    copy(&factory.data(), &backup);
    factory.start(stations, people).await;
    round.note(6);
    round.until("12 acknowledged", |seen| seen.acknowledged == 12).await;
    factory.stop().await;
    std::fs::remove_dir_all(factory.data()).unwrap();
    copy(&backup, &factory.data());
    factory.start(stations, people).await;
    round.note(1);
    round.until("13 acknowledged", |seen| seen.acknowledged == 13).await;
    let (station, _) = round.end().await;
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
}

#[tokio::test]
async fn a_fork_is_told_to_the_station_once_and_the_other_lanes_go_on() {
    let (factory, desk, published, mut station) = Factory::running("acme").await;
    station.note(6);
    json::<JournalAck>(&station.client().push(&station.push(0, 6)).await);
    station.records.truncate(4);
    station.record(audit::Event::StationStarted { build: "another history".into() });
    for _ in 0..4 {
        station.note(1);
    }
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let staging = tempfile::tempdir().unwrap();
    let round = carry(station, &factory.station_address(), staging.path());
    let seen = round.until("a refusal", |seen| !seen.refusals.is_empty()).await;
    assert_eq!(seen.refusals, [JournalRefusal::Fork { seq: 4 }]);
    round.until("documents", |seen| seen.documents.contains_key("timestamp.json")).await;
    round.note(1);
    factory.pass_ms(1);
    let (_, seen) = round.end().await;
    assert_eq!(seen.refusals.len(), 1);
    assert_eq!(seen.states, [HubState::Connecting, HubState::Online]);
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.forks, 1);
}

#[tokio::test]
async fn refused_certificates_on_either_side_are_told_apart_from_a_hub_that_is_away() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let (other, _, _, _) = Factory::running("acme").await;
    let staging = tempfile::tempdir().unwrap();

    // Another hub answers at the address.
    let round = carry(station, &other.station_address(), &staging.path().join("1"));
    round.until_state(HubState::Offline(OfflineReason::HubCertificate)).await;
    let (station, _) = round.end().await;

    // The hub does not know the station's certificate.
    let stranger = other.enrolled("acme", "st-7").await;
    let config = PostmanConfig {
        hub: factory.station_address(),
        ca_pem: factory.ca_pem(),
        certificate_pem: stranger.enrolled.certificate_pem.clone(),
        key_pem: Zeroizing::new(stranger.keys.tls.serialize_pem()),
        staging: staging.path().join("2"),
        back_off: BackOff { first_ms: 20, cap_ms: 200 },
        jitter: Box::new(|_| 0),
        bulk: BulkWindows::default(),
        wall_clock: Box::new(|| chrono::Local::now().fixed_offset()),
        station_time: Box::new(now_ms),
    };
    let round = carry_with(stranger, config);
    round.until_state(HubState::Offline(OfflineReason::StationRefused)).await;
    // Being unknown is no revocation: nothing is erased for it.
    let (_, seen) = round.end().await;
    assert_eq!(seen.revoked, None);

    // The hub turned the station away.
    let round = carry(station, &factory.station_address(), &staging.path().join("3"));
    round.until_state(HubState::Online).await;
    factory.admin("acme").revoke("st-1").await.unwrap();
    round.until_state(HubState::Offline(OfflineReason::StationRefused)).await;
    let seen = round.until("the signed word", |seen| seen.revoked.is_some()).await;
    let (station, _) = round.end().await;
    let (payload, signature) = seen.revoked.unwrap();
    let message = SignedStatement::signed_bytes(RevocationStatement::KIND, &payload);
    let key = UnparsedPublicKey::new(&ED25519, station.enrolled.hub_cosign_key.0);
    key.verify(&message, &hex::decode(signature).unwrap()).unwrap();
    let statement: RevocationStatement = serde_json::from_str(&payload).unwrap();
    assert_eq!(statement.station, station.enrolled.station);
    assert_eq!(statement.hpke_key_sha256.0, *station.keys.hpke.public().digest().as_bytes());
}

#[tokio::test]
async fn an_expired_certificate_brings_records_renews_itself_and_the_work_goes_on() {
    // Beyond the life of a station's certificate, and before the hub renews its own: the station in
    // this test lives by this machine's clock.
    const LONG_MS: i64 = 450 * 24 * 60 * 60 * 1000;
    let (factory, _, _, station) = Factory::running("acme").await;
    let staging = tempfile::tempdir().unwrap();
    let mut station = station;
    station.note(3);
    factory.pass_ms(LONG_MS);
    let round = carry(station, &factory.station_address(), staging.path());
    // Not due by the station's own clock yet: the records go up all the same.
    round.until("records arrive", |seen| seen.acknowledged == 3).await;
    round.until_state(HubState::Offline(OfflineReason::StationRefused)).await;
    round.party.due.store(true, Ordering::SeqCst);
    round.until_state(HubState::Online).await;
    let seen = round.until("documents", |seen| !seen.documents.is_empty()).await;
    assert_eq!(seen.renewed.len(), 1);
    assert!(seen.renewed[0].not_after_ms > factory.now_ms());
    // The next time it is renewed in time, while the connection stands.
    round.party.due.store(true, Ordering::SeqCst);
    round.nudge.now();
    round.until("renewed again", |seen| seen.renewed.len() == 2).await;
    round.note(2);
    round.until("records of the renewed", |seen| seen.acknowledged == 5).await;
    round.end().await;
}

/// A wire that breaks after so many bytes have come down, once per budget.
struct Wire {
    address: SocketAddr,
    came: Arc<AtomicU64>,
}

impl Wire {
    async fn to(hub: String, bytes: u64) -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicU64::new(bytes));
        let came = Arc::new(AtomicU64::new(0));
        let wire = Self { address, came: came.clone() };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&hub).await.unwrap();
                tokio::spawn(Self::carry(near, far, left.clone(), came.clone()));
            }
        });
        wire
    }

    async fn carry(near: TcpStream, far: TcpStream, left: Arc<AtomicU64>, came: Arc<AtomicU64>) {
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        let up = async { tokio::io::copy(&mut near_in, &mut far_out).await.map(|_| ()) };
        let down = async {
            let mut buffer = vec![0; 4096];
            loop {
                let count = far_in.read(&mut buffer).await?;
                if count == 0 {
                    return Ok::<(), std::io::Error>(());
                }
                came.fetch_add(count as u64, Ordering::SeqCst);
                if left.load(Ordering::SeqCst) < count as u64 {
                    left.store(u64::MAX, Ordering::SeqCst);
                    return Ok(());
                }
                left.fetch_sub(count as u64, Ordering::SeqCst);
                near_out.write_all(&buffer[..count]).await?;
            }
        };
        tokio::select! { _ = up => {}, _ = down => {} }
    }
}

#[tokio::test]
async fn a_chunk_whose_connection_was_cut_goes_on_where_it_stopped_even_after_a_restart() {
    let factory = Factory::of(&["acme"]).await;
    let mut desk = factory.desk("acme");
    let mut files = desk.release("1.0.0", 64_000);
    factory.publish("acme", &files).await.unwrap();
    let station = factory.enrolled("acme", "st-1").await;
    files.retain(|path, _| path.starts_with("chunks/"));
    let wanted: Vec<WantedChunk> = files
        .values()
        .map(|bytes| WantedChunk { sha256: sha256(bytes).0, bytes: bytes.len() as u64 })
        .collect();
    let whole: u64 = wanted.iter().map(|chunk| chunk.bytes).sum();

    let wire = Wire::to(factory.station_address(), 40_000).await;
    let staging = tempfile::tempdir().unwrap();
    let round = carry(station, &wire.address.to_string(), staging.path());
    *round.party.wanted.lock().unwrap() = wanted.clone();
    round.nudge.now();
    let broken = HubState::Offline(OfflineReason::Unreachable);
    round.until("the wire broke", |seen| seen.states.contains(&broken)).await;
    let (station, first) = round.end().await;
    let held: u64 = first.chunks.values().map(|bytes| bytes.len() as u64).sum();
    assert!(held < whole, "the wire broke after everything had come");

    let before = wire.came.load(Ordering::SeqCst);
    let round = carry(station, &wire.address.to_string(), staging.path());
    let still: Vec<WantedChunk> =
        wanted.iter().filter(|c| !first.chunks.contains_key(&c.sha256)).copied().collect();
    let count = still.len();
    *round.party.wanted.lock().unwrap() = still;
    round.nudge.now();
    let seen = round.until("every chunk", |seen| seen.chunks.len() == count).await;
    for chunk in &wanted {
        let bytes = first.chunks.get(&chunk.sha256).or(seen.chunks.get(&chunk.sha256)).unwrap();
        assert_eq!(sha256(bytes).0, chunk.sha256);
    }
    let again = wire.came.load(Ordering::SeqCst) - before;
    assert!(again < whole, "{again} bytes came again, the chunks are {whole}");
    round.end().await;
}

#[tokio::test]
async fn a_chunk_the_hub_does_not_have_does_not_stop_the_others() {
    let factory = Factory::of(&["acme"]).await;
    let mut desk = factory.desk("acme");
    let files = desk.release("1.0.0", 9_000);
    factory.publish("acme", &files).await.unwrap();
    let station = factory.enrolled("acme", "st-1").await;
    let mut wanted = vec![WantedChunk { sha256: [0xEE; 32], bytes: 100 }];
    for (path, bytes) in &files {
        if path.starts_with("chunks/") {
            wanted.push(WantedChunk { sha256: sha256(bytes).0, bytes: bytes.len() as u64 });
        }
    }
    let staging = tempfile::tempdir().unwrap();
    let round = carry(station, &factory.station_address(), staging.path());
    let count = wanted.len() - 1;
    *round.party.wanted.lock().unwrap() = wanted;
    round.nudge.now();
    let seen = round.until("the others", |seen| seen.chunks.len() == count).await;
    assert_eq!(seen.states, [HubState::Connecting, HubState::Online]);
    round.end().await;
}
