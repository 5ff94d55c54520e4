//! Nobody but R&D can make a station flash, and nobody can make it go back.

use std::collections::BTreeMap;

use release::tuf::{
    EditionError, ProductEdition, ProductRole, ReleaseTarget, RoleKeys, TargetsEdition,
    product_document, root_document, targets_document,
};
use release::{Digest, DocumentError, LeaseKeys, PinnedRoot, SeenVersions, TrustError, envelope};
use serde_json::{Value, json};

use crate::workbench::*;

/// Changes the signed part of a document and signs it again: what a key's owner could do.
fn rewrite(document: &[u8], by: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(document).unwrap();
    change(&mut value["signed"]);
    value["signatures"] = json!([]);
    let unsigned = release::canonical::to_bytes(&value).unwrap();
    envelope::add_signature(&unsigned, &key(by), 1 << 20).unwrap()
}

fn doc(shelf: &Shelf, name: &str) -> Vec<u8> {
    shelf.documents[name].clone()
}

#[test]
fn what_rnd_signed_is_opened_byte_for_byte() {
    let release = Shelf::good().flash().unwrap();
    let image = &release.images()[0];
    assert_eq!(image.segments.len(), 1);
    assert_eq!(image.segments[0].address, 0);
    assert_eq!(*image.segments[0].bytes, firmware(300));
    let expect = &release.manifest().recipe.chips[0].self_test.as_ref().unwrap().expect;
    assert_eq!(expect, "FLASHLINE demo-lamp 1.0.0 activation=valid");
}

#[test]
fn one_flipped_byte_in_any_signed_document_is_noticed() {
    let shelf = Shelf::good();
    sweep("root", &shelf, |shelf| &mut shelf.root);
    for name in
        ["timestamp.json", "snapshot.json", "targets.json", "demo-lamp.json", "lease-keys.json"]
    {
        sweep(name, &shelf, |shelf| shelf.documents.get_mut(name).unwrap());
    }
    sweep_under("manifest", &shelf, |shelf| &mut shelf.manifest);
}

#[test]
fn one_flipped_byte_in_a_newer_root_is_noticed() {
    let mut shelf = Shelf::good();
    let mut plan = root_plan();
    plan.version = 2;
    shelf.put("2.root.json", root_document(&plan, &[&key("root")]).unwrap());
    sweep("newer root", &shelf, |shelf| shelf.documents.get_mut("2.root.json").unwrap());
}

#[test]
fn the_root_must_be_the_pinned_one_with_its_own_quorum() {
    check(
        "another root than the pinned",
        |shelf| {
            let mut plan = root_plan();
            plan.root = one("stranger");
            shelf.root = root_document(&plan, &[&key("stranger")]).unwrap();
        },
        |refusal| matches!(refusal, Refusal::Trust(TrustError::NotThePinnedRoot { .. })),
    );
    check(
        "a pinned root that a stranger signed",
        |shelf| {
            shelf.root = root_document(&root_plan(), &[&key("stranger")]).unwrap();
            shelf.pin = Digest::of(&shelf.root);
        },
        |refusal| too_few(refusal, 0, 1),
    );
    check(
        "a root that wants two signatures and has one",
        |shelf| {
            let mut plan = root_plan();
            plan.root =
                RoleKeys { keys: vec![key("root").public(), key("second").public()], threshold: 2 };
            shelf.root = root_document(&plan, &[&key("root")]).unwrap();
            shelf.pin = Digest::of(&shelf.root);
        },
        |refusal| too_few(refusal, 1, 2),
    );
}

fn too_few(refusal: &Refusal, good: usize, wanted: usize) -> bool {
    matches!(
        refusal,
        Refusal::Trust(TrustError::TooFewSignatures { found, threshold, .. })
            if *found == good && *threshold == wanted
    )
}

