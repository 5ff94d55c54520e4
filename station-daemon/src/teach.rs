//! Teach-in: which ports belong to a slot, shown by plugging them in.
//!
//! Owns the watching: what is plugged in is compared with what was there before, and what came is
//! the slot's. The kernel's events do not reach a confined service, so the system's own lists are
//! read every so often; their places are arguments. Leaves keeping the ports to the desk.
//!
//! Promise: nothing that was there before the session is ever bound.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flash::{PlacedProbe, Port, PortKind, TtyPort};

use crate::config::SlotConfig;
use crate::preflight::usb;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A device with several parts shows them one after the other: so long after the last one it is
/// whole.
const WHOLE_AFTER: Duration = Duration::from_secs(2);

/// Where the system lists what is plugged in.
#[derive(Debug, Clone)]
pub struct Lists {
    /// What is in USB sockets.
    pub usb: PathBuf,
    /// Serial ports by the socket of their adapter.
    pub serial: PathBuf,
}

impl Default for Lists {
    fn default() -> Self {
        Self { usb: "/sys/bus/usb/devices".into(), serial: "/dev/serial/by-path".into() }
    }
}

/// Everything that could be bound to a slot now, by its place: probes in their sockets, sockets
/// with a board in DFU mode, serial ports by the socket of their adapter.
#[must_use]
pub fn present(lists: &Lists) -> BTreeSet<String> {
    let of_usb = usb::devices(&lists.usb).into_iter().filter_map(|device| {
        let socket = format!("usb:{}", device.place).parse().ok()?;
        let port = if PortKind::of_probe(device.ids).is_known_probe() {
            Port::Placed(PlacedProbe { ids: device.ids, socket })
        } else if device.dfu {
            Port::Usb(socket)
        } else {
            return None;
        };
        Some(port.to_string())
    });
    let serial = fs::read_dir(&lists.serial).into_iter().flatten().flatten();
    let serial = serial.filter_map(|entry| {
        let path = entry.path().to_str()?.to_owned();
        Some(Port::Tty(TtyPort { path, baud: flash::BAUD_DEFAULT }).to_string())
    });
    of_usb.chain(serial).collect()
}

/// What is in a taught socket in place of what was plugged in when it was taught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// Nothing; of a socket for boards, not even the hub that it is part of.
    Nothing,
    /// A device with these vendor and product ids.
    Other((u16, u16)),
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Other((vendor, product)) => write!(f, "{vendor:04x}:{product:04x}"),
        }
    }
}

/// Whether a socket holds something else than when it was taught. Boards come and go in theirs: only
/// a probe there is wrong.
#[must_use]
pub fn differs(lists: &Lists, port: &Port) -> Option<Differs> {
    let place = |socket: &str| socket.trim_start_matches("usb:").to_owned();
    let at = |place: &str| usb::devices(&lists.usb).into_iter().find(|one| one.place == place);
    match port {
        Port::Placed(placed) => match at(&place(&placed.socket.to_string())) {
            None => Some(Differs::Nothing),
            Some(device) => (device.ids != placed.ids).then_some(Differs::Other(device.ids)),
        },
        Port::Usb(socket) => {
            let place = place(&socket.to_string());
            let hub = match place.rsplit_once('.') {
                Some((hub, _)) => hub.to_owned(),
                None => format!("usb{}", place.split('-').next().unwrap_or_default()),
            };
            if !lists.usb.join(hub).exists() {
                return Some(Differs::Nothing);
            }
            let probe = at(&place).filter(|one| PortKind::of_probe(one.ids).is_known_probe());
            probe.map(|device| Differs::Other(device.ids))
        }
        Port::Tty(tty) => (!Path::new(&tty.path).exists()).then_some(Differs::Nothing),
        // Named by its serial number: it may be anywhere.
        Port::Probe(_) => None,
    }
}

/// A slot's ports as they are now, by configuration and teach-in.
#[derive(Debug, Clone)]
pub struct SlotPorts {
    /// The slot with all its ports.
    pub config: SlotConfig,
    /// Those of them that were taught.
    pub taught: Vec<Port>,
    /// Where the system lists what is plugged in.
    pub lists: Lists,
}

