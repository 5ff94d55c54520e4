//! R&D's command: keys, roots, packing, signing, looking, verifying. It needs no hub.
//!
//! Owns the words on the command line and on the terminal. Everything it decides it asks the
//! library; what it writes is complete or not there.

#![allow(clippy::print_stdout, reason = "a command line program answers on its standard output")]
#![allow(clippy::print_stderr, reason = "warnings belong beside the answer, not in it")]

mod keys;
mod look;
mod pack;
mod products;
mod roots;
mod workshop;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use release::ReleaseTrouble;

#[derive(Parser)]
#[command(name = "flashline-release", version, about = "Pack, seal, sign and look at releases")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Take this as the time, in milliseconds since the Unix epoch, instead of the clock's.
    #[arg(long, global = true)]
    now_ms: Option<i64>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a key: FILE (private, 0600) and FILE.pub.
    Keygen(keys::Keygen),
    /// Make a hub's four keys and hub-keys.json, where no hub made them itself.
    HubKeys(keys::HubKeysOut),
    /// The tenant's root and its repository folder.
    #[command(subcommand)]
    Root(RootVerb),
    /// The tenant's products and their people.
    #[command(subcommand)]
    Product(ProductVerb),
    /// Seal images and a recipe into a release, sign it, write the publication bundle.
    Pack(pack::PackArgs),
    /// Add a signature to a bundle's product document, or to any signed document.
    Sign(pack::Sign),
    /// Take a release back: the product's next document says so.
    Withdraw(pack::Withdraw),
    /// Write the top-level targets or a product's document anew, so that they do not run out.
    Renew(products::Renew),
    /// Collect the documents without a release for the hub: a rotation, a withdrawal, a renewal.
    Documents(products::DocumentsOut),
    /// Show what a bundle, manifest, lease or signed document says. Proves nothing.
    Inspect(look::Inspect),
    /// Check a bundle against the tenant's root.
    Verify(look::Verify),
}

#[derive(Subcommand)]
enum RootVerb {
    /// Make the repository folder: root, lease keys, top-level targets.
    Init(roots::RootInit),
    /// Write the next root: other people, other thresholds, other hub keys.
    Rotate(roots::RootRotate),
    /// Add signatures to the newest root and to the targets.
    Sign(roots::RootSign),
    /// Show a root: digest, short words, roles, thresholds.
    Show(look::RootShow),
}

#[derive(Subcommand)]
enum ProductVerb {
    /// Delegate one more product.
    Add(products::ProductAdd),
    /// Put other people in the place of a product's.
    Rotate(products::ProductRotate),
}

/// One product and its people's public keys.
#[derive(Args)]
struct ProductArgs {
    /// A product and the public keys (.pub files) of those who may sign its releases.
    #[arg(long = "product", value_name = "NAME=KEY.pub[,KEY.pub…]", required = true)]
    products: Vec<String>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    product_threshold: usize,
}

/// The repository folder that `root init` made.
#[derive(Args)]
struct RepoArgs {
    /// R&D's repository folder.
    #[arg(long, value_name = "FOLDER")]
    repo: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What no other trouble claims was asked for wrongly.
            let trouble = ReleaseTrouble::behind(&*error).unwrap_or(ReleaseTrouble::RecipeRefused);
            // The whole chain on one line: what was attempted, and why it failed.
            eprintln!("flashline-release: {}: {error:#}", trouble.code());
            eprintln!("{}", trouble.act());
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let now_ms = match cli.now_ms {
        Some(now_ms) => now_ms,
        None => clock_ms()?,
    };
    match cli.verb {
        Verb::Keygen(args) => keys::keygen(&args),
        Verb::HubKeys(args) => keys::hub_keys(&args),
        Verb::Root(RootVerb::Init(args)) => roots::root_init(&args, now_ms),
        Verb::Root(RootVerb::Rotate(args)) => roots::root_rotate(&args, now_ms),
        Verb::Root(RootVerb::Sign(args)) => roots::root_sign(&args),
        Verb::Root(RootVerb::Show(args)) => look::root_show(&args),
        Verb::Product(ProductVerb::Add(args)) => products::product_add(&args, now_ms),
        Verb::Product(ProductVerb::Rotate(args)) => products::product_rotate(&args, now_ms),
        Verb::Pack(args) => pack::pack(&args, now_ms),
        Verb::Sign(args) => pack::sign(&args),
        Verb::Withdraw(args) => pack::withdraw(&args, now_ms),
        Verb::Renew(args) => products::renew(&args, now_ms),
        Verb::Documents(args) => products::documents(&args, now_ms),
        Verb::Inspect(args) => look::inspect(&args),
        Verb::Verify(args) => look::verify(&args, now_ms),
    }
}

fn clock_ms() -> Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    i64::try_from(since.as_millis()).context("the clock is beyond all time")
}

/// Milliseconds in so many days.
const fn days_ms(days: u32) -> i64 {
    days as i64 * 24 * 60 * 60 * 1000
}
