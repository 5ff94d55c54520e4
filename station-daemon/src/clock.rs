//! Station time: the last time the hub signed, plus what passed since.
//!
//! Owns the rule how far any other clock is believed. Leaves reading them to the caller: what the
//! machine's clocks say is one [`Reading`], and the saved state is an argument.
//!
//! | what the machine says | what station time makes of it |
//! |---|---|
//! | time passed while the machine ran | counts, always |
//! | time passed while it slept | counts up to a day per sleep, like a clock that was set |
//! | the system's clock after a restart, ahead of the saved one | counts up to a day |
//! | the system's clock after a restart, behind (no battery: 1970) | counts as no time passed |
//! | the system's clock set while the station runs | never counts |
//! | farther ahead than a day, in any of these | not believed, and a trouble until the hub said the time |
//!
//! Sleep counts because a lease is a promise about days, not about days awake: a machine that is
//! put to sleep for a weekend must not come back with its lease as long as before. What it slept is
//! the battery-backed clock's word, hence the same bound as for the system's clock.
//!
//! Promises: station time never runs backwards by itself; nothing but a time that the hub signed
//! moves it back, or forward by more than a day at once; a jump that was not believed stays a
//! trouble over restarts until such a time settles it. Not counted: time without power on a machine
//! whose clock has no battery.

use serde::{Deserialize, Serialize};

/// The farthest that any clock but the hub's is believed at once: one day.
pub const OS_ADVANCE_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// What the machine's clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The system's clock, milliseconds since the Unix epoch. Anybody may set it.
    pub os_ms: i64,
    /// Milliseconds this machine has been awake; nobody can set it, and it never runs back.
    pub awake_ms: i64,
    /// Milliseconds this machine has slept since it was started, as its battery-backed clock says.
    pub asleep_ms: i64,
}

/// What is saved with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTime {
    /// Station time, milliseconds since the Unix epoch.
    pub station_ms: i64,
    /// What the operating system's clock said at that moment.
    pub os_ms: i64,
    /// A jump was seen and not believed, and the hub has not said the time since.
    #[serde(default)]
    pub jumped: bool,
}

/// The running clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    base_ms: i64,
    /// When `base_ms` was true.
    since: Reading,
    /// How far the system's clock stood ahead of station time when it was last looked at.
    os_ahead_ms: i64,
    jumped: bool,
}

impl Clock {
    /// Starts from what was saved.
    #[must_use]
    pub fn start(saved: Option<SavedTime>, now: Reading) -> Self {
        let Some(saved) = saved else { return Self::at(now.os_ms, now, false) };
        let advance = now.os_ms.saturating_sub(saved.os_ms);
        // A clock that stands behind counts as no time passed; that is not a jump.
        let believed = if (0..=OS_ADVANCE_MS_MAX).contains(&advance) { advance } else { 0 };
        let jumped = saved.jumped || advance > OS_ADVANCE_MS_MAX;
        Self::at(saved.station_ms.saturating_add(believed), now, jumped)
    }

    fn at(station_ms: i64, now: Reading, jumped: bool) -> Self {
        let os_ahead_ms = now.os_ms.saturating_sub(station_ms);
        Self { base_ms: station_ms, since: now, os_ahead_ms, jumped }
    }

    /// Station time, milliseconds since the Unix epoch. A sleep counts from the next
    /// [`Clock::look`] on.
    #[must_use]
    pub fn now_ms(&self, now: Reading) -> i64 {
        let passed = now.awake_ms.saturating_sub(self.since.awake_ms).max(0);
        self.base_ms.saturating_add(passed)
    }

    /// Looks at the machine's clocks: counts a sleep, notices a jump. Whether one was seen now that
    /// is not believed.
    pub fn look(&mut self, now: Reading) -> bool {
        let slept = now.asleep_ms.saturating_sub(self.since.asleep_ms).max(0);
        let slept_too_long = slept > OS_ADVANCE_MS_MAX;
        let believed = if slept_too_long { 0 } else { slept };
        let station_ms = self.now_ms(now).saturating_add(believed);
        let ahead_ms = now.os_ms.saturating_sub(station_ms);
        // A clock that was behind and is set right jumps, too, but it lands beside station time.
        let set_ahead = ahead_ms.saturating_sub(self.os_ahead_ms) > OS_ADVANCE_MS_MAX
            && ahead_ms > OS_ADVANCE_MS_MAX;
        let jumped = slept_too_long || set_ahead;
        // The two clocks behind it are not read at one instant: what it falls by is not slept later.
        let asleep_ms = now.asleep_ms.max(self.since.asleep_ms);
        *self = Self::at(station_ms, Reading { asleep_ms, ..now }, self.jumped || jumped);
        jumped
    }

