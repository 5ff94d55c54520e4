//! Station time: the last time the hub signed, plus what passed since.
//!
//! Owns the rule how far the operating system's clock is believed. Leaves reading any clock to the
//! caller: the system's time, the steady time since the start and the saved state are arguments.
//!
//! Promises: station time never runs backwards by itself; the system's clock moves it forward by
//! at most a day between two runs; only a time the hub signed moves it freely.

use serde::{Deserialize, Serialize};

/// The farthest the operating system's clock is believed across a restart: one day.
pub const OS_ADVANCE_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// What is saved with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTime {
    /// Station time, milliseconds since the Unix epoch.
    pub station_ms: i64,
    /// What the operating system's clock said at that moment.
    pub os_ms: i64,
}

/// The running clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    base_ms: i64,
    base_steady_ms: i64,
    jumped: bool,
}

impl Clock {
    /// Starts at `os_ms` (system clock) and `steady_ms` (monotonic), from what was saved.
    #[must_use]
    pub fn start(saved: Option<SavedTime>, os_ms: i64, steady_ms: i64) -> Self {
        let Some(saved) = saved else {
            return Self { base_ms: os_ms, base_steady_ms: steady_ms, jumped: false };
        };
        let advance = os_ms.saturating_sub(saved.os_ms);
        // A clock that stands behind (no battery) counts as no time passed; that is not a jump.
        let believed = if (0..=OS_ADVANCE_MS_MAX).contains(&advance) { advance } else { 0 };
        Self {
            base_ms: saved.station_ms.saturating_add(believed),
            base_steady_ms: steady_ms,
            jumped: advance > OS_ADVANCE_MS_MAX,
        }
    }

    /// Station time, milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self, steady_ms: i64) -> i64 {
        let passed = steady_ms.saturating_sub(self.base_steady_ms).max(0);
        self.base_ms.saturating_add(passed)
    }

    /// A time the hub signed for a fresh nonce: believed either way.
    pub fn hear_hub(&mut self, hub_ms: i64, steady_ms: i64) {
        *self = Self { base_ms: hub_ms, base_steady_ms: steady_ms, jumped: false };
    }

    /// The system's clock jumped farther than believed; a signed time settles it.
    #[must_use]
    pub const fn jumped(&self) -> bool {
        self.jumped
    }

    /// What to save now.
    #[must_use]
    pub fn saved(&self, os_ms: i64, steady_ms: i64) -> SavedTime {
        SavedTime { station_ms: self.now_ms(steady_ms), os_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60 * 1000;
    const SAVED: SavedTime = SavedTime { station_ms: 1_000_000, os_ms: 5_000_000 };

    #[test]
    fn across_a_restart_the_system_clock_is_believed_for_a_day_and_no_longer() {
        let check = |os_ms: i64, expected: i64, jumped: bool| {
            let clock = Clock::start(Some(SAVED), os_ms, 77);
            assert_eq!((clock.now_ms(77), clock.jumped()), (expected, jumped), "{os_ms}");
        };
        check(SAVED.os_ms, SAVED.station_ms, false);
        check(SAVED.os_ms + HOUR, SAVED.station_ms + HOUR, false);
        check(SAVED.os_ms + 24 * HOUR, SAVED.station_ms + 24 * HOUR, false);
        check(SAVED.os_ms + 24 * HOUR + 1, SAVED.station_ms, true);
        check(4_070_908_800_000, SAVED.station_ms, true);
        check(0, SAVED.station_ms, false);
        check(i64::MIN, SAVED.station_ms, false);
        check(i64::MAX, SAVED.station_ms, true);
    }

    #[test]
    fn while_running_time_follows_the_steady_clock_and_only_the_hub_sets_it_back() {
        let mut clock = Clock::start(Some(SAVED), SAVED.os_ms + 48 * HOUR, 1000);
        assert!(clock.jumped());
        assert_eq!(clock.now_ms(1500), SAVED.station_ms + 500);
        assert_eq!(clock.now_ms(0), SAVED.station_ms, "a steady clock never runs back");
        clock.hear_hub(900_000, 2000);
        assert_eq!((clock.now_ms(2010), clock.jumped()), (900_010, false));
        assert_eq!(clock.saved(3, 2010), SavedTime { station_ms: 900_010, os_ms: 3 });
    }
}
