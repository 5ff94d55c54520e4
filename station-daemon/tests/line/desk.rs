//! What the desk makes of chips that tell less than a unique id, without a board.

use std::collections::BTreeMap;

use audit::Event;
use flash::Identity;
use station_daemon::config::SlotConfig;
use station_daemon::desk::{Evidence, Found, HubDesk, Task};
use station_daemon::trouble::TroubleCode;
use station_daemon::visit::{ChipSet, CodeSource, Decision, Verdict, Work};
use sync::JournalSource;

use super::World;
use super::station::{Station, port};

fn slot() -> SlotConfig {
    let (ports, chips) = (vec![port("1d50:6018:127.0.0.1:1")], BTreeMap::new());
    SlotConfig { number: 1, ports, chips, uart: None, baud: 115_200 }
}

/// What a DFU device tells whose unique id cannot be read: a serial number that may repeat.
fn weak() -> Found {
    let identity = Identity {
        family: "nrf52".to_owned(),
        part: "nRF52832".to_owned(),
        uid: None,
        weak: Some("STM32FxSTM32".to_owned()),
        locked: false,
    };
    Found { identity, block: None }
}

fn decided(station: &Station) -> Decision {
    let decided = station.desk.ask(|desk| {
        desk.leave(1);
        desk.arrive(1);
        desk.decide(1, &[weak()])
    });
    decided.expect("the desk is open").expect("journalled")
}

#[test]
fn a_weak_identity_is_flashed_without_activation_marked_as_weak_and_never_seen_before() {
    let world = World::new(|plan| plan.activation = false);
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    let work = Work {
        code: CodeSource::NotActivated,
        block: None,
        self_test: ChipSet::FIRST,
        protect: ChipSet::NONE,
    };
    for passed in 1..=2 {
        assert_eq!(decided(&station), Decision::Flash(work), "visit {passed}");
        let evidence = [Evidence { verified: true, ..Evidence::default() }];
        let tasks: Result<Vec<Task>, TroubleCode> = station
            .desk
            .ask(move |desk| {
                let tasks = desk.reserve(1, CodeSource::NotActivated, &slot())?;
                desk.save_evidence(1, Verdict::Pass, &evidence)?;
                Ok(tasks)
            })
            .expect("the desk is open");
        assert!(tasks.expect("tasks")[0].block.is_none());
        station.wait("the unit counted", |view| {
            view.order.as_ref().is_some_and(|order| order.passed == passed && order.in_work == 0)
        });
    }
    let mut named = 0;
    for record in station.records() {
        let (uid, weak) = match &record.event {
            Event::Identified { uid, weak, .. } | Event::Passed { uid, weak, .. } => (uid, weak),
            _ => continue,
        };
        assert_eq!((uid, weak.as_deref()), (&None, Some("STM32FxSTM32")), "{record:?}");
        named += 1;
    }
    assert_eq!(named, 4);
    station.stop();
}

#[test]
fn a_weak_identity_is_refused_where_the_release_activates() {
    let world = World::new(|_| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    assert_eq!(decided(&station), Decision::Refuse { code: TroubleCode::IdentityWeak, chip: None });
    let refused = station.desk.ask(|desk| desk.reserve(1, CodeSource::New, &slot()).map(|_| ()));
    assert_eq!(refused, Ok(Err(TroubleCode::IdentityWeak)));
    station.stop();
}

#[test]
fn acknowledged_records_are_let_go_after_their_time_and_the_journal_still_holds_together() {
    let world = World::new(|_| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    let source = HubDesk(station.desk.clone());
    let head = source.head().expect("head");
    let all = source.range(head.epoch, 0, 1000, 1_000_000).expect("range");
    let note = world.office.cosign(&all.checkpoint);
    source.acknowledged(head.epoch, head.size, &note).expect("acknowledged");
    let acknowledged = usize::try_from(head.size).expect("few");
    station.wait("everything acknowledged", |view| view.hub.unsynced == 0);
    assert!(acknowledged >= 3, "enrolled, started, a lease: {acknowledged}");

    station.desk.tell(|desk| desk.keep_records_for(Some(0)));
    station.wait("records let go", |view| view.hub.unsynced > 0);
    let refused = source.range(head.epoch, 0, 1000, 1_000_000).expect_err("they are gone");
    assert!(refused.to_string().contains("record 0 of epoch 1 was let go"), "{refused}");
    let rest = source.range(head.epoch, head.size, 1000, 1_000_000).expect("the rest is here");
    let record = audit::Record::decode(rest.records[0].as_bytes()).expect("a record");
    let gone = Event::RecordsLetGo { of_epoch: 1, from: 0, to: head.size, days: 0 };
    assert_eq!(record.event, gone);
    assert_eq!(source.branch_from(1).expect("asked"), None);
    station.stop();

    // The next start compares what is left with the signed head, and goes on.
    let station = Station::start(world.path(), &[]);
    let view = station.wait("the view", |view| view.seq > 0);
    assert_eq!(view.trouble, None);
    let source = HubDesk(station.desk.clone());
    assert!(source.head().expect("head").size > head.size);
    station.stop();
}
