//! R&D's hand on activation: product keys, and certificates that lend a station a share of them.
//!
//! Needs no hub and no network. A product key never leaves the file it lies in.
#![allow(clippy::print_stdout, reason = "its output is the answer")]

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use activation::pool::{Column, Fingerprint, Limits, Pepper, Row, Schema, Staging, import};
use activation::{
    Claim, MacSecret, Mode, PoolBlock, ProductKey, check_block, check_mac_block, check_pool_block,
    check_stored_block,
};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
const KEY_FILE_BYTES_MAX: u64 = 4096;
const SCHEMA_FILE_BYTES_MAX: u64 = 64 * 1024;
const BLOCK_FILE_BYTES_MAX: u64 = 4096;

#[derive(Parser)]
#[command(about = "Activation keys and allotments, for R&D", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a product's activation key: a private key file that only its owner may read
    Keygen {
        /// The file to make; an existing one is left alone and refused
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the public half, as firmware and recipes carry it (64 hex digits)
    Public {
        /// The product's key file
        #[arg(long)]
        key: PathBuf,
    },
    /// Lend a station activations of a product; prints the certificate in hex
    Certify {
        /// The product's key file
        #[arg(long)]
        key: PathBuf,
        /// The product's name, as its firmware says it
        #[arg(long)]
        product: String,
        /// The station's activation key (64 hex digits), as the hub lists it
        #[arg(long)]
        station_key: String,
        /// How many activations
        #[arg(long)]
        quota: u32,
    },
    /// Make a secret for mode hmac-sha256, a copy deterrent: a file of 64 hex digits that only its
    /// owner may read
    MacSecret {
        /// The file to make; an existing one is left alone and refused
        #[arg(long)]
        out: PathBuf,
    },
    /// Check a block that was read out of a chip, and print what it says
    Check {
        /// How the block is proven: ed25519, stored, hmac-sha256 or pool
        #[arg(long)]
        mode: Mode,
        /// The product's name
        #[arg(long)]
        product: String,
        /// The chip's family, as recipes write it (nrf52)
        #[arg(long)]
        family: String,
        /// The chip's unique id as it lies in its memory, in hex
        #[arg(long)]
        uid: String,
        /// A product key (64 hex digits); twice for current and next
        #[arg(long)]
        key: Vec<String>,
        /// The file of a secret, for mode hmac-sha256
        #[arg(long)]
        secret: Option<PathBuf>,
        /// The block's bytes
        block: PathBuf,
    },
    /// Check a pool's file against its schema, whole, and import nothing
    CheckPool {
        /// The schema, JSON
        #[arg(long)]
        schema: PathBuf,
        /// The credentials, CSV
        file: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Keygen { out } => keygen(&out),
        Verb::Public { key } => {
            println!("{}", hex::encode(read(&key)?.public()));
            Ok(())
        }
        Verb::Certify { key, product, station_key, quota } => {
            let mut station = [0; 32];
            hex::decode_to_slice(&station_key, &mut station)
                .context("reading the station's key: it has 64 hex digits")?;
            ensure!(quota > 0, "an allotment of no activations is of no use");
            let mut allotment = [0; 16];
            SystemRandom::new()
                .fill(&mut allotment)
                .map_err(|_| anyhow::anyhow!("naming the allotment: no randomness"))?;
            let certificate = read(&key)?.certify(&product, allotment, quota, station);
            println!("{}", hex::encode(certificate.as_bytes()));
            Ok(())
        }
        Verb::MacSecret { out } => mac_secret(&out),
        Verb::Check { mode, product, family, uid, key, secret, block } => {
            let uid = hex::decode(&uid).context("reading the chip's UID: hex digits")?;
            let claim = Claim { product: &product, family: &family, uid: &uid };
            let bytes = read_some(&block, BLOCK_FILE_BYTES_MAX)?;
            check(mode, &bytes, &claim, &key, secret.as_deref())
                .with_context(|| format!("checking {}", block.display()))
        }
        Verb::CheckPool { schema, file } => check_pool(&schema, &file),
    }
}

fn mac_secret(out: &Path) -> Result<()> {
    let secret = MacSecret::generate(&SystemRandom::new()).context("making a secret")?;
    let mut text = Zeroizing::new(hex::encode(secret.as_bytes()));
    text.push('\n');
    write_new(out, text.as_bytes())
}

