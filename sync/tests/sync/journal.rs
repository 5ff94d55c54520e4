//! Records go up in order, from where the hub says, and never round in circles.

use serde_json::json;
use sync::{HubState, JournalRefusal, OfflineReason};

use crate::script::*;

fn pushed(asked: &Asked) -> (u64, usize) {
    let plain = zstd::decode_all(asked.body.as_slice()).unwrap();
    let push: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    (push["from"].as_u64().unwrap(), push["records"].as_array().unwrap().len())
}

fn ack(size: u64) -> Said {
    Said::json(&json!({ "size": size, "cosigned": format!("note {size}"), "next": size }))
}

fn gap(expected: u64) -> Said {
    Said::problem(412, &json!({ "type": "journal-gap", "expected": expected }))
}

#[tokio::test]
async fn a_gap_is_closed_by_sending_from_the_record_the_hub_wants() {
    let mut first = true;
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[]),
        "GET /v1/journal/1" => {
            Said::json(&json!({ "epoch": 1, "size": 7, "cosigned": "note 7", "forked": false }))
        }
        "POST /v1/journal/1" if first => {
            first = false;
            gap(3)
        }
        "POST /v1/journal/1" => {
            let (from, count) = pushed(asked);
            ack(from + count as u64)
        }
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(10, vec![]));
    let seen = round.until("all", |seen| seen.acknowledged.last().is_some_and(|a| a.0 == 10)).await;
    assert_eq!(seen.acknowledged, [(7, "note 7".into()), (10, "note 10".into())]);
    assert_eq!(seen.states, [HubState::Connecting, HubState::Online]);
    round.end().await;
    let pushes: Vec<_> = hub
        .asked
        .borrow()
        .iter()
        .filter(|asked| asked.what.starts_with("POST"))
        .map(pushed)
        .collect();
    assert_eq!(pushes, [(7, 3), (3, 7)]);
}

#[tokio::test]
async fn a_long_journal_goes_up_in_pieces_and_all_of_it_at_once_when_the_hub_asks_for_all() {
    let mut disagreed = false;
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[]),
        "GET /v1/journal/1" => no_journal(),
        "POST /v1/journal/1" => match pushed(asked) {
            (2048, _) if !disagreed => {
                disagreed = true;
                gap(0)
            }
            (0, 2500) => Said::problem(409, &json!({ "type": "journal-fork", "seq": 1500 })),
            (from, count) => ack(from + count as u64),
        },
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(2500, vec![]));
    let seen = round.until("the fork", |seen| !seen.refusals.is_empty()).await;
    assert_eq!(seen.refusals, [JournalRefusal::Fork { seq: 1500 }]);
    let acknowledged: Vec<u64> = seen.acknowledged.iter().map(|(size, _)| *size).collect();
    assert_eq!(acknowledged, [1024, 2048]);

    // The lane stays closed: another record is not pushed, the documents are still asked for.
    let lists = || hub.asked().iter().filter(|what| *what == "GET /v1/documents").count();
    let pushes = || hub.asked().iter().filter(|what| what.starts_with("POST")).count();
    hub.until_asked("the long poll", |asked| asked.last().is_some_and(|a| !a.query.is_empty()))
        .await;
    let (lists_before, pushes_before) = (lists(), pushes());
    round.party.records.lock().unwrap().push("one more".into());
    round.nudge.now();
    hub.until_asked("the list again", |asked| {
        asked.iter().filter(|a| a.what == "GET /v1/documents").count() >= lists_before + 2
    })
    .await;
    assert_eq!(pushes(), pushes_before);
    let seen = round.end().await;
    assert_eq!(seen.refusals.len(), 1, "told once");
}

#[tokio::test]
async fn a_hub_that_moves_the_gap_for_ever_is_not_followed_for_ever() {
    let mut wanted = 0;
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[]),
        "GET /v1/journal/1" => no_journal(),
        "POST /v1/journal/1" => {
            wanted = (wanted + 1) % 5;
            gap(wanted)
        }
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(10, vec![]));
    let broken = HubState::Offline(OfflineReason::NotUnderstood);
    let seen = round.until("given up", |seen| seen.states.contains(&broken)).await;
    assert!(seen.acknowledged.is_empty());
    round.end().await;
}

#[tokio::test]
async fn what_does_not_verify_is_told_once_and_stays_with_the_station() {
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[("orders", b"{}")]),
        "GET /v1/documents/orders" => Said(200, vec![], b"{}".to_vec()),
        "GET /v1/journal/1" => no_journal(),
        "POST /v1/journal/1" => Said::problem(
            422,
            &json!({ "type": "journal-not-verified", "detail": "signed by nobody" }),
        ),
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(3, vec![]));
    let seen = round.until("documents", |seen| seen.etags.contains_key("orders")).await;
    let detail = "signed by nobody".to_owned();
    assert_eq!(seen.refusals, [JournalRefusal::NotVerified { detail }]);
    assert_eq!(seen.states, [HubState::Connecting, HubState::Online]);
    round.end().await;
}

#[tokio::test]
async fn a_new_record_goes_up_as_soon_as_the_postman_is_nudged() {
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[]),
        "GET /v1/journal/1" => no_journal(),
        "POST /v1/journal/1" => {
            let (from, count) = pushed(asked);
            ack(from + count as u64)
        }
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(0, vec![]));
    for size in 1..=20 {
        round.party.records.lock().unwrap().push(format!("record {size}"));
        round.nudge.now();
        round
            .until("the record", |seen| seen.acknowledged.last().is_some_and(|a| a.0 == size))
            .await;
    }
    round.end().await;
}
