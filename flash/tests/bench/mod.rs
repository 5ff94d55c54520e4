//! A simulated board on loopback ports, the back end under test, and what a test does to both.

#![allow(dead_code, reason = "every test file uses another part of the bench")]
#![allow(unreachable_pub, reason = "a module shared by test programs")]

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flash::probe::ProbeBackend;
use flash::{Backend, Chip, FlashError, Identity, Piece, Plan, ProgramReport, Progress};
use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::timing::Timing;
use simulators::{Addresses, BoardConfig, Served, Setup, rp2040, serve, stm32};

pub const UID: [u8; 8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08];
/// X and Y on the wafer, wafer 5, lot "P4QW 71".
pub const STM32_UID: [u8; 12] = *b"\x3A\x00\x2B\x00\x05P4QW 71";
/// Board 1 of rp2040_hal issue 53.
pub const RP2040_UID: [u8; 8] = [0xE6, 0x60, 0x54, 0x81, 0xDB, 0x86, 0x5D, 0x37];
const PATIENCE: Duration = Duration::from_secs(30);

pub fn nrf52() -> &'static Chip {
    flash::chip("nRF52832_xxAA").unwrap()
}

pub struct Board {
    pub served: Served,
    control: TcpStream,
}

impl Board {
    pub fn new() -> Self {
        Self::with(UID, Revision::Old, Timing::OFF)
    }

    pub fn with(uid: [u8; 8], revision: Revision, timing: Timing) -> Self {
        let cells = FlashFile::in_memory();
        Self::of(BoardConfig { uid, revision, timing, cells, seated: true })
    }

    /// A board with an STM32, named as the simulator and probe-rs do.
    pub fn stm32(name: &str) -> Self {
        Self::stm32_with(name, Timing::OFF)
    }

    pub fn stm32_with(name: &str, timing: Timing) -> Self {
        let part = stm32::part(name).unwrap();
        let cells = FlashFile::blank(part.factory());
        Self::of(stm32::Config { part, uid: STM32_UID, timing, cells, seated: true })
    }

    /// A board with an RP2040 and 2 MiB of flash beside it.
    pub fn rp2040() -> Self {
        let cells = FlashFile::blank(vec![0xFF; rp2040::FLASH_BYTES]);
        Self::of(rp2040::Config { uid: RP2040_UID, timing: Timing::OFF, cells, seated: true })
    }

    /// The other probe in front of the same board.
    pub fn glasgow_selector(&self) -> String {
        format!("20b7:9db1:tcp:{}", self.served.addresses.probe)
    }

    fn of(config: impl Into<Setup> + Send + 'static) -> Self {
        let served = serve(Addresses::any(), config).unwrap();
        let control = TcpStream::connect(served.addresses.control).unwrap();
        control.set_nodelay(true).unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { served, control }
    }

    pub fn selector(&self) -> String {
        format!("1d50:6018:{}", self.served.addresses.probe)
    }

    pub fn backend(&self) -> ProbeBackend {
        ProbeBackend::new(self.selector().parse().unwrap())
    }

    /// A back end that speaks JTAG.
    pub fn jtag_backend(&self) -> ProbeBackend {
        ProbeBackend::new(format!("{}+jtag", self.selector()).parse().unwrap())
    }

    /// A back end that has identified this board.
    pub fn identified(&self) -> (ProbeBackend, Identity) {
        let mut backend = self.backend();
        let identity = backend.identify(nrf52()).unwrap();
        (backend, identity)
    }

    /// Pulls a lever; the answer without its `ok`.
    pub fn pull(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).unwrap();
        match answer.trim_end().strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("{lever}: {answer}"),
        }
    }

    pub fn cells(&self, at: u64, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).unwrap()
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters: serde_json::Value = serde_json::from_str(&self.pull("counters")).unwrap();
        counters[name].as_u64().unwrap()
    }
}

/// A cable between a probe's address and the station that can be pulled and put back.
pub struct Cable {
    address: SocketAddr,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    pub fn to(board: &Board) -> Self {
        let probe = board.served.addresses.probe;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ends = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&ends);
        thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(probe).unwrap());
                for end in [&near, &far] {
                    end.set_nodelay(true).unwrap();
                    known.lock().unwrap().push(end.try_clone().unwrap());
                }
                let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
                for (mut from, mut to) in [(near, far), back] {
                    thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
        Self { address, ends }
    }

    pub fn backend(&self) -> ProbeBackend {
        ProbeBackend::new(format!("1d50:6018:{}", self.address).parse().unwrap())
    }

    /// Out and in again.
    pub fn replug(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            // The other side may have hung up already.
            drop(end.shutdown(Shutdown::Both));
        }
    }
}

/// Programs pieces, each (first address, bytes), and collects the progress.
pub fn program(
    backend: &mut ProbeBackend,
    pieces: &[(u64, &[u8])],
) -> (Result<ProgramReport, FlashError>, Vec<Progress>) {
    program_on(backend, nrf52(), pieces)
}

