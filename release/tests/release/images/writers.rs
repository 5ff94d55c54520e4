//! Writers of every image format, for tests only: plain, readable, and able to write what is wrong.

use release::Digest;

/// One Intel HEX record with its checksum.
pub(crate) fn hex_record(kind: u8, offset: u16, data: &[u8]) -> String {
    let [high, low] = offset.to_be_bytes();
    let mut bytes = vec![data.len() as u8, high, low, kind];
    bytes.extend_from_slice(data);
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    format!(":{}\n", hex::encode_upper(bytes))
}

pub(crate) const HEX_END: &str = ":00000001FF\n";

/// One S-record with its checksum; the kind decides how long the address is.
pub(crate) fn srec_record(kind: u8, address: u32, data: &[u8]) -> String {
    let address_bytes = [2, 2, 3, 4, 4, 2, 3, 4, 3, 2][usize::from(kind)];
    let mut bytes = vec![(address_bytes + data.len() + 1) as u8];
    bytes.extend_from_slice(&address.to_be_bytes()[4 - address_bytes..]);
    bytes.extend_from_slice(data);
    bytes.push(!bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
    format!("S{kind}{}\n", hex::encode_upper(bytes))
}

/// One segment of an ELF file.
pub(crate) struct ElfSegment {
    pub(crate) kind: u32,
    pub(crate) physical: u32,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const ARM: u16 = 40;
pub(crate) const RISC_V: u16 = 243;

/// A 32-bit little-endian executable.
pub(crate) fn elf(machine: u16, entry: u32, segments: &[ElfSegment]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [2u16, machine] {
        file.extend(half.to_le_bytes());
    }
    for word in [1u32, entry, 52, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [52u16, 32, segments.len() as u16, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = 52 + 32 * segments.len() as u32;
    for segment in segments {
        let bytes = segment.bytes.len() as u32;
        // The virtual address is elsewhere on purpose: nothing may be flashed there.
        let virtual_address = segment.physical ^ 0x4000_0000;
        for word in
            [segment.kind, offset, virtual_address, segment.physical, bytes, bytes + 64, 5, 4]
        {
            file.extend(word.to_le_bytes());
        }
        offset += bytes;
    }
    for segment in segments {
        file.extend_from_slice(&segment.bytes);
    }
    file
}

/// The same ELF file with the build attributes of an Arm compiler: the core's name and its
/// Tag_CPU_arch.
pub(crate) fn with_arm_core(mut file: Vec<u8>, name: &str, arch: u8) -> Vec<u8> {
    let mut tags = vec![5];
    tags.extend_from_slice(name.as_bytes());
    tags.extend([0, 6, arch, 7, b'M']);
    let mut scope = vec![1];
    scope.extend((tags.len() as u32 + 5).to_le_bytes());
    scope.extend(tags);
    let mut attributes = vec![b'A'];
    attributes.extend((scope.len() as u32 + 10).to_le_bytes());
    attributes.extend_from_slice(b"aeabi\0");
    attributes.extend(scope);
    let at = file.len() as u32;
    file.extend_from_slice(&attributes);
    file.resize(file.len().next_multiple_of(4), 0);
    let sections_at = file.len() as u32;
    // The first section header is always empty.
    file.resize(file.len() + 40, 0);
    for word in [0u32, 0x7000_0003, 0, 0, at, attributes.len() as u32, 0, 0, 1, 0] {
        file.extend(word.to_le_bytes());
    }
    file[32..36].copy_from_slice(&sections_at.to_le_bytes());
    file[48..50].copy_from_slice(&2u16.to_le_bytes());
    file
}

/// One UF2 block.
#[derive(Clone)]
pub(crate) struct Uf2Block {
    pub(crate) flags: u32,
    pub(crate) address: u32,
    pub(crate) number: u32,
    pub(crate) count: u32,
    pub(crate) family: u32,
    pub(crate) data: Vec<u8>,
}

pub(crate) const UF2_FAMILY_PRESENT: u32 = 0x2000;
pub(crate) const UF2_NRF52: u32 = 0x1b57_745f;

/// Cuts bytes into UF2 blocks of 256.
pub(crate) fn uf2_blocks(family: u32, address: u32, bytes: &[u8]) -> Vec<Uf2Block> {
    let count = bytes.len().div_ceil(256) as u32;
    (0..count)
        .zip(bytes.chunks(256))
        .map(|(number, data)| Uf2Block {
            flags: UF2_FAMILY_PRESENT,
            address: address + number * 256,
            number,
            count,
            family,
            data: data.to_vec(),
        })
        .collect()
}

pub(crate) fn uf2(blocks: &[Uf2Block]) -> Vec<u8> {
    let mut file = Vec::new();
    for block in blocks {
        let start = file.len();
        let Uf2Block { flags, address, number, count, family, data } = block;
        let bytes = data.len() as u32;
        for word in [0x0A32_4655, 0x9E5D_5157, *flags, *address, bytes, *number, *count, *family] {
            file.extend(word.to_le_bytes());
        }
        file.extend_from_slice(data);
        file.resize(start + 508, 0);
        file.extend(0x0AB1_6F30u32.to_le_bytes());
    }
    file
}

/// An ESP image of segments (where they are loaded, bytes), with checksum and, if asked, SHA-256.
pub(crate) fn esp(chip: u16, entry: u32, segments: &[(u32, Vec<u8>)], hashed: bool) -> Vec<u8> {
    let mut file = vec![0xE9, segments.len() as u8, 2, 0x20];
    file.extend(entry.to_le_bytes());
    file.extend([0xEE, 0, 0, 0]);
    file.extend(chip.to_le_bytes());
    file.resize(23, 0);
    file.push(u8::from(hashed));
    let mut checksum = 0xEF;
    for (load, bytes) in segments {
        file.extend(load.to_le_bytes());
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend_from_slice(bytes);
        checksum = bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    file.resize(file.len() | 0xF, 0);
    file.push(checksum);
    if hashed {
        let sha256 = Digest::of(&file);
        file.extend_from_slice(sha256.as_bytes());
    }
    file
}

/// The CRC-32 of the DFU suffix, bit by bit as appendix B of DFU 1.1 defines it: an outside judge
/// for the reader's.
pub(crate) fn dfu_crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

/// Firmware and its DFU suffix.
pub(crate) fn dfu(version: u16, firmware: &[u8]) -> Vec<u8> {
    let mut file = firmware.to_vec();
    for half in [0x2200u16, 0xDF11, 0x0483, version] {
        file.extend(half.to_le_bytes());
    }
    file.extend_from_slice(b"UFD\x10");
    let crc = dfu_crc(&file);
    file.extend(crc.to_le_bytes());
    file
}

/// The same `.dfu` file with the USB vendor id of a product's own.
pub(crate) fn of_vendor(vendor: u16, mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() - 4);
    let at = file.len() - 8;
    file[at..at + 2].copy_from_slice(&vendor.to_le_bytes());
    let crc = dfu_crc(&file);
    file.extend(crc.to_le_bytes());
    file
}

/// One DfuSe target: alternate setting, name, elements (address, bytes).
pub(crate) struct DfuTarget {
    pub(crate) alternate: u8,
    pub(crate) name: &'static str,
    pub(crate) elements: Vec<(u32, Vec<u8>)>,
}

/// A DfuSe file, before its suffix.
pub(crate) fn dfuse_body(targets: &[DfuTarget]) -> Vec<u8> {
    let mut body = Vec::new();
    for target in targets {
        let mut elements = Vec::new();
        for (address, bytes) in &target.elements {
            elements.extend(address.to_le_bytes());
            elements.extend((bytes.len() as u32).to_le_bytes());
            elements.extend_from_slice(bytes);
        }
        let start = body.len();
        body.extend_from_slice(b"Target");
        body.push(target.alternate);
        body.extend(1u32.to_le_bytes());
        body.extend_from_slice(target.name.as_bytes());
        body.resize(start + 266, 0);
        body.extend((elements.len() as u32).to_le_bytes());
        body.extend((target.elements.len() as u32).to_le_bytes());
        body.extend(elements);
    }
    let mut file = b"DfuSe\x01".to_vec();
    file.extend((body.len() as u32 + 11).to_le_bytes());
    file.push(targets.len() as u8);
    file.extend(body);
    file
}

pub(crate) fn dfuse(targets: &[DfuTarget]) -> Vec<u8> {
    dfu(0x011A, &dfuse_body(targets))
}

/// An MCUboot image: header of 32 bytes, code, protected TLVs, SHA-256 and further TLVs.
pub(crate) fn mcuboot(flags: u32, code: &[u8], protected: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let area = |magic: u16, tlvs: &[(u16, Vec<u8>)]| {
        let mut bytes = Vec::new();
        for (kind, value) in tlvs {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((value.len() as u16).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        let mut area = magic.to_le_bytes().to_vec();
        area.extend((bytes.len() as u16 + 4).to_le_bytes());
        area.extend(bytes);
        area
    };
    let protected = match protected {
        [] => Vec::new(),
        some => area(0x6908, some),
    };
    let mut file = Vec::new();
    file.extend(0x96F3_B83Du32.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    file.extend(32u16.to_le_bytes());
    file.extend((protected.len() as u16).to_le_bytes());
    file.extend((code.len() as u32).to_le_bytes());
    file.extend(flags.to_le_bytes());
    file.extend([1, 2]);
    file.extend(3u16.to_le_bytes());
    file.extend(4u32.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    file.extend_from_slice(code);
    file.extend(protected);
    let sha256 = Digest::of(&file).as_bytes().to_vec();
    file.extend(area(0x6907, &[(0x10, sha256), (0x01, vec![7; 32]), (0x24, vec![9; 64])]));
    file
}
