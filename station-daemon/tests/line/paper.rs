//! R&D and hub of these tests: they sign documents and never touch a network.

use std::collections::BTreeMap;

use activation::{AllotmentCertificate, Mode, ProductKey};
use protocol::{SignedStatement, TimeStatement};
use release::image::ImageFormat;
use release::tuf::{
    ProductRole, ReleaseTarget, RoleKeys, RootPlan, product_document, root_document,
    targets_document,
};
use release::{
    Channel, ContentKey, Digest, FreshenWith, ImageFile, Label, LeaseKeys, LeaseTerms,
    LeasedRelease, Name, Operator, Pack, Pepper, PinPolicy, Portion, Receiver, Recipe, Role,
    RosterTerms, SigningKey, SystemRandom, WrapBinding, WrapKey, WrapPublicKey, freshen,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::lending;

pub(crate) const TENANT: &str = "acme";
pub(crate) const PRODUCT: &str = "demo-lamp";
pub(crate) const STATION: &str = "l1-s1";
pub(crate) const BLOCK_AT: u64 = 0x7_F000;
/// The last page of 128 KiB.
pub(crate) const STM32_BLOCK_AT: u64 = 0x0801_FC00;
/// Where the radio's image begins.
pub(crate) const RADIO_AT: u64 = 0x2000;
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DEMO_HEX: &[u8] = include_bytes!("../../../device-sdk/demo/demo-lamp-1.0.0.hex");

/// What the lease of one test says.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) order: &'static str,
    pub(crate) quantity: u32,
    pub(crate) codes: u32,
    pub(crate) lease_version: u64,
    pub(crate) lease_ends_ms: i64,
    pub(crate) chip: &'static str,
    pub(crate) self_test: bool,
    /// The line the self-test waits for.
    pub(crate) says: &'static str,
    /// What is flashed instead of the firmware that belongs to the chip: address and bytes.
    pub(crate) image: Option<Vec<(u64, Vec<u8>)>>,
    pub(crate) activation: bool,
    /// The chip is locked at the end.
    pub(crate) protect: bool,
    /// How units are activated.
    pub(crate) mode: Mode,
    /// Names the station's allotment.
    pub(crate) allotment: u8,
    /// How many codes its certificate says; as many as the lease's portion has where it is `None`.
    pub(crate) certified: Option<u32>,
    /// Somebody else than R&D made its certificate.
    pub(crate) forged: bool,
    /// The secret of mode *hmac-sha256* that the recipe names.
    pub(crate) mac_secret: [u8; 32],
    pub(crate) channel: Channel,
    /// A second chip, `radio`, that is flashed first.
    pub(crate) radio: bool,
    pub(crate) withdrawn: bool,
    pub(crate) allow_simulated: bool,
    pub(crate) port_kinds: Vec<&'static str>,
    pub(crate) metadata_version: u64,
    /// The roster's version; with 0 no people are kept.
    pub(crate) roster_version: u64,
    pub(crate) people: Vec<Operator>,
}

impl Plan {
    pub(crate) fn good(now_ms: i64) -> Self {
        Self {
            order: "4711",
            quantity: 10,
            codes: 10,
            lease_version: 1,
            lease_ends_ms: now_ms + DAY_MS,
            chip: "nRF52832_xxAA",
            self_test: true,
            says: "FLASHLINE demo-lamp {version} activation=valid",
            image: None,
            activation: true,
            protect: false,
            mode: Mode::Ed25519,
            allotment: 7,
            certified: None,
            forged: false,
            mac_secret: [0x5A; 32],
            channel: Channel::Production,
            radio: false,
            withdrawn: false,
            allow_simulated: true,
            port_kinds: vec!["blackmagic-tcp", "uart"],
            metadata_version: 1,
            roster_version: 0,
            people: Vec::new(),
        }
    }
}

/// Everything a station would have been sent.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    pub(crate) chunks: BTreeMap<Digest, Vec<u8>>,
    /// The plain image as it must lie in flash: address and bytes.
    pub(crate) image: Vec<(u64, Vec<u8>)>,
}

