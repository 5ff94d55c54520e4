//! One tenant with fixed keys, one release, one hub, one station: everything a station holds when
//! it flashes, so that each test can spoil one thing and see who refuses.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use release::tuf::{
    LEASE_KEYS_TARGET, ProductRole, ReleaseTarget, RoleKeys, RootPlan, product_document,
    root_document, targets_document,
};
use release::{
    Channel, Digest, FreshenWith, HubSecrets, HubWrap, ImageFile, ImageFormat, Label, Lease,
    LeaseCheck, LeaseError, LeaseKeys, LeaseTerms, LeasedRelease, MayNot, Name, NoRandom,
    OpenError, Pack, Packed, PinPolicy, PinnedRoot, Portion, Random, Recipe, Release, SeenVersions,
    SigningKey, TrustError, TrustedRepository, WrapError, WrapKey, freshen,
};
use zeroize::Zeroizing;

/// 2026-11-20T00:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_132_800_000;
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
pub(crate) const CHANNEL: Channel = Channel::Production;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

/// A fixed key for each purpose: the seed is the SHA-256 of its name.
pub(crate) fn key(purpose: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(purpose.as_bytes()).as_bytes())
}

pub(crate) fn wrap_key(purpose: &str) -> WrapKey {
    WrapKey::from_bytes(Digest::of(purpose.as_bytes()).as_bytes())
}

/// Random bytes that are the same in every run: SHA-256 of a counter.
#[derive(Default)]
pub(crate) struct Numbered(pub(crate) u64);

impl Random for Numbered {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        for part in bytes.chunks_mut(32) {
            let block = Digest::of(&self.0.to_be_bytes());
            part.copy_from_slice(&block.as_bytes()[..part.len()]);
            self.0 += 1;
        }
        Ok(())
    }
}

pub(crate) fn hub_secrets() -> HubSecrets {
    HubSecrets {
        tenant: name("acme"),
        snapshot: key("hub snapshot"),
        timestamp: key("hub timestamp"),
        lease: key("hub lease"),
        release: wrap_key("hub release"),
    }
}

pub(crate) fn recipe() -> Recipe {
    toml::from_str(
        r#"
        family = "nrf52"
        chip = "nRF52832_xxAA"
        channels = ["production", "rework"]
        exclude = [{ start = 0x10001000, end = 0x10002000 }]
        [self_test]
        via = "uart"
        expect = "FLASHLINE {product} {version} activation=valid"
        within_ms = 5000
        [activation]
        address = 0x7F000
        mode = "ed25519"
        product_keys = ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]
        "#,
    )
    .unwrap()
}

/// Firmware of `bytes` bytes that is easy to recognise.
pub(crate) fn firmware(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index * 7 + 3) as u8).collect()
}

pub(crate) fn pack_of(product: &str, version: &str, firmware: Vec<u8>) -> Pack {
    Pack {
        tenant: name("acme"),
        product: name(product),
        version: label(version),
        hardware_revisions: vec![label("A")],
        packed_ms: NOW_MS,
        recipe: recipe(),
        images: vec![ImageFile {
            name: name("app"),
            chip: None,
            format: ImageFormat::Raw { address: 0 },
            file: Zeroizing::new(firmware),
        }],
        chunk_bytes: 64,
    }
}

pub(crate) fn packed() -> Packed {
    pack_of("demo-lamp", "1.0.0", firmware(300)).pack(&mut Numbered::default()).unwrap()
}

/// The manifest of [`packed`], made once.
pub(crate) fn packed_manifest() -> &'static [u8] {
    static MANIFEST: OnceLock<Vec<u8>> = OnceLock::new();
    MANIFEST.get_or_init(|| packed().manifest_bytes)
}

pub(crate) fn target_of(packed: &Packed) -> ReleaseTarget {
    ReleaseTarget {
        version: packed.manifest.version.clone(),
        manifest_sha256: Digest::of(&packed.manifest_bytes),
        manifest_bytes: packed.manifest_bytes.len() as u64,
        withdrawn: false,
    }
}

pub(crate) fn one(purpose: &str) -> RoleKeys {
    RoleKeys { keys: vec![key(purpose).public()], threshold: 1 }
}

pub(crate) fn root_plan() -> RootPlan {
    RootPlan {
        tenant: name("acme"),
        version: 1,
        expires_ms: NOW_MS + 3650 * DAY_MS,
        root: one("root"),
        targets: one("targets"),
        snapshot: one("hub snapshot"),
        timestamp: one("hub timestamp"),
    }
}

pub(crate) fn lease_keys() -> LeaseKeys {
    LeaseKeys::new(name("acme"), 1, vec![key("hub lease").public()]).unwrap()
}

pub(crate) fn lamp_role() -> ProductRole {
    ProductRole { product: name("demo-lamp"), keys: one("lamp") }
}

/// Why the station did not flash.
#[derive(Debug)]
pub(crate) enum Refusal {
    Trust(TrustError),
    /// The product's own document was set aside.
    Product(TrustError),
    Lease(LeaseError),
    MayNot(MayNot),
    Wrap(WrapError),
    Open(OpenError),
}

