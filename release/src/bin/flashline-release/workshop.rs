//! R&D's repository folder: `metadata/` with the roots and every role's last document,
//! `lease-keys.json`, `hub-keys.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use release::folder::Readers;
use release::limits::{
    HUB_KEYS_BYTES_MAX, LEASE_KEYS_BYTES_MAX, ROOT_BYTES_MAX, TARGETS_BYTES_MAX,
};
use release::tuf::{
    LEASE_KEYS_TARGET, ProductRole, RoleKeys, RootPlan, TargetsEdition, root_document,
};
use release::{Digest, HubKeys, LeaseKeys, Name, PinnedRoot, SigningKey};

use crate::keys::{public_key, read, signing_keys, write};
use crate::{ProductArgs, RepoArgs, days_ms};

#[derive(Args)]
pub(crate) struct RootInit {
    #[command(flatten)]
    repo: RepoArgs,
    /// Whose root.
    #[arg(long)]
    tenant: Name,
    /// Private keys of those who may change the root.
    #[arg(long = "root-key", value_name = "FILE", required = true)]
    root_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    root_threshold: usize,
    /// Private keys of those who may name products and lease keys.
    #[arg(long = "targets-key", value_name = "FILE", required = true)]
    targets_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    targets_threshold: usize,
    /// The public keys the hub shows.
    #[arg(long, value_name = "FILE")]
    hub_keys: PathBuf,
    #[command(flatten)]
    products: ProductArgs,
    /// How long the root is good.
    #[arg(long, default_value_t = 3650)]
    root_days: u32,
    /// How long the top-level targets are good.
    #[arg(long, default_value_t = 730)]
    targets_days: u32,
}

#[derive(Args)]
pub(crate) struct ProductAdd {
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    products: ProductArgs,
    /// Private keys of those who may name products.
    #[arg(long = "targets-key", value_name = "FILE", required = true)]
    targets_keys: Vec<PathBuf>,
    /// How long the top-level targets are good.
    #[arg(long, default_value_t = 730)]
    targets_days: u32,
}

/// The folder's files, by the names of the documents.
pub(crate) struct Workshop {
    folder: PathBuf,
    pub(crate) root: PinnedRoot,
    pub(crate) hub_keys: HubKeys,
}

impl Workshop {
    pub(crate) fn open(repo: &RepoArgs) -> Result<Self> {
        let folder = repo.repo.clone();
        let first = read(&folder.join("metadata/1.root.json"), ROOT_BYTES_MAX as u64)?;
        // R&D's own folder is where its root comes from: there is nothing to compare it with.
        let root = PinnedRoot::from_pin(&first, &Digest::of(&first))?;
        let hub_keys =
            HubKeys::from_bytes(&read(&folder.join("hub-keys.json"), HUB_KEYS_BYTES_MAX as u64)?)?;
        Ok(Self { folder, root, hub_keys })
    }

    /// A role's last document, if there is one.
    pub(crate) fn document(&self, role: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(role);
        if !path.exists() {
            return Ok(None);
        }
        read(&path, TARGETS_BYTES_MAX as u64).map(Some)
    }

    pub(crate) fn replace(&self, role: &str, bytes: &[u8]) -> Result<()> {
        write(&self.path(role), bytes, Readers::Everybody)
    }

    /// The files of a bundle that do not depend on the release.
    pub(crate) fn common_files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for version in 1.. {
            let name = format!("metadata/{version}.root.json");
            let path = self.folder.join(&name);
            if !path.exists() {
                break;
            }
            files.insert(name, read(&path, ROOT_BYTES_MAX as u64)?);
        }
        let targets = self.document("targets")?.context("the folder has no targets.json")?;
        files.insert("metadata/targets.json".to_owned(), targets);
        files.insert(LEASE_KEYS_TARGET.to_owned(), self.lease_keys()?);
        Ok(files)
    }

    fn lease_keys(&self) -> Result<Vec<u8>> {
        read(&self.folder.join(LEASE_KEYS_TARGET), LEASE_KEYS_BYTES_MAX as u64)
    }

    fn path(&self, role: &str) -> PathBuf {
        self.folder.join(format!("metadata/{role}.json"))
    }
}

