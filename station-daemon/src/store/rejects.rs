//! What lies open between shifts: rejected boards in no bin, codes that are not proven.

use rusqlite::params;

use super::{Commit, StoreError};

/// A rejected board as it is kept: one per slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReject {
    /// The slot it failed in.
    pub slot: u32,
    /// The visit.
    pub visit: String,
    /// Stable trouble code, `F-13`.
    pub trouble: String,
    /// Last four hexadecimal digits of the chip's unique id, where it told one.
    pub uid_tail: Option<String>,
    /// Station time of the failure, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// A code that is bound to a chip and not proven on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCode {
    /// The activation code.
    pub code: String,
    /// The order.
    pub order_number: String,
    /// The chip's unique id in hexadecimal.
    pub uid: String,
}

impl Commit<'_> {
    /// The newest codes that are bound to a chip which never passed, at most `most`, and how many
    /// there are.
    ///
    /// # Errors
    /// As the database says.
    pub fn codes_not_proven(&self, most: usize) -> Result<(Vec<OpenCode>, u32), StoreError> {
        const OPEN: &str = "FROM unit JOIN reservation USING (product, family, uid)
             WHERE state IN ('in_work', 'failed') AND passed_ms IS NULL";
        let mut found = self.transaction.prepare(&format!(
            "SELECT code, order_number, uid {OPEN} ORDER BY reservation.rowid DESC LIMIT ?1"
        ))?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = found.query_map([most], |row| {
            Ok(OpenCode { code: row.get(0)?, order_number: row.get(1)?, uid: row.get(2)? })
        })?;
        let codes = rows.collect::<Result<_, _>>()?;
        let count = format!("SELECT count(*) {OPEN}");
        Ok((codes, self.transaction.query_row(&count, [], |row| row.get(0))?))
    }

    /// Keeps a rejected board in place of one that its slot had before.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_reject(&self, reject: &KeptReject) -> Result<(), StoreError> {
        let KeptReject { slot, visit, trouble, uid_tail, at_ms } = reject;
        self.transaction.execute(
            "INSERT OR REPLACE INTO reject (slot, visit, trouble, uid_tail, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![slot, visit, trouble, uid_tail, at_ms],
        )?;
        Ok(())
    }

    /// The slot's rejected board is in a bin.
    ///
    /// # Errors
    /// As the database says.
    pub fn drop_reject(&self, slot: u32) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM reject WHERE slot = ?1", [slot])?;
        Ok(())
    }

    /// Every rejected board that is in no bin.
    ///
    /// # Errors
    /// As the database says.
    pub fn rejects(&self) -> Result<Vec<KeptReject>, StoreError> {
        let mut found = self
            .transaction
            .prepare("SELECT slot, visit, trouble, uid_tail, at_ms FROM reject ORDER BY slot")?;
        let rows = found.query_map([], |row| {
            Ok(KeptReject {
                slot: row.get(0)?,
                visit: row.get(1)?,
                trouble: row.get(2)?,
                uid_tail: row.get(3)?,
                at_ms: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
