//! Which probe a slot uses, as typed into its configuration.

use std::fmt;
use std::str::FromStr;

use probe_rs::probe::DebugProbeSelector;

use crate::error::FlashError;

/// The ids of a Black Magic Probe.
const BLACK_MAGIC: (u16, u16) = (0x1d50, 0x6018);

/// `VID:PID[-INTERFACE][:SERIAL]`; a Black Magic Probe's serial may be `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeSelector(DebugProbeSelector);

impl ProbeSelector {
    pub(super) fn driver(&self) -> &DebugProbeSelector {
        &self.0
    }

    pub(super) fn is_black_magic(&self) -> bool {
        (self.0.vendor_id, self.0.product_id) == BLACK_MAGIC
    }

    /// Vendor and product id.
    pub fn ids(&self) -> (u16, u16) {
        (self.0.vendor_id, self.0.product_id)
    }

    /// The serial number, where the selector names one.
    pub fn serial(&self) -> Option<&str> {
        self.0.serial_number.as_deref()
    }

    /// `HOST:PORT` of a probe that is reached over the network. No probe has a colon in its serial
    /// number.
    pub fn address(&self) -> Option<&str> {
        self.serial().filter(|serial| self.is_black_magic() && serial.contains(':'))
    }

    /// The probe is reached over the network: a simulated board, or a real probe's server.
    pub fn is_tcp(&self) -> bool {
        self.address().is_some()
    }

    /// Whether both may name one probe: one without a serial number takes any of its ids.
    pub fn meets(&self, other: &Self) -> bool {
        let interfaces = self.0.interface.zip(other.0.interface);
        let serials = self.serial().zip(other.serial());
        self.ids() == other.ids()
            && interfaces.is_none_or(|(one, two)| one == two)
            && serials.is_none_or(|(one, two)| one == two)
    }

    /// The kind of probe as chips' profiles name it: `blackmagic-tcp`, `blackmagic`, or `VID:PID`.
    /// Leases name [`crate::PortKind`]s.
    pub fn kind(&self) -> String {
        match (self.is_black_magic(), self.is_tcp()) {
            (true, true) => "blackmagic-tcp".to_owned(),
            (true, false) => "blackmagic".to_owned(),
            (false, _) => format!("{:04x}:{:04x}", self.0.vendor_id, self.0.product_id),
        }
    }
}

impl FromStr for ProbeSelector {
    type Err = FlashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| FlashError::SelectorInvalid { selector: text.to_owned() })
    }
}

impl fmt::Display for ProbeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.0.vendor_id, self.0.product_id)?;
        if let Some(interface) = self.0.interface {
            write!(f, "-{interface}")?;
        }
        match &self.0.serial_number {
            Some(serial) => write!(f, ":{serial}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_reads_shows_and_names_its_kind() {
        let check = |text: &str, kind: Option<&str>| match (text.parse::<ProbeSelector>(), kind) {
            (Ok(selector), Some(kind)) => {
                assert_eq!(selector.kind(), kind, "{text}");
                assert_eq!(selector.to_string(), text);
            }
            (Err(FlashError::SelectorInvalid { selector }), None) => assert_eq!(selector, text),
            (other, _) => panic!("{text}: {other:?}"),
        };
        check("1d50:6018:127.0.0.1:4000", Some("blackmagic-tcp"));
        check("1d50:6018:7BB180B4", Some("blackmagic"));
        check("1d50:6018", Some("blackmagic"));
        check("0483:374b:066CFF", Some("0483:374b"));
        check("0d28:0204-1:9900", Some("0d28:0204"));
        check("", None);
        check("127.0.0.1:4000", None);
        check("xyzw:6018", None);
    }
}
