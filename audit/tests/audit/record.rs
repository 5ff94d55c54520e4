//! Records: one text for each, and only that text is taken.

use crate::world::*;
use audit::{BlockState, Digest, Envelope, Event, RECORD_BYTES_MAX, Record, RecordError, Step};

fn failed() -> Record {
    Record {
        epoch: EPOCH,
        seq: 9,
        at_ms: NOON_MS,
        event: Event::Failed {
            slot: 2,
            visit: "v-4".into(),
            uid: None,
            weak: None,
            trouble: "F-13".into(),
            step: Step::Verify,
            incident: "K7".into(),
            chip: None,
        },
    }
}

#[test]
fn a_record_is_written_in_canonical_order_without_absent_members() {
    let text = String::from_utf8(failed().encode().unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"at_ms":1795176000000,"epoch":3,"event":"failed","incident":"K7","seq":9,"slot":2,"step":"verify","trouble":"F-13","v":1,"visit":"v-4"}"#
    );
    assert_eq!(Record::decode(text.as_bytes()).unwrap(), failed());
}

#[test]
fn every_kind_of_event_survives_its_text() {
    let (slot, visit, uid) = (1, String::from("v-1"), vec![0xAB, 0xCD]);
    let (code, digest) = (String::from("0000-0000-0000-0000-0"), Digest([7; 32]));
    let (order, product) = (String::from("4711"), String::from("demo-lamp"));
    let family = String::from("nrf52");
    let v = || visit.clone();
    let events = [
        Event::StationStarted { build: "0.1.0".into() },
        Event::StationStopped {},
        Event::Quarantined {
            why: "behind".into(),
            seen_by: "station".into(),
            seen_epoch: 1,
            seen_size: 40,
            incident: "K7".into(),
        },
        Event::Binned { slot, visit: v(), bin: "RED".into(), operator: Some(17) },
        Event::RecordsLetGo { of_epoch: 1, from: 0, to: 900, days: 90 },
        Event::EpochOpened { previous_epoch: 2, previous_size: 10, previous_root: digest },
        Event::Enrolled { tenant: "acme".into(), station: "line-1".into(), root_sha256: digest },
        Event::HubChanged { who: "admin".into(), what: "station line-1 revoked".into() },
        Event::OperatorIn { operator: 17, role: "lead".into(), proof: None },
        Event::OperatorIn { operator: 17, role: "worker".into(), proof: Some("badge".into()) },
        Event::OperatorOut { operator: 17, why: None },
        Event::OperatorOut { operator: 17, why: Some("idle".into()) },
        Event::BadgeRefused { operator: None, why: "unknown".into() },
        Event::BadgeRefused { operator: Some(17), why: "ended".into() },
        Event::PinAttempt { operator: 17, attempt: 3 },
        Event::OperatorLocked { operator: 17, attempts: 10 },
        Event::RightsEnded { operator: 17, why: "hub_away".into() },
        Event::RosterTaken { version: 3, roster_sha256: digest, operators: 40 },
        Event::OrderOpened {
            order: order.clone(),
            product: product.clone(),
            release: digest,
            quantity: 500,
            operator: Some(17),
        },
        Event::OrderClosed { order: order.clone(), passed: 499, operator: None },
        Event::Reserved {
            slot,
            visit: v(),
            order: order.clone(),
            product: product.clone(),
            family: family.clone(),
            uid: uid.clone().into(),
            code: code.clone(),
            allotment: vec![9; 16].into(),
            index: 3,
            block_sha256: Some(digest),
            mode: None,
            credential: None,
        },
        Event::Reserved {
            slot,
            visit: v(),
            order: order.clone(),
            product: product.clone(),
            family: family.clone(),
            uid: uid.clone().into(),
            code: "DEV-0001".into(),
            allotment: vec![9; 16].into(),
            index: 3,
            block_sha256: None,
            mode: Some("pool".into()),
            credential: Some(digest),
        },
        Event::Activated {
            slot,
            visit: v(),
            uid: uid.clone().into(),
            code: "DEV-0001".into(),
            block_sha256: digest,
            receipt: Some(vec![1; 364].into()),
        },
        Event::Scrapped {
            product: product.clone(),
            family: family.clone(),
            uid: uid.clone().into(),
            operator: 17,
        },
        Event::ChipReplaced {
            product: product.clone(),
            serial: "SN-1".into(),
            old_family: family.clone(),
            old_uid: uid.clone().into(),
            new_family: family.clone(),
            new_uid: vec![8, 7].into(),
            operator: 17,
        },
        Event::PortionReturned {
            order: order.clone(),
            passed: 3,
            allotment: Some(vec![9; 16].into()),
            unused_from: 4,
            unused_to: 10,
        },
        Event::SeenBefore {
            slot,
            visit: v(),
            uid: uid.clone().into(),
            code: code.clone(),
            passed_before: true,
        },
        Event::Programming {
            slot,
            visit: v(),
            release: digest,
            channel: "production".into(),
            bytes: 250_000,
            unproven: Some("approved".into()),
            chip: Some("radio".into()),
        },
        Event::Verified { slot, visit: v(), release: digest, digest, chip: None },
        Event::SelfTested { slot, visit: v(), line: "日本 \"ok\" \u{1}".into(), chip: None },
        Event::Locked { slot, visit: v(), chip: Some("radio".into()) },
        Event::UnprovenApproved { chip: "STM32F405RGTx".into(), way: "dfu".into(), operator: 17 },
        Event::UnlockApproved { slot, operator: 17 },
        Event::UnlockLapsed { slot, visit: v() },
        Event::Unlocking { slot, visit: v(), operator: Some(17), chip: None },
        Event::Unlocking { slot, visit: v(), operator: None, chip: Some("main".to_owned()) },
        Event::Identified {
            slot,
            visit: v(),
            family: family.clone(),
            part: String::new(),
            uid: None,
            weak: Some("208437A5".into()),
            found: BlockState::Unread,
            chip: Some("main".into()),
        },
        Event::Failed {
            slot,
            visit: v(),
            uid: Some(uid.clone().into()),
            weak: None,
            trouble: "F-12".into(),
            step: Step::SelfTest,
            incident: "A1".into(),
            chip: Some("radio".into()),
        },
        Event::Passed {
            slot,
            visit: v(),
            order,
            product: product.clone(),
            family,
            uid: Some(uid.into()),
            weak: None,
            code,
            release: digest,
            took_ms: 12_345,
        },
        Event::SocketDiffers {
            slot,
            port: "1366:0101@1-4.1".into(),
            found: "0483:374b".into(),
            trouble: "F-48".into(),
        },
        Event::SlotOpened { slot, operator: None },
        Event::SlotOpened { slot, operator: Some(5) },
        Event::LeaseTaken { version: 4, not_after_ms: NOON_MS, lease_sha256: digest },
        Event::ReleaseShelved { manifest_sha256: digest, product, version: "1.2.0".into() },
        Event::ClockMoved { from_ms: -1, to_ms: NOON_MS },
        Event::StickWritten { number: 1_764_000_000_000, operator: Some(5) },
        Event::StickRead { number: 1, operator: None },
    ];
    for (seq, event) in (0..).zip(events) {
        let record = Record { epoch: EPOCH, seq, at_ms: -5, event };
        let text = record.encode().unwrap();
        assert_eq!(Record::decode(&text).unwrap(), record);
        let envelope = Envelope::read(&text).unwrap();
        assert_eq!((envelope.epoch, envelope.seq, envelope.at_ms), (EPOCH, seq, -5));
    }
}

