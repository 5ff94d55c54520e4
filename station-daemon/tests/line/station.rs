//! A station in this process with real workers, and simulated boards in its slots.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::timing::Timing;
use simulators::{Addresses, BoardConfig, Served, serve};
use station_daemon::api::view::{SlotState, SlotView, StationView};
use station_daemon::config::SlotConfig;
use station_daemon::desk::{Clocks, Desk, DeskHandle, DeskSetup, DeskThread, HubDesk};
use station_daemon::enrolment::{Membership, keep};
use station_daemon::hands::HandConfig;
use station_daemon::keys::{StationKeys, StationSecret};
use station_daemon::slots::RunningSlot;
use station_daemon::store::Store;
use sync::{ArrivedDocument, DocumentSink, JournalSource};
use tokio::sync::watch;

use super::paper::{Office, Parcel, STATION, TENANT, hub_name};

/// Longest wait for anything; a busy machine interprets two signature checks per visit.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Board {
    pub(crate) served: Served,
    control: TcpStream,
}

impl Board {
    pub(crate) fn new(uid: [u8; 8]) -> Self {
        Self::of(uid, Revision::Old)
    }

    /// Of this revision of the silicon, as it comes from its maker.
    pub(crate) fn of(uid: [u8; 8], revision: Revision) -> Self {
        let config = BoardConfig {
            uid,
            revision,
            timing: Timing::OFF,
            cells: FlashFile::in_memory(),
            seated: false,
        };
        let served = serve(Addresses::any(), config).expect("board");
        let control = TcpStream::connect(served.addresses.control).expect("control port");
        Self { served, control }
    }

    pub(crate) fn pull(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).expect("lever");
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).expect("answer");
        let rest = answer.trim_end().strip_prefix("ok");
        rest.unwrap_or_else(|| panic!("{lever}: {answer}")).trim_start().to_owned()
    }

    pub(crate) fn cells(&self, at: u64, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).expect("hex")
    }

    pub(crate) fn slot(&self, number: u32) -> SlotConfig {
        SlotConfig {
            number,
            ports: vec![port(&format!("1d50:6018:{}", self.served.addresses.probe))],
            chips: BTreeMap::new(),
            uart: Some(format!("tcp:{}", self.served.addresses.uart)),
            baud: 115_200,
        }
    }
}

pub(crate) fn port(text: &str) -> flash::Port {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) struct Keys {
    pub(crate) hpke: release::WrapPublicKey,
    pub(crate) journal: [u8; 32],
}

/// Enrols a station in `folder` as a hub would have.
pub(crate) fn enrol(folder: &Path, office: &Office, now_ms: i64) -> Keys {
    let random = SystemRandom::new();
    let secret =
        StationSecret::open_or_make(&folder.join("station.secret"), &random).expect("secret");
    let mut store = Store::open(&folder.join("station.db")).expect("store");
    let keys = StationKeys::generate(&random).expect("keys");
    let membership = Membership {
        tenant: TENANT.to_owned(),
        station: STATION.to_owned(),
        line: "L1".to_owned(),
        hub: "localhost:1".to_owned(),
        hub_ca_pem: String::new(),
        certificate_pem: String::new(),
        certificate_from_ms: now_ms,
        certificate_not_after_ms: i64::MAX,
        cosign_name: hub_name(),
        cosign_key: office.cosign_key(),
        stick_key: hex::encode(office.stick_key.public().as_bytes()),
        root_json: STANDARD.encode(&office.root),
        root_sha256: release::Digest::of(&office.root).to_string(),
    };
    keep(&mut store, &secret, &keys, &membership, now_ms).expect("enrolled");
    Keys { hpke: keys.hpke_public(), journal: keys.journal_public() }
}

pub(crate) struct Station {
    pub(crate) desk: DeskHandle,
    view: watch::Receiver<Arc<StationView>>,
    slots: Vec<RunningSlot>,
    thread: Option<DeskThread>,
}

impl Station {
    pub(crate) fn start(folder: &Path, slots: &[SlotConfig]) -> Self {
        let worker = Path::new(env!("CARGO_BIN_EXE_station-daemon"));
        Self::start_on(folder, slots, worker, Box::new(station_daemon::platform::reading))
    }

    /// The same with another program as worker.
    pub(crate) fn start_with(folder: &Path, slots: &[SlotConfig], worker: &Path) -> Self {
        Self::start_on(folder, slots, worker, Box::new(station_daemon::platform::reading))
    }