#[test]
fn a_thin_root_is_accepted_today_and_refused_where_a_quorum_is_required() {
    let shelf = Shelf::good();
    let thin = PinnedRoot::from_pin(&shelf.root, &shelf.pin).unwrap();
    assert!(thin.is_thin());
    assert!(matches!(
        thin.require_quorum(2),
        Err(TrustError::ThinRoot { threshold: 1, required: 2, .. })
    ));

    let two = |a: &str, b: &str| RoleKeys {
        keys: vec![key(a).public(), key(b).public(), key("third").public()],
        threshold: 2,
    };
    let mut plan = root_plan();
    plan.root = two("root", "second");
    plan.targets = two("targets", "second");
    let root = root_document(&plan, &[&key("root"), &key("second")]).unwrap();
    let pinned = PinnedRoot::from_pin(&root, &Digest::of(&root)).unwrap();
    assert!(!pinned.is_thin());
    assert!(pinned.require_quorum(2).is_ok());
}

#[test]
fn one_key_cannot_count_twice() {
    // The same public key under a second, invented id, to reach a threshold of two alone.
    let mut plan = root_plan();
    plan.root = RoleKeys { keys: vec![key("root").public(), key("x").public()], threshold: 2 };
    let document = root_document(&plan, &[]).unwrap();
    let invented = "ab".repeat(32);
    let mut value: Value = serde_json::from_slice(&document).unwrap();
    let old = key("x").public().key_id().to_string();
    let keys = value["signed"]["keys"].as_object_mut().unwrap();
    keys.remove(&old);
    let own = keys[&key("root").public().key_id().to_string()].clone();
    keys.insert(invented.clone(), own);
    value["signed"]["roles"]["root"]["keyids"] =
        json!([key("root").public().key_id(), invented.clone()]);
    let message = release::canonical::to_bytes(&value["signed"]).unwrap();
    let sig = hex::encode(key("root").sign(&message));
    let mut signatures = [
        json!({ "keyid": key("root").public().key_id(), "sig": sig }),
        json!({ "keyid": invented, "sig": sig }),
    ];
    signatures.sort_by_key(|signature| signature["keyid"].to_string());
    value["signatures"] = json!(signatures);
    let root = release::canonical::to_bytes(&value).unwrap();
    let refused = PinnedRoot::from_pin(&root, &Digest::of(&root));
    assert!(matches!(refused, Err(TrustError::Rule { .. })), "{refused:?}");
}

#[test]
fn a_newer_root_must_follow_the_old_one_by_both_their_quorums() {
    let next = |version: u64, by: &[&str]| {
        let mut plan = root_plan();
        plan.version = version;
        plan.root = one("new root");
        let keys: Vec<_> = by.iter().map(|purpose| key(purpose)).collect();
        root_document(&plan, &keys.iter().collect::<Vec<_>>()).unwrap()
    };
    let mut rotated = Shelf::good();
    rotated.put("2.root.json", next(2, &["root", "new root"]));
    assert!(rotated.flash().is_ok());
    assert_eq!(rotated.repository().unwrap().seen().root, 2);

    for (what, by) in [("only the new quorum", ["new root"]), ("only the old quorum", ["root"])] {
        check(
            what,
            |shelf| shelf.put("2.root.json", next(2, &by)),
            |refusal| too_few(refusal, 0, 1),
        );
    }
    check(
        "a root that skips a version",
        |shelf| shelf.put("2.root.json", next(3, &["root", "new root"])),
        |refusal| {
            matches!(refusal, Refusal::Trust(TrustError::RootOutOfOrder { trusted: 1, offered: 3 }))
        },
    );
    check(
        "endless roots",
        |shelf| {
            for version in 2..70 {
                let mut plan = root_plan();
                plan.version = version;
                let root = root_document(&plan, &[&key("root")]).unwrap();
                shelf.put(&format!("{version}.root.json"), root);
            }
        },
        |refusal| matches!(refusal, Refusal::Trust(TrustError::Rule { .. })),
    );
    check(
        "a newer root of another tenant",
        |shelf| {
            let mut plan = root_plan();
            (plan.version, plan.tenant) = (2, name("other"));
            shelf.put("2.root.json", root_document(&plan, &[&key("root")]).unwrap());
        },
        |refusal| matches!(refusal, Refusal::Trust(TrustError::OtherTenant { .. })),
    );
}

