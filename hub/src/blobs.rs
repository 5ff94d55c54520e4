//! Sealed chunks as files named by their SHA-256, under `blobs/ab/cdef…`.
//!
//! Owns the folder. Leaves to the store which tenant may have which chunk: a blob without a
//! release that names it is served to nobody.
//!
//! Promise: a blob that exists is whole and has the digest in its name.

use std::io;
use std::path::{Path, PathBuf};

use protocol::Sha256;

use crate::digest::sha256;
use crate::replace_file::{Readers, replace_file};

/// A blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The bytes do not have the digest they came under.
    #[error("the bytes are not those of chunk {0}")]
    Differs(Sha256),
    /// The folder failed.
    #[error("keeping chunk {digest}")]
    Io {
        /// Which.
        digest: Sha256,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folder of blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Takes `folder`, which need not exist yet.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self, digest: &Sha256) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Whether the blob is there.
    #[must_use]
    pub fn has(&self, digest: &Sha256) -> bool {
        self.path(digest).is_file()
    }

    /// Keeps a blob; one that is there already is left alone.
    ///
    /// # Errors
    /// [`BlobError::Differs`] when the bytes are others, [`BlobError::Io`].
    pub fn keep(&self, digest: &Sha256, bytes: &[u8]) -> Result<(), BlobError> {
        if sha256(bytes) != *digest {
            return Err(BlobError::Differs(*digest));
        }
        if self.has(digest) {
            return Ok(());
        }
        let path = self.path(digest);
        let keep = || {
            let shelf = path.parent().ok_or_else(|| io::Error::other("a blob needs a folder"))?;
            std::fs::create_dir_all(shelf)?;
            replace_file(&path, bytes, Readers::All)
        };
        keep().map_err(|source| BlobError::Io { digest: *digest, source })
    }

    /// Reads a blob; `None` when it is not there.
    ///
    /// # Errors
    /// [`BlobError::Io`]; [`BlobError::Differs`] when the disk changed it.
    pub fn read(&self, digest: &Sha256) -> Result<Option<Vec<u8>>, BlobError> {
        match std::fs::read(self.path(digest)) {
            Ok(bytes) if sha256(&bytes) == *digest => Ok(Some(bytes)),
            Ok(_) => Err(BlobError::Differs(*digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BlobError::Io { digest: *digest, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_kept_only_under_its_own_digest_and_read_only_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::in_folder(folder.path());
        let digest = sha256(b"chunk");
        assert!(blobs.read(&digest).unwrap().is_none());
        assert!(matches!(blobs.keep(&digest, b"other"), Err(BlobError::Differs(_))));
        blobs.keep(&digest, b"chunk").unwrap();
        blobs.keep(&digest, b"chunk").unwrap();
        assert_eq!(blobs.read(&digest).unwrap().unwrap(), b"chunk");
        replace_file(&blobs.path(&digest), b"rotten", Readers::All).unwrap();
        assert!(matches!(blobs.read(&digest), Err(BlobError::Differs(_))));
    }
}
