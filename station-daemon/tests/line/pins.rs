//! PINs: guesses are counted before they are answered, and no restart gives one back.

use std::ffi::OsStr;
use std::time::Instant;

use audit::Event;
use release::{Pepper, Role};
use station_daemon::desk::{HubDesk, os_ms};
use station_daemon::people::throttle::Attempts;
use station_daemon::store::{Store, StoreError};
use sync::JournalSource;

use super::World;
use super::people::{IT_PIN, LEAD_PIN, said, scan, staffed};
use super::process::{Daemon, on_disk};
use super::station::{PATIENCE, Station};

const WRONG: &str = "161803";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn words(station: &Station, pin: &str) -> (String, Option<u32>) {
    let answer = station.desk.enter_pin(pin);
    assert_eq!(answer.accepted, answer.word == "pin_right");
    assert_eq!(answer.accepted, answer.code.is_none());
    (answer.word, answer.wait_s)
}

fn word(station: &Station, pin: &str) -> String {
    words(station, pin).0
}

fn setting(world: &World, name: &str, value: &[u8]) {
    let mut store = Store::open(&world.path().join("station.db")).expect("store");
    store.commit(|commit| commit.put_setting(name, value)).expect("kept");
}

#[test]
fn every_attempt_is_in_the_journal_before_its_answer_and_wrong_ones_make_wait() {
    let world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    assert_eq!(word(&station, LEAD_PIN), "badge_first", "no people yet");
    station.deliver(&world.parcel());
    assert_eq!(word(&station, LEAD_PIN), "badge_first");
    scan(&station, "OP:B-0007");
    assert_eq!(word(&station, "2718"), "no_pin");
    scan(&station, "OP:B-0012");
    for short in
        ["", "1", "27182", "2718a8", "2718281828459", "２７１８２８", "\u{0}\u{0}\u{0}\u{0}"]
    {
        assert_eq!(word(&station, short), "pin_too_short", "{short:?}");
    }
    assert_eq!(words(&station, WRONG), ("pin_wrong".to_owned(), None));
    assert_eq!(word(&station, LEAD_PIN), "pin_right");
    for attempt in 1..=3 {
        let wait_s = (attempt == 3).then_some(15);
        assert_eq!(words(&station, WRONG), ("pin_wrong".to_owned(), wait_s));
    }
    // The right one too has to wait, and is not even compared.
    let (waits, wait_s) = words(&station, LEAD_PIN);
    assert_eq!(waits, "pin_waits");
    assert!(wait_s.is_some_and(|wait_s| (1..=15).contains(&wait_s)), "{wait_s:?}");
    let wanted = [
        "roster 3 4",
        "in 7 worker badge",
        "out 7 replaced",
        "in 12 worker badge",
        "attempt 12 1",
        "attempt 12 2",
        "in 12 lead badge_and_pin",
        "attempt 12 1",
        "attempt 12 2",
        "attempt 12 3",
    ];
    assert_eq!(said(&station), wanted);
    // Rights that were proven before stay until they end; another operator waits for nobody.
    scan(&station, "OP:B-0040");
    assert_eq!(word(&station, IT_PIN), "pin_right");
    station.stop();
}

#[test]
fn a_wait_outlives_a_restart_and_a_clock_that_is_moved() {
    let world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    scan(&station, "OP:B-0012");
    for _ in 0..3 {
        assert_eq!(word(&station, WRONG), "pin_wrong");
    }
    station.stop();
    // The clock of the system seems to have run on for 23 hours, or for a hundred years, or back.
    for (ahead_ms, what) in
        [(23 * 60 * 60 * 1000, "23 h"), (36_500 * DAY_MS, "ages"), (-DAY_MS, "back")]
    {
        let now_ms = os_ms();
        let saved = format!("{{\"station_ms\":{now_ms},\"os_ms\":{}}}", now_ms - ahead_ms);
        setting(&world, "clock", saved.as_bytes());
        let station = Station::start(world.path(), &[]);
        assert_eq!(scan(&station, "OP:B-0012"), (true, "badged_in".to_owned()), "{what}");
        assert_eq!(word(&station, LEAD_PIN), "pin_waits", "{what}");
        station.stop();
    }
}

