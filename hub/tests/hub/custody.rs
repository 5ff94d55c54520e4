//! Pools, lending, the register of units: nothing lent twice, first recorded wins, a void goes
//! everywhere.

use std::collections::{BTreeMap, BTreeSet};

use activation::pool::{Loan, SealedCredential};
use audit::{Digest, Event, HexBytes};
use hub::admin_client::{
    AdminClient, AdminError, DispositionCreate, MacSecretCreate, OrderCreate, PoolImport, Relend,
};
use protocol::{
    Conflict, MacSecretStatement, PortionGrant, ProblemType, SignedStatement, Verdict,
    VoidsStatement, WaterLevel,
};
use release::Name;
use release::parcel::{ParcelBinding, ParcelSecret, open_parcel};

use crate::desk::{Desk, PRODUCT};
use crate::factory::*;
use crate::leases::documents;

pub(crate) const TENANT: &str = "acme";

fn schema() -> serde_json::Value {
    serde_json::json!({
        "code": "id",
        "columns": [
            { "name": "id", "openness": "public", "form": "text", "bytes_min": 4, "bytes_max": 16 },
            { "name": "key", "openness": "secret", "form": "hex", "bytes_min": 8, "bytes_max": 8 },
        ],
    })
}

fn key_of(number: u32) -> String {
    format!("c0ffee00{number:08x}")
}

fn rows(numbers: std::ops::Range<u32>) -> String {
    let row = |number| format!("DEV-{number:04},{}\n", key_of(number));
    format!("id,key\n{}", numbers.map(row).collect::<String>())
}

fn import(name: &str, file: &str) -> PoolImport {
    use base64::Engine as _;
    PoolImport {
        product: PRODUCT.parse().unwrap(),
        schema: schema(),
        name: name.to_owned(),
        base64: base64::engine::general_purpose::STANDARD.encode(file),
        low_count: None,
        low_days: None,
    }
}

/// A hub with a product that takes its codes from a pool, and two stations.
pub(crate) struct Works {
    pub(crate) factory: Factory,
    desk: Desk,
    manifest_sha256: protocol::Sha256,
    pub(crate) one: Station,
    pub(crate) two: Station,
}

impl Works {
    pub(crate) async fn begin(mode: &str) -> Self {
        let factory = Factory::of(&[TENANT]).await;
        let mut desk = factory.desk(TENANT);
        let files = desk.release_in(mode, "1.0.0", 5_000);
        let published = factory.publish(TENANT, &files).await.unwrap();
        let (one, two) =
            (factory.enrolled(TENANT, "st-1").await, factory.enrolled(TENANT, "st-2").await);
        let manifest_sha256 = published.manifest_sha256;
        Self { factory, desk, manifest_sha256, one, two }
    }

    pub(crate) async fn order(&self, number: &str, quantity: u32) {
        let order = OrderCreate {
            number: number.parse().unwrap(),
            product: PRODUCT.parse().unwrap(),
            manifest_sha256: self.manifest_sha256,
            quantity,
        };
        self.factory.admin(TENANT).create_order(&order).await.unwrap();
    }

    pub(crate) async fn grant(
        &self,
        station: &Station,
        order: &str,
        quantity: u32,
        certificate: &activation::AllotmentCertificate,
    ) -> Result<(), AdminError> {
        let grant = PortionGrant {
            station: station.name().clone(),
            order: order.parse().unwrap(),
            quantity,
            allotment_certificate: Some(hex::encode(certificate.as_bytes())),
            index_from: None,
            index_to: None,
            channel: None,
        };
        self.factory.admin(TENANT).grant(&grant).await
    }

    pub(crate) fn certify(
        &self,
        station: &Station,
        quota: u32,
    ) -> activation::AllotmentCertificate {
        self.desk.certify(quota, station.keys.journal_public())
    }
}

fn refused(error: AdminError) -> (ProblemType, String) {
    let AdminError::Refused(problem) = error else { panic!("{error}") };
    (problem.kind, problem.detail.unwrap_or_default())
}

