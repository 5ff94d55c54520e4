//! What a station gets to flash, and that it can: documents, lease and chunks from the hub open
//! into the very bytes R&D packed.

use std::collections::BTreeMap;

use base64::Engine as _;
use protocol::{DocumentList, KeyProtection, OrdersDocument};
use release::{Channel, Digest, Lease, LeaseCheck, PinnedRoot, TrustedRepository};

use crate::desk::firmware;
use crate::factory::*;

pub(crate) async fn documents(client: &RawClient) -> BTreeMap<String, Vec<u8>> {
    let list: DocumentList = json(&client.get("/v1/documents").await);
    let mut documents = BTreeMap::new();
    for document in list.documents {
        let name = document.name.to_string();
        let (status, bytes) = client.get(&format!("/v1/documents/{name}")).await;
        assert_eq!(status, 200, "{name}");
        assert_eq!(sha256(&bytes), document.etag, "{name}");
        documents.insert(name, bytes);
    }
    documents
}

fn lease(factory: &Factory, station: &Station, documents: &BTreeMap<String, Vec<u8>>) -> Lease {
    let repository = repository(factory, station, documents);
    let check = LeaseCheck {
        tenant: repository.tenant(),
        station_key: station.keys.hpke.public().digest(),
        keys: repository.lease_keys(),
        version_seen: None,
        now_ms: factory.now_ms(),
    };
    Lease::verify(&documents["lease"], &check).unwrap()
}

pub(crate) fn repository(
    factory: &Factory,
    station: &Station,
    documents: &BTreeMap<String, Vec<u8>>,
) -> TrustedRepository {
    let root =
        base64::engine::general_purpose::STANDARD.decode(&station.enrolled.root_json).unwrap();
    let pin = PinnedRoot::from_pin(&root, &Digest::of(&root)).unwrap();
    let documents = |name: &str| documents.get(name).cloned();
    TrustedRepository::verify(&pin, &documents, None, factory.now_ms()).unwrap()
}

#[tokio::test]
async fn what_the_hub_serves_opens_into_the_bytes_that_rd_packed() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let client = station.client();
    let documents = documents(&client).await;
    let repository = repository(&factory, &station, &documents);
    let lease = lease(&factory, &station, &documents);
    assert_eq!(lease.portions.len(), 1);
    assert_eq!(lease.portions[0].order, "4711");
    assert_eq!((lease.portions[0].index_from, lease.portions[0].index_to), (0, 100));
    assert!(lease.allow_simulated);

    let manifest = &documents[&format!("manifest/{}", published.manifest_sha256)];
    let sealed = repository.release(manifest).unwrap();
    let mut chunks = BTreeMap::new();
    for chunk in sealed.chunks(Channel::Production) {
        let (status, bytes) = client.get(&format!("/v1/chunks/{}", chunk.digest)).await;
        assert_eq!(status, 200);
        chunks.insert(chunk.digest, bytes);
    }
    let leased = lease.may_flash(&sealed.digest(), Channel::Production, factory.now_ms()).unwrap();
    let key = lease.unwrap_key(leased, &station.keys.hpke).unwrap();
    let opened = sealed
        .open(Channel::Production, &key, |digest| chunks.get(digest).cloned().ok_or("missing"))
        .unwrap();
    let bytes: Vec<u8> = opened.images()[0].segments[0].bytes.to_vec();
    assert_eq!(bytes, firmware("1.0.0", 20_000));

    let orders: OrdersDocument = serde_json::from_slice(&documents["orders"]).unwrap();
    assert_eq!(orders.orders[0].release, "1.0.0");
    assert_eq!(orders.orders[0].quantity, 4);
}