/// Everything a station holds when it flashes.
#[derive(Clone)]
pub(crate) struct Shelf {
    pub(crate) pin: Digest,
    pub(crate) root: Vec<u8>,
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    pub(crate) seen: Option<SeenVersions>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) chunks: BTreeMap<Digest, Vec<u8>>,
    pub(crate) lease: Vec<u8>,
    pub(crate) lease_version_seen: Option<u64>,
    pub(crate) channel: Channel,
    pub(crate) arrived_ms: i64,
    pub(crate) now_ms: i64,
    pub(crate) station: &'static str,
}

impl Shelf {
    /// A shelf on which everything is right.
    pub(crate) fn good() -> Self {
        Self::holding(&packed())
    }

    pub(crate) fn holding(packed: &Packed) -> Self {
        let root = root_document(&root_plan(), &[&key("root")]).unwrap();
        let mut shelf = Self {
            pin: Digest::of(&root),
            root,
            documents: BTreeMap::new(),
            seen: None,
            manifest: packed.manifest_bytes.clone(),
            chunks: packed.chunks.clone(),
            lease: lease_terms(packed).sign(&[&key("hub lease")]).unwrap(),
            lease_version_seen: Some(6),
            channel: CHANNEL,
            arrived_ms: NOW_MS,
            now_ms: NOW_MS,
            station: "station",
        };
        shelf.put(LEASE_KEYS_TARGET, lease_keys().to_bytes().unwrap());
        shelf.put_targets(1, &[lamp_role()], &[&key("targets")]);
        shelf.put_product(1, &[target_of(packed)], &[&key("lamp")]);
        shelf.freshen();
        shelf
    }

    pub(crate) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.documents.insert(name.to_owned(), bytes);
    }

    pub(crate) fn put_targets(
        &mut self,
        version: u64,
        products: &[ProductRole],
        by: &[&SigningKey],
    ) {
        let expires_ms = NOW_MS + 365 * DAY_MS;
        let bytes = targets_document(version, expires_ms, &lease_keys(), products, by).unwrap();
        self.put("targets.json", bytes);
    }

    pub(crate) fn put_product(
        &mut self,
        version: u64,
        releases: &[ReleaseTarget],
        by: &[&SigningKey],
    ) {
        let expires_ms = NOW_MS + 365 * DAY_MS;
        let lamp = name("demo-lamp");
        let bytes = product_document(&lamp, version, expires_ms, releases, by).unwrap();
        self.put("demo-lamp.json", bytes);
    }

    /// The hub says that what is here now is the newest.
    pub(crate) fn freshen(&mut self) {
        self.freshen_with(&key("hub snapshot"), &key("hub timestamp"));
    }

    pub(crate) fn freshen_with(&mut self, snapshot_key: &SigningKey, timestamp_key: &SigningKey) {
        let roles: BTreeMap<String, Vec<u8>> = ["targets", "demo-lamp"]
            .into_iter()
            .filter_map(|role| {
                Some((role.to_owned(), self.documents.get(&format!("{role}.json"))?.clone()))
            })
            .collect();
        let previous = self.documents.get("snapshot.json").cloned();
        let previous = previous.zip(self.documents.get("timestamp.json").cloned());
        let fresh = freshen(&FreshenWith {
            snapshot_key,
            timestamp_key,
            roles: &roles,
            previous: previous.as_ref().map(|(s, t)| (s.as_slice(), t.as_slice())),
            now_ms: NOW_MS,
            snapshot_life_ms: 30 * DAY_MS,
            timestamp_life_ms: 14 * DAY_MS,
        })
        .unwrap();
        self.put("snapshot.json", fresh.snapshot);
        self.put("timestamp.json", fresh.timestamp);
    }

    /// Lets the hub sign a new lease over changed terms.
    pub(crate) fn lend(&mut self, change: impl FnOnce(&mut LeaseTerms)) {
        let mut terms = release::lease::show_lease(&self.lease).unwrap();
        change(&mut terms);
        self.lease = terms.sign(&[&key("hub lease")]).unwrap();
    }

    pub(crate) fn repository(&self) -> Result<TrustedRepository, Refusal> {
        let pin = PinnedRoot::from_pin(&self.root, &self.pin).map_err(Refusal::Trust)?;
        let documents = |name: &str| self.documents.get(name).cloned();
        TrustedRepository::verify(&pin, &documents, self.seen.as_ref(), self.arrived_ms)
            .map_err(Refusal::Trust)
    }

    /// What a station does before it programs: every check, in its order.
    pub(crate) fn flash(&self) -> Result<Release, Refusal> {
        let repository = self.repository()?;
        match self.flash_under(&repository) {
            Err(Refusal::Trust(error)) => Err(match repository.into_refused().pop() {
                Some((_, why)) => Refusal::Product(why),
                None => Refusal::Trust(error),
            }),
            flashed => flashed,
        }
    }

    /// The checks that come after the TUF documents.
    pub(crate) fn flash_under(&self, repository: &TrustedRepository) -> Result<Release, Refusal> {
        let sealed = repository.release(&self.manifest).map_err(Refusal::Trust)?;
        let station_key = wrap_key(self.station);
        let tenant = name("acme");
        let check = LeaseCheck {
            tenant: &tenant,
            station_key: station_key.public().digest(),
            keys: repository.lease_keys(),
            version_seen: self.lease_version_seen,
            now_ms: NOW_MS,
        };
        let lease = Lease::verify(&self.lease, &check).map_err(Refusal::Lease)?;
        let leased = lease
            .may_flash(&sealed.digest(), self.channel, self.now_ms)
            .map_err(Refusal::MayNot)?;
        let content_key = lease.unwrap_key(leased, &station_key).map_err(Refusal::Wrap)?;
        sealed
            .open(self.channel, &content_key, |digest| {
                self.chunks.get(digest).cloned().ok_or("no such chunk")
            })
            .map_err(Refusal::Open)
    }
}

