//! A hub that was set back: it believes its own signatures only, grants nothing, and is whole when
//! everybody has come.

use protocol::{JournalAck, Recovery, ReportAnswer, Role};

use crate::factory::*;
use crate::people::{person, roster};

async fn report(station: &Station, cosigned: Option<&str>, lease: Option<&[u8]>) -> ReportAnswer {
    let report = serde_json::json!({
        "epoch": 1,
        "journal_size": station.records.len(),
        "snapshot_version": 7,
        "timestamp_version": 40,
    });
    let mut report = report.as_object().unwrap().clone();
    if let Some(note) = cosigned {
        report.insert("cosigned".into(), note.into());
    }
    if let Some(lease) = lease {
        report.insert("lease".into(), hex::encode(lease).into());
    }
    let body = serde_json::to_vec(&report).unwrap();
    json(&station.client().post("/v1/report", body).await)
}

async fn shown(factory: &Factory) -> Recovery {
    factory.admin("acme").recovery().await.unwrap()
}

/// Sets the hub back to a copy of its folder.
async fn set_back(factory: &mut Factory, backup: &std::path::Path) {
    let (station, admin) = factory.stop().await;
    std::fs::remove_dir_all(factory.data()).unwrap();
    copy(backup, &factory.data());
    factory.start(station, admin).await;
}

async fn backed_up(factory: &mut Factory) -> std::path::PathBuf {
    let (station, admin) = factory.stop().await;
    let backup = factory.folder.path().join("backup");
    copy(&factory.data(), &backup);
    factory.start(station, admin).await;
    backup
}

#[tokio::test]
async fn a_hub_that_was_set_back_grants_nothing_until_every_station_has_reported_or_it_is_told_to()
{
    let (mut factory, desk, published, mut station) = Factory::running("acme").await;
    let silent = factory.enrolled("acme", "st-2").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let backup = backed_up(&mut factory).await;
    station.note(6);
    let ack: JournalAck = json(&station.client().push(&station.push(0, 6)).await);
    let lease = station.client().get("/v1/documents/lease").await.1;
    assert_eq!(shown(&factory).await.since_ms, None);

    set_back(&mut factory, &backup).await;
    let answer = report(&station, Some(&ack.cosigned), Some(&lease)).await;
    assert!(answer.recovering);
    assert_eq!(answer.journal.size, 0);
    let recovery = shown(&factory).await;
    assert!(recovery.since_ms.is_some());
    let waits: Vec<_> = recovery
        .waits_for
        .iter()
        .map(|station| (station.name.as_str(), station.reported, station.cosigned_size))
        .collect();
    assert_eq!(waits, [("st-1", true, 6), ("st-2", false, 0)]);
    for path in ["/v1/documents", "/v1/documents/lease", "/v1/documents/timestamp.json"] {
        assert_eq!(kind(&station.client().get(path).await), "hub-recovering", "{path}");
    }
    let refused = factory.admin("acme").grant(&grant_of(&station, "4711")).await;
    assert!(format!("{}", refused.unwrap_err()).contains("recovering"));

    // The records come again, from where the hub's end is.
    json::<JournalAck>(&station.client().push(&station.push(0, 6)).await);
    let waits = shown(&factory).await.waits_for;
    assert_eq!(waits.len(), 1, "the silent one is left");
    assert!(
        report(&silent, None, None).await.recovering == shown(&factory).await.since_ms.is_some()
    );
    assert_eq!(shown(&factory).await.since_ms, None, "everybody has reported");
    let fresh = station.client().get("/v1/documents/lease").await;
    assert_eq!(fresh.0, 200);
    let version = |lease: &[u8]| release::lease::show_lease(lease).unwrap().version;
    assert!(version(&fresh.1) > version(&lease), "beyond what the station holds");
    let timestamp: serde_json::Value =
        serde_json::from_slice(&station.client().get("/v1/documents/timestamp.json").await.1)
            .unwrap();
    assert_eq!(timestamp["signed"]["version"], 41, "beyond what the station has seen");

    // Set back once more, with a station that never comes: an administrator ends the wait.
    set_back(&mut factory, &backup).await;
    assert!(report(&station, Some(&ack.cosigned), None).await.recovering);
    factory.admin("acme").end_recovery().await.unwrap();
    assert_eq!(shown(&factory).await.since_ms, None);
    assert_eq!(station.client().get("/v1/documents").await.0, 200);
    let log = factory.admin("acme").log().await.unwrap().records.join("\n");
    assert!(log.contains("this hub was set back") && log.contains("recovery ended"), "{log}");
}

#[tokio::test]
async fn a_roster_signed_after_a_hub_was_set_back_is_beyond_the_one_that_its_station_has_seen() {
    let (mut factory, _, _, station) = Factory::running("acme").await;
    let backup = backed_up(&mut factory).await;
    let add = async |factory: &Factory, number: u32| {
        let worker = person(number, Role::Worker, "line-1", &format!("badge-{number}"), None);
        factory.admin("acme").add_person(&worker).await.unwrap();
        roster(factory, &station).await
    };
    for number in 1..=3 {
        add(&factory, number).await;
    }
    let (_, seen) = roster(&factory, &station).await;
    assert_eq!(seen, 3);
    let lease = station.client().get("/v1/documents/lease").await.1;

    // The backup knows nobody, and no pepper of the station.
    set_back(&mut factory, &backup).await;
    report(&station, None, Some(&lease)).await;
    assert!(!report(&station, None, Some(&lease)).await.recovering, "everybody has come");
    let (after, named) = add(&factory, 4).await;
    assert_eq!(after.map(|roster| roster.version()), Some(4));
    assert_eq!(named, 4);
}

fn grant_of(station: &Station, order: &str) -> protocol::PortionGrant {
    protocol::PortionGrant {
        station: station.enrolled.station.clone(),
        order: order.parse().unwrap(),
        quantity: 1,
        allotment_certificate: None,
        index_from: None,
        index_to: None,
        channel: None,
    }
}

#[tokio::test]
async fn nothing_but_this_hubs_own_word_makes_it_recover() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let (stranger, _, _, mut other) = Factory::running("acme").await;
    station.note(4);
    other.note(9);
    let ack: JournalAck = json(&station.client().push(&station.push(0, 4)).await);
    let foreign: JournalAck = json(&other.client().push(&other.push(0, 9)).await);
    let lease = other.client().get("/v1/documents/lease").await.1;
    let own_word = station.checkpoint(4);
    for (what, cosigned, lease) in [
        ("nothing", None, None),
        ("what it holds", Some(ack.cosigned.as_str()), None),
        ("another hub's head", Some(&foreign.cosigned), None),
        ("a head nobody cosigned", Some(&own_word), None),
        ("no head", Some("hello"), None),
        ("another hub's lease", None, Some(lease.as_slice())),
    ] {
        assert!(!report(&station, cosigned, lease).await.recovering, "{what}");
    }
    assert_eq!(shown(&factory).await.since_ms, None);
    drop(stranger);
}
