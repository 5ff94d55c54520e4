//! Journal ranges: verified, kept, cosigned; everything else refused with both sides kept.

use audit::{BlockState, Cosigner, Digest, Event, HexBytes, SignedCheckpoint, Step};
use protocol::{JournalAck, JournalPush, JournalState, Problem, Verdict};

use crate::factory::*;

fn verify(station: &Station, note: &str) -> u64 {
    let signed: SignedCheckpoint = note.parse().unwrap();
    let cosigner = Cosigner {
        name: station.enrolled.hub_cosign_name.clone(),
        key: station.enrolled.hub_cosign_key.0,
    };
    signed
        .verify_cosigned(&station.origin(), &station.keys.journal_public(), &cosigner)
        .unwrap()
        .checkpoint
        .size
}

async fn held(station: &Station) -> JournalState {
    json(&station.client().get("/v1/journal/1").await)
}

#[tokio::test]
async fn a_journal_grows_range_by_range_and_every_head_comes_back_cosigned() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    station.note(10);
    let client = station.client();
    assert_eq!(held(&station).await.size, 0);
    for (from, to) in [(0, 1), (1, 4), (4, 10)] {
        let ack: JournalAck = json(&client.push(&station.push(from, to)).await);
        assert_eq!((ack.size, ack.next), (to as u64, to as u64));
        assert_eq!(verify(&station, &ack.cosigned), to as u64);
    }
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
    assert_eq!(verify(&station, &page.cosigned.unwrap()), 10);
}

#[tokio::test]
async fn a_range_sent_again_whole_or_in_part_changes_nothing_and_is_acknowledged() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    station.note(9);
    let client = station.client();
    for (from, to, size) in
        [(0, 6, 6), (0, 6, 6), (2, 4, 6), (5, 6, 6), (3, 8, 8), (0, 8, 8), (7, 9, 9)]
    {
        let ack: JournalAck = json(&client.push(&station.push(from, to)).await);
        assert_eq!((ack.size, ack.next), (size, to as u64), "{from}..{to}");
        assert_eq!(verify(&station, &ack.cosigned), size, "{from}..{to}");
    }
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
}

#[tokio::test]
async fn one_range_sent_many_times_at_one_moment_is_kept_once_and_acknowledged_each_time() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    station.note(40);
    let pushes = (0..8).map(|_| {
        let (client, push) = (station.client(), station.push(0, 40));
        tokio::spawn(async move { client.push(&push).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        let ack: JournalAck = json(&push.await.unwrap());
        assert_eq!(ack.size, 40);
    }
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, station.records);
}

#[tokio::test]
async fn a_gap_is_named_with_the_record_that_is_wanted() {
    let (_factory, _, _, mut station) = Factory::running("acme").await;
    station.note(8);
    let client = station.client();
    let answer = client.push(&station.push(3, 8)).await;
    assert_eq!(kind(&answer), "journal-gap");
    assert_eq!(serde_json::from_slice::<Problem>(&answer.1).unwrap().expected, Some(0));
    json::<JournalAck>(&client.push(&station.push(0, 2)).await);
    let answer = client.push(&station.push(3, 8)).await;
    assert_eq!(serde_json::from_slice::<Problem>(&answer.1).unwrap().expected, Some(2));
    assert_eq!(held(&station).await.size, 2);
}

#[tokio::test]
async fn a_range_that_its_station_did_not_sign_is_refused_and_nothing_of_it_is_kept() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    station.note(6);
    let stranger = StationKeys::draw();
    let edited = {
        let mut push = station.push(0, 6);
        push.records[3] = push.records[3].replace("test 3", "test 4");
        push
    };
    let swapped = {
        let mut push = station.push(0, 6);
        push.records.swap(1, 2);
        push
    };
    let dropped = {
        let mut push = station.push(0, 6);
        push.records.remove(2);
        push
    };
    let added = {
        let mut push = station.push(0, 6);
        push.records.push(push.records[5].clone());
        push
    };
    let signed_by_stranger = JournalPush {
        checkpoint: signed(&stranger.journal, station.origin(), &station.records),
        ..station.push(0, 6)
    };
    let of_another_station = JournalPush {
        checkpoint: signed(
            &station.keys.journal,
            audit::Origin::new("acme", "st-2", 1).unwrap(),
            &station.records,
        ),
        ..station.push(0, 6)
    };
    let of_another_tenant = JournalPush {
        checkpoint: signed(
            &station.keys.journal,
            audit::Origin::new("beta", "st-1", 1).unwrap(),
            &station.records,
        ),
        ..station.push(0, 6)
    };
    let shorter_head = JournalPush { checkpoint: station.checkpoint(5), ..station.push(0, 6) };
    let no_note = JournalPush { checkpoint: "hello".into(), ..station.push(0, 6) };
    let not_canonical = {
        let mut push = station.push(0, 6);
        push.records[0] = push.records[0].replacen(':', ": ", 1);
        push
    };
    let client = station.client();
    for (what, push) in [
        ("edited", edited),
        ("swapped", swapped),
        ("dropped", dropped),
        ("added", added),
        ("signed by a stranger", signed_by_stranger),
        ("of another station", of_another_station),
        ("of another tenant", of_another_tenant),
        ("shorter head", shorter_head),
        ("no note", no_note),
        ("not canonical", not_canonical),
    ] {
        assert_eq!(kind(&client.push(&push).await), "journal-not-verified", "{what}");
    }
    let empty = JournalPush { records: vec![], ..station.push(0, 6) };
    assert_eq!(kind(&client.push(&empty).await), "request-malformed");
    assert_eq!(held(&station).await.size, 0);
    assert!(factory.admin("acme").journal("st-1", None).await.unwrap().records.is_empty());
    json::<JournalAck>(&client.push(&station.push(0, 6)).await);
}

