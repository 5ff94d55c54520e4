//! Ranges that somebody made up, mixed up or held back: each is refused in words of its own, and
//! nothing of it is kept.

use audit::{Event, Origin, RECORD_BYTES_MAX, Record};
use protocol::{JournalAck, JournalPush, JournalState, Problem};

use crate::factory::*;

/// The refusal's kind and what it says.
async fn refused(client: &RawClient, push: &JournalPush) -> (&'static str, String) {
    let answer = client.push(push).await;
    let problem: Problem = serde_json::from_slice(&answer.1).unwrap();
    (kind(&answer), problem.detail.unwrap_or_default())
}

fn record(epoch: u32, seq: u64, build: &str) -> String {
    let event = Event::StationStarted { build: build.into() };
    let text = Record { epoch, seq, at_ms: 1, event }.encode().unwrap();
    String::from_utf8(text).unwrap()
}

/// Everything from 0 on with `record` at its end, over the station's own honest signature.
fn ending_in(station: &Station, record: String) -> JournalPush {
    let mut records = station.records.clone();
    records.push(record);
    let checkpoint = signed(&station.keys.journal, station.origin(), &records);
    JournalPush { from: 0, records, checkpoint }
}

#[tokio::test]
async fn every_hostile_range_is_refused_in_words_of_its_own() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let other = factory.enrolled("acme", "st-2").await;
    station.note(6);
    let client = station.client();
    let push = |change: &dyn Fn(&mut JournalPush)| {
        let mut push = station.push(0, 6);
        change(&mut push);
        push
    };
    let name = |station: &str| Origin::new("acme", station, 1).unwrap();
    let long = format!("{{\"at_ms\":1,\"x\":\"{}\"}}", "y".repeat(RECORD_BYTES_MAX));
    let cases: Vec<(&str, JournalPush, &str)> = vec![
        (
            "an edited row",
            push(&|push| push.records[3] = record(1, 3, "edited")),
            "not the records that were signed",
        ),
        (
            "a journal that another station signed",
            push(&|push| {
                push.checkpoint = signed(&other.keys.journal, name("st-1"), &push.records);
            }),
            "not signed by the key",
        ),
        (
            "a checkpoint of another origin",
            push(&|push| {
                push.checkpoint = signed(&station.keys.journal, name("st-2"), &push.records);
            }),
            "is of journal flashline/acme/st-2/1",
        ),
        (
            "a record with a wrong sequence",
            ending_in(&station, record(1, 9, "ahead")),
            "at place 6 of epoch 1 stands record 9",
        ),
        (
            "a record of another epoch",
            ending_in(&station, record(2, 6, "elsewhere")),
            "stands record 6 of epoch 2",
        ),
        ("an oversize record", ending_in(&station, long), "is longer than"),
        (
            "a tail that was held back",
            push(&|push| push.records.truncate(4)),
            "the checkpoint is of 6 records, and those sent end at 4",
        ),
        ("a record that is no JSON", ending_in(&station, "hello".into()), "reading record 6"),
    ];
    let mut said = Vec::new();
    for (what, push, words) in cases {
        let (kind, detail) = refused(&client, &push).await;
        assert_eq!(kind, "journal-not-verified", "{what}: {detail}");
        assert!(detail.contains(words), "{what}: {detail}");
        said.push(detail);
    }
    said.sort();
    said.dedup();
    assert_eq!(said.len(), 8, "no two refusals say the same: {said:#?}");
    let held: JournalState = json(&client.get("/v1/journal/1").await);
    assert_eq!(held.size, 0);

    // An epoch nobody opened, and a range that is played again.
    json::<JournalAck>(&client.push(&station.push(0, 6)).await);
    let ack: JournalAck = json(&client.push(&station.push(0, 6)).await);
    assert_eq!((ack.size, ack.next), (6, 6), "a replayed range changes nothing");
    let second = JournalPush {
        from: 0,
        records: vec![record(2, 0, "on its own")],
        checkpoint: signed(
            &station.keys.journal,
            Origin::new("acme", "st-1", 2).unwrap(),
            &[record(2, 0, "on its own")],
        ),
    };
    let body = serde_json::to_vec(&second).unwrap();
    assert_eq!(kind(&client.post("/v1/journal/2", body).await), "epoch-not-opened");
    assert_eq!(kind(&other.client().push(&station.push(0, 6)).await), "journal-not-verified");
    let held: JournalState = json(&client.get("/v1/journal/1").await);
    assert_eq!((held.size, held.forked), (6, false));
}

#[tokio::test]
async fn an_epoch_is_opened_for_a_station_in_quarantine_only_and_begins_as_it_was_opened() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let admin = factory.admin("acme");
    station.note(3);
    let client = station.client();
    json::<JournalAck>(&client.push(&station.push(0, 3)).await);
    let sound = admin.open_epoch("st-1").await.unwrap_err();
    assert!(sound.to_string().contains("not in quarantine"), "{sound}");
    let quarantined = Event::Quarantined {
        why: "behind".into(),
        seen_by: "station".into(),
        seen_epoch: 1,
        seen_size: 9,
        incident: "K7".into(),
    };
    station.record(quarantined);
    json::<JournalAck>(&client.push(&station.push(3, 4)).await);
    let known = &admin.stations().await.unwrap()[0];
    assert!(known.quarantined && !known.forked, "its own word is enough");
    let opened = admin.open_epoch("st-1").await.unwrap();
    assert_eq!((opened.epoch.0, opened.previous_epoch.0, opened.previous_size), (2, 1, 4));

    let origin = || Origin::new("acme", "st-1", 2).unwrap();
    let begin = |previous_size: u64| {
        let event = Event::EpochOpened {
            previous_epoch: 1,
            previous_size,
            previous_root: audit::Digest(opened.previous_root.0),
        };
        let text = Record { epoch: 2, seq: 0, at_ms: 5, event }.encode().unwrap();
        let records = vec![String::from_utf8(text).unwrap()];
        let checkpoint = signed(&station.keys.journal, origin(), &records);
        serde_json::to_vec(&JournalPush { from: 0, records, checkpoint }).unwrap()
    };
    assert_eq!(kind(&client.post("/v1/journal/2", begin(3)).await), "journal-not-verified");
    json::<JournalAck>(&client.post("/v1/journal/2", begin(4)).await);
    let known = &admin.stations().await.unwrap()[0];
    assert_eq!((known.quarantined, known.epoch.0), (false, 2));
    // Whoever goes on in the old epoch does not know that a new one has begun.
    station.note(1);
    json::<JournalAck>(&client.push(&station.push(4, 5)).await);
    assert!(admin.stations().await.unwrap()[0].quarantined);
}
