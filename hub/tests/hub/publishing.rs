//! What R&D did not sign, or another hub was meant to get, is refused at the desk.

use std::collections::BTreeMap;

use hub::admin_client::{AdminClient, AdminError, BundleFile, Publication};
use protocol::{ProblemType, Sha256};

use crate::factory::*;
use crate::leases::documents;

/// Publishes files as they are, without the client's own checks; the refusal's type.
async fn refusal(factory: &Factory, files: &BTreeMap<String, Vec<u8>>) -> Option<&'static str> {
    use base64::Engine as _;
    let client = RawClient::new(&factory.admin_address(), &factory.ca_pem(), None);
    let token = factory.token("acme");
    let mut publication = Publication { files: vec![], chunks: vec![] };
    for (path, bytes) in files {
        match path.strip_prefix("chunks/").and_then(|digest| digest.parse::<Sha256>().ok()) {
            Some(digest) => {
                let url = format!("{}/v1/admin/chunks/{digest}", client.base);
                let request = client.http.put(url).bearer_auth(&token).body(bytes.clone());
                let answer = client.send(request).await;
                if answer.0 >= 400 {
                    return Some(kind(&answer));
                }
                publication.chunks.push(digest);
            }
            None => publication.files.push(BundleFile {
                path: path.clone(),
                base64: base64::engine::general_purpose::STANDARD.encode(bytes),
            }),
        }
    }
    let request = client
        .http
        .post(format!("{}/v1/admin/publications", client.base))
        .bearer_auth(&token)
        .body(serde_json::to_vec(&publication).unwrap());
    let answer = client.send(request).await;
    (answer.0 >= 400).then(|| kind(&answer))
}

#[tokio::test]
async fn a_bundle_with_anything_changed_missing_or_added_is_refused_and_changes_nothing() {
    let factory = Factory::of(&["acme", "beta"]).await;
    let mut desk = factory.desk("acme");
    let good = desk.release("1.0.0", 10_000);
    let foreign = factory.desk("beta").release("1.0.0", 100);
    let stranger = {
        // Same tenant's name, but other people and another hub.
        let other = Factory::of(&["acme"]).await;
        other.desk("acme").release("1.0.0", 100)
    };
    for path in good.keys() {
        let bytes = good[path].len();
        for at in [0, bytes / 3, bytes / 2, bytes - 1] {
            let mut spoilt = good.clone();
            spoilt.get_mut(path).unwrap()[at] ^= 0x01;
            let refused = refusal(&factory, &spoilt).await;
            assert!(
                matches!(refused, Some("release-damaged" | "release-not-trusted")),
                "{path} byte {at}: {refused:?}"
            );
        }
        let mut missing = good.clone();
        missing.remove(path);
        let refused = refusal(&factory, &missing).await;
        assert_eq!(refused, Some("release-damaged"), "without {path}");
    }
    let mut added = good.clone();
    added.insert("metadata/extra.bin".into(), vec![1]);
    assert_eq!(refusal(&factory, &added).await, Some("release-damaged"), "a stranger file");
    assert_eq!(refusal(&factory, &foreign).await, Some("release-not-trusted"), "another tenant's");
    assert_eq!(refusal(&factory, &stranger).await, Some("release-not-trusted"), "another hub's");
    assert_eq!(refusal(&factory, &BTreeMap::new()).await, Some("release-damaged"), "empty");
    assert!(factory.admin("acme").releases().await.unwrap().is_empty());
    assert_eq!(refusal(&factory, &good).await, None, "the good one still goes");
}

#[tokio::test]
async fn a_second_root_never_replaces_the_pinned_one() {
    let (factory, mut desk, published, station) = Factory::running("acme").await;
    let mut impostor = factory.desk("acme");
    assert_ne!(impostor.root_key().public(), desk.root_key().public());
    let refused = refusal(&factory, &impostor.release("6.6.6", 100)).await;
    assert_eq!(refused, Some("release-not-trusted"));
    let again = factory.publish("acme", &desk.release("1.1.0", 500)).await.unwrap();
    assert_eq!(again.root_sha256, published.root_sha256);
    assert_eq!(again.root_words, published.root_words);
    assert!(documents(&station.client()).await.contains_key("timestamp.json"));
}

