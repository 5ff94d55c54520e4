//! A hub with all its keys in a thief's hands enrols fresh stations and cannot make them flash.
//!
//! The hub is the real one, its database edited by somebody who holds the secret that seals its
//! keys. He forges everything those keys can sign, and everything they cannot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use journeys::world::{
    Board, BoardKind, Hub, PRODUCT, Plan, Programs, Recipe, Release, Research, Station, TENANT,
    until,
};
use release::image::ImageFormat;
use release::tuf::{
    ProductRole, ReleaseTarget, RoleKeys, RootPlan, TargetsEdition, product_document,
    root_document, targets_document,
};
use release::{
    Digest, FreshenWith, HubKeys, HubWrap, ImageFile, Label, LeaseKeys, Name, Pack, Packed,
    SigningKey, SystemRandom, freshen,
};
use rusqlite::Connection;
use zeroize::Zeroizing;

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
const VISIT: Duration = Duration::from_secs(150);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a thief takes out of a hub: its keys, opened, and its database.
struct Thief {
    database: std::path::PathBuf,
    blobs: std::path::PathBuf,
    snapshot: SigningKey,
    timestamp: SigningKey,
    lease: SigningKey,
    keys: HubKeys,
    now_ms: i64,
}

impl Thief {
    fn rob(hub: &Hub) -> Result<Self> {
        let vault = hub::vault::Vault::open(&hub::vault::Secret::File(hub.secret_file()))?;
        let database = hub.folder().join("hub.db");
        let connection = Connection::open(&database)?;
        let open = |name: &str| -> Result<SigningKey> {
            let sealed: Vec<u8> = connection.query_row(
                "SELECT sealed FROM tenant_keys WHERE name = ?1",
                [name],
                |row| row.get(0),
            )?;
            let plain = vault.open_sealed(&format!("tenant/{TENANT}/{name}"), &sealed)?;
            Ok(SigningKey::from_pkcs8(&plain)?)
        };
        let keys = HubKeys::from_bytes(&fs::read(hub.keys()?)?)?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(Self {
            snapshot: open("snapshot")?,
            timestamp: open("timestamp")?,
            lease: open("lease")?,
            blobs: hub.folder().join("blobs"),
            now_ms: i64::try_from(since.as_millis())?,
            database,
            keys,
        })
    }

    fn all(&self) -> [&SigningKey; 3] {
        [&self.snapshot, &self.timestamp, &self.lease]
    }

    fn documents(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let connection = Connection::open(&self.database)?;
        let mut asked = connection.prepare("SELECT name, bytes FROM documents")?;
        let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Connection::open(&self.database)?.execute(
            "INSERT INTO documents (tenant_id, name, sha256, bytes)
             VALUES ((SELECT id FROM tenants), ?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sha256 = excluded.sha256, bytes = excluded.bytes",
            (name, Digest::of(bytes).as_bytes(), bytes),
        )?;
        Ok(())
    }

    /// Firmware of his own, packed for this hub, and everything the hub keeps of a release.
    fn smuggle(&self, version: &str) -> Result<Packed> {
        let recipe = Recipe::plain("nrf52", "nRF52832_xxAA", &[]);
        let packed = Pack {
            tenant: Name::new(TENANT)?,
            product: Name::new(PRODUCT)?,
            version: Label::new(version)?,
            hardware_revisions: vec![Label::new("A")?],
            packed_ms: self.now_ms,
            recipe: toml::from_str(&recipe.toml)?,
            images: vec![ImageFile {
                name: Name::new("app")?,
                chip: None,
                format: ImageFormat::Raw { address: 0 },
                file: Zeroizing::new(vec![0x66; 4096]),
            }],
            chunk_bytes: 1024,
        }
        .pack(&mut SystemRandom)?;
        let manifest_sha256 = Digest::of(&packed.manifest_bytes);
        let wrap = HubWrap::seal(
            &packed.manifest.tenant,
            manifest_sha256,
            &packed.content_keys,
            &self.keys.release,
            &mut SystemRandom,
        )?;
        self.put(&format!("manifest/{manifest_sha256}"), &packed.manifest_bytes)?;
        let connection = Connection::open(&self.database)?;
        connection.execute(
            "INSERT INTO releases (tenant_id, product, version, manifest_sha256, hub_wrap, summary,
                published_ms)
             VALUES ((SELECT id FROM tenants), ?1, ?2, ?3, ?4, '', ?5)",
            (PRODUCT, version, manifest_sha256.as_bytes(), wrap.to_bytes()?, self.now_ms),
        )?;
        let id = connection.last_insert_rowid();
        for (digest, bytes) in &packed.chunks {
            connection.execute(
                "INSERT INTO release_chunks (tenant_id, release_id, sha256)
                 VALUES ((SELECT id FROM tenants), ?1, ?2)",
                (id, digest.as_bytes()),
            )?;
            let name = digest.to_string();
            fs::create_dir_all(self.blobs.join(&name[..2]))?;
            fs::write(self.blobs.join(&name[..2]).join(&name[2..]), bytes)?;
        }
        Ok(packed)
    }