#[test]
fn expired_documents_are_refused_when_they_arrive_and_not_later() {
    let expired = |refusal: &Refusal, which: &str| matches!(refusal, Refusal::Trust(TrustError::Expired { role, .. }) if role == which);
    for (days, role) in [(15, "timestamp"), (4000, "root")] {
        check(
            role,
            |shelf| shelf.arrived_ms = NOW_MS + days * DAY_MS,
            |refusal| expired(refusal, role),
        );
    }
    check(
        "expired top-level targets",
        |shelf| {
            let old = targets_document(
                1,
                NOW_MS - 1000,
                &lease_keys(),
                &[lamp_role()],
                &[&key("targets")],
            );
            shelf.put("targets.json", old.unwrap());
            shelf.freshen();
        },
        |refusal| expired(refusal, "targets"),
    );
    check(
        "an expired product document",
        |shelf| {
            let releases = [target_of(&packed())];
            let old =
                product_document(&name("demo-lamp"), 1, NOW_MS - 1000, &releases, &[&key("lamp")]);
            shelf.put("demo-lamp.json", old.unwrap());
            shelf.freshen();
        },
        |refusal| matches!(refusal, Refusal::Product(TrustError::Expired { .. })),
    );
    // Arrived in time, flashed six days later: the lease decides, not TUF's expiry.
    let mut shelf = Shelf::good();
    shelf.now_ms = NOW_MS + 6 * DAY_MS;
    assert!(shelf.flash().is_ok());
}

#[test]
fn no_document_goes_back_to_an_older_version() {
    let back = |refusal: &Refusal, which: &str| matches!(refusal, Refusal::Trust(TrustError::RolledBack { role, .. }) if role == which);
    let seen = Shelf::good().repository().unwrap().seen().clone();
    let cases: [(&str, fn(&mut SeenVersions)); 5] = [
        ("root", |seen| seen.root += 1),
        ("timestamp", |seen| seen.timestamp += 1),
        ("snapshot", |seen| seen.snapshot += 1),
        ("targets", |seen| *seen.roles.get_mut("targets").unwrap() += 1),
        ("demo-lamp", |seen| *seen.roles.get_mut("demo-lamp").unwrap() += 1),
    ];
    for (role, forward) in cases {
        let mut newer = seen.clone();
        forward(&mut newer);
        check(role, |shelf| shelf.seen = Some(newer), |refusal| back(refusal, role));
    }
    check(
        "a product that disappeared",
        |shelf| {
            shelf.seen = Some(seen.clone());
            shelf.documents.remove("demo-lamp.json");
            shelf.documents.remove("snapshot.json");
            shelf.freshen();
        },
        |refusal| back(refusal, "demo-lamp"),
    );
    let mut same = Shelf::good();
    same.seen = Some(seen);
    assert!(same.flash().is_ok());
}

#[test]
fn a_hub_with_new_keys_may_start_again_when_the_root_says_so() {
    let mut shelf = Shelf::good();
    for _ in 0..5 {
        shelf.freshen();
    }
    shelf.seen = Some(shelf.repository().unwrap().seen().clone());
    assert_eq!(shelf.seen.as_ref().unwrap().timestamp, 6);

    let mut plan = root_plan();
    plan.version = 2;
    (plan.snapshot, plan.timestamp) = (one("snapshot 2"), one("timestamp 2"));
    shelf.put("2.root.json", root_document(&plan, &[&key("root")]).unwrap());
    shelf.documents.remove("snapshot.json");
    shelf.freshen_with(&key("snapshot 2"), &key("timestamp 2"));
    assert_eq!(shelf.repository().unwrap().seen().timestamp, 1);

    // Without that root the same thing is a rollback.
    shelf.documents.remove("2.root.json");
    assert!(shelf.flash().is_err());
}

