//! Badges at a station: who comes in, who does not, and what their acts are recorded as.

use std::collections::BTreeMap;

use audit::Event;
use release::{Operator, Role};
use station_daemon::api::view::{LeadAct, OperatorRole, SlotState, TroubleCode, Wish};
use station_daemon::desk::{NotApproved, Opened, PersonRefusal, os_ms};

use super::paper::Office;
use super::station::{Board, Station};
use super::{UIDS, World};

pub(crate) const LEAD_PIN: &str = "271828";
pub(crate) const IT_PIN: &str = "314159";

/// A line of a worker, a second one, a lead and one of IT, with their badges.
pub(crate) fn staffed(change: impl FnOnce(&mut super::Plan, &Office)) -> World {
    let mut world = World::new(|plan| plan.self_test = false);
    let office = &world.office;
    world.plan.roster_version = 3;
    world.plan.people = vec![
        office.person(7, Role::Worker, "B-0007", None),
        office.person(8, Role::Worker, "B-0008", Some("2718")),
        office.person(12, Role::Lead, "B-0012", Some(LEAD_PIN)),
        office.person(40, Role::It, "B-0040", Some(IT_PIN)),
    ];
    change(&mut world.plan, &world.office);
    world
}

pub(crate) fn scan(station: &Station, text: &str) -> (bool, String) {
    let text = text.to_owned();
    let answer = station.desk.ask(move |desk| desk.scan(&text)).expect("the desk is open");
    (answer.accepted, answer.word)
}

/// What the journal says about people, as short words.
pub(crate) fn said(station: &Station) -> Vec<String> {
    let records = station.records();
    let words = records.iter().filter_map(|record| match &record.event {
        Event::OperatorIn { operator, role, proof } => {
            Some(format!("in {operator} {role} {}", proof.as_deref().unwrap_or_default()))
        }
        Event::OperatorOut { operator, why } => {
            Some(format!("out {operator} {}", why.as_deref().unwrap_or_default()))
        }
        Event::BadgeRefused { operator, why } => Some(format!("refused {operator:?} {why}")),
        Event::PinAttempt { operator, attempt } => Some(format!("attempt {operator} {attempt}")),
        Event::OperatorLocked { operator, attempts } => {
            Some(format!("locked {operator} {attempts}"))
        }
        Event::RightsEnded { operator, why } => Some(format!("lowered {operator} {why}")),
        Event::RosterTaken { version, operators, .. } => {
            Some(format!("roster {version} {operators}"))
        }
        _ => None,
    });
    words.collect()
}

fn lead_in(station: &Station) {
    assert_eq!(scan(station, "OP:B-0012"), (true, "badged_in".to_owned()));
    assert_eq!(station.desk.enter_pin(LEAD_PIN).word, "pin_right");
}

#[test]
fn no_board_is_flashed_before_somebody_badges_in_and_the_one_that_waits_goes_on_by_itself() {
    let world = staffed(|_, _| {});
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    station.wait("people kept", |view| view.people.kept && view.people.operator.is_none());
    board.pull("insert");
    let waits = station.wait_slot(1, SlotState::Fail);
    assert_eq!(waits.trouble.map(|trouble| trouble.code), Some(TroubleCode::NobodyIn));
    assert!(station.visit_events().is_empty(), "it waits; that is no visit");
    assert!(board.cells(0, 64).iter().all(|byte| *byte == 0xFF));

    assert_eq!(scan(&station, "OP:B-0007"), (true, "badged_in".to_owned()));
    station.wait_slot(1, SlotState::Pass);
    let view = station.wait("the worker shown", |view| view.people.operator.is_some());
    let operator = view.people.operator.clone().expect("an operator");
    assert_eq!((operator.number, operator.rights), (7, OperatorRole::Worker));
    assert_eq!(said(&station), ["roster 3 4", "in 7 worker badge"]);

    let answer = station.desk.ask(|desk| desk.badge_out()).expect("the desk is open");
    assert_eq!((answer.accepted, answer.word.as_str()), (true, "signed_out"));
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    station.wait_slot(1, SlotState::Fail);
    station.stop();
}

