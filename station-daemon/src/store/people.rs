//! What is kept about people: attempts at their PINs. Numbers and digests only.

use release::Digest;
use rusqlite::params;

use super::{Commit, StoreError};
use crate::people::throttle::Attempts;

impl Commit<'_> {
    /// Keeps an operator's attempts.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_attempts(&self, attempts: &Attempts) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO pin_attempt (operator, attempts, wait_ms, verifier)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET attempts = excluded.attempts,
                    wait_ms = excluded.wait_ms, verifier = excluded.verifier",
            )?
            .execute(params![
                attempts.operator,
                attempts.attempts,
                attempts.wait_ms,
                attempts.verifier.as_bytes()
            ])?;
        Ok(())
    }

    /// Forgets an operator's attempts.
    ///
    /// # Errors
    /// As the database says.
    pub fn forget_attempts(&self, operator: u32) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM pin_attempt WHERE operator = ?1", [operator])?;
        Ok(())
    }

    /// Everybody's attempts.
    ///
    /// # Errors
    /// As the database says.
    pub fn attempts(&self) -> Result<Vec<Attempts>, StoreError> {
        let mut found = self.transaction.prepare(
            "SELECT operator, attempts, wait_ms, verifier FROM pin_attempt ORDER BY operator",
        )?;
        let rows = found.query_map([], |row| {
            Ok(Attempts {
                operator: row.get(0)?,
                attempts: row.get(1)?,
                wait_ms: row.get(2)?,
                verifier: Digest::from_bytes(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps that an order takes no boards here, or takes them again.
    ///
    /// # Errors
    /// As the database says.
    pub fn close_order(&self, order_number: &str, closed: bool) -> Result<(), StoreError> {
        let sql = if closed {
            "INSERT INTO closed_order (order_number) VALUES (?1) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM closed_order WHERE order_number = ?1"
        };
        self.transaction.execute(sql, [order_number])?;
        Ok(())
    }

    /// The orders that take no boards here.
    ///
    /// # Errors
    /// As the database says.
    pub fn closed_orders(&self) -> Result<Vec<String>, StoreError> {
        let mut found =
            self.transaction.prepare("SELECT order_number FROM closed_order ORDER BY 1")?;
        let rows = found.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