#[tokio::test]
async fn a_lease_changes_when_what_it_allows_changes_or_half_its_time_is_over_and_only_upwards() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    let client = station.client();
    let version = || async {
        let documents = documents(&client).await;
        lease(&factory, &station, &documents).version
    };
    assert_eq!(version().await, 1);
    assert_eq!(version().await, 1, "asking changes nothing");
    factory.grant(&desk, &published, &station, "4711", 4).await;
    assert_eq!(version().await, 2);
    assert_eq!(version().await, 2);
    factory.pass_ms(6 * 24 * 60 * 60 * 1000);
    assert_eq!(version().await, 2, "not half over yet");
    factory.pass_ms(24 * 60 * 60 * 1000);
    assert_eq!(version().await, 3, "half of 14 days are over");

    let request = |last: u64| {
        let body = serde_json::json!({
            "last_version": last, "key_protection": "none", "epoch": 1, "journal_size": 0
        });
        client.post("/v1/lease", serde_json::to_vec(&body).unwrap())
    };
    assert_eq!(request(3).await.0, 200);
    assert_eq!(version().await, 4);
    assert_eq!(request(40).await.0, 200);
    assert_eq!(version().await, 41, "beyond what the station holds, as after a restored hub");
}

#[tokio::test]
async fn a_document_is_packed_for_whoever_can_unpack_it_and_its_etag_is_of_the_plain_one() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let client = station.client();
    let plain = documents(&client).await;
    let manifest = format!("manifest/{}", published.manifest_sha256);
    for (name, packs) in [(manifest.as_str(), true), ("root.json", true), ("orders", false)] {
        let url = format!("{}/v1/documents/{name}", client.base);
        let asked = client.http.get(&url).header("accept-encoding", "gzip, zstd");
        let answer = asked.send().await.unwrap();
        let encoding = answer.headers().get("content-encoding").cloned();
        assert_eq!(encoding.is_some_and(|it| it == "zstd"), packs, "{name}");
        assert_eq!(answer.headers()["etag"], format!("\"{}\"", sha256(&plain[name])), "{name}");
        let body = answer.bytes().await.unwrap();
        let body = if packs { zstd::decode_all(&body[..]).unwrap() } else { body.to_vec() };
        assert_eq!(body, plain[name], "{name}");
    }
}

#[tokio::test]
async fn askers_at_one_moment_get_one_lease() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let asked = (0..8).map(|_| {
        let client = station.client();
        tokio::spawn(async move { client.get("/v1/documents/lease").await })
    });
    let mut leases = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        leases.push(asked.await.unwrap());
    }
    leases.dedup();
    assert_eq!(leases.len(), 1);
    assert_eq!(release::lease::show_lease(&leases[0].1).unwrap().version, 1);
}

#[tokio::test]
async fn a_station_gets_the_manifests_of_its_own_portions_only() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    let client = station.client();
    let manifest = format!("manifest/{}", published.manifest_sha256);
    assert!(!documents(&client).await.contains_key(&manifest));
    assert_eq!(kind(&client.get(&format!("/v1/documents/{manifest}")).await), "not-found");
    factory.grant(&desk, &published, &station, "4711", 4).await;
    assert!(documents(&client).await.contains_key(&manifest));
}

#[tokio::test]
async fn the_list_waits_for_a_change_and_answers_at_once_when_there_is_one() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    let client = station.client();
    let url = format!("{}/v1/documents", client.base);
    let first = client.http.get(&url).send().await.unwrap();
    let known = first.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    let unchanged = client.get(&format!("/v1/documents?known={known}&wait_s=0")).await;
    assert_eq!(unchanged.0, 304);

    let waiting = tokio::spawn({
        let client = station.client();
        async move { client.get(&format!("/v1/documents?known={known}&wait_s=30")).await }
    });
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let changed = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    let list: DocumentList = json(&changed);
    assert!(list.documents.iter().any(|d| d.name == protocol::DocumentName::Lease));
}