#[test]
fn a_badge_lets_in_its_owner_of_this_line_who_may_work_now_and_nobody_else() {
    let now_ms = os_ms();
    let world = staffed(|plan, office| {
        let person = |number, badge| office.person(number, Role::Worker, badge, None);
        plan.people.push(Operator { ends_ms: Some(now_ms - 1), ..person(50, "B-0050") });
        plan.people.push(Operator { disabled: true, ..person(51, "B-0051") });
        plan.people.push(Operator { ends_ms: Some(now_ms + 86_400_000), ..person(52, "B-0052") });
    });
    let station = Station::start(world.path(), &[]);
    assert_eq!(scan(&station, "OP:B-0007"), (false, "not_used_here".to_owned()), "no people yet");
    station.deliver(&world.parcel());
    let check = |text: &str, accepted: bool, word: &str| {
        assert_eq!(scan(&station, text), (accepted, word.to_owned()), "{text:?}");
    };
    let long = format!("OP:{}", "x".repeat(253));
    let odd = format!("OP:{}", "\u{fffd}".repeat(84));
    for damaged in ["OP:", "OP:   ", "OP:\u{0}\u{1b}[2J", &long, &odd] {
        check(damaged, false, "damaged");
    }
    check("OP:B-000", false, "badge_unknown");
    check("OP:b-0007", false, "badge_unknown");
    // Another line's person: known to the hub, not to this station.
    check("OP:B-9999", false, "badge_unknown");
    check("OP:B-0050", false, "badge_ended");
    check("OP:B-0051", false, "badge_disabled");
    station.wait("nobody came in", |view| view.people.operator.is_none());
    check("OP:B-0052", true, "badged_in");
    check("OP: B-0052 ", true, "already_in");
    check("OP:B-0007", true, "badge_replaced");
    check("OP:B-0050", false, "badge_ended");
    let view = station.wait("the second", |view| view.people.operator.is_some());
    assert_eq!(view.people.operator.as_ref().map(|operator| operator.number), Some(7));
    let unknown = vec!["refused None unknown".to_owned(); 3];
    let rest = [
        "refused Some(50) ended",
        "refused Some(51) disabled",
        "in 52 worker badge",
        "out 52 replaced",
        "in 7 worker badge",
        "refused Some(50) ended",
    ];
    let wanted: Vec<String> = ["roster 3 7".to_owned()]
        .into_iter()
        .chain(unknown)
        .chain(rest.map(str::to_owned))
        .collect();
    assert_eq!(said(&station), wanted);
    station.stop();

    // A restart is no badge.
    let station = Station::start(world.path(), &[]);
    station.wait("nobody is in", |view| view.people.kept && view.people.operator.is_none());
    assert_eq!(said(&station).last().map(String::as_str), Some("out 7 restarted"));
    check_no_badge_in(&station, "B-0007");
    station.stop();
}

/// No record and no view holds a badge's text.
fn check_no_badge_in(station: &Station, badge: &str) {
    let texts: String = station
        .records()
        .iter()
        .map(|record| String::from_utf8(record.encode().expect("encodes")).expect("text"))
        .collect();
    assert!(!texts.contains(badge));
}

