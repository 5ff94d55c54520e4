//! The loader's commands that identifying, reading and programming need.

use std::time::Duration;

use espflash::command::Command;
use espflash::flasher::{FlashSize, SpiAttachParams, SpiSetParams};
use espflash::target::Chip as Target;
use espflash::target::efuse::{self, EfuseField};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::frame::{self, READ_BYTES, READ_FLASH_SLOW};
use super::line::{ANSWER_WITHIN, Fault, Line};
use super::profile::Profile;
use crate::uart::alike;

/// Bytes of one erase sector.
pub(super) const SECTOR_BYTES: u32 = 0x1000;
/// Bytes of one data packet: what the ROMs have room for.
pub(super) const BLOCK_BYTES: usize = 0x400;
/// Longest erase of one sector; W25Q32JV and GD25Q32, AC characteristics.
const SECTOR_ERASE_MAX: Duration = Duration::from_millis(400);
/// Longest hash of one KiB, as espflash allows for.
const HASH_KIB_MAX: Duration = Duration::from_millis(8);
/// SPI_CMD: starts a command given by the user registers; clears itself.
const SPI_USER: u32 = 1 << 18;
/// SPI_USER register: a command, and data towards the chip.
const SPI_COMMAND_AND_READ: u32 = 1 << 31 | 1 << 28;
/// SPI_USER2: eight bits of command, READ ID.
const SPI_READ_ID: u32 = 7 << 28 | 0x9F;
/// How often the SPI controller is looked at; it needs microseconds.
const SPI_LOOKS: u32 = 10;
/// What stands at an address that every ROM has, by which older chips are told apart.
const MAGIC_AT: u32 = 0x4000_1000;
/// Mixed into the low half of a MAC: a register that holds the result was written in this visit.
const MARKER: u32 = 0x464C_494E;

/// What a chip told about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// It is another chip, in words.
    Another(String),
    /// Secure download mode: it tells no register and runs no read.
    Locked,
    /// It is the wanted one.
    Open {
        /// Major and minor.
        revision: (u32, u32),
        /// As it is printed, first byte first.
        mac: [u8; 6],
    },
}

/// Asks which chip it is and, if it is the wanted one, who.
pub(super) fn who(line: &mut Line, wanted: &Profile) -> Result<Told, Fault> {
    let security = sure("GET_SECURITY_INFO", || {
        line.ask("GET_SECURITY_INFO", &Command::GetSecurityInfo, ANSWER_WITHIN)
    });
    let (target, locked) = match security {
        Ok(answer) => match answer.security() {
            Some((id, locked)) => {
                let target = u16::try_from(id).ok().and_then(|id| Target::try_from(id).ok());
                (target.ok_or_else(|| format!("chip id {id}")), locked)
            }
            // ESP32-S2 tells no id.
            None => (magic(line)?, false),
        },
        // The first ESP32 does not know the command.
        Err(Fault::Refused { .. }) => (magic(line)?, false),
        Err(fault) => return Err(fault),
    };
    match target {
        Err(words) => Ok(Told::Another(words)),
        Ok(target) if target != wanted.target => Ok(Told::Another(target.to_string())),
        Ok(_) if locked => Ok(Told::Locked),
        Ok(target) => {
            let mac = mac(line, target)?;
            Ok(Told::Open { revision: revision(line, target)?, mac })
        }
    }
}

fn magic(line: &mut Line) -> Result<Result<Target, String>, Fault> {
    let magic = register(line, MAGIC_AT)?;
    Ok(Target::from_magic(magic).map_err(|_| format!("magic value {magic:#010x}")))
}

/// Reads a 32-bit register until two answers are alike: they have no checksum.
fn register(line: &mut Line, address: u32) -> Result<u32, Fault> {
    sure("READ_REG", || read_register(line, address))
}

/// Asks for something that decides until two answers are alike.
fn sure<T: PartialEq>(to: &'static str, ask: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    alike(ask)?.ok_or(Fault::Unsteady { to })
}

/// Reads a 32-bit register once.
fn read_register(line: &mut Line, address: u32) -> Result<u32, Fault> {
    Ok(line.ask("READ_REG", &Command::ReadReg { address }, ANSWER_WITHIN)?.value)
}

