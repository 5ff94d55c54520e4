//! What the journal says about units: their past, their code, the places held.

use activation::Mode;
use rusqlite::{OptionalExtension, params};

use super::{Commit, StoreError};

/// Which unit, for which product. The UID is upper-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitKey {
    /// The product.
    pub product: String,
    /// Family of its identity chip.
    pub family: String,
    /// The chip's UID.
    pub uid: String,
}

/// How a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// A visit holds a place for it.
    InWork,
    /// Passed.
    Passed,
    /// Failed and not passed since.
    Failed,
    /// Scrapped.
    Voided,
}

impl UnitState {
    const fn word(self) -> &'static str {
        match self {
            Self::InWork => "in_work",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Voided => "voided",
        }
    }

    fn of(word: &str) -> Result<Self, StoreError> {
        [Self::InWork, Self::Passed, Self::Failed, Self::Voided]
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or_else(|| StoreError::Damaged { what: format!("a unit is {word}") })
    }
}

/// A unit as the next decision sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRow {
    /// How it stands.
    pub state: UnitState,
    /// The order it was last worked on for.
    pub order_number: String,
    /// Version of the release of that visit.
    pub release: String,
    /// Station time of its first PASS, milliseconds since the Unix epoch.
    pub passed_ms: Option<i64>,
}

/// A code bound to a chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The activation code.
    pub code: String,
    /// The allotment the block was issued from.
    pub allotment: [u8; 16],
    /// Its index there.
    pub number: u32,
    /// How the block is proven.
    pub mode: Mode,
    /// The block as written to the chip; empty in mode *pool*, whose blocks hold secrets.
    pub block: Vec<u8>,
    /// SHA-256 of the block, where it is known.
    pub block_sha256: Option<[u8; 32]>,
}

/// A place held in a portion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Slot that holds it.
    pub slot: u32,
    /// The visit.
    pub visit: String,
    /// The order.
    pub order_number: String,
    /// The unit.
    pub unit: UnitKey,
}

