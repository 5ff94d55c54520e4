//! The README's table of faults is what the tests show.
//!
//! One file per back end lists, fault by fault, what the caller gets and which test shows it. The
//! table in the README is made from these lists; a test that is named and does not exist, or a row
//! that nobody wrote, fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod dfu;
mod esp32;
mod probe;
mod stm32_serial;

use std::fmt::Write;
use std::path::Path;

/// One thing that goes wrong, in the words of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NoContact,
    LostWhileErasing,
    LostWhileWriting,
    LostWhileComparing,
    GoneBetweenSteps,
    PowerCut,
    StuckCell,
    FlippedBit,
    Locked,
    OtherChip,
    LessFlash,
    UidUnreadable,
    UidImplausible,
    UidTwice,
    WayUnplugged,
    WayBusy,
    NotPermitted,
    DriverHangs,
    WorkerDies,
    FirmwareSilent,
    UsbStallTimeoutShortBabble,
    DfuErrorStates,
    LeaveIgnored,
    SerialsAlike,
    Noise,
    Damaged,
    Refused,
    LoaderSilent,
    WrongBaud,
}

const FAULTS: [(Fault, &str); 29] = [
    (Fault::NoContact, "no contact"),
    (Fault::LostWhileErasing, "contact lost while erasing"),
    (Fault::LostWhileWriting, "contact lost while writing"),
    (Fault::LostWhileComparing, "contact lost while comparing"),
    (Fault::GoneBetweenSteps, "board pulled, or without power for a moment, between steps"),
    (Fault::PowerCut, "power cut, then put back"),
    (Fault::StuckCell, "stuck cell"),
    (Fault::FlippedBit, "bit flipped on the way"),
    (Fault::Locked, "locked chip"),
    (Fault::OtherChip, "another family or part"),
    (Fault::LessFlash, "the right family with less flash"),
    (Fault::UidUnreadable, "unique id unreadable"),
    (Fault::UidImplausible, "unique id that cannot be one"),
    (Fault::UidTwice, "unique id in two slots"),
    (Fault::WayUnplugged, "probe or port unplugged, replugged"),
    (Fault::WayBusy, "probe or port used by another program"),
    (Fault::NotPermitted, "no permission"),
    (Fault::DriverHangs, "driver hangs"),
    (Fault::WorkerDies, "worker dies"),
    (Fault::FirmwareSilent, "firmware silent or says something else"),
    (Fault::UsbStallTimeoutShortBabble, "USB stall, timeout, short answer, babble"),
    (Fault::DfuErrorStates, "DFU error states"),
    (Fault::LeaveIgnored, "loader ignores leave"),
    (Fault::SerialsAlike, "two boards with one DFU serial number"),
    (Fault::Noise, "noise on the serial line"),
    (Fault::Damaged, "parity or stop bit wrong on the serial line"),
    (Fault::Refused, "command refused (NACK)"),
    (Fault::LoaderSilent, "loader silent"),
    (Fault::WrongBaud, "wrong baud"),
];

/// What one back end makes of one fault.
pub(crate) enum Shown {
    /// What the caller gets, and the test that shows it: a file of this repository and a function
    /// in it.
    By(&'static str, &'static str, &'static str),
    /// It cannot happen on this way, or nothing shows it: why.
    Not(&'static str),
}

/// A row of a back end's list.
pub(crate) type Row = (Fault, Shown);

const COLUMNS: [(&str, &[Row]); 4] = [
    ("debug probe", probe::SHOWN),
    ("USB DFU", dfu::SHOWN),
    ("serial, STM32", stm32_serial::SHOWN),
    ("serial, ESP32", esp32::SHOWN),
];

const BEGIN: &str = "<!-- made by tests/shown -->\n";
const END: &str = "<!-- end -->";

fn table() -> String {
    let mut table = "| fault |".to_owned();
    COLUMNS.iter().for_each(|(name, _)| write!(table, " {name} |").unwrap());
    table.push_str("\n|---|---|---|---|---|\n");
    for (fault, words) in FAULTS {
        write!(table, "| {words} |").unwrap();
        for (name, rows) in COLUMNS {
            let row = rows.iter().find(|(known, _)| *known == fault);
            let (_, shown) = row.unwrap_or_else(|| panic!("{name} says nothing about {fault:?}"));
            match shown {
                Shown::By(gets, _, _) => write!(table, " {gets} |").unwrap(),
                Shown::Not(why) => write!(table, " *{why}* |").unwrap(),
            }
        }
        table.push('\n');
    }
    table
}

#[test]
fn the_readmes_table_of_faults_is_what_the_lists_say() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(BEGIN).unwrap();
    let (found, _) = rest.split_once(END).unwrap();
    let wanted = table();
    assert!(found == wanted, "the table between the marks has to be:\n{wanted}");
}

#[test]
fn every_fault_is_listed_once_and_shown_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, rows) in COLUMNS {
        assert_eq!(rows.len(), FAULTS.len(), "{name}");
        for (fault, shown) in rows {
            assert_eq!(rows.iter().filter(|(other, _)| other == fault).count(), 1, "{fault:?}");
            let Shown::By(_, file, test) = shown else { continue };
            let source = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| {
                panic!("{name}, {fault:?}: {file}: {error}");
            });
            // The attribute stands right above, or above another one.
            let declared = source.find(&format!("fn {test}("));
            let declared = declared.unwrap_or_else(|| panic!("{name}: no {test} in {file}"));
            let above: Vec<&str> = source[..declared].lines().rev().take(3).collect();
            assert!(above.iter().any(|line| line.trim() == "#[test]"), "{test} is no test");
        }
    }
}
