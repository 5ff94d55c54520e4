//! Joining a hub: once, with the right code, at the right hub.

use hub::admin_client::{AdminError, CodeCreate};
use protocol::{CertificateRenewal, EnrolmentStatement, ProblemType, SignedStatement};
use ring::signature::{ED25519, UnparsedPublicKey};
use sync::EnrolError;

use crate::factory::*;

async fn ready() -> Factory {
    let factory = Factory::of(&["acme"]).await;
    let mut desk = factory.desk("acme");
    factory.publish("acme", &desk.release("1.0.0", 100)).await.unwrap();
    factory
}

#[tokio::test]
async fn a_station_enrols_once_and_a_second_use_of_its_code_is_refused_by_name() {
    let factory = ready().await;
    let code = factory.code("acme", "st-1").await;
    let station = Station::enrol(StationKeys::draw(), &code).await.unwrap();
    assert_eq!(station.enrolled.tenant.as_str(), "acme");
    assert_eq!(station.name().as_str(), "st-1");
    assert_eq!(station.client().get("/v1/documents").await.0, 200);

    let second = Station::enrol(StationKeys::draw(), &code).await;
    assert!(matches!(second, Err(EnrolError::CodeUsed)), "{:?}", second.err());
    let stations = factory.admin("acme").stations().await.unwrap();
    assert_eq!(stations.len(), 1);
    assert_eq!(stations[0].journal_key.0, station.keys.journal_public());
    assert_eq!(station.client().get("/v1/documents").await.0, 200, "the first goes on");
}

#[tokio::test]
async fn of_many_stations_with_one_code_at_one_moment_exactly_one_enrols() {
    let factory = ready().await;
    let code = factory.code("acme", "st-1").await;
    let attempts = (0..8).map(|_| {
        let code = code.clone();
        tokio::spawn(async move { Station::enrol(StationKeys::draw(), &code).await.map(|_| ()) })
    });
    let mut enrolled = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(()) => enrolled += 1,
            Err(error) => assert!(matches!(error, EnrolError::CodeUsed), "{error:?}"),
        }
    }
    assert_eq!(enrolled, 1);
}

#[tokio::test]
async fn a_hub_of_another_ca_is_told_nothing_and_the_code_stays_good() {
    let factory = ready().await;
    let stranger = ready().await;
    let code = factory.code("acme", "st-1").await;

    let mut misled = code.clone();
    misled.hub = stranger.station_address();
    let answer = Station::enrol(StationKeys::draw(), &misled).await;
    assert!(matches!(answer, Err(EnrolError::HubCertificate { .. })), "{:?}", answer.err());

    let mut mispinned = code.clone();
    mispinned.hub_ca_sha256 = stranger.code("acme", "st-9").await.hub_ca_sha256;
    let answer = Station::enrol(StationKeys::draw(), &mispinned).await;
    assert!(matches!(answer, Err(EnrolError::HubCertificate { .. })), "{:?}", answer.err());

    assert!(factory.admin("acme").stations().await.unwrap().is_empty());
    Station::enrol(StationKeys::draw(), &code).await.unwrap();
}