/// Writes a 32-bit register.
pub(super) fn set_register(line: &mut Line, address: u32, value: u32) -> Result<(), Fault> {
    let command = Command::WriteReg { address, value, mask: None };
    line.ask("WRITE_REG", &command, ANSWER_WITHIN).map(|_| ())
}

/// A field of the eFuses that lies in one word; blocks follow each other in the address space.
fn field(line: &mut Line, target: Target, field: &EfuseField) -> Result<u32, Fault> {
    let before: u32 = (0..field.block).map(|block| target.block_size(block as usize)).sum();
    let block = target.efuse_reg() + target.block0_offset() + before;
    let word = register(line, block + 4 * (field.bit_start / 32))?;
    let mask = u32::MAX >> (32 - field.bit_count.clamp(1, 32));
    Ok(word >> (field.bit_start % 32) & mask)
}

fn mac(line: &mut Line, target: Target) -> Result<[u8; 6], Fault> {
    let (low, high) = if target == Target::Esp32 {
        (efuse::esp32::MAC0, efuse::esp32::MAC1)
    } else {
        // The fields lie alike in ESP32-C3 and S3.
        (efuse::esp32c3::MAC0, efuse::esp32c3::MAC1)
    };
    Ok(address_of(field(line, target, &low)?, field(line, target, &high)?))
}

/// The address in two words of the eFuses, as it is printed.
fn address_of(low: u32, high: u32) -> [u8; 6] {
    let [c, d, e, f] = low.to_be_bytes();
    let [_, _, a, b] = high.to_be_bytes();
    [a, b, c, d, e, f]
}

fn revision(line: &mut Line, target: Target) -> Result<(u32, u32), Fault> {
    if target != Target::Esp32 {
        // The fields lie alike in ESP32-C3 and S3.
        let major = field(line, target, &efuse::esp32c3::WAFER_VERSION_MAJOR)?;
        let high = field(line, target, &efuse::esp32c3::WAFER_VERSION_MINOR_HI)?;
        let low = field(line, target, &efuse::esp32c3::WAFER_VERSION_MINOR_LO)?;
        return Ok((major, high << 3 | low));
    }
    // The three bits of the major version are spread over two eFuse words and a register.
    let bit = |word: u32, bit: u32| EfuseField::new(0, word, 32 * word + bit, 1);
    let low = field(line, target, &bit(3, 15))?;
    let middle = field(line, target, &bit(5, 20))?;
    let high = register(line, 0x3FF6_607C)? >> 31;
    let major = match high << 2 | middle << 1 | low {
        1 => 1,
        3 => 2,
        7 => 3,
        _ => 0,
    };
    Ok((major, field(line, target, &efuse::esp32::WAFER_VERSION_MINOR)?))
}

/// Attaches the flash and asks its size in bytes; `None` if no flash answers.
pub(super) fn attach(line: &mut Line, target: Target) -> Result<Option<u32>, Fault> {
    let command = Command::SpiAttach { spi_params: SpiAttachParams::default() };
    line.ask("SPI_ATTACH", &command, ANSWER_WITHIN)?;
    let spi = target.spi_registers();
    let (user, user2) = (register(line, spi.usr())?, register(line, spi.usr2())?);
    set_register(line, spi.usr(), SPI_COMMAND_AND_READ)?;
    set_register(line, spi.usr2(), SPI_READ_ID)?;
    if let Some(length) = spi.miso_length() {
        set_register(line, length, 24 - 1)?;
    }
    set_register(line, spi.w0(), 0)?;
    set_register(line, spi.cmd(), SPI_USER)?;
    let mut looks = 0;
    while read_register(line, spi.cmd())? & SPI_USER != 0 {
        looks += 1;
        if looks == SPI_LOOKS {
            return Ok(None);
        }
    }
    let id = register(line, spi.w0())?;
    set_register(line, spi.usr(), user)?;
    set_register(line, spi.usr2(), user2)?;
    let size = u8::try_from(id >> 16 & 0xFF).unwrap_or(0);
    let Ok(size) = FlashSize::from_detected(size).map(FlashSize::size) else { return Ok(None) };
    let command = Command::SpiSetParams { spi_params: SpiSetParams::default(size) };
    line.ask("SPI_SET_PARAMS", &command, ANSWER_WITHIN)?;
    Ok(Some(size))
}

