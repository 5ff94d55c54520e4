//! R&D's folder: its keys, its signing root and the bundles it packs, made with R&D's own programs.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{BLOCK_ADDRESS, PRODUCT, Programs, TENANT};

/// The demo firmware trusts this key; it is published with this source and protects nothing.
const ACTIVATION_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/world/demo-product-not-a-secret.pem");

/// A packed, sealed and signed release, ready for the hub.
#[derive(Debug, Clone)]
pub struct Release {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// SHA-256 of the manifest in hex: the release's name everywhere.
    pub manifest_sha256: String,
}

/// What R&D wants done to a board.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The recipe's TOML, as `flashline-release pack` takes it.
    pub toml: String,
}

impl Recipe {
    /// Flash and verify, nothing else: no self-test, no activation. `exclude` names half-open
    /// ranges that are left out, signed and shown.
    #[must_use]
    pub fn plain(family: &str, chip: &str, exclude: &[(u32, u32)]) -> Self {
        let ranges: Vec<String> = exclude
            .iter()
            .map(|(start, end)| format!("{{ start = {start:#x}, end = {end:#x} }}"))
            .collect();
        Self {
            toml: format!(
                "family = {family:?}\nchip = {chip:?}\nprotect = false\n\
                 channels = [\"production\"]\nexclude = [{}]\n",
                ranges.join(", ")
            ),
        }
    }

    /// The same, and the firmware must say a line over the serial port.
    #[must_use]
    pub fn listening_for(mut self, line: &str, within_ms: u32) -> Self {
        self.toml.push_str(&format!(
            "\n[self_test]\nvia = \"uart\"\nexpect = {line:?}\nwithin_ms = {within_ms}\n"
        ));
        self
    }

    /// The same, and an activation block in the last page.
    #[must_use]
    pub fn activated(mut self, activation_key: &str) -> Self {
        self.toml.push_str(&format!(
            "\n[activation]\naddress = {BLOCK_ADDRESS:#010x}\nmode = \"ed25519\"\n\
             product_keys = [{activation_key:?}]\n"
        ));
        self
    }

    /// The same, and an activation block of another mode in the last page: with R&D's key, or with
    /// the SHA-256 of a secret.
    #[must_use]
    pub fn activated_in(mut self, mode: &str, key: Option<&str>, secret: Option<&str>) -> Self {
        let keys: Vec<_> = key.into_iter().collect();
        self.toml.push_str(&format!(
            "\n[activation]\naddress = {BLOCK_ADDRESS:#010x}\nmode = {mode:?}\n\
             product_keys = {keys:?}\n"
        ));
        if let Some(secret) = secret {
            self.toml.push_str(&format!("mac_secret_sha256 = {secret:?}\n"));
        }
        self
    }

    /// The demo lamp: self-test over the serial line, an activation block in the last page.
    #[must_use]
    pub fn demo_lamp(activation_key: &str) -> Self {
        Self::plain("nrf52", "nRF52832_xxAA", &[])
            .listening_for("FLASHLINE {product} {version} activation=valid", 60_000)
            .activated(activation_key)
    }
}

/// R&D at work.
#[derive(Debug)]
pub struct Research {
    programs: Programs,
    folder: PathBuf,
}

impl Research {
    /// Makes the tenant's signing root and the product's keys. `hub_keys` is the file of public
    /// keys that the hub gave out.
    ///
    /// # Errors
    /// When one of R&D's programs refuses.
    pub fn begin(programs: &Programs, folder: &Path, hub_keys: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let research = Self { programs: programs.clone(), folder: folder.to_owned() };
        for key in ["root-1", "root-2", "root-3", "targets-1", "targets-2", "targets-3", "product"]
        {
            research.release(&["keygen", "--out", &research.file(&format!("{key}.key"))])?;
        }
        // Two of three sign, at two machines; one person's product is warned about.
        research.release(&[
            "root",
            "init",
            "--repo",
            &research.file("repo"),
            "--tenant",
            TENANT,
            "--root-threshold",
            "2",
            "--root-key",
            &research.file("root-1.key"),
            "--root-key",
            &research.file("root-2.key.pub"),
            "--root-key",
            &research.file("root-3.key.pub"),
            "--targets-threshold",
            "2",
            "--targets-key",
            &research.file("targets-1.key"),
            "--targets-key",
            &research.file("targets-2.key.pub"),
            "--targets-key",
            &research.file("targets-3.key.pub"),
            "--hub-keys",
            &hub_keys.to_string_lossy(),
            "--product",
            &format!("{PRODUCT}={}", research.file("product.key.pub")),
        ])?;
        research.release(&[
            "root",
            "sign",
            "--repo",
            &research.file("repo"),
            "--key",
            &research.file("root-3.key"),
            "--key",
            &research.file("targets-2.key"),
        ])?;
        Ok(research)
    }