#[test]
fn every_other_way_to_write_a_record_is_refused() {
    let good = String::from_utf8(failed().encode().unwrap()).unwrap();
    let check = |from: &str, to: &str| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is not there");
        let refused = Record::decode(bad.as_bytes());
        assert!(refused.is_err(), "{bad} was taken as {refused:?}");
    };
    check("{", "{ ");
    check("}", "}\n");
    check("}", "} ");
    check("\"v\":1,", "\"v\":1,\"v\":1,");
    check("\"epoch\":3,", "\"epoch\":3.0,");
    check("\"epoch\":3,", "\"epoch\":03,");
    check("\"epoch\":3,", "\"epoch\":3e0,");
    check("\"epoch\":3,", "\"epoch\":-3,");
    check("\"epoch\":3,", "\"epoch\":4294967296,");
    check("\"epoch\":3,", "\"epoch\":\"3\",");
    check("\"epoch\":3,", "\"epoch\":null,");
    check("\"epoch\":3,", "");
    check("\"seq\":9", "\"seq\":9007199254740992");
    check("\"at_ms\":1795176000000,", "");
    check("\"v\":1", "\"v\":2");
    check("\"v\":1", "\"v\":0");
    check("verify", "\\u0076erify");
    check("verify", "wander");
    check("\"event\":\"failed\"", "\"event\":\"exploded\"");
    check("\"event\":\"failed\"", "\"event\":7");
    check("\"incident\":\"K7\",", "");
    check("\"incident\":\"K7\",", "\"incident\":\"K7\",\"jest\":1,");
    check("\"incident\":\"K7\",", "\"incident\":7,");
    check("\"slot\":2,", "\"slot\":-2,");
    check("\"visit\":\"v-4\"", "\"uid\":\"ABCD\",\"visit\":\"v-4\"");
    check(&good, "");
    check(&good, "[]");
    check(&good, "\"failed\"");
    check(&good, "\u{feff}{}");
    for cut in 0..good.len() {
        assert!(Record::decode(&good.as_bytes()[..cut]).is_err());
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let good = String::from_utf8(failed().encode().unwrap()).unwrap();
    let refusal = |from: &str, to: &str| Record::decode(good.replace(from, to).as_bytes());
    assert!(matches!(refusal("\"v\":1", "\"v\":2"), Err(RecordError::UnknownVersion { found: 2 })));
    assert!(matches!(refusal("\"epoch\":3,", ""), Err(RecordError::Member { member: "epoch" })));
    let unknown = refusal("\"event\":\"failed\"", "\"event\":\"exploded\"");
    assert!(matches!(unknown, Err(RecordError::Event { event, .. }) if event == "exploded"));
    assert!(matches!(refusal(":", " :"), Err(RecordError::NotCanonical)));
}

