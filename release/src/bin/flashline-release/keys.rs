//! Key files: PEM, private ones readable by their owner only, never overwritten.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use release::folder::{Readers, read_file, replace_file};
use release::limits::KEY_FILE_BYTES_MAX;
use release::{HubSecrets, Name, PublicKey, SigningKey, SystemRandom, WrapKey};
use zeroize::Zeroizing;

#[derive(Args)]
pub(crate) struct Keygen {
    /// Where to put the private key; the public one goes beside it with `.pub` added.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// ed25519 signs, x25519 receives content keys.
    #[arg(long, value_enum, default_value_t = Kind::Ed25519)]
    kind: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Ed25519,
    X25519,
}

#[derive(Args)]
pub(crate) struct HubKeysOut {
    /// Whose keys.
    #[arg(long)]
    tenant: Name,
    /// Folder for snapshot.key, timestamp.key, lease.key, release.key and hub-keys.json.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(crate) fn keygen(args: &Keygen) -> Result<()> {
    let mut random = SystemRandom;
    let (private, public, shown) = match args.kind {
        Kind::Ed25519 => {
            let key = SigningKey::generate(&mut random)?;
            (key.to_pem(), key.public().to_pem(), format!("key id {}", key.public().key_id()))
        }
        Kind::X25519 => {
            let key = WrapKey::generate(&mut random)?;
            (key.to_pem(), key.public().to_pem(), format!("key sha256 {}", key.public().digest()))
        }
    };
    write_private(&args.out, &private)?;
    let beside = public_path(&args.out);
    write(&beside, public.as_bytes(), Readers::Everybody)?;
    println!("{shown}\nprivate {}\npublic  {}", args.out.display(), beside.display());
    Ok(())
}

pub(crate) fn hub_keys(args: &HubKeysOut) -> Result<()> {
    let secrets = HubSecrets::generate(args.tenant.clone(), &mut SystemRandom)?;
    for (name, pem) in [
        ("snapshot.key", secrets.snapshot.to_pem()),
        ("timestamp.key", secrets.timestamp.to_pem()),
        ("lease.key", secrets.lease.to_pem()),
        ("release.key", secrets.release.to_pem()),
    ] {
        write_private(&args.out.join(name), &pem)?;
    }
    let shown = args.out.join("hub-keys.json");
    write(&shown, &secrets.public().to_bytes()?, Readers::Everybody)?;
    println!("public halves for R&D: {}", shown.display());
    Ok(())
}

fn public_path(private: &Path) -> PathBuf {
    let mut path = private.as_os_str().to_owned();
    path.push(".pub");
    PathBuf::from(path)
}

fn write_private(path: &Path, pem: &Zeroizing<String>) -> Result<()> {
    if path.exists() {
        bail!("{} is there already; a private key is never overwritten", path.display());
    }
    write(path, pem.as_bytes(), Readers::Owner)
}

pub(crate) fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    replace_file(path, bytes, readers).with_context(|| format!("writing {}", path.display()))
}

pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    read_file(path, bytes_max).with_context(|| format!("reading {}", path.display()))
}

pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>> {
    let bytes = read(path, bytes_max)?;
    let text =
        String::from_utf8(bytes).ok().with_context(|| format!("{}: not text", path.display()))?;
    Ok(Zeroizing::new(text))
}

pub(crate) fn signing_keys(paths: &[PathBuf]) -> Result<Vec<SigningKey>> {
    let read = |path: &PathBuf| {
        let text = read_text(path, KEY_FILE_BYTES_MAX)?;
        SigningKey::from_pem(&text).with_context(|| path.display().to_string())
    };
    paths.iter().map(read).collect()
}

/// A key file: the public half always, the private one if that is what was given.
pub(crate) struct KeyFile {
    pub(crate) public: PublicKey,
    pub(crate) private: Option<SigningKey>,
}

pub(crate) fn key_files(paths: &[PathBuf]) -> Result<Vec<KeyFile>> {
    let read = |path: &PathBuf| {
        let text = read_text(path, KEY_FILE_BYTES_MAX)?;
        let file = if text.contains("PRIVATE KEY") {
            SigningKey::from_pem(&text)
                .map(|key| KeyFile { public: key.public(), private: Some(key) })
        } else {
            PublicKey::from_pem(&text).map(|public| KeyFile { public, private: None })
        };
        file.with_context(|| path.display().to_string())
    };
    paths.iter().map(read).collect()
}

pub(crate) fn public_key(path: &Path) -> Result<PublicKey> {
    let text = read_text(path, KEY_FILE_BYTES_MAX)?;
    PublicKey::from_pem(&text).with_context(|| path.display().to_string())
}
