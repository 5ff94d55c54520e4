//! Little-endian numbers and short texts out of a file, or nothing where the file ends.

/// Two bytes at an offset.
pub(super) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Four bytes at an offset.
pub(super) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A range of so many bytes from an offset.
pub(super) fn part(bytes: &[u8], at: usize, count: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(count)?)
}

/// Characters of a file's own text that we repeat.
const TEXT_MAX: usize = 64;

/// A text of the file as it may stand on a screen: up to its NUL, printable ASCII, cut at 64.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take_while(|&&byte| byte != 0)
        .take(TEXT_MAX)
        .map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' })
        .collect()
}
