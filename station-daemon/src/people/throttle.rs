//! The waits after wrong PINs.
//!
//! An attempt is counted, and its wait begins, before the PIN is compared: a station that is killed
//! in between has counted it. Waits run in the time the station ran, not in any clock's: a restart
//! takes nothing off them, and neither does a clock that is moved. What is left is kept once a
//! minute, so a restart may add a minute.
//!
//! Promise: between two right PINs no more than [`ATTEMPTS_MAX`] are compared without a wait of
//! [`LOCK_MS`] before each further one. A new PIN from the hub begins anew.

use std::collections::BTreeMap;

use release::Digest;

/// With this many wrong PINs in a row the operator is locked.
pub const ATTEMPTS_MAX: u32 = 10;
/// How long a lock lasts, in the time the station runs.
pub const LOCK_MS: i64 = 12 * 60 * 60 * 1000;
/// The wait after the first, second … wrong PIN, up to the lock.
const WAITS_MS: [i64; 9] = [0, 0, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000];

/// How long to wait after so many wrong PINs in a row.
#[must_use]
pub fn wait_after_ms(attempts: u32) -> i64 {
    let Some(index) = attempts.checked_sub(1) else { return 0 };
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    WAITS_MS.get(index).copied().unwrap_or(LOCK_MS)
}

/// An operator's attempts, as they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// The operator's number.
    pub operator: u32,
    /// Attempts since the last right one.
    pub attempts: u32,
    /// What is left of the wait, in milliseconds of running.
    pub wait_ms: i64,
    /// Which verifier they were made against: a new PIN begins anew.
    pub verifier: Digest,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    attempts: u32,
    until_steady_ms: i64,
    verifier: Digest,
}

/// A PIN may not be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long, in milliseconds.
    pub wait_ms: i64,
    /// Whether this is the lock and not a mere wait.
    pub locked: bool,
}

/// Everybody's attempts.
#[derive(Debug, Default)]
pub struct Throttle {
    rows: BTreeMap<u32, Row>,
}

impl Throttle {
    /// As they were kept; what was left of a wait begins at `steady_ms`.
    #[must_use]
    pub fn load(kept: &[Attempts], steady_ms: i64) -> Self {
        let rows = kept.iter().map(|kept| {
            // A row that cannot be ours does not shorten a wait, nor make one endless.
            let wait_ms = kept.wait_ms.clamp(0, LOCK_MS);
            let until_steady_ms = steady_ms.saturating_add(wait_ms);
            let row = Row { attempts: kept.attempts, until_steady_ms, verifier: kept.verifier };
            (kept.operator, row)
        });
        Self { rows: rows.collect() }
    }

    /// The wait that an operator with this verifier is in, if any.
    #[must_use]
    pub fn wait(&self, operator: u32, verifier: &Digest, steady_ms: i64) -> Option<Wait> {
        let row = self.rows.get(&operator).filter(|row| row.verifier == *verifier)?;
        let wait_ms = row.until_steady_ms.saturating_sub(steady_ms);
        (wait_ms > 0).then_some(Wait { wait_ms, locked: row.attempts >= ATTEMPTS_MAX })
    }

    /// The attempt to come: to be kept, then [`Throttle::count`]ed, before its PIN is compared.
    ///
    /// # Errors
    /// The [`Wait`] that forbids it.
    pub fn next(&self, operator: u32, verifier: &Digest, steady_ms: i64) -> Result<Attempts, Wait> {
        if let Some(wait) = self.wait(operator, verifier, steady_ms) {
            return Err(wait);
        }
        let row = self.rows.get(&operator).filter(|row| row.verifier == *verifier);
        let attempts = row.map_or(0, |row| row.attempts).saturating_add(1);
        Ok(Attempts { operator, attempts, wait_ms: wait_after_ms(attempts), verifier: *verifier })
    }

    /// Counts an attempt that was kept.
    pub fn count(&mut self, kept: &Attempts, steady_ms: i64) {
        let until_steady_ms = steady_ms.saturating_add(kept.wait_ms);
        let row = Row { attempts: kept.attempts, until_steady_ms, verifier: kept.verifier };
        self.rows.insert(kept.operator, row);
    }

    /// The PIN was right: the attempts are over.
    pub fn forget(&mut self, operator: u32) {
        self.rows.remove(&operator);
    }

