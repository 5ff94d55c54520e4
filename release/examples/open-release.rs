//! How fast a sealed release opens, against AES-256-GCM alone over chunks of the same size.
//!
//! Prints one JSON object, in bytes per second. Ours reads the chunk, checks its digest, opens it,
//! puts the pieces together and checks their digests; the peer only opens. Both in memory, in turns.

#![allow(clippy::print_stdout, reason = "it is a measuring program")]

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use release::tuf::{
    LEASE_KEYS_TARGET, ProductRole, ReleaseTarget, RoleKeys, RootPlan, product_document,
    root_document, targets_document,
};
use release::{
    Channel, Digest, FreshenWith, ImageFile, ImageFormat, Label, LeaseKeys, Name, Pack, Packed,
    PinnedRoot, SealedRelease, SigningKey, SystemRandom, TrustedRepository, freshen,
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const IMAGE_BYTES: usize = 64 * 1024 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
const ROUNDS: usize = 7;
const NOW_MS: i64 = 1_795_132_800_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const CHANNEL: Channel = Channel::Production;

fn main() -> Result<()> {
    let packed = packed()?;
    let sealed = trusted(&packed)?;
    let key = &packed.content_keys.first().context("a content key")?.1;
    let peer_key = LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| anyhow::anyhow!("no key"))?,
    );
    let peer_chunks = peer_chunks(&peer_key)?;

    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let release = sealed.open(CHANNEL, key, |digest| {
            packed.chunks.get(digest).cloned().ok_or("no such chunk")
        })?;
        ours.push(begun.elapsed().as_secs_f64());
        let bytes: usize =
            release.images().iter().flat_map(|image| &image.segments).map(|s| s.bytes.len()).sum();
        ensure!(bytes == IMAGE_BYTES, "{bytes} bytes were opened");

        let begun = Instant::now();
        let mut opened = 0;
        for (number, chunk) in (0..).zip(&peer_chunks) {
            let mut bytes = chunk.clone();
            opened += peer_key
                .open_in_place(nonce(number), Aad::from([0; 32]), &mut bytes)
                .map_err(|_| anyhow::anyhow!("the peer's chunk does not open"))?
                .len();
        }
        peer.push(begun.elapsed().as_secs_f64());
        ensure!(opened == IMAGE_BYTES, "{opened} bytes were opened");
    }
    println!(
        "{}",
        serde_json::json!({
            "case": "open_release_vs_raw_aes_gcm",
            "ours": IMAGE_BYTES as f64 / median(ours),
            "peer": IMAGE_BYTES as f64 / median(peer),
            "unit": "bytes per second",
        })
    );
    Ok(())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn nonce(number: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn peer_chunks(key: &LessSafeKey) -> Result<Vec<Vec<u8>>> {
    let count = u32::try_from(IMAGE_BYTES / CHUNK_BYTES)?;
    let sealed = |number| {
        let mut bytes = vec![number as u8; CHUNK_BYTES];
        key.seal_in_place_append_tag(nonce(number), Aad::from([0; 32]), &mut bytes)
            .map_err(|_| anyhow::anyhow!("sealing the peer's chunk"))?;
        Ok(bytes)
    };
    (0..count).map(sealed).collect()
}

fn packed() -> Result<Packed> {
    let recipe = "family = \"nrf52\"\nchip = \"bench\"\nchannels = [\"production\"]\n\
                  [[memory]]\nname = \"flash\"\nstart = 0\nbytes = 268435456\n";
    let image: Vec<u8> =
        (0..IMAGE_BYTES as u32).map(|at| (at.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
    let pack = Pack {
        tenant: Name::new("acme")?,
        product: Name::new("bench")?,
        version: Label::new("1.0.0")?,
        hardware_revisions: vec![Label::new("A")?],
        packed_ms: NOW_MS,
        recipe: toml::from_str(recipe)?,
        images: vec![ImageFile {
            name: Name::new("app")?,
            chip: None,
            format: ImageFormat::Raw { address: 0 },
            file: image.into(),
        }],
        chunk_bytes: u32::try_from(CHUNK_BYTES)?,
    };
    Ok(pack.pack(&mut SystemRandom)?)
}

/// The packed release as trusted documents name it.
fn trusted(packed: &Packed) -> Result<SealedRelease> {
    let key = || SigningKey::generate(&mut SystemRandom);
    let (person, hub) = (key()?, key()?);
    let one = |key: &SigningKey| RoleKeys { keys: vec![key.public()], threshold: 1 };
    let (tenant, product) = (packed.manifest.tenant.clone(), packed.manifest.product.clone());
    let plan = RootPlan {
        tenant: tenant.clone(),
        version: 1,
        expires_ms: NOW_MS + DAY_MS,
        root: one(&person),
        targets: one(&person),
        snapshot: one(&hub),
        timestamp: one(&hub),
    };
    let root = root_document(&plan, &[&person])?;
    let lease_keys = LeaseKeys::new(tenant, 1, vec![hub.public()])?;
    let role = ProductRole { product: product.clone(), keys: one(&person) };
    let targets = targets_document(1, NOW_MS + DAY_MS, &lease_keys, &[role], &[&person])?;
    let target = ReleaseTarget {
        version: packed.manifest.version.clone(),
        manifest_sha256: Digest::of(&packed.manifest_bytes),
        manifest_bytes: packed.manifest_bytes.len() as u64,
        withdrawn: false,
    };
    let own = product_document(&product, 1, NOW_MS + DAY_MS, &[target], &[&person])?;
    let roles = BTreeMap::from([
        ("targets".to_owned(), targets.clone()),
        (product.to_string(), own.clone()),
    ]);
    let fresh = freshen(&FreshenWith {
        snapshot_key: &hub,
        timestamp_key: &hub,
        roles: &roles,
        previous: None,
        now_ms: NOW_MS,
        snapshot_life_ms: DAY_MS,
        timestamp_life_ms: DAY_MS,
    })?;
    let documents = BTreeMap::from([
        ("targets.json".to_owned(), targets),
        (format!("{product}.json"), own),
        ("snapshot.json".to_owned(), fresh.snapshot),
        ("timestamp.json".to_owned(), fresh.timestamp),
        (LEASE_KEYS_TARGET.to_owned(), lease_keys.to_bytes()?),
    ]);
    let pin = PinnedRoot::from_pin(&root, &Digest::of(&root))?;
    let repository =
        TrustedRepository::verify(&pin, &|name| documents.get(name).cloned(), None, NOW_MS)?;
    Ok(repository.release(&packed.manifest_bytes)?)
}