pub fn program_on(
    backend: &mut ProbeBackend,
    chip: &'static Chip,
    pieces: &[(u64, &[u8])],
) -> (Result<ProgramReport, FlashError>, Vec<Progress>) {
    let mut events = Vec::new();
    let plan = plan_on(chip, pieces);
    let done = backend.program(&plan, &mut |progress| events.push(progress));
    (done, events)
}

pub fn plan<'a>(pieces: &[(u64, &'a [u8])]) -> Plan<'a> {
    plan_on(nrf52(), pieces)
}

pub fn plan_on<'a>(chip: &'static Chip, pieces: &[(u64, &'a [u8])]) -> Plan<'a> {
    Plan::new(
        chip,
        pieces.iter().map(|(address, bytes)| Piece { name: "image", address: *address, bytes }),
    )
    .unwrap()
}

/// Reproducible bytes.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Firmware that says `line` once over UART0 and then stands still.
pub fn firmware_that_says(line: &str) -> Vec<u8> {
    let mut image = Vec::new();
    for word in [0x2001_0000_u32, 0x0000_0009] {
        image.extend(word.to_le_bytes()); // stack, reset vector
    }
    let code: [u16; 14] = [
        0x4806, // 08 ldr  r0, =ENABLE
        0x2104, // 0A movs r1, #4
        0x6001, // 0C str  r1, [r0]
        0x4A06, // 0E ldr  r2, =STARTTX
        0x2101, // 10 movs r1, #1
        0x6011, // 12 str  r1, [r2]
        0x4D05, // 14 ldr  r5, =text
        0x782C, // 16 ldrb r4, [r5]
        0x2C00, // 18 cmp  r4, #0
        0xD002, // 1A beq  22
        0x61C4, // 1C str  r4, [r0, #0x1C]  TXD
        0x3501, // 1E adds r5, #1
        0xE7F9, // 20 b    16
        0xE7FE, // 22 b    .
    ];
    image.extend(code.iter().flat_map(|half| half.to_le_bytes()));
    for word in [0x4000_2500_u32, 0x4000_2008, 0x30] {
        image.extend(word.to_le_bytes());
    }
    image.extend(line.as_bytes());
    image.extend([b'\r', b'\n', 0]);
    image
}

/// Firmware that puts an RTT control block with `line` in its buffer into RAM and stands still.
pub fn firmware_that_says_by_rtt(line: &str) -> Vec<u8> {
    firmware_with_rtt_at(0x2000_F000, line)
}

/// The same with the control block elsewhere in RAM. The chip's flash also shows at 0.
pub fn firmware_with_rtt_at(block_at: u32, line: &str) -> Vec<u8> {
    let mut text = format!("{line}\n").into_bytes();
    let said = u32::try_from(text.len()).unwrap();
    text.resize(text.len().next_multiple_of(4) + 4, 0);
    let mut block = b"SEGGER RTT\0\0\0\0\0\0".to_vec();
    let size = u32::try_from(text.len()).unwrap();
    let name_at = block_at + 48;
    // One up-channel, no down-channel; name, buffer, size, written to, read to, flags.
    for word in [1, 0, name_at, name_at + 4, size, said, 0, 0] {
        block.extend(u32::to_le_bytes(word));
    }
    block.extend(b"out\0");
    block.extend(text);

    let mut image = Vec::new();
    for word in [block_at, 0x0000_0009] {
        image.extend(word.to_le_bytes()); // stack, reset vector
    }
    let code: [u16; 10] = [
        0x4804, // 08 ldr  r0, =from
        0x4905, // 0A ldr  r1, =BLOCK_AT
        0x4A05, // 0C ldr  r2, =words
        0x6803, // 0E ldr  r3, [r0]
        0x600B, // 10 str  r3, [r1]
        0x3004, // 12 adds r0, #4
        0x3104, // 14 adds r1, #4
        0x3A01, // 16 subs r2, #1
        0xD1F9, // 18 bne  0E
        0xE7FE, // 1A b    .
    ];
    image.extend(code.iter().flat_map(|half| half.to_le_bytes()));
    let words = u32::try_from(block.len() / 4).unwrap();
    for word in [0x28, block_at, words] {
        image.extend(word.to_le_bytes());
    }
    image.extend(block);
    image
}

/// Firmware that writes registers one after another and then stands still.
pub fn firmware_that_writes(writes: &[(u32, u32)]) -> Vec<u8> {
    let mut image = [0x2000_2000_u32, 0x0000_0009].map(u32::to_le_bytes).concat();
    let code: [u16; 10] = [
        0x4804, // 08 ldr  r0, =writes
        0x6801, // 0A ldr  r1, [r0]
        0x2900, // 0C cmp  r1, #0
        0xD003, // 0E beq  18
        0x6842, // 10 ldr  r2, [r0, #4]
        0x600A, // 12 str  r2, [r1]
        0x3008, // 14 adds r0, #8
        0xE7F8, // 16 b    0A
        0xE7FE, // 18 b    .
        0xBF00, // 1A nop
    ];
    image.extend(code.map(u16::to_le_bytes).concat());
    image.extend(0x20_u32.to_le_bytes());
    for (register, value) in writes {
        image.extend([*register, *value].map(u32::to_le_bytes).concat());
    }
    image.extend([0; 8]);
    image
}
