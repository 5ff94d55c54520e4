//! Visits that ended, kept for the lead's figures beside the records that say so.

use rusqlite::{OptionalExtension, params};

use super::{Commit, StoreError};
use crate::figures::{Attempt, Ending, HOUR_MS};

/// A visit that just ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedVisit {
    /// Station time, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The order it was for, where that is known without the place it held.
    pub order_number: Option<String>,
    /// Slot.
    pub slot: u32,
    /// The visit's name.
    pub visit: String,
    /// The chip's unique id in hexadecimal, where it told one.
    pub unit: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// The trouble's code, for a failure.
    pub trouble: Option<String>,
    /// The step that failed.
    pub step: Option<String>,
    /// Activation code.
    pub code: Option<String>,
    /// From contact to record, milliseconds; 0 where nobody measured.
    pub took_ms: u32,
}

impl Commit<'_> {
    /// Order and time of the passes since `since_ms`, the newest first, at most `most`.
    ///
    /// # Errors
    /// As the database says.
    pub fn passes_since(
        &self,
        since_ms: i64,
        most: usize,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let mut found = self.transaction.prepare(
            "SELECT order_number, at_ms FROM outcome WHERE ending = 'pass'
             ORDER BY number DESC LIMIT ?1",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = found.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let passes: Vec<(String, i64)> = rows.collect::<Result<_, _>>()?;
        Ok(passes.into_iter().filter(|(_, at_ms)| *at_ms >= since_ms).collect())
    }

    /// Keeps the end of a visit and adds it to the sums. Where the order is not given, it is that
    /// of the place which the visit holds, so this comes before the place is given back.
    ///
    /// # Errors
    /// As the database says.
    pub fn end_visit(&self, ended: &EndedVisit) -> Result<(), StoreError> {
        let order = match &ended.order_number {
            Some(order) => order.clone(),
            None => self.order_of_visit(&ended.visit)?.unwrap_or_default(),
        };
        let attempt = self.attempt(&order, ended)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO outcome (at_ms, order_number, slot, visit, unit, attempt, ending,
                    trouble, step, code, took_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                ended.at_ms,
                order,
                ended.slot,
                ended.visit,
                ended.unit,
                attempt.word(),
                ended.ending.word(),
                ended.trouble,
                ended.step,
                ended.code,
                ended.took_ms
            ])?;
        self.transaction
            .prepare_cached(
                "INSERT INTO tally (order_number, hour, slot, attempt, ending, trouble, step,
                    visits)
                 VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, ''), coalesce(?7, ''), 1)
                 ON CONFLICT DO UPDATE SET visits = visits + 1",
            )?
            .execute(params![
                order,
                ended.at_ms.div_euclid(HOUR_MS),
                ended.slot,
                attempt.word(),
                ended.ending.word(),
                ended.trouble,
                ended.step
            ])?;
        Ok(())
    }

    fn order_of_visit(&self, visit: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT order_number FROM place WHERE visit = ?1")?
            .query_row([visit], |row| row.get(0))
            .optional()?)
    }

    fn attempt(&self, order: &str, ended: &EndedVisit) -> Result<Attempt, StoreError> {
        let Some(unit) = &ended.unit else { return Ok(Attempt::Unnamed) };
        if ended.ending == Ending::SeenBefore {
            return Ok(Attempt::Again);
        }
        let (visits, passes): (u32, u32) = self
            .transaction
            .prepare_cached(
                "SELECT count(*), coalesce(sum(ending = 'pass'), 0) FROM outcome
                 WHERE order_number = ?1 AND unit = ?2 AND ending <> 'seen_before'",
            )?
            .query_row([order, unit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(match (visits, passes, ended.ending) {
            (0, _, _) => Attempt::First,
            (_, 0, Ending::Pass) => Attempt::Recovering,
            (_, _, Ending::Pass | Ending::Fail | Ending::SeenBefore) => Attempt::Again,
        })
    }
}
