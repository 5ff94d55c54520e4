//! USB/IP messages between a kernel's virtual host controller and a device: 48 bytes, big-endian
//! (Linux, `Documentation/usb/usbip_protocol.rst`), then the bytes of the transfer.

use std::io::{self, Read, Write};

use crate::dfu::Setup;

const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
const HEADER_BYTES: usize = 48;
/// Longer transfers than any device here has; a kernel that asks for more is out of step.
const TRANSFER_BYTES_MAX: usize = 1 << 20;
/// `ECONNRESET`: the transfer was taken back before it was over.
pub(super) const TAKEN_BACK: i32 = -104;
/// `EPIPE`: the device refused.
pub(super) const STALLED: i32 = -32;
/// `EOVERFLOW`: more came than was asked for.
pub(super) const OVERFLOWED: i32 = -75;

/// What the kernel sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A transfer.
    Submit { number: u32, endpoint: u8, inward: bool, length: usize, setup: Setup, out: Vec<u8> },
    /// A transfer is no longer wanted.
    Unlink { number: u32, target: u32 },
}

fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Waits for the next message.
///
/// # Errors
/// The stream's, and [`io::ErrorKind::InvalidData`] for what is no message.
pub(super) fn read(stream: &mut impl Read) -> io::Result<Command> {
    let mut head = [0; HEADER_BYTES];
    stream.read_exact(&mut head)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let (number, inward) = (word(&head, 4), word(&head, 12) == 1);
    match word(&head, 0) {
        SUBMIT => {
            let length = usize::try_from(word(&head, 24)).unwrap_or(usize::MAX);
            if length > TRANSFER_BYTES_MAX {
                return Err(invalid("a transfer of more bytes than any device takes"));
            }
            let endpoint = u8::try_from(word(&head, 16)).map_err(|_| invalid("an endpoint"))?;
            let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
            let setup = Setup {
                kind: head[40],
                request: head[41],
                value: half(42),
                index: half(44),
                length: half(46),
            };
            let mut out = vec![0; if inward { 0 } else { length }];
            stream.read_exact(&mut out)?;
            Ok(Command::Submit { number, endpoint, inward, length, setup, out })
        }
        UNLINK => Ok(Command::Unlink { number, target: word(&head, 20) }),
        _ => Err(invalid("a command that is neither submit nor unlink")),
    }
}

fn header(kind: u32, number: u32, words: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    for word in [kind, number, 0, 0, 0].iter().chain(words) {
        bytes.extend(word.to_be_bytes());
    }
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

/// Ends a transfer: `status` is 0 or a negative error number, `moved` the bytes that went through,
/// `answer` those of an inward transfer.
///
/// # Errors
/// The stream's.
pub(super) fn ended(
    stream: &mut impl Write,
    number: u32,
    status: i32,
    moved: usize,
    answer: &[u8],
) -> io::Result<()> {
    /// As the kernel marks what is not isochronous.
    const NO_PACKETS: u32 = u32::MAX;
    let moved = u32::try_from(moved).unwrap_or(u32::MAX);
    let mut bytes = header(RET_SUBMIT, number, &[status.cast_unsigned(), moved, 0, NO_PACKETS, 0]);
    bytes.extend(answer);
    stream.write_all(&bytes)
}

/// Answers that a transfer was taken back, or had ended already.
///
/// # Errors
/// The stream's.
pub(super) fn unlinked(stream: &mut impl Write, number: u32, status: i32) -> io::Result<()> {
    stream.write_all(&header(RET_UNLINK, number, &[status.cast_unsigned()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).expect("hex")
    }

    #[test]
    fn messages_are_read_and_written_as_the_kernel_lays_them_out() {
        // Get the device descriptor, 18 bytes.
        let message = bytes(
            "00000001 00000007 00010001 00000001 00000000 00000200 00000012 00000000 ffffffff \
             00000000 8006000100001200",
        );
        let setup = Setup { kind: 0x80, request: 6, value: 0x0100, index: 0, length: 18 };
        let wanted = Command::Submit {
            number: 7,
            endpoint: 0,
            inward: true,
            length: 18,
            setup,
            out: Vec::new(),
        };
        assert_eq!(read(&mut &message[..]).expect("message"), wanted);
        assert!(read(&mut &message[..47]).is_err(), "a message cut short");
        let mut strange = message.clone();
        strange[3] = 9;
        assert!(read(&mut &strange[..]).is_err());
        let mut long = message.clone();
        long[24] = 0x7F;
        assert!(read(&mut &long[..]).is_err());

        let unlink = bytes(
            "00000002 00000009 00010001 00000000 00000000 00000007 00000000 00000000 00000000 \
             00000000 0000000000000000",
        );
        let wanted = Command::Unlink { number: 9, target: 7 };
        assert_eq!(read(&mut &unlink[..]).expect("message"), wanted);

        let mut sent = Vec::new();
        ended(&mut sent, 7, STALLED, 0, &[]).expect("a Vec takes everything");
        let wanted = bytes(
            "00000003 00000007 00000000 00000000 00000000 ffffffe0 00000000 00000000 ffffffff \
             00000000 0000000000000000",
        );
        assert_eq!(sent, wanted);
    }
}
