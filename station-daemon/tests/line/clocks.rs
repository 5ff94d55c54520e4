//! A station on a machine whose clocks are wrong: it flashes by its own time, says what is wrong,
//! and believes nobody but the hub.

use std::sync::{Arc, Mutex};

use audit::Event;
use protocol::TimeStatement;
use station_daemon::api::view::{StationView, TroubleCode};
use station_daemon::clock::Reading;
use station_daemon::desk::HubDesk;
use station_daemon::platform::reading;
use sync::DocumentSink;

use super::World;
use super::station::Station;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The first of January 2099.
const Y2099: i64 = 4_070_908_800_000;

/// The machine's real clocks, moved.
#[derive(Clone)]
struct Moved(Arc<Mutex<Reading>>);

impl Moved {
    fn real() -> Self {
        Self(Arc::new(Mutex::new(reading())))
    }

    fn by(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.0.lock().expect("the clocks"));
    }

    fn start(&self, world: &World) -> Station {
        let clocks = self.0.clone();
        let read = move || *clocks.lock().expect("the clocks");
        Station::start_with_clocks(world.path(), &[], Box::new(read))
    }
}

fn code(view: &StationView) -> Option<TroubleCode> {
    view.trouble.as_ref().map(|trouble| trouble.code)
}

fn lease_days(view: &StationView) -> Option<u32> {
    view.hub.lease_ends_in_s.map(|s| (s + 43_200) / 86_400)
}

fn station_ms(station: &Station) -> i64 {
    station.desk.ask(|desk| desk.now_ms()).expect("the desk is open")
}

/// The hub answers the station's question for the time with `hub_ms`.
fn hub_says(world: &World, station: &Station, hub_ms: i64) -> bool {
    let sink = HubDesk(station.desk.clone());
    let nonce = sink.time_nonce().expect("a nonce");
    let (payload, signature) = world.office.time(&nonce, hub_ms);
    sink.hub_time(&payload, &signature).is_ok()
}

#[test]
fn a_clock_set_to_2099_is_a_trouble_and_the_lease_still_ends_on_its_own_day() {
    let world = World::new(|plan| plan.lease_ends_ms += 9 * DAY_MS);
    let clocks = Moved::real();
    let station = clocks.start(&world);
    station.deliver(&world.parcel());
    let view = station.wait("a lease of ten days", |view| lease_days(view) == Some(10));
    assert_eq!(code(&view), None);
    let before = station_ms(&station);

    clocks.by(|clocks| clocks.os_ms = Y2099);
    let view = station.wait("a trouble", |view| code(view).is_some());
    assert_eq!((code(&view), lease_days(&view)), (Some(TroubleCode::ClockJumped), Some(10)));
    assert_eq!(station_ms(&station), before);

    // Restarted, even with its clock repaired: until the hub has said the time it stays a trouble.
    station.stop();
    clocks.by(|clocks| *clocks = Reading { os_ms: before, ..reading() });
    let station = clocks.start(&world);
    let view = station.wait("a lease", |view| lease_days(view).is_some());
    assert_eq!((code(&view), lease_days(&view)), (Some(TroubleCode::ClockJumped), Some(10)));

    let truth = before + 2 * DAY_MS;
    assert!(hub_says(&world, &station, truth));
    let view = station.wait("settled", |view| code(view).is_none());
    assert_eq!(lease_days(&view), Some(8));
    let moved = station.records().into_iter().find_map(|record| match record.event {
        Event::ClockMoved { from_ms, to_ms } => Some((from_ms, to_ms)),
        _ => None,
    });
    assert_eq!(moved, Some((before, truth)));
    station.stop();
}

#[test]
fn a_machine_that_sleeps_a_night_ages_its_lease_and_one_that_sleeps_a_week_is_not_believed() {
    let world = World::new(|plan| plan.lease_ends_ms += 9 * DAY_MS);
    let clocks = Moved::real();
    let station = clocks.start(&world);
    station.deliver(&world.parcel());
    let sleep = |ms: i64| {
        clocks.by(|clocks| {
            clocks.os_ms += ms;
            clocks.asleep_ms += ms;
        });
    };
    for left in [9, 8] {
        sleep(DAY_MS);
        let view = station.wait("a day less", |view| lease_days(view) == Some(left));
        assert_eq!(code(&view), None);
    }
    sleep(7 * DAY_MS);
    let view = station.wait("a trouble", |view| code(view).is_some());
    assert_eq!((code(&view), lease_days(&view)), (Some(TroubleCode::ClockJumped), Some(8)));
    station.stop();
}

#[test]
fn a_clock_that_begins_in_1970_is_no_trouble_and_the_hub_sets_station_time_either_way() {
    let world = World::new(|plan| plan.lease_ends_ms += 9 * DAY_MS);
    let clocks = Moved::real();
    let station = clocks.start(&world);
    station.deliver(&world.parcel());
    station.wait("a lease", |view| lease_days(view) == Some(10));
    let before = station_ms(&station);
    station.stop();

    clocks.by(|clocks| *clocks = Reading { os_ms: 0, awake_ms: 0, asleep_ms: 0 });
    let station = clocks.start(&world);
    let view = station.wait("a lease", |view| lease_days(view).is_some());
    assert_eq!((code(&view), lease_days(&view)), (None, Some(10)));
    assert_eq!(station_ms(&station), before);
    for truth in [before + 30 * DAY_MS, before - 400 * DAY_MS, before] {
        assert!(hub_says(&world, &station, truth), "{truth}");
        assert_eq!(station_ms(&station), truth);
    }
    // What a stranger signs, or the hub for another question, moves nothing.
    let sink = HubDesk(station.desk.clone());
    let nonce = sink.time_nonce().expect("a nonce");
    let (payload, signature) = world.office.time("00ff", before + DAY_MS);
    assert!(sink.hub_time(&payload, &signature).is_err(), "another question");
    let (payload, _) = world.office.time(&nonce, before + DAY_MS);
    assert!(sink.hub_time(&payload, &signature).is_err(), "not signed");
    let statement: TimeStatement = serde_json::from_str(&payload).expect("a statement");
    assert_eq!(statement.nonce, nonce);
    assert_eq!(station_ms(&station), before);
    station.stop();
}
