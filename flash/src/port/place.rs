//! A debug probe by the USB socket it is plugged into.
//!
//! The driver knows probes by ids and serial number only; the socket is looked up in sysfs each
//! time the probe is opened, so that a probe that was exchanged is found again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, UnlockApproval, VerifyReport,
};
use crate::chip::Chip;
use crate::dfu::UsbPath;
use crate::error::FlashError;
use crate::identity::Identity;
use crate::plan::Plan;
use crate::probe::{ProbeBackend, ProbeSelector};

/// Where the kernel lists what is in USB sockets.
pub(super) const SYSFS: &str = "/sys/bus/usb/devices";
/// Host controllers without a socket: USB over a network, and USB made by a program.
const VIRTUAL_HOSTS: [&str; 2] = ["vhci_hcd", "dummy_hcd"];

/// A debug probe by its ids and its socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlacedProbe {
    /// Vendor and product id.
    pub ids: (u16, u16),
    /// The socket.
    pub socket: UsbPath,
}

impl PlacedProbe {
    /// Reads `VID:PID` and `BUS-PORT[.PORT…]`.
    pub(super) fn read(ids: &str, socket: &str) -> Option<Self> {
        let (vendor, product) = ids.split_once(':')?;
        let ids = (id(vendor)?, id(product)?);
        Some(Self { ids, socket: format!("usb:{socket}").parse().ok()? })
    }

    /// The probe that is in the socket now, by its serial number.
    fn selector(&self, sysfs: &Path) -> Result<ProbeSelector, FlashError> {
        let missing =
            |detail: String| FlashError::ProbeMissing { selector: self.to_string(), detail };
        let name = place(&self.socket);
        let found = Socket::read(&sysfs.join(&name))
            .ok_or_else(|| missing("nothing is in the socket".to_owned()))?;
        if found.ids != self.ids {
            let (vendor, product) = found.ids;
            return Err(missing(format!("{vendor:04x}:{product:04x} is in the socket")));
        }
        let (vendor, product) = self.ids;
        let twins = fs::read_dir(sysfs).into_iter().flatten().flatten();
        let twins = twins.filter(|entry| entry.file_name().to_str() != Some(name.as_str()));
        if twins.filter_map(|entry| Socket::read(&entry.path())).any(|other| other == found) {
            return Err(missing("another probe of these ids has its serial number".to_owned()));
        }
        // An empty third part means a probe without a serial number.
        format!("{vendor:04x}:{product:04x}:{}", found.serial).parse()
    }
}

impl fmt::Display for PlacedProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vendor, product) = self.ids;
        write!(f, "{vendor:04x}:{product:04x}@{}", place(&self.socket))
    }
}

/// What is in a socket.
#[derive(PartialEq, Eq)]
struct Socket {
    ids: (u16, u16),
    serial: String,
}

impl Socket {
    fn read(folder: &Path) -> Option<Self> {
        let word = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let ids = (id(word("idVendor")?.trim_end())?, id(word("idProduct")?.trim_end())?);
        let serial = word("serial").unwrap_or_default().trim_end_matches('\n').to_owned();
        Some(Self { ids, serial })
    }
}

fn id(text: &str) -> Option<u16> {
    let hex = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(text, 16).ok().filter(|_| hex)
}

/// A socket as sysfs names it.
fn place(socket: &UsbPath) -> String {
    let text = socket.to_string();
    text.strip_prefix("usb:").unwrap_or(&text).to_owned()
}

/// Whether a bus is no controller of this machine.
pub(super) fn is_virtual_bus(sysfs: &Path, bus: u8) -> bool {
    is_virtual_device(&sysfs.join(format!("usb{bus}")))
}

/// Whether a device in sysfs hangs on a virtual host controller.
pub(super) fn is_virtual_device(link: &Path) -> bool {
    fs::canonicalize(link).is_ok_and(|path| {
        path.iter().filter_map(|part| part.to_str()).any(|part| {
            VIRTUAL_HOSTS.iter().any(|host| part.strip_prefix(host).is_some_and(is_instance))
        })
    })
}

/// `vhci_hcd.0`: a driver's name and its instance.
fn is_instance(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

/// The probe in a socket as a [`Backend`].
pub(super) struct PlacedBackend {
    probe: PlacedProbe,
    sysfs: PathBuf,
    open: Option<ProbeBackend>,
}

impl PlacedBackend {
    /// Takes a socket; looks into it when it is used.
    pub(super) fn new(probe: PlacedProbe) -> Self {
        Self { probe, sysfs: SYSFS.into(), open: None }
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut ProbeBackend) -> Result<T, FlashError>,
    ) -> Result<T, FlashError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(ProbeBackend::new(self.probe.selector(&self.sysfs)?)),
        };
        let done = work(open);
        // Another probe may be in the socket the next time.
        if let Err(FlashError::ProbeMissing { .. } | FlashError::ProbeLost { .. }) = &done {
            self.open = None;
        }
        done
    }
}

