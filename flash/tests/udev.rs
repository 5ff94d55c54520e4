//! The rules in `udev/` let people use what this room can flash through.
//!
//! A small reader of udev's language, no more of it than the rules use, judges described devices.
//! That udev itself reads them the same way is shown by the guest (`tests/guest`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;

use flash::dfu::DFU_PROFILES;

const RULES: &str = include_str!("../../udev/70-flashline.rules");

/// One `KEY{attribute} operator "value"`.
#[derive(Debug)]
struct Term {
    key: String,
    operator: String,
    value: String,
}

fn terms(line: &str) -> Vec<Term> {
    let mut rest = line.trim();
    let mut terms = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(['=', '!', '+']).unwrap_or_else(|| panic!("no operator: {line}"));
        let (key, after) = rest.split_at(end);
        let quote = after.find('"').unwrap_or_else(|| panic!("no value: {line}"));
        let (operator, quoted) = after.split_at(quote);
        let (value, after) = quoted[1..].split_once('"').unwrap_or_else(|| panic!("{line}"));
        terms.push(Term { key: key.into(), operator: operator.into(), value: value.into() });
        // udev takes a missing comma in silence, and reads on as it likes.
        rest = match after.strip_prefix(", ") {
            Some(rest) => rest,
            None => {
                assert!(after.is_empty(), "no comma before {after:?}: {line}");
                ""
            }
        };
    }
    terms
}

fn rules() -> Vec<Vec<Term>> {
    let lines = RULES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(terms).collect()
}

/// Shell patterns as the rules have them: alternatives, and stars at the ends.
fn fits(pattern: &str, value: &str) -> bool {
    pattern.split('|').any(|one| match (one.strip_prefix('*'), one.strip_suffix('*')) {
        (Some(_), Some(_)) => value.contains(one.trim_matches('*')),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (None, None) => one == value,
    })
}

/// What udev knows about a device, and what the rules make of it.
#[derive(Default, Clone)]
struct Seen {
    facts: BTreeMap<&'static str, String>,
    made: BTreeMap<String, String>,
}

impl Seen {
    fn usb((vendor, product): (u16, u16), name: &str, interfaces: &str) -> Self {
        let mut seen = Self::default();
        seen.facts.insert("ACTION", "add".into());
        seen.facts.insert("SUBSYSTEM", "usb".into());
        seen.facts.insert("SUBSYSTEMS", "usb".into());
        seen.facts.insert("ENV{DEVTYPE}", "usb_device".into());
        seen.facts.insert("ENV{ID_USB_INTERFACES}", interfaces.into());
        for (own, any, value) in [
            ("ATTR{idVendor}", "ATTRS{idVendor}", format!("{vendor:04x}")),
            ("ATTR{idProduct}", "ATTRS{idProduct}", format!("{product:04x}")),
            ("ATTR{product}", "ATTRS{product}", name.to_owned()),
        ] {
            seen.facts.insert(own, value.clone());
            seen.facts.insert(any, value);
        }
        seen
    }

    /// A device that hangs below it.
    fn below(mut self, subsystem: &str) -> Self {
        self.facts.insert("SUBSYSTEM", subsystem.into());
        self.facts.remove("ENV{DEVTYPE}");
        self.facts.retain(|key, _| !key.starts_with("ATTR{"));
        self
    }