pub(crate) struct Office {
    pub(crate) root_key: SigningKey,
    pub(crate) targets_key: SigningKey,
    pub(crate) product_key: SigningKey,
    pub(crate) snapshot_key: SigningKey,
    pub(crate) timestamp_key: SigningKey,
    pub(crate) lease_key: SigningKey,
    activation: ProductKey,
    pub(crate) hub_key: Ed25519KeyPair,
    pub(crate) pepper: Pepper,
    pub(crate) stick_key: WrapKey,
    pub(crate) root: Vec<u8>,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).expect("a label")
}

pub(crate) fn one(key: &SigningKey) -> RoleKeys {
    RoleKeys { keys: vec![key.public()], threshold: 1 }
}

impl Office {
    pub(crate) fn open(now_ms: i64) -> Self {
        let key = || SigningKey::generate(&mut SystemRandom).expect("key");
        let (root_key, targets_key, product_key) = (key(), key(), key());
        let (snapshot_key, timestamp_key, lease_key) = (key(), key(), key());
        let plan = RootPlan {
            tenant: name(TENANT),
            version: 1,
            expires_ms: now_ms + 365 * DAY_MS,
            root: one(&root_key),
            targets: one(&targets_key),
            snapshot: one(&snapshot_key),
            timestamp: one(&timestamp_key),
        };
        let root = root_document(&plan, &[&root_key]).expect("root");
        let seed = Digest::of(b"flashline demo product key, not a secret");
        let activation = ProductKey::from_seed(seed.as_bytes()).expect("demo key");
        let hub_key = fresh_pair();
        Self {
            root_key,
            targets_key,
            product_key,
            snapshot_key,
            timestamp_key,
            lease_key,
            activation,
            hub_key,
            pepper: Pepper::generate(&mut SystemRandom).expect("pepper"),
            stick_key: WrapKey::generate(&mut SystemRandom).expect("key"),
            root,
        }
    }

    /// The key the hub cosigns with.
    pub(crate) fn cosign_key(&self) -> String {
        hex::encode(self.hub_key.public_key())
    }

    /// The hub's word that it holds what the note says.
    pub(crate) fn cosign(&self, note: &str) -> String {
        let signed: audit::SignedCheckpoint = note.parse().expect("a note");
        signed.cosign(&hub_name(), &self.hub_key, 1_000_000).expect("cosigned").to_string()
    }

    /// The hub's signed answer to a station that asks for the time.
    pub(crate) fn time(&self, nonce: &str, hub_time_ms: i64) -> (String, String) {
        let statement = TimeStatement {
            v: 1,
            tenant: TENANT.parse().expect("a name"),
            station: STATION.parse().expect("a name"),
            nonce: nonce.to_owned(),
            hub_time_ms,
        };
        let payload = serde_json::to_string(&statement).expect("a statement");
        let bytes = SignedStatement::signed_bytes(TimeStatement::KIND, &payload);
        let signature = hex::encode(self.hub_key.sign(&bytes));
        (payload, signature)
    }

    /// Packs the demo firmware, signs everything, leases it to one station.
    pub(crate) fn send(
        &self,
        plan: &Plan,
        station: &WrapPublicKey,
        journal_key: [u8; 32],
        now_ms: i64,
    ) -> Parcel {
        let packed = self.pack(plan, now_ms);
        let manifest_sha256 = Digest::of(&packed.manifest_bytes);
        let expires_ms = now_ms + 30 * DAY_MS;
        let lease_keys =
            LeaseKeys::new(name(TENANT), 1, vec![self.lease_key.public()]).expect("lease keys");
        let products = [ProductRole { product: name(PRODUCT), keys: one(&self.product_key) }];
        let version = plan.metadata_version;
        let targets =
            targets_document(version, expires_ms, &lease_keys, &products, &[&self.targets_key])
                .expect("targets");
        let release = ReleaseTarget {
            version: label("1.0.0"),
            manifest_sha256,
            manifest_bytes: packed.manifest_bytes.len() as u64,
            withdrawn: plan.withdrawn,
        };
        let keys = [&self.product_key];
        let product = product_document(&name(PRODUCT), version, expires_ms, &[release], &keys)
            .expect("product");
        let roles = BTreeMap::from([
            ("targets".to_owned(), targets.clone()),
            (PRODUCT.to_owned(), product.clone()),
        ]);
        let fresh = freshen(&FreshenWith {
            snapshot_key: &self.snapshot_key,
            timestamp_key: &self.timestamp_key,
            roles: &roles,
            previous: None,
            now_ms,
            snapshot_life_ms: 30 * DAY_MS,
            timestamp_life_ms: 30 * DAY_MS,
        })
        .expect("freshness");
        let of_channel = |(channel, _): &&(Channel, ContentKey)| *channel == plan.channel;
        let (_, content_key) = packed.content_keys.iter().find(of_channel).expect("a key");
        let lease = self.lease(plan, manifest_sha256, content_key, station, journal_key, now_ms);
        let image = packed_image(&packed.plain);
        let mut documents = BTreeMap::from([
            ("root.json".to_owned(), self.root.clone()),
            ("targets.json".to_owned(), targets),
            (format!("{PRODUCT}.json"), product),
            ("lease-keys.json".to_owned(), lease_keys.to_bytes().expect("lease keys")),
            ("snapshot.json".to_owned(), fresh.snapshot),
            ("timestamp.json".to_owned(), fresh.timestamp),
            (format!("manifest/{manifest_sha256}"), packed.manifest_bytes),
            ("lease".to_owned(), lease),
        ]);
        documents.extend(self.custody(plan, station, journal_key));
        if plan.roster_version > 0 {
            documents.insert("roster".to_owned(), self.roster(plan, station, now_ms));
        }
        Parcel { documents, chunks: packed.chunks, image }
    }

