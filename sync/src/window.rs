//! When bulk may flow: cron expressions that list the minutes.
//!
//! Owns their reading and the two questions asked of them. The wall clock, with the station's time
//! zone, is an argument: factories mean their own night.
//!
//! Promise: only chunks wait for a window. Revocations, records and documents never do.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Timelike};
use cron::Schedule;

/// The longest wait before the clock is looked at again: it may have been set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// An expression that lists no minutes.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// Not five fields.
    #[error("{expression:?} is not five fields: minute, hour, day of month, month, day of week")]
    Fields {
        /// As it was given.
        expression: String,
    },
    /// Cron dialects number the days of the week differently.
    #[error("{expression:?} has a number for the day of the week: write MON, TUE, WED …")]
    DayNumber {
        /// As it was given.
        expression: String,
    },
    /// Not understood by the reader of such expressions.
    #[error("reading {expression:?} as a cron expression")]
    Expression {
        /// As it was given.
        expression: String,
        /// Why not.
        #[source]
        source: cron::error::Error,
    },
}

/// The minutes in which chunks are fetched.
#[derive(Debug, Clone, Default)]
pub struct BulkWindows {
    /// Minutes of any of them; always when there is none.
    minutes: Vec<Schedule>,
}

impl BulkWindows {
    /// From expressions of five fields: minute, hour, day of month, month, day of week by name.
    /// `* 0-5 * * *` is every minute from midnight to 05:59. None at all: always.
    ///
    /// # Errors
    /// [`WindowError`] with the expression.
    pub fn parse<S: AsRef<str>>(expressions: &[S]) -> Result<Self, WindowError> {
        let minutes = expressions
            .iter()
            .map(|expression| schedule(expression.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { minutes })
    }

    /// Whether chunks may be fetched in this minute.
    #[must_use]
    pub fn is_open(&self, at: DateTime<FixedOffset>) -> bool {
        let minute = at.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(at);
        self.minutes.is_empty() || self.minutes.iter().any(|schedule| schedule.includes(minute))
    }

    /// How long to wait before looking again; nothing while a window is open.
    #[must_use]
    pub fn wait(&self, at: DateTime<FixedOffset>) -> Duration {
        if self.is_open(at) {
            return Duration::ZERO;
        }
        let next = self.minutes.iter().filter_map(|schedule| schedule.after(&at).next()).min();
        next.and_then(|next| (next - at).to_std().ok())
            .map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN))
    }
}

fn schedule(expression: &str) -> Result<Schedule, WindowError> {
    let expression = expression.trim().to_owned();
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [_, _, _, _, days] = fields.as_slice() else {
        return Err(WindowError::Fields { expression });
    };
    if days.contains(|letter: char| letter.is_ascii_digit()) {
        return Err(WindowError::DayNumber { expression });
    }
    // The reader wants seconds in front.
    format!("0 {expression}")
        .parse()
        .map_err(|source| WindowError::Expression { expression, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339(text).unwrap()
    }

    #[test]
    fn a_window_is_open_in_its_minutes_of_the_stations_own_day() {
        let check = |expressions: &[&str], time: &str, open: bool, wait_s: u64| {
            let windows = BulkWindows::parse(expressions).unwrap();
            assert_eq!(windows.is_open(at(time)), open, "{expressions:?} at {time}");
            assert_eq!(windows.wait(at(time)).as_secs(), wait_s, "{expressions:?} at {time}");
        };
        let night = &["* 0-5 * * *"][..];
        check(&[], "2026-11-20T12:00:00+08:00", true, 0);
        check(night, "2026-11-20T00:00:00+08:00", true, 0);
        check(night, "2026-11-20T05:59:59.999+08:00", true, 0);
        check(night, "2026-11-20T06:00:00+08:00", false, 3600);
        check(night, "2026-11-20T23:59:30+08:00", false, 30);
        // The same moment is noon elsewhere.
        check(night, "2026-11-20T04:00:00Z", true, 0);
        check(night, "2026-11-20T12:00:00+08:00", false, 3600);
        let lunch = &["* 0-5 * * *", "0-29 12 * * MON-FRI"][..];
        check(lunch, "2026-11-20T12:10:00+08:00", true, 0);
        check(lunch, "2026-11-20T12:30:00+08:00", false, 3600);
        check(lunch, "2026-11-21T12:10:00+08:00", false, 3600);
        // The 30th of February never comes.
        check(&["* * 30 2 *"], "2026-11-21T12:10:00+08:00", false, 3600);
    }

    #[test]
    fn an_expression_that_could_mean_something_else_is_refused() {
        let check = |expression: &str, words: &str| {
            let error = BulkWindows::parse(&[expression]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(expression.trim()), "{error}");
        };
        check("", "five fields");
        check("* * * *", "five fields");
        check("0 * * * * *", "five fields");
        check("* 0-5 * * 1-5", "day of the week");
        check("* 25 * * *", "reading");
        check("every night at two please", "reading");
    }
}
