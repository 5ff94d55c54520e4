//! The network between station and hub breaks at every point of their conversation, comes and goes,
//! dribbles: nothing is lost, nothing is there twice, and nobody is asked more than need be.
//!
//! A wire in between reads the lengths of TLS records and no more, so that it can break at each of
//! them, in either direction.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sync::{BackOff, BulkWindows, HubState, PostmanConfig, WantedChunk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::factory::*;
use crate::postman::{Round, carry_with};

/// What becomes of the record at which the wire breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is lost whole.
    Lost,
    /// Half of it arrives.
    Cut,
    /// It arrives, and nothing after it.
    Last,
}

/// A break at one record of one direction, for the next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Break {
    up: bool,
    at: usize,
    end: End,
}

/// A wire to a hub, outside of both programs.
struct Wire {
    address: SocketAddr,
    armed: Arc<Mutex<Option<Break>>>,
    broke: Arc<AtomicBool>,
    /// Records that went the armed way on the armed connection.
    carried: Arc<AtomicUsize>,
    /// Counts up to break every connection that stands.
    cuts: watch::Sender<u64>,
    connections: Arc<AtomicUsize>,
    /// Bytes come in pieces of this size; 0 for as they are.
    dribble: Arc<AtomicUsize>,
}

impl Wire {
    async fn to(hub: String) -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let wire = Self {
            address: listener.local_addr().unwrap(),
            armed: Arc::default(),
            broke: Arc::default(),
            carried: Arc::default(),
            cuts: watch::Sender::new(0),
            connections: Arc::default(),
            dribble: Arc::default(),
        };
        let (armed, broke, cuts) = (wire.armed.clone(), wire.broke.clone(), wire.cuts.clone());
        let (connections, dribble) = (wire.connections.clone(), wire.dribble.clone());
        let carried = wire.carried.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                // A hub that is away refuses; the station sees its connection closed.
                let Ok(far) = TcpStream::connect(&hub).await else { continue };
                let (point, broke) = (armed.lock().unwrap().take(), broke.clone());
                let (mut cut, dribble) = (cuts.subscribe(), dribble.clone());
                let carried = carried.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    let at = |up: bool| {
                        let point = point.filter(|point| point.up == up)?;
                        Some(Armed { point, broke: &broke, carried: &carried })
                    };
                    let up = pump(near_in, far_out, at(true), &dribble);
                    let down = pump(far_in, near_out, at(false), &dribble);
                    tokio::select! { () = up => {}, () = down => {}, _ = cut.changed() => {} }
                });
            }
        });
        wire
    }

    fn cut_all(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn arm(&self, point: Break) {
        self.broke.store(false, Ordering::SeqCst);
        self.carried.store(0, Ordering::SeqCst);
        *self.armed.lock().unwrap() = Some(point);
    }
}

/// A break that waits on one way of a connection.
#[derive(Clone, Copy)]
struct Armed<'a> {
    point: Break,
    broke: &'a AtomicBool,
    carried: &'a AtomicUsize,
}

