//! The frames of AN3155, pure: what is sent for a command, what an answer means.

use zeroize::Zeroizing;

/// "Yes".
pub const ACK: u8 = 0x79;
/// "No".
pub const NACK: u8 = 0x1F;
/// The first byte after reset: the loader measures its bits to find the baud rate.
pub const SYNC: u8 = 0x7F;
/// Most bytes of one read or write.
pub const BLOCK_BYTES: usize = 256;

/// What the loader can be asked; the codes and names of AN3155, table 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Version and supported commands.
    Get = 0x00,
    /// Version and the (dead) protection counters.
    GetVersion = 0x01,
    /// Product id.
    GetId = 0x02,
    /// Up to 256 bytes of memory.
    ReadMemory = 0x11,
    /// Start a program.
    Go = 0x21,
    /// Up to 256 bytes into RAM, flash or option bytes.
    WriteMemory = 0x31,
    /// Pages with numbers of one byte.
    Erase = 0x43,
    /// Pages with numbers of two bytes.
    ExtendedErase = 0x44,
    /// Write protection off.
    WriteUnprotect = 0x73,
    /// Readout protection on.
    ReadoutProtect = 0x82,
    /// Readout protection off; erases everything.
    ReadoutUnprotect = 0x92,
}

impl Command {
    /// The command byte and its complement.
    pub fn frame(self) -> [u8; 2] {
        [self as u8, !(self as u8)]
    }

    /// Its name in the application note.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::GetVersion => "Get Version",
            Self::GetId => "Get ID",
            Self::ReadMemory => "Read Memory",
            Self::Go => "Go",
            Self::WriteMemory => "Write Memory",
            Self::Erase => "Erase",
            Self::ExtendedErase => "Extended Erase",
            Self::WriteUnprotect => "Write Unprotect",
            Self::ReadoutProtect => "Readout Protect",
            Self::ReadoutUnprotect => "Readout Unprotect",
        }
    }
}

/// An address, highest byte first, and its checksum.
pub fn address(address: u32) -> [u8; 5] {
    let [a, b, c, d] = address.to_be_bytes();
    [a, b, c, d, a ^ b ^ c ^ d]
}

/// The count of a read and its complement; `None` unless there are 1 to 256 bytes.
pub fn read_count(bytes: usize) -> Option<[u8; 2]> {
    let count = u8::try_from(bytes.checked_sub(1)?).ok()?;
    Some([count, !count])
}

/// Count, bytes and checksum of a write; `None` unless there are 1 to 256 bytes, an even number.
pub fn write_data(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let count = u8::try_from(bytes.len().checked_sub(1)?).ok().filter(|count| count % 2 == 1)?;
    // Reserved whole, so that no copy of image bytes is left behind by growing.
    let mut frame = Zeroizing::new(Vec::with_capacity(bytes.len() + 2));
    frame.push(count);
    frame.extend_from_slice(bytes);
    let sum = checksum(&frame);
    frame.push(sum);
    Some(frame)
}

/// Pages of [`Command::Erase`]; `None` unless there are 1 to 255 pages with numbers below 256.
pub fn erase_pages(pages: &[u16]) -> Option<Vec<u8>> {
    let count = u8::try_from(pages.len().checked_sub(1)?).ok().filter(|count| *count < 0xFF)?;
    let mut frame = vec![count];
    for page in pages {
        frame.push(u8::try_from(*page).ok()?);
    }
    frame.push(checksum(&frame));
    Some(frame)
}

/// Pages of [`Command::ExtendedErase`]; `None` unless there are 1 to 0xFFF0 pages.
pub fn extended_erase_pages(pages: &[u16]) -> Option<Vec<u8>> {
    let count = u16::try_from(pages.len().checked_sub(1)?).ok().filter(|count| *count < 0xFFF0)?;
    let mut frame = count.to_be_bytes().to_vec();
    frame.extend(pages.iter().flat_map(|page| page.to_be_bytes()));
    frame.push(checksum(&frame));
    Some(frame)
}

/// Everything, by [`Command::Erase`].
pub const ERASE_ALL: [u8; 2] = [0xFF, 0x00];
/// Everything, by [`Command::ExtendedErase`].
pub const EXTENDED_ERASE_ALL: [u8; 3] = [0xFF, 0xFF, 0x00];

/// What a loader can do: the answer to [`Command::Get`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Version of the protocol, one digit per nibble.
    pub version: u8,
    /// Codes of the commands it takes.
    pub commands: Vec<u8>,
}

impl Abilities {
    /// Reads what stands between the first count byte and the last ACK.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, commands) = bytes.split_first()?;
        Some(Self { version: *version, commands: commands.to_vec() })
    }

    /// Whether it takes `command`.
    pub fn has(&self, command: Command) -> bool {
        self.commands.contains(&(command as u8))
    }
}

/// Reads the answer to [`Command::GetId`] between the count byte and the last ACK.
pub fn product_id(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_the_ones_the_application_note_draws() {
        assert_eq!(Command::ReadMemory.frame(), [0x11, 0xEE]);
        assert_eq!(Command::ReadoutUnprotect.frame(), [0x92, 0x6D]);
        assert_eq!(address(0x0800_1234), [0x08, 0x00, 0x12, 0x34, 0x2E]);
        assert_eq!(read_count(256), Some([0xFF, 0x00]));
        assert_eq!(read_count(1), Some([0x00, 0xFF]));
        assert_eq!(write_data(&[0xAB, 0xCD]).expect("frame")[..], [1, 0xAB, 0xCD, 0x67]);
        assert_eq!(erase_pages(&[0, 5]), Some(vec![1, 0, 5, 4]));
        assert_eq!(extended_erase_pages(&[0x102]), Some(vec![0, 0, 1, 2, 3]));
    }

    #[test]
    fn what_fits_no_frame_makes_none() {
        assert!(read_count(0).is_none() && read_count(257).is_none());
        for length in [0, 3, 257, 258] {
            assert!(write_data(&vec![0; length]).is_none(), "{length}");
        }
        assert!(erase_pages(&[]).is_none() && erase_pages(&[256]).is_none());
        assert!(erase_pages(&[0; 255]).is_some() && erase_pages(&[0; 256]).is_none());
        assert!(extended_erase_pages(&[]).is_none());
        assert!(extended_erase_pages(&[0; 0xFFF1]).is_none());
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(abilities) = Abilities::parse(&bytes) {
                prop_assert_eq!(abilities.commands.len() + 1, bytes.len());
                prop_assert_eq!(abilities.has(Command::Get), bytes[1..].contains(&0));
            }
            prop_assert_eq!(product_id(&bytes).is_some(), bytes.len() == 2);
        }

        #[test]
        fn every_frame_that_is_made_sums_up_to_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            pages in proptest::collection::vec(any::<u16>(), 0..300),
            at in any::<u32>(),
        ) {
            let frames = [
                Some(address(at).to_vec()),
                write_data(&bytes).map(|frame| frame.to_vec()),
                erase_pages(&pages),
                extended_erase_pages(&pages),
            ];
            for frame in frames.into_iter().flatten() {
                prop_assert_eq!(checksum(&frame), 0);
            }
            prop_assert_eq!(
                write_data(&bytes).is_some(),
                (1..=BLOCK_BYTES).contains(&bytes.len()) && bytes.len() % 2 == 0
            );
        }
    }
}
