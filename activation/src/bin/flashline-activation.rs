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

use activation::ProductKey;
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
const KEY_FILE_BYTES_MAX: u64 = 4096;

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
    }
}

fn keygen(out: &Path) -> Result<()> {
    let key = ProductKey::generate(&SystemRandom::new()).context("making a product key")?;
    let body = Zeroizing::new(STANDARD.encode(key.to_pkcs8()));
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .with_context(|| format!("making {}", out.display()))?;
    let mut pem = Zeroizing::new(format!("{PEM_BEGIN}\n"));
    for line in body.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(PEM_END);
    pem.push('\n');
    file.write_all(pem.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", out.display()))?;
    println!("{}", hex::encode(key.public()));
    Ok(())
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
