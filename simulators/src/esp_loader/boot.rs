//! What the chip says when it starts what is in flash.
//!
//! The ROM looks at the second-stage loader's image; that loader looks for the app in the partition
//! table. Nothing is executed: images are checked as the real loaders check them (magic, chip,
//! checksum), and an app that is fit to start says the one line it carries, a text that begins with
//! [`LINE_BEGINS`] and ends with a NUL.

use super::chip::Model;
use super::flash::Flash;

/// How the line that an app says begins.
pub const LINE_BEGINS: &[u8] = b"FLASHLINE ";
/// Where the partition table is.
const PARTITIONS: u32 = 0x8000;
/// Entries of a partition table at most; 32 bytes each.
const PARTITIONS_MAX: u32 = 96;
const PARTITION_MAGIC: [u8; 2] = [0xAA, 0x50];
const IMAGE_MAGIC: u8 = 0xE9;
const IMAGE_HEADER_BYTES: u32 = 24;
/// Segments of an image at most; the ROM's limit.
const SEGMENTS_MAX: u8 = 16;

/// Why an image does not start, in the loaders' words.
type Refusal = String;

/// Everything that is said from reset on, the ROM's own lines included.
#[must_use]
pub fn says(model: &Model, flash: &Flash) -> String {
    let rest = match start(model, flash) {
        Ok(Some(line)) => format!("{line}\r\n"),
        Ok(None) => String::new(),
        Err(refusal) => format!("{refusal}\r\n"),
    };
    format!("{}{rest}", model.banners[1])
}

/// The line of the app that would start, if it carries one.
fn start(model: &Model, flash: &Flash) -> Result<Option<String>, Refusal> {
    let first = image(model, flash, model.boot_offset)?;
    match app(flash) {
        // No table: an image that is everything itself.
        None => Ok(line(flash, model.boot_offset, first)),
        Some(None) => Err("No bootable app partitions in the partition table".to_owned()),
        Some(Some(offset)) => {
            let bytes = image(model, flash, offset)
                .map_err(|_| "No bootable app partitions in the partition table".to_owned())?;
            Ok(line(flash, offset, bytes))
        }
    }
}

/// Where the first app partition is; `None` without a partition table.
fn app(flash: &Flash) -> Option<Option<u32>> {
    let entry = |index: u32| {
        let at = PARTITIONS + 32 * index;
        flash.holds(at, 32).then(|| flash.read(at, 32)).filter(|e| e[..2] == PARTITION_MAGIC)
    };
    entry(0)?;
    // Type 0 is an app: subtype 0 the factory's, 0x10 and on the updated ones.
    let apps = (0..PARTITIONS_MAX).map_while(entry).filter(|entry| entry[2] == 0);
    let first = apps.min_by_key(|entry| entry[3]);
    Some(first.map(|entry| u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]])))
}

/// The length of the image at `offset`, if it is one.
fn image(model: &Model, flash: &Flash, offset: u32) -> Result<u32, Refusal> {
    let word = |at: u32| {
        let there = flash.holds(at, 4).then(|| flash.read(at, 4));
        there.map_or(u32::MAX, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    let invalid = || format!("invalid header: {:#010x}", word(offset));
    if !flash.holds(offset, IMAGE_HEADER_BYTES) {
        return Err(invalid());
    }
    let header = flash.read(offset, IMAGE_HEADER_BYTES);
    let segments = header[1];
    if header[0] != IMAGE_MAGIC || segments == 0 || segments > SEGMENTS_MAX {
        return Err(invalid());
    }
    if u16::from_le_bytes([header[12], header[13]]) != model.chip_id {
        return Err("image is for another chip".to_owned());
    }
    let mut at = offset + IMAGE_HEADER_BYTES;
    let mut sum = 0xEF;
    for _ in 0..segments {
        let bytes = word(at.saturating_add(4));
        let Some(start) = at.checked_add(8).filter(|start| flash.holds(*start, bytes)) else {
            return Err(invalid());
        };
        sum = flash.read(start, bytes).iter().fold(sum, |sum, byte| sum ^ byte);
        at = start + bytes;
    }
    // The checksum is the last byte of the 16 that the image is filled up to.
    let end = offset + (at - offset + 1).next_multiple_of(16);
    if !flash.holds(offset, end - offset) {
        return Err(invalid());
    }
    let told = flash.read(end - 1, 1)[0];
    if told != sum {
        return Err(format!("csum err:{told:#x}!={sum:#x}"));
    }
    Ok(end - offset)
}

fn line(flash: &Flash, offset: u32, bytes: u32) -> Option<String> {
    let image = flash.read(offset, bytes);
    let start = image.windows(LINE_BEGINS.len()).position(|at| at == LINE_BEGINS)?;
    let text = image[start..].split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::chip::MODELS;
    use super::*;

    /// An image with one segment.
    fn image(chip_id: u16, text: &[u8]) -> Vec<u8> {
        let mut image = vec![0; IMAGE_HEADER_BYTES as usize];
        (image[0], image[1]) = (IMAGE_MAGIC, 1);
        image[12..14].copy_from_slice(&chip_id.to_le_bytes());
        image.extend_from_slice(&0x3C00_0000_u32.to_le_bytes());
        image.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
        image.extend_from_slice(text);
        let sum = text.iter().fold(0xEF, |sum, byte| sum ^ byte);
        image.resize((image.len() + 1).next_multiple_of(16) - 1, 0);
        image.push(sum);
        image
    }

    /// A partition table with one entry.
    fn table(kind: u8, offset: u32) -> Vec<u8> {
        let mut entry = vec![0xAA, 0x50, kind, 0];
        entry.extend_from_slice(&offset.to_le_bytes());
        entry.resize(32, 0);
        entry
    }

    #[test]
    fn only_what_the_loaders_would_start_says_its_line() {
        let check = |pieces: &[(u32, Vec<u8>)], ends: &str| {
            for model in MODELS {
                let mut flash = Flash::new(0x10_0000, None).unwrap();
                for (at, bytes) in pieces {
                    let at = if *at == 0 { model.boot_offset } else { *at };
                    let mut bytes = bytes.clone();
                    if bytes[0] == IMAGE_MAGIC && bytes[12] != 9 {
                        bytes[12] = model.chip_id as u8;
                    }
                    flash.program(at, &bytes).unwrap();
                }
                let said = says(model, &flash);
                assert!(said.starts_with(model.banners[1]), "{said}");
                assert!(said.ends_with(ends), "{}: {said:?}, not {ends:?}", model.name);
            }
        };
        let none = "No bootable app partitions in the partition table\r\n";
        check(&[], "invalid header: 0xffffffff\r\n");
        check(&[(0, image(0, b"..FLASHLINE lamp 1.0\0."))], "FLASHLINE lamp 1.0\r\n");
        check(&[(0, image(0, b"says nothing"))], "_FLASH_BOOT)\r\n");
        check(&[(0, image(9, b"x"))], "image is for another chip\r\n");
        let mut bad = image(0, b"x");
        *bad.last_mut().unwrap() ^= 1;
        check(&[(0, bad)], "csum err:0x96!=0x97\r\n");
        let app = image(0, b"FLASHLINE app\0");
        let boot = image(0, b"boot");
        let table_of = |kind| table(kind, 0x1_0000);
        check(&[(0, boot.clone()), (0x8000, table_of(0)), (0x1_0000, app)], "FLASHLINE app\r\n");
        check(&[(0, boot.clone()), (0x8000, table_of(0))], none);
        check(&[(0, boot), (0x8000, table_of(1))], none);
    }
}