    /// Packs, seals and signs one release of the demo product from one image file.
    ///
    /// # Errors
    /// When packing refuses the image or the recipe.
    pub fn pack(&self, version: &str, recipe: &Recipe, image: &Path) -> Result<Release> {
        let recipe_file = self.folder.join(format!("recipe-{version}.toml"));
        File::create(&recipe_file)
            .and_then(|mut file| file.write_all(recipe.toml.as_bytes()))
            .with_context(|| format!("writing {}", recipe_file.display()))?;
        let bundle = self.folder.join(format!("bundle-{version}"));
        self.release(&[
            "pack",
            "--repo",
            &self.file("repo"),
            "--recipe",
            &recipe_file.to_string_lossy(),
            "--product",
            PRODUCT,
            "--version",
            version,
            "--hardware-revision",
            "A",
            "--image",
            &format!("app={}", image.display()),
            "--key",
            &self.file("product.key"),
            "--out",
            &bundle.to_string_lossy(),
        ])?;
        let manifest_sha256 = self.manifest_sha256(&bundle)?;
        Ok(Release { bundle, manifest_sha256 })
    }

    /// Writes the next root, in which a new person stands for one who left, and collects the
    /// documents for the hub; gives their folder.
    ///
    /// # Errors
    /// When one of R&D's programs refuses.
    pub fn rotate_root(&self) -> Result<PathBuf> {
        let file = |name: &str| self.file(name);
        self.release(&["keygen", "--out", &file("root-4.key")])?;
        let repo = ["--repo", &*file("repo")].map(str::to_owned);
        let words = |verb: &[&str], more: &[&str]| -> Vec<String> {
            let more = more.iter().map(|word| (*word).to_owned());
            verb.iter().map(|word| (*word).to_owned()).chain(repo.clone()).chain(more).collect()
        };
        let (new, left) = (file("root-4.key.pub"), file("root-1.key.pub"));
        let change = ["--add-root-key", &*new, "--remove-root-key", &*left];
        let keys =
            ["--key", &*file("root-2.key"), "--key", &*file("root-4.key")].map(str::to_owned);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.programs.run(
            "flashline-release",
            &words(&["root", "rotate"], &[&change[..], &keys].concat()),
        )?;
        // The person who stays signs at a machine of their own.
        let key = file("root-3.key");
        self.programs.run("flashline-release", &words(&["root", "sign"], &["--key", &key]))?;
        let out = self.folder.join("documents");
        let place = out.to_string_lossy().into_owned();
        self.programs.run("flashline-release", &words(&["documents"], &["--out", &place]))?;
        Ok(out)
    }

    /// The eight words of the tenant's root.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn root_words(&self) -> Result<String> {
        let shown = self.release(&["root", "show", &self.file("repo")])?;
        let words = shown.lines().find_map(|line| line.strip_prefix("words"));
        Ok(words.context("a root without words")?.trim().to_owned())
    }

    /// What `flashline-release inspect` says of a bundle.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    pub fn inspect(&self, bundle: &Path) -> Result<String> {
        self.release(&["inspect", &bundle.to_string_lossy()])
    }

    /// The public half of the product's activation key, in hex.
    ///
    /// # Errors
    /// When the key file cannot be read.
    pub fn activation_key(programs: &Programs) -> Result<String> {
        let key = programs.run("flashline-activation", &["public", "--key", ACTIVATION_KEY])?;
        Ok(key.trim().to_owned())
    }

    /// Lends `quota` activations to the holder of `station_key` (hex); gives the certificate (hex).
    ///
    /// # Errors
    /// When the station's key is no key.
    pub fn certify(&self, station_key: &str, quota: u32) -> Result<String> {
        let certificate = self.programs.run(
            "flashline-activation",
            &[
                "certify",
                "--key",
                ACTIVATION_KEY,
                "--product",
                PRODUCT,
                "--station-key",
                station_key,
                "--quota",
                &quota.to_string(),
            ],
        )?;
        Ok(certificate.trim().to_owned())
    }

    fn manifest_sha256(&self, bundle: &Path) -> Result<String> {
        let output = std::process::Command::new("sha256sum")
            .arg(bundle.join("manifest.json"))
            .output()
            .context("taking the manifest's digest")?;
        String::from_utf8(output.stdout)
            .ok()
            .and_then(|line| line.split_whitespace().next().map(str::to_owned))
            .with_context(|| format!("{} holds no manifest", bundle.display()))
    }

    fn release(&self, arguments: &[&str]) -> Result<String> {
        self.programs.run("flashline-release", arguments)
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}
