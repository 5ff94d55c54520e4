//! What every reader of a device's words must keep, whatever it says: shared by the fuzz targets and
//! by their replay in the room's tests.

use flash::dfu::{Contents, DfuFile, Function, MemoryMap, Mode, checksum};
use flash::esp::frame::{Answer, Receiver};
use flash::uart::frame::{Abilities, Command, product_id};

/// DfuSe addresses have 32 bits.
const ADDRESS_END: u64 = 1 << 32;

/// Reads bytes as a fuzz target's name says; panics when a promise is broken.
pub(crate) fn judge(target: &str, bytes: &[u8]) {
    match target {
        "memory-map" => memory_map(&String::from_utf8_lossy(bytes)),
        "usb-descriptors" => usb_descriptors(bytes),
        "dfu-file" => {
            dfu_file(bytes);
            // A checksum keeps changed bytes from being read at all: with a right one they are.
            if let Some((body, _)) = bytes.split_last_chunk::<4>() {
                dfu_file(&[body, &checksum(body).to_le_bytes()].concat());
            }
        }
        "an3155-answers" => an3155_answers(bytes),
        "esp-answers" => esp_answers(bytes),
        other => panic!("no such target: {other}"),
    }
}

fn memory_map(text: &str) {
    let map = match MemoryMap::read(text) {
        Ok(map) => map,
        Err(error) => {
            assert!(error.at <= text.len() && !error.to_string().is_empty());
            return;
        }
    };
    assert!(!map.stretches.is_empty());
    assert!(map.stretches.windows(2).all(|pair| pair[0].end() <= pair[1].start));
    assert!(map.writable_bytes() <= ADDRESS_END);
    for stretch in &map.stretches {
        assert!(stretch.start < stretch.end() && stretch.end() <= ADDRESS_END);
        for address in [stretch.start, stretch.end() - 1] {
            let (page, access) = map.page(address).expect("an address of a stretch has a page");
            assert!(page.contains(&address) && access == stretch.access);
            assert_eq!(page.end - page.start, u64::from(stretch.page_bytes));
            assert!(stretch.start <= page.start && page.end <= stretch.end());
            assert_eq!(map.pages(page.clone()), Ok(vec![(page, access)]));
        }
    }
    let end = map.stretches.last().map_or(0, |stretch| stretch.end());
    assert_eq!(map.page(end), None);
    assert_eq!(map.pages(end..end + 1), Err(end));
}

fn usb_descriptors(bytes: &[u8]) {
    match Function::read(bytes) {
        Ok(function) => {
            assert!(!function.alternates.is_empty());
            assert!(function.functional.transfer_bytes > 0);
            assert!(matches!(function.mode, Mode::RunTime | Mode::Dfu));
            // Nothing is made up: every setting stands in the bytes.
            assert!(function.alternates.len() * 9 <= bytes.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn dfu_file(bytes: &[u8]) {
    match DfuFile::read(bytes) {
        Ok(file) => {
            let held: usize = match &file.contents {
                Contents::Plain(image) => image.len(),
                Contents::DfuSe(elements) => elements.iter().map(|e| e.bytes.len()).sum(),
            };
            assert!(held + 16 <= bytes.len(), "more than the file holds");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What stands between the count byte and the last ACK of an answer to Get or Get ID.
fn an3155_answers(bytes: &[u8]) {
    match Abilities::parse(bytes) {
        Some(abilities) => {
            assert_eq!([&[abilities.version], &abilities.commands[..]].concat(), bytes);
            let erases = [Command::Erase, Command::ExtendedErase];
            let told = erases.iter().filter(|command| abilities.has(**command)).count();
            assert!(told <= abilities.commands.len());
        }
        None => assert!(bytes.is_empty()),
    }
    assert_eq!(product_id(bytes).is_some(), bytes.len() == 2);
}

/// What an ESP32's loader, or whatever is there instead, says on the wire.
fn esp_answers(bytes: &[u8]) {
    let mut receiver = Receiver::default();
    let (mut since, mut packets) = (0, 0);
    for byte in bytes {
        since += 1;
        let Some(packet) = receiver.take(*byte) else { continue };
        // Nothing is made up: a packet and its ends stand in the bytes, one END may be two packets'.
        assert!(!packet.is_empty() && packet.len() < since + usize::from(packets > 0));
        (since, packets) = (0, packets + 1);
        let Some(answer) = Answer::parse(&packet) else { continue };
        assert_eq!(answer.data.len() + 12, packet.len());
        assert_eq!((packet[0], packet[1]), (1, answer.command));
        if let Some(digest) = answer.md5() {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(answer.data.eq_ignore_ascii_case(hex.as_bytes()));
        }
        assert_eq!(answer.security().is_some(), answer.data.len() >= 16);
    }
}
