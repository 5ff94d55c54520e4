//! Answers that come cut, empty, late in the place of another, or to a request that came twice:
//! whatever one exchange suffers, everything arrives once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use sync::WantedChunk;

use crate::script::*;

/// What becomes of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distortion {
    /// Half of it comes.
    Cut,
    /// Nothing of it but its head comes.
    Empty,
    /// The answer to the last request of the same kind comes again.
    Stale,
    /// The answer to the request before, whatever that was, comes in its place.
    Swapped,
    /// The request arrives twice, and the second answer comes.
    Doubled,
    /// Something between the two answers for the hub.
    Away,
}

const RECORDS: usize = 2_500;
const CHUNK: &[u8] = b"a sealed chunk of a release, as far as the postman can tell";
const DOCUMENTS: [(&str, &[u8]); 3] =
    [("lease", b"lease"), ("orders", b"orders"), ("revocations", b"revoked")];

/// A hub that keeps what it is brought, as the real one does.
#[derive(Default)]
struct Honest {
    records: Vec<String>,
}

impl Honest {
    fn answer(&mut self, asked: &Asked) -> Said {
        let documents = asked.what.strip_prefix("GET /v1/documents/");
        if let Some((_, bytes)) = DOCUMENTS.iter().find(|(name, _)| documents == Some(*name)) {
            return Said(200, vec![], bytes.to_vec());
        }
        match asked.what.as_str() {
            "GET /v1/documents" => listing(&DOCUMENTS),
            "GET /v1/journal/1" => {
                let size = self.records.len();
                let cosigned = (size > 0).then(|| format!("note {size}"));
                Said::json(&json!({ "size": size, "cosigned": cosigned }))
            }
            "POST /v1/journal/1" => self.take(&asked.body),
            chunk if chunk.starts_with("GET /v1/chunks/") => Said(200, vec![], CHUNK.to_vec()),
            other => panic!("{other}"),
        }
    }

    fn take(&mut self, body: &[u8]) -> Said {
        let plain = zstd::decode_all(body).unwrap();
        let push: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        let from = push["from"].as_u64().unwrap() as usize;
        let brought: Vec<String> = serde_json::from_value(push["records"].clone()).unwrap();
        let held = self.records.len();
        if from > held {
            return Said::problem(412, &json!({ "type": "journal-gap", "expected": held }));
        }
        for (at, record) in (from..).zip(&brought) {
            match self.records.get(at) {
                Some(known) => assert_eq!(known, record, "another record under {at}"),
                None => self.records.push(record.clone()),
            }
        }
        let (size, next) = (self.records.len(), from + brought.len());
        Said::json(&json!({ "size": size, "cosigned": format!("note {size}"), "next": next }))
    }
}

fn again(said: &Said) -> Said {
    Said(said.0, said.1.clone(), said.2.clone())
}

/// Whether the distortion took place before everything had come.
async fn everything_arrives_in_spite_of(distortion: Distortion, at: usize) -> bool {
    let hub = Arc::new(Mutex::new(Honest::default()));
    let reached = Arc::new(Mutex::new(false));
    let (honest, hit) = (hub.clone(), reached.clone());
    let mut number = 0;
    let mut before: Option<Said> = None;
    let mut last: BTreeMap<String, Said> = BTreeMap::new();
    let scripted = ScriptedHub::saying(move |asked| {
        let mut honest = honest.lock().unwrap();
        let mut said = honest.answer(asked);
        let good = again(&said);
        if number == at {
            *hit.lock().unwrap() = true;
            match distortion {
                Distortion::Cut => said.2.truncate(said.2.len() / 2),
                Distortion::Empty => said.2.clear(),
                Distortion::Stale => {
                    said = last.get(&asked.what).map_or_else(|| again(&said), again);
                }
                Distortion::Swapped => said = before.as_ref().map_or_else(|| again(&said), again),
                Distortion::Doubled => said = honest.answer(asked),
                Distortion::Away => said = Said(502, vec![], b"bad gateway".to_vec()),
            }
        }
        number += 1;
        last.insert(asked.what.clone(), again(&good));
        before = Some(good);
        said
    })
    .await;
    let wanted = vec![WantedChunk { sha256: sha256(CHUNK), bytes: CHUNK.len() as u64 }];
    let staging = tempfile::tempdir().unwrap();
    let round = scripted.station(staging.path(), Party::with(RECORDS, wanted));
    let what = format!("{distortion:?} at {at}");
    let all = RECORDS as u64;
    let seen = round
        .until(&what, |seen| {
            seen.acknowledged.last().is_some_and(|(size, _)| *size == all)
                && seen.etags.len() == DOCUMENTS.len()
                && seen.chunks.len() == 1
        })
        .await;
    assert_eq!(seen.refusals, [], "{what}");
    assert_eq!(seen.chunks[&sha256(CHUNK)], CHUNK, "{what}");
    let own = round.party.records.lock().unwrap().clone();
    assert!(hub.lock().unwrap().records == own, "{what}: the hub holds something else");
    round.end().await;
    *reached.lock().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_one_answer_suffers_everything_arrives_once() {
    let mut points = 0;
    for distortion in [
        Distortion::Cut,
        Distortion::Empty,
        Distortion::Stale,
        Distortion::Swapped,
        Distortion::Doubled,
        Distortion::Away,
    ] {
        let mut at = 0;
        while everything_arrives_in_spite_of(distortion, at).await {
            at += 1;
            points += 1;
        }
        // List, revocations, state, three pushes, two documents, chunk.
        assert_eq!(at, 9, "{distortion:?}");
    }
    assert_eq!(points, 54);
}
