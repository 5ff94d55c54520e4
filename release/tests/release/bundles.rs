//! A bundle carries one whole release, and nothing else, to nowhere else.

use std::collections::BTreeMap;

use release::folder::{Readers, read_bundle, replace_file, write_bundle};
use release::tuf::{ProductEdition, root_document};
use release::{
    Bundle, BundleError, Channel, Digest, HubSecrets, HubWrap, PinnedRoot, TrustError, WrapError,
};

use crate::workbench::*;

fn files() -> BTreeMap<String, Vec<u8>> {
    let packed = packed();
    let shelf = Shelf::holding(&packed);
    let hub = hub_secrets();
    let manifest_sha256 = Digest::of(&packed.manifest_bytes);
    let wrap = HubWrap::seal(
        &hub.tenant,
        manifest_sha256,
        &packed.content_keys,
        &hub.release.public(),
        &mut Numbered(50),
    )
    .unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::from([
        ("metadata/1.root.json".to_owned(), shelf.root.clone()),
        ("metadata/targets.json".to_owned(), shelf.documents["targets.json"].clone()),
        ("metadata/demo-lamp.json".to_owned(), shelf.documents["demo-lamp.json"].clone()),
        ("lease-keys.json".to_owned(), shelf.documents["lease-keys.json"].clone()),
        ("manifest.json".to_owned(), packed.manifest_bytes.clone()),
        ("hub-key.wrap".to_owned(), wrap.to_bytes().unwrap()),
    ]);
    for (digest, chunk) in packed.chunks {
        files.insert(format!("chunks/{digest}"), chunk);
    }
    files
}

fn pin() -> PinnedRoot {
    let root = Shelf::good().root;
    PinnedRoot::from_pin(&root, &Digest::of(&root)).unwrap()
}

fn check(
    what: &str,
    spoil: impl FnOnce(&mut BTreeMap<String, Vec<u8>>),
    refused: impl FnOnce(&BundleError) -> bool,
) {
    let mut files = files();
    spoil(&mut files);
    let result = Bundle::from_files(files).and_then(|bundle| bundle.check(&pin(), NOW_MS));
    match result {
        Ok(_) => panic!("{what}: was accepted"),
        Err(error) => assert!(refused(&error), "{what}: refused as {error:?}"),
    }
}

fn first_chunk(files: &BTreeMap<String, Vec<u8>>) -> String {
    files.keys().find(|name| name.starts_with("chunks/")).unwrap().clone()
}

#[test]
fn a_whole_bundle_gives_the_hub_what_it_stores_and_serves() {
    let hub = hub_secrets();
    let checked = Bundle::from_files(files()).unwrap().check(&pin(), NOW_MS).unwrap();
    let documents = checked.documents();
    let names: Vec<&str> = documents.keys().map(String::as_str).collect();
    let manifest = format!("manifest/{}", checked.manifest_sha256());
    let expected = [
        "1.root.json",
        "demo-lamp.json",
        "lease-keys.json",
        &manifest,
        "root.json",
        "targets.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(checked.chunks().len(), 10);
    assert!(checked.content_key(&hub.release, CHANNEL).is_ok());
    assert!(checked.is_for(&hub.public()));
    let others: [fn(&mut HubSecrets); 4] = [
        |hub| hub.snapshot = key("another"),
        |hub| hub.timestamp = key("another"),
        |hub| hub.lease = key("another"),
        |hub| hub.release = wrap_key("another"),
    ];
    for change in others {
        let mut other = hub_secrets();
        change(&mut other);
        assert!(!checked.is_for(&other.public()));
    }
    assert_eq!(
        checked.content_key(&hub.release, Channel::AfterSales).err(),
        Some(WrapError::NoSuchChannel(Channel::AfterSales))
    );
    assert_eq!(
        checked.content_key(&wrap_key("other hub"), CHANNEL).err(),
        Some(WrapError::OtherReceiver)
    );
    assert!(checked.summary().contains("demo-lamp 1.0.0 of acme"));
}

#[test]
fn a_bundle_survives_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("bundle");
    let bundle = Bundle::from_files(files()).unwrap();
    write_bundle(&bundle, &at).unwrap();
    assert_eq!(read_bundle(&at).unwrap().files(), bundle.files());
    // Never over another one.
    assert!(matches!(write_bundle(&bundle, &at), Err(BundleError::Folder { .. })));

    let outside = folder.path().join("outside");
    replace_file(&outside, b"secret", Readers::Owner).unwrap();
    for (name, strange) in [
        ("extra", "extra"),
        ("metadata/x.y.json", "metadata/x.y.json"),
        ("chunks/nothex", "chunks/nothex"),
    ] {
        replace_file(&at.join(name), b"", Readers::Everybody).unwrap();
        let refused = read_bundle(&at);
        assert!(
            matches!(&refused, Err(BundleError::StrangeFile { name }) if name == strange),
            "{name}: {refused:?}"
        );
        std::fs::remove_file(at.join(name)).unwrap();
    }
    let link = at.join(format!("chunks/{}", Digest::of(b"x")));
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    assert!(matches!(read_bundle(&at), Err(BundleError::StrangeFile { .. })));
}

