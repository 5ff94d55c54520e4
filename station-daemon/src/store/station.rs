//! Settings and sealed private keys.

use rusqlite::{OptionalExtension, params};

use super::{Commit, StoreError};

/// What a private key is for; each is used for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Client certificate, P-256, PKCS #8.
    Tls,
    /// Content keys are wrapped for it, X25519, 32 bytes.
    Hpke,
    /// Journal heads and activation blocks, Ed25519, PKCS #8.
    Journal,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Tls, Self::Hpke, Self::Journal];

    /// Stable word, also bound into the seal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Hpke => "hpke",
            Self::Journal => "journal",
        }
    }
}

impl Commit<'_> {
    /// Keeps a setting.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
            )?
            .execute(params![name, value])?;
        Ok(())
    }

    /// Removes a setting.
    ///
    /// # Errors
    /// As the database says.
    pub fn drop_setting(&self, name: &str) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM setting WHERE name = ?1", [name])?;
        Ok(())
    }

    /// A setting.
    ///
    /// # Errors
    /// As the database says.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }

    /// Keeps a sealed private key; there is never a second one of a kind.
    ///
    /// # Errors
    /// As the database says, also when there is one.
    pub fn put_key(&self, kind: KeyKind, sealed: &[u8]) -> Result<(), StoreError> {
        self.transaction.execute(
            "INSERT INTO private_key (kind, sealed) VALUES (?1, ?2)",
            params![kind.word(), sealed],
        )?;
        Ok(())
    }

    /// A sealed private key.
    ///
    /// # Errors
    /// As the database says.
    pub fn key(&self, kind: KeyKind) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .transaction
            .query_row("SELECT sealed FROM private_key WHERE kind = ?1", [kind.word()], |row| {
                row.get(0)
            })
            .optional()?)
    }
}
