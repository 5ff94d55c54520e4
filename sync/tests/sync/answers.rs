//! Documents arrive in order, whole, or not at all; odd answers end a round, never the postman.

use serde_json::json;
use sync::{HubState, OfflineReason};

use crate::script::*;

#[tokio::test]
async fn revocations_come_before_records_and_records_before_the_other_documents() {
    let documents: [(&str, &[u8]); 3] =
        [("lease", b"lease"), ("revocations", b"revoked"), ("root.json", b"root")];
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&documents),
        "GET /v1/documents/revocations" => Said(200, vec![], b"revoked".to_vec()),
        "GET /v1/documents/lease" => Said(200, vec![], b"lease".to_vec()),
        "GET /v1/documents/root.json" => Said(200, vec![], b"root".to_vec()),
        "GET /v1/journal/1" => no_journal(),
        "POST /v1/journal/1" => Said::json(&json!({ "size": 2, "cosigned": "n", "next": 2 })),
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(2, vec![]));
    let seen = round.until("all", |seen| seen.etags.len() == 3).await;
    assert_eq!(seen.sets.len(), 2);
    assert_eq!(seen.sets[0].0, ["revocations"]);
    assert_eq!(seen.sets[1].0, ["lease", "root.json"], "one consistent set");
    round.end().await;
    let asked = hub.asked();
    let place = |what: &str| asked.iter().position(|asked| asked == what).unwrap();
    assert!(place("GET /v1/documents/revocations") < place("POST /v1/journal/1"));
    assert!(place("POST /v1/journal/1") < place("GET /v1/documents/lease"));
}

#[tokio::test]
async fn a_document_that_is_listed_no_more_is_named_as_gone() {
    let mut lists = 0;
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => {
            lists += 1;
            let both: [(&str, &[u8]); 2] = [("lease", b"lease"), ("orders", b"orders")];
            listing(if lists == 1 { &both } else { &both[1..] })
        }
        "GET /v1/documents/lease" => Said(200, vec![], b"lease".to_vec()),
        "GET /v1/documents/orders" => Said(200, vec![], b"orders".to_vec()),
        "GET /v1/journal/1" => no_journal(),
        other => panic!("{other}"),
    })
    .await;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(0, vec![]));
    round.until("both", |seen| seen.etags.len() == 2).await;
    round.nudge.now();
    let seen = round.until("one gone", |seen| seen.etags.len() == 1).await;
    assert_eq!(seen.sets[1], (vec![], vec!["lease".to_owned()]));
    round.end().await;
}