#[tokio::test]
async fn a_code_that_is_old_or_invented_or_for_another_station_is_refused_by_name() {
    let factory = ready().await;
    let code = factory.code("acme", "st-1").await;

    let mut invented = code.clone();
    invented.secret.0[3] ^= 1;
    let answer = Station::enrol(StationKeys::draw(), &invented).await;
    assert!(matches!(answer, Err(EnrolError::CodeUnknown)), "{:?}", answer.err());

    let keys = StationKeys::draw();
    let mut request = keys.request(&code);
    request.station_name = Some("st-2".parse().unwrap());
    let answer: Result<protocol::Enrolled, _> =
        sync::enrol(&code.hub, code.hub_ca_sha256.0, &request).await;
    let Err(EnrolError::Refused { kind, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(kind, "enrolment-code-other-station");

    factory.pass_ms(24 * 60 * 60 * 1000);
    let answer = Station::enrol(StationKeys::draw(), &code).await;
    assert!(matches!(answer, Err(EnrolError::CodeExpired)), "{:?}", answer.err());
    assert!(factory.admin("acme").stations().await.unwrap().is_empty());
}

#[tokio::test]
async fn unusable_keys_are_refused_and_leave_the_code_good() {
    let factory = ready().await;
    let code = factory.code("acme", "st-1").await;
    let good = StationKeys::draw();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let other_kind =
        rcgen::CertificateParams::default().serialize_request(&ed25519).unwrap().pem().unwrap();
    let mut forged = good.request(&code).tls_csr_pem;
    forged.replace_range(60..61, if &forged[60..61] == "A" { "B" } else { "A" });
    type Spoil = Box<dyn Fn(&mut protocol::EnrolRequest)>;
    let zoo: Vec<(&str, Spoil)> = vec![
        ("no request at all", Box::new(|r| r.tls_csr_pem = String::new())),
        ("another kind of key", Box::new(move |r| r.tls_csr_pem = other_kind.clone())),
        ("changed after signing", Box::new(move |r| r.tls_csr_pem = forged.clone())),
        ("empty HPKE key", Box::new(|r| r.hpke_key.0 = [0; 32])),
        ("erased journal key", Box::new(|r| r.journal_key.0 = [0xFF; 32])),
    ];
    for (what, spoil) in zoo {
        let mut request = good.request(&code);
        spoil(&mut request);
        let answer: Result<protocol::Enrolled, _> =
            sync::enrol(&code.hub, code.hub_ca_sha256.0, &request).await;
        let Err(EnrolError::Refused { kind, .. }) = answer else { panic!("{what}: {answer:?}") };
        assert_eq!(kind, "enrolment-key-refused", "{what}");
    }
    Station::enrol(good, &code).await.unwrap();
}

#[tokio::test]
async fn no_code_is_made_before_there_is_a_root_to_pin_or_for_a_station_that_exists() {
    let factory = Factory::of(&["acme"]).await;
    let create = CodeCreate {
        station: "st-1".parse().unwrap(),
        line: "line-1".parse().unwrap(),
        hub: None,
        expires_in_s: None,
    };
    let refused = |answer: Result<_, AdminError>, kind: ProblemType| match answer {
        Err(AdminError::Refused(problem)) => assert_eq!(problem.kind, kind),
        other => panic!("{other:?}"),
    };
    refused(factory.admin("acme").create_code(&create).await, ProblemType::NothingPublished);
    let mut desk = factory.desk("acme");
    factory.publish("acme", &desk.release("1.0.0", 100)).await.unwrap();
    factory.enrolled("acme", "st-1").await;
    refused(factory.admin("acme").create_code(&create).await, ProblemType::AlreadyExists);
}

#[tokio::test]
async fn the_enrolment_statement_names_the_stations_keys_over_the_hubs_signature() {
    let factory = ready().await;
    let station = factory.enrolled("acme", "st-1").await;
    let SignedStatement { payload, signature } = &station.enrolled.statement;
    let verifies = |kind: &str| {
        UnparsedPublicKey::new(&ED25519, station.enrolled.hub_cosign_key.0)
            .verify(&SignedStatement::signed_bytes(kind, payload), &hex::decode(signature).unwrap())
            .is_ok()
    };
    assert!(verifies(EnrolmentStatement::KIND));
    assert!(!verifies(protocol::TimeStatement::KIND), "never as a statement of another kind");
    let statement: EnrolmentStatement = serde_json::from_str(payload).unwrap();
    assert_eq!(statement.journal_key.0, station.keys.journal_public());
    assert_eq!(statement.hpke_key.0, *station.keys.hpke.public().as_bytes());
    use rcgen::PublicKeyData as _;
    assert_eq!(statement.tls_key_sha256, sha256(&station.keys.tls.subject_public_key_info()));
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_unreachable_and_nothing_worse() {
    let mut factory = ready().await;
    let code = factory.code("acme", "st-1").await;
    factory.stop().await;
    let answer = Station::enrol(StationKeys::draw(), &code).await;
    assert!(matches!(answer, Err(EnrolError::Unreachable { .. })), "{:?}", answer.err());
}

#[tokio::test]
async fn a_station_renews_its_certificate_in_time_or_late_and_its_older_ones_go() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let (factory, _, _, mut station) = Factory::running("acme").await;
    let first = station.enrolled.certificate_pem.clone();
    // Whether documents are given out, or why not, and whether the journal is taken.
    let rights = async |station: &Station| {
        let client = station.client();
        let documents = client.get("/v1/documents").await;
        let refused = (documents.0 != 200).then(|| kind(&documents));
        (refused, client.get("/v1/journal/1").await.0)
    };
    let renew = async |station: &Station| -> protocol::RenewedCertificate {
        let request = CertificateRenewal { tls_csr_pem: station.keys.request_pem() };
        let body = serde_json::to_vec(&request).unwrap();
        json(&station.client().post("/v1/renewal", body).await)
    };
    assert_eq!(rights(&station).await, (None, 200));
    let second = renew(&station).await;
    assert_eq!(rights(&station).await, (None, 200), "the one it asked with is good to its end");

    station.enrolled.certificate_pem = second.certificate_pem.clone();
    factory.pass_ms(second.not_after_ms - second.from_ms + DAY_MS);
    assert_eq!(rights(&station).await, (Some("certificate-expired"), 200), "records may go up");
    let third = renew(&station).await;
    assert!(third.from_ms >= second.not_after_ms, "a new life begins now");
    station.enrolled.certificate_pem = third.certificate_pem;
    assert_eq!(rights(&station).await, (None, 200));

    station.enrolled.certificate_pem = first;
    assert_eq!(rights(&station).await, (Some("certificate-refused"), 403), "the first is gone");
    station.enrolled.certificate_pem = second.certificate_pem;
    factory.admin("acme").revoke("st-1").await.unwrap();
    let request = CertificateRenewal { tls_csr_pem: station.keys.request_pem() };
    let body = serde_json::to_vec(&request).unwrap();
    let refused = station.client().post("/v1/renewal", body).await;
    assert_eq!(kind(&refused), "certificate-refused", "a revoked station renews nothing");
}

#[tokio::test]
async fn a_renewal_certifies_a_key_that_signed_its_request_and_no_other() {
    let (_factory, _, _, station) = Factory::running("acme").await;
    let check = async |tls_csr_pem: String, refused: &str| {
        let body = serde_json::to_vec(&CertificateRenewal { tls_csr_pem }).unwrap();
        let answer = station.client().post("/v1/renewal", body).await;
        assert_eq!(kind(&answer), refused);
    };
    check(String::new(), "enrolment-key-refused").await;
    check(station.keys.request_pem().replacen('A', "B", 3), "enrolment-key-refused").await;
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&other).unwrap();
    check(request.pem().unwrap(), "enrolment-key-refused").await;
}
