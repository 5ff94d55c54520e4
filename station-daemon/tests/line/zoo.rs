//! Hostile documents: each is refused by its trouble, and the line keeps what it may do.

use std::collections::BTreeMap;

use release::tuf::{
    ProductRole, ReleaseTarget, RoleKeys, product_document, root_document, targets_document,
};
use release::{
    Digest, FreshenWith, LeaseKeys, LeaseTerms, Manifest, SigningKey, SystemRandom, envelope,
    freshen,
};
use serde_json::{Value, json};
use station_daemon::api::view::{SlotState, TroubleCode};
use station_daemon::desk::os_ms;

use super::paper::{DAY_MS, Office, PRODUCT, Parcel, Plan, TENANT, label, name, one};
use super::station::{Board, Station};
use super::{UIDS, World};

impl Office {
    /// What the parcel's manifest is named.
    pub(crate) fn target(parcel: &Parcel) -> ReleaseTarget {
        let bytes = manifest_of(parcel);
        let manifest = Manifest::from_bytes(bytes).expect("a manifest");
        ReleaseTarget {
            version: manifest.version,
            manifest_sha256: Digest::of(bytes),
            manifest_bytes: bytes.len() as u64,
            withdrawn: false,
        }
    }

    /// Puts another edition of the product's document into the parcel.
    pub(crate) fn put_product(
        &self,
        parcel: &mut Parcel,
        version: u64,
        targets: &[ReleaseTarget],
        by: &[&SigningKey],
    ) {
        let expires_ms = os_ms() + DAY_MS;
        let document = product_document(&name(PRODUCT), version, expires_ms, targets, by);
        parcel.documents.insert(format!("{PRODUCT}.json"), document.expect("product"));
    }

    /// Puts another edition of the targets into the parcel, with other lease keys.
    pub(crate) fn put_targets(
        &self,
        parcel: &mut Parcel,
        version: u64,
        lease_key: &SigningKey,
        by: &SigningKey,
    ) {
        let keys = LeaseKeys::new(name(TENANT), 1, vec![lease_key.public()]).expect("lease keys");
        let role = ProductRole { product: name(PRODUCT), keys: one(&self.product_key) };
        let targets = targets_document(version, os_ms() + DAY_MS, &keys, &[role], &[by]);
        parcel.documents.insert("targets.json".to_owned(), targets.expect("targets"));
        let keys = keys.to_bytes().expect("lease keys");
        parcel.documents.insert("lease-keys.json".to_owned(), keys);
    }

    /// The hub says that what is in the parcel now is the newest.
    pub(crate) fn freshen(&self, parcel: &mut Parcel) {
        self.freshen_at(parcel, os_ms());
    }

    fn freshen_at(&self, parcel: &mut Parcel, now_ms: i64) {
        let documents = &mut parcel.documents;
        let roles: BTreeMap<String, Vec<u8>> = ["targets", PRODUCT]
            .map(|role| (role.to_owned(), documents[&format!("{role}.json")].clone()))
            .into();
        let previous = (documents["snapshot.json"].clone(), documents["timestamp.json"].clone());
        let fresh = freshen(&FreshenWith {
            snapshot_key: &self.snapshot_key,
            timestamp_key: &self.timestamp_key,
            roles: &roles,
            previous: Some((&previous.0, &previous.1)),
            now_ms,
            snapshot_life_ms: DAY_MS,
            timestamp_life_ms: DAY_MS,
        })
        .expect("freshness");
        documents.insert("snapshot.json".to_owned(), fresh.snapshot);
        documents.insert("timestamp.json".to_owned(), fresh.timestamp);
    }

    /// Lends again, with changed terms, signed by `by`.
    pub(crate) fn lend(parcel: &mut Parcel, by: &SigningKey, change: impl FnOnce(&mut LeaseTerms)) {
        let mut terms = release::lease::show_lease(&parcel.documents["lease"]).expect("a lease");
        change(&mut terms);
        parcel.documents.insert("lease".to_owned(), terms.sign(&[by]).expect("lease"));
    }
}

fn manifest_of(parcel: &Parcel) -> &[u8] {
    let found = parcel.documents.iter().find(|(name, _)| name.starts_with("manifest/"));
    found.map(|(_, bytes)| bytes.as_slice()).expect("a manifest")
}

/// Changes what a document says and signs it again: what a key's owner could do.
fn rewrite(parcel: &mut Parcel, document: &str, by: &SigningKey, change: impl FnOnce(&mut Value)) {
    let bytes = parcel.documents.get_mut(document).expect("the document");
    let mut value: Value = serde_json::from_slice(bytes).expect("JSON");
    change(&mut value["signed"]);
    value["signatures"] = json!([]);
    let unsigned = release::canonical::to_bytes(&value).expect("canonical");
    *bytes = envelope::add_signature(&unsigned, by, 1 << 20).expect("signed");
}