    fn judged(mut self) -> BTreeMap<String, String> {
        let rules = rules();
        let mut at = 0;
        while let Some(rule) = rules.get(at) {
            at += 1;
            let matches = |term: &Term| {
                let fact = self.facts.get(term.key.as_str()).map_or("", String::as_str);
                match term.operator.as_str() {
                    "==" => fits(&term.value, fact),
                    "!=" => !fits(&term.value, fact),
                    _ => true,
                }
            };
            if !rule.iter().all(matches) {
                continue;
            }
            for term in rule {
                match (term.key.as_str(), term.operator.as_str()) {
                    ("GOTO", "=") => {
                        let label = |rule: &Vec<Term>| {
                            rule.iter().any(|t| t.key == "LABEL" && t.value == term.value)
                        };
                        at = rules.iter().position(label).unwrap();
                    }
                    ("LABEL", "=") | (_, "==" | "!=") => {}
                    (key, "=" | "+=") => {
                        self.made.insert(key.to_owned(), term.value.clone());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        self.made
    }
}

fn made(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn for_probes() -> BTreeMap<String, String> {
    made(&[
        ("MODE", "0660"),
        ("GROUP", "plugdev"),
        ("TAG", "uaccess"),
        ("ENV{ID_MM_DEVICE_IGNORE}", "1"),
    ])
}

fn for_ports() -> BTreeMap<String, String> {
    let mut made = for_probes();
    made.insert("GROUP".into(), "dialout".into());
    made.insert("ENV{ID_MM_PORT_IGNORE}".into(), "1".into());
    made
}

/// The ids that the drivers of probe-rs 0.32 look for (its `src/probe/*`), and CMSIS-DAP probes that
/// do not say so in their product name.
const PROBES: &[(&str, &[(u16, u16)])] = &[
    ("J-Link", &[(0x1366, 0x0101), (0x1366, 0x0105), (0x1366, 0x1015), (0x1366, 0x1061)]),
    (
        "ST-Link",
        &[
            (0x0483, 0x3742),
            (0x0483, 0x3748),
            (0x0483, 0x374A),
            (0x0483, 0x374B),
            (0x0483, 0x374E),
            (0x0483, 0x374F),
            (0x0483, 0x3752),
            (0x0483, 0x3753),
            (0x0483, 0x3754),
            (0x0483, 0x3757),
        ],
    ),
    ("Raspberry Pi Debug Probe", &[(0x2E8A, 0x000C)]),
    ("MCU-Link", &[(0x1FC9, 0x0143)]),
    ("KitProg3", &[(0x04B4, 0xF155)]),
    ("WCH-Link", &[(0x1A86, 0x8010), (0x1A86, 0x8012)]),
    ("Black Magic Probe", &[(0x1D50, 0x6018)]),
    ("FTDI", &[(0x0403, 0x6010), (0x0403, 0x6011), (0x0403, 0x6014)]),
    ("Olimex", &[(0x15BA, 0x0003), (0x15BA, 0x0004), (0x15BA, 0x002A), (0x15BA, 0x002B)]),
    ("CH347", &[(0x1A86, 0x55DD), (0x1A86, 0x55DE), (0x1A86, 0x55E8)]),
    ("Glasgow", &[(0x20B7, 0x9DB1)]),
    ("ESP32-C3 USB-JTAG", &[(0x303A, 0x1001)]),
];

#[test]
fn every_probe_that_can_flash_is_opened_to_its_people() {
    for (name, ids) in PROBES {
        for id in *ids {
            let made = Seen::usb(*id, name, ":ff0000:").judged();
            assert_eq!(made, for_probes(), "{name} {id:04x?}");
        }
    }
    let made = Seen::usb((0xC251, 0xF001), "Somebody's CMSIS-DAP v2", ":ff0000:").judged();
    assert_eq!(made, for_probes(), "by its name");
    let made = Seen::usb((0xC251, 0xF001), "Somebody's CMSIS-DAP", ":030000:").below("hidraw");
    let mut without_ports = for_probes();
    without_ports.remove("ENV{ID_MM_DEVICE_IGNORE}");
    assert_eq!(made.judged(), without_ports);
}

#[test]
fn every_loader_that_can_be_flashed_is_opened_and_so_is_a_program_that_can_be_told_to_detach() {
    for profile in DFU_PROFILES {
        let made = Seen::usb(profile.loader, "STM32  BOOTLOADER", ":fe0102:").judged();
        assert_eq!(made, for_probes(), "{}", profile.chip.name);
    }
    for interfaces in [":020201:0a0000:fe0101:", ":fe0102:", ":ff0000:fe0102:"] {
        let device = Seen::usb((0x1209, 0x0001), "A customer's lamp", interfaces);
        assert_eq!(device.clone().judged(), for_probes(), "{interfaces}");
        let port = device.below("tty").judged();
        let is_port = interfaces.contains("fe0101");
        assert_eq!(port, if is_port { for_ports() } else { BTreeMap::new() }, "{interfaces}");
    }
}

#[test]
fn every_serial_adapter_is_a_port_that_no_modem_manager_writes_to() {
    let check = |name: &str, id: (u16, u16), is_probe: bool| {
        let adapter = Seen::usb(id, name, ":ff0000:");
        assert_eq!(adapter.clone().below("tty").judged(), for_ports(), "{name}");
        let ignored = made(&[("ENV{ID_MM_DEVICE_IGNORE}", "1")]);
        let wanted = if is_probe { for_probes() } else { ignored };
        assert_eq!(adapter.judged(), wanted, "{name}");
    };
    for product in [0xEA60, 0xEA61, 0xEA63, 0xEA70, 0xEA71, 0xEA7A, 0xEA7B] {
        check("CP210x", (0x10C4, product), false);
    }
    for product in [0x5523, 0x7522, 0x7523, 0x55D3, 0x55D4] {
        check("CH340", (0x1A86, product), false);
    }
    check("FT232R", (0x0403, 0x6001), false);
    check("FT230X", (0x0403, 0x6015), false);
    check("PL2303", (0x067B, 0x2303), false);
    check("PL2303G", (0x067B, 0x23A3), false);
    check("FT2232H", (0x0403, 0x6010), true);
    check("ST-Link V2-1", (0x0483, 0x374B), true);
    check("J-Link", (0x1366, 0x1015), true);
    check("Debug Probe", (0x2E8A, 0x000C), true);
    check("Black Magic Probe", (0x1D50, 0x6018), true);
    check("ESP32-C3", (0x303A, 0x1001), true);
}

#[test]
fn nobody_elses_device_is_touched() {
    let check = |device: Seen| assert_eq!(device.judged(), BTreeMap::new());
    let keyboard = Seen::usb((0x046D, 0xC31C), "USB Keyboard", ":030101:");
    check(keyboard.clone());
    check(keyboard.clone().below("hidraw"));
    check(keyboard.below("tty"));
    check(Seen::usb((0x0483, 0x5740), "STM32 Virtual ComPort", ":020201:0a0000:"));
    check(Seen::usb((0x1D6B, 0x0002), "xHCI Host Controller", ":090000:"));
    let mut interface = Seen::usb((0x0483, 0xDF11), "", "");
    interface.facts.insert("ENV{DEVTYPE}", "usb_interface".into());
    check(interface);
    let mut gone = Seen::usb((0x0483, 0xDF11), "", "");
    gone.facts.insert("ACTION", "remove".into());
    check(gone);
}

#[test]
fn the_rules_are_in_udevs_language_and_no_step_leads_back() {
    let rules = rules();
    let keys = ["ACTION", "SUBSYSTEM", "SUBSYSTEMS", "GOTO", "LABEL", "MODE", "GROUP", "TAG"];
    for (at, term) in
        rules.iter().enumerate().flat_map(|(at, rule)| rule.iter().map(move |t| (at, t)))
    {
        let Term { key, operator, value } = term;
        let bare = key.split('{').next().unwrap();
        let is_match = matches!(operator.as_str(), "==" | "!=");
        match bare {
            "ATTR" | "ATTRS" => assert!(is_match, "{key} {operator} writes to the device"),
            "ENV" => assert!(is_match || operator == "="),
            "ACTION" | "SUBSYSTEM" | "SUBSYSTEMS" => assert!(is_match, "{key} {operator}"),
            "TAG" => assert_eq!(operator, "+="),
            _ => assert!(keys.contains(&bare) && operator == "=", "{key} {operator}"),
        }
        if key.contains("idVendor") || key.contains("idProduct") {
            let good = |id: &str| {
                id.len() == 4
                    && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            };
            assert!(value.split('|').all(good), "{value} is not as the kernel writes it");
        }
        if key == "GOTO" {
            let label = rules
                .iter()
                .position(|rule| rule.iter().any(|t| t.key == "LABEL" && t.value == *value));
            assert!(label.is_some_and(|label| label > at), "GOTO {value}");
        }
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../udev");
    let found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".rules"))
        .collect();
    assert_eq!(found, ["70-flashline.rules"]);
    // 73-seat-late.rules acts on the tag, and files are read in the order of their names.
    assert!(found.iter().all(|name| name.as_str() < "73-seat-late.rules"));
}
