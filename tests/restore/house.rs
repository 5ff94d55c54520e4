//! A hub in this process on the folders that the real programs have made.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use audit::{Cosigner, ExportKeys, SignedCheckpoint};
use hub::admin_client::{AdminClient, JournalPage, OrderCreate};
use hub::hub::Terms;
use hub::vault::Secret;
use hub::{Hub, ServeWith, Serving};
use journeys::world::{PRODUCT, Plan, Programs, STATION, World};
use protocol::{Fork, PortionGrant, Sha256, Station};
use tokio::runtime::Runtime;

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
const ANY: &str = "127.0.0.1:0";

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the real programs left: folders of a hub and of an enrolled station with an order.
pub(crate) struct House {
    folder: tempfile::TempDir,
    station_listen: SocketAddr,
    hub: PathBuf,
    station: PathBuf,
    manifest: Sha256,
    pub(crate) runtime: Runtime,
}

/// A hub that serves.
pub(crate) struct Served {
    serving: Serving,
    pub(crate) admin: AdminClient,
}

impl House {
    /// Sets up hub, release, order and station with the real programs, and ends them.
    pub(crate) fn build() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let programs = Programs::beside_this_test().expect("programs");
        let mut plan = Plan::new(0, Path::new(FIRMWARE));
        plan.quantity = 500;
        let mut world =
            World::set_up(&programs, folder.path(), plan, &mut |_| ()).expect("a world");
        world.all_records_arrive().expect("records");
        let station_listen = world.hub.station_address().parse().expect("address");
        let (hub, station) = (world.hub.folder().to_owned(), world.station.folder().to_owned());
        world.station.stop().expect("the station stops");
        world.hub.stop().expect("the hub stops");
        let manifest = world.release.manifest_sha256.parse().expect("a digest");
        let runtime = Runtime::new().expect("runtime");
        Self { folder, station_listen, hub, station, manifest, runtime }
    }

    pub(crate) fn station(&self) -> &Path {
        &self.station
    }

    pub(crate) fn hub_database(&self) -> PathBuf {
        self.hub.join("hub.db")
    }

    /// Makes an order without activation and grants the station a portion of it.
    pub(crate) fn grant(&self, served: &Served, number: &str) {
        let order = OrderCreate {
            number: number.parse().expect("number"),
            product: PRODUCT.parse().expect("product"),
            manifest_sha256: self.manifest,
            quantity: 5,
        };
        let grant = PortionGrant {
            station: STATION.parse().expect("station"),
            order: number.parse().expect("number"),
            quantity: 5,
            allotment_certificate: None,
            index_from: None,
            index_to: None,
            channel: None,
        };
        self.runtime.block_on(served.admin.create_order(&order)).expect("order");
        self.runtime.block_on(served.admin.grant(&grant)).expect("portion");
    }

    /// The station as the hub knows it.
    pub(crate) fn known(&self, served: &Served) -> Station {
        self.runtime.block_on(served.admin.stations()).expect("stations").remove(0)
    }

    /// A fresh folder beside the others.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("a fresh folder");
        folder
    }

    /// Serves the hub where its station looks for it.
    pub(crate) fn serve(&self) -> Served {
        let serving = self.runtime.block_on(async {
            let secret = Secret::File(self.hub.with_extension("secret"));
            let terms = Terms { allow_simulated: true, ..Terms::default() };
            let hub = Hub::open(&self.hub, &secret, terms, Arc::new(now_ms)).await.expect("hub");
            let with = ServeWith {
                station_listen: self.station_listen,
                admin_listen: ANY.parse().expect("address"),
                station_address: None,
            };
            hub::serve(hub, &with).await.expect("serves")
        });
        let (ca, token) = (self.hub.join("ca.pem"), self.hub.join("acme.token"));
        let admin = AdminClient::new(&serving.admin.to_string(), &ca, &token).expect("admin");
        Served { serving, admin }
    }

    pub(crate) fn stop(&self, served: Served) {
        self.runtime.block_on(served.serving.stop());
    }

    pub(crate) fn journal(&self, served: &Served, epoch: u32) -> JournalPage {
        let asked = served.admin.journal(STATION, Some(epoch));
        self.runtime.block_on(asked).expect("journal")
    }

    pub(crate) fn forks(&self, served: &Served) -> Vec<Fork> {
        self.runtime.block_on(served.admin.forks(STATION)).expect("forks")
    }

    pub(crate) fn log(&self, served: &Served) -> Vec<String> {
        self.runtime.block_on(served.admin.log()).expect("log").records
    }
}

/// Checks a history offline, as an export of it; the number of its records.
pub(crate) fn verify(page: &JournalPage, records: &[String], head: &str, cosigned: bool) -> u64 {
    let signed: SignedCheckpoint = head.parse().expect("a note");
    let mut export = Vec::new();
    audit::write_export(&mut export, &signed, records.iter().map(String::as_bytes))
        .expect("written");
    let cosigner = Cosigner { name: page.hub_cosign_name.clone(), key: page.hub_cosign_key.0 };
    let keys = ExportKeys {
        origin: None,
        station_key: page.journal_key.0,
        cosigner: cosigned.then_some(cosigner),
    };
    let report = audit::verify_export(export.as_slice(), &keys).expect("the export verifies");
    assert!(report.complete);
    report.records
}