pub(crate) fn root_init(args: &RootInit, now_ms: i64) -> Result<()> {
    let folder = &args.repo.repo;
    if folder.join("metadata").exists() {
        bail!("{} already holds a repository", folder.display());
    }
    let hub_keys = HubKeys::from_bytes(&read(&args.hub_keys, HUB_KEYS_BYTES_MAX as u64)?)?;
    if hub_keys.tenant != args.tenant {
        bail!("the hub's keys are for the tenant {}", hub_keys.tenant);
    }
    let root_keys = signing_keys(&args.root_keys)?;
    let targets_keys = signing_keys(&args.targets_keys)?;
    let one = |key| RoleKeys { keys: vec![key], threshold: 1 };
    let plan = RootPlan {
        tenant: args.tenant.clone(),
        version: 1,
        expires_ms: now_ms + days_ms(args.root_days),
        root: role(&root_keys, args.root_threshold),
        targets: role(&targets_keys, args.targets_threshold),
        snapshot: one(hub_keys.snapshot),
        timestamp: one(hub_keys.timestamp),
    };
    let root = root_document(&plan, &refs(&root_keys))?;
    let lease_keys = LeaseKeys::new(args.tenant.clone(), 1, vec![hub_keys.lease])?;
    let mut edition = TargetsEdition::first();
    for product in products(&args.products)? {
        edition.add(product)?;
    }
    let targets =
        edition.write(now_ms + days_ms(args.targets_days), &lease_keys, &refs(&targets_keys))?;

    let everybody = |name: &str, bytes: &[u8]| write(&folder.join(name), bytes, Readers::Everybody);
    everybody("metadata/1.root.json", &root)?;
    everybody("metadata/targets.json", &targets)?;
    everybody(LEASE_KEYS_TARGET, &lease_keys.to_bytes()?)?;
    everybody("hub-keys.json", &hub_keys.to_bytes()?)?;
    let digest = Digest::of(&root);
    match PinnedRoot::from_pin(&root, &digest) {
        Ok(pinned) => crate::look::show_root(&pinned),
        // Other people's signatures are still to come.
        Err(error) => eprintln!("warning: not yet a root: {error}; add signatures with `sign`"),
    }
    println!("root sha256 {digest}");
    Ok(())
}

pub(crate) fn product_add(args: &ProductAdd, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    let last = workshop.document("targets")?.context("the folder has no targets.json")?;
    let mut edition = TargetsEdition::read(&last)?;
    for product in products(&args.products)? {
        edition.add(product)?;
    }
    let lease_keys = LeaseKeys::from_bytes(&workshop.lease_keys()?)?;
    let keys = signing_keys(&args.targets_keys)?;
    let next = edition.write(now_ms + days_ms(args.targets_days), &lease_keys, &refs(&keys))?;
    workshop.replace("targets", &next)?;
    for product in edition.products() {
        println!(
            "product {} ({} of {} keys)",
            product.product,
            product.keys.threshold,
            product.keys.keys.len()
        );
    }
    Ok(())
}

fn products(args: &ProductArgs) -> Result<Vec<ProductRole>> {
    let one = |text: &String| {
        let (name, files) =
            text.split_once('=').context("a product is given as NAME=KEY.pub[,KEY.pub…]")?;
        let keys: Result<Vec<_>> =
            files.split(',').map(|file| public_key(Path::new(file))).collect();
        let keys = RoleKeys { keys: keys?, threshold: args.product_threshold };
        if args.product_threshold < 2 {
            eprintln!("warning: one person alone can release {name}; 2 of 3 is recommended");
        }
        Ok(ProductRole { product: Name::new_product(name)?, keys })
    };
    args.products.iter().map(one).collect()
}

fn role(keys: &[SigningKey], threshold: usize) -> RoleKeys {
    RoleKeys { keys: keys.iter().map(SigningKey::public).collect(), threshold }
}

pub(crate) fn refs(keys: &[SigningKey]) -> Vec<&SigningKey> {
    keys.iter().collect()
}