/// Changes the signatures of a document.
fn with_signatures(parcel: &mut Parcel, document: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let bytes = parcel.documents.get_mut(document).expect("the document");
    let mut value: Value = serde_json::from_slice(bytes).expect("JSON");
    change(value["signatures"].as_array_mut().expect("signatures"));
    *bytes = release::canonical::to_bytes(&value).expect("canonical");
}

type Spoil = fn(&Office, &mut Parcel);

const NOT_TRUSTED: TroubleCode = TroubleCode::ReleaseNotTrusted;
const DAMAGED: TroubleCode = TroubleCode::ReleaseDamaged;

const ZOO: &[(&str, TroubleCode, Spoil)] = &[
    ("expired", NOT_TRUSTED, |office, parcel| office.freshen_at(parcel, os_ms() - 2 * DAY_MS)),
    ("not yet valid", TroubleCode::ClockJumped, |office, parcel| {
        Office::lend(parcel, &office.lease_key, |terms| {
            (terms.issued_ms, terms.not_after_ms) = (os_ms() + DAY_MS, os_ms() + 2 * DAY_MS);
        });
    }),
    ("signed by a stranger", NOT_TRUSTED, |office, parcel| {
        let stranger = SigningKey::generate(&mut SystemRandom).expect("key");
        office.put_product(parcel, 3, &[Office::target(parcel)], &[&stranger]);
        office.freshen(parcel);
    }),
    ("a lease by a stranger", NOT_TRUSTED, |_, parcel| {
        let stranger = SigningKey::generate(&mut SystemRandom).expect("key");
        Office::lend(parcel, &stranger, |terms| terms.portions[0].quantity = 1000);
    }),
    ("rolled back", NOT_TRUSTED, |office, parcel| {
        office.put_product(parcel, 1, &[Office::target(parcel)], &[&office.product_key]);
        let bytes = parcel.documents[&format!("{PRODUCT}.json")].clone();
        rewrite(parcel, "snapshot.json", &office.snapshot_key, |signed| {
            signed["version"] = json!(90);
            signed["meta"][format!("{PRODUCT}.json")] = json!({
                "version": 1, "length": bytes.len(), "hashes": { "sha256": Digest::of(&bytes) },
            });
        });
        let snapshot = parcel.documents["snapshot.json"].clone();
        rewrite(parcel, "timestamp.json", &office.timestamp_key, |signed| {
            signed["version"] = json!(90);
            signed["meta"]["snapshot.json"] = json!({
                "version": 90, "length": snapshot.len(),
                "hashes": { "sha256": Digest::of(&snapshot) },
            });
        });
    }),
    ("mixed versions", NOT_TRUSTED, |office, parcel| {
        office.put_targets(parcel, 7, &office.lease_key, &office.targets_key);
    }),
    ("endless data", DAMAGED, |_, parcel| {
        parcel.documents.insert("timestamp.json".to_owned(), vec![b' '; 100_000]);
    }),
    ("truncated", DAMAGED, |_, parcel| {
        let snapshot = parcel.documents.get_mut("snapshot.json").expect("a snapshot");
        snapshot.truncate(snapshot.len() / 2);
    }),
    ("a truncated lease", NOT_TRUSTED, |_, parcel| {
        let lease = parcel.documents.get_mut("lease").expect("a lease");
        lease.truncate(lease.len() / 2);
    }),
    ("wrong station", NOT_TRUSTED, |office, parcel| {
        Office::lend(parcel, &office.lease_key, |terms| {
            terms.station_key_sha256 = Digest::of(b"another station");
        });
    }),
    ("wrong tenant", NOT_TRUSTED, |office, parcel| {
        Office::lend(parcel, &office.lease_key, |terms| terms.tenant = name("other"));
    }),
    ("wrong product", NOT_TRUSTED, |office, parcel| {
        rewrite(parcel, &format!("{PRODUCT}.json"), &office.product_key, |signed| {
            signed["version"] = json!(3);
            let target = signed["targets"][format!("{PRODUCT}/1.0.0.json")].clone();
            signed["targets"] = json!({ "radio/1.0.0.json": target });
        });
        office.freshen(parcel);
    }),
    ("lowered lease version", NOT_TRUSTED, |office, parcel| {
        Office::lend(parcel, &office.lease_key, |terms| terms.version = 1);
    }),
    ("lease ended", TroubleCode::LeaseOver, |office, parcel| {
        Office::lend(parcel, &office.lease_key, |terms| {
            (terms.issued_ms, terms.not_after_ms) = (os_ms() - DAY_MS, os_ms() - 60_000);
        });
    }),
    ("threshold not met", NOT_TRUSTED, |office, parcel| {
        office.put_targets(parcel, 3, &office.lease_key, &office.targets_key);
        with_signatures(parcel, "targets.json", Vec::clear);
        office.freshen(parcel);
    }),
    ("duplicated signatures", DAMAGED, |_, parcel| {
        with_signatures(parcel, "timestamp.json", |signatures| {
            signatures.push(signatures[0].clone());
        });
    }),
    ("non-canonical JSON", DAMAGED, |_, parcel| {
        parcel.documents.get_mut("timestamp.json").expect("a timestamp").push(b'\n');
    }),
    ("delegation outside its path", NOT_TRUSTED, |office, parcel| {
        rewrite(parcel, "targets.json", &office.targets_key, |signed| {
            signed["version"] = json!(3);
            signed["delegations"]["roles"][0]["paths"] = json!(["*/*"]);
        });
        office.freshen(parcel);
    }),
    ("a root that nobody before it signed", NOT_TRUSTED, |office, parcel| {
        let mut plan = release::tuf::RootPlan::read(&office.root).expect("root");
        let own = RoleKeys { keys: vec![office.lease_key.public()], threshold: 1 };
        (plan.version, plan.root, plan.targets) = (2, own.clone(), own);
        let root = root_document(&plan, &[&office.lease_key, &office.snapshot_key]);
        parcel.documents.insert("2.root.json".to_owned(), root.expect("root"));
    }),
];

