//! QEMU's gdb stub: the core, and only the core.
//!
//! QEMU 7.2 ignores acknowledges as long as the next packet follows, and takes any byte that
//! reaches it while the core runs as "stop"; so nothing is ever acknowledged here.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Register numbers of the M-profile, as the stub counts them.
pub(super) const SP: u32 = 13;
pub(super) const PC: u32 = 15;
pub(super) const XPSR: u32 = 25;

/// Longest that a halt, a step or a reset may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Shortest look for a stop; the look is the pause of whoever polls.
const LOOK: Duration = Duration::from_millis(1);
/// What no core holds in r0 after a reset.
const CANARY: u32 = 0xF1A5_0BAD;

/// The core's stub.
#[derive(Debug)]
pub(super) struct Stub {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Stub {
    /// Greets the stub of a core that stands still.
    ///
    /// # Errors
    /// QEMU is gone, or does not answer.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        let mut stub = Self { stream, received: Vec::new() };
        // Single registers are answered only after the description was asked for.
        stub.ask("qXfer:features:read:target.xml:0,ffb")?;
        Ok(stub)
    }

    /// Reads a register of the standing core.
    ///
    /// # Errors
    /// QEMU is gone, or does not know the register.
    pub(super) fn register(&mut self, number: u32) -> io::Result<u32> {
        let answer = self.ask(&format!("p{number:x}"))?;
        u32::from_str_radix(&answer, 16)
            .map(u32::swap_bytes)
            .map_err(|_| io::Error::other(format!("register {number} reads {answer:?}")))
    }

    /// Writes a register of the standing core.
    ///
    /// # Errors
    /// As [`Stub::register`].
    pub(super) fn set_register(&mut self, number: u32, value: u32) -> io::Result<()> {
        self.order(&format!("P{number:x}={:08x}", value.swap_bytes()))
    }

    /// Stops the core before the instruction at `address`.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn plant(&mut self, address: u32) -> io::Result<()> {
        self.order(&format!("Z1,{address:x},2"))
    }

    /// Takes back [`Stub::plant`].
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn uproot(&mut self, address: u32) -> io::Result<()> {
        self.order(&format!("z1,{address:x},2"))
    }

    /// Lets the standing core run.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.send("c")
    }

    /// Executes one instruction.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn step(&mut self) -> io::Result<()> {
        self.send("s")?;
        self.await_stop()
    }

    /// Stops the running core.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn interrupt(&mut self) -> io::Result<()> {
        self.stream.write_all(&[0x03])?;
        self.await_stop()
    }

    /// Whether the running core has stopped; waits a millisecond for it.
    ///
    /// # Errors
    /// QEMU is gone: above all, it aborts when the core locks up.
    pub(super) fn has_stopped(&mut self) -> io::Result<bool> {
        Ok(self.packet(LOOK)?.is_some())
    }

    /// Resets the machine; the core stands at its first instruction.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.set_register(0, CANARY)?;
        self.order(&format!("qRcmd,{}", hex::encode("system_reset")))?;
        // The order only asks for the reset; it is done when the registers have forgotten.
        let begun = Instant::now();
        while self.register(0)? == CANARY {
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn await_stop(&mut self) -> io::Result<()> {
        match self.packet(PATIENCE)? {
            Some(_) => Ok(()),
            None => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    fn order(&mut self, packet: &str) -> io::Result<()> {
        match self.ask(packet)?.as_str() {
            "OK" => Ok(()),
            other => Err(io::Error::other(format!("the gdb stub answers {packet} with {other:?}"))),
        }
    }

    fn ask(&mut self, packet: &str) -> io::Result<String> {
        self.send(packet)?;
        loop {
            match self.packet(PATIENCE)? {
                // Text for the user of a debugger, before the answer proper.
                Some(text) if text.starts_with('O') && text != "OK" => {}
                Some(answer) => return Ok(answer),
                None => return Err(io::Error::from(io::ErrorKind::TimedOut)),
            }
        }
    }

    fn send(&mut self, packet: &str) -> io::Result<()> {
        self.stream.write_all(framed(packet).as_bytes())
    }

    /// The next packet, or none within the time.
    fn packet(&mut self, within: Duration) -> io::Result<Option<String>> {
        let begun = Instant::now();
        loop {
            if let Some(packet) = take_packet(&mut self.received) {
                return Ok(Some(packet));
            }
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error)
                    if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted]
                        .contains(&error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn framed(packet: &str) -> String {
    let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
    format!("${packet}#{sum:02x}")
}

/// Cuts the first whole packet out of what was received; acknowledges before it are noise.
fn take_packet(received: &mut Vec<u8>) -> Option<String> {
    let start = received.iter().position(|byte| *byte == b'$')?;
    let end = start + received[start..].iter().position(|byte| *byte == b'#')?;
    if received.len() < end + 3 {
        return None;
    }
    let packet = String::from_utf8_lossy(&received[start + 1..end]).into_owned();
    received.drain(..end + 3);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_carries_its_sum() {
        assert_eq!(framed("p0"), "$p0#a0");
        assert_eq!(framed("c"), "$c#63");
    }

    #[test]
    fn packets_are_cut_out_of_whatever_arrived() {
        let check = |received: &str, packet: Option<&str>, left: &str| {
            let mut bytes = received.as_bytes().to_vec();
            assert_eq!(take_packet(&mut bytes).as_deref(), packet, "{received}");
            assert_eq!(bytes, left.as_bytes(), "{received}");
        };
        check("", None, "");
        check("+", None, "+");
        check("+$OK#9", None, "+$OK#9");
        check("+$OK#9a", Some("OK"), "");
        check("+$#00", Some(""), "");
        check("$T05thread:01;#07+$OK#9a", Some("T05thread:01;"), "+$OK#9a");
    }
}
