//! `pack`, `sign` and `withdraw`: what changes a product's document.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use release::bundle::{HUB_WRAP_FILE, MANIFEST_FILE};
use release::envelope::add_signature;
use release::folder::{Readers, read_bundle, write_bundle};
use release::limits::{IMAGE_FILE_BYTES_MAX, RECIPE_FILE_BYTES_MAX, TARGETS_BYTES_MAX};
use release::tuf::{ProductEdition, ReleaseTarget};
use release::{
    Bundle, BundleError, Digest, FormatName, HubWrap, ImageFile, ImageFormat, Label, Manifest,
    Name, Pack, Recipe, Summary, SystemRandom, TrustError,
};
use zeroize::Zeroizing;

use crate::keys::{read, read_text, signing_keys, write};
use crate::workshop::{Workshop, refs};
use crate::{RepoArgs, days_ms};

#[derive(Args)]
pub(crate) struct PackArgs {
    #[command(flatten)]
    repo: RepoArgs,
    /// The recipe.
    #[arg(long, value_name = "FILE.toml")]
    recipe: PathBuf,
    /// The product.
    #[arg(long)]
    product: Name,
    /// The release's version.
    #[arg(long)]
    version: Label,
    /// A hardware revision it fits.
    #[arg(long = "hardware-revision", value_name = "LABEL", required = true)]
    hardware_revisions: Vec<Label>,
    /// An image, with the chip it is for where the recipe lists several. Intel HEX, SREC, ELF, UF2 and DfuSe files have addresses of their own; raw bytes,
    /// ESP images and plain .dfu files get the one where they begin. The format is told by the
    /// content unless it is given: intel-hex, srec, elf, uf2, raw, esp or dfu.
    #[arg(
        long = "image",
        value_name = "[CHIP/]NAME=FILE[@ADDRESS][,format=FORMAT]",
        required = true
    )]
    images: Vec<String>,
    /// Private keys of those of the product's people who sign now.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Where the publication bundle goes: a new or empty folder.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// How long the product's document is good.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Plain bytes in a sealed chunk.
    #[arg(long, default_value_t = Pack::CHUNK_BYTES)]
    chunk_bytes: u32,
}

#[derive(Args)]
pub(crate) struct Sign {
    /// A publication bundle, whose product document gets the signature.
    #[arg(long, value_name = "FOLDER", conflicts_with = "document")]
    bundle: Option<PathBuf>,
    /// Any signed document, such as R&D's `metadata/targets.json`.
    #[arg(long, value_name = "FILE", required_unless_present = "bundle")]
    document: Option<PathBuf>,
    /// Private keys.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Withdraw {
    #[command(flatten)]
    repo: RepoArgs,
    /// The product.
    #[arg(long)]
    product: Name,
    /// The version to take back.
    #[arg(long)]
    version: Label,
    /// Private keys of those of the product's people who sign now.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// How long the product's document is good.
    #[arg(long, default_value_t = 365)]
    days: u32,
}

pub(crate) fn pack(args: &PackArgs, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    let tenant = workshop.root.tenant().clone();
    let recipe = read_text(&args.recipe, RECIPE_FILE_BYTES_MAX)?;
    let recipe: Recipe =
        toml::from_str(&recipe).with_context(|| args.recipe.display().to_string())?;
    let images: Result<Vec<ImageFile>> =
        args.images.iter().map(|image| image_file(image)).collect();
    let packed = Pack {
        tenant: tenant.clone(),
        product: args.product.clone(),
        version: args.version.clone(),
        hardware_revisions: args.hardware_revisions.clone(),
        packed_ms: now_ms,
        recipe,
        images: images?,
        chunk_bytes: args.chunk_bytes,
    }
    .pack(&mut SystemRandom)?;
    let manifest_sha256 = Digest::of(&packed.manifest_bytes);

    let mut edition = edition(&workshop, &args.product)?;
    edition.name(ReleaseTarget {
        version: args.version.clone(),
        manifest_sha256,
        manifest_bytes: packed.manifest_bytes.len() as u64,
        withdrawn: false,
    })?;
    let keys = signing_keys(&args.keys)?;
    let document = edition.write(now_ms + days_ms(args.days), &refs(&keys))?;
    let hub = &workshop.hub_keys.release;
    let wrap =
        HubWrap::seal(&tenant, manifest_sha256, &packed.content_keys, hub, &mut SystemRandom)?;

    let mut files = workshop.common_files()?;
    files.insert(format!("metadata/{}.json", args.product), document.clone());
    files.insert(MANIFEST_FILE.to_owned(), packed.manifest_bytes);
    files.insert(HUB_WRAP_FILE.to_owned(), wrap.to_bytes()?);
    for (digest, chunk) in packed.chunks {
        files.insert(format!("chunks/{digest}"), chunk);
    }
    let bundle = Bundle::from_files(files)?;
    let whole = bundle.clone().check(&workshop.root, now_ms);
    if let Err(error) = whole {
        if !lacks_signatures(&error) {
            return Err(error).context("the packed release would be refused");
        }
        eprintln!("warning: {:#}; add signatures with `sign`", anyhow::Error::from(error));
    }
    write_bundle(&bundle, &args.out)?;
    workshop.replace(args.product.as_str(), &document)?;
    print!("{}", Summary::of(&packed.manifest, manifest_sha256));
    println!("bundle     {}", args.out.display());
    Ok(())
}