    fn target(packed: &Packed) -> ReleaseTarget {
        ReleaseTarget {
            version: packed.manifest.version.clone(),
            manifest_sha256: Digest::of(&packed.manifest_bytes),
            manifest_bytes: packed.manifest_bytes.len() as u64,
            withdrawn: false,
        }
    }

    /// The product's document, signed by every key of the hub.
    fn forge_product(&self, packed: &Packed) -> Result<()> {
        let product = Name::new(PRODUCT)?;
        let document = product_document(
            &product,
            9,
            self.now_ms + DAY_MS,
            &[Self::target(packed)],
            &self.all(),
        )?;
        self.put(&format!("{PRODUCT}.json"), &document)
    }

    /// The top-level targets, which put the hub's lease key in the place of the product's people.
    fn forge_targets(&self) -> Result<()> {
        let tenant = Name::new(TENANT)?;
        let people = RoleKeys { keys: vec![self.lease.public()], threshold: 1 };
        let role = ProductRole { product: Name::new(PRODUCT)?, keys: people };
        let lease_keys = LeaseKeys::new(tenant, 1, vec![self.lease.public()])?;
        let held = self.documents()?;
        let version = TargetsEdition::read(&held["targets.json"]).map(|_| 9)?;
        let expires_ms = self.now_ms + DAY_MS;
        let document = targets_document(version, expires_ms, &lease_keys, &[role], &self.all())?;
        self.put("targets.json", &document)
    }

    /// A second root, which puts the hub's lease key in the place of R&D.
    fn forge_root(&self, version: u64) -> Result<Vec<u8>> {
        let held = self.documents()?;
        let mut plan = RootPlan::read(&held["1.root.json"])?;
        let own = RoleKeys { keys: vec![self.lease.public()], threshold: 1 };
        (plan.version, plan.root, plan.targets) = (version, own.clone(), own);
        let document = root_document(&plan, &self.all())?;
        self.put(&format!("{version}.root.json"), &document)?;
        self.put("root.json", &document)?;
        Ok(document)
    }

    /// A snapshot and a timestamp that stand for all of it: these the hub may sign.
    fn freshen(&self) -> Result<()> {
        let held = self.documents()?;
        let roles: BTreeMap<String, Vec<u8>> = ["targets", PRODUCT]
            .into_iter()
            .map(|role| (role.to_owned(), held[&format!("{role}.json")].clone()))
            .collect();
        let fresh = freshen(&FreshenWith {
            snapshot_key: &self.snapshot,
            timestamp_key: &self.timestamp,
            roles: &roles,
            previous: Some((&held["snapshot.json"], &held["timestamp.json"])),
            now_ms: self.now_ms,
            snapshot_life_ms: DAY_MS,
            timestamp_life_ms: DAY_MS,
        })?;
        self.put("snapshot.json", &fresh.snapshot)?;
        self.put("timestamp.json", &fresh.timestamp)
    }
}

/// What a thief does once his release lies in the hub.
type Forge = fn(&Thief, &Packed) -> Result<()>;

/// Copies a folder's files; the hub is stopped meanwhile.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &there)?;
        } else {
            fs::copy(entry.path(), there)?;
        }
    }
    Ok(())
}

#[test]
fn a_hub_with_all_its_keys_stolen_enrols_a_fresh_station_and_cannot_make_it_flash() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let mut hub = Hub::make(&programs, folder.path())?;
    let research = Research::begin(&programs, &folder.path().join("research"), &hub.keys()?)?;
    hub.start()?;
    let good = research.pack(
        "1.0.0",
        &Recipe::plain("nrf52", "nRF52832_xxAA", &[]),
        Path::new(FIRMWARE),
    )?;
    hub.publish(&good)?;
    hub.stop()?;
    let honest = folder.path().join("honest");
    copy(hub.folder(), &honest)?;

    let forgeries: [(&str, Forge); 4] = [
        ("a-manifest", |_, _| Ok(())),
        ("a-product", |thief, packed| {
            thief.forge_product(packed)?;
            thief.freshen()
        }),
        ("the-targets", |thief, packed| {
            thief.forge_targets()?;
            thief.forge_product(packed)?;
            thief.freshen()
        }),
        ("a-root", |thief, packed| {
            thief.forge_root(2)?;
            thief.forge_targets()?;
            thief.forge_product(packed)?;
            thief.freshen()
        }),
    ];
    for (name, forge) in forgeries {
        fs::remove_dir_all(hub.folder())?;
        copy(&honest, hub.folder())?;
        let thief = Thief::rob(&hub)?;
        let packed = thief.smuggle("6.6.6")?;
        forge(&thief, &packed).with_context(|| name.to_owned())?;
        hub.start()?;
        let evil = Release {
            bundle: good.bundle.clone(),
            manifest_sha256: Digest::of(&packed.manifest_bytes).to_string(),
        };
        refused_at_a_fresh_station(&programs, folder.path(), &hub, name, &evil)
            .with_context(|| format!("forged: {name}"))?;
        hub.stop()?;
    }

    // The same hub, with its honest documents: the same steps end in a flashed board.
    fs::remove_dir_all(hub.folder())?;
    copy(&honest, hub.folder())?;
    hub.start()?;
    let (mut station, board) = with_an_order(&programs, folder.path(), &hub, "honest-st", &good)?;
    board.insert()?;
    until(VISIT, || {
        station.alive()?;
        let state = station.view()?["slots"][0]["state"].take();
        Ok((state == "pass").then_some(()))
    })
    .context("the good release, at a station enrolled the same way")?;
    station.stop()
}