#[test]
fn no_name_climbs_out_of_a_bundle() {
    for name in [
        "../manifest.json",
        "/manifest.json",
        "metadata/../../x.json",
        "metadata/sub/x.json",
        "metadata/01.root.json",
        "metadata/snapshot.json",
        "metadata/timestamp.json",
        "metadata/root.json",
        "chunks/../x",
        "chunks/",
        "./manifest.json",
        "manifest.json\0",
        "",
    ] {
        let refused = Bundle::from_files(BTreeMap::from([(name.to_owned(), Vec::new())]));
        assert!(matches!(refused, Err(BundleError::StrangeFile { .. })), "{name:?}");
    }
    let large = BTreeMap::from([("hub-key.wrap".to_owned(), vec![0; 20_000])]);
    assert!(matches!(Bundle::from_files(large), Err(BundleError::FileTooLarge { .. })));
}

#[test]
fn a_spoilt_bundle_is_refused_by_its_cause() {
    for missing in
        ["manifest.json", "hub-key.wrap", "metadata/targets.json", "metadata/demo-lamp.json"]
    {
        check(
            missing,
            |files| {
                files.remove(missing);
            },
            |error| matches!(error, BundleError::Missing { name } if name == missing),
        );
    }
    check(
        "a missing chunk",
        |files| {
            let name = first_chunk(files);
            files.remove(&name);
        },
        |error| matches!(error, BundleError::Missing { .. }),
    );
    check(
        "a cut chunk",
        |files| {
            let name = first_chunk(files);
            files.get_mut(&name).unwrap().pop();
        },
        |error| matches!(error, BundleError::ChunkDamaged { .. }),
    );
    check(
        "a flipped chunk",
        |files| {
            let name = first_chunk(files);
            files.get_mut(&name).unwrap()[0] ^= 1;
        },
        |error| matches!(error, BundleError::ChunkDamaged { .. }),
    );
    check(
        "a chunk that nobody names",
        |files| {
            files.insert(format!("chunks/{}", Digest::of(b"x")), b"x".to_vec());
        },
        |error| matches!(error, BundleError::ChunkNotNamed { .. }),
    );
    check(
        "another product's document",
        |files| {
            files.insert("metadata/radio.json".to_owned(), b"{}".to_vec());
        },
        |error| matches!(error, BundleError::StrangeFile { .. }),
    );
    check(
        "a root that leads nowhere",
        |files| {
            let root = files["metadata/1.root.json"].clone();
            files.insert("metadata/3.root.json".to_owned(), root);
        },
        |error| matches!(error, BundleError::StrangeFile { .. }),
    );
    check(
        "another release's wrapped keys",
        |files| {
            let keys = &packed().content_keys;
            let hub = hub_secrets().release.public();
            let other = Digest::of(b"other");
            let wrap = HubWrap::seal(&name("acme"), other, keys, &hub, &mut Numbered(1)).unwrap();
            files.insert("hub-key.wrap".to_owned(), wrap.to_bytes().unwrap());
        },
        |error| matches!(error, BundleError::OtherWrap),
    );
    check(
        "wrapped keys for one channel only",
        |files| {
            let packed = packed();
            let hub = hub_secrets().release.public();
            let digest = Digest::of(&packed.manifest_bytes);
            let keys = &packed.content_keys[..1];
            let wrap = HubWrap::seal(&name("acme"), digest, keys, &hub, &mut Numbered(1)).unwrap();
            files.insert("hub-key.wrap".to_owned(), wrap.to_bytes().unwrap());
        },
        |error| matches!(error, BundleError::OtherWrap),
    );
    check(
        "another manifest",
        |files| {
            let other = pack_of("demo-lamp", "2.0.0", firmware(8)).pack(&mut Numbered(4)).unwrap();
            files.insert("manifest.json".to_owned(), other.manifest_bytes);
        },
        |error| matches!(error, BundleError::NotTrusted(TrustError::NotNamed { .. })),
    );
    check(
        "a product document by a stranger",
        |files| {
            let document = &files["metadata/demo-lamp.json"];
            let edition = ProductEdition::read(&name("demo-lamp"), document).unwrap();
            let forged = edition.write(NOW_MS + DAY_MS, &[&key("stranger")]).unwrap();
            files.insert("metadata/demo-lamp.json".to_owned(), forged);
        },
        |error| matches!(error, BundleError::NotTrusted(TrustError::TooFewSignatures { .. })),
    );
    check(
        "an expired product document",
        |files| {
            let document = &files["metadata/demo-lamp.json"];
            let edition = ProductEdition::read(&name("demo-lamp"), document).unwrap();
            let old = edition.write(NOW_MS - 1000, &[&key("lamp")]).unwrap();
            files.insert("metadata/demo-lamp.json".to_owned(), old);
        },
        |error| matches!(error, BundleError::NotTrusted(TrustError::Expired { .. })),
    );
    check(
        "a withdrawn release",
        |files| {
            let document = &files["metadata/demo-lamp.json"];
            let mut edition = ProductEdition::read(&name("demo-lamp"), document).unwrap();
            edition.withdraw(&label("1.0.0")).unwrap();
            let next = edition.write(NOW_MS + DAY_MS, &[&key("lamp")]).unwrap();
            files.insert("metadata/demo-lamp.json".to_owned(), next);
        },
        |error| matches!(error, BundleError::NotTrusted(TrustError::Withdrawn { .. })),
    );
}