#[tokio::test]
async fn two_histories_are_both_kept_reported_and_stop_all_grants() {
    let (factory, desk, published, mut station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    station.note(6);
    let client = station.client();
    json::<JournalAck>(&client.push(&station.push(0, 6)).await);
    let lease = client.get("/v1/documents/lease").await;

    // A disk put back to an earlier day writes another history from record 3 on.
    let first = station.records.clone();
    station.records.truncate(3);
    for build in ["other 3", "other 4"] {
        station.record(Event::StationStarted { build: build.into() });
    }
    let answer = client.push(&station.push(4, 5)).await;
    assert_eq!(kind(&answer), "journal-gap", "only a range from where they part proves a fork");
    assert_eq!(serde_json::from_slice::<Problem>(&answer.1).unwrap().expected, Some(0));
    for (from, to) in [(3, 4), (3, 5), (0, 5), (2, 4), (4, 5)] {
        let answer = client.push(&station.push(from, to)).await;
        assert_eq!(kind(&answer), "journal-fork", "{from}..{to}");
        let problem = serde_json::from_slice::<Problem>(&answer.1).unwrap();
        let held = if to == 4 && from == 3 { 4 } else { 5 };
        assert_eq!((problem.seq, problem.expected), (Some(3), Some(held)), "{from}..{to}");
    }
    let state = held(&station).await;
    assert!(state.forked);
    assert_eq!(state.size, 6, "the first branch stays");
    let page = factory.admin("acme").journal("st-1", None).await.unwrap();
    assert_eq!(page.records, first);
    let admin = factory.admin("acme");
    let forks = admin.forks("st-1").await.unwrap();
    assert_eq!((page.forks, forks.len()), (1, 1));
    assert_eq!((forks[0].at, forks[0].held_size, forks[0].branch_size), (3, 6, 5));
    assert_eq!(forks[0].held, first[3..]);
    assert_eq!(forks[0].branch, station.records[3..], "the second branch too");

    // A third history parts from the second one, and is another branch.
    station.records.truncate(4);
    station.record(Event::StationStarted { build: "third 4".into() });
    assert_eq!(kind(&client.push(&station.push(4, 5)).await), "journal-fork");
    let forks = admin.forks("st-1").await.unwrap();
    assert_eq!(forks.len(), 2);
    assert_eq!((forks[1].at, &forks[1].branch[..]), (3, &station.records[3..]));

    let request = serde_json::json!({
        "last_version": 1, "key_protection": "none", "epoch": 1, "journal_size": 5
    });
    let asked = client.post("/v1/lease", serde_json::to_vec(&request).unwrap()).await;
    assert_eq!(kind(&asked), "grants-stopped");
    assert_eq!(client.get("/v1/documents/lease").await, lease, "no fresh lease");
    let stations = factory.admin("acme").stations().await.unwrap();
    assert!(stations[0].forked);
}

#[tokio::test]
async fn a_history_rewritten_before_the_range_sent_is_found_by_asking_for_all_of_it() {
    let (_factory, _, _, mut station) = Factory::running("acme").await;
    station.note(4);
    let client = station.client();
    json::<JournalAck>(&client.push(&station.push(0, 4)).await);
    station.records.truncate(1);
    for build in ["other 1", "other 2", "other 3", "other 4", "other 5"] {
        station.record(Event::StationStarted { build: build.into() });
    }
    let answer = client.push(&station.push(4, 6)).await;
    assert_eq!(kind(&answer), "journal-gap", "they part before record 4");
    assert_eq!(serde_json::from_slice::<Problem>(&answer.1).unwrap().expected, Some(0));
    let answer = client.push(&station.push(0, 6)).await;
    assert_eq!(kind(&answer), "journal-fork");
    assert_eq!(serde_json::from_slice::<Problem>(&answer.1).unwrap().seq, Some(1));
}

pub(crate) const CODE: &str = "ABCD-EFGH-JKMN-PQRS-0";

pub(crate) fn uid(number: u8) -> HexBytes {
    HexBytes(vec![1, 2, 3, 4, 5, 6, 7, number])
}

pub(crate) fn passed(number: u8) -> Event {
    Event::Passed {
        slot: 1,
        visit: format!("v{number}"),
        order: "4711".into(),
        product: "demo-lamp".into(),
        family: "nrf52".into(),
        uid: Some(uid(number)),
        weak: None,
        code: CODE.into(),
        release: Digest([0xAB; 32]),
        took_ms: 1234,
    }
}

pub(crate) fn reserved(number: u8) -> Event {
    Event::Reserved {
        slot: 1,
        visit: format!("v{number}"),
        order: "4711".into(),
        product: "demo-lamp".into(),
        family: "nrf52".into(),
        uid: uid(number),
        code: CODE.into(),
        allotment: HexBytes(vec![9; 16]),
        index: 0,
        block_sha256: Some(Digest([7; 32])),
        mode: None,
        credential: None,
    }
}

fn failed(number: u8) -> Event {
    Event::Failed {
        slot: 1,
        visit: format!("v{number}"),
        uid: Some(uid(number)),
        weak: None,
        trouble: "F-13".into(),
        step: Step::Verify,
        incident: "i1".into(),
        chip: None,
    }
}

fn seen_before(number: u8) -> Event {
    Event::SeenBefore {
        slot: 1,
        visit: format!("w{number}"),
        uid: uid(number),
        code: CODE.into(),
        passed_before: true,
    }
}

#[tokio::test]
async fn units_are_what_the_verified_records_say() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let identified = Event::Identified {
        slot: 1,
        visit: "v1".into(),
        family: "nrf52".into(),
        part: "nRF52832".into(),
        uid: Some(uid(1)),
        weak: None,
        found: BlockState::Blank,
        chip: None,
    };
    for event in [
        identified,
        reserved(1),
        passed(1),
        reserved(2),
        failed(2),
        reserved(3),
        seen_before(1),
        failed(9),
        reserved(4),
        failed(4),
        passed(4),
        seen_before(1),
    ] {
        station.record(event);
    }
    let client = station.client();
    json::<JournalAck>(&client.push(&station.push(0, 5)).await);
    json::<JournalAck>(&client.push(&station.push(0, 12)).await);
    let units = factory.admin("acme").units().await.unwrap();
    let seen: Vec<_> = units
        .iter()
        .map(|unit| {
            (
                unit.uid.as_str(),
                unit.state,
                unit.first_passed_ms,
                (unit.seen_before_count, unit.passed_count, unit.failed_count),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("0102030405060701", Verdict::Passed, Some(1_002), (2, 1, 0)),
            ("0102030405060702", Verdict::Failed, None, (0, 0, 1)),
            ("0102030405060703", Verdict::InWork, None, (0, 0, 0)),
            ("0102030405060704", Verdict::Passed, Some(1_010), (0, 1, 1)),
        ]
    );
    let unit = &units[0];
    assert_eq!(unit.code.as_deref(), Some(CODE));
    assert_eq!(unit.station.as_str(), "st-1");
    assert_eq!(unit.order.as_ref().unwrap().as_str(), "4711");
    assert_eq!(unit.release.as_deref(), Some("ab".repeat(32).as_str()));
    assert_eq!(
        (unit.product.as_ref().unwrap().as_str(), unit.family.as_str()),
        ("demo-lamp", "nrf52")
    );
}