    /// What the hub hands over beside the lease, in the modes that need it.
    fn custody(
        &self,
        plan: &Plan,
        station: &WrapPublicKey,
        journal_key: [u8; 32],
    ) -> Option<(String, Vec<u8>)> {
        match plan.mode {
            Mode::Ed25519 | Mode::Stored => None,
            Mode::HmacSha256 => Some(lending::mac_secret(self, &plan.mac_secret, station)),
            Mode::Pool => {
                let certificate = self.certificate(plan, journal_key);
                let first = u32::from(plan.allotment) * 1000;
                Some(lending::loan(self, certificate, first, plan.codes, None, station))
            }
        }
    }

    /// Who may work at one station.
    pub(crate) fn roster(&self, plan: &Plan, station: &WrapPublicKey, now_ms: i64) -> Vec<u8> {
        let sealed = self.pepper.seal_for(station, &name(TENANT), &mut SystemRandom);
        let terms = RosterTerms {
            format: release::roster::ROSTER_FORMAT.to_owned(),
            v: release::roster::ROSTER_VERSION,
            tenant: name(TENANT),
            station: name(STATION),
            line: "L1".to_owned(),
            station_key_sha256: station.digest(),
            version: plan.roster_version,
            issued_ms: now_ms,
            pepper: sealed.expect("sealed"),
            operators: plan.people.clone(),
        };
        terms.sign(&[&self.lease_key]).expect("roster")
    }

    /// One of its people: their badge is `badge`, their PIN `pin`.
    pub(crate) fn person(
        &self,
        number: u32,
        role: Role,
        badge: &str,
        pin: Option<&str>,
    ) -> Operator {
        let verifier = |pin: &str| {
            let pin = release::Pin::read(pin).expect("a PIN");
            self.pepper.verifier(number, &pin, [7; 16]).expect("a verifier")
        };
        Operator {
            number,
            role,
            badge: self.pepper.badge_digest(badge),
            pin: pin.map(verifier),
            ends_ms: None,
            disabled: false,
        }
    }

    /// R&D lends the station activations.
    pub(crate) fn certificate(&self, plan: &Plan, journal_key: [u8; 32]) -> AllotmentCertificate {
        let stranger = ProductKey::from_seed(&[0xBA; 32]).expect("a key");
        let key = if plan.forged { &stranger } else { &self.activation };
        let quota = plan.certified.unwrap_or(plan.codes);
        key.certify(PRODUCT, [plan.allotment; 16], quota, journal_key)
    }

    /// R&D's public activation key.
    pub(crate) fn activation_key(&self) -> [u8; 32] {
        self.activation.public()
    }

    /// A statement over the hub's key, as a document.
    pub(crate) fn state(&self, kind: &str, payload: String) -> Vec<u8> {
        let message = protocol::SignedStatement::signed_bytes(kind, &payload);
        let signature = hex::encode(self.hub_key.sign(&message).as_ref());
        let statement = protocol::SignedStatement { payload, signature };
        serde_json::to_vec(&statement).expect("json")
    }