#[tokio::test]
async fn odd_answers_end_a_round_and_the_next_one_goes_well() {
    let long = "x".repeat(2 * 1024 * 1024);
    let many: Vec<_> =
        (0..10_001).map(|n| json!({ "name": format!("{n}.json"), "etag": "" })).collect();
    let many = json!({ "documents": many }).to_string();
    let list = |body: &str| Said(200, vec![("etag", "\"e\"".to_owned())], body.as_bytes().to_vec());
    let named =
        |name: &str| list(&json!({ "documents": [{ "name": name, "etag": "00" }] }).to_string());
    let not_understood = OfflineReason::NotUnderstood;
    let trouble = OfflineReason::HubTrouble;
    let zoo: Vec<(&str, Said, OfflineReason)> = vec![
        ("not JSON", list("<html>"), not_understood),
        ("cut short", list("{\"documents\":["), not_understood),
        ("no ETag", Said(200, vec![], b"{\"documents\":[]}".to_vec()), not_understood),
        ("too large", list(&long), not_understood),
        ("too many", list(&many), not_understood),
        ("unchanged, though nothing was known", Said(304, vec![], vec![]), not_understood),
        ("a name that leads out", named("../../v2/x"), not_understood),
        ("a name that is an address", named("https://elsewhere.invalid/x"), not_understood),
        ("a document that is another", named("lease"), not_understood),
        ("a redirection", Said(302, vec![("location", "/v1/x".into())], vec![]), not_understood),
        ("not allowed", Said::problem(429, &json!({ "type": "slow-down" })), not_understood),
        ("broken", Said::problem(500, &json!({ "type": "internal" })), trouble),
        ("away", Said(503, vec![], b"upstream".to_vec()), trouble),
        (
            "turned away",
            Said::problem(403, &json!({ "type": "certificate-refused" })),
            OfflineReason::StationRefused,
        ),
    ];
    for (what, answer, reason) in zoo {
        let mut answer = Some(answer);
        let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
            "GET /v1/documents" => answer.take().unwrap_or_else(|| listing(&[("orders", b"o")])),
            "GET /v1/documents/lease" => Said(200, vec![], b"something else".to_vec()),
            "GET /v1/documents/orders" => Said(200, vec![], b"o".to_vec()),
            "GET /v1/journal/1" => no_journal(),
            // A station that is turned away asks whether it was revoked.
            "GET /v1/revocation" => Said::problem(404, &json!({ "type": "not-found" })),
            // Nothing but the hub's own paths is ever asked for, whatever a list says.
            "GET /v1/documents/https://elsewhere.invalid/x" => {
                Said::problem(404, &json!({ "type": "not-found" }))
            }
            other => panic!("asked for {other}"),
        })
        .await;
        let staging = tempfile::tempdir().unwrap();
        let round = hub.station(staging.path(), Party::with(0, vec![]));
        round.until(what, |seen| seen.etags.contains_key("orders")).await;
        let seen = round.end().await;
        let states: Vec<_> =
            seen.states.iter().filter(|state| **state != HubState::Online).collect();
        assert_eq!(states, [&HubState::Connecting, &HubState::Offline(reason)], "{what}");
        assert_eq!(seen.states.last(), Some(&HubState::Online), "{what}");
        assert_eq!(seen.sets.len(), 1, "{what}: nothing of it was handed over");
    }
}

#[tokio::test]
async fn a_packed_document_is_unpacked_within_its_limit_and_a_bomb_ends_the_round() {
    use std::io::Read as _;
    let packed =
        |bytes: Vec<u8>, how: &str| Said(200, vec![("content-encoding", how.to_owned())], bytes);
    let bomb = zstd::encode_all(std::io::repeat(0).take(64 << 20), 3).unwrap();
    for (what, answer) in [
        ("a bomb", packed(bomb, "zstd")),
        ("not what it says", packed(b"lease".to_vec(), "zstd")),
        ("cut", packed(zstd::encode_all(&b"lease"[..], 3).unwrap()[..9].to_vec(), "zstd")),
        ("a packing that nobody asked for", packed(b"lease".to_vec(), "br")),
    ] {
        let mut answer = Some(answer);
        let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
            "GET /v1/documents" => listing(&[("lease", b"lease")]),
            "GET /v1/documents/lease" => answer
                .take()
                .unwrap_or_else(|| packed(zstd::encode_all(&b"lease"[..], 3).unwrap(), "zstd")),
            "GET /v1/journal/1" => no_journal(),
            other => panic!("asked for {other}"),
        })
        .await;
        let staging = tempfile::tempdir().unwrap();
        let round = hub.station(staging.path(), Party::with(0, vec![]));
        round.until(what, |seen| seen.etags.contains_key("lease")).await;
        let seen = round.end().await;
        let offline = HubState::Offline(OfflineReason::NotUnderstood);
        assert!(seen.states.contains(&offline), "{what}: {:?}", seen.states);
        assert_eq!(seen.states.last(), Some(&HubState::Online), "{what}");
        assert_eq!(seen.sets.len(), 1, "{what}: nothing of it was handed over");
    }
}

#[tokio::test]
async fn the_stations_own_trouble_is_called_so_and_passes() {
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[("orders", b"o")]),
        "GET /v1/documents/orders" => Said(200, vec![], b"o".to_vec()),
        "GET /v1/journal/1" => no_journal(),
        other => panic!("{other}"),
    })
    .await;
    let party = Party::with(0, vec![]);
    *party.troubles.lock().unwrap() = 2;
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), party);
    let seen = round.until("documents", |seen| seen.etags.contains_key("orders")).await;
    assert!(seen.states.contains(&HubState::Offline(OfflineReason::StationTrouble)));
    assert_eq!(seen.states.last(), Some(&HubState::Online));
    round.end().await;
}