#[test]
fn documents_that_do_not_belong_together_are_refused() {
    let mixed = |refusal: &Refusal, which: &str| matches!(refusal, Refusal::Trust(TrustError::Mixed { role }) if role == which);
    check(
        "targets newer than the snapshot knows",
        |shelf| shelf.put_targets(2, &[lamp_role()], &[&key("targets")]),
        |refusal| mixed(refusal, "targets"),
    );
    check(
        "another snapshot under the same timestamp",
        |shelf| {
            let timestamp = doc(shelf, "timestamp.json");
            shelf.freshen();
            shelf.put("timestamp.json", timestamp);
        },
        |refusal| mixed(refusal, "snapshot"),
    );
    check(
        "other lease keys than the targets name",
        |shelf| {
            let keys = LeaseKeys::new(name("acme"), 1, vec![key("stranger").public()]).unwrap();
            shelf.put("lease-keys.json", keys.to_bytes().unwrap());
        },
        |refusal| mixed(refusal, "lease-keys.json"),
    );
    for missing in ["timestamp.json", "snapshot.json", "targets.json", "lease-keys.json"] {
        check(
            missing,
            |shelf| {
                shelf.documents.remove(missing);
            },
            |refusal| matches!(refusal, Refusal::Trust(TrustError::Missing { name }) if name == missing),
        );
    }
    check(
        "a missing product document",
        |shelf| {
            shelf.documents.remove("demo-lamp.json");
        },
        |refusal| matches!(refusal, Refusal::Product(TrustError::Missing { .. })),
    );
}

#[test]
fn only_a_products_own_people_name_its_releases() {
    check(
        "a product document by a stranger",
        |shelf| {
            shelf.put_product(2, &[target_of(&packed())], &[&key("stranger")]);
            shelf.freshen();
        },
        |refusal| {
            matches!(refusal, Refusal::Product(TrustError::TooFewSignatures { found: 0, .. }))
        },
    );
    check(
        "a product document that wants two signatures and has one",
        |shelf| {
            let keys =
                RoleKeys { keys: vec![key("lamp").public(), key("lamp 2").public()], threshold: 2 };
            let role = ProductRole { product: name("demo-lamp"), keys };
            shelf.put_targets(2, &[role], &[&key("targets")]);
            shelf.freshen();
        },
        |refusal| {
            matches!(
                refusal,
                Refusal::Product(TrustError::TooFewSignatures { found: 1, threshold: 2, .. })
            )
        },
    );
    check(
        "a product that names another product's release",
        |shelf| {
            let own = rewrite(&doc(shelf, "demo-lamp.json"), "lamp", |signed| {
                let target = signed["targets"]["demo-lamp/1.0.0.json"].clone();
                signed["targets"] = json!({ "other/1.0.0.json": target });
            });
            shelf.put("demo-lamp.json", own);
            shelf.freshen();
        },
        |refusal| matches!(refusal, Refusal::Product(TrustError::ForeignTarget { path, .. }) if path == "other/1.0.0.json"),
    );
    check(
        "a product that delegates further",
        |shelf| {
            let own = rewrite(&doc(shelf, "demo-lamp.json"), "lamp", |signed| {
                signed["delegations"] = json!({ "keys": {}, "roles": [] });
            });
            shelf.put("demo-lamp.json", own);
            shelf.freshen();
        },
        |refusal| matches!(refusal, Refusal::Product(TrustError::Rule { .. })),
    );
}