fn lacks_signatures(error: &BundleError) -> bool {
    matches!(error, BundleError::NotTrusted(TrustError::TooFewSignatures { .. }))
}

pub(crate) fn sign(args: &Sign) -> Result<()> {
    let path = match (&args.bundle, &args.document) {
        (Some(folder), _) => {
            let bundle = read_bundle(folder)?;
            let manifest = Manifest::from_bytes(
                bundle.manifest_bytes().context("the bundle has no manifest.json")?,
            )?;
            folder.join(format!("metadata/{}.json", manifest.product))
        }
        (None, Some(document)) => document.clone(),
        (None, None) => bail!("say what to sign: --bundle or --document"),
    };
    let mut document = read(&path, TARGETS_BYTES_MAX as u64)?;
    for key in signing_keys(&args.keys)? {
        document = add_signature(&document, &key, TARGETS_BYTES_MAX)?;
        println!("signed by {}", key.public().key_id());
    }
    write(&path, &document, Readers::Everybody)
}

pub(crate) fn withdraw(args: &Withdraw, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    let mut edition = edition(&workshop, &args.product)?;
    edition.withdraw(&args.version)?;
    let keys = signing_keys(&args.keys)?;
    let document = edition.write(now_ms + days_ms(args.days), &refs(&keys))?;
    workshop.replace(args.product.as_str(), &document)?;
    println!("withdrawn: {} {}; publish the product's document", args.product, args.version);
    Ok(())
}

fn edition(workshop: &Workshop, product: &Name) -> Result<ProductEdition> {
    Ok(match workshop.document(product.as_str())? {
        Some(last) => ProductEdition::read(product, &last)?,
        None => ProductEdition::first(product.clone()),
    })
}

/// `app=lamp.elf` has its own addresses, `boot=boot.bin@0x08000000` begins there,
/// `app=lamp.hex@0,format=raw` is not what it looks like, and `radio/net=net.hex` is for the chip
/// `radio`.
fn image_file(text: &str) -> Result<ImageFile> {
    let (name, rest) = text
        .split_once('=')
        .context("an image is given as [CHIP/]NAME=FILE[@ADDRESS][,format=FORMAT]")?;
    let (chip, name) = match name.split_once('/') {
        None => (None, name),
        Some((chip, name)) => (Some(Name::new(chip)?), name),
    };
    let (place, format) = match rest.rsplit_once(",format=") {
        None => (rest, None),
        Some((place, format)) => {
            (place, Some(format.parse::<FormatName>().with_context(|| text.to_owned())?))
        }
    };
    let (path, address) = match place.rsplit_once('@') {
        None => (place, None),
        Some((path, address)) => {
            let address = match address.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16),
                None => address.parse(),
            };
            (path, Some(address.with_context(|| text.to_owned())?))
        }
    };
    let file = Zeroizing::new(read(Path::new(path), IMAGE_FILE_BYTES_MAX)?);
    let format = ImageFormat::choose(&file, format, address).with_context(|| path.to_owned())?;
    Ok(ImageFile { name: Name::new(name)?, chip, format, file })
}
