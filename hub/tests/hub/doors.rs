//! Who gets in, and what strangers are told.

use protocol::{SignedStatement, TimeStatement};
use rcgen::{CertificateParams, KeyPair};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::factory::*;

const STATION_ROUTES: [&str; 7] = [
    "/v1/documents",
    "/v1/documents/lease",
    "/v1/documents/timestamp.json",
    "/v1/journal/1",
    "/v1/time?nonce=00",
    "/v1/chunks/0000000000000000000000000000000000000000000000000000000000000000",
    "/v1/documents/roster",
];

const ADMIN_ROUTES: [&str; 6] = [
    "/v1/units",
    "/v1/stations",
    "/v1/orders",
    "/v1/releases",
    "/v1/stations/st-1/journal",
    "/v1/units?limit=1",
];

#[tokio::test]
async fn without_a_certificate_only_enrolment_answers() {
    let (factory, _, _, _) = Factory::running("acme").await;
    let client = RawClient::new(&factory.station_address(), &factory.ca_pem(), None);
    for path in STATION_ROUTES {
        assert_eq!(kind(&client.get(path).await), "certificate-refused", "{path}");
    }
    assert_eq!(kind(&client.post("/v1/journal/1", vec![]).await), "certificate-refused");
    assert_eq!(kind(&client.post("/v1/lease", vec![]).await), "certificate-refused");
    assert_eq!(kind(&client.post("/v1/enrol", b"{}".to_vec()).await), "request-malformed");
}

#[tokio::test]
async fn a_certificate_of_a_strangers_ca_does_not_pass_the_handshake() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let stranger = Factory::running("acme").await.3;
    let self_made = KeyPair::generate().unwrap();
    let own =
        CertificateParams::new(vec!["st-1".to_owned()]).unwrap().self_signed(&self_made).unwrap();
    for (what, certificate, key) in [
        ("another hub's", stranger.enrolled.certificate_pem, stranger.keys.tls.serialize_pem()),
        ("self-made", own.pem(), self_made.serialize_pem()),
    ] {
        let identity = Some((certificate.as_str(), key.as_str()));
        let client = RawClient::new(&factory.station_address(), &factory.ca_pem(), identity);
        let answer = client.http.get(format!("{}/v1/documents", client.base)).send().await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    assert_eq!(station.client().get("/v1/documents").await.0, 200);
}

#[tokio::test]
async fn nothing_older_than_tls_1_3_is_spoken() {
    let (factory, _, _, station) = Factory::running("acme").await;
    for address in [factory.station_address(), factory.admin_address()] {
        let mut roots = rustls::RootCertStore::empty();
        let pem = station.enrolled.ca_pem.as_bytes();
        use rustls::pki_types::pem::PemObject as _;
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
        let asked = http.build().unwrap().get(format!("https://{address}/v1/health")).send().await;
        assert!(asked.is_err(), "{address}: {asked:?}");
    }
}

#[tokio::test]
async fn a_revoked_station_is_refused_on_every_route_even_on_its_open_connection() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let client = station.client();
    assert_eq!(client.get("/v1/documents").await.0, 200);
    factory.admin("acme").revoke("st-1").await.unwrap();
    for path in STATION_ROUTES {
        assert_eq!(kind(&client.get(path).await), "certificate-refused", "{path}");
    }
}

