//! The `.dfu` file: what stands behind the image (DFU 1.1, annex B) and, for ST's files, before
//! it (UM0391, "DfuSe file format specification").
//!
//! Pure and borrowing: nothing is copied. No bytes make it panic.

/// Bytes of the suffix.
const SUFFIX_BYTES: usize = 16;
/// Bytes of a DfuSe file's prefix, of a target's and of an element's.
const PREFIX_BYTES: usize = 11;
const TARGET_BYTES: usize = 274;
const ELEMENT_BYTES: usize = 8;

/// Why bytes are no `.dfu` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Shorter than a suffix.
    #[error("too short for a DFU suffix")]
    TooShort,
    /// The letters `UFD` are not where they belong.
    #[error("there is no DFU suffix")]
    NoSuffix,
    /// bLength is below 16 or beyond the file.
    #[error("the DFU suffix claims {bytes} bytes")]
    SuffixLength {
        /// Its length byte.
        bytes: u8,
    },
    /// The checksum does not fit.
    #[error("the DFU file's checksum is {found:#010x}, it says {said:#010x}")]
    Checksum {
        /// What the file says.
        said: u32,
        /// What its bytes give.
        found: u32,
    },
    /// The file says it is DfuSe and has no such prefix, or one of another version.
    #[error("there is no DfuSe prefix of version 1")]
    NoPrefix,
    /// A length inside the DfuSe part does not fit.
    #[error("the DfuSe part at byte {at} does not fit its length")]
    PartLength {
        /// Where it begins.
        at: usize,
    },
    /// No target begins where one has to.
    #[error("no DfuSe target at byte {at}")]
    NoTarget {
        /// Where it has to begin.
        at: usize,
    },
}

/// The suffix. 0xFFFF in an id means any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suffix {
    /// bcdDevice.
    pub release: u16,
    /// idProduct.
    pub product: u16,
    /// idVendor.
    pub vendor: u16,
    /// bcdDFU: 0x0100, 0x0110, or 0x011A for DfuSe.
    pub version: u16,
}

impl Suffix {
    /// The file is meant for a device with these ids.
    pub fn fits(&self, vendor: u16, product: u16) -> bool {
        let fits = |wanted: u16, found: u16| wanted == 0xFFFF || wanted == found;
        fits(self.vendor, vendor) && fits(self.product, product)
    }
}

/// One stretch of bytes of a DfuSe file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The alternate setting it is for.
    pub alternate: u8,
    /// First address.
    pub address: u32,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What a `.dfu` file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents<'a> {
    /// One image; the device knows where it goes.
    Plain(&'a [u8]),
    /// Bytes with addresses.
    DfuSe(Vec<Element<'a>>),
}

/// A checked `.dfu` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DfuFile<'a> {
    /// What it is for.
    pub suffix: Suffix,
    /// What it holds.
    pub contents: Contents<'a>,
}

/// The checksum of the suffix: CRC-32 without the closing inversion ("JAMCRC").
pub fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

impl<'a> DfuFile<'a> {
    /// Checks the suffix and its checksum, and reads the DfuSe parts if the suffix says so.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, FileError> {
        let start = bytes.len().checked_sub(SUFFIX_BYTES).ok_or(FileError::TooShort)?;
        let tail = &bytes[start..];
        if &tail[8..11] != b"UFD" {
            return Err(FileError::NoSuffix);
        }
        let length = tail[11];
        let image = bytes.len().checked_sub(length.into());
        let Some(image) = image.filter(|_| usize::from(length) >= SUFFIX_BYTES) else {
            return Err(FileError::SuffixLength { bytes: length });
        };
        let field = |at| u16_at(tail, at).ok_or(FileError::TooShort);
        let said = u32_at(tail, 12).ok_or(FileError::TooShort)?;
        let found = checksum(&bytes[..bytes.len() - 4]);
        if said != found {
            return Err(FileError::Checksum { said, found });
        }
        let suffix = Suffix {
            release: field(0)?,
            product: field(2)?,
            vendor: field(4)?,
            version: field(6)?,
        };
        let image = &bytes[..image];
        let contents = match suffix.version {
            0x011A => Contents::DfuSe(elements(image)?),
            _ => Contents::Plain(image),
        };
        Ok(Self { suffix, contents })
    }
}

