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