/// Prints what a good block says; secret columns are counted, not shown.
fn check(
    mode: Mode,
    bytes: &[u8],
    claim: &Claim<'_>,
    keys: &[String],
    secret: Option<&Path>,
) -> Result<()> {
    let key = |text: &String| {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key).context("reading a product key: 64 hex digits")?;
        Ok(key)
    };
    let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
    match mode {
        Mode::Ed25519 | Mode::Stored => {
            let check = if mode == Mode::Stored { check_stored_block } else { check_block };
            let block = check(bytes, claim, &keys)?;
            let allotment = hex::encode(block.allotment());
            println!("{}: {} of {} in {allotment}", block.code(), block.index(), block.quota());
        }
        Mode::HmacSha256 => {
            let path = secret.context("mode hmac-sha256 needs --secret")?;
            let text = Zeroizing::new(read_some(path, KEY_FILE_BYTES_MAX)?);
            let mut secret = Zeroizing::new([0; 32]);
            hex::decode_to_slice(text.trim_ascii(), secret.as_mut())
                .with_context(|| format!("reading {}: 64 hex digits", path.display()))?;
            let block = check_mac_block(bytes, claim, &[*secret])?;
            let allotment = hex::encode(block.allotment());
            println!("{}: {} in {allotment}, a copy deterrent", block.code(), block.index());
        }
        Mode::Pool => {
            let block: PoolBlock<'_> = check_pool_block(bytes, claim, &keys)?;
            let allotment = hex::encode(block.allotment());
            println!("{}: {} of {} in {allotment}", block.code(), block.index(), block.quota());
            for column in block.columns() {
                println!("{column:?}");
            }
        }
    }
    Ok(())
}

fn check_pool(schema: &Path, file: &Path) -> Result<()> {
    let read_schema = || -> Result<Schema> {
        Ok(serde_json::from_slice(&read_some(schema, SCHEMA_FILE_BYTES_MAX)?)?)
    };
    let schema = read_schema().with_context(|| format!("reading {}", schema.display()))?;
    let mut pepper = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(pepper.as_mut())
        .map_err(|_| anyhow::anyhow!("checking a pool's file: no randomness"))?;
    let credentials = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let rows = import(credentials, &schema, &Pepper::new(&pepper), Limits::default(), Nowhere)
        .with_context(|| format!("checking {}", file.display()))?;
    println!("{rows} credentials, none twice");
    Ok(())
}

/// Forgets every row, so that secrets go nowhere.
struct Nowhere;

impl Staging for Nowhere {
    type Error = std::convert::Infallible;
    type Kept = u32;

    fn seen(&mut self, _: &Column, _: Fingerprint) -> Result<Option<String>, Self::Error> {
        Ok(None)
    }

    fn stage(&mut self, _: Row) -> Result<(), Self::Error> {
        Ok(())
    }

    fn keep(self, rows: u32) -> Result<u32, Self::Error> {
        Ok(rows)
    }
}

fn keygen(out: &Path) -> Result<()> {
    let key = ProductKey::generate(&SystemRandom::new()).context("making a product key")?;
    let body = Zeroizing::new(STANDARD.encode(key.to_pkcs8()));
    let mut pem = Zeroizing::new(format!("{PEM_BEGIN}\n"));
    for line in body.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(PEM_END);
    pem.push('\n');
    write_new(out, pem.as_bytes())?;
    println!("{}", hex::encode(key.public()));
    Ok(())
}

/// Makes a file that only its owner may read; an existing one is left alone and refused.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", path.display()))
}

/// A whole small file.
fn read_some(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("reading {}", path.display()))?;
    ensure!(bytes.len() as u64 <= bytes_max, "{} is larger than {bytes_max} bytes", path.display());
    Ok(bytes)
}

fn read(path: &Path) -> Result<ProductKey> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text))
        .with_context(|| format!("reading {}", path.display()))?;
    let Some((_, rest)) = text.split_once(PEM_BEGIN) else {
        bail!("{} is not a private key in PEM", path.display());
    };
    let Some((body, _)) = rest.split_once(PEM_END) else {
        bail!("{} ends in the middle of its key", path.display());
    };
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|character| !character.is_whitespace()).collect());
    let der = Zeroizing::new(
        STANDARD.decode(body.as_bytes()).with_context(|| format!("reading {}", path.display()))?,
    );
    ProductKey::from_pkcs8(&der).with_context(|| format!("reading {}", path.display()))
}