fn payload(documents: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    let statement: SignedStatement = serde_json::from_slice(&documents[name]).unwrap();
    statement.payload
}

/// The shares a station was handed.
async fn loans(station: &Station) -> Vec<Loan> {
    let documents = documents(&station.client()).await;
    let names = documents.keys().filter(|name| name.starts_with("credentials/"));
    names.map(|name| serde_json::from_str(&payload(&documents, name)).unwrap()).collect()
}

/// The secrets of a credential, as the station's key opens them.
fn opened(station: &Station, loan: &Loan, credential: &SealedCredential) -> Option<Vec<u8>> {
    let binding = ParcelBinding {
        tenant: Name::new(TENANT).unwrap(),
        product: Name::new(PRODUCT).unwrap(),
        secret: ParcelSecret::Credential {
            allotment: loan.certificate.allotment(),
            index: credential.number(),
            credential: credential.digest(),
        },
    };
    let sealed = serde_json::to_value(credential).unwrap();
    let sealed = hex::decode(sealed["sealed"].as_str().unwrap()).unwrap();
    open_parcel(&sealed, &station.keys.hpke, &binding).ok().map(|plain| plain.to_vec())
}

pub(crate) fn reserved(number: u8, code: &str, loan: [u8; 16], index: u32) -> Event {
    Event::Reserved {
        slot: 1,
        visit: format!("v{number}"),
        order: "4711".into(),
        product: PRODUCT.into(),
        family: "nrf52".into(),
        uid: HexBytes(vec![number; 8]),
        code: code.into(),
        allotment: HexBytes(loan.to_vec()),
        index,
        block_sha256: None,
        mode: Some("pool".into()),
        credential: None,
    }
}

fn passed(number: u8, code: &str) -> Event {
    Event::Passed {
        slot: 1,
        visit: format!("v{number}"),
        order: "4711".into(),
        product: PRODUCT.into(),
        family: "nrf52".into(),
        uid: Some(HexBytes(vec![number; 8])),
        weak: None,
        code: code.into(),
        release: Digest([0xAB; 32]),
        took_ms: 1,
    }
}

/// The station's new records arrive at the hub.
pub(crate) async fn arrive(station: &mut Station, events: Vec<Event>) {
    let from = station.records.len();
    for event in events {
        station.record(event);
    }
    let push = station.push(from, station.records.len());
    let answer = station.client().push(&push).await;
    assert_eq!(answer.0, 200, "{}", String::from_utf8_lossy(&answer.1));
}

/// What people are shown about units. These tests' stations spend allotments that nobody lent them,
/// which the tests in `forged` are about.
async fn conflicts(admin: &AdminClient) -> Vec<Conflict> {
    let mut conflicts = admin.conflicts().await.unwrap();
    conflicts.retain(|conflict| conflict.kind != "allotment-not-lent");
    conflicts
}

