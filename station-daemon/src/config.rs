//! What an installer writes into `station.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flash::{BackEnd, Chip, Port};
use serde::Deserialize;

use crate::keys::SecretPlaces;
use crate::platform::sealing;
use crate::scanners::ScannerPort;
use crate::scanners::label::bin_name;

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
    /// When release chunks may be fetched: cron expressions of five fields in the station's time
    /// zone, `* 0-5 * * *`; always when there is none.
    #[serde(default)]
    pub bulk_when: Vec<String>,
    /// Folders below which USB sticks are mounted: what a screen may have written or read.
    #[serde(default = "default_sticks")]
    pub sticks: Vec<PathBuf>,
    /// Days that records stay here after the hub has acknowledged them; for ever when absent.
    #[serde(default)]
    pub keep_records_days: Option<u32>,
    /// Seconds a unit may take on this line, for the lead's charts.
    #[serde(default)]
    pub takt_s: Option<u32>,
    /// The scanners: `tty:PATH[@BAUD]` of one that sends what it reads, `hid:PATH` of one that
    /// types it.
    #[serde(default)]
    pub scanners: Vec<ScannerPort>,
    /// How loud the screen's sounds are, 0 to 100; 0: there are none.
    #[serde(default = "default_sound")]
    pub sound_level: u32,
    /// Names of the bins for rejected boards, as on their labels behind `BIN:`. Where there are
    /// any, a rejected board holds its slot until its bin is scanned.
    #[serde(default)]
    pub reject_bins: Vec<String>,
    /// The slots of the fixture.
    #[serde(default, rename = "slot")]
    pub slots: Vec<SlotConfig>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "SlotText")]
pub struct SlotConfig {
    /// Number printed on the fixture, from 1.
    pub number: u32,
    /// The ways to the board in it; of several of one kind the first counts.
    pub ports: Vec<Port>,
    /// Ports that lead to one chip of a unit with several, by its name in the recipe.
    pub chips: BTreeMap<String, Port>,
    /// Where the unit's self-test line is heard, if not at the first serial port:
    /// `tcp:HOST:PORT` or a device path.
    pub uart: Option<String>,
    /// Speed of that line.
    pub baud: u32,
}

/// One slot as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotText {
    number: u32,
    /// The older word for a slot's only port.
    selector: Option<Port>,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    chips: BTreeMap<String, Port>,
    uart: Option<String>,
    #[serde(default = "default_baud")]
    baud: u32,
}

impl From<SlotText> for SlotConfig {
    fn from(text: SlotText) -> Self {
        let SlotText { number, selector, ports, chips, uart, baud } = text;
        Self { number, ports: selector.into_iter().chain(ports).collect(), chips, uart, baud }
    }
}

impl SlotConfig {
    /// The port through which a chip is flashed: `through` if the recipe names a transport,
    /// otherwise a debug probe before DFU before a serial loader, as far as the chip has a
    /// qualified way there.
    #[must_use]
    pub fn port_for(&self, chip: &Chip, through: Option<BackEnd>) -> Option<&Port> {
        [BackEnd::Probe, BackEnd::Dfu, BackEnd::Uart]
            .into_iter()
            .filter(|back_end| through.is_none_or(|wanted| wanted == *back_end))
            .filter(|back_end| chip.way(*back_end).is_some())
            .find_map(|back_end| self.ports.iter().find(|port| port.back_end() == back_end))
    }

    /// The port of one chip of a unit, by its name in the recipe: the one named for it, otherwise
    /// as [`SlotConfig::port_for`].
    #[must_use]
    pub fn port_of(&self, name: &str, chip: &Chip, through: Option<BackEnd>) -> Option<&Port> {
        let Some(port) = self.chips.get(name) else { return self.port_for(chip, through) };
        let back_end = port.back_end();
        let will_do = through.is_none_or(|wanted| wanted == back_end);
        (will_do && chip.way(back_end).is_some()).then_some(port)
    }

    /// Every port of the slot.
    pub fn all_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().chain(self.chips.values())
    }

    /// The port that is looked into while nobody knows which chip is to come.
    #[must_use]
    pub fn first_port(&self) -> Option<&Port> {
        let rank = |port: &&Port| match port.back_end() {
            BackEnd::Probe => 0,
            BackEnd::Dfu => 1,
            BackEnd::Uart => 2,
        };
        self.all_ports().min_by_key(rank)
    }

    /// Where the unit's self-test line is heard, and its speed.
    #[must_use]
    pub fn console(&self) -> Option<(String, u32)> {
        let named = self.uart.as_ref().map(|endpoint| (endpoint.clone(), self.baud));
        named.or_else(|| {
            self.ports.iter().find_map(|port| match port {
                Port::Tty(tty) => Some((tty.path.clone(), tty.baud)),
                Port::Probe(_) | Port::Placed(_) | Port::Usb(_) => None,
            })
        })
    }
}

