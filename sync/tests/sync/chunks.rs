//! Chunks: from where the staging ends, checked before they are handed over.

use chrono::DateTime;
use serde_json::json;
use sync::{BulkWindows, HubState, OfflineReason, Staging, WantedChunk};

use crate::script::*;

fn chunk() -> Vec<u8> {
    (0..10_000_u32).map(|n| (n % 251) as u8).collect()
}

fn wanted(bytes: &[u8]) -> WantedChunk {
    WantedChunk { sha256: sha256(bytes), bytes: bytes.len() as u64 }
}

fn ranged(bytes: &[u8], asked: &Asked) -> Said {
    match &asked.range {
        None => Said(200, vec![], bytes.to_vec()),
        Some(range) => {
            let from: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
            let said = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Said(206, vec![("content-range", said)], bytes[from..].to_vec())
        }
    }
}

async fn hub(mut chunk: impl FnMut(&Asked) -> Said + Send + 'static) -> ScriptedHub {
    ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[]),
        "GET /v1/journal/1" => no_journal(),
        what if what.starts_with("GET /v1/chunks/") => chunk(asked),
        other => panic!("{other}"),
    })
    .await
}

#[tokio::test]
async fn what_is_staged_already_is_not_fetched_again() {
    let bytes = chunk();
    let staging = tempfile::tempdir().unwrap();
    {
        let staged = Staging::open(staging.path()).unwrap();
        staged.keep(&sha256(&bytes), 0, &bytes[..4_000]).unwrap();
        staged.keep(&sha256(&bytes), 4_000, &bytes[4_000..6_000]).unwrap();
        // Of a chunk that nobody wants any more.
        staged.keep(&[9; 32], 0, b"old").unwrap();
    }
    let served = bytes.clone();
    let hub = hub(move |asked| ranged(&served, asked)).await;
    let round = hub.station(staging.path(), Party::with(0, vec![wanted(&bytes)]));
    round.until("the chunk", |seen| seen.chunks.len() == 1).await;
    hub.until_asked("the long poll", |asked| asked.iter().any(|a| !a.query.is_empty())).await;
    round.end().await;
    let ranges: Vec<_> = hub
        .asked
        .borrow()
        .iter()
        .filter(|asked| asked.what.contains("chunks"))
        .map(|asked| asked.range.clone())
        .collect();
    assert_eq!(ranges, [Some("bytes=6000-".to_owned())]);
    let staged = Staging::open(staging.path()).unwrap();
    assert_eq!(staged.staged_bytes(&sha256(&bytes)).unwrap(), 0, "handed over, forgotten here");
    assert_eq!(staged.staged_bytes(&[9; 32]).unwrap(), 0);
}

#[tokio::test]
async fn a_whole_chunk_that_was_staged_before_a_crash_needs_no_hub_at_all() {
    let bytes = chunk();
    let staging = tempfile::tempdir().unwrap();
    Staging::open(staging.path()).unwrap().keep(&sha256(&bytes), 0, &bytes).unwrap();
    let hub = hub(|asked| panic!("asked for {asked:?}")).await;
    let round = hub.station(staging.path(), Party::with(0, vec![wanted(&bytes)]));
    round.until("the chunk", |seen| seen.chunks.len() == 1).await;
    round.end().await;
}

#[tokio::test]
async fn a_chunk_that_is_not_what_was_asked_for_is_never_handed_over_and_fetched_anew() {
    let bytes = chunk();
    let mut flipped = bytes.clone();
    flipped[5_000] ^= 1;
    let longer = [bytes.clone(), vec![0]].concat();
    let endless = vec![0; 50_000_000];
    let moved = vec![("content-range", "bytes 0-9/10000".to_owned())];
    let half = bytes[..5_000].to_vec();
    let zoo: Vec<(&str, Vec<u8>, Said)> = vec![
        ("one byte flipped", vec![], Said(200, vec![], flipped)),
        ("one byte short", vec![], Said(200, vec![], bytes[..9_999].to_vec())),
        ("one byte long", vec![], Said(200, vec![], longer)),
        ("far too long", vec![], Said(200, vec![], endless)),
        ("empty", vec![], Said(200, vec![], vec![])),
        ("a range nobody asked for", vec![], Said(206, moved.clone(), bytes.clone())),
        ("all instead of the rest", half.clone(), Said(200, vec![], bytes.clone())),
        ("another range", half, Said(206, moved, bytes[..10].to_vec())),
    ];
    for (what, staged, answer) in zoo {
        let staging = tempfile::tempdir().unwrap();
        if !staged.is_empty() {
            Staging::open(staging.path()).unwrap().keep(&sha256(&bytes), 0, &staged).unwrap();
        }
        let mut answer = Some(answer);
        let served = bytes.clone();
        let hub = hub(move |asked| answer.take().unwrap_or_else(|| ranged(&served, asked))).await;
        let round = hub.station(staging.path(), Party::with(0, vec![wanted(&bytes)]));
        let seen = round.until(what, |seen| seen.chunks.len() == 1).await;
        assert_eq!(seen.chunks[&sha256(&bytes)], bytes, "{what}");
        let broken = HubState::Offline(OfflineReason::NotUnderstood);
        assert!(seen.states.contains(&broken) || what == "one byte short" || what == "empty");
        round.end().await;
    }
}