#[tokio::test]
async fn publishing_again_is_harmless_an_older_edition_or_a_taken_version_is_refused() {
    let (factory, mut desk, _, station) = Factory::running("acme").await;
    let second = desk.release("1.1.0", 500);
    factory.publish("acme", &second).await.unwrap();
    let before = documents(&station.client()).await;
    factory.publish("acme", &second).await.unwrap();
    assert_eq!(factory.admin("acme").releases().await.unwrap().len(), 2);

    // The product's document of edition 2 again: without the second release it would vanish.
    let third = desk.release("1.2.0", 500);
    factory.publish("acme", &third).await.unwrap();
    assert_eq!(refusal(&factory, &second).await, Some("release-not-trusted"), "goes back");
    let after = documents(&station.client()).await;
    assert_ne!(before["timestamp.json"], after["timestamp.json"]);
    assert_eq!(after["demo-lamp.json"], third["metadata/demo-lamp.json"]);
}

#[tokio::test]
async fn documents_without_a_release_bring_a_rotation_and_a_withdrawal_to_the_stations() {
    let factory = Factory::of(&["acme"]).await;
    let mut desk = factory.desk("acme");
    let release = desk.release("1.0.0", 500);
    let mut other_desk = factory.desk("acme");
    let other = other_desk.rotated_and_withdrawn();
    let changed = desk.rotated_and_withdrawn();
    let early = factory.take_documents("acme", &changed).await;
    assert!(early.is_err(), "before anything was published there is no root to judge by");
    factory.publish("acme", &release).await.unwrap();
    let station = factory.enrolled("acme", "st-1").await;
    let before = documents(&station.client()).await;

    assert!(factory.take_documents("acme", &other).await.is_err(), "another tenant's root");
    let mut with_chunk = changed.clone();
    with_chunk.insert("manifest.json".to_owned(), release["manifest.json"].clone());
    assert!(factory.take_documents("acme", &with_chunk).await.is_err(), "half a release");
    assert_eq!(documents(&station.client()).await, before);

    let taken = factory.take_documents("acme", &changed).await.unwrap();
    assert_eq!((taken.root_version, taken.withdrawn), (2, vec!["demo-lamp 1.0.0".to_owned()]));
    let after = documents(&station.client()).await;
    assert_eq!(after["2.root.json"], changed["metadata/2.root.json"]);
    assert_eq!(after["root.json"], changed["metadata/2.root.json"]);
    assert_eq!(after["demo-lamp.json"], changed["metadata/demo-lamp.json"]);
    assert_ne!(after["timestamp.json"], before["timestamp.json"]);
    factory.take_documents("acme", &changed).await.unwrap();

    // A root that stations may have followed never becomes another one, even a good one.
    let again = desk.rotated_and_withdrawn();
    assert_ne!(again["metadata/2.root.json"], changed["metadata/2.root.json"]);
    assert!(factory.take_documents("acme", &again).await.is_err(), "a second root 2");
    let log = factory.admin("acme").log().await.unwrap();
    let told = |line: &String| line.contains("withdrawn") && line.contains("demo-lamp 1.0.0");
    assert!(log.records.iter().any(told), "{:?}", log.records);
}

#[tokio::test]
async fn snapshot_and_timestamp_are_written_anew_before_they_expire() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let client = station.client();
    let before = documents(&client).await;
    assert_eq!(documents(&client).await, before);
    for _ in 0..10 {
        factory.pass_ms(2 * 24 * 60 * 60 * 1000);
        let lists = (0..4).map(|_| {
            let client = station.client();
            tokio::spawn(async move { client.get("/v1/documents").await })
        });
        let mut answers = Vec::new();
        for list in lists.collect::<Vec<_>>() {
            answers.push(list.await.unwrap());
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "four askers at one moment get one edition");
    }
    let after = documents(&client).await;
    let expires = |documents: &std::collections::BTreeMap<String, Vec<u8>>| {
        let json: serde_json::Value = serde_json::from_slice(&documents["timestamp.json"]).unwrap();
        json["signed"]["expires"].as_str().unwrap().to_owned()
    };
    assert!(expires(&after) > expires(&before));
}

#[tokio::test]
async fn a_token_file_or_ca_that_is_not_one_is_a_plain_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let made = AdminClient::new("127.0.0.1:1", &missing, &missing);
    assert!(matches!(made, Err(AdminError::File { .. })));
    let made = AdminClient::with_pem("127.0.0.1:1", "not PEM", "token".into());
    assert!(matches!(made, Err(AdminError::Tls(_))));
    assert_eq!(ProblemType::ReleaseDamaged.status(), 422);
}