impl Backend for PlacedBackend {
    fn contact(&mut self) -> Result<Contact, FlashError> {
        self.with(ProbeBackend::contact)
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        self.with(|probe| probe.identify(chip))
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        self.with(|probe| probe.read(address, into))
    }

    fn is_blank(&mut self, address: u64, bytes: u64) -> Result<bool, FlashError> {
        self.with(|probe| probe.is_blank(address, bytes))
    }

    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        self.with(|probe| probe.program(plan, on_progress))
    }

    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        self.with(|probe| probe.verify(plan, on_progress))
    }

    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        self.with(|probe| probe.self_test(test, on_progress))
    }

    fn reset_and_run(&mut self) -> Result<(), FlashError> {
        self.with(ProbeBackend::reset_and_run)
    }

    fn protect(&mut self) -> Result<(), FlashError> {
        self.with(ProbeBackend::protect)
    }

    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError> {
        self.with(|probe| probe.unlock(chip, approval))
    }

    fn presence(&mut self) -> Result<Presence, FlashError> {
        self.with(ProbeBackend::presence)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the test makes a small sysfs")]

    use super::*;

    /// A sysfs with a probe in each of these sockets: name, product id, serial number.
    fn sysfs(sockets: &[(&str, &str, Option<&str>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for (name, product, serial) in sockets {
            let socket = folder.path().join(name);
            fs::create_dir(&socket).expect("socket");
            fs::write(socket.join("idVendor"), "1366\n").expect("vendor");
            fs::write(socket.join("idProduct"), format!("{product}\n")).expect("product");
            if let Some(serial) = serial {
                fs::write(socket.join("serial"), format!("{serial}\n")).expect("serial");
            }
        }
        folder
    }

    #[test]
    fn the_probe_in_a_socket_is_found_by_its_serial_number_and_no_other_is_taken_for_it() {
        let probe = PlacedProbe::read("1366:0101", "1-2").expect("a place");
        let check = |sockets: &[(&str, &str, Option<&str>)], wanted: Result<&str, &str>| {
            let folder = sysfs(sockets);
            let found = match probe.selector(folder.path()) {
                Ok(selector) => Ok(selector.to_string()),
                Err(FlashError::ProbeMissing { selector, detail }) => {
                    assert_eq!(selector, "1366:0101@1-2");
                    Err(detail)
                }
                Err(other) => panic!("{other}"),
            };
            let wanted = wanted.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, wanted, "{sockets:?}");
        };
        let twin = "another probe of these ids has its serial number";
        check(&[("1-2", "0101", Some("12"))], Ok("1366:0101:12"));
        check(&[("1-2", "0101", None)], Ok("1366:0101:"));
        check(&[("1-2", "0101", Some("12")), ("1-3", "0101", Some("13"))], Ok("1366:0101:12"));
        check(&[("1-2", "0101", Some("12")), ("1-3", "0101", Some("12"))], Err(twin));
        check(&[("1-2", "0101", None), ("1-3", "0101", None)], Err(twin));
        check(&[("1-3", "0101", Some("12"))], Err("nothing is in the socket"));
        check(&[("1-2", "0105", Some("12"))], Err("1366:0105 is in the socket"));
    }

    #[test]
    fn an_empty_socket_is_a_missing_probe_until_one_is_plugged_in() {
        let folder = sysfs(&[]);
        let probe = PlacedProbe::read("1366:0101", "1-2").expect("a place");
        let mut backend = PlacedBackend { probe, sysfs: folder.path().to_owned(), open: None };
        let missing = |backend: &mut PlacedBackend| match backend.contact() {
            Err(FlashError::ProbeMissing { selector, .. }) => selector,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(&mut backend), "1366:0101@1-2");
        let socket = folder.path().join("1-2");
        fs::create_dir(&socket).expect("socket");
        for (name, word) in [("idVendor", "1366"), ("idProduct", "0101"), ("serial", "none-such")] {
            fs::write(socket.join(name), word).expect("word");
        }
        // The driver is asked for the probe of that serial number now, and has none.
        assert_eq!(missing(&mut backend), "1366:0101:none-such");
    }

    #[test]
    fn a_bus_on_a_host_controller_without_sockets_is_virtual() {
        let folder = tempfile::tempdir().expect("folder");
        for (bus, host) in [(1, "pci0000:00/0000:00:14.0"), (2, "platform/vhci_hcd.0")] {
            let device = folder.path().join("devices").join(host).join(format!("usb{bus}"));
            fs::create_dir_all(&device).expect("device");
            let link = folder.path().join(format!("usb{bus}"));
            std::os::unix::fs::symlink(device, link).expect("link");
        }
        let check = |bus, wanted| assert_eq!(is_virtual_bus(folder.path(), bus), wanted, "{bus}");
        check(1, false);
        check(2, true);
        check(3, false);
    }
}
