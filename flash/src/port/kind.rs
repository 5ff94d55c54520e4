//! The kinds of ports: the one list that leases, stations and documents speak of.

use std::fmt;

/// SEGGER's vendor id; product ids of J-Links that are in CMSIS-DAP mode have neither driver bit.
const SEGGER: u16 = 0x1366;
/// J-Link product ids of the older scheme (0x0106 is a serial port only).
const JLINK_OLD: [u16; 7] = [0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0107, 0x0108];
/// The newer scheme's flag, and the bits of the two drivers a probe program can talk to.
const JLINK_NEW: u16 = 0x1000;
const JLINK_DRIVERS: u16 = 0x0030;

const STLINK: [u16; 11] =
    [0x3742, 0x3748, 0x374a, 0x374b, 0x374d, 0x374e, 0x374f, 0x3752, 0x3753, 0x3754, 0x3757];

const FTDI: [(u16, u16); 7] = [
    (0x0403, 0x6010),
    (0x0403, 0x6011),
    (0x0403, 0x6014),
    (0x15ba, 0x0003),
    (0x15ba, 0x0004),
    (0x15ba, 0x002a),
    (0x15ba, 0x002b),
];

/// Probes with a CMSIS-DAP firmware as their makers ship them: Arm DAPLink, Raspberry Pi Debug
/// Probe, NXP LPC-Link2 and MCU-Link, Keil ULINK, Atmel EDBG, Atmel-ICE, mEDBG and Microchip nEDBG,
/// WCH-Link in its DAP modes.
const CMSIS_DAP: [(u16, u16); 13] = [
    (0x0d28, 0x0204),
    (0x2e8a, 0x000c),
    (0x1fc9, 0x0090),
    (0x1fc9, 0x0132),
    (0x1fc9, 0x0143),
    (0xc251, 0xf001),
    (0xc251, 0xf002),
    (0x03eb, 0x2111),
    (0x03eb, 0x2141),
    (0x03eb, 0x2145),
    (0x03eb, 0x2175),
    (0x1a86, 0x8011),
    (0x1a86, 0x8012),
];

/// What a lease may allow. The words are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortKind {
    /// A probe with Arm's open firmware interface.
    CmsisDap,
    /// SEGGER's probes.
    JLink,
    /// ST's probes.
    StLink,
    /// A Black Magic Probe.
    BlackMagic,
    /// A Black Magic Probe's protocol over TCP: a simulated board.
    BlackMagicTcp,
    /// An FTDI chip that drives the debug pins.
    Ftdi,
    /// A USB socket for boards in DFU mode.
    Dfu,
    /// A serial port for ROM loaders.
    Uart,
    /// A probe that none of these names, by vendor and product id.
    Other(u16, u16),
}

impl PortKind {
    /// Every kind with a name of its own.
    pub const NAMED: [Self; 8] = [
        Self::CmsisDap,
        Self::JLink,
        Self::StLink,
        Self::BlackMagic,
        Self::BlackMagicTcp,
        Self::Ftdi,
        Self::Dfu,
        Self::Uart,
    ];

    /// The kind of a probe on USB, by its vendor and product id.
    #[must_use]
    pub fn of_probe(ids: (u16, u16)) -> Self {
        let (vendor, product) = ids;
        match vendor {
            0x1d50 if product == 0x6018 => Self::BlackMagic,
            0x0483 if STLINK.contains(&product) => Self::StLink,
            SEGGER if JLINK_OLD.contains(&product) => Self::JLink,
            SEGGER if product & JLINK_NEW != 0 && product & JLINK_DRIVERS != 0 => Self::JLink,
            SEGGER if product & JLINK_NEW != 0 => Self::CmsisDap,
            _ if FTDI.contains(&ids) => Self::Ftdi,
            _ if CMSIS_DAP.contains(&ids) => Self::CmsisDap,
            _ => Self::Other(vendor, product),
        }
    }

    /// Whether it is a debug probe this room knows by name.
    #[must_use]
    pub const fn is_known_probe(self) -> bool {
        match self {
            Self::CmsisDap | Self::JLink | Self::StLink | Self::BlackMagic | Self::Ftdi => true,
            Self::BlackMagicTcp | Self::Dfu | Self::Uart | Self::Other(..) => false,
        }
    }
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CmsisDap => "cmsis-dap",
            Self::JLink => "jlink",
            Self::StLink => "stlink",
            Self::BlackMagic => "blackmagic",
            Self::BlackMagicTcp => "blackmagic-tcp",
            Self::Ftdi => "ftdi",
            Self::Dfu => "dfu",
            Self::Uart => "uart",
            // No colon: a label of a lease has none.
            Self::Other(vendor, product) => return write!(f, "{vendor:04x}-{product:04x}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_the_kind_its_ids_say_and_an_unknown_one_its_ids() {
        let check = |ids, kind: &str| assert_eq!(PortKind::of_probe(ids).to_string(), kind);
        check((0x1d50, 0x6018), "blackmagic");
        check((0x1d50, 0x6017), "1d50-6017");
        check((0x0483, 0x374b), "stlink");
        check((0x0483, 0xdf11), "0483-df11");
        check((0x1366, 0x0101), "jlink");
        check((0x1366, 0x0106), "1366-0106");
        check((0x1366, 0x1059), "jlink");
        check((0x1366, 0x1008), "cmsis-dap");
        check((0x0d28, 0x0204), "cmsis-dap");
        check((0x0403, 0x6010), "ftdi");
        check((0x0403, 0x6001), "0403-6001");
    }

    #[test]
    fn no_two_kinds_share_a_name() {
        let names: std::collections::BTreeSet<String> =
            PortKind::NAMED.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), PortKind::NAMED.len());
    }
}