pub(crate) fn lease_terms(packed: &Packed) -> LeaseTerms {
    let manifest_sha256 = Digest::of(&packed.manifest_bytes);
    let mut terms = LeaseTerms {
        format: release::lease::LEASE_FORMAT.to_owned(),
        v: release::lease::LEASE_VERSION,
        tenant: name("acme"),
        station: name("line-1"),
        station_key_sha256: wrap_key("station").public().digest(),
        version: 7,
        issued_ms: NOW_MS,
        not_after_ms: NOW_MS + 7 * DAY_MS,
        releases: Vec::new(),
        portions: vec![Portion {
            order: "WO:4711".to_owned(),
            product: packed.manifest.product.clone(),
            manifest_sha256,
            channel: CHANNEL,
            quantity: 4,
            allotment: Some("00ff".to_owned()),
            index_from: 0,
            index_to: 10,
        }],
        roster_version: 1,
        revocation_version: 0,
        probe_kinds: vec![label("blackmagic-tcp")],
        allow_simulated: true,
        pin_policy: PinPolicy::default(),
    };
    // The hub opens what R&D wrapped for it and wraps it again for the station.
    let hub = hub_secrets();
    let mut random = Numbered(1000);
    let wrap = HubWrap::seal(
        &hub.tenant,
        manifest_sha256,
        &packed.content_keys,
        &hub.release.public(),
        &mut random,
    )
    .unwrap();
    let content_key = wrap.content_key(&hub.release, &hub.tenant, CHANNEL).unwrap();
    let binding = terms.binding(manifest_sha256, CHANNEL);
    let station = wrap_key("station").public();
    let wrapped_key = content_key.wrap_for(&station, &binding, &mut random).unwrap();
    terms.releases.push(LeasedRelease::new(manifest_sha256, CHANNEL, wrapped_key));
    terms
}

/// One way to spoil a good shelf, and who must refuse it.
pub(crate) fn check(
    what: &str,
    spoil: impl FnOnce(&mut Shelf),
    refused: impl FnOnce(&Refusal) -> bool,
) {
    let mut shelf = Shelf::good();
    spoil(&mut shelf);
    match shelf.flash() {
        Ok(_) => panic!("{what}: was flashed"),
        Err(refusal) => assert!(refused(&refusal), "{what}: refused as {refusal:?}"),
    }
}

/// Every way to spoil one byte that a test tries.
pub(crate) const FLIPS: [u8; 3] = [0x01, 0x20, 0x80];

/// Flips each byte of a TUF document in turn and asserts that the station does not flash.
pub(crate) fn sweep(what: &str, shelf: &Shelf, part: impl FnMut(&mut Shelf) -> &mut Vec<u8>) {
    sweep_with(what, shelf, part, Shelf::flash);
}

/// As [`sweep`], for what is judged after the TUF documents: those are verified once.
pub(crate) fn sweep_under(what: &str, shelf: &Shelf, part: impl FnMut(&mut Shelf) -> &mut Vec<u8>) {
    let repository = shelf.repository().unwrap();
    sweep_with(what, shelf, part, |spoilt| spoilt.flash_under(&repository));
}

fn sweep_with(
    what: &str,
    shelf: &Shelf,
    mut part: impl FnMut(&mut Shelf) -> &mut Vec<u8>,
    flash: impl Fn(&Shelf) -> Result<Release, Refusal>,
) {
    let mut spoilt = shelf.clone();
    let bytes = part(&mut spoilt).len();
    assert!(bytes > 0, "{what}: nothing to spoil");
    for at in 0..bytes {
        for flip in FLIPS {
            part(&mut spoilt)[at] ^= flip;
            assert!(flash(&spoilt).is_err(), "{what}: byte {at} ^ {flip:#04x} was not noticed");
            part(&mut spoilt)[at] ^= flip;
        }
    }
    assert!(flash(&spoilt).is_ok(), "{what}: the sweep did not restore the document");
}