#[test]
fn an_event_of_a_newer_station_is_still_a_provable_record() {
    let text =
        br#"{"at_ms":1,"epoch":3,"event":"teleported","seq":9,"v":1,"where":["moon",{"x":-1}]}"#;
    let envelope = Envelope::read(text).unwrap();
    assert_eq!((envelope.event.as_str(), envelope.seq), ("teleported", 9));
    assert!(matches!(Record::decode(text), Err(RecordError::Event { .. })));
}

#[test]
fn overlong_records_and_integers_are_neither_written_nor_read() {
    let line = "x".repeat(RECORD_BYTES_MAX);
    let event = Event::SelfTested { slot: 1, visit: "v".into(), line, chip: None };
    let long = Record { epoch: 1, seq: 0, at_ms: 0, event };
    assert!(matches!(long.encode(), Err(RecordError::TooLong { .. })));
    let padded = vec![b' '; RECORD_BYTES_MAX + 1];
    assert!(matches!(Record::decode(&padded), Err(RecordError::TooLong { .. })));
    let event = Event::StationStopped {};
    let far = Record { epoch: 1, seq: 1 << 53, at_ms: 0, event };
    assert!(matches!(far.encode(), Err(RecordError::Canonical(_))));
    let nested = "[".repeat(10_000);
    assert!(matches!(Record::decode(nested.as_bytes()), Err(RecordError::NotJson(_))));
}
