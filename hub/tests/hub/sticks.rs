//! Sticks at the hub: what a station wrote counts as if it had been sent, and a stick that somebody
//! made up counts for nothing.

use std::collections::BTreeMap;
use std::path::Path;

use hub::admin_client::AdminError;
use hub::stick_carrier::{self, CarrierError};
use protocol::{Epoch, StickAnswer, StickRequest, TimeStatement};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use sync::stick::{Address, FoundParcel, ParcelWriter, Way};

use crate::factory::*;

const NONCE: &str = "00c0ffee";

/// What goes on a stick, and who says so.
struct Stick<'a> {
    station: &'a Station,
    /// Who it claims to be from.
    name: &'a str,
    sender: &'a Ed25519KeyPair,
    receiver: [u8; 32],
    number: u64,
    /// Journal ranges.
    ranges: Vec<(usize, usize)>,
}

impl<'a> Stick<'a> {
    fn of(station: &'a Station, number: u64, ranges: &[(usize, usize)]) -> Self {
        Self {
            station,
            name: station.name().as_str(),
            sender: &station.keys.journal,
            receiver: station.enrolled.hub_stick_key.0,
            number,
            ranges: ranges.to_vec(),
        }
    }

    fn request(&self) -> StickRequest {
        StickRequest {
            v: 1,
            nonce: NONCE.to_owned(),
            lease_version: 0,
            epoch: Epoch::FIRST,
            records: self.station.records.len() as u64,
            held: BTreeMap::new(),
            wanted: Vec::new(),
        }
    }

    fn write(&self, mount: &Path, more: &[(&str, &[u8])]) {
        let tenant = self.station.enrolled.tenant.as_str();
        let address = Address::new(tenant, self.name, Way::Up).unwrap();
        let reply = self.station.keys.hpke.to_bytes();
        let mut parcel = ParcelWriter::begin(mount, &address, self.number, 0, &reply).unwrap();
        let mut letter = |name: &str, plain: &[u8]| {
            parcel.letter(name, plain, &self.receiver, self.sender, &SystemRandom::new()).unwrap();
        };
        for (from, to) in &self.ranges {
            let push = serde_json::to_vec(&self.station.push(*from, *to)).unwrap();
            letter(&format!("journal/1/{from}"), &push);
        }
        letter("request", &serde_json::to_vec(&self.request()).unwrap());
        for (name, plain) in more {
            letter(name, plain);
        }
        parcel.finish(self.sender).unwrap();
    }
}