/// Tells the loader another rate and follows it there.
pub(super) fn change_baud(line: &mut Line, target: Target, baud: u32) -> Result<(), Fault> {
    if line.baud() == baud {
        return Ok(());
    }
    let before = line.baud();
    let new_baud = rate_to_tell(line, target, baud)?;
    let command = Command::ChangeBaudrate { new_baud, prior_baud: 0 };
    // The answer comes at the old rate; if it got lost, the loader may be at either.
    let told = line.ask_once("CHANGE_BAUDRATE", &command, ANSWER_WITHIN);
    if let Err(Fault::Refused { .. } | Fault::Lost { .. }) = &told {
        return told.map(|_| ());
    }
    line.set_baud(baud)?;
    line.sync().or_else(|fault| {
        if let Fault::Lost { .. } = fault {
            return Err(fault);
        }
        tracing::warn!(%fault, baud, "the loader stays at its rate");
        line.set_baud(before)?;
        line.sync()
    })
}

/// The rate that makes the loader speak at `baud`.
///
/// The first ESP32 measures its crystal with a clock of its own that drifts by several percent, and
/// divides by what it measured (Espressif's esptool, `ESP32ROM.change_baud`).
fn rate_to_tell(line: &mut Line, target: Target, baud: u32) -> Result<u32, Fault> {
    if target != Target::Esp32 {
        return Ok(baud);
    }
    let periods = u64::from(register(line, 0x3FF5_F06C)? >> 7 & 0x01FF_FFFF);
    let clock = u64::from(field(line, target, &EfuseField::new(0, 4, 128, 8))?);
    let measured = periods * 15_625 * clock / 40;
    let crystal = if measured > 33_000_000 { 40_000_000 } else { 26_000_000 };
    let told = u64::from(baud) * measured / crystal;
    // A chip that tells no calibration has none to be corrected.
    Ok(u32::try_from(told).ok().filter(|told| *told > 0).unwrap_or(baud))
}

/// Writes this visit's marker where it lasts until the chip is reset.
pub(super) fn mark(line: &mut Line, profile: &Profile, mac: [u8; 6]) -> Result<(), Fault> {
    set_register(line, profile.store_at, marker(mac))
}

/// Takes the marker away, for the program that will run.
pub(super) fn unmark(line: &mut Line, profile: &Profile) -> Result<(), Fault> {
    set_register(line, profile.store_at, 0)
}

/// Whether the marker is still there.
pub(super) fn is_marked(line: &mut Line, profile: &Profile, mac: [u8; 6]) -> Result<bool, Fault> {
    Ok(register(line, profile.store_at)? == marker(mac))
}

fn marker(mac: [u8; 6]) -> u32 {
    u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]) ^ MARKER
}

/// MD5 over flash, computed by the chip; `at` and `bytes` are multiples of 4.
pub(super) fn md5(line: &mut Line, at: u32, bytes: u32) -> Result<[u8; 16], Fault> {
    let within = ANSWER_WITHIN + HASH_KIB_MAX * bytes.div_ceil(1024);
    let command = Command::FlashMd5 { offset: at, size: bytes };
    for _ in 0..2 {
        if let Some(digest) = line.ask("SPI_FLASH_MD5", &command, within)?.md5() {
            return Ok(digest);
        }
    }
    Err(Fault::Noise { to: "SPI_FLASH_MD5", bytes: 32 })
}

/// Whether flash holds these bytes. A digest that differs is asked for again: the protocol has no
/// checksum on the way back.
pub(super) fn holds(line: &mut Line, at: u32, bytes: &[u8]) -> Result<bool, Fault> {
    let wanted: [u8; 16] = Md5::digest(bytes).into();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Ok(md5(line, at, length)? == wanted || md5(line, at, length)? == wanted)
}