#[test]
fn a_delegation_has_one_shape() {
    let cases: [(&str, fn(&mut Value)); 6] = [
        ("for every path", |role| role["paths"] = json!(["*/*"])),
        ("for another product's path", |role| role["paths"] = json!(["other/*"])),
        ("not terminating", |role| role["terminating"] = json!(false)),
        ("by hash prefix", |role| role["path_hash_prefixes"] = json!([""])),
        ("threshold 0", |role| role["threshold"] = json!(0)),
        ("named like a root", |role| role["name"] = json!("1.root")),
    ];
    for (what, change) in cases {
        check(
            what,
            |shelf| {
                let targets = rewrite(&doc(shelf, "targets.json"), "targets", |signed| {
                    change(&mut signed["delegations"]["roles"][0]);
                });
                shelf.put("targets.json", targets);
                shelf.freshen();
            },
            |refusal| matches!(refusal, Refusal::Trust(TrustError::Rule { .. })),
        );
    }
}

#[test]
fn a_hub_with_all_its_keys_stolen_cannot_name_a_release() {
    let hub = hub_secrets();
    let evil = pack_of("demo-lamp", "6.6.6", firmware(64)).pack(&mut Numbered::default()).unwrap();
    let all = [&hub.snapshot, &hub.timestamp, &hub.lease];
    check(
        "the product's document by the hub",
        |shelf| {
            *shelf = Shelf { seen: None, ..Shelf::holding(&evil) };
            shelf.put_product(9, &[target_of(&evil)], &all);
            shelf.freshen();
        },
        |refusal| {
            matches!(refusal, Refusal::Product(TrustError::TooFewSignatures { found: 0, .. }))
        },
    );
    check(
        "top-level targets by the hub",
        |shelf| {
            *shelf = Shelf::holding(&evil);
            let role = ProductRole { product: name("demo-lamp"), keys: one("hub lease") };
            shelf.put_targets(9, &[role], &all);
            shelf.put_product(9, &[target_of(&evil)], &all);
            shelf.freshen();
        },
        |refusal| too_few(refusal, 0, 1),
    );
    check(
        "a root by the hub",
        |shelf| {
            *shelf = Shelf::holding(&evil);
            let mut plan = root_plan();
            (plan.version, plan.root, plan.targets) = (2, one("hub lease"), one("hub lease"));
            shelf.put("2.root.json", root_document(&plan, &all).unwrap());
        },
        |refusal| too_few(refusal, 0, 1),
    );
    check(
        "a manifest of its own beside good documents",
        |shelf| shelf.manifest = evil.manifest_bytes.clone(),
        |refusal| matches!(refusal, Refusal::Trust(TrustError::NotNamed { .. })),
    );
}

#[test]
fn a_named_manifest_must_be_what_it_is_named() {
    let other = pack_of("other", "1.0.0", firmware(64)).pack(&mut Numbered::default()).unwrap();
    let newer = pack_of("demo-lamp", "2.0.0", firmware(64)).pack(&mut Numbered::default()).unwrap();
    for (what, packed) in [("another product", other), ("another version", newer)] {
        check(
            what,
            |shelf| {
                let target = ReleaseTarget { version: label("1.0.0"), ..target_of(&packed) };
                shelf.put_product(2, &[target], &[&key("lamp")]);
                shelf.freshen();
                shelf.manifest = packed.manifest_bytes.clone();
            },
            |refusal| matches!(refusal, Refusal::Trust(TrustError::NotWhatItIsNamed { .. })),
        );
    }
    check(
        "a withdrawn release",
        |shelf| {
            let target = ReleaseTarget { withdrawn: true, ..target_of(&packed()) };
            shelf.put_product(2, &[target], &[&key("lamp")]);
            shelf.freshen();
        },
        |refusal| matches!(refusal, Refusal::Trust(TrustError::Withdrawn { .. })),
    );
    check(
        "a manifest of a later format",
        |shelf| {
            let mut value: Value = serde_json::from_slice(&shelf.manifest).unwrap();
            value["v"] = json!(3);
            shelf.manifest = release::canonical::to_bytes(&value).unwrap();
            let target = ReleaseTarget {
                manifest_sha256: Digest::of(&shelf.manifest),
                manifest_bytes: shelf.manifest.len() as u64,
                ..target_of(&packed())
            };
            shelf.put_product(2, &[target], &[&key("lamp")]);
            shelf.freshen();
        },
        |refusal| {
            matches!(
                refusal,
                Refusal::Trust(TrustError::Unreadable {
                    source: DocumentError::UnknownFormat { version: 3, .. },
                    ..
                })
            )
        },
    );
}