/// The hub's word for why it does not take a stick.
fn word(error: &CarrierError) -> String {
    match error {
        CarrierError::Stick(error) => error.word().to_owned(),
        CarrierError::Hub(AdminError::Refused(problem)) => {
            let detail = problem.detail.clone().unwrap_or_default();
            let word = [
                ("not signed by the sender", "foreign_sender"),
                ("not sealed to this receiver", "foreign_receiver"),
                ("is not newer than", "replayed"),
                ("is about", "other_address"),
            ];
            let word = word.iter().find(|(words, _)| detail.contains(words));
            assert_eq!(word.is_some(), problem.code.as_deref() == Some("F-55"), "{problem:?}");
            word.map_or_else(|| problem.kind.as_str().to_owned(), |(_, word)| (*word).to_owned())
        }
        CarrierError::Hub(_) | CarrierError::Letter { .. } => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_a_station_wrote_arrives_and_the_answer_carries_all_it_lacks() {
    let (factory, desk, published, mut station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let admin = factory.admin("acme");
    let stick = tempfile::tempdir().unwrap();
    let mount = stick.path();
    station.note(30);
    Stick::of(&station, 7, &[(0, 20), (20, 30)]).write(mount, &[]);
    let carried = stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap();
    assert_eq!((carried.number, carried.letters), (7, 3));
    let page = admin.journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);

    let carried = stick_carrier::write(&admin, mount, "acme", "st-1").await.unwrap();
    assert!(carried.chunks > 0, "{carried:?}");
    let down = Address::new("acme", "st-1", Way::Down).unwrap();
    let parcel = FoundParcel::find(mount, &down).unwrap();
    let parcel = parcel.prove(&station.enrolled.hub_cosign_key.0, 0).unwrap();
    let open = |name: &str| {
        let letter = parcel.list().letters.iter().find(|letter| letter.name == name);
        let letter = letter.unwrap_or_else(|| panic!("no {name}"));
        parcel.open(letter, &station.keys.hpke.to_bytes()).unwrap()
    };
    let answer: StickAnswer = serde_json::from_slice(&open("answer")).unwrap();
    let journal = answer.journal.unwrap();
    assert_eq!(journal.size, 30);
    let cosigner = audit::Cosigner {
        name: station.enrolled.hub_cosign_name.clone(),
        key: station.enrolled.hub_cosign_key.0,
    };
    let note: audit::SignedCheckpoint = journal.cosigned.unwrap().parse().unwrap();
    note.verify_cosigned(&station.origin(), &station.keys.journal_public(), &cosigner).unwrap();
    let time: TimeStatement = serde_json::from_str(&answer.time.unwrap().payload).unwrap();
    assert_eq!((time.nonce.as_str(), time.hub_time_ms), (NONCE, factory.now_ms()));
    for document in &answer.documents {
        let bytes = open(&format!("documents/{}", document.name));
        assert_eq!(sha256(&bytes), document.etag, "{}", document.name);
    }
    assert!(answer.documents.iter().any(|document| document.name.to_string() == "lease"));
    for chunk in &parcel.list().chunks {
        parcel.chunk(chunk).unwrap();
    }

    // A station that holds all of it is sent none of it again.
    let next = Stick::of(&station, 8, &[]);
    let mut request = next.request();
    request.held = answer.documents.iter().map(|one| (one.name.to_string(), one.etag)).collect();
    let held = serde_json::to_vec(&request).unwrap();
    next.write(mount, &[("request2", b"{}")]);
    let refused = stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap_err();
    assert_eq!(word(&refused), "request-malformed", "no station sends such a letter");
    let address = Address::new("acme", "st-1", Way::Up).unwrap();
    let reply = station.keys.hpke.to_bytes();
    let mut parcel = ParcelWriter::begin(mount, &address, 9, 0, &reply).unwrap();
    let (receiver, sender) = (&station.enrolled.hub_stick_key.0, &station.keys.journal);
    parcel.letter("request", &held, receiver, sender, &SystemRandom::new()).unwrap();
    parcel.finish(sender).unwrap();
    stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap();
    let carried = stick_carrier::write(&admin, mount, "acme", "st-1").await.unwrap();
    assert_eq!((carried.letters, carried.chunks), (1, 0), "an answer");
    let log = admin.log().await.unwrap();
    let log = log.records.join("\n");
    assert!(log.contains("stick of station st-1 read, parcel 9"), "{log}");
    assert!(log.contains("stick for station st-1 written, parcel"), "{log}");
}

#[tokio::test]
async fn a_stick_that_is_not_the_stations_own_moves_nothing() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let (stranger_hub, _, _, elsewhere) = Factory::running("other").await;
    let mut neighbour = factory.enrolled("acme", "st-2").await;
    let admin = factory.admin("acme");
    station.note(10);
    neighbour.note(10);
    let stick = tempfile::tempdir().unwrap();
    let mount = stick.path();
    let read = async |expected: &str, what: &str| {
        let refused = stick_carrier::read(&admin, mount, "acme", "st-1").await;
        let refused = match refused {
            Ok(carried) => panic!("{what}: {carried:?}"),
            Err(error) => word(&error),
        };
        assert_eq!(refused, expected, "{what}");
        let page = admin.journal("st-1", None).await;
        assert!(page.is_err() || page.unwrap().records.is_empty(), "{what}");
    };
    read("no_parcel", "an empty stick").await;
    let good = || Stick::of(&station, 5, &[(0, 10)]);
    Stick { sender: &neighbour.keys.journal, ..good() }.write(mount, &[]);
    read("foreign_sender", "signed by a neighbour").await;
    Stick { receiver: elsewhere.enrolled.hub_stick_key.0, ..good() }.write(mount, &[]);
    read("foreign_receiver", "sealed to another hub").await;
    Stick { number: 0, ..good() }.write(mount, &[]);
    read("replayed", "a number that was never given out").await;
    Stick { station: &neighbour, name: "st-1", sender: &station.keys.journal, ..good() }
        .write(mount, &[]);
    read("journal-not-verified", "a neighbour's records").await;
    // Of another tenant with a station of the same name, for that tenant's administrator.
    good().write(mount, &[]);
    let other = stranger_hub.admin("other");
    let refused = stick_carrier::read(&other, mount, "acme", "st-1").await.unwrap_err();
    assert_eq!(word(&refused), "other_address");
    let refused = stick_carrier::write(&admin, mount, "acme", "st-9").await.unwrap_err();
    assert_eq!(word(&refused), "not-found");

    // The good one is taken once. A lost answer is no reason to bring it again.
    stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap();
    let refused = stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap_err();
    assert_eq!(word(&refused), "replayed");
    // An older one that comes late is not taken either: what it holds came with the newer.
    Stick::of(&station, 4, &[(0, 10)]).write(mount, &[]);
    let refused = stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap_err();
    assert_eq!(word(&refused), "replayed");

    // Another history is a fork on a stick, too.
    station.records.truncate(4);
    station.record(audit::Event::StationStarted { build: "another history".into() });
    station.note(5);
    Stick::of(&station, 6, &[(0, 10)]).write(mount, &[]);
    let refused = stick_carrier::read(&admin, mount, "acme", "st-1").await.unwrap_err();
    assert_eq!(word(&refused), "journal-fork");
    assert_eq!(admin.journal("st-1", None).await.unwrap().forks, 1);

    admin.revoke("st-2").await.unwrap();
    Stick::of(&neighbour, 5, &[(0, 10)]).write(mount, &[]);
    let refused = stick_carrier::read(&admin, mount, "acme", "st-2").await.unwrap_err();
    assert_eq!(word(&refused), "certificate-refused");
    let refused = stick_carrier::write(&admin, mount, "acme", "st-2").await.unwrap_err();
    assert_eq!(word(&refused), "certificate-refused");
}

#[tokio::test]
async fn a_stick_read_half_and_then_again_is_read_whole_and_nothing_is_there_twice() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let admin = factory.admin("acme");
    let stick = tempfile::tempdir().unwrap();
    station.note(30);
    Stick::of(&station, 7, &[(0, 10), (10, 20), (20, 30)]).write(stick.path(), &[]);
    let up = Address::new("acme", "st-1", Way::Up).unwrap();
    let found = FoundParcel::find(stick.path(), &up).unwrap();
    // The administrator's machine loses the hub after every letter in turn.
    for brought in 0..found.list().letters.len() {
        admin.check_stick("st-1", found.list_bytes().to_vec()).await.unwrap();
        for letter in &found.list().letters[..brought] {
            admin.bring_letter("st-1", found.raw(letter).unwrap()).await.unwrap();
        }
    }
    stick_carrier::read(&admin, stick.path(), "acme", "st-1").await.unwrap();
    let page = admin.journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
    assert_eq!(page.forks, 0);
}
