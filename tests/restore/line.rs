//! A station in this process: its desk and its postman, and boards that are only told of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use activation::BLOCK_BYTES;
use flash::{Identity, Uid};
use ring::rand::SystemRandom;
use station_daemon::api::view::StationView;
use station_daemon::config::SlotConfig;
use station_daemon::desk::{Desk, DeskHandle, DeskSetup, DeskThread, Evidence, Found, HubDesk};
use station_daemon::keys::StationSecret;
use station_daemon::store::Store;
use station_daemon::trouble::TroubleCode;
use station_daemon::visit::{Decision, Verdict};
use sync::JournalSource;
use tokio::sync::watch;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Line {
    pub(crate) desk: DeskHandle,
    view: watch::Receiver<Arc<StationView>>,
    thread: DeskThread,
    post: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

fn slot() -> SlotConfig {
    let port = "1d50:6018:127.0.0.1:1".parse().unwrap_or_else(|error| panic!("{error}"));
    let (ports, chips) = (vec![port], BTreeMap::new());
    SlotConfig { number: 1, ports, chips, uart: None, baud: 115_200 }
}

/// A chip as a worker would find it.
pub(crate) fn found(uid: [u8; 8], block: Option<&[u8]>) -> Found {
    let identity = Identity {
        family: "nrf52".to_owned(),
        part: "nRF52832_xxAA".to_owned(),
        uid: Some(Uid::new(uid.to_vec()).expect("plausible")),
        weak: None,
        locked: false,
    };
    let blank = vec![0xFF; BLOCK_BYTES];
    Found { identity, block: Some(block.map_or(blank, <[u8]>::to_vec)) }
}

impl Line {
    /// Opens the station in a folder, away from its hub.
    pub(crate) fn open(folder: &Path) -> Self {
        let random = SystemRandom::new();
        let secret = StationSecret::open_or_make(&folder.join("station.secret"), &random);
        let (desk, view) = Desk::open(DeskSetup {
            store: Store::open(&folder.join("station.db")).expect("store"),
            secret: secret.expect("secret"),
            line: String::new(),
            language: None,
            slots: vec![1],
            clocks: Box::new(station_daemon::platform::reading),
        })
        .expect("desk");
        let (desk, thread) = desk.start().expect("thread");
        Self { desk, view, thread, post: None }
    }

    /// Sends its postman to the hub.
    pub(crate) fn connect(&mut self, folder: &Path) {
        let address = self.desk.ask(|desk| desk.post_address()).expect("open");
        let (membership, key_pem) = address.expect("enrolled");
        let config = sync::PostmanConfig {
            hub: membership.hub,
            ca_pem: membership.hub_ca_pem,
            certificate_pem: membership.certificate_pem,
            key_pem,
            staging: folder.join("staging"),
            back_off: sync::BackOff { first_ms: 20, cap_ms: 200 },
            jitter: Box::new(|below| below / 2),
            bulk: sync::BulkWindows::default(),
            wall_clock: Box::new(|| chrono::Local::now().fixed_offset()),
            station_time: {
                let desk = self.desk.clone();
                Box::new(move || desk.ask(|desk| desk.now_ms()).unwrap_or_default())
            },
        };
        let parties = Arc::new(HubDesk(self.desk.clone()));
        let desk = self.desk.clone();
        let on_state = Box::new(move |state| desk.tell(move |desk| desk.hub_is(state)));
        let made = sync::Postman::new(config, Arc::<HubDesk>::clone(&parties), parties, on_state);
        let (postman, nudge) = made.expect("postman");
        self.desk.tell(move |desk| desk.ring_with(nudge));
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            runtime.block_on(postman.run(async move {
                drop(stopped.wait_for(|stopped| *stopped).await);
            }));
        });
        self.post = Some((stop, thread));
    }

    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&StationView) -> bool) {
        let mut view = self.view.clone();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        let waited = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, view.wait_for(|view| holds(view))).await.map(drop)
        });
        assert!(waited.is_ok(), "waiting for {what}: {:#?}", self.view.borrow());
    }

    /// Waits for something that only the hub shows.
    pub(crate) fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let waited = journeys::world::until(PATIENCE, || Ok(holds().then_some(())));
        waited.unwrap_or_else(|_| panic!("waiting for {what}: {:#?}", self.view.borrow()));
    }

    /// The station has put this version of its lease in force.
    pub(crate) fn wait_leased(&self, version: u64) {
        let version = format!("\"version\":{version}}}");
        self.wait_for("the lease at the station", || {
            let records = self.journal().1;
            records.iter().any(|record| {
                record.contains("\"event\":\"lease_taken\"") && record.ends_with(&version)
            })
        });
    }

    /// Every record is at the hub, in whichever history.
    pub(crate) fn wait_carried(&self) {
        self.wait("every record at the hub", |view| view.hub.unsynced == 0);
    }

    pub(crate) fn trouble(&self) -> Option<TroubleCode> {
        // What was asked before this has been shown.
        self.desk.ask(|_| ()).expect("open");
        self.view.borrow().trouble.as_ref().map(|trouble| trouble.code)
    }

    /// Scans a work order.
    pub(crate) fn choose(&self, order: &str) {
        let scanned = format!("WO:{order}");
        let answer = self.desk.ask(move |desk| desk.scan(&scanned)).expect("open");
        assert!(answer.accepted, "{answer:?}");
    }

    /// One board's visit, as far as the station lets it come; the block it was given.
    pub(crate) fn visit(&self, uid: [u8; 8], block: Option<&[u8]>) -> Result<Vec<u8>, TroubleCode> {
        let board = found(uid, block);
        let known = block.map(<[u8]>::to_vec).unwrap_or_default();
        let done = self.desk.ask(move |desk| {
            desk.brief(&slot())?;
            desk.arrive(1);
            let source = match desk.decide(1, &[board])? {
                Decision::Flash(work) => work.code,
                Decision::Refuse { code, .. } => return Err(code),
                // It knows the board, and would compare it.
                Decision::CompareOnly => {
                    desk.leave(1);
                    return Ok(known);
                }
                Decision::Unlock(_) => return Err(TroubleCode::Internal),
            };
            let tasks = desk.reserve(1, source, &slot())?;
            let proven =
                Evidence { verified: true, activated: true, line: None, ..Evidence::default() };
            desk.save_evidence(1, Verdict::Pass, &[proven])?;
            desk.leave(1);
            Ok(tasks[0].block.as_ref().map(|block| block.bytes.clone()).unwrap_or_default())
        });
        done.expect("open")
    }

    /// Every record of the journal it would carry now, and its epoch.
    pub(crate) fn journal(&self) -> (u32, Vec<String>) {
        let source = HubDesk(self.desk.clone());
        let head = source.head().expect("head");
        let range = source.range(head.epoch, 0, 100_000, 100_000_000).expect("range");
        assert_eq!(range.records.len() as u64, head.size);
        (head.epoch, range.records)
    }

    pub(crate) fn close(self) {
        if let Some((stop, thread)) = self.post {
            stop.send_replace(true);
            thread.join().expect("the postman ends well");
        }
        self.desk.tell(Desk::close);
        assert!(self.thread.join(), "the desk ends well");
    }
}