/// Enrols a station, gives it an order of a release, starts it with one board outside.
fn with_an_order(
    programs: &Programs,
    folder: &Path,
    hub: &Hub,
    name: &str,
    release: &Release,
) -> Result<(Station, Board)> {
    let code = hub.enrolment_code(name, "line-1")?;
    let mut station = Station::enrol(programs, folder, name, &code)?;
    hub.open_order(name, PRODUCT, release, 5)?;
    hub.grant_plain(name, name, 5)?;
    let place = folder.join(format!("{name}-board"));
    fs::create_dir_all(&place)?;
    let board = Board::make(programs, BoardKind::Simulated, 1, &place)?;
    station.start(std::slice::from_ref(&board), None)?;
    Ok((station, board))
}

fn refused_at_a_fresh_station(
    programs: &Programs,
    folder: &Path,
    hub: &Hub,
    name: &str,
    evil: &Release,
) -> Result<()> {
    let (mut station, board) = with_an_order(programs, folder, hub, name, evil)?;
    // The hub's documents have been judged, one way or the other.
    until(VISIT, || {
        station.alive()?;
        let view = station.view()?;
        let judged = view["trouble"]["code"] == "F-31" || view["order"]["number"] == name;
        Ok((view["hub"]["state"] == "online" && judged).then_some(()))
    })
    .context("waiting for the station to hear the hub")?;
    board.insert()?;
    let mut last = serde_json::Value::Null;
    let tile = until(VISIT, || {
        station.alive()?;
        last = station.view()?["slots"][0].take();
        let ended = last["state"] == "fail" || last["state"] == "pass";
        Ok(ended.then(|| last.clone()))
    })
    .with_context(|| format!("waiting for the slot; last {last}"))?;
    ensure!(tile["state"] == "fail", "it was flashed: {tile}");
    ensure!(tile["trouble"]["code"] == "F-31", "another trouble: {tile}");
    let flash = board.flash(0, 4096)?;
    ensure!(flash.chars().all(|digit| digit.eq_ignore_ascii_case(&'f')), "the chip was written");
    station.stop()
}

#[test]
fn a_stolen_hub_that_hands_out_its_own_root_is_noticed_by_the_words_from_rnd() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let mut hub = Hub::make(&programs, folder.path())?;
    let research = Research::begin(&programs, &folder.path().join("research"), &hub.keys()?)?;
    hub.start()?;
    let plan = Plan::new(1, Path::new(FIRMWARE));
    let recipe = Recipe::plain("nrf52", "nRF52832_xxAA", &[]);
    hub.publish(&research.pack(&plan.version, &recipe, &plan.image)?)?;
    let words = research.root_words()?;
    hub.stop()?;

    let thief = Thief::rob(&hub)?;
    let root = thief.forge_root(1)?;
    Connection::open(&thief.database)?.execute("UPDATE tenants SET root_json = ?1", [&root])?;
    hub.start()?;
    let code = hub.enrolment_code("fresh", "line-1")?;
    let more = ["--root-words", words.as_str()];
    let refused = Station::enrol_with(&programs, folder.path(), "fresh", &code, &more);
    let said = match refused {
        Ok(_) => anyhow::bail!("it enrolled under the thief's root"),
        Err(error) => format!("{error:#}"),
    };
    assert!(said.contains("F-31") && said.contains(&Digest::of(&root).words()), "{said}");
    // Whoever does not ask R&D sees the words of the root that was put in its place.
    let station = Station::enrol(&programs, folder.path(), "fresh", &code)?;
    assert!(station.root_words().contains(&Digest::of(&root).words()));
    assert!(!station.root_words().contains(&words));
    Ok(())
}