/// Watches until something is plugged in and whole, at most `within`; what came, by place.
#[must_use]
pub fn watch(lists: &Lists, within: Duration) -> Vec<Port> {
    let begun = Instant::now();
    let before = present(lists);
    let mut came = BTreeSet::new();
    let mut since = begun;
    loop {
        let now: BTreeSet<String> = present(lists).difference(&before).cloned().collect();
        if now != came {
            (came, since) = (now, Instant::now());
        }
        let whole = !came.is_empty() && since.elapsed() >= WHOLE_AFTER;
        if whole || begun.elapsed() >= within {
            return came.iter().filter_map(|port| port.parse().ok()).collect();
        }
        pause();
    }
}

#[allow(clippy::disallowed_methods, reason = "there is no event to wait for")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the test makes a small sysfs")]

    use super::*;

    fn plug(lists: &Lists, place: &str, ids: (&str, &str), class: Option<&str>) {
        let device = lists.usb.join(place);
        fs::create_dir_all(&device).expect("device");
        for (name, word) in
            [("idVendor", ids.0), ("idProduct", ids.1), ("busnum", "1"), ("devnum", "7")]
        {
            fs::write(device.join(name), word).expect("word");
        }
        if let Some(class) = class {
            let interface = lists.usb.join(format!("{place}:1.0"));
            fs::create_dir_all(&interface).expect("interface");
            for (name, word) in class.split('/').zip(["bInterfaceClass", "bInterfaceSubClass"]) {
                fs::write(interface.join(word), name).expect("word");
            }
        }
    }

    #[test]
    fn what_is_plugged_in_during_the_session_is_bound_by_its_place_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let (usb, serial) = (folder.path().join("usb"), folder.path().join("serial"));
        for place in [&usb, &serial] {
            fs::create_dir(place).expect("folder");
        }
        let lists = Lists { usb, serial };
        plug(&lists, "1-1", ("1366", "0101"), None);
        let later = lists.clone();
        let hands = std::thread::spawn(move || {
            // A probe with a serial port, a board in DFU mode, and a mouse.
            plug(&later, "1-2", ("0483", "374b"), None);
            plug(&later, "1-3", ("0483", "df11"), Some("fe/01"));
            plug(&later, "1-4", ("046d", "c077"), Some("03/01"));
            fs::write(later.serial.join("pci-usb-0:2:1.2"), "").expect("adapter");
        });
        // Whether the hands are faster than the first look does not matter to what was there before.
        let came = watch(&lists, Duration::from_secs(20));
        hands.join().expect("hands");
        let came: BTreeSet<String> = came.iter().map(ToString::to_string).collect();
        let all = present(&lists);
        assert!(all.contains("1366:0101@1-1") && !came.contains("1366:0101@1-1"));
        let tty = format!("tty:{}", lists.serial.join("pci-usb-0:2:1.2").display());
        let wanted = ["0483:374b@1-2", "1366:0101@1-1", tty.as_str(), "usb:1-3"];
        assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), wanted.into());
        assert!(came.is_subset(&all));
        assert!(watch(&lists, Duration::ZERO).is_empty(), "nothing came");
    }

    #[test]
    fn a_socket_differs_when_it_holds_another_probe_or_its_adapter_or_hub_is_gone() {
        let folder = tempfile::tempdir().expect("folder");
        let (usb, serial) = (folder.path().join("usb"), folder.path().join("serial"));
        for place in [&usb.join("usb1"), &serial] {
            fs::create_dir_all(place).expect("folder");
        }
        let lists = Lists { usb, serial };
        plug(&lists, "1-1", ("1366", "0101"), None);
        plug(&lists, "1-2", ("0483", "374b"), None);
        plug(&lists, "1-3", ("1d6b", "0002"), None);
        plug(&lists, "1-3.1", ("0483", "df11"), Some("fe/01"));
        let adapter = lists.serial.join("pci-usb-0:2:1.2");
        fs::write(&adapter, "").expect("adapter");
        let check = |port: &str, wanted: Option<Differs>| {
            let port: Port = port.parse().expect("a port");
            assert_eq!(differs(&lists, &port), wanted, "{port}");
        };
        check("1366:0101@1-1", None);
        check("1366:0101@1-2", Some(Differs::Other((0x0483, 0x374b))));
        check("1366:0101@1-4", Some(Differs::Nothing));
        check("usb:1-3.1", None);
        check("usb:1-3.2", None);
        check("usb:1-4", None);
        check("usb:1-2", Some(Differs::Other((0x0483, 0x374b))));
        check("usb:1-5.1", Some(Differs::Nothing));
        check("usb:2-1", Some(Differs::Nothing));
        check(&format!("tty:{}", adapter.display()), None);
        check("tty:/dev/serial/by-path/none", Some(Differs::Nothing));
        check("1366:0101:000012345678", None);
    }
}
