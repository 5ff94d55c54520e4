//! What every reader of a device's words must keep, whatever it says: shared by the fuzz targets and
//! by their replay in the room's tests.

use flash::dfu::{Contents, DfuFile, Function, MemoryMap, Mode, checksum};

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
