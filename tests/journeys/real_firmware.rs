//! Firmware that other people wrote, through the whole house.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use ihex::{Reader, Record};
use journeys::world::{Plan, Programs, Recipe, World};

/// From Debian's package `firmware-microbit-micropython`: 250 KB and some UICR records.
const MICROPYTHON: &str = "/usr/share/firmware-microbit-micropython/firmware.hex";
/// Where the nRF52832's flash ends and its UICR begins; a board's dump holds one after the other.
const FLASH_BYTES: u32 = 512 * 1024;
const UICR: std::ops::Range<u32> = 0x1000_1000..0x1000_2000;

/// The bytes of an Intel HEX file, by address, read by a parser that is not ours.
fn bytes_of(hex: &str) -> Result<Vec<(u32, u8)>> {
    let mut base = 0;
    let mut bytes = Vec::new();
    for record in Reader::new(hex) {
        match record.context("reading the firmware's hex file")? {
            Record::Data { offset, value } => {
                let start = base + u32::from(offset);
                bytes.extend((start..).zip(value));
            }
            Record::ExtendedLinearAddress(upper) => base = u32::from(upper) << 16,
            Record::ExtendedSegmentAddress(segment) => base = u32::from(segment) << 4,
            Record::EndOfFile
            | Record::StartLinearAddress(_)
            | Record::StartSegmentAddress { .. } => {}
        }
    }
    Ok(bytes)
}

#[test]
fn micropython_and_its_uicr_records_reach_the_chip_byte_for_byte() -> Result<()> {
    let hex = fs::read_to_string(MICROPYTHON)
        .context("this journey needs Debian's firmware-microbit-micropython")?;
    let wanted = bytes_of(&hex)?;
    assert!(wanted.len() > 200_000, "the firmware is smaller than it should be");
    assert!(wanted.iter().any(|(address, _)| UICR.contains(address)), "no UICR records");

    let folder = tempfile::tempdir()?;
    let plan = Plan {
        recipe: Some(Recipe::plain("nrf52", "nRF52832_xxAA", &[])),
        ..Plan::new(1, Path::new(MICROPYTHON))
    };
    let mut world =
        World::set_up(&Programs::beside_this_test()?, folder.path(), plan, &mut |_| ())?;
    world.boards[0].insert()?;
    world.slot_becomes(1, &["pass"], Duration::from_secs(120))?;

    let dump = folder.path().join("dump");
    world.boards[0].pull(&format!("dump {}", dump.display()))?;
    let memory = fs::read(&dump)?;
    let different = wanted
        .iter()
        .filter(|(address, byte)| {
            let place = if UICR.contains(address) {
                FLASH_BYTES + (address - UICR.start)
            } else {
                *address
            };
            memory.get(place as usize) != Some(byte)
        })
        .count();
    assert_eq!(different, 0, "of {} bytes", wanted.len());
    Ok(())
}
