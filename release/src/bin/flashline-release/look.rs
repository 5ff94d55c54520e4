//! `root show`, `inspect` and `verify`: looking, and looking with proof.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use release::folder::read_bundle;
use release::image::{self, begins_with_mcuboot, detect};
use release::lease::show_lease;
use release::limits::{IMAGE_FILE_BYTES_MAX, MANIFEST_BYTES_MAX, ROOT_BYTES_MAX};
use release::tuf::show_document;
use release::{Bundle, Digest, ImageError, ImageFormat, Manifest, PinnedRoot, Summary};
use zeroize::Zeroizing;

use crate::keys::read;

#[derive(Args)]
pub(crate) struct RootShow {
    /// A root document, or R&D's repository folder.
    path: PathBuf,
}

#[derive(Args)]
pub(crate) struct Inspect {
    /// A bundle's folder, a manifest, lease or signed document, or an image file.
    path: PathBuf,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The bundle's folder.
    bundle: PathBuf,
    /// SHA-256 of the tenant's root, from somewhere other than the bundle.
    #[arg(long, value_name = "HEX")]
    root_sha256: Digest,
    /// Refuse a root that fewer people than this can change.
    #[arg(long, value_name = "N", default_value_t = 1)]
    quorum: usize,
}

pub(crate) fn root_show(args: &RootShow) -> Result<()> {
    let path = match args.path.is_dir() {
        true => args.path.join("metadata/1.root.json"),
        false => args.path.clone(),
    };
    let bytes = read(&path, ROOT_BYTES_MAX as u64)?;
    let root = PinnedRoot::from_pin(&bytes, &Digest::of(&bytes))?;
    show_root(&root);
    println!("root sha256 {}", root.digest());
    Ok(())
}

pub(crate) fn show_root(root: &PinnedRoot) {
    println!("tenant     {}", root.tenant());
    println!("version    {} until {}", root.version(), root.expires());
    for (role, threshold, keys) in root.roles() {
        println!("role       {role}: {threshold} of {} must sign", keys.len());
        for key in keys {
            println!("  key      {key}");
        }
    }
    println!("words      {}", root.words());
    if root.is_thin() {
        eprintln!("warning: one person alone can change this root or its targets");
    }
}

pub(crate) fn inspect(args: &Inspect) -> Result<()> {
    if args.path.is_dir() {
        return inspect_bundle(&read_bundle(&args.path)?);
    }
    let bytes = Zeroizing::new(read(&args.path, IMAGE_FILE_BYTES_MAX)?);
    if let Some(format) = image_format(&bytes) {
        return inspect_image(format, &bytes).with_context(|| args.path.display().to_string());
    }
    if let Ok(manifest) = Manifest::from_bytes(&bytes) {
        print!("{}", Summary::of(&manifest, Digest::of(&bytes)));
    } else if let Ok(lease) = show_lease(&bytes) {
        println!(
            "lease      {} for the station {} of {}",
            lease.version, lease.station, lease.tenant
        );
        println!("time       {} ms to {} ms", lease.issued_ms, lease.not_after_ms);
        for leased in &lease.releases {
            println!("release    {} for {}", leased.manifest_sha256, leased.channel);
        }
        for portion in &lease.portions {
            println!("portion    {} of {}: {}", portion.quantity, portion.order, portion.product);
        }
    } else if let Ok(facts) = show_document(&bytes) {
        println!("document   {} version {} until {}", facts.kind, facts.version, facts.expires);
        for key in facts.signed_by {
            println!("signed by  {key}");
        }
    } else {
        // Say why it is not what it most likely should be.
        Manifest::from_bytes(&bytes).with_context(|| args.path.display().to_string())?;
    }
    Ok(())
}

/// How a file would be read if it is an image. Where it has no address of its own, as if it were
/// put at 0; raw bytes count as an image only if they begin with an MCUboot header.
fn image_format(file: &[u8]) -> Option<ImageFormat> {
    match detect(file) {
        Some(format) => ImageFormat::choose(file, Some(format), None)
            .or_else(|_| ImageFormat::choose(file, Some(format), Some(0)))
            .ok(),
        None => begins_with_mcuboot(file).then_some(ImageFormat::Raw { address: 0 }),
    }
}

fn inspect_image(format: ImageFormat, file: &[u8]) -> Result<()> {
    let image = match image::read(format, file) {
        // A .dfu file that is not DfuSe.
        Err(ImageError::AddressNeeded { .. }) => {
            image::read(ImageFormat::Dfu { address: Some(0) }, file)?
        }
        read => read?,
    };
    let bytes: usize = image.segments.iter().map(|piece| piece.bytes.len()).sum();
    println!("image      {bytes} bytes in {} pieces", image.segments.len());
    print!("{}", image.facts);
    for piece in &image.segments {
        let (start, end) = (piece.address, piece.end());
        println!("  piece    {start:#010x}..{end:#010x} sha256 {}", Digest::of(&piece.bytes));
    }
    Ok(())
}

fn inspect_bundle(bundle: &Bundle) -> Result<()> {
    let bytes = bundle.manifest_bytes().context("the bundle has no manifest.json")?;
    if bytes.len() > MANIFEST_BYTES_MAX {
        bail!("manifest.json is too large");
    }
    let manifest = Manifest::from_bytes(bytes)?;
    print!("{}", Summary::of(&manifest, Digest::of(bytes)));
    for (name, document) in bundle.files() {
        if !name.starts_with("metadata/") {
            continue;
        }
        let facts = show_document(document).with_context(|| name.clone())?;
        println!("document   {name} version {} until {}", facts.version, facts.expires);
        for key in facts.signed_by {
            println!("  signed by {key}");
        }
        if facts.kind == "root" {
            println!("  sha256   {}", Digest::of(document));
        }
    }
    println!("This shows what the bundle says. `verify` proves who said it.");
    Ok(())
}

pub(crate) fn verify(args: &Verify, now_ms: i64) -> Result<()> {
    let bundle = read_bundle(Path::new(&args.bundle))?;
    let root = bundle.pin(&args.root_sha256)?.require_quorum(args.quorum)?;
    if root.is_thin() {
        eprintln!("warning: one person alone can change this root or its targets");
    }
    let checked = bundle.check(&root, now_ms)?;
    print!("{}", checked.summary());
    println!("verified   signed under the root {}", root.digest());
    Ok(())
}