/// Reads flash, with the chip's digest over it: the answers alone have no checksum. `at` and the
/// length are multiples of 4.
pub(super) fn read(line: &mut Line, at: u32, into: &mut [u8]) -> Result<(), Fault> {
    let mut tries = 0;
    loop {
        for (index, block) in into.chunks_mut(READ_BYTES).enumerate() {
            let from = at + u32::try_from(index * READ_BYTES).unwrap_or(u32::MAX);
            let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
            let request = frame::slow_read(from, length);
            let answer =
                line.ask_packet("READ_FLASH_SLOW", &request, READ_FLASH_SLOW, ANSWER_WITHIN)?;
            let data = Zeroizing::new(answer.data);
            let bytes = data.get(..block.len());
            block.copy_from_slice(
                bytes.ok_or(Fault::Noise { to: "READ_FLASH_SLOW", bytes: data.len() })?,
            );
        }
        if holds(line, at, into)? {
            return Ok(());
        }
        tries += 1;
        if tries == 3 {
            return Err(Fault::Unsteady { to: "READ_FLASH_SLOW" });
        }
    }
}

/// Reads from any address on.
pub(super) fn read_any(line: &mut Line, at: u32, into: &mut [u8]) -> Result<(), Fault> {
    let skip = (at % 4) as usize;
    let mut words = Zeroizing::new(vec![0; (skip + into.len()).next_multiple_of(4)]);
    read(line, at - at % 4, &mut words)?;
    into.copy_from_slice(&words[skip..skip + into.len()]);
    Ok(())
}

/// Erases from a sector's start on and announces as many bytes of data.
pub(super) fn begin(line: &mut Line, target: Target, at: u32, bytes: u32) -> Result<(), Fault> {
    let block = u32::try_from(BLOCK_BYTES).unwrap_or(u32::MAX);
    let command = Command::FlashBegin {
        size: bytes,
        blocks: bytes.div_ceil(block),
        block_size: block,
        offset: at,
        // The word exists in every loader but the first ESP32's; espflash always writes a 0.
        supports_encryption: target != Target::Esp32,
    };
    let within = ANSWER_WITHIN + SECTOR_ERASE_MAX * bytes.div_ceil(SECTOR_BYTES);
    line.ask("FLASH_BEGIN", &command, within).map(|_| ())
}

/// Sends one block. Not repeated: whether the loader took it is not known if its answer is lost.
pub(super) fn data(line: &mut Line, sequence: u32, bytes: &[u8]) -> Result<(), Fault> {
    let command = Command::FlashData { data: bytes, pad_to: bytes.len(), pad_byte: 0xFF, sequence };
    line.ask_once("FLASH_DATA", &command, ANSWER_WITHIN).map(|_| ())
}

/// Starts the program in flash; the loader is gone then.
pub(super) fn run(line: &mut Line, target: Target) -> Result<(), Fault> {
    begin(line, target, 0, 0)?;
    match line.ask_once("FLASH_END", &Command::FlashEnd { reboot: false }, ANSWER_WITHIN) {
        // The program may have begun to speak before the answer was out.
        Ok(_) | Err(Fault::Noise { .. } | Fault::Damaged { .. }) => Ok(()),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Espressif published of three real chips: words of the eFuses, and the MAC that its own
    /// tool read from them (ESP-IDF documentation, "eFuse Manager", `espefuse summary` and `dump`).
    const DUMPS: [(&str, [u32; 2], [u8; 6]); 3] = [
        ("ESP32", [0x8E18_8E44, 0x00AD_840D], [0x84, 0x0D, 0x8E, 0x18, 0x8E, 0x44]),
        ("ESP32-C3", [0xA140_4008, 0x0000_7CDF], [0x7C, 0xDF, 0xA1, 0x40, 0x40, 0x08]),
        ("ESP32-S3", [0x3B41_F270, 0x0000_ECDA], [0xEC, 0xDA, 0x3B, 0x41, 0xF2, 0x70]),
    ];

    #[test]
    fn the_macs_of_public_dumps_are_read_as_espressifs_tool_reads_them() {
        for (chip, [low, high], mac) in DUMPS {
            assert_eq!(address_of(low, high), mac, "{chip}");
        }
    }

    #[test]
    fn marks_differ_between_boards_of_one_batch() {
        let marks: Vec<u32> = DUMPS.iter().map(|(_, _, mac)| marker(*mac)).collect();
        assert!(marks.iter().all(|mark| *mark != 0));
        assert!(marker([0, 0, 0, 0, 0, 1]) != marker([0, 0, 0, 0, 0, 2]));
    }
}