    /// A station on a machine whose clocks are the test's.
    pub(crate) fn start_with_clocks(folder: &Path, slots: &[SlotConfig], clocks: Clocks) -> Self {
        let worker = Path::new(env!("CARGO_BIN_EXE_station-daemon"));
        Self::start_on(folder, slots, worker, clocks)
    }

    fn start_on(folder: &Path, slots: &[SlotConfig], worker: &Path, clocks: Clocks) -> Self {
        let secret =
            StationSecret::open_or_make(&folder.join("station.secret"), &SystemRandom::new())
                .expect("secret");
        let store = Store::open(&folder.join("station.db")).expect("store");
        let (desk, view) = Desk::open(DeskSetup {
            store,
            secret,
            line: String::new(),
            language: None,
            slots: slots.iter().map(|slot| slot.number).collect(),
            clocks,
        })
        .expect("desk");
        let (desk, thread) = desk.start().expect("thread");
        let slots = slots
            .iter()
            .map(|slot| {
                let hand = HandConfig {
                    slot: slot.number,
                    port: slot.first_port().map(ToString::to_string).unwrap_or_default(),
                    chip: None,
                    program: worker.to_owned(),
                };
                RunningSlot::start_with(slot.clone(), desk.clone(), hand).expect("slot")
            })
            .collect();
        Self { desk, view, slots, thread: Some(thread) }
    }

    /// Hands over documents and chunks as the postman does.
    pub(crate) fn deliver(&self, parcel: &Parcel) {
        self.deliver_documents(parcel);
        let sink = HubDesk(self.desk.clone());
        for wanted in sink.chunks_wanted().expect("wanted") {
            let digest = release::Digest::from_bytes(wanted.sha256);
            let chunk = parcel.chunks.get(&digest).expect("a chunk of the parcel");
            sink.store_chunk(wanted.sha256, chunk.clone()).expect("chunk");
        }
    }

    /// Hands over documents only; those that the parcel does not hold are gone.
    pub(crate) fn deliver_documents(&self, parcel: &Parcel) {
        let arrived = parcel
            .documents
            .iter()
            .map(|(name, bytes)| ArrivedDocument {
                name: name.clone(),
                etag: release::Digest::of(bytes).to_string(),
                bytes: bytes.clone(),
            })
            .collect();
        let sink = HubDesk(self.desk.clone());
        let held = sink.etags().expect("etags");
        let gone = held.into_keys().filter(|name| !parcel.documents.contains_key(name)).collect();
        sink.store(arrived, gone).expect("documents");
    }

    /// Waits until the view satisfies `holds`, and returns it.
    pub(crate) fn wait(
        &self,
        what: &str,
        holds: impl Fn(&StationView) -> bool,
    ) -> Arc<StationView> {
        let mut view = self.view.clone();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        runtime.block_on(async {
            let found = tokio::time::timeout(PATIENCE, view.wait_for(|view| holds(view))).await;
            match found {
                Ok(Ok(view)) => Arc::clone(&view),
                Ok(Err(_)) => panic!("waiting for {what}: the desk is gone"),
                Err(_) => panic!("waiting for {what}: {:#?}", self.view.borrow()),
            }
        })
    }

    pub(crate) fn wait_slot(&self, number: u32, state: SlotState) -> SlotView {
        let view = self.wait(&format!("slot {number} {state:?}"), |view| {
            view.slots.iter().any(|slot| slot.number == number && slot.state == state)
        });
        view.slots.iter().find(|slot| slot.number == number).expect("slot").clone()
    }

    /// Every record so far, as events with their names.
    pub(crate) fn records(&self) -> Vec<audit::Record> {
        let sink = HubDesk(self.desk.clone());
        let head = sink.head().expect("head");
        let range = sink.range(head.epoch, 0, 100_000, 100_000_000).expect("range");
        assert_eq!(range.records.len() as u64, head.size);
        range
            .records
            .iter()
            .map(|record| audit::Record::decode(record.as_bytes()).expect("record"))
            .collect()
    }

    /// Names of the events of all visits, without the station's own.
    pub(crate) fn visit_events(&self) -> Vec<String> {
        let name = |record: &audit::Record| {
            let text = record.encode().expect("encodes");
            audit::Envelope::read(&text).expect("envelope").event
        };
        let records = self.records();
        records.iter().filter(|record| record.event.visit().is_some()).map(name).collect()
    }

    pub(crate) fn stop(mut self) {
        for slot in &self.slots {
            slot.stop();
        }
        for slot in self.slots.drain(..) {
            slot.join();
        }
        self.desk.tell(Desk::close);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join(), "the desk ends well");
        }
    }
}