    fn pack(&self, plan: &Plan, now_ms: i64) -> PackedDemo {
        let Firmware { family, hex, block_at } = Firmware::of(plan.chip);
        let hex = plan.image.as_deref().map_or(hex, intel_hex);
        let mut recipe = serde_json::json!({
            "family": family,
            "chip": plan.chip,
            "channels": ["production", "rework"],
            "protect": plan.protect,
        });
        if plan.activation {
            let mac = plan.mode == Mode::HmacSha256;
            let keys: &[_] = if mac { &[] } else { &[hex::encode(self.activation.public())] };
            recipe["activation"] = serde_json::json!({
                "address": block_at,
                "mode": plan.mode.as_str(),
                "product_keys": keys,
            });
            if mac {
                let digest = Digest::of(&plan.mac_secret).to_string();
                recipe["activation"]["mac_secret_sha256"] = digest.into();
            }
        }
        if plan.self_test {
            // The demo firmware checks the block of the one mode that chips check.
            let own = plan.mode == Mode::Ed25519 || plan.image.is_some();
            let says = if own { plan.says } else { "FLASHLINE demo-lamp {version} activation=" };
            recipe["self_test"] = serde_json::json!({
                "via": "uart",
                "expect": says,
                "within_ms": 60_000,
            });
        }
        let mut images = vec![ImageFile {
            name: name("app"),
            chip: plan.radio.then(|| name("main")),
            format: ImageFormat::IntelHex,
            file: Zeroizing::new(hex.clone()),
        }];
        if plan.radio {
            let mut main = recipe.as_object().expect("an object").clone();
            let channels = main.remove("channels");
            main.insert("name".to_owned(), "main".into());
            main.insert("after".to_owned(), serde_json::json!(["radio"]));
            let radio = serde_json::json!({
                "name": "radio", "family": "nrf52", "chip": "nRF52832_xxAA",
            });
            recipe = serde_json::json!({ "channels": channels, "chips": [main, radio] });
            images.push(ImageFile {
                name: name("net"),
                chip: Some(name("radio")),
                format: ImageFormat::Raw { address: RADIO_AT },
                file: Zeroizing::new(radio_image()),
            });
        }
        let recipe: Recipe = serde_json::from_value(recipe).expect("recipe");
        let pack = Pack {
            tenant: name(TENANT),
            product: name(PRODUCT),
            version: label("1.0.0"),
            hardware_revisions: vec![label("A")],
            packed_ms: now_ms,
            recipe,
            images,
            chunk_bytes: 4096,
        };
        let packed = pack.pack(&mut SystemRandom).expect("packs");
        let plain = release::image::read_image(ImageFormat::IntelHex, &hex).expect("hex");
        PackedDemo {
            manifest_bytes: packed.manifest_bytes,
            chunks: packed.chunks,
            content_keys: packed.content_keys,
            plain,
        }
    }

    fn lease(
        &self,
        plan: &Plan,
        manifest_sha256: Digest,
        content_key: &ContentKey,
        station: &WrapPublicKey,
        journal_key: [u8; 32],
        now_ms: i64,
    ) -> Vec<u8> {
        let channel = plan.channel;
        let binding = WrapBinding {
            tenant: name(TENANT),
            release: manifest_sha256,
            channel,
            receiver: Receiver::Station { lease_version: plan.lease_version },
        };
        let wrapped_key =
            content_key.wrap_for(station, &binding, &mut SystemRandom).expect("wraps");
        let allotment = self.certificate(plan, journal_key);
        let terms = LeaseTerms {
            format: release::lease::LEASE_FORMAT.to_owned(),
            v: release::lease::LEASE_VERSION,
            tenant: name(TENANT),
            station: name(STATION),
            station_key_sha256: station.digest(),
            version: plan.lease_version,
            issued_ms: now_ms.min(plan.lease_ends_ms - 1),
            not_after_ms: plan.lease_ends_ms,
            releases: vec![LeasedRelease::new(manifest_sha256, channel, wrapped_key)],
            portions: vec![Portion {
                order: plan.order.to_owned(),
                product: name(PRODUCT),
                manifest_sha256,
                channel,
                quantity: plan.quantity,
                allotment: Some(hex::encode(allotment.as_bytes())),
                index_from: 0,
                index_to: plan.codes,
            }],
            roster_version: plan.roster_version,
            revocation_version: 0,
            probe_kinds: plan.port_kinds.iter().map(|kind| label(kind)).collect(),
            allow_simulated: plan.allow_simulated,
            pin_policy: PinPolicy::default(),
        };
        terms.sign(&[&self.lease_key]).expect("lease")
    }