#[test]
fn every_hostile_document_has_its_trouble_and_the_line_keeps_what_it_may_do() {
    for (what, code, spoil) in ZOO {
        let world = World::new(worked_before);
        let station = Station::start(world.path(), &[]);
        let good = world.parcel();
        station.deliver(&good);
        station.wait("no trouble", |view| view.trouble.is_none() && view.order.is_some());
        let mut parcel = good.clone();
        spoil(&world.office, &mut parcel);
        assert_ne!(parcel.documents, good.documents, "{what}: nothing was spoilt");
        station.deliver_documents(&parcel);
        let view = station.wait(what, |view| view.trouble.is_some());
        assert_eq!(view.trouble.as_ref().map(|trouble| trouble.code), Some(*code), "{what}");
        assert_eq!(view.order.as_ref().map(|order| order.quantity), Some(10), "{what}");
        let taken =
            |record: &audit::Record| matches!(record.event, audit::Event::LeaseTaken { .. });
        assert_eq!(station.records().iter().filter(|record| taken(record)).count(), 1, "{what}");
        station.stop();
    }
}

/// A plan that leaves room below its versions for older ones.
fn worked_before(plan: &mut Plan) {
    plan.self_test = false;
    plan.lease_version = 2;
    plan.metadata_version = 2;
}

#[test]
fn after_hostile_documents_a_board_still_gets_what_the_good_ones_lend() {
    let world = World::new(worked_before);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let good = world.parcel();
    station.deliver(&good);
    for hostile in
        ["a lease by a stranger", "mixed versions", "a root that nobody before it signed"]
    {
        let (_, code, spoil) = ZOO.iter().find(|(what, ..)| *what == hostile).expect("a case");
        let mut parcel = good.clone();
        spoil(&world.office, &mut parcel);
        station.deliver_documents(&parcel);
        station.wait(hostile, |view| view.trouble.as_ref().is_some_and(|t| t.code == *code));
    }
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    station.stop();
}

#[test]
fn a_release_of_another_length_or_another_version_than_named_is_never_written() {
    let check = |what: &str, change: &dyn Fn(&mut ReleaseTarget)| {
        let world = World::new(|plan| plan.self_test = false);
        let board = Board::new(UIDS[0]);
        let station = Station::start(world.path(), &[board.slot(1)]);
        let mut parcel = world.parcel();
        let mut target = Office::target(&parcel);
        change(&mut target);
        world.office.put_product(&mut parcel, 2, &[target], &[&world.office.product_key]);
        world.office.freshen(&mut parcel);
        station.deliver_documents(&parcel);
        board.pull("insert");
        let failed = station.wait_slot(1, SlotState::Fail);
        let code = failed.trouble.map(|trouble| trouble.code);
        assert!(
            matches!(code, Some(TroubleCode::ReleaseNotTrusted | TroubleCode::NoRelease)),
            "{what}: {code:?}"
        );
        assert!(board.cells(0, 4096).iter().all(|byte| *byte == 0xFF), "{what}");
        station.stop();
    };
    check("wrong length", &|target| target.manifest_bytes += 1);
    check("wrong version", &|target| target.version = label("2.0.0"));
    check("wrong digest", &|target| target.manifest_sha256 = Digest::of(b"another"));
}
