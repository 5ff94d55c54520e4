//! What the hub signs and shows itself with is replaced while it serves: the keys that R&D's root
//! names, and the certificate of its listeners.

use std::sync::Arc;
use std::time::Duration;

use release::{HubKeys, Lease, LeaseCheck, LeaseKeys};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;

use crate::factory::*;
use crate::leases::{documents, repository};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Who signed a document.
fn signer(document: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(document).unwrap();
    value["signatures"][0]["keyid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_that_the_next_root_names_take_over_and_stations_follow() {
    let (mut factory, mut desk, published, station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 4).await;
    let first =
        HubKeys::from_bytes(&std::fs::read(&factory.made["acme"].hub_keys_file).unwrap()).unwrap();
    let admin = factory.admin("acme");
    let next = HubKeys::from_bytes(&admin.next_keys().await.unwrap()).unwrap();
    assert_eq!(next.release, first.release);
    for (next, first) in [
        (next.snapshot, first.snapshot),
        (next.timestamp, first.timestamp),
        (next.lease, first.lease),
    ] {
        assert_ne!(next, first);
    }
    let again = HubKeys::from_bytes(&admin.next_keys().await.unwrap()).unwrap();
    assert_eq!(again, next, "they wait for the root");

    let check =
        |documents: &std::collections::BTreeMap<String, Vec<u8>>, keys: &HubKeys, now_ms| {
            assert_eq!(signer(&documents["snapshot.json"]), keys.snapshot.key_id().to_string());
            assert_eq!(signer(&documents["timestamp.json"]), keys.timestamp.key_id().to_string());
            let only =
                LeaseKeys::new(release::Name::new("acme").unwrap(), 1, vec![keys.lease]).unwrap();
            let check = LeaseCheck {
                tenant: &release::Name::new("acme").unwrap(),
                station_key: station.keys.hpke.public().digest(),
                keys: &only,
                version_seen: None,
                now_ms,
            };
            Lease::verify(&documents["lease"], &check).unwrap().version
        };
    let before = documents(&station.client()).await;
    let version = check(&before, &first, factory.now_ms());

    // Keys that are nobody's here are refused, and so is a root of which the hub has half the keys.
    let mut strange = next.clone();
    strange.timestamp = desk.root_key().public();
    let refused = desk.rotation(&strange);
    assert!(factory.take_documents("acme", &refused).await.is_err());
    assert_eq!(documents(&station.client()).await, before);

    factory.take_documents("acme", &desk.rotated_to(next.clone())).await.unwrap();
    let after = documents(&station.client()).await;
    repository(&factory, &station, &after);
    assert!(check(&after, &next, factory.now_ms()) > version);

    // What is published next is signed by them, before and after a restart.
    factory.publish("acme", &desk.release("1.1.0", 500)).await.unwrap();
    check(&documents(&station.client()).await, &next, factory.now_ms());
    let (stations, people) = factory.stop().await;
    factory.start(stations, people).await;
    factory.pass_ms(2 * DAY_MS);
    let refreshed = documents(&station.client()).await;
    assert_ne!(refreshed["timestamp.json"], after["timestamp.json"]);
    check(&refreshed, &next, factory.now_ms());

    // And again: the ones in use are followed by others.
    let third = HubKeys::from_bytes(&factory.admin("acme").next_keys().await.unwrap()).unwrap();
    assert!(third.lease != next.lease && third.lease != first.lease);
    check(&documents(&station.client()).await, &next, factory.now_ms());
    factory.take_documents("acme", &desk.rotated_to(third.clone())).await.unwrap();
    check(&documents(&station.client()).await, &third, factory.now_ms());
    let log = factory.admin("acme").log().await.unwrap();
    let told = log.records.iter().filter(|line| line.contains("next keys")).count();
    assert_eq!(told, 2, "{:?}", log.records);
}

#[derive(Debug)]
struct At(i64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// The certificate that a listener shows to whoever trusts the hub's CA and has the hub's clock.
async fn shown(factory: &Factory, address: &str) -> CertificateDer<'static> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(factory.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(At(factory.now_ms()));
    let config = rustls::ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let stream = stream.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_hub_that_is_never_restarted_renews_its_certificate_before_it_ends() {
    let factory = Factory::of(&["acme"]).await;
    for address in [factory.station_address(), factory.admin_address()] {
        let first = shown(&factory, &address).await;
        assert_eq!(shown(&factory, &address).await, first);
    }
    let mut last = shown(&factory, &factory.admin_address()).await;
    for _ in 0..4 {
        // Two years are its life.
        factory.pass_ms(500 * DAY_MS);
        let now = shown(&factory, &factory.admin_address()).await;
        assert_ne!(now, last);
        assert_eq!(shown(&factory, &factory.station_address()).await, now, "one for both");
        last = now;
    }
}
