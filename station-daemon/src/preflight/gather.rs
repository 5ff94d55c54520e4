//! Reading the facts from the system.

use std::path::{Path, PathBuf};

use flash::Port;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::usb::{self, Device};
use super::{Disk, Facts, Found, PortFact, Roots, StationFacts};
use crate::config::Config;

/// Reads what a shift needs to know. A file that cannot be read is a fact that is not there.
#[must_use]
pub fn gather(roots: &Roots, config: &Config, station: Option<StationFacts>) -> Facts {
    let devices = usb::devices(&roots.usb);
    let ports = config.slots.iter().flat_map(|slot| {
        let devices = &devices;
        slot.all_ports().map(move |port| PortFact {
            slot: slot.number,
            port: port.clone(),
            found: look(roots, devices, port),
        })
    });
    Facts {
        controllers: usb::controllers(&roots.usb),
        ports: ports.collect(),
        disk: disk(&config.data),
        swaps: swaps(&roots.swaps),
        tpm: roots.dev.join("tpmrm0").exists(),
        station,
    }
}

fn look(roots: &Roots, devices: &[Device], port: &Port) -> Found {
    let node = match port {
        Port::Probe(selector) if selector.is_tcp() => return Found::Elsewhere,
        Port::Probe(selector) => devices.iter().find(|device| {
            device.ids == selector.ids()
                && selector.serial().is_none_or(|serial| serial == device.serial)
        }),
        Port::Placed(placed) => {
            let socket = placed.socket.to_string();
            let at = |device: &&Device| Some(device.place.as_str()) == socket.strip_prefix("usb:");
            devices.iter().find(at).filter(|device| device.ids == placed.ids)
        }
        Port::Usb(path) => {
            let socket = path.to_string();
            devices.iter().find(|device| Some(device.place.as_str()) == socket.strip_prefix("usb:"))
        }
        Port::Tty(tty) => return rights(Path::new(&tty.path).to_owned()),
    };
    let Some(device) = node else { return Found::Nothing };
    let (bus, number) = device.node;
    rights(roots.dev.join(format!("bus/usb/{bus:03}/{number:03}")))
}

fn rights(node: PathBuf) -> Found {
    if !node.exists() {
        return Found::Nothing;
    }
    match access(&node, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) => Found::Usable(node),
        Err(_) => Found::Forbidden(node),
    }
}

fn disk(data: &Path) -> Option<Disk> {
    let found = statvfs(data).ok()?;
    let free_bytes = found.blocks_available() * found.fragment_size();
    Some(Disk { free_bytes })
}

/// Swap areas that are on a disk; compressed memory is none.
fn swaps(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let areas = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    areas.filter(|area| !area.starts_with("/dev/zram")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the test makes a small system")]

    use std::fs;

    use super::*;
    use crate::config::SlotConfig;

    #[test]
    fn the_facts_of_a_small_system_are_found() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        let put = |name: &str, text: &str| {
            let file = at(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("folder");
            fs::write(file, text).expect("file");
        };
        put("usb/1-2/idVendor", "1366");
        put("usb/1-2/idProduct", "0101");
        put("usb/1-2/serial", "000012345678");
        put("usb/1-2/busnum", "1");
        put("usb/1-2/devnum", "17");
        put("dev/bus/usb/001/017", "");
        put("dev/tpmrm0", "");
        put("dev/ttyUSB0", "");
        put("swaps", "Filename Type Size\n/dev/zram0 partition 1\n/dev/sda2 partition 2\n");
        let mut config = Config::in_folder(folder.path());
        let tty = format!("tty:{}", at("dev/ttyUSB0").display());
        let ports = [
            "1366:0101:000012345678",
            "1366:0101",
            "1366:0101@1-2",
            "1366:0101:other",
            "1366:0101@1-3",
            "0d28:0204@1-2",
            "usb:1-2",
            "usb:1-3",
            tty.as_str(),
            "tty:/no/such/port",
            "1d50:6018:127.0.0.1:1",
        ];
        let ports = ports.map(|port| port.parse().expect("a port"));
        let slot = SlotConfig {
            number: 7,
            ports: ports.to_vec(),
            chips: std::collections::BTreeMap::new(),
            uart: None,
            baud: 115_200,
        };
        config.slots.push(slot);
        let roots = Roots { usb: at("usb"), dev: at("dev"), swaps: at("swaps") };
        let facts = gather(&roots, &config, None);
        let usable = || Found::Usable(at("dev/bus/usb/001/017"));
        let wanted = [
            usable(),
            usable(),
            usable(),
            Found::Nothing,
            Found::Nothing,
            Found::Nothing,
            usable(),
            Found::Nothing,
            Found::Usable(at("dev/ttyUSB0")),
            Found::Nothing,
            Found::Elsewhere,
        ];
        let found: Vec<Found> = facts.ports.iter().map(|fact| fact.found.clone()).collect();
        assert_eq!(found, wanted);
        assert!(facts.ports.iter().all(|fact| fact.slot == 7));
        assert_eq!(facts.swaps, ["/dev/sda2"]);
        assert!(facts.tpm && facts.disk.is_some_and(|disk| disk.free_bytes > 0));

        let nothing = Roots { usb: at("none"), dev: at("none"), swaps: at("none") };
        let facts = gather(&nothing, &Config::in_folder(&at("none")), None);
        assert!(facts.controllers.is_empty() && facts.disk.is_none() && facts.swaps.is_empty());
    }
}
