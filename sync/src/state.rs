//! How the hub looks from here, and how long to wait before trying again.

/// Whether the hub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubState {
    /// Not tried yet since the start.
    Connecting,
    /// The last exchange went well.
    Online,
    /// The last exchange did not.
    Offline(OfflineReason),
}

/// Why the hub cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineReason {
    /// No connection, or it broke.
    Unreachable,
    /// Somebody answers whose certificate is not from the hub's CA.
    HubCertificate,
    /// The hub does not accept this station's certificate.
    StationRefused,
    /// The hub says it has a trouble of its own.
    HubTrouble,
    /// The hub answers something that cannot be what was asked for.
    NotUnderstood,
    /// The station's own store failed.
    StationTrouble,
}

/// Waits between failed attempts: doubled each time up to a cap, and spread over the whole
/// interval so that a returning hub is not trampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// Longest first wait, in milliseconds.
    pub first_ms: u64,
    /// Longest wait ever, in milliseconds.
    pub cap_ms: u64,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { first_ms: 250, cap_ms: 10_000 }
    }
}

impl BackOff {
    /// The wait after `failures` failures in a row (1, 2, …), in milliseconds: from half of the
    /// doubled interval to the whole of it. `jitter` gives a number below its argument.
    pub fn wait_ms(&self, failures: u32, jitter: &mut dyn FnMut(u64) -> u64) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let whole = self.first_ms.saturating_mul(1 << doublings).min(self.cap_ms).max(2);
        let half = whole / 2;
        half + jitter(whole - half).min(whole - half)
    }
}

/// How the attempts to reach a hub are paced: slower with every failure, and back to the first
/// wait only once a connection has stood for as long as the longest wait. A hub that comes and goes
/// is therefore asked no more often than one that stays away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    back_off: BackOff,
    failures: u32,
}

impl Pace {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new(back_off: BackOff) -> Self {
        Self { back_off, failures: 0 }
    }

    /// Failures in a row so far.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait after a failure, in milliseconds. `stood_ms`: how long the exchange had gone well
    /// before; 0 for an attempt that never did. `jitter` gives a number below its argument.
    pub fn failed(&mut self, stood_ms: u64, jitter: &mut dyn FnMut(u64) -> u64) -> u64 {
        if stood_ms >= self.back_off.cap_ms {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.back_off.wait_ms(self.failures, jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    /// Numbers that look random and are the same every time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, below: u64) -> u64 {
            // Knuth's MMIX generator; its upper bits are good enough to spread waits.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % below.max(1)
        }
    }

    /// When a station asks a hub that is there from `up_ms` on, in milliseconds; the last is the
    /// one that reaches it. Its connection broke at 0.
    fn attempts(up_ms: u64, seed: u64) -> Vec<u64> {
        let mut dice = Dice(seed);
        let mut pace = Pace::new(BackOff::default());
        let (mut now_ms, mut stood_ms, mut asked) = (0, DAY_MS, Vec::new());
        loop {
            now_ms += pace.failed(stood_ms, &mut |below| dice.below(below));
            stood_ms = 0;
            asked.push(now_ms);
            if now_ms >= up_ms {
                return asked;
            }
        }
    }

    #[test]
    fn a_hub_that_is_away_for_thirty_days_is_asked_a_bounded_number_of_times_and_found_at_once() {
        let up_ms = 30 * DAY_MS;
        let asked = attempts(up_ms, 7);
        let cap_ms = BackOff::default().cap_ms;
        let most = up_ms / (cap_ms / 2) + 10;
        let least = up_ms / cap_ms;
        let count = asked.len() as u64;
        assert!((least..=most).contains(&count), "{count} of {least} to {most}");
        let found_ms = asked.last().unwrap() - up_ms;
        assert!(found_ms <= cap_ms, "{found_ms}");
    }

    #[test]
    fn two_hundred_stations_come_back_from_an_outage_one_after_another() {
        const STATIONS: u64 = 200;
        for (seed, outage_ms) in [(1, 90_000), (2, 3_600_000), (3, DAY_MS)] {
            let mut found = Vec::new();
            let mut asked_in_the_last_minute = 0;
            for station in 0..STATIONS {
                let asked = attempts(outage_ms, seed * 1_000_000 + station * 7_919);
                asked_in_the_last_minute +=
                    asked.iter().filter(|at| **at + 60_000 > outage_ms && **at < outage_ms).count();
                found.push(asked.last().unwrap() - outage_ms);
            }
            let cap_ms = BackOff::default().cap_ms;
            assert!(found.iter().all(|after_ms| *after_ms <= cap_ms), "{outage_ms}");
            // Spread over the longest wait: no second sees more than three times its share.
            let share = STATIONS * 1_000 / cap_ms;
            for second in 0..cap_ms / 1_000 {
                let within = second * 1_000..(second + 1) * 1_000;
                let arrivals = found.iter().filter(|at| within.contains(at)).count() as u64;
                assert!(arrivals <= 3 * share, "{arrivals} in second {second} after {outage_ms}");
            }
            let most = STATIONS * (60_000 / (cap_ms / 2));
            assert!(asked_in_the_last_minute as u64 <= most, "{asked_in_the_last_minute}");
        }
    }

    #[test]
    fn a_hub_that_comes_and_goes_is_asked_no_more_often_than_one_that_stays_away() {
        // It answers every time and breaks off at once, for an hour.
        let mut dice = Dice(11);
        let mut pace = Pace::new(BackOff::default());
        let (mut now_ms, mut asked) = (0, 0_u64);
        while now_ms < 3_600_000 {
            now_ms += 50 + pace.failed(50, &mut |below| dice.below(below));
            asked += 1;
        }
        assert!(asked <= 3_600_000 / (BackOff::default().cap_ms / 2) + 10, "{asked}");
        // Once it stands, the next trouble is met quickly again.
        let cap_ms = BackOff::default().cap_ms;
        assert!(pace.failed(cap_ms - 1, &mut |_| 0) >= cap_ms / 2);
        assert!(pace.failed(cap_ms, &mut |_| 0) < 250);
        assert_eq!(pace.failures(), 1);
    }

    #[test]
    fn waits_double_up_to_the_cap_and_never_beyond_whatever_the_jitter_says() {
        let back_off = BackOff { first_ms: 100, cap_ms: 1_000 };
        for (failures, low, high) in [(1, 50, 100), (2, 100, 200), (4, 400, 800), (99, 500, 1_000)]
        {
            assert_eq!(back_off.wait_ms(failures, &mut |_| 0), low);
            assert_eq!(back_off.wait_ms(failures, &mut |below| below), high);
            assert_eq!(back_off.wait_ms(failures, &mut |_| u64::MAX), high);
        }
    }
}