#[test]
fn one_products_bad_document_does_not_stop_the_others() {
    let mut shelf = Shelf::good();
    let other = ProductRole { product: name("radio"), keys: one("radio") };
    shelf.put_targets(2, &[lamp_role(), other], &[&key("targets")]);
    let radio = product_document(&name("radio"), 1, NOW_MS + DAY_MS, &[], &[&key("stranger")]);
    shelf.put("radio.json", radio.unwrap());
    let roles: BTreeMap<String, Vec<u8>> = ["targets", "demo-lamp", "radio"]
        .map(|role| (role.to_owned(), doc(&shelf, &format!("{role}.json"))))
        .into();
    let fresh = release::freshen(&release::FreshenWith {
        snapshot_key: &key("hub snapshot"),
        timestamp_key: &key("hub timestamp"),
        roles: &roles,
        previous: None,
        now_ms: NOW_MS,
        snapshot_life_ms: DAY_MS,
        timestamp_life_ms: DAY_MS,
    })
    .unwrap();
    shelf.put("snapshot.json", fresh.snapshot);
    shelf.put("timestamp.json", fresh.timestamp);
    assert!(shelf.flash().is_ok());
    let repository = shelf.repository().unwrap();
    assert_eq!(repository.refused()[0].0, name("radio"));
}

#[test]
fn a_document_has_one_spelling_and_a_length() {
    check(
        "white space",
        |shelf| {
            let timestamp = shelf.documents.get_mut("timestamp.json").unwrap();
            timestamp.push(b'\n');
        },
        |refusal| {
            matches!(
                refusal,
                Refusal::Trust(TrustError::Unreadable {
                    source: DocumentError::NotCanonical { .. },
                    ..
                })
            )
        },
    );
    check(
        "an upper-case signature",
        |shelf| {
            let mut value: Value = serde_json::from_slice(&doc(shelf, "timestamp.json")).unwrap();
            let sig = value["signatures"][0]["sig"].as_str().unwrap().to_uppercase();
            value["signatures"][0]["sig"] = json!(sig);
            shelf.put("timestamp.json", release::canonical::to_bytes(&value).unwrap());
        },
        |refusal| {
            matches!(
                refusal,
                Refusal::Trust(TrustError::Unreadable { source: DocumentError::Rule { .. }, .. })
            )
        },
    );
    check(
        "endless data",
        |shelf| shelf.put("timestamp.json", vec![b' '; 20_000]),
        |refusal| {
            matches!(
                refusal,
                Refusal::Trust(TrustError::Unreadable {
                    source: DocumentError::TooLong { .. },
                    ..
                })
            )
        },
    );
}

#[test]
fn a_release_is_immutable_and_can_be_taken_back() {
    let shelf = Shelf::good();
    let lamp = name("demo-lamp");
    let mut edition = ProductEdition::read(&lamp, &doc(&shelf, "demo-lamp.json")).unwrap();
    assert!(matches!(edition.name(target_of(&packed())), Err(EditionError::VersionTaken { .. })));
    assert!(matches!(edition.withdraw(&label("9.9.9")), Err(EditionError::NoSuchRelease { .. })));
    edition.withdraw(&label("1.0.0")).unwrap();
    let mut after = shelf.clone();
    after.put("demo-lamp.json", edition.write(NOW_MS + DAY_MS, &[&key("lamp")]).unwrap());
    after.freshen();
    assert!(matches!(after.flash(), Err(Refusal::Trust(TrustError::Withdrawn { .. }))));

    let targets = TargetsEdition::read(&doc(&shelf, "targets.json")).unwrap();
    assert_eq!(targets.products(), [lamp_role()]);
}