/// Reads prefix, targets and elements; every length has to come out even.
fn elements(file: &[u8]) -> Result<Vec<Element<'_>>, FileError> {
    let prefix = file.get(..PREFIX_BYTES).ok_or(FileError::NoPrefix)?;
    if &prefix[..5] != b"DfuSe" || prefix[5] != 1 {
        return Err(FileError::NoPrefix);
    }
    if size_at(prefix, 6) != Some(file.len()) {
        return Err(FileError::PartLength { at: 0 });
    }
    let mut found = Vec::new();
    let mut at = PREFIX_BYTES;
    for _ in 0..prefix[10] {
        let head = file.get(at..).and_then(|rest| rest.get(..TARGET_BYTES));
        let head = head.filter(|head| &head[..6] == b"Target").ok_or(FileError::NoTarget { at })?;
        let cut = FileError::PartLength { at };
        let (size, count) = (size_at(head, 266).ok_or(cut)?, u32_at(head, 270).ok_or(cut)?);
        let begin = at + TARGET_BYTES;
        let end = begin.checked_add(size).filter(|end| *end <= file.len()).ok_or(cut)?;
        let mut place = begin;
        for _ in 0..count {
            let cut = FileError::PartLength { at: place };
            let body = place + ELEMENT_BYTES;
            if body > end {
                return Err(cut);
            }
            let address = u32_at(file, place).ok_or(cut)?;
            let bytes = size_at(file, place + 4).ok_or(cut)?;
            let next = body.checked_add(bytes).filter(|next| *next <= end).ok_or(cut)?;
            found.push(Element { alternate: head[6], address, bytes: &file[body..next] });
            place = next;
        }
        if place != end {
            return Err(cut);
        }
        at = end;
    }
    if at == file.len() { Ok(found) } else { Err(FileError::PartLength { at }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_suffix(image: &[u8], version: u16) -> Vec<u8> {
        let mut file = image.to_vec();
        for field in [0x2200, 0xDF11, 0x0483, version] {
            file.extend(u16::to_le_bytes(field));
        }
        file.extend(b"UFD\x10");
        let sum = checksum(&file);
        file.extend(sum.to_le_bytes());
        file
    }

    /// Address and bytes.
    type Part<'a> = (u32, &'a [u8]);

    fn dfuse(targets: &[(u8, &[Part<'_>])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (alternate, elements) in targets {
            let mut parts = Vec::new();
            for (address, bytes) in *elements {
                parts.extend(address.to_le_bytes());
                parts.extend(u32::try_from(bytes.len()).expect("small").to_le_bytes());
                parts.extend(*bytes);
            }
            body.extend(b"Target");
            body.push(*alternate);
            body.extend([0; 4 + 255]);
            body.extend(u32::try_from(parts.len()).expect("small").to_le_bytes());
            body.extend(u32::try_from(elements.len()).expect("small").to_le_bytes());
            body.extend(parts);
        }
        let mut file = b"DfuSe\x01".to_vec();
        file.extend(u32::try_from(body.len() + 11).expect("small").to_le_bytes());
        file.push(u8::try_from(targets.len()).expect("few"));
        file.extend(body);
        file
    }

    #[test]
    fn the_checksum_is_the_standards_one() {
        // CRC-32/JAMCRC, check value of the CRC catalogue (reveng).
        assert_eq!(checksum(b"123456789"), 0x340B_C6D9);
        assert_eq!(checksum(b""), u32::MAX);
    }

    #[test]
    fn a_plain_file_gives_its_image_and_the_device_it_is_for() {
        let file = with_suffix(b"firmware", 0x0100);
        let read = DfuFile::read(&file).expect("whole");
        assert_eq!(read.contents, Contents::Plain(b"firmware"));
        let suffix = read.suffix;
        assert_eq!((suffix.vendor, suffix.product, suffix.release), (0x0483, 0xDF11, 0x2200));
        assert!(suffix.fits(0x0483, 0xDF11) && !suffix.fits(0x0483, 0xDF12));
        assert!(Suffix { vendor: 0xFFFF, product: 0xFFFF, ..suffix }.fits(1, 2));
    }

    #[test]
    fn a_dfuse_file_gives_every_element_with_its_address() {
        let file = with_suffix(
            &dfuse(&[
                (0, &[(0x0800_0000, b"boot"), (0x0801_0000, b"main")]),
                (1, &[(0x1FFF_C000, b"")]),
            ]),
            0x011A,
        );
        let Contents::DfuSe(found) = DfuFile::read(&file).expect("whole").contents else {
            panic!("not DfuSe");
        };
        let seen: Vec<_> = found.iter().map(|e| (e.alternate, e.address, e.bytes)).collect();
        assert_eq!(
            seen,
            [
                (0, 0x0800_0000, &b"boot"[..]),
                (0, 0x0801_0000, &b"main"[..]),
                (1, 0x1FFF_C000, &b""[..])
            ]
        );
    }

    #[test]
    fn a_damaged_file_is_refused_by_what_is_wrong_with_it() {
        let good = with_suffix(b"firmware", 0x0110);
        let changed = |at: usize, byte: u8| {
            let mut file = good.clone();
            let at = if at < good.len() { at } else { at - 1000 + good.len() - 16 };
            file[at] = byte;
            DfuFile::read(&file).map(|_| ())
        };
        assert_eq!(DfuFile::read(&good[..15]).map(|_| ()), Err(FileError::TooShort));
        assert_eq!(DfuFile::read(&good[..20]).map(|_| ()), Err(FileError::NoSuffix));
        assert_eq!(changed(1008, b'X'), Err(FileError::NoSuffix));
        assert_eq!(changed(1011, 15), Err(FileError::SuffixLength { bytes: 15 }));
        assert_eq!(changed(1011, 200), Err(FileError::SuffixLength { bytes: 200 }));
        assert!(matches!(changed(0, b'F'), Err(FileError::Checksum { .. })));
        assert!(matches!(changed(1002, 0), Err(FileError::Checksum { .. })));

        let refused = |image: &[u8]| DfuFile::read(&with_suffix(image, 0x011A)).map(|_| ());
        assert_eq!(refused(b"firmware"), Err(FileError::NoPrefix));
        let whole = dfuse(&[(0, &[(0x0800_0000, b"boot")])]);
        assert_eq!(refused(&whole), Ok(()));
        let bent = |at: usize, byte: u8| {
            let mut file = whole.clone();
            file[at] = byte;
            refused(&file)
        };
        assert_eq!(bent(5, 2), Err(FileError::NoPrefix));
        assert_eq!(bent(6, 0), Err(FileError::PartLength { at: 0 }));
        assert_eq!(bent(10, 2), Err(FileError::NoTarget { at: whole.len() }));
        assert_eq!(bent(10, 0), Err(FileError::PartLength { at: 11 }));
        assert_eq!(bent(11, b't'), Err(FileError::NoTarget { at: 11 }));
        assert_eq!(bent(11 + 266, 11), Err(FileError::PartLength { at: 285 }));
        assert_eq!(bent(11 + 266, 13), Err(FileError::PartLength { at: 11 }));
        assert_eq!(bent(11 + 270, 2), Err(FileError::PartLength { at: 297 }));
        assert_eq!(bent(285 + 7, 0xFF), Err(FileError::PartLength { at: 285 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            place in 0usize..400,
            byte in any::<u8>(),
        ) {
            let _answer = DfuFile::read(&bytes);
            let _answer = DfuFile::read(&with_suffix(&bytes, 0x011A));
            let mut whole = dfuse(&[(0, &[(0x0800_0000, b"boot")]), (1, &[])]);
            if let Some(there) = whole.get_mut(place) {
                *there = byte;
            }
            let _answer = DfuFile::read(&with_suffix(&whole, 0x011A));
        }
    }
}