fn default_sticks() -> Vec<PathBuf> {
    ["/media", "/run/media", "/mnt"].into_iter().map(PathBuf::from).collect()
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7380))
}

const fn default_sound() -> u32 {
    60
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
    /// One piece of hardware cannot serve two slots, nor one slot twice.
    #[error("slot {slot} has the port {port}, which slot {other} has already")]
    PortTwice {
        /// The later slot.
        slot: u32,
        /// Its port.
        port: Port,
        /// The slot before.
        other: u32,
    },
    /// One port cannot be two scanners, nor a slot's as well.
    #[error("the scanner {0} is named twice, or is a slot's port")]
    ScannerTwice(ScannerPort),
    /// Louder than the loudest.
    #[error("the sound level {0} is above 100")]
    SoundLevel(u32),
    /// No label can name it.
    #[error("{0:?} is not a bin: 1 to 16 letters, digits, -, _ and .")]
    BinName(String),
    /// An expression of `bulk_when` lists no minutes.
    #[error("understanding when release chunks may be fetched")]
    BulkWhen(#[source] sync::WindowError),
    /// A probe on another computer would be sent plain firmware over a network.
    #[error("the probe {port} of slot {slot} is not on this computer")]
    ProbeElsewhere {
        /// The slot.
        slot: u32,
        /// The probe.
        port: Port,
    },
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
            bulk_when: Vec::new(),
            sticks: default_sticks(),
            keep_records_days: None,
            takt_s: None,
            scanners: Vec::new(),
            reject_bins: Vec::new(),
            sound_level: default_sound(),
            slots: Vec::new(),
        }
    }

    /// Checks what the form alone does not.
    ///
    /// # Errors
    /// [`ConfigError::NotLoopback`], [`ConfigError::SlotNumber`], [`ConfigError::PortTwice`],
    /// [`ConfigError::ProbeElsewhere`], [`ConfigError::ScannerTwice`], [`ConfigError::BinName`],
    /// [`ConfigError::SoundLevel`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() {
            return Err(ConfigError::NotLoopback(self.listen));
        }
        self.bulk_windows()?;
        let mut numbers = BTreeSet::new();
        for slot in &self.slots {
            if slot.number == 0 || !numbers.insert(slot.number) || numbers.len() > SLOTS_MAX {
                return Err(ConfigError::SlotNumber(slot.number));
            }
        }
        if self.sound_level > 100 {
            return Err(ConfigError::SoundLevel(self.sound_level));
        }
        if let Some(bin) = self.reject_bins.iter().find(|bin| bin_name(bin).is_none()) {
            return Err(ConfigError::BinName(bin.clone()));
        }
        check_ports(&self.slots)?;
        self.check_scanners()
    }

    fn check_scanners(&self) -> Result<(), ConfigError> {
        for (place, scanner) in self.scanners.iter().enumerate() {
            let own = match scanner {
                ScannerPort::Tty(tty) => Some(Port::Tty(tty.clone())),
                ScannerPort::Hid(_) => None,
            };
            let is_slots = own.as_ref().is_some_and(|own| {
                self.slots.iter().flat_map(SlotConfig::all_ports).any(|port| port.meets(own))
            });
            let is_twice = self.scanners[..place].iter().any(|before| match (before, &own) {
                (ScannerPort::Tty(tty), Some(own)) => Port::Tty(tty.clone()).meets(own),
                (ScannerPort::Tty(_), None) | (ScannerPort::Hid(_), _) => before == scanner,
            });
            if is_slots || is_twice {
                return Err(ConfigError::ScannerTwice(scanner.clone()));
            }
        }
        Ok(())
    }

    /// When release chunks may be fetched.
    ///
    /// # Errors
    /// [`ConfigError::BulkWhen`].
    pub fn bulk_windows(&self) -> Result<sync::BulkWindows, ConfigError> {
        sync::BulkWindows::parse(&self.bulk_when).map_err(ConfigError::BulkWhen)
    }

    /// Adds the ports that slots were taught, before those they have. One that cannot be used (no
    /// such slot, another slot's by now) is left out and given back.
    pub fn bind(&mut self, taught: Vec<(u32, Port)>) -> Vec<(u32, Port)> {
        let mut left = Vec::new();
        for (number, port) in taught {
            let met = self.slots.iter().find(|slot| slot.all_ports().any(|own| own.meets(&port)));
            let other = met.is_some_and(|slot| slot.number != number);
            let own = met.is_some_and(|slot| slot.number == number);
            match self.slots.iter_mut().find(|slot| slot.number == number) {
                Some(_) if own => {}
                Some(slot) if !other && port.is_here() => slot.ports.insert(0, port),
                Some(_) | None => left.push((number, port)),
            }
        }
        left
    }

    /// The store.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.data.join("station.db")
    }

    /// Where the station secret may be: bare, or sealed beside it under the same name and `.sealed`.
    #[must_use]
    pub fn secret_places(&self) -> SecretPlaces {
        let bare = self.secret_file.clone().unwrap_or_else(|| self.data.join("station.secret"));
        let mut sealed = bare.clone().into_os_string();
        sealed.push(".sealed");
        SecretPlaces { bare, sealed: sealed.into(), handed_over: sealing::handed_over() }
    }

    /// The file that holds the page's entry address with its single-use nonce.
    #[must_use]
    pub fn entry_file(&self) -> PathBuf {
        self.data.join("run").join("enter")
    }
}

