//! A station with valid keys and somebody else's software: what its records claim is kept, shown to
//! people, and believed no further.

use audit::{Event, HexBytes};

use crate::custody::{TENANT, Works, arrive, reserved};
use crate::desk::PRODUCT;

fn claims(number: u8, allotment: [u8; 16], index: u32) -> Event {
    let code = activation::code_for(PRODUCT, "nrf52", &[number; 8]).to_string();
    let mut event = reserved(number, &code, allotment, index);
    if let Event::Reserved { mode, .. } = &mut event {
        *mode = None;
    }
    event
}

#[tokio::test]
async fn a_forged_allotment_an_index_beyond_the_quota_and_one_given_twice_are_each_shown() {
    let mut works = Works::begin("ed25519").await;
    let admin = works.factory.admin(TENANT);
    works.order("4711", 100).await;
    let certificate = works.certify(&works.one, 3);
    works.grant(&works.one, "4711", 3, &certificate).await.unwrap();
    let lent = certificate.allotment();
    arrive(&mut works.one, vec![claims(1, lent, 0), claims(2, lent, 2)]).await;
    assert!(admin.conflicts().await.unwrap().is_empty(), "what was lent may be spent");

    let forged = [0xF0; 16];
    let records = vec![
        claims(3, forged, 0),
        claims(4, forged, 1),
        claims(5, lent, 3),
        claims(6, lent, 0),
        claims(3, forged, 0),
    ];
    arrive(&mut works.one, records).await;
    let conflicts = admin.conflicts().await.unwrap();
    let seen: Vec<_> =
        conflicts.iter().map(|it| (it.kind.as_str(), it.uid[..2].to_owned())).collect();
    let wanted =
        [("index-on-two-chips", "06"), ("allotment-not-lent", "03"), ("index-beyond-quota", "05")];
    assert_eq!(seen, wanted.map(|(kind, uid)| (kind, uid.to_owned())), "{conflicts:#?}");
    assert!(conflicts[2].detail.contains("index 3 of allotment"), "{conflicts:#?}");
    assert!(conflicts[2].detail.ends_with("its quota is 3"), "{conflicts:#?}");
    assert_eq!(conflicts[1].station.as_ref(), Some(works.one.name()));

    // A block of the first station that the second finds on a chip is of a known allotment.
    let adopted = Event::Adopted {
        slot: 1,
        visit: "w1".into(),
        order: "4711".into(),
        product: PRODUCT.into(),
        family: "nrf52".into(),
        uid: HexBytes(vec![1; 8]),
        code: activation::code_for(PRODUCT, "nrf52", &[1; 8]).to_string(),
        allotment: HexBytes(lent.to_vec()),
        index: 0,
        block_sha256: audit::Digest([7; 32]),
        mode: None,
    };
    arrive(&mut works.two, vec![adopted]).await;
    assert_eq!(admin.conflicts().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_record_about_what_there_cannot_be_is_shown_and_stops_nothing() {
    let mut works = Works::begin("ed25519").await;
    let admin = works.factory.admin(TENANT);
    let change =
        |number: u8, change: &dyn Fn(&mut String, &mut String, &mut HexBytes, &mut HexBytes)| {
            let mut event = claims(number, [9; 16], u32::from(number));
            if let Event::Reserved { product, family, uid, allotment, .. } = &mut event {
                change(product, family, uid, allotment);
            }
            event
        };
    let records = vec![
        change(1, &|_, _, uid, _| uid.0.clear()),
        change(2, &|_, _, uid, _| uid.0 = vec![2; 40]),
        change(3, &|_, family, _, _| *family = String::new()),
        change(4, &|_, _, _, allotment| allotment.0.truncate(3)),
        change(5, &|product, _, _, _| *product = "../Lamp \u{7}".into()),
        Event::Scrapped {
            product: PRODUCT.into(),
            family: "nrf52".into(),
            uid: HexBytes(vec![]),
            operator: 1,
        },
    ];
    let count = records.len();
    arrive(&mut works.one, records).await;
    let conflicts = admin.conflicts().await.unwrap();
    assert_eq!(conflicts.len(), count, "{conflicts:#?}");
    for (seq, (conflict, says)) in conflicts
        .iter()
        .zip(["0 bytes of UID", "40 bytes", "family \"\"", "name of 3 bytes", "product", "0 bytes"])
        .enumerate()
    {
        assert_eq!(conflict.kind, "impossible-record");
        let begins = format!("record {seq} names ");
        assert!(
            conflict.detail.starts_with(&begins) && conflict.detail.contains(says),
            "{conflict:#?}"
        );
    }
    // Everything else is read as before.
    arrive(&mut works.one, vec![claims(7, [9; 16], 7)]).await;
    let units = admin.units().await.unwrap();
    assert!(units.iter().any(|unit| unit.uid == "07".repeat(8)), "{units:?}");
    assert!(
        units.iter().all(|unit| unit.product.as_ref().is_some_and(|name| name.as_str() == PRODUCT))
    );
}