#[test]
fn a_bundle_is_pinned_by_a_digest_from_elsewhere() {
    let bundle = Bundle::from_files(files()).unwrap();
    let root = Shelf::good().root;
    assert!(bundle.pin(&Digest::of(&root)).is_ok());
    assert!(matches!(bundle.pin(&Digest::of(b"other")), Err(TrustError::Missing { .. })));

    // The hub pinned another root than the one in the bundle.
    let mut plan = root_plan();
    plan.expires_ms += DAY_MS;
    let other = root_document(&plan, &[&key("root")]).unwrap();
    let other = PinnedRoot::from_pin(&other, &Digest::of(&other)).unwrap();
    assert!(matches!(
        bundle.check(&other, NOW_MS),
        Err(BundleError::NotTrusted(TrustError::NotThePinnedRoot { .. }))
    ));
}

#[test]
fn one_flipped_byte_in_a_bundles_small_files_is_noticed() {
    let (good, pin, hub) = (files(), pin(), hub_secrets());
    for (name, bytes) in &good {
        for at in 0..bytes.len() {
            let mut spoilt = good.clone();
            spoilt.get_mut(name).unwrap()[at] ^= FLIPS[at % FLIPS.len()];
            let checked = Bundle::from_files(spoilt).and_then(|bundle| bundle.check(&pin, NOW_MS));
            let opened = checked.is_ok_and(|checked| {
                // A wrapped key is judged by the hub's key.
                [Channel::Production, Channel::Rework]
                    .iter()
                    .all(|channel| checked.content_key(&hub.release, *channel).is_ok())
            });
            assert!(!opened, "{name}: byte {at} was not noticed");
        }
    }
}