    /// A root of other people: what a hub with all its keys stolen could make up.
    pub(crate) fn stranger(now_ms: i64) -> Self {
        Self::open(now_ms)
    }
}

/// The demo firmware as it must lie in flash: address and bytes.
pub(crate) fn demo_image() -> Vec<(u64, Vec<u8>)> {
    packed_image(&release::image::read_image(ImageFormat::IntelHex, DEMO_HEX).expect("hex"))
}

/// What the radio holds: bytes that are nobody's program.
pub(crate) fn radio_image() -> Vec<u8> {
    (0..5000_u32).map(|at| (at * 31 + 7).to_le_bytes()[0]).collect()
}

/// The name the hub cosigns with.
pub(crate) fn hub_name() -> String {
    format!("flashline/{TENANT}/hub")
}

fn fresh_pair() -> Ed25519KeyPair {
    let random = ring::rand::SystemRandom::new();
    let bytes = Ed25519KeyPair::generate_pkcs8(&random).expect("key");
    Ed25519KeyPair::from_pkcs8(bytes.as_ref()).expect("key")
}

/// What is packed for a chip: the demo firmware on Nordic's, noise behind a vector table on ST's.
struct Firmware {
    family: &'static str,
    hex: Vec<u8>,
    block_at: u64,
}

impl Firmware {
    fn of(chip: &str) -> Self {
        let nordic = |family, block_at| Self { family, hex: DEMO_HEX.to_vec(), block_at };
        if chip.starts_with("STM32F1") {
            Self { family: "stm32f1", hex: stm32_hex(), block_at: STM32_BLOCK_AT }
        } else if chip.starts_with("STM32F4") {
            Self { family: "stm32f4", hex: stm32_hex(), block_at: STM32_BLOCK_AT }
        } else if chip.starts_with("nRF51") {
            nordic("nrf51", 0x3_F000)
        } else {
            nordic("nrf52", BLOCK_AT)
        }
    }
}

/// 9 KiB from the start of an STM32's flash as Intel HEX.
fn stm32_hex() -> Vec<u8> {
    let mut image = vec![0x00, 0x50, 0x00, 0x20, 0x01, 0x01, 0x00, 0x08];
    let noise = |at: u32| (at.wrapping_mul(0x9E37_79B1) >> 23).to_le_bytes()[0];
    image.extend((8..9 * 1024).map(noise));
    intel_hex(&[(0x0800_0000, image)])
}

/// Pieces that begin at multiples of 16 as Intel HEX.
fn intel_hex(pieces: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let record = |kind: u8, address: u16, bytes: &[u8]| {
        let mut record = vec![u8::try_from(bytes.len()).expect("short")];
        record.extend(address.to_be_bytes());
        record.push(kind);
        record.extend(bytes);
        record.push(record.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte)));
        format!(":{}\n", hex::encode_upper(record))
    };
    let mut text = String::new();
    for (address, bytes) in pieces {
        for (row, bytes) in (0_u64..).zip(bytes.chunks(16)) {
            let address = u32::try_from(address + row * 16).expect("32 bits");
            let [high, low] = [address >> 16, address & 0xFFFF].map(|half| half as u16);
            if row == 0 || low == 0 {
                text += &record(4, 0, &high.to_be_bytes());
            }
            text += &record(0, low, bytes);
        }
    }
    text += &record(1, 0, &[]);
    text.into_bytes()
}

struct PackedDemo {
    manifest_bytes: Vec<u8>,
    chunks: BTreeMap<Digest, Vec<u8>>,
    content_keys: Vec<(Channel, ContentKey)>,
    plain: Vec<release::Segment>,
}

fn packed_image(plain: &[release::Segment]) -> Vec<(u64, Vec<u8>)> {
    plain.iter().map(|piece| (piece.address, piece.bytes.to_vec())).collect()
}