#[tokio::test]
async fn a_pools_file_is_imported_whole_or_not_at_all_and_no_value_of_it_is_ever_told() {
    let works = Works::begin("pool").await;
    let admin = works.factory.admin(TENANT);
    let check = |name: &'static str, file: String, says: &'static str, never: String| {
        let admin = admin.clone();
        async move {
            let error = admin.import_pool(&import(name, &file)).await.unwrap_err();
            let (kind, detail) = refused(error);
            assert_eq!(kind, ProblemType::PoolFileRefused, "{name}");
            assert!(detail.contains(says), "{name}: {detail}");
            assert!(!detail.contains(&never), "{name} tells a value: {detail}");
        }
    };
    let mut twice = rows(0..3);
    twice.push_str(&format!("DEV-9999,{}\n", key_of(1)));
    check("a secret twice", twice, "line 5, column 2 (key)", key_of(1)).await;
    let short = "id,key\nDEV-0001,c0ffee\n".to_owned();
    check("too short", short, "line 2, column 2 (key)", "c0ffee".into()).await;
    check("no rows", "id,key\n".into(), "no rows", "id".repeat(9)).await;
    assert_eq!(admin.pools().await.unwrap()[0].imported, 0);

    assert_eq!(admin.import_pool(&import("may.csv", &rows(0..5))).await.unwrap().imported, 5);
    let again = format!("{}DEV-0003,{}\n", rows(5..6), key_of(77));
    check("a code of an earlier file", again, "may.csv, line 5", "DEV-0003".into()).await;
    let mut other = import("other.csv", &rows(5..6));
    other.schema["columns"][1]["bytes_max"] = 16.into();
    let (_, detail) = refused(admin.import_pool(&other).await.unwrap_err());
    assert!(detail.contains("another schema"), "{detail}");

    let mut june = import("june.csv", &rows(5..8));
    june.low_count = Some(8);
    admin.import_pool(&june).await.unwrap();
    let pool = admin.pools().await.unwrap().remove(0);
    assert_eq!((pool.imported, pool.free, pool.left, pool.bound), (8, 8, 8, 0));
    assert_eq!(pool.level, WaterLevel::Low);
    for number in 0..8 {
        let secret = hex::decode(key_of(number)).unwrap();
        for file in std::fs::read_dir(works.factory.data()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            assert!(!holds(&secret) && !holds(key_of(number).as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn stations_are_lent_disjoint_shares_that_only_they_can_open_and_never_more_than_there_are() {
    let works = Works::begin("pool").await;
    let admin = works.factory.admin(TENANT);
    works.order("4711", 100).await;
    let certificate = works.certify(&works.one, 3);
    let (kind, _) = refused(works.grant(&works.one, "4711", 3, &certificate).await.unwrap_err());
    assert_eq!(kind, ProblemType::PoolExhausted, "no pool yet");
    admin.import_pool(&import("may.csv", &rows(0..5))).await.unwrap();
    works.grant(&works.one, "4711", 3, &certificate).await.unwrap();
    let certificate = works.certify(&works.two, 3);
    let (kind, _) = refused(works.grant(&works.two, "4711", 3, &certificate).await.unwrap_err());
    assert_eq!(kind, ProblemType::PoolExhausted);
    let certificate = works.certify(&works.two, 2);
    works.grant(&works.two, "4711", 2, &certificate).await.unwrap();

    let mut codes = BTreeSet::new();
    for (station, other, count) in [(&works.one, &works.two, 3), (&works.two, &works.one, 2)] {
        let loans = loans(station).await;
        assert_eq!(loans.len(), 1);
        assert!(loans[0].is_in_order());
        assert_eq!(loans[0].credentials.len(), count);
        for credential in &loans[0].credentials {
            let code = credential.code(&loans[0].schema).unwrap().to_owned();
            let number: u32 = code.trim_start_matches("DEV-").parse().unwrap();
            let secrets = opened(station, &loans[0], credential).expect("its own");
            assert_eq!(hex::encode(&secrets[2..]), key_of(number));
            assert!(opened(other, &loans[0], credential).is_none(), "another station opens it");
            assert!(codes.insert(code), "lent twice");
        }
        assert_eq!(loans, self::loans(station).await, "the same document for ever");
    }
    assert_eq!(codes.len(), 5);
    assert_eq!(admin.pools().await.unwrap()[0].free, 0);
}

#[tokio::test]
async fn of_two_credentials_for_one_chip_the_first_recorded_wins_and_the_second_is_shown() {
    let mut works = Works::begin("pool").await;
    let admin = works.factory.admin(TENANT);
    admin.import_pool(&import("may.csv", &rows(0..4))).await.unwrap();
    let (a, b) = ([0xA; 16], [0xB; 16]);
    arrive(&mut works.one, vec![reserved(1, "DEV-0000", a, 0), passed(1, "DEV-0000")]).await;
    arrive(&mut works.two, vec![reserved(1, "DEV-0002", b, 0)]).await;
    // The same again changes nothing.
    arrive(&mut works.one, vec![reserved(1, "DEV-0000", a, 0)]).await;
    let conflicts = conflicts(&admin).await;
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!((conflicts[0].kind.as_str(), conflicts[0].uid.len()), ("second-credential", 16));
    assert!(conflicts[0].detail.contains("got DEV-0002, which is void"), "{conflicts:?}");

    // One credential on a second chip, from the other station: that board is to be pulled.
    arrive(&mut works.two, vec![reserved(2, "DEV-0000", a, 0)]).await;
    let conflicts = self::conflicts(&admin).await;
    assert_eq!(conflicts[1].kind, "code-on-two-chips");
    assert_eq!(conflicts[1].uid, "02".repeat(8));
}

#[tokio::test]
async fn a_void_after_another_stations_pass_names_the_board_to_pull_and_goes_to_every_station() {
    let mut works = Works::begin("ed25519").await;
    let admin = works.factory.admin(TENANT);
    assert!(!documents(&works.one.client()).await.contains_key("voids"), "nothing is void");
    let a = [0xA; 16];
    let code = "DKZ2-8E08-X09F-5H7N-Y";
    arrive(&mut works.one, vec![reserved(1, code, a, 0), passed(1, code)]).await;
    let scrapped = Event::Scrapped {
        product: PRODUCT.into(),
        family: "nrf52".into(),
        uid: HexBytes(vec![1; 8]),
        operator: 17,
    };
    arrive(&mut works.two, vec![scrapped]).await;
    let conflicts = conflicts(&admin).await;
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(conflicts[0].kind, "pull-board");
    assert_eq!(conflicts[0].station.as_ref().map(|name| name.as_str()), Some("st-1"));

    let replaced = DispositionCreate::ChipReplaced {
        product: PRODUCT.parse().unwrap(),
        serial: "SN-7".into(),
        old_family: "nrf52".into(),
        old_uid: "03".repeat(8),
        new_family: "nrf52".into(),
        new_uid: "04".repeat(8),
    };
    admin.dispose(&replaced).await.unwrap();
    for station in [&works.one, &works.two] {
        let documents = documents(&station.client()).await;
        let voids: VoidsStatement = serde_json::from_str(&payload(&documents, "voids")).unwrap();
        let uids: Vec<_> = voids.units.iter().map(|unit| unit.uid.clone()).collect();
        assert_eq!((voids.version, uids), (2, vec!["01".repeat(8), "03".repeat(8)]));
    }
    let units = admin.units().await.unwrap();
    assert_eq!(units[0].state, Verdict::Voided);
    arrive(&mut works.one, vec![passed(1, code)]).await;
    assert_eq!(admin.units().await.unwrap()[0].state, Verdict::Voided, "void is for ever");
    let log = admin.log().await.unwrap().records.concat();
    assert!(log.contains("SN-7"), "{log}");
}

#[tokio::test]
async fn what_a_station_gives_back_is_lent_again_to_nobody_twice() {
    let mut works = Works::begin("pool").await;
    let admin = works.factory.admin(TENANT);
    admin.import_pool(&import("may.csv", &rows(0..4))).await.unwrap();
    works.order("4711", 4).await;
    let certificate = works.certify(&works.one, 4);
    works.grant(&works.one, "4711", 4, &certificate).await.unwrap();
    let name = certificate.allotment();
    let lent = loans(&works.one).await;
    let returned = |from: u32, to: u32| Event::PortionReturned {
        order: "4711".into(),
        passed: 1,
        allotment: Some(HexBytes(name.to_vec())),
        unused_from: from,
        unused_to: to,
    };
    // Indices that the portion never had come from nobody.
    arrive(&mut works.one, vec![returned(2, 9)]).await;
    assert_eq!(admin.pools().await.unwrap()[0].free, 0);
    arrive(
        &mut works.one,
        vec![
            reserved(1, "DEV-0000", name, 0),
            passed(1, "DEV-0000"),
            returned(1, 4),
            returned(1, 4),
        ],
    )
    .await;
    let pool = admin.pools().await.unwrap().remove(0);
    assert_eq!((pool.free, pool.bound, pool.left), (3, 1, 3));
    assert_eq!(admin.orders().await.unwrap()[0].granted, 1);

    let certificate = works.certify(&works.two, 3);
    works.grant(&works.two, "4711", 3, &certificate).await.unwrap();
    let codes = |loans: &[Loan]| -> Vec<String> {
        let loan = &loans[0];
        loan.credentials.iter().map(|one| one.code(&loan.schema).unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&loans(&works.two).await), codes(&lent)[1..]);
}

#[tokio::test]
async fn a_chips_credential_is_lent_to_the_station_where_it_is_now_for_that_chip_alone() {
    let mut works = Works::begin("pool").await;
    let admin = works.factory.admin(TENANT);
    admin.import_pool(&import("may.csv", &rows(0..4))).await.unwrap();
    works.order("4711", 4).await;
    let certificate = works.certify(&works.one, 4);
    works.grant(&works.one, "4711", 2, &certificate).await.unwrap();
    let relend = |works: &Works, uid: &str, quota| Relend {
        product: PRODUCT.parse().unwrap(),
        family: "nrf52".into(),
        uid: uid.into(),
        station: works.two.name().clone(),
        allotment_certificate: hex::encode(works.certify(&works.two, quota).as_bytes()),
    };
    let uid = "01".repeat(8);
    let (kind, _) = refused(admin.relend(&relend(&works, &uid, 1)).await.unwrap_err());
    assert_eq!(kind, ProblemType::NotFound, "bound to nothing yet");
    let name = certificate.allotment();
    arrive(&mut works.one, vec![reserved(1, "DEV-0002", name, 2)]).await;
    admin.relend(&relend(&works, &uid, 1)).await.unwrap();
    let loan = loans(&works.two).await.remove(0);
    assert_eq!(loan.credentials.len(), 1);
    assert_eq!(loan.credentials[0].code(&loan.schema), Some("DEV-0002"));
    assert_eq!(loan.only_for.as_ref().map(|only| only.uid.clone()), Some(vec![1; 8]));
    assert!(opened(&works.two, &loan, &loan.credentials[0]).is_some());
    assert!(opened(&works.one, &loan, &loan.credentials[0]).is_none());
}

#[tokio::test]
async fn the_secret_of_a_copy_deterrent_goes_sealed_to_the_products_stations_and_to_no_other() {
    let works = Works::begin("hmac-sha256").await;
    let admin = works.factory.admin(TENANT);
    let secret = [0x5A; 32];
    let create = |secret: [u8; 32]| MacSecretCreate {
        product: PRODUCT.parse().unwrap(),
        secret: hex::encode(secret),
    };
    assert!(admin.mac_secret(&create([0; 32])).await.is_err(), "zeros are no secret");
    let taken = admin.mac_secret(&create(secret)).await.unwrap();
    assert_eq!(taken.secret_sha256, sha256(&secret));
    let (kind, _) = refused(admin.mac_secret(&create([1; 32])).await.unwrap_err());
    assert_eq!(kind, ProblemType::AlreadyExists);
    works.order("4711", 4).await;
    let grant = PortionGrant {
        station: works.one.name().clone(),
        order: "4711".parse().unwrap(),
        quantity: 4,
        allotment_certificate: None,
        index_from: None,
        index_to: None,
        channel: None,
    };
    admin.grant(&grant).await.unwrap();
    let name = format!("mac-secret/{PRODUCT}");
    assert!(!documents(&works.two.client()).await.contains_key(&name), "it has no portion");
    let documents = documents(&works.one.client()).await;
    let statement: MacSecretStatement = serde_json::from_str(&payload(&documents, &name)).unwrap();
    let binding = ParcelBinding {
        tenant: Name::new(TENANT).unwrap(),
        product: Name::new(PRODUCT).unwrap(),
        secret: ParcelSecret::Mac {
            secret_sha256: release::Digest::from_bytes(taken.secret_sha256.0),
        },
    };
    let sealed = hex::decode(&statement.sealed).unwrap();
    let plain = open_parcel(&sealed, &works.one.keys.hpke, &binding).unwrap();
    assert_eq!(plain.as_slice(), secret);
    assert!(open_parcel(&sealed, &works.two.keys.hpke, &binding).is_err());
}