#[test]
fn what_takes_a_lead_takes_a_proven_one_and_is_recorded_under_their_number() {
    let world = staffed(|_, _| {});
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("lock");
    scan(&station, "OP:B-0007");
    board.pull("insert");
    let locked = station.wait_slot(1, SlotState::Fail);
    assert_eq!(locked.trouble.map(|trouble| trouble.code), Some(TroubleCode::ChipLocked));
    assert_eq!(locked.lead_act, Some(LeadAct::ApproveErase));

    let approve = || {
        let given = station.desk.ask(|desk| desk.approve(&Wish::Unlock { slot: 1 }));
        given.expect("the desk is open")
    };
    let close = || {
        let answer = station.desk.ask(|desk| desk.close_order()).expect("the desk is open");
        (answer.accepted, answer.word)
    };
    let refused = |refusal: PersonRefusal| {
        assert_eq!(approve(), Err(NotApproved::Person(refusal)));
        assert_eq!(close(), (false, refusal.word().to_owned()));
    };
    refused(PersonRefusal::LeadNeeded);
    scan(&station, "OP:B-0012");
    refused(PersonRefusal::LeadNeeded);
    scan(&station, "OP:B-0040");
    assert_eq!(station.desk.enter_pin(IT_PIN).word, "pin_right");
    refused(PersonRefusal::LeadNeeded);
    let may = |ask: fn(&mut station_daemon::desk::Desk) -> Result<(), PersonRefusal>| {
        station.desk.ask(ask).expect("the desk is open")
    };
    assert_eq!(may(|desk| desk.may_set_up()), Ok(()));
    station.desk.ask(|desk| desk.badge_out()).expect("the desk is open");
    refused(PersonRefusal::NobodyIn);
    assert_eq!(may(|desk| desk.may_set_up()), Err(PersonRefusal::NobodyIn));

    lead_in(&station);
    assert_eq!(may(|desk| desk.may_set_up()), Err(PersonRefusal::ItNeeded));
    assert_eq!(may(|desk| desk.may_look_over()), Ok(()));
    // The board that lies there is erased and flashed without being touched.
    assert_eq!(approve(), Ok(()));
    station.wait_slot(1, SlotState::Pass);
    let events: Vec<Event> = station.records().into_iter().map(|record| record.event).collect();
    let holds = |wanted: &Event| events.contains(wanted);
    assert!(holds(&Event::UnlockApproved { slot: 1, operator: 12 }), "{events:#?}");
    assert!(
        events.iter().any(|event| matches!(event, Event::Unlocking { operator: Some(12), .. }))
    );

    assert_eq!(close(), (true, "order_closed".to_owned()));
    station.wait("no order", |view| view.order.is_none());
    scan(&station, "OP:B-0007");
    assert_eq!(scan(&station, "WO:4711"), (false, "lead_needed".to_owned()));
    lead_in_again(&station);
    assert_eq!(scan(&station, "WO:4711"), (true, "order_selected".to_owned()));
    let events: Vec<Event> = station.records().into_iter().map(|record| record.event).collect();
    let orders: Vec<(&str, Option<u32>)> = events
        .iter()
        .filter_map(|event| match event {
            Event::OrderClosed { operator, passed: 1, .. } => Some(("closed", *operator)),
            Event::OrderOpened { operator, .. } => Some(("opened", *operator)),
            _ => None,
        })
        .collect();
    assert_eq!(orders, [("closed", Some(12)), ("opened", Some(12))]);
    station.stop();
}

fn lead_in_again(station: &Station) {
    assert_eq!(scan(station, "OP:B-0012"), (true, "badge_replaced".to_owned()));
    assert_eq!(station.desk.enter_pin(LEAD_PIN).word, "pin_right");
}

#[test]
fn a_closed_slot_opens_for_a_lead_alone() {
    let world = staffed(|_, _| {});
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    scan(&station, "OP:B-0007");
    board.pull("lock");
    for _ in 0..2 {
        board.pull("insert");
        station.wait_slot(1, SlotState::Fail);
        board.pull("remove");
        station.wait_slot(1, SlotState::Empty);
    }
    board.pull("insert");
    let closed = station.wait_slot(1, SlotState::Closed);
    assert_eq!(closed.lead_act, Some(LeadAct::OpenSlot));
    let refused = Opened::Refused(PersonRefusal::LeadNeeded);
    assert_eq!(station.desk.open_slot(1), refused);
    board.pull("remove");
    lead_in_again(&station);
    assert_eq!(station.desk.open_slot(1), Opened::Now);
    station.wait_slot(1, SlotState::Empty);
    let opened = audit::Event::SlotOpened { slot: 1, operator: Some(12) };
    assert!(station.records().iter().any(|record| record.event == opened));
    station.stop();
}