impl Commit<'_> {
    /// What is known about a unit.
    ///
    /// # Errors
    /// As the database says.
    pub fn unit(&self, key: &UnitKey) -> Result<Option<UnitRow>, StoreError> {
        let found = self
            .transaction
            .prepare_cached(
                "SELECT state, order_number, release, passed_ms FROM unit
                 WHERE product = ?1 AND family = ?2 AND uid = ?3",
            )?
            .query_row(params![key.product, key.family, key.uid], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((state, order_number, release, passed_ms)) = found else { return Ok(None) };
        Ok(Some(UnitRow { state: UnitState::of(&state)?, order_number, release, passed_ms }))
    }

    /// Sets what is known about a unit; the time of its first PASS stays.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_unit(&self, key: &UnitKey, row: &UnitRow) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO unit (product, family, uid, state, order_number, release, passed_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET state = excluded.state,
                    order_number = excluded.order_number, release = excluded.release,
                    passed_ms = coalesce(unit.passed_ms, excluded.passed_ms)",
            )?
            .execute(params![
                key.product,
                key.family,
                key.uid,
                row.state.word(),
                row.order_number,
                row.release,
                row.passed_ms
            ])?;
        Ok(())
    }

    /// Units passed for an order.
    ///
    /// # Errors
    /// As the database says.
    pub fn passed_count(&self, order_number: &str) -> Result<u32, StoreError> {
        Ok(self
            .transaction
            .prepare_cached(
                "SELECT count(*) FROM unit WHERE order_number = ?1 AND state = 'passed'",
            )?
            .query_row([order_number], |row| row.get(0))?)
    }

    /// The code bound to a unit.
    ///
    /// # Errors
    /// As the database says.
    pub fn reservation(&self, key: &UnitKey) -> Result<Option<Reservation>, StoreError> {
        self.transaction
            .prepare_cached(
                "SELECT code, allotment, number, block, block_sha256, mode FROM reservation
                 WHERE product = ?1 AND family = ?2 AND uid = ?3",
            )?
            .query_row(params![key.product, key.family, key.uid], |row| {
                let reservation = Reservation {
                    code: row.get(0)?,
                    allotment: row.get(1)?,
                    number: row.get(2)?,
                    mode: Mode::Ed25519,
                    block: row.get(3)?,
                    block_sha256: row.get(4)?,
                };
                Ok((reservation, row.get::<_, String>(5)?))
            })
            .optional()?
            .map(|(reservation, mode)| {
                let damaged = |_| StoreError::Damaged { what: format!("a block of mode {mode}") };
                Ok::<_, StoreError>(Reservation {
                    mode: mode.parse().map_err(damaged)?,
                    ..reservation
                })
            })
            .transpose()
    }

    /// Binds a code to a unit for ever; the database refuses a second one and a used index.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_reservation(&self, key: &UnitKey, code: &Reservation) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO reservation
                    (product, family, uid, code, allotment, number, block, mode, block_sha256)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                key.product,
                key.family,
                key.uid,
                code.code,
                code.allotment,
                code.number,
                code.block,
                code.mode.as_str(),
                code.block_sha256
            ])?;
        Ok(())
    }

    /// The unit that has an index of an allotment.
    ///
    /// # Errors
    /// As the database says.
    pub fn unit_of_number(
        &self,
        allotment: &[u8; 16],
        number: u32,
    ) -> Result<Option<UnitKey>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached(
                "SELECT product, family, uid FROM reservation
                 WHERE allotment = ?1 AND number = ?2",
            )?
            .query_row(params![allotment, number], |row| {
                Ok(UnitKey { product: row.get(0)?, family: row.get(1)?, uid: row.get(2)? })
            })
            .optional()?)
    }

    /// The first unused index of an allotment at or above `from`.
    ///
    /// # Errors
    /// As the database says.
    pub fn next_number(&self, allotment: &[u8; 16], from: u32) -> Result<u32, StoreError> {
        let last: Option<u32> = self
            .transaction
            .prepare_cached(
                "SELECT max(number) FROM (
                     SELECT number FROM reservation WHERE allotment = ?1
                     UNION ALL SELECT next - 1 FROM spent_index WHERE allotment = ?1)",
            )?
            .query_row([allotment], |row| row.get(0))?;
        Ok(last.map_or(from, |last| from.max(last.saturating_add(1))))
    }

    /// Indices below `next` are spent, by records that are not here.
    ///
    /// # Errors
    /// As the database says.
    pub fn spend_below(&self, allotment: &[u8; 16], next: u32) -> Result<(), StoreError> {
        if next == 0 {
            return Ok(());
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO spent_index (allotment, next) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
            )?
            .execute(params![allotment, next])?;
        Ok(())
    }

    /// Takes a place for a visit; the slot must hold none.
    ///
    /// # Errors
    /// As the database says.
    pub fn take_place(&self, place: &Place) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO place (slot, visit, order_number, product, family, uid)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                place.slot,
                place.visit,
                place.order_number,
                place.unit.product,
                place.unit.family,
                place.unit.uid
            ])?;
        Ok(())
    }

    /// Gives a slot's place back.
    ///
    /// # Errors
    /// As the database says.
    pub fn give_place_back(&self, slot: u32) -> Result<(), StoreError> {
        self.transaction.prepare_cached("DELETE FROM place WHERE slot = ?1")?.execute([slot])?;
        Ok(())
    }

    /// Every place held.
    ///
    /// # Errors
    /// As the database says.
    pub fn places(&self) -> Result<Vec<Place>, StoreError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT slot, visit, order_number, product, family, uid FROM place ORDER BY slot",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Place {
                slot: row.get(0)?,
                visit: row.get(1)?,
                order_number: row.get(2)?,
                unit: UnitKey { product: row.get(3)?, family: row.get(4)?, uid: row.get(5)? },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