/// Every slot has ports, all on this computer, and none that another one has too.
fn check_ports(slots: &[SlotConfig]) -> Result<(), ConfigError> {
    let mut taken: Vec<(u32, &Port)> = Vec::new();
    for slot in slots {
        let number = slot.number;
        for port in slot.all_ports() {
            if !port.is_here() {
                return Err(ConfigError::ProbeElsewhere { slot: number, port: port.clone() });
            }
            if let Some((other, _)) = taken.iter().find(|(_, before)| before.meets(port)) {
                let port = port.clone();
                return Err(ConfigError::PortTwice { slot: number, port, other: *other });
            }
            taken.push((number, port));
        }
    }
    Ok(())
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
        check("data = \"d\"\nbulk_when = [\"* 0-5 * * *\"]", true);
        check("data = \"d\"\nbulk_when = [\"nightly\"]", false);
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

    #[test]
    fn bins_have_names_that_a_label_can_hold_and_sounds_a_level() {
        let check = |line: &str, good: bool| {
            assert_eq!(parse(&format!("data = \"d\"\n{line}")).is_ok(), good, "{line}");
        };
        check(r#"reject_bins = ["RED", "R-2"]"#, true);
        check(r#"reject_bins = ["RED BIN"]"#, false);
        check(r#"reject_bins = [""]"#, false);
        check("sound_level = 0", true);
        check("sound_level = 100", true);
        check("sound_level = 101", false);
    }

    fn slot(ports: &str) -> SlotConfig {
        let text = format!("data = \"d\"\n[[slot]]\nnumber = 1\n{ports}");
        parse(&text).unwrap_or_else(|error| panic!("{text}: {error}")).slots.remove(0)
    }

    #[test]
    fn a_slot_may_have_several_ports_and_no_port_belongs_to_two_slots() {
        let check = |slots: &[&str], wanted: Result<usize, &str>| {
            let mut text = "data = \"d\"\n".to_owned();
            for (number, ports) in (1..).zip(slots) {
                text.push_str(&format!("[[slot]]\nnumber = {number}\n{ports}\n"));
            }
            let found = parse(&text).map(|config| config.slots.iter().map(|s| s.ports.len()).sum());
            assert_eq!(found, wanted.map_err(str::to_owned), "{text}");
        };
        let three = r#"ports = ["1366:0101:1", "usb:1-2.3", "tty:/dev/serial/none@57600"]"#;
        check(&[three], Ok(3));
        check(&[three, r#"ports = ["1366:0101:2", "usb:1-2.4"]"#], Ok(5));
        check(&["selector = \"1366:0101:1\"\nports = [\"usb:1-2\"]"], Ok(2));
        let chips = r#"chips = { radio = "1366:0101:3" }"#;
        check(&[chips], Ok(0));
        check(
            &[chips, r#"ports = ["1366:0101:3"]"#],
            Err("slot 2 has the port 1366:0101:3, which slot 1 has already"),
        );
        // It may be taught one.
        check(&["ports = []"], Ok(0));
        check(&[""], Ok(0));
        check(
            &[three, r#"ports = ["tty:/dev/serial/none"]"#],
            Err("slot 2 has the port tty:/dev/serial/none, which slot 1 has already"),
        );
        check(
            &[three, r#"selector = "1366:0101""#],
            Err("slot 2 has the port 1366:0101, which slot 1 has already"),
        );
        check(
            &[r#"ports = ["usb:1-2", "usb:1-2"]"#],
            Err("slot 1 has the port usb:1-2, which slot 1 has already"),
        );
    }

    #[test]
    fn no_port_is_two_scanners_or_a_slots_as_well() {
        let check = |scanners: &str, good: bool| {
            let slots = "[[slot]]\nnumber = 1\nports = [\"tty:/dev/a\"]";
            let text = format!("data = \"d\"\nscanners = [{scanners}]\n{slots}");
            assert_eq!(parse(&text).is_ok(), good, "{scanners}");
        };
        check("", true);
        check(r#""tty:/dev/b", "tty:/dev/c@9600", "hid:/dev/input/event3""#, true);
        check(r#""tty:/dev/b", "tty:/dev/b@9600""#, false);
        check(r#""hid:/dev/input/event3", "hid:/dev/input/event3""#, false);
        check(r#""tty:/dev/a""#, false);
        check(r#""usb:1-2""#, false);
    }

    #[test]
    fn taught_ports_come_first_and_none_becomes_two_slots_port() {
        let text =
            "data = \"d\"\n[[slot]]\nnumber = 1\nports = [\"usb:1-1\"]\n[[slot]]\nnumber = 2\n";
        let mut config = parse(text).expect("a configuration");
        let port = |text: &str| text.parse::<Port>().expect("a port");
        let taught =
            [(1, "1366:0101@1-4"), (1, "usb:1-1"), (2, "usb:1-1"), (2, "usb:1-2"), (3, "usb:1-3")];
        let left = config.bind(taught.map(|(slot, text)| (slot, port(text))).to_vec());
        assert_eq!(left, [(2, port("usb:1-1")), (3, port("usb:1-3"))]);
        assert_eq!(config.slots[0].ports, [port("1366:0101@1-4"), port("usb:1-1")]);
        assert_eq!(config.slots[1].ports, [port("usb:1-2")]);
        assert!(config.check().is_ok());
    }

    #[test]
    fn the_recipes_chip_decides_which_port_flashes_and_a_probe_comes_first() {
        let check = |ports: &str, chip: &str, through: Option<BackEnd>, wanted: Option<&str>| {
            let slot = slot(ports);
            let chip = flash::chip(chip).unwrap_or_else(|| panic!("{chip}"));
            let found = slot.port_for(chip, through).map(ToString::to_string);
            assert_eq!(found.as_deref(), wanted, "{ports} {} {through:?}", chip.name);
        };
        let all = r#"ports = ["tty:/dev/a", "usb:1-2", "1366:0101:1", "1366:0101:2"]"#;
        check(all, "nRF52832_xxAA", None, Some("1366:0101:1"));
        check(all, "nRF52832_xxAA", Some(BackEnd::Uart), None);
        check(all, "STM32F103CB", Some(BackEnd::Uart), Some("tty:/dev/a"));
        check(r#"ports = ["tty:/dev/a"]"#, "STM32F103CB", None, Some("tty:/dev/a"));
        check(r#"ports = ["tty:/dev/a"]"#, "nRF52832_xxAA", None, None);
        let of_a_chip = |name: &str, chip: &str, through: Option<BackEnd>| {
            let slot = slot("ports = [\"1366:0101:1\"]\nchips = { radio = \"usb:1-2\" }");
            let chip = flash::chip(chip).unwrap_or_else(|| panic!("{chip}"));
            slot.port_of(name, chip, through).map(ToString::to_string)
        };
        let (probe, dfu) = (Some("1366:0101:1".to_owned()), Some("usb:1-2".to_owned()));
        assert_eq!(of_a_chip("main", "STM32F405RG", None), probe);
        assert_eq!(of_a_chip("radio", "STM32F405RG", None), dfu);
        assert_eq!(of_a_chip("radio", "STM32F405RG", Some(BackEnd::Probe)), None);
        assert_eq!(of_a_chip("radio", "nRF52832_xxAA", None), None, "no such way");
        let first = |ports: &str| slot(ports).first_port().map(ToString::to_string);
        assert_eq!(first(all).as_deref(), Some("1366:0101:1"));
        assert_eq!(first(r#"ports = ["tty:/dev/a", "usb:1-2"]"#).as_deref(), Some("usb:1-2"));
    }

    #[test]
    fn the_self_test_is_heard_where_the_slot_says_or_at_its_serial_port() {
        let check = |ports: &str, wanted: Option<(&str, u32)>| {
            let wanted = wanted.map(|(endpoint, baud)| (endpoint.to_owned(), baud));
            assert_eq!(slot(ports).console(), wanted, "{ports}");
        };
        check(r#"selector = "1366:0101""#, None);
        check(r#"ports = ["1366:0101", "tty:/dev/a@9600"]"#, Some(("/dev/a", 9600)));
        check(
            "ports = [\"tty:/dev/a\"]\nuart = \"tcp:localhost:1\"",
            Some(("tcp:localhost:1", 115_200)),
        );
        check("selector = \"1366:0101\"\nuart = \"/dev/b\"\nbaud = 9600", Some(("/dev/b", 9600)));
    }
}
