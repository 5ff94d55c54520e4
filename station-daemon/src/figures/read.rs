//! Reading the sums, beside the desk: a lead who looks at a chart never holds up a slot.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::report::{BurnDown, Hour, OrderFigures, VisitRow};
use super::{Attempt, Ending, HOUR_MS, Tally, bad_slot, flash_time, p_chart, pareto, yield_counts};
use crate::store::StoreError;

/// Passes in the chart of times.
const TIMES_MAX: u32 = 200;
/// Hours with output that say how fast the portion is used up.
const PACE_HOURS: usize = 8;
/// Visits in one page of a listing.
pub(crate) const PAGE_VISITS: u32 = 200;

/// The store's figures, read only. SQLite's write-ahead log lets a reader and the one writer work
/// side by side.
pub struct Figures {
    connection: Connection,
}

/// Which visits a listing shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisitFilter {
    /// Of this slot only.
    pub slot: Option<u32>,
    /// That failed with this code only.
    pub trouble: Option<String>,
    /// Of this unit only, by its unique id in hexadecimal.
    pub unit: Option<String>,
    /// Older than this number only.
    pub before: Option<u32>,
}

impl Figures {
    /// Opens the store's file to read.
    ///
    /// # Errors
    /// When there is no such file, or as the database says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(Self { connection })
    }

    /// Numbers of the orders with ended visits, the one worked on last first.
    ///
    /// # Errors
    /// As the database says.
    pub fn orders(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT order_number FROM tally WHERE order_number <> ''
             GROUP BY order_number ORDER BY max(hour) DESC, order_number",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything about an order. `quantity` is the station's portion, where it is known.
    ///
    /// # Errors
    /// As the database says; [`StoreError::Damaged`] for a word that nobody wrote.
    pub fn of_order(
        &self,
        order: &str,
        quantity: Option<u32>,
        takt_s: Option<u32>,
        now_ms: i64,
    ) -> Result<OrderFigures, StoreError> {
        let tallies = self.tallies(order)?;
        let (hours, failing_share) = p_chart::hours(&tallies);
        let counts = yield_counts(&tallies);
        let takt_ms = takt_s.map(|takt_s| f64::from(takt_s) * 1000.0);
        let flash_time = flash_time::flash_time(&self.last_passes(order)?, takt_ms);
        let passed = counts.first_pass + counts.recovered + unnamed_passes(&tallies);
        Ok(OrderFigures {
            order: order.to_owned(),
            made_ms: now_ms,
            takt_s,
            causes: pareto::pareto(&tallies, |tally| tally.trouble.as_deref()),
            steps: pareto::pareto(&tallies, |tally| tally.step.as_deref()),
            slots: bad_slot::slots(&tallies),
            burn_down: burn_down(quantity, passed, &hours),
            counts,
            hours,
            failing_share,
            flash_time,
        })
    }

    /// Ended visits of an order, the last first, at most `most` of them.
    ///
    /// # Errors
    /// As the database says.
    pub fn visits(
        &self,
        order: &str,
        filter: &VisitFilter,
        most: u32,
    ) -> Result<Vec<VisitRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, at_ms, slot, visit, unit, attempt, ending, trouble, step, code, took_ms
             FROM outcome
             WHERE order_number = ?1 AND number < ?2 AND (?3 IS NULL OR slot = ?3)
                AND (?4 IS NULL OR trouble = ?4) AND (?5 IS NULL OR unit = ?5)
             ORDER BY number DESC LIMIT ?6",
        )?;
        let before = filter.before.map_or(i64::MAX, i64::from);
        let rows = statement.query_map(
            params![order, before, filter.slot, filter.trouble, filter.unit, most],
            |row| {
                Ok(VisitRow {
                    number: row.get(0)?,
                    at_ms: row.get(1)?,
                    slot: row.get(2)?,
                    visit: row.get(3)?,
                    unit: row.get(4)?,
                    attempt: row.get(5)?,
                    ending: row.get(6)?,
                    trouble: row.get(7)?,
                    step: row.get(8)?,
                    code: row.get(9)?,
                    took_ms: row.get(10)?,
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn tallies(&self, order: &str) -> Result<Vec<Tally>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT hour, slot, attempt, ending, trouble, step, visits FROM tally
             WHERE order_number = ?1",
        )?;
        let mut rows = statement.query([order])?;
        let mut tallies = Vec::new();
        while let Some(row) = rows.next()? {
            let (attempt, ending): (String, String) = (row.get(2)?, row.get(3)?);
            let (trouble, step): (String, String) = (row.get(4)?, row.get(5)?);
            let unknown = |word: &str| StoreError::Damaged { what: format!("a visit was {word}") };
            tallies.push(Tally {
                hour: row.get(0)?,
                slot: row.get(1)?,
                attempt: Attempt::of(&attempt).ok_or_else(|| unknown(&attempt))?,
                ending: Ending::of(&ending).ok_or_else(|| unknown(&ending))?,
                trouble: Some(trouble).filter(|trouble| !trouble.is_empty()),
                step: Some(step).filter(|step| !step.is_empty()),
                visits: row.get(6)?,
            });
        }
        Ok(tallies)
    }

    /// The last passes of an order, oldest first: end, slot, time.
    fn last_passes(&self, order: &str) -> Result<Vec<(i64, u32, u32)>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT at_ms, slot, took_ms FROM outcome
             WHERE order_number = ?1 AND ending = 'pass' ORDER BY number DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![order, TIMES_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let mut passes: Vec<(i64, u32, u32)> = rows.collect::<Result<_, _>>()?;
        passes.reverse();
        Ok(passes)
    }
}

/// Passes of chips that tell nobody who they are: each is a unit of its own.
fn unnamed_passes(tallies: &[Tally]) -> u32 {
    let unnamed =
        tallies.iter().filter(|t| t.attempt == Attempt::Unnamed && t.ending == Ending::Pass);
    unnamed.map(|tally| tally.visits).sum()
}

/// Pace over the last hours in which something passed; the running hour counts whole once it is
/// over, so that a shift's first minutes promise nothing.
fn burn_down(quantity: Option<u32>, passed: u32, hours: &[Hour]) -> BurnDown {
    let quantity = quantity.unwrap_or(passed);
    let productive: Vec<u32> =
        hours.iter().rev().map(|hour| hour.passed).filter(|passed| *passed > 0).collect();
    // With nothing but the running hour, it is all there is.
    let whole = if productive.len() > 1 { &productive[1..] } else { &productive[..] };
    let last = &whole[..whole.len().min(PACE_HOURS)];
    let per_hour = (!last.is_empty()).then(|| {
        f64::from(last.iter().sum::<u32>()) / f64::from(u32::try_from(last.len()).unwrap_or(1))
    });
    let left = quantity.saturating_sub(passed);
    let full_in_s = per_hour.map(|per_hour| {
        let seconds = f64::from(left) / per_hour * (HOUR_MS / 1000) as f64;
        // Saturates: a portion that is never full at this pace.
        seconds.ceil() as u32
    });
    BurnDown { quantity, passed, per_hour, full_in_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EndedVisit, Store};

    struct Line {
        store: Store,
        folder: tempfile::TempDir,
        visits: u32,
    }

    impl Line {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let store = Store::open(&folder.path().join("station.db")).expect("store");
            Self { store, folder, visits: 0 }
        }

        fn end(&mut self, unit: Option<&str>, ending: Ending, trouble: Option<&str>) {
            self.visits += 1;
            let ended = EndedVisit {
                at_ms: i64::from(self.visits) * 60_000,
                order_number: Some("WO-1".to_owned()),
                slot: 1 + self.visits % 4,
                visit: format!("v{}", self.visits),
                unit: unit.map(str::to_owned),
                ending,
                trouble: trouble.map(str::to_owned),
                step: trouble.map(|_| "program".to_owned()),
                code: None,
                took_ms: 4_000 + self.visits,
            };
            self.store.commit(|commit| commit.end_visit(&ended)).expect("kept");
        }

        fn figures(&self) -> Figures {
            Figures::open(&self.folder.path().join("station.db")).expect("figures")
        }
    }

    #[test]
    fn a_unit_that_failed_and_passed_later_is_recovered_and_no_first_pass() {
        let mut line = Line::new();
        line.end(Some("A1"), Ending::Pass, None);
        line.end(Some("B2"), Ending::Fail, Some("F-13"));
        line.end(Some("B2"), Ending::Fail, Some("F-11"));
        line.end(Some("B2"), Ending::Pass, None);
        line.end(Some("A1"), Ending::SeenBefore, None);
        line.end(Some("A1"), Ending::Pass, None);
        line.end(None, Ending::Fail, Some("F-10"));
        let figures = line.figures().of_order("WO-1", Some(10), None, 0).expect("figures");
        assert_eq!((figures.counts.units, figures.counts.first_pass), (2, 1));
        assert_eq!((figures.counts.recovered, figures.counts.still_failed), (1, 0));
        assert_eq!((figures.counts.unnamed, figures.counts.seen_before), (1, 1));
        assert_eq!((figures.burn_down.passed, figures.burn_down.quantity), (2, 10));
        assert_eq!(figures.causes.len(), 3);
        assert_eq!(line.figures().orders().expect("orders"), ["WO-1"]);
    }

    #[test]
    fn a_lead_drills_down_to_the_visits_of_a_slot_a_cause_and_a_unit_page_by_page() {
        let mut line = Line::new();
        for round in 0..10 {
            line.end(Some(&format!("U{round}")), Ending::Fail, Some("F-13"));
            line.end(Some(&format!("U{round}")), Ending::Pass, None);
        }
        let figures = line.figures();
        let seen = |filter: &VisitFilter, most| -> Vec<u32> {
            let rows = figures.visits("WO-1", filter, most).expect("visits");
            rows.iter().map(|row| row.number).collect()
        };
        assert_eq!(seen(&VisitFilter::default(), 3), [20, 19, 18]);
        let after = VisitFilter { before: Some(18), ..VisitFilter::default() };
        assert_eq!(seen(&after, 3), [17, 16, 15]);
        let failed = VisitFilter { trouble: Some("F-13".into()), ..VisitFilter::default() };
        assert_eq!(seen(&failed, 100).len(), 10);
        let unit = VisitFilter { unit: Some("U3".into()), ..VisitFilter::default() };
        assert_eq!(seen(&unit, 100), [8, 7]);
        let slot = VisitFilter { slot: Some(2), ..VisitFilter::default() };
        assert_eq!(seen(&slot, 100), [17, 13, 9, 5, 1]);
    }

    #[test]
    fn an_order_nobody_worked_on_has_empty_figures() {
        let line = Line::new();
        let figures = line.figures().of_order("WO-9", Some(5), Some(30), 7).expect("figures");
        assert!(figures.hours.is_empty() && figures.slots.is_empty());
        assert_eq!((figures.flash_time, figures.burn_down.full_in_s), (None, None));
    }

    #[test]
    fn the_pace_is_that_of_whole_hours_once_there_is_one() {
        let hour = |passed| Hour {
            from_ms: 0,
            passed,
            tried: passed,
            failed: 0,
            lower: None,
            upper: None,
            outside: false,
        };
        let pace = |hours: &[Hour]| burn_down(Some(1000), 100, hours);
        assert_eq!(pace(&[hour(5)]).per_hour, Some(5.0));
        assert_eq!(pace(&[hour(90), hour(0), hour(110), hour(3)]).per_hour, Some(100.0));
        assert_eq!(pace(&[hour(90), hour(0), hour(110), hour(3)]).full_in_s, Some(9 * 3600));
        assert_eq!(burn_down(Some(3), 3, &[hour(3)]).full_in_s, Some(0));
    }
}
