//! Which USB port a slot is: `usb:1-2.3` is bus 1, port 2 of its root hub, port 3 of the hub there.
//!
//! The place never changes when boards do. Serial numbers are not used: a ROM loader's serial is
//! folded from the chip's id, and many boards carry the same one.

use std::fmt;
use std::str::FromStr;

use crate::error::FlashError;

/// Hubs in a chain, root port included (USB 2.0, 4.1.1: seven tiers with the device's own).
const PORTS_MAX: usize = 7;

/// A physical USB port by its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsbPath {
    bus: u8,
    ports: Vec<u8>,
}

impl UsbPath {
    /// The bus number.
    pub fn bus(&self) -> u8 {
        self.bus
    }

    /// The ports from the root hub to the device.
    pub fn ports(&self) -> &[u8] {
        &self.ports
    }

    /// A device at this bus and port chain is in this port; one behind a hub in it is not.
    pub fn matches(&self, bus: u8, ports: &[u8]) -> bool {
        self.bus == bus && self.ports == ports
    }

    /// The name of its folder in Linux's list of USB devices, `1-2.3`.
    #[cfg(target_os = "linux")]
    pub(super) fn folder(&self) -> String {
        self.to_string().trim_start_matches("usb:").to_owned()
    }
}

impl FromStr for UsbPath {
    type Err = FlashError;

    /// Reads `usb:BUS-PORT[.PORT…]`: decimal, no zeros in front, so that one port has one spelling.
    fn from_str(text: &str) -> Result<Self, FlashError> {
        let read = || {
            let (bus, ports) = text.strip_prefix("usb:")?.split_once('-')?;
            let bus = number(bus)?;
            let ports = ports.split('.').map(number).collect::<Option<Vec<u8>>>()?;
            (ports.len() <= PORTS_MAX).then_some(Self { bus, ports })
        };
        read().ok_or_else(|| FlashError::SelectorInvalid { selector: text.to_owned() })
    }
}

fn number(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if digits { text.parse().ok() } else { None }
}

impl fmt::Display for UsbPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usb:{}", self.bus)?;
        let mut mark = '-';
        for port in &self.ports {
            write!(f, "{mark}{port}")?;
            mark = '.';
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_and_anything_else_is_no_selector() {
        let check = |text: &str, wanted: Option<(u8, &[u8])>| {
            let found = text.parse::<UsbPath>();
            match (&found, wanted) {
                (Ok(path), Some((bus, ports))) => {
                    assert_eq!((path.bus(), path.ports()), (bus, ports), "{text}");
                    assert_eq!(path.to_string(), text);
                }
                (Err(FlashError::SelectorInvalid { selector }), None) => {
                    assert_eq!(selector, text);
                }
                other => panic!("{text}: {other:?}"),
            }
        };
        check("usb:1-2", Some((1, &[2])));
        check("usb:1-2.3", Some((1, &[2, 3])));
        check("usb:12-1.2.3.4.5.6.255", Some((12, &[1, 2, 3, 4, 5, 6, 255])));
        for bad in [
            "",
            "usb:",
            "usb:1",
            "usb:1-",
            "usb:-1",
            "usb:0-1",
            "usb:1-0",
            "usb:1-2.",
            "usb:1-2..3",
            "usb:01-2",
            "usb:1-02",
            "usb:1-256",
            "usb:256-1",
            "usb:+1-2",
            "usb:1-2.+3",
            "USB:1-2",
            "1-2.3",
            "usb:1-2.3:1.0",
            "usb: 1-2",
            "usb:1-1.1.1.1.1.1.1.1",
            "usb:1-٣",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_path_is_one_port_and_not_what_hangs_behind_it() {
        let path: UsbPath = "usb:1-2.3".parse().expect("path");
        let check = |bus, ports: &[u8], wanted| assert_eq!(path.matches(bus, ports), wanted);
        check(1, &[2, 3], true);
        check(2, &[2, 3], false);
        check(1, &[2], false);
        check(1, &[2, 3, 1], false);
        check(1, &[3, 2], false);
        check(1, &[], false);
    }
}
