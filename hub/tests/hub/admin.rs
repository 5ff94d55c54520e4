//! Orders, portions and pages: what people may do and how far.

use hub::admin_client::{AdminError, OrderCreate};
use protocol::{JournalAck, OrderNumber, PortionGrant, ProblemType, UnitPage};

use crate::desk::PRODUCT;
use crate::factory::*;
use crate::journals::passed;

fn refused<T: std::fmt::Debug>(answer: Result<T, AdminError>, kind: ProblemType, what: &str) {
    match answer {
        Err(AdminError::Refused(problem)) => assert_eq!(problem.kind, kind, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn portions_never_exceed_their_order_and_indices_are_never_given_twice() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    let second = factory.enrolled("acme", "st-2").await;
    let admin = factory.admin("acme");
    for number in ["4711", "4712", "4713"] {
        let order = OrderCreate {
            number: number.parse().unwrap(),
            product: PRODUCT.parse().unwrap(),
            manifest_sha256: published.manifest_sha256,
            quantity: 10,
        };
        admin.create_order(&order).await.unwrap();
        refused(admin.create_order(&order).await, ProblemType::AlreadyExists, "same number");
    }
    let certificate = desk.certify(20, station.keys.journal_public());
    let certificate = hex::encode(certificate.as_bytes());
    let grant = |order: &str, quantity: u32| PortionGrant {
        station: station.enrolled.station.clone(),
        order: order.parse::<OrderNumber>().unwrap(),
        quantity,
        allotment_certificate: Some(certificate.clone()),
        index_from: None,
        index_to: None,
        channel: None,
    };
    refused(admin.grant(&grant("4711", 11)).await, ProblemType::OrderExhausted, "too many");
    refused(admin.grant(&grant("4711", 0)).await, ProblemType::RequestMalformed, "none");
    refused(admin.grant(&grant("9999", 1)).await, ProblemType::NotFound, "no such order");
    let beyond = PortionGrant { index_to: Some(21), ..grant("4711", 1) };
    refused(admin.grant(&beyond).await, ProblemType::AllotmentRefused, "beyond the quota");
    let channel = PortionGrant { channel: Some("rework".into()), ..grant("4711", 1) };
    refused(admin.grant(&channel).await, ProblemType::RequestMalformed, "not made for it");
    let others = PortionGrant { station: second.enrolled.station.clone(), ..grant("4711", 1) };
    refused(admin.grant(&others).await, ProblemType::AllotmentRefused, "another station's");
    let broken = PortionGrant { allotment_certificate: Some("00".into()), ..grant("4711", 1) };
    refused(admin.grant(&broken).await, ProblemType::AllotmentRefused, "no certificate");

    admin.grant(&PortionGrant { index_to: Some(12), ..grant("4711", 10) }).await.unwrap();
    refused(admin.grant(&grant("4711", 1)).await, ProblemType::AlreadyExists, "second portion");
    let again = PortionGrant { index_from: Some(11), ..grant("4712", 2) };
    refused(admin.grant(&again).await, ProblemType::AllotmentRefused, "index 11 again");
    admin.grant(&grant("4712", 2)).await.unwrap();
    refused(admin.grant(&grant("4713", 2)).await, ProblemType::AllotmentRefused, "none left");
    let none_left = PortionGrant {
        station: second.enrolled.station.clone(),
        allotment_certificate: None,
        ..grant("4711", 1)
    };
    refused(admin.grant(&none_left).await, ProblemType::OrderExhausted, "all granted");

    let orders = admin.orders().await.unwrap();
    let granted: Vec<u32> = orders.iter().map(|order| order.granted).collect();
    assert_eq!(granted, [10, 2, 0]);
    let lease = station.client().get("/v1/documents/lease").await;
    let terms = release::lease::show_lease(&lease.1).unwrap();
    let indices: Vec<_> = terms.portions.iter().map(|p| (p.index_from, p.index_to)).collect();
    assert_eq!(indices, [(0, 12), (12, 20)]);
    assert_eq!(terms.releases.len(), 1, "one key for both portions");
    admin.revoke("st-2").await.unwrap();
    let revoked = PortionGrant { station: second.enrolled.station, ..grant("4713", 1) };
    refused(admin.grant(&revoked).await, ProblemType::GrantsStopped, "revoked");
}

#[tokio::test]
async fn units_and_records_come_page_by_page_each_once() {
    let (factory, _, _, mut station) = Factory::running("acme").await;
    for number in 0..25 {
        station.record(passed(number));
    }
    json::<JournalAck>(&station.client().push(&station.push(0, 25)).await);
    let admin = factory.admin("acme");
    let mut uids = Vec::new();
    let mut path = "/v1/units?limit=10".to_owned();
    let mut pages = 0;
    loop {
        let page: UnitPage = admin.get(&path).await.unwrap();
        pages += 1;
        uids.extend(page.units.into_iter().map(|unit| unit.uid));
        match page.next_cursor {
            Some(cursor) => path = format!("/v1/units?limit=10&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    uids.dedup();
    assert_eq!(uids.len(), 25);
    assert_eq!(admin.journal("st-1", None).await.unwrap().records, station.records);
    refused(
        admin.get::<UnitPage>("/v1/units?cursor=x").await,
        ProblemType::RequestMalformed,
        "an invented cursor",
    );
}

#[tokio::test]
async fn every_change_stands_in_the_hubs_own_log_and_its_head_proves_all_of_them() {
    let (factory, desk, published, station) = Factory::running("acme").await;
    factory.grant(&desk, &published, &station, "4711", 3).await;
    let admin = factory.admin("acme");
    admin.revoke("st-1").await.unwrap();
    let log = admin.log().await.unwrap();
    assert_eq!(log.size as usize, log.records.len());
    let said: Vec<String> = log
        .records
        .iter()
        .map(|record| {
            let event = audit::Record::decode(record.as_bytes()).unwrap().event;
            let audit::Event::HubChanged { who, what } = event else { panic!("{event:?}") };
            format!("{who}: {what}")
        })
        .collect();
    for wanted in ["tenant made", "station st-1 enrolled", "4711", "station st-1 revoked"] {
        assert!(said.iter().any(|line| line.contains(wanted)), "{wanted} is not in {said:#?}");
    }

    // Anybody can check it with nothing but the hub's key, and nothing in it can be changed.
    let signed: audit::SignedCheckpoint = log.checkpoint.unwrap().parse().unwrap();
    let mut export = Vec::new();
    audit::write_export(&mut export, &signed, log.records.iter().map(String::as_bytes)).unwrap();
    let keys =
        || audit::ExportKeys { origin: None, station_key: log.hub_cosign_key.0, cosigner: None };
    let report = audit::verify_export(export.as_slice(), &keys()).unwrap();
    assert!(report.complete);
    assert_eq!(report.checkpoint.origin.to_string(), "flashline/acme/hub/1");
    let changed = String::from_utf8(export).unwrap().replace("revoked", "renewed");
    assert!(audit::verify_export(changed.as_bytes(), &keys()).is_err());

    let code = hub::admin_client::CodeCreate {
        station: "hub".parse().unwrap(),
        line: "line-1".parse().unwrap(),
        hub: None,
        expires_in_s: None,
    };
    let taken = admin.create_code(&code).await;
    refused(taken, ProblemType::RequestMalformed, "a station may not take the log's name");
}