/// Carries records one way until the wire breaks.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    armed: Option<Armed<'_>>,
    dribble: &AtomicUsize,
) {
    for number in 0.. {
        let mut record = vec![0; 5];
        if from.read_exact(&mut record).await.is_err() {
            return;
        }
        let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
        record.resize(5 + length, 0);
        if from.read_exact(&mut record[5..]).await.is_err() {
            return;
        }
        let breaks = armed.filter(|armed| armed.point.at == number);
        match breaks.map(|armed| armed.point.end) {
            Some(End::Lost) => record.clear(),
            Some(End::Cut) => record.truncate(record.len() / 2),
            Some(End::Last) | None => {}
        }
        let piece = match dribble.load(Ordering::SeqCst) {
            0 => record.len().max(1),
            piece => piece,
        };
        for piece in record.chunks(piece) {
            if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
        if let Some(armed) = breaks {
            armed.broke.store(true, Ordering::SeqCst);
            return;
        }
        if let Some(armed) = armed {
            armed.carried.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn through(station: &Station, wire: &Wire, staging: &std::path::Path) -> PostmanConfig {
    PostmanConfig {
        hub: wire.address.to_string(),
        ca_pem: station.enrolled.ca_pem.clone(),
        certificate_pem: station.enrolled.certificate_pem.clone(),
        key_pem: Zeroizing::new(station.keys.tls.serialize_pem()),
        staging: staging.to_owned(),
        back_off: BackOff { first_ms: 2, cap_ms: 4 },
        jitter: Box::new(|below| below / 2),
        bulk: BulkWindows::default(),
        wall_clock: Box::new(|| chrono::Local::now().fixed_offset()),
        station_time: Box::new(now_ms),
    }
}

/// Everything a station should have: documents with these names, these chunks, and the hub's word
/// for this many records.
struct Whole {
    documents: usize,
    chunks: Vec<WantedChunk>,
}

impl Whole {
    async fn arrives(&self, round: &Round, what: &str, records: usize) {
        round
            .until(what, |seen| {
                seen.acknowledged == records as u64
                    && seen.documents.len() == self.documents
                    && seen.chunks.len() == self.chunks.len()
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_breaks_at_any_record_of_the_conversation_loses_and_doubles_nothing() {
    let factory = Factory::of(&["acme"]).await;
    let mut desk = factory.desk("acme");
    let files = desk.release("1.0.0", 9_000);
    let published = factory.publish("acme", &files).await.unwrap();
    let station = factory.enrolled("acme", "st-1").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let chunks: Vec<WantedChunk> = files
        .iter()
        .filter(|(path, _)| path.starts_with("chunks/"))
        .map(|(_, bytes)| WantedChunk { sha256: sha256(bytes).0, bytes: bytes.len() as u64 })
        .collect();

    let wire = Wire::to(factory.station_address()).await;
    let staging = tempfile::tempdir().unwrap();
    let config = through(&station, &wire, staging.path());
    let round = carry_with(station, config);
    *round.party.wanted.lock().unwrap() = chunks.clone();
    round.note(2);
    let seen = round
        .until("the first conversation", |seen| {
            seen.acknowledged == 2 && seen.documents.contains_key("lease")
        })
        .await;
    let whole = Whole { documents: seen.documents.len(), chunks };
    whole.arrives(&round, "the first conversation", 2).await;

    let (mut points, mut records) = (0, 2);
    // The station forgets what came down, has two more records to bring, and comes back over a
    // connection that breaks at a point.
    let mut conversation = async |point: Break| {
        round.party.forget();
        wire.arm(point);
        wire.cut_all();
        round.note(2);
        records += 2;
        whole.arrives(&round, &format!("{point:?} after {records} records"), records).await;
        wire.armed.lock().unwrap().take();
        wire.broke.load(Ordering::SeqCst)
    };
    for up in [true, false] {
        // How long a conversation is that nothing disturbs; the shortest of a few, for records may
        // come together. One that went on over the connection before counts for nothing.
        let mut lengths = Vec::new();
        for _ in 0..20 {
            conversation(Break { up, at: usize::MAX, end: End::Lost }).await;
            let length = wire.carried.load(Ordering::SeqCst);
            // Handshake, time, list, journal, push, documents and chunks at least.
            if length >= 8 {
                lengths.push(length);
            }
            if lengths.len() == 3 {
                break;
            }
        }
        assert_eq!(lengths.len(), 3, "up: {up}");
        let length = *lengths.iter().min().unwrap();
        for end in [End::Lost, End::Cut, End::Last] {
            for at in 0..length {
                // A conversation may have gone on over the connection before: once more then.
                let mut tries = 0;
                while !conversation(Break { up, at, end }).await {
                    tries += 1;
                    assert!(tries < 20, "never broke at {at} of {length}, {end:?}, up: {up}");
                }
                points += 1;
            }
        }
    }
    println!("{points} points swept, {records} records");
    assert!(points >= 3 * 2 * 8, "{points} points");

    let (station, seen) = round.end().await;
    assert_eq!(seen.refusals, []);
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records.len(), records);
    assert_eq!(page.records, station.records, "in order, each once");
    assert_eq!(page.forks, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_flaps_and_dribbles_brings_everything_once() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let wire = Wire::to(factory.station_address()).await;
    let staging = tempfile::tempdir().unwrap();
    let config = through(&station, &wire, staging.path());
    let round = carry_with(station, config);
    let mut records = 0;
    for flap in 0..30 {
        wire.dribble.store([0, 1, 7, 1_000][flap % 4], Ordering::SeqCst);
        round.note(3);
        records += 3;
        // Now in the middle of a conversation, now after it.
        if flap % 3 == 0 {
            let arrived = |seen: &crate::postman::Seen| seen.acknowledged == records;
            round.until("records between flaps", arrived).await;
        }
        wire.cut_all();
    }
    round.until("every record", |seen| seen.acknowledged == records).await;
    let (station, seen) = round.end().await;
    assert_eq!(seen.refusals, []);
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stations_that_lost_their_hub_come_back_with_a_bounded_number_of_connections() {
    const STATIONS: usize = 8;
    let mut factory = Factory::of(&["acme"]).await;
    let mut desk = factory.desk("acme");
    factory.publish("acme", &desk.release("1.0.0", 2_000)).await.unwrap();
    let staging = tempfile::tempdir().unwrap();
    let mut rounds = Vec::new();
    for number in 0..STATIONS {
        let station = factory.enrolled("acme", &format!("st-{number}")).await;
        let wire = Wire::to(factory.station_address()).await;
        let mut config = through(&station, &wire, &staging.path().join(number.to_string()));
        config.back_off = BackOff { first_ms: 50, cap_ms: 400 };
        let mut dice = number as u64;
        config.jitter = Box::new(move |below| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % below.max(1)
        });
        let round = carry_with(station, config);
        round.note(2);
        rounds.push((round, wire));
    }
    for (round, _) in &rounds {
        round.until("online", |seen| seen.acknowledged == 2).await;
    }
    let (stations, people) = factory.stop().await;
    for (round, _) in &rounds {
        let offline =
            |seen: &crate::postman::Seen| matches!(seen.states.last(), Some(HubState::Offline(_)));
        round.until("offline", offline).await;
        for _ in 0..5 {
            // Each record rings; no bell makes an attempt come earlier.
            round.note(1);
        }
    }
    let began = std::time::Instant::now();
    let before: Vec<usize> = rounds.iter().map(|(_, wire)| connections(wire)).collect();
    // A few attempts of every station that find nobody.
    for ((round, wire), before) in rounds.iter().zip(&before) {
        round.until_true("three attempts in vain", || connections(wire) >= before + 3).await;
    }
    factory.start(stations, people).await;
    for (round, _) in &rounds {
        round.until("back with everything", |seen| seen.acknowledged == 7).await;
    }
    let outage_ms = began.elapsed().as_millis() as usize;
    for ((round, wire), before) in rounds.into_iter().zip(before) {
        let made = connections(&wire) - before;
        // At the shortest wait there is, and the few that come before the waits have grown.
        let most = outage_ms / 200 + 8;
        assert!(made <= most, "{made} connections in {outage_ms} ms");
        round.end().await;
    }
    for station in factory.admin("acme").stations().await.unwrap() {
        assert_eq!(station.journal_size, 7, "{}", station.name);
    }
}

fn connections(wire: &Wire) -> usize {
    wire.connections.load(Ordering::SeqCst)
}