    /// A time the hub signed for a nonce that was just asked: believed either way.
    pub fn hear_hub(&mut self, hub_ms: i64, now: Reading) {
        *self = Self::at(hub_ms, now, false);
    }

    /// A time the hub signed for a nonce that was asked at `asked_ms` of station time, and that
    /// travelled for an unknown part of the time since. The hub's clock shows now between
    /// `hub_ms` and `hub_ms` plus all of that: station time moves no farther than into there.
    pub fn hear_hub_late(&mut self, hub_ms: i64, asked_ms: i64, now: Reading) {
        let station_ms = self.now_ms(now);
        let travelled = station_ms.saturating_sub(asked_ms).max(0);
        let heard = station_ms.clamp(hub_ms, hub_ms.saturating_add(travelled));
        self.hear_hub(heard, now);
    }

    /// A clock jumped farther than believed; a signed time settles it.
    #[must_use]
    pub const fn jumped(&self) -> bool {
        self.jumped
    }

    /// What to save now.
    #[must_use]
    pub fn saved(&self, now: Reading) -> SavedTime {
        SavedTime { station_ms: self.now_ms(now), os_ms: now.os_ms, jumped: self.jumped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60 * 1000;
    const DAY: i64 = 24 * HOUR;
    /// The first of January 2099.
    const Y2099: i64 = 4_070_908_800_000;
    const SAVED: SavedTime =
        SavedTime { station_ms: 1_764_000_000_000, os_ms: 1_764_000_005_000, jumped: false };

    /// A machine: its clocks, and what happens to it.
    #[derive(Clone, Copy)]
    struct Machine(Reading);

    impl Machine {
        fn with_clock_at(os_ms: i64) -> Self {
            Self(Reading { os_ms, awake_ms: 77, asleep_ms: 0 })
        }

        fn runs(&mut self, ms: i64) -> Reading {
            self.0.os_ms += ms;
            self.0.awake_ms += ms;
            self.0
        }

        fn sleeps(&mut self, ms: i64) -> Reading {
            self.0.os_ms += ms;
            self.0.asleep_ms += ms;
            self.0
        }

        fn is_set_to(&mut self, os_ms: i64) -> Reading {
            self.0.os_ms = os_ms;
            self.0
        }

        /// Off and on again; `os_ms` is what its clock shows then.
        fn restarts_at(&mut self, os_ms: i64) -> Reading {
            *self = Self::with_clock_at(os_ms);
            self.0
        }
    }

    #[test]
    fn across_a_restart_the_system_clock_is_believed_for_a_day_and_no_longer() {
        let check = |os_ms: i64, expected: i64, jumped: bool| {
            let now = Machine::with_clock_at(os_ms).0;
            let clock = Clock::start(Some(SAVED), now);
            assert_eq!((clock.now_ms(now), clock.jumped()), (expected, jumped), "{os_ms}");
        };
        check(SAVED.os_ms, SAVED.station_ms, false);
        check(SAVED.os_ms + HOUR, SAVED.station_ms + HOUR, false);
        check(SAVED.os_ms + DAY, SAVED.station_ms + DAY, false);
        check(SAVED.os_ms + DAY + 1, SAVED.station_ms, true);
        check(Y2099, SAVED.station_ms, true);
        check(0, SAVED.station_ms, false);
        check(i64::MIN, SAVED.station_ms, false);
        check(i64::MAX, SAVED.station_ms, true);
    }

    #[test]
    fn while_running_only_time_awake_and_a_days_sleep_count_whatever_the_system_clock_is_set_to() {
        let mut machine = Machine::with_clock_at(SAVED.os_ms);
        let mut clock = Clock::start(Some(SAVED), machine.0);
        let mut check = |what: &str, now: Reading, expected: i64, jumped: bool| {
            assert_eq!(clock.look(now), jumped, "{what}");
            assert_eq!(clock.now_ms(now) - SAVED.station_ms, expected, "{what}");
        };
        check("an hour of work", machine.runs(HOUR), HOUR, false);
        check("2099", machine.is_set_to(Y2099), HOUR, true);
        check("2099 goes on", machine.runs(HOUR), 2 * HOUR, false);
        check("1970", machine.is_set_to(0), 2 * HOUR, false);
        let right = SAVED.os_ms + 2 * HOUR;
        check("set right again", machine.is_set_to(right), 2 * HOUR, false);
        check("half a day ahead", machine.is_set_to(right + DAY / 2), 2 * HOUR, false);
        check("a night asleep", machine.sleeps(DAY / 2), 2 * HOUR + DAY / 2, false);
        check("another night", machine.sleeps(DAY), 2 * HOUR + DAY * 3 / 2, false);
        check("a long weekend", machine.sleeps(3 * DAY), 2 * HOUR + DAY * 3 / 2, true);
        for shaken in [-1, 0, -1, 0, -1] {
            let now = machine.runs(0);
            let now = Reading { asleep_ms: now.asleep_ms + shaken, ..now };
            check("read a moment apart", now, 2 * HOUR + DAY * 3 / 2, false);
        }
        check("and on", machine.runs(1), 2 * HOUR + DAY * 3 / 2 + 1, false);
        assert!(clock.jumped());
        let mut back = machine.runs(0);
        back.awake_ms = 0;
        assert_eq!(clock.now_ms(back) - SAVED.station_ms, 2 * HOUR + DAY * 3 / 2 + 1);
    }

    #[test]
    fn a_jump_stays_a_trouble_over_restarts_until_the_hub_has_said_the_time() {
        let mut machine = Machine::with_clock_at(SAVED.os_ms);
        let mut clock = Clock::start(Some(SAVED), machine.0);
        assert!(clock.look(machine.is_set_to(Y2099)));
        for os_ms in [Y2099 + HOUR, 0, SAVED.os_ms] {
            let saved = clock.saved(machine.0);
            let bytes = serde_json::to_vec(&saved).expect("saved");
            let saved = serde_json::from_slice(&bytes).expect("read back");
            clock = Clock::start(Some(saved), machine.restarts_at(os_ms));
            assert!(clock.jumped(), "restarted at {os_ms}");
        }
        clock.hear_hub(900_000, machine.0);
        assert_eq!((clock.now_ms(machine.0), clock.jumped()), (900_000, false));
        assert!(!clock.look(machine.runs(10)), "the clock that is far off was far off before");
        assert_eq!(clock.now_ms(machine.0), 900_010);
    }

    #[test]
    fn a_machine_whose_clock_begins_in_1970_loses_the_time_without_power_and_nothing_else() {
        let mut machine = Machine::with_clock_at(SAVED.os_ms);
        let mut clock = Clock::start(Some(SAVED), machine.0);
        let mut expected = SAVED.station_ms;
        for off in [HOUR, 3 * DAY, 400 * DAY] {
            let truth = machine.0.os_ms + off;
            let saved = clock.saved(machine.0);
            clock = Clock::start(Some(saved), machine.restarts_at(0));
            assert_eq!(clock.now_ms(machine.0), expected, "off for {off}");
            machine.runs(HOUR);
            expected += HOUR;
            // A time server sets its clock right: a jump of half a century that is no trouble as
            // long as it lands where the station is.
            let trouble = clock.look(machine.is_set_to(truth + HOUR));
            assert_eq!(clock.now_ms(machine.0), expected);
            assert_eq!(trouble, truth + HOUR - expected > DAY, "off for {off}");
        }
    }

    #[test]
    fn what_was_saved_by_an_older_program_is_read() {
        let saved: SavedTime =
            serde_json::from_str(r#"{"station_ms":5,"os_ms":7}"#).expect("an older form");
        assert_eq!(saved, SavedTime { station_ms: 5, os_ms: 7, jumped: false });
    }

    #[test]
    fn a_signed_time_that_travelled_moves_station_time_no_farther_than_it_proves() {
        // Asked at 1000 days, read two days later by the station's own count.
        let asked = 1_000 * DAY;
        let check = |what: &str, hub_ms: i64, expected: i64| {
            let start = Machine::with_clock_at(asked).0;
            let mut machine = Machine(start);
            let mut clock = Clock::start(None, start);
            clock.hear_hub_late(hub_ms, asked, machine.runs(2 * DAY));
            assert_eq!(clock.now_ms(machine.0) - asked, expected - asked, "{what}");
            assert!(!clock.jumped(), "{what}");
        };
        check("in time, signed at once", asked, asked + 2 * DAY);
        check("in time, signed at the end", asked + 2 * DAY, asked + 2 * DAY);
        check("ahead of the hub", asked - 10 * DAY, asked - 8 * DAY);
        check("behind the hub", asked + 10 * DAY, asked + 10 * DAY);
    }
}
