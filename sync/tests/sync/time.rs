//! A station whose own time is wrong: it can ask its hub for the time, and nothing before.

use std::sync::atomic::Ordering;

use serde_json::json;
use sync::{HubState, OfflineReason};

use crate::script::*;

/// The first of January of these years.
const Y2000: i64 = 946_684_800_000;
const Y2027: i64 = 1_798_761_600_000;
const Y2099: i64 = 4_070_908_800_000;

/// A hub certified for 2026 and 2027 that says this time.
async fn hub_of_2027(says_ms: i64, signature: &'static str) -> ScriptedHub {
    ScriptedHub::certified_for(2026..2028, move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[("orders", b"o")]),
        "GET /v1/documents/orders" => Said(200, vec![], b"o".to_vec()),
        "GET /v1/journal/1" => no_journal(),
        "GET /v1/time" => {
            Said::json(&json!({ "payload": says_ms.to_string(), "signature": signature }))
        }
        other => panic!("{other}"),
    })
    .await
}

fn party(hub: &ScriptedHub) -> Party {
    let mut party = Party::with(0, vec![]);
    party.station_ms = Some(hub.station_ms.clone());
    party
}

#[tokio::test]
async fn a_station_that_was_off_too_long_is_set_right_by_its_hub_before_anything_else() {
    for (what, own_ms) in [("behind", Y2000), ("right", Y2027), ("ahead", Y2099)] {
        let hub = hub_of_2027(Y2027, "signed").await;
        hub.station_ms.store(own_ms, Ordering::SeqCst);
        let staging = tempfile::tempdir().unwrap();
        let round = hub.station(staging.path(), party(&hub));
        let seen = round.until(what, |seen| seen.etags.contains_key("orders")).await;
        assert_eq!(seen.states, [HubState::Connecting, HubState::Online], "{what}");
        assert_eq!(hub.station_ms.load(Ordering::SeqCst), Y2027, "{what}");
        assert_eq!(hub.asked()[0], "GET /v1/time", "{what}");
        round.end().await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_over_by_proven_time_is_refused_and_nothing_is_taken() {
    // The hub itself says that its certificate is over.
    let hub = hub_of_2027(Y2099, "signed").await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), party(&hub));
    let refused = HubState::Offline(OfflineReason::HubCertificate);
    let seen = round.until("refused", |seen| seen.states.contains(&refused)).await;
    assert!(seen.etags.is_empty());
    assert!(!seen.states.contains(&HubState::Online));
    round.end().await;
    assert!(hub.asked().iter().all(|asked| asked == "GET /v1/time"), "{:?}", hub.asked());
}

#[tokio::test]
async fn a_time_that_is_not_signed_opens_nothing() {
    let hub = hub_of_2027(Y2027, "by nobody").await;
    hub.station_ms.store(Y2000, Ordering::SeqCst);
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), party(&hub));
    let broken = HubState::Offline(OfflineReason::StationTrouble);
    round.until("asked three times", |seen| seen.states.contains(&broken)).await;
    hub.until_asked("again", |asked| asked.len() >= 3).await;
    let seen = round.end().await;
    assert!(seen.etags.is_empty());
    assert!(hub.asked().iter().all(|asked| asked == "GET /v1/time"), "{:?}", hub.asked());
    assert_eq!(hub.station_ms.load(Ordering::SeqCst), Y2000);
}
