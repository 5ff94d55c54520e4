//! R&D's desk: keys, a release, the bundle a hub takes.

use std::collections::BTreeMap;
use std::path::Path;

use activation::{AllotmentCertificate, ProductKey};
use release::tuf::{
    ProductRole, ReleaseTarget, RoleKeys, RootPlan, product_document, root_document,
    targets_document,
};
use release::{
    Bundle, Digest, HubKeys, HubWrap, ImageFile, ImageFormat, Label, LeaseKeys, Name, Pack, Recipe,
    SigningKey, SystemRandom,
};
use zeroize::Zeroizing;

pub(crate) const PRODUCT: &str = "demo-lamp";
/// Longer than any certificate, so that what expires in a test is what the test is about.
const LIFE_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// One tenant's people, with all their keys.
pub(crate) struct Desk {
    tenant: Name,
    hub: HubKeys,
    root: SigningKey,
    targets: SigningKey,
    lamp: SigningKey,
    pub(crate) activation: ProductKey,
    releases: Vec<ReleaseTarget>,
    pub(crate) root_document: Vec<u8>,
    newest_root: Vec<u8>,
    now_ms: i64,
}

pub(crate) fn firmware(version: &str, bytes: usize) -> Vec<u8> {
    version
        .bytes()
        .cycle()
        .zip(0_u32..)
        .map(|(b, i)| b ^ (i.wrapping_mul(31) >> 3) as u8)
        .take(bytes)
        .collect()
}

impl Desk {
    /// Sets up a tenant's root for the hub whose public keys are in this file.
    pub(crate) fn for_hub(hub_keys: &Path, now_ms: i64) -> Self {
        let hub = HubKeys::from_bytes(&std::fs::read(hub_keys).unwrap()).unwrap();
        let key = || SigningKey::generate(&mut SystemRandom).unwrap();
        let (root, targets, lamp) = (key(), key(), key());
        let one = |key: &SigningKey| RoleKeys { keys: vec![key.public()], threshold: 1 };
        let plan = RootPlan {
            tenant: hub.tenant.clone(),
            version: 1,
            expires_ms: now_ms + LIFE_MS,
            root: one(&root),
            targets: one(&targets),
            snapshot: RoleKeys { keys: vec![hub.snapshot], threshold: 1 },
            timestamp: RoleKeys { keys: vec![hub.timestamp], threshold: 1 },
        };
        let root_document = root_document(&plan, &[&root]).unwrap();
        let activation = ProductKey::generate(&ring::rand::SystemRandom::new()).unwrap();
        let tenant = hub.tenant.clone();
        let releases = Vec::new();
        let newest_root = root_document.clone();
        Self {
            tenant,
            hub,
            root,
            targets,
            lamp,
            activation,
            releases,
            root_document,
            newest_root,
            now_ms,
        }
    }

    pub(crate) fn root_key(&self) -> &SigningKey {
        &self.root
    }

    /// The documents without a release: a second root by a new person, and every release taken back.
    pub(crate) fn rotated_and_withdrawn(&mut self) -> BTreeMap<String, Vec<u8>> {
        let mut plan = RootPlan::read(&self.root_document).unwrap();
        let next = SigningKey::generate(&mut SystemRandom).unwrap();
        plan.version = 2;
        plan.root = RoleKeys { keys: vec![next.public()], threshold: 1 };
        let root = root_document(&plan, &[&self.root, &next]).unwrap();
        self.root = next;
        for release in &mut self.releases {
            release.withdrawn = true;
        }
        let product = Name::new(PRODUCT).unwrap();
        let (edition, expires_ms) = (self.releases.len() as u64 + 1, self.now_ms + LIFE_MS);
        let lamp = product_document(&product, edition, expires_ms, &self.releases, &[&self.lamp]);
        let lease_keys = LeaseKeys::new(self.tenant.clone(), 1, vec![self.hub.lease]).unwrap();
        let keys = RoleKeys { keys: vec![self.lamp.public()], threshold: 1 };
        let role = ProductRole { product, keys };
        let targets = targets_document(1, expires_ms, &lease_keys, &[role], &[&self.targets]);
        BTreeMap::from([
            ("metadata/1.root.json".to_owned(), self.root_document.clone()),
            ("metadata/2.root.json".to_owned(), root),
            ("metadata/targets.json".to_owned(), targets.unwrap()),
            (format!("metadata/{PRODUCT}.json"), lamp.unwrap()),
            ("lease-keys.json".to_owned(), lease_keys.to_bytes().unwrap()),
        ])
    }

    /// A next root, and targets, that name these keys of the hub; the documents, from now on.
    pub(crate) fn rotated_to(&mut self, hub: HubKeys) -> BTreeMap<String, Vec<u8>> {
        let documents = self.rotation(&hub);
        let version = RootPlan::read(&self.newest_root).unwrap().version + 1;
        self.newest_root = documents[&format!("metadata/{version}.root.json")].clone();
        self.hub = hub;
        documents
    }