#[test]
fn a_roster_that_is_older_a_strangers_or_another_stations_changes_nothing() {
    let mut world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    let third = world.parcel();
    station.deliver(&third);
    let people = std::mem::take(&mut world.plan.people);
    // The next one: the lead is gone.
    let (lead, rest): (Vec<Operator>, Vec<Operator>) =
        people.into_iter().partition(|operator| operator.number == 12);
    world.plan.roster_version = 4;
    world.plan.lease_version = 2;
    world.plan.people = rest.clone();
    lead_in(&station);
    station.deliver(&world.parcel());
    station.wait("the lead is out", |view| view.people.operator.is_none());
    assert_eq!(scan(&station, "OP:B-0012"), (false, "badge_unknown".to_owned()));
    assert_eq!(said(&station)[4..], ["roster 4 3", "out 12 ended", "refused None unknown"]);

    let stranger = Office::stranger(os_ms());
    let mut their_plan = world.plan.clone();
    their_plan.roster_version = 9;
    their_plan.people = vec![stranger.person(12, Role::Lead, "B-0012", Some(LEAD_PIN))];
    let elsewhere = release::WrapKey::from_bytes(&[5; 32]).public();
    let mut our_plan = world.plan.clone();
    our_plan.roster_version = 9;
    our_plan.people = [rest, lead].concat();
    our_plan.people.sort_by_key(|operator| operator.number);
    let strangers = stranger.roster(&their_plan, &world.keys.hpke, os_ms());
    let others = world.office.roster(&our_plan, &elsewhere, os_ms());
    let rolled_back = third.documents.get("roster").expect("a roster").clone();
    for (what, roster) in [
        ("rolled back", rolled_back),
        ("signed by a stranger", strangers),
        ("another station's", others),
        ("cut", third.documents["roster"][..200].to_vec()),
    ] {
        let mut parcel = world.parcel();
        parcel.documents = BTreeMap::from([("roster".to_owned(), roster)]);
        station.deliver(&parcel);
        let view = station.wait(what, |view| view.trouble.is_some());
        let code = view.trouble.as_ref().map(|trouble| trouble.code);
        assert_eq!(code, Some(TroubleCode::RosterRefused), "{what}");
        assert_eq!(scan(&station, "OP:B-0012"), (false, "badge_unknown".to_owned()), "{what}");
        let (accepted, _) = scan(&station, "OP:B-0007");
        assert!(accepted, "{what}: the one in force stays");
        station.deliver(&world.parcel());
        station.wait("well again", |view| view.trouble.is_none());
    }
    station.stop();

    // After a restart too, the newest one counts.
    let station = Station::start(world.path(), &[]);
    assert_eq!(scan(&station, "OP:B-0007"), (true, "badged_in".to_owned()));
    assert_eq!(scan(&station, "OP:B-0012"), (false, "badge_unknown".to_owned()));
    station.stop();
}

#[test]
fn a_lease_that_names_a_roster_which_did_not_come_leaves_nobody_in() {
    let mut world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    lead_in(&station);
    world.plan.lease_version = 2;
    let mut parcel = world.parcel();
    let old = parcel.documents.remove("roster").expect("a roster");
    world.plan.roster_version = 4;
    let lease = world.parcel().documents.remove("lease").expect("a lease");
    parcel.documents.insert("lease".to_owned(), lease);
    parcel.documents.insert("roster".to_owned(), old);
    station.deliver(&parcel);
    let view = station.wait("nobody is in", |view| view.people.operator.is_none());
    assert_eq!(view.trouble.as_ref().map(|t| t.code), Some(TroubleCode::RosterRefused));
    for badge in ["OP:B-0007", "OP:B-0012"] {
        assert_eq!(scan(&station, badge), (false, "no_roster".to_owned()));
    }
    assert_eq!(station.desk.enter_pin(LEAD_PIN).word, "no_roster");
    station.deliver(&world.parcel());
    assert_eq!(scan(&station, "OP:B-0007"), (true, "badged_in".to_owned()));
    station.stop();
}
