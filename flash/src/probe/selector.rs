//! Which probe a slot uses, as typed into its configuration.

use std::fmt;
use std::str::FromStr;

use probe_rs::probe::{DebugProbeSelector, WireProtocol};

use crate::error::FlashError;
use crate::port::PortKind;

/// The ids of a Black Magic Probe.
const BLACK_MAGIC: (u16, u16) = (0x1d50, 0x6018);
/// The ids of a Glasgow Interface Explorer.
const GLASGOW: (u16, u16) = (0x20b7, 0x9db1);

/// What a selector ends with where the probe is to speak JTAG.
const JTAG: &str = "+jtag";

/// `VID:PID[-INTERFACE][:SERIAL][+jtag]`; a Black Magic Probe's serial may be `HOST:PORT`, a Glasgow's
/// `tcp:HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeSelector {
    driver: DebugProbeSelector,
    /// JTAG in place of SWD.
    jtag: bool,
}

impl ProbeSelector {
    pub(super) fn driver(&self) -> &DebugProbeSelector {
        &self.driver
    }

    /// What the probe is to speak to the chip.
    pub(super) fn wire(&self) -> WireProtocol {
        if self.jtag { WireProtocol::Jtag } else { WireProtocol::Swd }
    }

    pub(super) fn is_black_magic(&self) -> bool {
        (self.driver.vendor_id, self.driver.product_id) == BLACK_MAGIC
    }

    /// Vendor and product id.
    pub fn ids(&self) -> (u16, u16) {
        (self.driver.vendor_id, self.driver.product_id)
    }

    /// The serial number, where the selector names one.
    pub fn serial(&self) -> Option<&str> {
        self.driver.serial_number.as_deref()
    }

    /// `HOST:PORT` of a probe that is reached over the network. No probe has a colon in its serial
    /// number.
    pub fn address(&self) -> Option<&str> {
        let serial = self.serial()?;
        match self.ids() {
            BLACK_MAGIC => Some(serial).filter(|serial| serial.contains(':')),
            GLASGOW => serial.strip_prefix("tcp:"),
            _ => None,
        }
    }

    /// The probe is reached over the network (or a socket of this machine): a simulated board, or a
    /// real probe's server.
    pub fn is_tcp(&self) -> bool {
        let local = self.ids() == GLASGOW
            && self.serial().is_some_and(|serial| serial.starts_with("unix:"));
        local || self.address().is_some()
    }

    /// A Black Magic Probe that is.
    pub fn is_black_magic_tcp(&self) -> bool {
        self.is_black_magic() && self.is_tcp()
    }

    /// Whether both may name one probe: one without a serial number takes any of its ids.
    pub fn meets(&self, other: &Self) -> bool {
        let interfaces = self.driver.interface.zip(other.driver.interface);
        let serials = self.serial().zip(other.serial());
        self.ids() == other.ids()
            && interfaces.is_none_or(|(one, two)| one == two)
            && serials.is_none_or(|(one, two)| one == two)
    }

    /// The kind of probe, as chips' profiles and leases name it.
    pub fn kind(&self) -> PortKind {
        if self.is_black_magic_tcp() {
            PortKind::BlackMagicTcp
        } else {
            PortKind::of_probe(self.ids())
        }
    }
}

impl FromStr for ProbeSelector {
    type Err = FlashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (driver, jtag) = text.strip_suffix(JTAG).map_or((text, false), |driver| (driver, true));
        driver
            .parse()
            .map(|driver| Self { driver, jtag })
            .map_err(|_| FlashError::SelectorInvalid { selector: text.to_owned() })
    }
}

impl fmt::Display for ProbeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.driver.vendor_id, self.driver.product_id)?;
        if let Some(interface) = self.driver.interface {
            write!(f, "-{interface}")?;
        }
        if let Some(serial) = &self.driver.serial_number {
            write!(f, ":{serial}")?;
        }
        f.write_str(if self.jtag { JTAG } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_reads_shows_and_names_its_kind() {
        let check = |text: &str, kind: Option<&str>| match (text.parse::<ProbeSelector>(), kind) {
            (Ok(selector), Some(kind)) => {
                assert_eq!(selector.kind().to_string(), kind, "{text}");
                assert_eq!(selector.to_string(), text);
            }
            (Err(FlashError::SelectorInvalid { selector }), None) => assert_eq!(selector, text),
            (other, _) => panic!("{text}: {other:?}"),
        };
        check("1d50:6018:127.0.0.1:4000", Some("blackmagic-tcp"));
        check("1d50:6018:7BB180B4", Some("blackmagic"));
        check("1d50:6018", Some("blackmagic"));
        check("0483:374b:066CFF", Some("stlink"));
        check("20b7:9db1:tcp:127.0.0.1:4000", Some("20b7-9db1"));
        check("0d28:0204-1:9900", Some("cmsis-dap"));
        check("0483:374b:066CFF+jtag", Some("stlink"));
        check("1d50:6018:127.0.0.1:4000+jtag", Some("blackmagic-tcp"));
        check("0d28:0204+jtag", Some("cmsis-dap"));
        check("0d28:0204+swim", None);
        check("+jtag", None);
        check("1209:0001", Some("1209-0001"));
        check("", None);
        check("127.0.0.1:4000", None);
        check("xyzw:6018", None);
    }

    #[test]
    fn a_probe_over_the_network_says_where_it_is() {
        let check = |text: &str, address: Option<&str>, is_tcp: bool| {
            let selector: ProbeSelector = text.parse().expect(text);
            assert_eq!((selector.address(), selector.is_tcp()), (address, is_tcp), "{text}");
        };
        check("1d50:6018:127.0.0.1:4000", Some("127.0.0.1:4000"), true);
        check("1d50:6018:7BB180B4", None, false);
        check("20b7:9db1:tcp:127.0.0.1:4000", Some("127.0.0.1:4000"), true);
        check("20b7:9db1:unix:/run/probe", None, true);
        check("20b7:9db1:C3-20230729T1234:0:1", None, false);
        check("0483:374b:tcp:127.0.0.1:4000", None, false);
    }
}