    /// The documents of a rotation to these keys of the hub.
    pub(crate) fn rotation(&self, hub: &HubKeys) -> BTreeMap<String, Vec<u8>> {
        let mut plan = RootPlan::read(&self.newest_root).unwrap();
        plan.version += 1;
        plan.snapshot = RoleKeys { keys: vec![hub.snapshot], threshold: 1 };
        plan.timestamp = RoleKeys { keys: vec![hub.timestamp], threshold: 1 };
        let root = root_document(&plan, &[&self.root]).unwrap();
        let lease_keys = LeaseKeys::new(self.tenant.clone(), 1, vec![hub.lease]).unwrap();
        let keys = RoleKeys { keys: vec![self.lamp.public()], threshold: 1 };
        let role = ProductRole { product: Name::new(PRODUCT).unwrap(), keys };
        let expires_ms = self.now_ms + LIFE_MS;
        let targets =
            targets_document(plan.version, expires_ms, &lease_keys, &[role], &[&self.targets]);
        BTreeMap::from([
            ("metadata/1.root.json".to_owned(), self.root_document.clone()),
            (format!("metadata/{}.root.json", plan.version - 1), self.newest_root.clone()),
            (format!("metadata/{}.root.json", plan.version), root),
            ("metadata/targets.json".to_owned(), targets.unwrap()),
            (format!("metadata/{PRODUCT}.json"), self.product_document()),
            ("lease-keys.json".to_owned(), lease_keys.to_bytes().unwrap()),
        ])
    }

    fn product_document(&self) -> Vec<u8> {
        let (product, edition) = (Name::new(PRODUCT).unwrap(), self.releases.len() as u64);
        let expires_ms = self.now_ms + LIFE_MS;
        product_document(&product, edition, expires_ms, &self.releases, &[&self.lamp]).unwrap()
    }

    /// Packs, seals and signs a release; the files of its bundle.
    pub(crate) fn release(&mut self, version: &str, bytes: usize) -> BTreeMap<String, Vec<u8>> {
        self.release_in("ed25519", version, bytes)
    }

    /// The same, activated in another mode.
    pub(crate) fn release_in(
        &mut self,
        mode: &str,
        version: &str,
        bytes: usize,
    ) -> BTreeMap<String, Vec<u8>> {
        let proof = if mode == "hmac-sha256" {
            format!("product_keys = []\nmac_secret_sha256 = \"{}\"\n", Digest::of(&[0x5A; 32]))
        } else {
            format!("product_keys = [\"{}\"]\n", hex::encode(self.activation.public()))
        };
        let recipe: Recipe = toml::from_str(&format!(
            "family = \"nrf52\"\nchip = \"nRF52832_xxAA\"\nchannels = [\"production\"]\n\
             [activation]\naddress = 0x7F000\nmode = {mode:?}\n{proof}"
        ))
        .unwrap();
        let product = Name::new(PRODUCT).unwrap();
        let packed = Pack {
            tenant: self.tenant.clone(),
            product: product.clone(),
            version: Label::new(version).unwrap(),
            hardware_revisions: vec![Label::new("A").unwrap()],
            packed_ms: self.now_ms,
            recipe,
            images: vec![ImageFile {
                name: Name::new("app").unwrap(),
                chip: None,
                format: ImageFormat::Raw { address: 0 },
                file: Zeroizing::new(firmware(version, bytes)),
            }],
            chunk_bytes: 4096,
        }
        .pack(&mut SystemRandom)
        .unwrap();
        let manifest_sha256 = Digest::of(&packed.manifest_bytes);
        self.releases.push(ReleaseTarget {
            version: Label::new(version).unwrap(),
            manifest_sha256,
            manifest_bytes: packed.manifest_bytes.len() as u64,
            withdrawn: false,
        });
        let lease_keys = LeaseKeys::new(self.tenant.clone(), 1, vec![self.hub.lease]).unwrap();
        let role = ProductRole {
            product: product.clone(),
            keys: RoleKeys { keys: vec![self.lamp.public()], threshold: 1 },
        };
        let expires_ms = self.now_ms + LIFE_MS;
        let root = RootPlan::read(&self.newest_root).unwrap().version;
        let targets =
            targets_document(root, expires_ms, &lease_keys, &[role], &[&self.targets]).unwrap();
        let edition = self.releases.len() as u64;
        let lamp =
            product_document(&product, edition, expires_ms, &self.releases, &[&self.lamp]).unwrap();
        let wrap = HubWrap::seal(
            &self.tenant,
            manifest_sha256,
            &packed.content_keys,
            &self.hub.release,
            &mut SystemRandom,
        )
        .unwrap();
        let mut files = BTreeMap::from([
            ("metadata/1.root.json".to_owned(), self.root_document.clone()),
            ("metadata/targets.json".to_owned(), targets),
            (format!("metadata/{PRODUCT}.json"), lamp),
            ("lease-keys.json".to_owned(), lease_keys.to_bytes().unwrap()),
            ("manifest.json".to_owned(), packed.manifest_bytes),
            ("hub-key.wrap".to_owned(), wrap.to_bytes().unwrap()),
        ]);
        for (digest, chunk) in packed.chunks {
            files.insert(format!("chunks/{digest}"), chunk);
        }
        files
    }

    /// R&D's certificate over a station's allotment key.
    pub(crate) fn certify(&self, quota: u32, station_key: [u8; 32]) -> AllotmentCertificate {
        let mut allotment = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut allotment).unwrap();
        self.activation.certify(PRODUCT, allotment, quota, station_key)
    }
}

/// Writes a bundle's folder.
pub(crate) fn write(files: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    let bundle = Bundle::from_files(files.clone()).unwrap();
    release::folder::write_bundle(&bundle, folder).unwrap();
}
