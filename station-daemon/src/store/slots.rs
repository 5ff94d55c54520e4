//! What is kept about slots: which are closed, and which ports they were taught.

use rusqlite::params;

use super::{Commit, StoreError};

impl Commit<'_> {
    /// Keeps that a slot takes no boards, and why; a slot closed before keeps its first reason.
    ///
    /// # Errors
    /// As the database says.
    pub fn close_slot(&self, slot: u32, trouble: &str) -> Result<(), StoreError> {
        self.transaction.execute(
            "INSERT INTO closed_slot (slot, trouble) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![slot, trouble],
        )?;
        Ok(())
    }

    /// Keeps that a slot takes boards again.
    ///
    /// # Errors
    /// As the database says.
    pub fn open_slot(&self, slot: u32) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM closed_slot WHERE slot = ?1", [slot])?;
        Ok(())
    }

    /// The closed slots, and the trouble that closed each.
    ///
    /// # Errors
    /// As the database says.
    pub fn closed_slots(&self) -> Result<Vec<(u32, String)>, StoreError> {
        let mut found =
            self.transaction.prepare("SELECT slot, trouble FROM closed_slot ORDER BY slot")?;
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Binds a port to a slot; one that belonged to another slot belongs to this one then.
    ///
    /// # Errors
    /// As the database says.
    pub fn teach_port(&self, slot: u32, port: &str) -> Result<(), StoreError> {
        self.transaction.execute(
            "INSERT INTO taught_port (port, slot) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET slot = excluded.slot",
            params![port, slot],
        )?;
        Ok(())
    }

    /// Forgets every port a slot was taught.
    ///
    /// # Errors
    /// As the database says.
    pub fn forget_ports(&self, slot: u32) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM taught_port WHERE slot = ?1", [slot])?;
        Ok(())
    }

    /// The ports taught, and the slot of each.
    ///
    /// # Errors
    /// As the database says.
    pub fn taught_ports(&self) -> Result<Vec<(u32, String)>, StoreError> {
        let mut found =
            self.transaction.prepare("SELECT slot, port FROM taught_port ORDER BY slot, port")?;
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
