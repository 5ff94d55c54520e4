//! `root init`, `root rotate` and `root sign`: who may change the root, and who may name products.
//!
//! The people of a quorum sit at machines of their own: each gets the folder, signs with `root
//! sign`, and hands it on. A root counts once its own quorum and the one before it have signed.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use release::envelope::{add_signature, good_signatures};
use release::folder::Readers;
use release::limits::{HUB_KEYS_BYTES_MAX, ROOT_BYTES_MAX, TARGETS_BYTES_MAX};
use release::tuf::{LEASE_KEYS_TARGET, RoleKeys, RootPlan, TargetsEdition, root_document};
use release::{Digest, HubKeys, LeaseKeys, Name, PinnedRoot, PublicKey, SigningKey};

use crate::keys::{KeyFile, key_files, read, signing_keys, write};
use crate::workshop::{Workshop, roots_in};
use crate::{ProductArgs, RepoArgs, days_ms};

#[derive(Args)]
pub(crate) struct RootInit {
    #[command(flatten)]
    repo: RepoArgs,
    /// Whose root.
    #[arg(long)]
    tenant: Name,
    /// Keys of those who may change the root: those given as private keys sign now, the others
    /// later with `root sign`.
    #[arg(long = "root-key", visible_alias = "key", value_name = "FILE", required = true)]
    root_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, visible_alias = "threshold", default_value_t = 1)]
    root_threshold: usize,
    /// Keys of those who may name products and lease keys, private or public as above.
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
pub(crate) struct RootRotate {
    #[command(flatten)]
    repo: RepoArgs,
    /// Keys that may change the root from now on, beside those that stay.
    #[arg(long, value_name = "FILE")]
    add_root_key: Vec<PathBuf>,
    /// Keys that may change the root no more.
    #[arg(long, value_name = "FILE")]
    remove_root_key: Vec<PathBuf>,
    /// How many of the root's keys must sign; as before when absent.
    #[arg(long)]
    root_threshold: Option<usize>,
    /// Keys that may name products and lease keys from now on.
    #[arg(long, value_name = "FILE")]
    add_targets_key: Vec<PathBuf>,
    /// Keys that may name products and lease keys no more.
    #[arg(long, value_name = "FILE")]
    remove_targets_key: Vec<PathBuf>,
    /// How many of the targets' keys must sign; as before when absent.
    #[arg(long)]
    targets_threshold: Option<usize>,
    /// The hub's new public keys: snapshot, timestamp, lease and release key change.
    #[arg(long, value_name = "FILE")]
    hub_keys: Option<PathBuf>,
    /// Private keys that sign now: of the root as it was and as it will be, and of the targets
    /// where those are written anew.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// How long the root is good.
    #[arg(long, default_value_t = 3650)]
    root_days: u32,
    /// How long the top-level targets are good, where they are written anew.
    #[arg(long, default_value_t = 730)]
    targets_days: u32,
}

