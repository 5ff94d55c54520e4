//! What an installer writes into `station.toml`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use flash::FlashError;
use flash::probe::ProbeSelector;
use serde::Deserialize;

/// Most slots of one station.
pub const SLOTS_MAX: usize = 64;

/// The configuration of one station.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder for everything the station keeps.
    pub data: PathBuf,
    /// Loopback address of the screen API; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Folder the kiosk page is served from instead of the one inside the program.
    #[serde(default)]
    pub ui: Option<PathBuf>,
    /// Line the station stands on, shown before the hub has said so.
    #[serde(default)]
    pub line: String,
    /// Language the kiosk begins with: `en` or `zh`.
    #[serde(default)]
    pub language: Option<String>,
    /// File with the station secret instead of `station.secret` in the data folder.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The slots of the fixture.
    #[serde(default, rename = "slot")]
    pub slots: Vec<SlotConfig>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotConfig {
    /// Number printed on the fixture, from 1.
    pub number: u32,
    /// Probe by selector: `1d50:6018:HOST:PORT` or `VID:PID:PORT-PATH`.
    pub selector: String,
    /// Where the unit's self-test line is heard: `tcp:HOST:PORT` or a device path.
    #[serde(default)]
    pub uart: Option<String>,
    /// Speed of that line.
    #[serde(default = "default_baud")]
    pub baud: u32,
}

impl SlotConfig {
    /// The probe, as the driver understands it.
    ///
    /// # Errors
    /// [`FlashError::SelectorInvalid`].
    pub fn probe(&self) -> Result<ProbeSelector, FlashError> {
        self.selector.parse()
    }

    /// Whether the probe answers over a network: a simulated board. Only a lease that says so lets
    /// one be flashed, because whoever listens there gets the plain bytes.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.probe().is_ok_and(|probe| probe.is_tcp())
    }

    /// Whether a probe over a network is on this very computer.
    fn is_loopback(&self) -> bool {
        let address = self.selector.splitn(3, ':').nth(2).map(ToSocketAddrs::to_socket_addrs);
        address
            .and_then(Result::ok)
            .is_some_and(|mut addresses| addresses.all(|address| address.ip().is_loopback()))
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7380))
}

const fn default_baud() -> u32 {
    115_200
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML of this form.
    #[error("understanding the configuration")]
    Form(#[source] Box<toml::de::Error>),
    /// The screen API never leaves this computer.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A slot number used twice, or 0, or too many slots.
    #[error("slot number {0} is used twice or out of range")]
    SlotNumber(u32),
    /// Not a probe.
    #[error("reading the probe of slot {slot}")]
    Selector {
        /// The slot.
        slot: u32,
        /// What is wrong with it.
        #[source]
        source: FlashError,
    },
    /// A probe on another computer would be sent plain firmware over a network.
    #[error("the probe of slot {0} is not on this computer")]
    ProbeElsewhere(u32),
}

impl Config {
    /// Reads a file. Relative paths in it are meant from its folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| ConfigError::Form(Box::new(error)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.data = folder.join(&config.data);
        config.ui = config.ui.map(|ui| folder.join(ui));
        config.secret_file = config.secret_file.map(|file| folder.join(file));
        config.check()?;
        Ok(config)
    }

    /// The configuration of a station of which only the folder is known: no slots.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            listen: default_listen(),
            ui: None,
            line: String::new(),
            language: None,
            secret_file: None,
            slots: Vec::new(),
        }
    }

    /// Checks what the form alone does not.
    ///
    /// # Errors
    /// [`ConfigError::NotLoopback`], [`ConfigError::SlotNumber`], [`ConfigError::Selector`],
    /// [`ConfigError::ProbeElsewhere`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() {
            return Err(ConfigError::NotLoopback(self.listen));
        }
        let mut numbers = BTreeSet::new();
        for slot in &self.slots {
            if slot.number == 0 || !numbers.insert(slot.number) || numbers.len() > SLOTS_MAX {
                return Err(ConfigError::SlotNumber(slot.number));
            }
            slot.probe().map_err(|source| ConfigError::Selector { slot: slot.number, source })?;
            if slot.is_simulated() && !slot.is_loopback() {
                return Err(ConfigError::ProbeElsewhere(slot.number));
            }
        }
        Ok(())
    }

    /// The store.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.data.join("station.db")
    }

    /// The station secret.
    #[must_use]
    pub fn secret_file(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| self.data.join("station.secret"))
    }

    /// The file that holds the page's entry address with its single-use nonce.
    #[must_use]
    pub fn entry_file(&self) -> PathBuf {
        self.data.join("run").join("enter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_configuration_is_taken_or_refused_as_a_whole() {
        let check = |text: &str, good: bool| assert_eq!(parse(text).is_ok(), good, "{text}");
        check("data = \"d\"", true);
        check("data = \"d\"\nlisten = \"[::1]:0\"", true);
        check("data = \"d\"\nlisten = \"0.0.0.0:80\"", false);
        check("data = \"d\"\nlisten = \"192.168.1.5:80\"", false);
        check("listen = \"127.0.0.1:0\"", false);
        check("data = \"d\"\nsurprise = 1", false);
        let slot = |number: u32, selector: &str| {
            format!("[[slot]]\nnumber = {number}\nselector = \"{selector}\"\n")
        };
        let with = |slots: &[String]| format!("data = \"d\"\n{}", slots.concat());
        check(&with(&[slot(1, "1d50:6018:127.0.0.1:4000")]), true);
        check(&with(&[slot(1, "1d50:6018:[::1]:4000")]), true);
        check(&with(&[slot(1, "1d50:6018:198.51.100.7:4000")]), false);
        check(&with(&[slot(1, "1366:0101:000012345678")]), true);
        check(&with(&[slot(1, "no probe at all")]), false);
        check(&with(&[slot(0, "1366:0101")]), false);
        check(&with(&[slot(2, "1366:0101"), slot(2, "1366:0102")]), false);
    }
}
