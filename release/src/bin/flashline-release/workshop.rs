//! R&D's repository folder: `metadata/` with the roots and every role's last document,
//! `lease-keys.json`, `hub-keys.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use release::folder::Readers;
use release::limits::{
    HUB_KEYS_BYTES_MAX, LEASE_KEYS_BYTES_MAX, ROOT_BYTES_MAX, TARGETS_BYTES_MAX,
};
use release::tuf::{LEASE_KEYS_TARGET, TargetsEdition};
use release::{Digest, HubKeys, PinnedRoot, SigningKey};

use crate::RepoArgs;
use crate::keys::{read, write};

/// The folder's files, by the names of the documents.
pub(crate) struct Workshop {
    folder: PathBuf,
    /// The first root, which stations pin.
    pub(crate) root: PinnedRoot,
    /// The newest one that follows it.
    pub(crate) newest: PinnedRoot,
    pub(crate) hub_keys: HubKeys,
}

impl Workshop {
    pub(crate) fn open(repo: &RepoArgs) -> Result<Self> {
        let folder = repo.repo.clone();
        let roots = roots_in(&folder)?;
        let (_, first) = roots.first().context("the folder has no 1.root.json")?;
        // R&D's own folder is where its root comes from: there is nothing to compare it with.
        let root = PinnedRoot::from_pin(first, &Digest::of(first))?;
        let document = |name: &str| {
            let found = roots.iter().find(|(version, _)| format!("{version}.root.json") == name);
            found.map(|(_, bytes)| bytes.clone())
        };
        let newest = root.follow(&document).context("the newest root; see `root sign`")?;
        let hub_keys =
            HubKeys::from_bytes(&read(&folder.join("hub-keys.json"), HUB_KEYS_BYTES_MAX as u64)?)?;
        Ok(Self { folder, root, newest, hub_keys })
    }

    /// A role's last document, if there is one.
    pub(crate) fn document(&self, role: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(role);
        if !path.exists() {
            return Ok(None);
        }
        read(&path, TARGETS_BYTES_MAX as u64).map(Some)
    }

    pub(crate) fn root_document(&self, version: u64) -> Result<Vec<u8>> {
        read(&self.path(&format!("{version}.root")), ROOT_BYTES_MAX as u64)
    }

    pub(crate) fn replace(&self, role: &str, bytes: &[u8]) -> Result<()> {
        write(&self.path(role), bytes, Readers::Everybody)
    }

    /// Writes a file beside the documents.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write(&self.folder.join(name), bytes, Readers::Everybody)
    }

    /// The files of a bundle that do not depend on the release.
    pub(crate) fn common_files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for (version, root) in roots_in(&self.folder)? {
            files.insert(format!("metadata/{version}.root.json"), root);
        }
        let targets = self.document("targets")?.context("the folder has no targets.json")?;
        files.insert("metadata/targets.json".to_owned(), targets);
        files.insert(LEASE_KEYS_TARGET.to_owned(), self.lease_keys()?);
        Ok(files)
    }

    /// Every document, and no release.
    pub(crate) fn documents(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = self.common_files()?;
        let targets = self.document("targets")?.context("the folder has no targets.json")?;
        for role in TargetsEdition::read(&targets)?.products() {
            if let Some(document) = self.document(role.product.as_str())? {
                files.insert(format!("metadata/{}.json", role.product), document);
            }
        }
        Ok(files)
    }

    pub(crate) fn lease_keys(&self) -> Result<Vec<u8>> {
        read(&self.folder.join(LEASE_KEYS_TARGET), LEASE_KEYS_BYTES_MAX as u64)
    }

    fn path(&self, role: &str) -> PathBuf {
        self.folder.join(format!("metadata/{role}.json"))
    }
}

/// Every root in a folder with its version, from 1 on.
pub(crate) fn roots_in(folder: &Path) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut roots = Vec::new();
    for version in 1.. {
        let path = folder.join(format!("metadata/{version}.root.json"));
        if version > 1 && !path.exists() {
            break;
        }
        roots.push((version, read(&path, ROOT_BYTES_MAX as u64)?));
    }
    Ok(roots)
}

pub(crate) fn refs(keys: &[SigningKey]) -> Vec<&SigningKey> {
    keys.iter().collect()
}
