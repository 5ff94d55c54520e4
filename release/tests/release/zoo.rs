//! The hostile zoo: one case for each thing a forger, a broken hub or a bad disk could hand over,
//! each refused with an error of its own.

use std::collections::BTreeSet;
use std::error::Error;

use release::tuf::{ProductRole, ReleaseTarget, RoleKeys, targets_document};
use release::{Digest, LeaseKeys, envelope};
use serde_json::{Value, json};

use crate::workbench::*;

/// The words of a refusal, outermost first, as a person reads them.
fn words(refusal: &Refusal) -> String {
    let error: &dyn Error = match refusal {
        Refusal::Trust(error) | Refusal::Product(error) => error,
        Refusal::Lease(error) => error,
        Refusal::MayNot(error) => error,
        Refusal::Wrap(error) => error,
        Refusal::Open(error) => error,
    };
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}

/// Changes the signed part of a document and signs it again: what a key's owner could do.
fn rewrite(shelf: &mut Shelf, name: &str, by: &str, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&shelf.documents[name]).unwrap();
    change(&mut value["signed"]);
    value["signatures"] = json!([]);
    let unsigned = release::canonical::to_bytes(&value).unwrap();
    shelf.put(name, envelope::add_signature(&unsigned, &key(by), 1 << 20).unwrap());
}

/// The one chunk that an image of 300 bytes begins with.
fn first_chunk(shelf: &mut Shelf) -> &mut Vec<u8> {
    let manifest: Value = serde_json::from_slice(&shelf.manifest).unwrap();
    let digest = manifest["sealed"][0]["images"][0]["chunks"][0].as_str().unwrap();
    let digest: Digest = digest.parse().unwrap();
    shelf.chunks.get_mut(&digest).unwrap()
}

type Spoil = fn(&mut Shelf);