#[tokio::test]
async fn a_document_that_is_held_already_is_not_sent_again() {
    let (_factory, _, _, station) = Factory::running("acme").await;
    let client = station.client();
    let url = format!("{}/v1/documents/timestamp.json", client.base);
    let first = client.http.get(&url).send().await.unwrap();
    let etag = first.headers()["etag"].clone();
    let again = client.http.get(&url).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn a_chunk_comes_whole_or_from_any_byte_on() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let client = station.client();
    let chunks = std::fs::read_dir(factory.data().join("blobs")).unwrap();
    let shelf = chunks.map(|entry| entry.unwrap().path()).next().unwrap();
    let file = std::fs::read_dir(&shelf).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    let digest = sha256(&bytes);
    let url = format!("{}/v1/chunks/{digest}", client.base);
    let last = bytes.len() - 1;
    for (range, expected) in [
        ("bytes=0-", &bytes[..]),
        ("bytes=10-", &bytes[10..]),
        ("bytes=10-19", &bytes[10..20]),
        (&format!("bytes={last}-"), &bytes[last..]),
        ("bytes=5-99999999", &bytes[5..]),
    ] {
        let response = client.http.get(&url).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(response.bytes().await.unwrap(), expected, "{range}");
    }
    for range in [format!("bytes={}-", bytes.len()), "bytes=9-3".to_owned()] {
        let request = client.http.get(&url).header("range", &range);
        assert_eq!(kind(&client.send(request).await), "range-not-satisfiable", "{range}");
    }
    // A chunk that rotted on the hub's disk is never sent.
    let mut rotten = bytes.clone();
    rotten[3] ^= 1;
    release::folder::replace_file(&file, &rotten, release::folder::Readers::Everybody).unwrap();
    assert_eq!(kind(&client.get(&format!("/v1/chunks/{digest}")).await), "internal");
}

#[tokio::test]
async fn a_tenant_refuses_stations_whose_keys_are_guarded_less_than_it_asks() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let client = station.client();
    let version = || async { lease(&factory, &station, &documents(&client).await).version };
    assert_eq!(version().await, 1);

    let admin = factory.admin("acme");
    admin.demand_protection(KeyProtection::Tpm).await.unwrap();
    factory.pass_ms(8 * 24 * 60 * 60 * 1000);
    assert_eq!(version().await, 1, "the lease it has, and no other");
    let request = |protection: &str| {
        let body = serde_json::json!({
            "last_version": 1, "key_protection": protection, "epoch": 1, "journal_size": 0
        });
        client.post("/v1/lease", serde_json::to_vec(&body).unwrap())
    };
    for weak in ["none", "disk"] {
        let (status, body) = request(weak).await;
        assert_eq!(status, 403, "{weak}");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(
            problem["type"].as_str().unwrap().ends_with("key-protection-too-weak"),
            "{problem}"
        );
    }
    let code = factory.code("acme", "st-2").await;
    let keys = StationKeys::draw();
    let mut weak = keys.request(&code);
    weak.key_protection = KeyProtection::Disk;
    let answer: Result<protocol::Enrolled, _> =
        sync::enrol(&code.hub, code.hub_ca_sha256.0, &weak).await;
    let Err(sync::EnrolError::Refused { kind, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(kind, "key-protection-too-weak");
    // The code was not used up: the same station comes back with its keys sealed.
    weak.key_protection = KeyProtection::Tpm;
    let answer: Result<protocol::Enrolled, _> =
        sync::enrol(&code.hub, code.hub_ca_sha256.0, &weak).await;
    answer.unwrap();

    // What a station says with its backlog counts from its next question on, and is logged.
    let backlog =
        protocol::Backlog { key_protection: Some(KeyProtection::Tpm), ..Default::default() };
    let said = serde_json::to_string(&backlog).unwrap();
    assert_eq!(client.list_saying(protocol::BACKLOG_HEADER, &said).await.0, 200);
    assert_eq!(version().await, 2);
    let known = admin.stations().await.unwrap();
    assert_eq!(known[0].key_protection, KeyProtection::Tpm);
    let log = factory.admin("acme").log().await.unwrap();
    let said = serde_json::to_string(&log).unwrap();
    for what in ["stations need key protection: tpm", "guarded by: tpm"] {
        assert!(said.contains(what), "{what}: {said}");
    }
}