#[test]
fn the_tenth_wrong_pin_locks_and_a_new_pin_from_the_hub_unlocks() {
    let mut world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    station.stop();
    // Nine wrong ones, and their waits are over.
    let verifier = world.plan.people[2].pin.as_ref().expect("a PIN").digest();
    let nine = Attempts { operator: 12, attempts: 9, wait_ms: 0, verifier };
    let mut store = Store::open(&world.path().join("station.db")).expect("store");
    store.commit(|commit| commit.put_attempts(&nine)).expect("kept");
    drop(store);
    let station = Station::start(world.path(), &[]);
    scan(&station, "OP:B-0012");
    assert_eq!(words(&station, WRONG), ("pin_locked".to_owned(), Some(12 * 60 * 60)));
    assert_eq!(word(&station, LEAD_PIN), "pin_locked");
    let view = station.wait("the lock shown", |view| {
        view.people.operator.as_ref().is_some_and(|operator| operator.locked)
    });
    let operator = view.people.operator.clone().expect("an operator");
    assert!(operator.wait_s.is_some_and(|wait_s| wait_s > 11 * 60 * 60), "{operator:?}");
    assert_eq!(said(&station)[2..], ["attempt 12 10", "locked 12 10"]);
    station.stop();

    let station = Station::start(world.path(), &[]);
    scan(&station, "OP:B-0012");
    assert_eq!(word(&station, LEAD_PIN), "pin_locked", "after a restart");
    let mut renewed = world.office.person(12, Role::Lead, "B-0012", None);
    let pin = release::Pin::read(LEAD_PIN).expect("a PIN");
    renewed.pin = Some(world.office.pepper.verifier(12, &pin, [8; 16]).expect("a verifier"));
    world.plan.people[2] = renewed;
    world.plan.roster_version = 4;
    world.plan.lease_version = 2;
    station.deliver(&world.parcel());
    assert_eq!(word(&station, LEAD_PIN), "pin_right", "the same digits, set anew");
    station.stop();
}

#[test]
fn rights_end_after_seven_days_without_the_hub_and_a_worker_goes_on() {
    let world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    station.stop();
    let heard = |days: i64| {
        setting(&world, "hub_heard", (os_ms() - days * DAY_MS).to_string().as_bytes());
        Station::start(world.path(), &[])
    };
    let station = heard(6);
    scan(&station, "OP:B-0012");
    assert_eq!(word(&station, LEAD_PIN), "pin_right");
    station.stop();

    let station = heard(8);
    assert_eq!(scan(&station, "OP:B-0012"), (true, "badged_in".to_owned()));
    assert_eq!(word(&station, LEAD_PIN), "hub_away");
    let order = station.desk.ask(|desk| desk.close_order()).expect("the desk is open");
    assert_eq!(order.word, "hub_away");
    assert_eq!(scan(&station, "WO:4711"), (true, "order_selected".to_owned()), "a worker's act");
    let last = said(&station).last().cloned();
    assert_eq!(last.as_deref(), Some("in 12 worker badge_and_pin"), "the right PIN, no rights");
    station.stop();
}

#[test]
fn a_verifier_made_with_another_pepper_proves_nothing() {
    let world = staffed(|plan, _| {
        let other = Pepper::generate(&mut release::SystemRandom).expect("pepper");
        let pin = release::Pin::read(LEAD_PIN).expect("a PIN");
        plan.people[2].pin = Some(other.verifier(12, &pin, [7; 16]).expect("a verifier"));
    });
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    scan(&station, "OP:B-0012");
    assert_eq!(word(&station, LEAD_PIN), "pin_wrong");
    station.stop();
}

/// Attempts that the store of a killed station holds.
fn counted(world: &World) -> u32 {
    let mut store = Store::open(&world.path().join("station.db")).expect("store");
    let attempts: Result<Vec<Attempts>, StoreError> = store.read(|commit| commit.attempts());
    attempts.expect("attempts").first().map_or(0, |attempts| attempts.attempts)
}