const ZOO: &[(&str, &str, Spoil)] = &[
    ("expired", "verifying timestamp: it expired at 2026-12-04T00:00:00Z", |shelf| {
        shelf.arrived_ms = NOW_MS + 15 * DAY_MS;
    }),
    ("not yet valid", "checking the lease: it was written at", |shelf| {
        shelf.lend(|terms| {
            terms.issued_ms += DAY_MS;
            terms.not_after_ms += DAY_MS;
        });
    }),
    ("signed by a stranger", "verifying demo-lamp: 0 good signatures of the 1 needed", |shelf| {
        shelf.put_product(2, &[target_of(&packed())], &[&key("stranger")]);
        shelf.freshen();
    }),
    ("retired key", "checking the lease: 0 good signatures of the 1 needed", |shelf| {
        let keys = LeaseKeys::new(name("acme"), 1, vec![key("next lease").public()]).unwrap();
        let expires_ms = NOW_MS + DAY_MS;
        let targets =
            targets_document(2, expires_ms, &keys, &[lamp_role()], &[&key("targets")]).unwrap();
        shelf.put("targets.json", targets);
        shelf.put("lease-keys.json", keys.to_bytes().unwrap());
        shelf.freshen();
    }),
    ("rolled back", "verifying snapshot: version 1 is older than 2", |shelf| {
        let mut seen = shelf.repository().unwrap().seen().clone();
        seen.snapshot += 1;
        shelf.seen = Some(seen);
    }),
    (
        "mixed versions",
        "verifying targets: it is not the document that its parent names",
        |shelf| {
            shelf.put_targets(2, &[lamp_role()], &[&key("targets")]);
        },
    ),
    ("endless data", "verifying timestamp.json: reading a signed document: ", |shelf| {
        shelf.put("timestamp.json", vec![b' '; 1 << 20]);
    }),
    ("wrong length", "trusting the manifest ", |shelf| {
        let target = ReleaseTarget { manifest_bytes: 1, ..target_of(&packed()) };
        shelf.put_product(2, &[target], &[&key("lamp")]);
        shelf.freshen();
    }),
    ("truncated", "opening chunk 0 of the image app: 79 bytes instead of 80", |shelf| {
        first_chunk(shelf).pop();
    }),
    ("a chunk of another place", "opening chunk 0 of the image app: its digest", |shelf| {
        first_chunk(shelf)[0] ^= 1;
    }),
    ("wrong station", "checking the lease: it was made for the station line-1", |shelf| {
        shelf.station = "another station";
    }),
    ("wrong product", "verifying demo-lamp: it names radio/1.0.0.json, which is not", |shelf| {
        rewrite(shelf, "demo-lamp.json", "lamp", |signed| {
            let target = signed["targets"]["demo-lamp/1.0.0.json"].clone();
            signed["targets"] = json!({ "radio/1.0.0.json": target });
        });
        shelf.freshen();
    }),
    ("replayed document", "verifying demo-lamp: version 1 is older than 3", |shelf| {
        let mut seen = shelf.repository().unwrap().seen().clone();
        seen.roles.insert("demo-lamp".to_owned(), 3);
        shelf.seen = Some(seen);
    }),
    ("lease ended", "asking the lease: it ended at", |shelf| {
        shelf.now_ms = NOW_MS + 8 * DAY_MS;
    }),
    ("lowered lease version", "checking the lease: version 7 is older than 8", |shelf| {
        shelf.lease_version_seen = Some(8);
    }),
    ("withdrawn but leased", "trusting demo-lamp 1.0.0: withdrawn", |shelf| {
        let target = ReleaseTarget { withdrawn: true, ..target_of(&packed()) };
        shelf.put_product(2, &[target], &[&key("lamp")]);
        shelf.freshen();
    }),
    ("threshold not met", "verifying demo-lamp: 1 good signatures of the 2 needed", |shelf| {
        let keys = ["lamp", "lamp 2", "lamp 3"].map(|purpose| key(purpose).public()).to_vec();
        let role =
            ProductRole { product: name("demo-lamp"), keys: RoleKeys { keys, threshold: 2 } };
        shelf.put_targets(2, &[role], &[&key("targets")]);
        shelf.freshen();
    }),
    ("duplicated signatures", "verifying timestamp.json: ", |shelf| {
        let mut value: Value = serde_json::from_slice(&shelf.documents["timestamp.json"]).unwrap();
        let twice = value["signatures"][0].clone();
        value["signatures"].as_array_mut().unwrap().push(twice);
        shelf.put("timestamp.json", release::canonical::to_bytes(&value).unwrap());
    }),
    ("non-canonical JSON", "verifying snapshot.json: ", |shelf| {
        shelf.documents.get_mut("snapshot.json").unwrap().push(b'\n');
    }),
    (
        "delegation outside its path",
        "verifying targets: a delegation must be terminating and for the product's own paths",
        |shelf| {
            rewrite(shelf, "targets.json", "targets", |signed| {
                signed["delegations"]["roles"][0]["paths"] = json!(["radio/*"]);
            });
            shelf.freshen();
        },
    ),
    ("a key wrapped for another lease", "unwrapping a content key: not made for", |shelf| {
        shelf.lend(|terms| terms.version += 1);
    }),
    ("an erased key", "unwrapping a content key: it was erased", |shelf| {
        shelf.lease = release::lease::without_keys(&shelf.lease, |_| true).unwrap();
    }),
    ("another tenant's lease", "checking the lease: it belongs to the tenant other", |shelf| {
        shelf.lend(|terms| terms.tenant = name("other"));
    }),
];

#[test]
fn every_animal_of_the_zoo_is_refused_with_an_error_of_its_own() {
    let mut said = BTreeSet::new();
    for (what, begins, spoil) in ZOO {
        let mut shelf = Shelf::good();
        assert!(shelf.flash().is_ok(), "the shelf is good before");
        spoil(&mut shelf);
        let words = match shelf.flash() {
            Ok(_) => panic!("{what}: was flashed"),
            Err(refusal) => words(&refusal),
        };
        assert!(words.starts_with(begins), "{what}: {words}");
        assert!(said.insert(words.clone()), "{what}: another one says the same: {words}");
    }
}
