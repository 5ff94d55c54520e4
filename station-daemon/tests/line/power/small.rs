//! A visit so small that every instant of it can be tried: a program of one line, a block, a lock.

use activation::Mode;
use station_daemon::desk::os_ms;

use super::super::World;
use super::super::paper::Plan;
use super::super::station::Board;
use super::judge::block_page;

/// What the small program says once it runs.
pub(crate) const SAYS: &str = "lamp 1.0.0 ready";
/// What the one says that lay on a used board before.
const SAID: &str = "lamp 0.9.0 ready";
const PAGE_BYTES: usize = 4096;

/// A program for the nRF52832 that sends one line through the old UART registers and then stands
/// still; padded with noise to `bytes`.
fn program(line: &str, bytes: usize) -> Vec<u8> {
    /// Armv6-M Architecture Reference Manual, chapter "The Thumb instruction set encoding".
    const CODE: [u16; 16] = [
        0x4807, // 08 ldr  r0, [pc, #28]   UART0.ENABLE
        0x2104, // 0a movs r1, #4          as UART
        0x6001, // 0c str  r1, [r0]
        0x4A07, // 0e ldr  r2, [pc, #28]   UART0.STARTTX
        0x2101, // 10 movs r1, #1
        0x6011, // 12 str  r1, [r2]
        0x4B06, // 14 ldr  r3, [pc, #24]   the line
        0x7819, // 16 ldrb r1, [r3]
        0x2900, // 18 cmp  r1, #0
        0xD003, // 1a beq  24
        0x61C1, // 1c str  r1, [r0, #28]   UART0.TXD
        0x3301, // 1e adds r3, #1
        0xE7F9, // 20 b    16
        0xBF00, // 22 nop
        0xE7FE, // 24 b    24
        0xBF00, // 26 nop
    ];
    let mut image = Vec::new();
    for word in [0x2000_1000_u32, 0x0000_0009] {
        image.extend(word.to_le_bytes());
    }
    image.extend(CODE.iter().flat_map(|half| half.to_le_bytes()));
    for word in [0x4000_2500_u32, 0x4000_2008, 0x0000_0034] {
        image.extend(word.to_le_bytes());
    }
    image.extend(format!("{line}\n\0").bytes());
    let noise = |at: usize| (at as u32).wrapping_mul(0x9E37_79B1).to_be_bytes()[0];
    image.extend((image.len()..bytes).map(noise));
    image
}

/// A kind of visit: what is flashed onto what.
#[derive(Debug)]
pub(crate) struct Visit {
    /// For the line that is printed.
    pub(crate) name: String,
    plan: Plan,
    /// What is flashed: address and bytes.
    pub(crate) image: Vec<(u64, Vec<u8>)>,
    /// What a board's memory holds before, as the simulated board keeps it.
    pub(crate) before: Vec<u8>,
}

impl Visit {
    /// Two pages of flash with `page_bytes` in each (a multiple of 16): a program that says one line,
    /// and noise. A `used` board held others before, so that both are erased; one that `locks` is
    /// locked at the end.
    pub(crate) fn small(page_bytes: usize, used: bool, locks: bool) -> Self {
        Self::small_in(Mode::Ed25519, page_bytes, used, locks)
    }

    /// The same, with the unit activated in this mode.
    pub(crate) fn small_in(mode: Mode, page_bytes: usize, used: bool, locks: bool) -> Self {
        let mut plan = Plan::good(os_ms());
        plan.mode = mode;
        plan.says = SAYS;
        let image = two_pages(SAYS, page_bytes);
        plan.image = Some(image.clone());
        plan.protect = locks;
        let words = |is: bool, word: &'static str| if is { word } else { "" };
        Self {
            name: format!(
                "mode {mode}, twice {page_bytes} bytes{}{}",
                words(used, ", used board"),
                words(locks, ", locked")
            ),
            plan,
            image,
            before: if used { used_board(page_bytes) } else { simulators::flash_file::nrf52() },
        }
    }

    /// The demo firmware, onto a board that held a small program before.
    pub(crate) fn demo() -> Self {
        let plan = Plan::good(os_ms());
        let image = super::super::paper::demo_image();
        Self { name: "demo firmware, used board".to_owned(), plan, image, before: used_board(1024) }
    }

    /// How the units are activated.
    pub(crate) fn mode(&self) -> Mode {
        self.plan.mode
    }

    /// A world whose station has room for `units` of this visit.
    pub(crate) fn world(&self, units: u32) -> World {
        World::new(|plan| {
            *plan = Plan { quantity: units, codes: units, ..self.plan.clone() };
        })
    }

    /// Whether the board's memory holds the whole image.
    pub(crate) fn is_whole_on(&self, board: &Board) -> bool {
        self.image.iter().all(|(address, bytes)| board.cells(*address, bytes.len()) == *bytes)
    }

    /// Whether any cell that the visit may change is not as it was before.
    pub(crate) fn has_touched(&self, board: &Board) -> bool {
        let block = block_page(board).iter().any(|byte| *byte != 0xFF);
        block
            || self.image.iter().any(|(address, bytes)| {
                let start = usize::try_from(*address).expect("an offset");
                board.cells(*address, bytes.len()) != self.before[start..start + bytes.len()]
            })
    }
}

/// What [`Visit::small`] flashes.
fn two_pages(line: &str, page_bytes: usize) -> Vec<(u64, Vec<u8>)> {
    let mut noise = program(line, page_bytes);
    noise.reverse();
    vec![(0, program(line, page_bytes)), (PAGE_BYTES as u64, noise)]
}

/// A board that holds another program of this size.
fn used_board(page_bytes: usize) -> Vec<u8> {
    let mut cells = simulators::flash_file::nrf52();
    for (address, bytes) in two_pages(SAID, page_bytes) {
        let start = usize::try_from(address).expect("an offset");
        cells[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    cells
}

/// Makes a board one that has not been here: who it is, what it holds, power, no faults.
pub(crate) fn renew(board: &Board, uid: [u8; 8], cells: &std::path::Path) {
    for lever in [
        "remove".to_owned(),
        "heal".to_owned(),
        "power on".to_owned(),
        format!("load {}", cells.display()),
        format!("uid {}", hex::encode(uid)),
    ] {
        board.pull(&lever);
    }
}

/// Words that a visit programs and pages that it erases, as the board counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Counted {
    pub(crate) programmed_words: u64,
    pub(crate) page_erases: u64,
    pub(crate) mass_erases: u64,
}

impl Counted {
    pub(crate) fn of(board: &Board) -> Self {
        serde_json::from_str(&board.pull("counters")).expect("counters")
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            programmed_words: self.programmed_words - before.programmed_words,
            page_erases: self.page_erases - before.page_erases,
            mass_erases: self.mass_erases - before.mass_erases,
        }
    }
}