#[tokio::test]
async fn a_chunk_that_rotted_in_staging_is_fetched_anew() {
    let bytes = chunk();
    let staging = tempfile::tempdir().unwrap();
    {
        let staged = Staging::open(staging.path()).unwrap();
        staged.keep(&sha256(&bytes), 0, &vec![7; 5_000]).unwrap();
    }
    let served = bytes.clone();
    let hub = hub(move |asked| ranged(&served, asked)).await;
    let round = hub.station(staging.path(), Party::with(0, vec![wanted(&bytes)]));
    let seen = round.until("the chunk", |seen| seen.chunks.len() == 1).await;
    assert_eq!(seen.chunks[&sha256(&bytes)], bytes);
    round.end().await;
}

#[tokio::test]
async fn a_chunk_the_hub_lacks_is_asked_for_once_until_its_documents_change() {
    let bytes = chunk();
    let served = bytes.clone();
    let digest = hex(sha256(&bytes));
    let mut lists = 0;
    let hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => {
            lists += 1;
            listing(if lists < 4 { &[] } else { &[("orders", b"o")] })
        }
        "GET /v1/documents/orders" => Said(200, vec![], b"o".to_vec()),
        "GET /v1/journal/1" => no_journal(),
        what if what.ends_with(&digest) => ranged(&served, asked),
        what if what.starts_with("GET /v1/chunks/") => {
            Said::problem(404, &json!({ "type": "not-found" }))
        }
        other => panic!("{other}"),
    })
    .await;
    let lacking = WantedChunk { sha256: [0xEE; 32], bytes: 10 };
    let staging = tempfile::tempdir().unwrap();
    let round = hub.station(staging.path(), Party::with(0, vec![lacking, wanted(&bytes)]));
    round.until("the other one", |seen| seen.chunks.len() == 1).await;
    let asked_for_it = |asked: &[Asked]| {
        asked.iter().filter(|asked| asked.what.ends_with(&"ee".repeat(32))).count()
    };
    let idle = |asked: &[Asked]| asked.iter().filter(|asked| !asked.query.is_empty()).count();
    for nudges in 1..=3 {
        hub.until_asked("the long poll", |asked| idle(asked) >= nudges).await;
        let expected = 1;
        assert_eq!(asked_for_it(&hub.asked.borrow()), expected);
        round.nudge.now();
    }
    hub.until_asked("it again", |asked| asked_for_it(asked) == 2).await;
    round.end().await;
}

#[tokio::test]
async fn chunks_wait_for_their_window_and_records_do_not() {
    let bytes = chunk();
    let staging = tempfile::tempdir().unwrap();
    let served = bytes.clone();
    let mut hub = ScriptedHub::saying(move |asked| match asked.what.as_str() {
        "GET /v1/documents" => listing(&[]),
        "GET /v1/journal/1" => no_journal(),
        "POST /v1/journal/1" => Said::json(&json!({ "size": 2, "cosigned": "note", "next": 2 })),
        what if what.starts_with("GET /v1/chunks/") => ranged(&served, asked),
        other => panic!("{other}"),
    })
    .await;
    hub.bulk = BulkWindows::parse(&["* 0-5 * * *"]).unwrap();
    let clock = hub.clock.clone();
    let show = |time: &str| *clock.lock().unwrap() = DateTime::parse_from_rfc3339(time).unwrap();
    show("2026-11-20T23:59:59.900+08:00");
    let round = hub.station(staging.path(), Party::with(2, vec![wanted(&bytes)]));
    round.until("the records", |seen| seen.acknowledged.iter().any(|(size, _)| *size == 2)).await;
    hub.until_asked("the long poll", |asked| asked.iter().any(|a| !a.query.is_empty())).await;
    assert!(!hub.asked().iter().any(|asked| asked.contains("chunks")), "the window is closed");
    // Nobody nudges and the hub has no news: the window alone brings the chunk.
    show("2026-11-21T00:00:00+08:00");
    round.until("the chunk", |seen| seen.chunks.len() == 1).await;
    round.end().await;
}
