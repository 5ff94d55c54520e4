//! Documents and sealed chunks, as bytes.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::{Commit, StoreError};

impl Commit<'_> {
    /// Keeps a document that came in; it is judged later.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_document(&self, name: &str, etag: &str, body: &[u8]) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO document (name, trusted, etag, body) VALUES (?1, 0, ?2, ?3)
                 ON CONFLICT DO UPDATE SET etag = excluded.etag, body = excluded.body",
            )?
            .execute(params![name, etag, body])?;
        Ok(())
    }

    /// A document, from the trusted set or as it came in.
    ///
    /// # Errors
    /// As the database says.
    pub fn document(&self, name: &str, trusted: bool) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT body FROM document WHERE name = ?1 AND trusted = ?2")?
            .query_row(params![name, trusted], |row| row.get(0))
            .optional()?)
    }

    /// Every document of one set by name.
    ///
    /// # Errors
    /// As the database says.
    pub fn documents(&self, trusted: bool) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let mut statement = self
            .transaction
            .prepare_cached("SELECT name, body FROM document WHERE trusted = ?1")?;
        let rows = statement.query_map([trusted], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Name and ETag of every document that came in.
    ///
    /// # Errors
    /// As the database says.
    pub fn etags(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut statement =
            self.transaction.prepare_cached("SELECT name, etag FROM document WHERE trusted = 0")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes what came in the trusted set.
    ///
    /// # Errors
    /// As the database says.
    pub fn trust_documents(&self) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM document WHERE trusted = 1", [])?;
        self.transaction.execute(
            "INSERT INTO document (name, trusted, etag, body)
             SELECT name, 1, etag, body FROM document WHERE trusted = 0",
            [],
        )?;
        Ok(())
    }

    /// Sets one document of the trusted set; `None` removes it.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_trusted(&self, name: &str, body: Option<&[u8]>) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM document WHERE trusted = 1 AND name = ?1", [name])?;
        if let Some(body) = body {
            self.transaction.execute(
                "INSERT INTO document (name, trusted, etag, body) VALUES (?1, 1, '', ?2)",
                params![name, body],
            )?;
        }
        Ok(())
    }

    /// Erases the body of a document that came in; its ETag stays, so that the same one is not
    /// fetched again.
    ///
    /// # Errors
    /// As the database says.
    pub fn empty_document(&self, name: &str) -> Result<(), StoreError> {
        self.transaction
            .execute("UPDATE document SET body = x'' WHERE trusted = 0 AND name = ?1", [name])?;
        Ok(())
    }

    /// Puts another body into a document that came in, if it is there; its ETag stays, so that the
    /// same one is not fetched again.
    ///
    /// # Errors
    /// As the database says.
    pub fn replace_body(&self, name: &str, body: &[u8]) -> Result<(), StoreError> {
        self.transaction.execute(
            "UPDATE document SET body = ?2 WHERE trusted = 0 AND name = ?1",
            params![name, body],
        )?;
        Ok(())
    }

    /// Forgets a document that the hub no longer lists.
    ///
    /// # Errors
    /// As the database says.
    pub fn drop_document(&self, name: &str) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM document WHERE trusted = 0 AND name = ?1", [name])?;
        Ok(())
    }

    /// Keeps a sealed chunk.
    ///
    /// # Errors
    /// As the database says.
    pub fn put_chunk(&self, digest: &[u8; 32], body: &[u8]) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO chunk (digest, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![digest, body])?;
        Ok(())
    }

    /// A sealed chunk.
    ///
    /// # Errors
    /// As the database says.
    pub fn chunk(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT body FROM chunk WHERE digest = ?1")?
            .query_row([digest], |row| row.get(0))
            .optional()?)
    }

    /// Whether a sealed chunk is here.
    ///
    /// # Errors
    /// As the database says.
    pub fn has_chunk(&self, digest: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(self
            .transaction
            .prepare_cached("SELECT 1 FROM chunk WHERE digest = ?1")?
            .exists([digest])?)
    }

    /// Forgets a chunk that turned out damaged, so that it is fetched again.
    ///
    /// # Errors
    /// As the database says.
    pub fn drop_chunk(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        self.transaction.execute("DELETE FROM chunk WHERE digest = ?1", [digest])?;
        Ok(())
    }
}
