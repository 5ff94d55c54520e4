//! Shares of pools and their sealed credentials, sealed secrets, void units: as bytes.

use rusqlite::{OptionalExtension, params};

use super::{Commit, StoreError, UnitKey};

/// A share as the hub lent it, without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareRow {
    /// The allotment's name.
    pub allotment: [u8; 16],
    /// The product whose pool it is from.
    pub product: String,
    /// The loan, JSON, with an empty list of credentials.
    pub loan: Vec<u8>,
    /// How many credentials it had when it came.
    pub count: u32,
}

impl Commit<'_> {
    /// Keeps a share that came. `false`: it is here already, and nothing was changed.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_share(&self, share: &ShareRow) -> Result<bool, StoreError> {
        let added = self
            .transaction
            .prepare_cached(
                "INSERT INTO share (allotment, product, loan, count) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![share.allotment, share.product, share.loan, share.count])?;
        Ok(added == 1)
    }

    /// The shares of a product's pool.
    ///
    /// # Errors
    /// As the database says.
    pub fn shares(&self, product: &str) -> Result<Vec<ShareRow>, StoreError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT allotment, product, loan, count FROM share WHERE product = ?1
             ORDER BY allotment",
        )?;
        let rows = statement.query_map([product], |row| {
            Ok(ShareRow {
                allotment: row.get(0)?,
                product: row.get(1)?,
                loan: row.get(2)?,
                count: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps a sealed credential of a share.
    ///
    /// # Errors
    /// As the database says, also when there is one of this number.
    pub fn put_credential(
        &self,
        allotment: &[u8; 16],
        number: u32,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO credential (allotment, number, sealed) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![allotment, number, sealed])?;
        Ok(())
    }

    /// A sealed credential, unless it was erased.
    ///
    /// # Errors
    /// As the database says.
    pub fn credential(
        &self,
        allotment: &[u8; 16],
        number: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT sealed FROM credential WHERE allotment = ?1 AND number = ?2")?
            .query_row(params![allotment, number], |row| row.get(0))
            .optional()?)
    }

    /// Which chip has which credential of a share.
    ///
    /// # Errors
    /// As the database says.
    pub fn bindings(&self, allotment: &[u8; 16]) -> Result<Vec<BindingRow>, StoreError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT r.number, r.family, r.uid, r.written_seq IS NOT NULL, v.uid IS NOT NULL
             FROM reservation r LEFT JOIN void_unit v
                ON v.product = r.product AND v.family = r.family AND v.uid = r.uid
             WHERE r.allotment = ?1",
        )?;
        let rows = statement.query_map([allotment], |row| {
            Ok(BindingRow {
                number: row.get(0)?,
                family: row.get(1)?,
                uid: row.get(2)?,
                written: row.get(3)?,
                void: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes which record says that a unit's block was written, and what was written.
    ///
    /// # Errors
    /// As the database says.
    pub fn note_written(
        &self,
        unit: &UnitKey,
        epoch: u32,
        seq: u64,
        block_sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE reservation SET written_epoch = ?1, written_seq = ?2, block_sha256 = ?3
                 WHERE product = ?4 AND family = ?5 AND uid = ?6",
            )?
            .execute(params![
                epoch,
                super::journal::signed(seq),
                block_sha256,
                unit.product,
                unit.family,
                unit.uid
            ])?;
        Ok(())
    }

    /// Erases the sealed credentials whose writing the hub has acknowledged with its first `size`
    /// records of `epoch`. How many.
    ///
    /// # Errors
    /// As the database says.
    pub fn erase_credentials(&self, epoch: u32, size: u64) -> Result<usize, StoreError> {
        Ok(self
            .transaction
            .prepare_cached(
                "DELETE FROM credential WHERE EXISTS (SELECT 1 FROM reservation r
                    WHERE r.allotment = credential.allotment AND r.number = credential.number
                    AND r.written_epoch = ?1 AND r.written_seq < ?2)",
            )?
            .execute(params![epoch, super::journal::signed(size)])?)
    }

    /// Erases the credentials of a share that no chip has: they were given back.
    ///
    /// # Errors
    /// As the database says.
    pub fn erase_unbound(&self, allotment: &[u8; 16]) -> Result<usize, StoreError> {
        Ok(self
            .transaction
            .prepare_cached(
                "DELETE FROM credential WHERE allotment = ?1 AND NOT EXISTS
                    (SELECT 1 FROM reservation r WHERE r.allotment = credential.allotment
                     AND r.number = credential.number)",
            )?
            .execute([allotment])?)
    }

    /// Erases every credential and secret: the station may use none any more.
    ///
    /// # Errors
    /// As the database says.
    pub fn erase_secrets(&self) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM credential", [])?;
        self.transaction.execute("DELETE FROM mac_secret", [])?;
        Ok(())
    }

    /// Keeps a product's sealed secret of mode *hmac-sha256*.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_mac_secret(&self, product: &str, sealed: &[u8]) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO mac_secret (product, sealed) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            )?
            .execute(params![product, sealed])?;
        Ok(())
    }

    /// A product's sealed secret of mode *hmac-sha256*.
    ///
    /// # Errors
    /// As the database says.
    pub fn mac_secret(&self, product: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT sealed FROM mac_secret WHERE product = ?1")?
            .query_row([product], |row| row.get(0))
            .optional()?)
    }

    /// Forgets a product's secret: the hub no longer gives it to this station.
    ///
    /// # Errors
    /// As the database says.
    pub fn drop_mac_secret(&self, product: &str) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM mac_secret WHERE product = ?1", [product])?;
        Ok(())
    }

    /// Notes that the rest of an order's portion was given back.
    ///
    /// # Errors
    /// As the database says.
    pub fn return_portion(&self, order_number: &str) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO returned_portion (order_number) VALUES (?1) ON CONFLICT DO NOTHING",
            )?
            .execute([order_number])?;
        Ok(())
    }

    /// Whether the rest of an order's portion was given back.
    ///
    /// # Errors
    /// As the database says.
    pub fn is_returned(&self, order_number: &str) -> Result<bool, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT 1 FROM returned_portion WHERE order_number = ?1")?
            .exists([order_number])?)
    }

    /// Makes a unit void for ever; a credential of a pool that it has is never written any more, and
    /// is erased.
    ///
    /// # Errors
    /// As the database says.
    pub fn void_unit(&self, unit: &UnitKey) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO void_unit (product, family, uid) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![unit.product, unit.family, unit.uid])?;
        self.transaction
            .prepare_cached(
                "DELETE FROM credential WHERE (allotment, number) IN
                    (SELECT allotment, number FROM reservation
                     WHERE product = ?1 AND family = ?2 AND uid = ?3)",
            )?
            .execute(params![unit.product, unit.family, unit.uid])?;
        Ok(())
    }

    /// Whether a unit is void.
    ///
    /// # Errors
    /// As the database says.
    pub fn is_void(&self, unit: &UnitKey) -> Result<bool, StoreError> {
        Ok(self
            .transaction
            .prepare_cached(
                "SELECT 1 FROM void_unit WHERE product = ?1 AND family = ?2 AND uid = ?3",
            )?
            .exists(params![unit.product, unit.family, unit.uid])?)
    }

    /// The unit that has an activation code here.
    ///
    /// # Errors
    /// As the database says.
    pub fn unit_of_code(&self, product: &str, code: &str) -> Result<Option<UnitKey>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT family, uid FROM reservation WHERE product = ?1 AND code = ?2")?
            .query_row([product, code], |row| {
                Ok(UnitKey { product: product.to_owned(), family: row.get(0)?, uid: row.get(1)? })
            })
            .optional()?)
    }
}

/// A chip and its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRow {
    /// The credential's place in its share.
    pub number: u32,
    /// The chip's family.
    pub family: String,
    /// Its UID, upper-case hexadecimal.
    pub uid: String,
    /// Whether its block was written and read back.
    pub written: bool,
    /// Whether the unit is void.
    pub void: bool,
}