#[test]
fn a_station_that_is_killed_between_attempt_and_answer_has_counted_the_attempt() {
    let world = staffed(|_, _| {});
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    station.stop();
    let wrong = format!("{{\"pin\":\"{WRONG}\"}}");
    let badge = "{\"text\":\"OP:B-0012\"}";
    for round in 1..=3 {
        let mut daemon = Daemon::start(world.path(), &[]);
        let screen = daemon.screen();
        assert_eq!(screen.post("/api/scan", badge)["word"], "badged_in", "round {round}");
        let asked = screen.fire("/api/operator/pin", &wrong);
        let begun = Instant::now();
        while counted(&world) < round {
            assert!(begun.elapsed() < PATIENCE, "attempt {round} is not counted");
            std::thread::yield_now();
        }
        // Before or after its answer left: the guess is spent.
        daemon.kill();
        drop(asked);
        assert_eq!(counted(&world), round);
    }
    // The fourth is not compared, be it the right one, however often the station is killed.
    for _ in 0..2 {
        let mut daemon = Daemon::start(world.path(), &[]);
        let screen = daemon.screen();
        screen.post("/api/scan", badge);
        let answer = screen.post("/api/operator/pin", &format!("{{\"pin\":\"{LEAD_PIN}\"}}"));
        assert_eq!((&answer["word"], &answer["code"]), (&"pin_waits".into(), &"F-67".into()));
        daemon.kill();
    }
    let station = Station::start(world.path(), &[]);
    let attempts = station.records();
    let attempts = attempts
        .iter()
        .filter(|record| matches!(record.event, Event::PinAttempt { operator: 12, .. }));
    assert_eq!(attempts.count(), 3);
    assert!(HubDesk(station.desk.clone()).head().is_ok());
    station.stop();
}

#[test]
fn no_pin_no_badge_and_no_pepper_is_in_a_log_at_trace_level_or_in_the_stations_folder() {
    // Long enough to stand nowhere by chance.
    let (pin, wrong, badge) = ("271828182845", "161803398874", "badge-of-the-night-shift");
    let world = staffed(|plan, office| {
        plan.people[2] = office.person(12, Role::Lead, badge, Some(pin));
    });
    let station = Station::start(world.path(), &[]);
    station.deliver(&world.parcel());
    station.stop();
    let mut daemon =
        Daemon::start_with(world.path(), &[], &[("FLASHLINE_LOG", OsStr::new("trace"))]);
    let screen = daemon.screen();
    let scanned = screen.post("/api/scan", &format!("{{\"text\":\"OP:{badge}\"}}"));
    assert_eq!(scanned["word"], "badged_in");
    let enter = |pin: &str| screen.post("/api/operator/pin", &format!("{{\"pin\":\"{pin}\"}}"));
    assert_eq!(enter(wrong)["word"], "pin_wrong");
    assert_eq!(enter(pin)["word"], "pin_right");
    let log = daemon.log();
    assert!(log.contains("\"TRACE\""), "the log says little");
    daemon.terminate();
    let verifier = world.plan.people[2].pin.as_ref().expect("a PIN").to_bytes();
    let pepper = world.office.pepper.expose();
    for (what, text) in [
        ("the PIN", pin.to_owned()),
        ("the wrong PIN", wrong.to_owned()),
        ("the badge", badge.to_owned()),
        ("the pepper", hex::encode(pepper)),
    ] {
        assert!(!on_disk(world.path(), text.as_bytes()), "{what} is in the station's folder");
    }
    assert!(!on_disk(world.path(), pepper), "the pepper's bytes are in the station's folder");
    let shown = format!("{:?}", &verifier[16..24]);
    for text in [hex::encode(&verifier[16..]), shown.trim_matches(['[', ']']).to_owned()] {
        assert!(!log.contains(&text), "the verifier is in the log");
    }
}