#[tokio::test]
async fn people_without_the_right_token_see_health_and_the_description_only() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let client = RawClient::new(&factory.admin_address(), &factory.ca_pem(), None);
    let with_station_certificate = {
        let identity =
            (station.enrolled.certificate_pem.as_str(), station.keys.tls.serialize_pem());
        let identity = Some((identity.0, identity.1.as_str()));
        RawClient::new(&factory.admin_address(), &factory.ca_pem(), identity)
    };
    for path in ADMIN_ROUTES {
        let url = format!("{}{path}", client.base);
        assert_eq!(kind(&client.get(path).await), "token-refused", "{path}");
        assert_eq!(kind(&with_station_certificate.get(path).await), "token-refused", "{path}");
        for token in ["", "x", &"0".repeat(64), &"x".repeat(10_000)] {
            let request = client.http.get(&url).bearer_auth(token);
            assert_eq!(kind(&client.send(request).await), "token-refused", "{path}");
        }
    }
    let health: protocol::Health = json(&client.get("/v1/health").await);
    assert_eq!(health.state, "ok");
    let described: serde_json::Value = json(&client.get("/openapi.json").await);
    assert!(described["paths"]["/v1/units"]["get"].is_object());
    assert!(described["paths"]["/v1/admin/portions"]["post"].is_object());
    assert!(described["components"]["schemas"]["Problem"].is_object());
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_type() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let client = station.client();
    for (path, expected) in [
        ("/", "not-found"),
        ("/v1/nothing", "not-found"),
        ("/v1/documents/../../etc/passwd", "not-found"),
        ("/v1/documents/..%2f..%2fhub.db", "not-found"),
        ("/v1/documents/nobody.json", "not-found"),
        ("/v1/chunks/zz", "not-found"),
        ("/v1/journal/0", "not-found"),
        ("/v1/journal/x", "not-found"),
        ("/v1/journal/4294967296", "not-found"),
        ("/v1/time?nonce=", "request-malformed"),
        ("/v1/time?nonce=xyz", "request-malformed"),
    ] {
        assert_eq!(kind(&client.get(path).await), expected, "{path}");
    }
    assert_eq!(kind(&client.post("/v1/documents", vec![]).await), "method-not-allowed");
    let admin = RawClient::new(&factory.admin_address(), &factory.ca_pem(), None);
    assert_eq!(kind(&admin.get("/v1/enrol").await), "not-found");
}

#[tokio::test]
async fn the_hubs_time_answers_the_nonce_over_its_signature() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let signed: SignedStatement =
        json(&station.client().get("/v1/time?nonce=0123456789abcdef").await);
    UnparsedPublicKey::new(&ED25519, station.enrolled.hub_cosign_key.0)
        .verify(
            &SignedStatement::signed_bytes(TimeStatement::KIND, &signed.payload),
            &hex::decode(&signed.signature).unwrap(),
        )
        .unwrap();
    let statement: TimeStatement = serde_json::from_str(&signed.payload).unwrap();
    assert_eq!(statement.nonce, "0123456789abcdef");
    assert_eq!(statement.hub_time_ms, factory.now_ms());
    assert_eq!(statement.station, *station.name());
}

#[tokio::test]
async fn bodies_that_are_broken_or_too_large_are_refused_by_name() {
    let (_factory, _, _, station) = Factory::running("acme").await;
    let client = station.client();
    let url = format!("{}/v1/journal/1", client.base);
    let post = |body: Vec<u8>, encoding: Option<&'static str>| {
        let mut request = client.http.post(&url).body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        client.send(request)
    };
    let packed = zstd::encode_all(&b"{\"from\":0}"[..], 3).unwrap();
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(b' '), 1 << 28), 3).unwrap();
    assert_eq!(kind(&post(vec![], None).await), "request-malformed");
    assert_eq!(kind(&post(b"{\"from\":0".to_vec(), None).await), "request-malformed");
    assert_eq!(kind(&post(b"not zstd".to_vec(), Some("zstd")).await), "request-malformed");
    let cut = packed[..packed.len() - 2].to_vec();
    assert_eq!(kind(&post(cut, Some("zstd")).await), "request-malformed");
    assert_eq!(kind(&post(packed, Some("gzip")).await), "request-malformed");
    assert_eq!(kind(&post(bomb, Some("zstd")).await), "request-too-large");
    let large = vec![b' '; protocol::journal::PUSH_BYTES_MAX + 1];
    assert_eq!(kind(&post(large, None).await), "request-too-large");
}