    /// The waits that run at `steady_ms`, with what is left of each: to be kept.
    #[must_use]
    pub fn running(&self, steady_ms: i64) -> Vec<Attempts> {
        let running = self.rows.iter().filter_map(|(operator, row)| {
            let wait_ms = row.until_steady_ms.saturating_sub(steady_ms);
            let Row { attempts, verifier, .. } = *row;
            (wait_ms > 0).then_some(Attempts { operator: *operator, attempts, wait_ms, verifier })
        });
        running.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: u32 = 12;

    fn pin(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    /// Tries once; the wait that follows a wrong PIN.
    fn wrong(throttle: &mut Throttle, now: i64) -> Result<i64, Wait> {
        let next = throttle.next(WHO, &pin("a"), now)?;
        throttle.count(&next, now);
        Ok(next.wait_ms)
    }

    #[test]
    fn waits_grow_and_the_tenth_wrong_pin_locks() {
        let mut throttle = Throttle::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait_ms = wrong(&mut throttle, now).expect("the wait is over");
            waits.push(wait_ms / 1000);
            if wait_ms > 0 {
                let early = throttle.next(WHO, &pin("a"), now + wait_ms - 1);
                let locked = waits.len() >= 10;
                assert_eq!(early, Err(Wait { wait_ms: 1, locked }));
            }
            now += wait_ms;
        }
        let lock = LOCK_MS / 1000;
        assert_eq!(waits, [0, 0, 15, 30, 60, 120, 300, 600, 900, lock, lock, lock]);
    }

    #[test]
    fn no_restart_at_any_moment_gives_more_guesses_than_none() {
        // The longest day an attacker has: killed and started again after every step, with what
        // was kept, in every way a minute can be cut.
        let guesses_in = |day_ms: i64, restart_every_ms: Option<i64>| {
            let mut throttle = Throttle::default();
            let mut kept: BTreeMap<u32, Attempts> = BTreeMap::new();
            let (mut now, mut guesses, mut run) = (0, 0, 0);
            while now < day_ms {
                if let Ok(next) = throttle.next(WHO, &pin("a"), now) {
                    kept.insert(WHO, next);
                    throttle.count(&next, now);
                    guesses += 1;
                }
                now += 1000;
                run += 1000;
                if run % 60_000 == 0 {
                    for attempts in throttle.running(now) {
                        kept.insert(attempts.operator, attempts);
                    }
                }
                if restart_every_ms.is_some_and(|every| now % every == 0) {
                    let rows: Vec<Attempts> = kept.values().copied().collect();
                    // The steady clock begins anew; any other clock is not asked.
                    throttle = Throttle::load(&rows, now);
                    run = 0;
                }
            }
            guesses
        };
        let day = 24 * 60 * 60 * 1000;
        let undisturbed = guesses_in(day, None);
        assert_eq!(undisturbed, 11);
        for every in [1000, 7000, 59_000, 60_000, 61_000, 3_600_000] {
            let guesses = guesses_in(day, Some(every));
            assert!(guesses <= undisturbed, "{guesses} guesses, restarted every {every} ms");
        }
    }

    #[test]
    fn a_right_pin_ends_the_attempts_and_so_does_a_new_one_from_the_hub() {
        let mut throttle = Throttle::default();
        for _ in 0..3 {
            wrong(&mut throttle, 0).expect("no wait yet");
        }
        assert!(throttle.wait(WHO, &pin("a"), 0).is_some());
        assert_eq!(throttle.wait(WHO, &pin("b"), 0), None, "another PIN");
        assert_eq!(throttle.next(WHO, &pin("b"), 0).map(|next| next.attempts), Ok(1));
        assert_eq!(throttle.wait(13, &pin("a"), 0), None, "another operator");
        throttle.forget(WHO);
        assert_eq!(wrong(&mut throttle, 0), Ok(0));
    }

    #[test]
    fn a_kept_row_that_was_tampered_with_neither_shortens_a_wait_below_none_nor_lasts_for_ever() {
        for (wait_ms, left) in [(i64::MIN, None), (-1, None), (i64::MAX, Some(LOCK_MS))] {
            let kept = Attempts { operator: WHO, attempts: u32::MAX, wait_ms, verifier: pin("a") };
            let throttle = Throttle::load(&[kept], 5);
            assert_eq!(throttle.wait(WHO, &pin("a"), 5).map(|wait| wait.wait_ms), left);
            let next = Throttle::load(&[kept], 5).next(WHO, &pin("a"), 5 + LOCK_MS);
            assert_eq!(next.map(|next| (next.attempts, next.wait_ms)), Ok((u32::MAX, LOCK_MS)));
        }
    }
}