#[derive(Args)]
pub(crate) struct RootSign {
    #[command(flatten)]
    repo: RepoArgs,
    /// Private keys.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

pub(crate) fn root_init(args: &RootInit, now_ms: i64) -> Result<()> {
    let folder = &args.repo.repo;
    if folder.join("metadata").exists() {
        bail!("{} already holds a repository", folder.display());
    }
    let hub_keys = hub_keys_of(&args.hub_keys, &args.tenant)?;
    let root_keys = key_files(&args.root_keys)?;
    let targets_keys = key_files(&args.targets_keys)?;
    let plan = RootPlan {
        tenant: args.tenant.clone(),
        version: 1,
        expires_ms: now_ms + days_ms(args.root_days),
        root: role(&root_keys, args.root_threshold),
        targets: role(&targets_keys, args.targets_threshold),
        snapshot: one(hub_keys.snapshot),
        timestamp: one(hub_keys.timestamp),
    };
    let root = root_document(&plan, &private(&root_keys))?;
    let lease_keys = LeaseKeys::new(args.tenant.clone(), 1, vec![hub_keys.lease])?;
    let mut edition = TargetsEdition::first();
    for product in args.products.roles()? {
        edition.add(product)?;
    }
    let expires_ms = now_ms + days_ms(args.targets_days);
    let targets = edition.write(expires_ms, &lease_keys, &private(&targets_keys))?;

    let everybody = |name: &str, bytes: &[u8]| write(&folder.join(name), bytes, Readers::Everybody);
    everybody("metadata/1.root.json", &root)?;
    everybody("metadata/targets.json", &targets)?;
    everybody(LEASE_KEYS_TARGET, &lease_keys.to_bytes()?)?;
    everybody("hub-keys.json", &hub_keys.to_bytes()?)?;
    let digest = Digest::of(&root);
    match PinnedRoot::from_pin(&root, &digest) {
        Ok(pinned) => crate::look::show_root(&pinned),
        // Other people's signatures are still to come.
        Err(error) => {
            eprintln!("warning: not yet a root: {error}; add signatures with `root sign`")
        }
    }
    // The digest is over the signatures too: it is the pin only once the last one is there.
    println!("root sha256 {digest}");
    Ok(())
}

pub(crate) fn root_rotate(args: &RootRotate, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    let last = workshop.newest.clone();
    let old = RootPlan::read(&workshop.root_document(last.version())?)?;
    let mut new = old.clone();
    new.version += 1;
    new.expires_ms = now_ms + days_ms(args.root_days);
    change(&mut new.root, &args.add_root_key, &args.remove_root_key, args.root_threshold)?;
    change(
        &mut new.targets,
        &args.add_targets_key,
        &args.remove_targets_key,
        args.targets_threshold,
    )?;
    let mut lease_keys = LeaseKeys::from_bytes(&workshop.lease_keys()?)?;
    let mut targets_change = new.targets != old.targets;
    let hub_keys = match &args.hub_keys {
        None => None,
        Some(file) => {
            let hub_keys = hub_keys_of(file, workshop.root.tenant())?;
            (new.snapshot, new.timestamp) = (one(hub_keys.snapshot), one(hub_keys.timestamp));
            lease_keys = LeaseKeys::new(new.tenant.clone(), 1, vec![hub_keys.lease])?;
            targets_change = true;
            Some(hub_keys)
        }
    };
    let keys = signing_keys(&args.keys)?;
    let by = |roles: &[&RoleKeys]| -> Vec<&SigningKey> {
        let may = |key: &&SigningKey| roles.iter().any(|role| role.keys.contains(&key.public()));
        keys.iter().filter(may).collect()
    };
    for key in &keys {
        let known = [&old.root, &new.root, &new.targets];
        ensure!(
            known.iter().any(|role| role.keys.contains(&key.public())),
            "the key {} signs neither root nor targets",
            key.public().key_id()
        );
    }
    let root = root_document(&new, &by(&[&old.root, &new.root]))?;
    let targets = if targets_change {
        let document = workshop.document("targets")?.context("the folder has no targets.json")?;
        let edition = TargetsEdition::read(&document)?;
        let expires_ms = now_ms + days_ms(args.targets_days);
        Some(edition.write(expires_ms, &lease_keys, &by(&[&new.targets]))?)
    } else {
        None
    };
    // The root last: until it is there, the folder is as it was or lacks a signature.
    if let Some(targets) = &targets {
        workshop.put(LEASE_KEYS_TARGET, &lease_keys.to_bytes()?)?;
        workshop.replace("targets", targets)?;
    }
    if let Some(hub_keys) = hub_keys {
        workshop.put("hub-keys.json", &hub_keys.to_bytes()?)?;
    }
    workshop.replace(&format!("{}.root", new.version), &root)?;
    show_plan(&new);
    show_progress(&args.repo)
}

pub(crate) fn root_sign(args: &RootSign) -> Result<()> {
    let Newest { version, old, plan, mut root, path } = Newest::in_folder(&args.repo)?;
    show_plan(&plan);
    let targets_path = args.repo.repo.join("metadata/targets.json");
    let mut targets = read(&targets_path, TARGETS_BYTES_MAX as u64)?;
    let mut signed_targets = false;
    let complete = is_complete(&root, old.as_ref(), &plan)?;
    for key in signing_keys(&args.keys)? {
        let public = key.public();
        let of_root = plan.root.keys.contains(&public)
            || old.as_ref().is_some_and(|old| old.root.keys.contains(&public));
        let of_targets = plan.targets.keys.contains(&public);
        ensure!(
            of_root || of_targets,
            "the key {} signs neither root {version} nor the targets",
            public.key_id()
        );
        if of_root && complete {
            // One more signature would give the root another digest than the one people compared.
            println!("unchanged  root {version} has every signature it needs");
        } else if of_root {
            root = add_signature(&root, &key, ROOT_BYTES_MAX)?;
            println!("signed     root {version} by {}", public.key_id());
        }
        if of_targets {
            targets = add_signature(&targets, &key, TARGETS_BYTES_MAX)?;
            signed_targets = true;
            println!("signed     targets by {}", public.key_id());
        }
    }
    if signed_targets {
        write(&targets_path, &targets, Readers::Everybody)?;
    }
    write(&path, &root, Readers::Everybody)?;
    show_progress(&args.repo)
}

/// The newest root in a folder, whether or not everybody has signed it yet.
struct Newest {
    version: u64,
    /// What the root before it said; none for the first.
    old: Option<RootPlan>,
    plan: RootPlan,
    root: Vec<u8>,
    path: PathBuf,
}

impl Newest {
    fn in_folder(repo: &RepoArgs) -> Result<Self> {
        let roots = roots_in(&repo.repo)?;
        let (version, root) = roots.last().context("the folder has no 1.root.json")?;
        let before = roots.len().checked_sub(2).and_then(|index| roots.get(index));
        let old = before.map(|(_, root)| RootPlan::read(root)).transpose()?;
        let plan = RootPlan::read(root)?;
        let path = repo.repo.join(format!("metadata/{version}.root.json"));
        Ok(Self { version: *version, old, plan, root: root.clone(), path })
    }
}

fn is_complete(root: &[u8], old: Option<&RootPlan>, plan: &RootPlan) -> Result<bool> {
    for role in old.map(|old| &old.root).into_iter().chain([&plan.root]) {
        if good_signatures(root, &role.keys, ROOT_BYTES_MAX)? < role.threshold {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Says who still has to sign what.
fn show_progress(repo: &RepoArgs) -> Result<()> {
    let Newest { version, old, plan, root, .. } = Newest::in_folder(repo)?;
    let mut whole = true;
    let mut show = |document: &[u8], what: String, role: &RoleKeys, bytes_max| -> Result<()> {
        let good = good_signatures(document, &role.keys, bytes_max)?;
        whole &= good >= role.threshold;
        println!("signatures {good} of the {} needed for {what}", role.threshold);
        Ok(())
    };
    if let Some(old) = &old {
        let what = format!("root {version}, by the keys of root {}", old.version);
        show(&root, what, &old.root, ROOT_BYTES_MAX)?;
    }
    show(&root, format!("root {version}, by its own keys"), &plan.root, ROOT_BYTES_MAX)?;
    let targets = read(&repo.repo.join("metadata/targets.json"), TARGETS_BYTES_MAX as u64)?;
    show(&targets, "the targets".to_owned(), &plan.targets, TARGETS_BYTES_MAX)?;
    if whole {
        println!("complete   publish it with the next bundle, or with `documents`");
        println!("root sha256 {}", Digest::of(&root));
    } else {
        println!("incomplete hand the folder on to the next person, who says `root sign`");
    }
    Ok(())
}

/// What a root says, before anybody has signed it.
fn show_plan(plan: &RootPlan) {
    println!("root       {} of {}", plan.version, plan.tenant);
    let roles = [
        ("root", &plan.root),
        ("targets", &plan.targets),
        ("snapshot", &plan.snapshot),
        ("timestamp", &plan.timestamp),
    ];
    for (name, role) in roles {
        println!("role       {name}: {} of {} must sign", role.threshold, role.keys.len());
        for key in &role.keys {
            println!("  key      {}", key.key_id());
        }
    }
}

fn hub_keys_of(file: &std::path::Path, tenant: &Name) -> Result<HubKeys> {
    let keys = HubKeys::from_bytes(&read(file, HUB_KEYS_BYTES_MAX as u64)?)?;
    ensure!(keys.tenant == *tenant, "the hub's keys are for the tenant {}", keys.tenant);
    Ok(keys)
}

fn change(
    role: &mut RoleKeys,
    add: &[PathBuf],
    remove: &[PathBuf],
    threshold: Option<usize>,
) -> Result<()> {
    for file in key_files(remove)? {
        let before = role.keys.len();
        role.keys.retain(|key| *key != file.public);
        ensure!(
            role.keys.len() < before,
            "the key {} is not there to remove",
            file.public.key_id()
        );
    }
    for file in key_files(add)? {
        ensure!(!role.keys.contains(&file.public), "the key {} is there", file.public.key_id());
        role.keys.push(file.public);
    }
    role.threshold = threshold.unwrap_or(role.threshold);
    Ok(())
}

fn one(key: PublicKey) -> RoleKeys {
    RoleKeys { keys: vec![key], threshold: 1 }
}

fn role(files: &[KeyFile], threshold: usize) -> RoleKeys {
    RoleKeys { keys: files.iter().map(|file| file.public).collect(), threshold }
}

fn private(files: &[KeyFile]) -> Vec<&SigningKey> {
    files.iter().filter_map(|file| file.private.as_ref()).collect()
}
