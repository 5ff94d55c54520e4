//! Applies a patch built into it and prints what that took: result, instructions, stack.
//!
//! Runs on QEMU's `mps2-an385` with `-icount shift=0`, where one instruction takes one virtual
//! nanosecond; output goes through semihosting. Numbers are in `../README.md`.

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr::{addr_of_mut, read_volatile, write_volatile};
use cortex_m_rt::{entry, exception};
#[cfg(not(feature = "in-place"))]
use delta::apply::{Apply, Flash, Room};
use delta::apply::{FlashFault, Workspace};
#[cfg(feature = "in-place")]
use delta::inplace::{self, Geometry};
use panic_halt as _;

#[cfg(feature = "in-place")]
mod flash;

static OLD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/old"));
static PATCH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/patch"));

const NEW_BYTES_MAX: usize = 2 << 20;
const PAGE_BYTES: usize = if cfg!(feature = "in-place") { 4096 } else { 256 };
#[cfg(feature = "in-place")]
const RING_PAGES: u32 = 4;
#[cfg(feature = "in-place")]
const SLOTS_PAGES: u32 = inplace::slots_pages(PAGE_BYTES as u32, RING_PAGES);
/// Stack watched, in words.
const WATCHED: usize = 8192;
const PAINT: u32 = 0xC0DE_CAFE;
const SYSTICK: *mut u32 = 0xE000_E010 as *mut u32;
/// Instructions between two ticks: the machine's clock has 25 MHz.
const PER_TICK: u64 = 40;

static mut NEW: [u8; NEW_BYTES_MAX] = [0; NEW_BYTES_MAX];
static mut PAGE: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
static mut WORK: Workspace = Workspace::new();
static mut WRAPS: u32 = 0;
#[cfg(feature = "in-place")]
static mut RING: [u8; PAGE_BYTES * RING_PAGES as usize] = [0; PAGE_BYTES * RING_PAGES as usize];
#[cfg(feature = "in-place")]
static mut SLOTS: [u8; PAGE_BYTES * SLOTS_PAGES as usize] = [0; PAGE_BYTES * SLOTS_PAGES as usize];

/// Both images in memory.
#[cfg(not(feature = "in-place"))]
struct Memory {
    new: &'static mut [u8],
}

#[cfg(not(feature = "in-place"))]
impl Flash for Memory {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let from = OLD.get(at as usize..).ok_or(FlashFault)?;
        copy(from, into)
    }

    fn read_new(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let from = self.new.get(at as usize..).ok_or(FlashFault)?;
        copy(from, into)
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let into = self.new.get_mut(at as usize..).ok_or(FlashFault)?;
        let into = into.get_mut(..bytes.len()).ok_or(FlashFault)?;
        copy(bytes, into)
    }
}

fn copy(from: &[u8], into: &mut [u8]) -> Result<(), FlashFault> {
    if from.len() < into.len() {
        return Err(FlashFault);
    }
    for (to, byte) in into.iter_mut().zip(from) {
        *to = *byte;
    }
    Ok(())
}

#[exception]
fn SysTick() {
    // SAFETY: the only writer; one core; the reader has the handler stopped.
    unsafe { write_volatile(addr_of_mut!(WRAPS), read_volatile(addr_of_mut!(WRAPS)) + 1) }
}

fn semihosting(operation: u32, argument: u32) -> u32 {
    let mut result = operation;
    // SAFETY: the semihosting call of Armv6-M; QEMU handles the breakpoint.
    unsafe { asm!("bkpt 0xAB", inout("r0") result, in("r1") argument) };
    result
}

fn print(text: &str) {
    for byte in text.bytes() {
        let cell = u32::from(byte);
        semihosting(3, &raw const cell as u32);
    }
}

fn print_number(mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    loop {
        digits[used] = b'0' + (number % 10) as u8;
        used += 1;
        number /= 10;
        if number == 0 || used == digits.len() {
            break;
        }
    }
    for digit in digits[..used].iter().rev() {
        let cell = u32::from(*digit);
        semihosting(3, &raw const cell as u32);
    }
}

/// Marks the stack below the caller; returns the lowest word marked and where the stack stood.
#[inline(never)]
fn paint() -> (*mut u32, u32) {
    let here: u32;
    // SAFETY: reads the stack pointer.
    unsafe { asm!("mov {}, sp", out(reg) here) };
    let lowest = (here as usize - 64 - WATCHED * 4) as *mut u32;
    for i in 0..WATCHED {
        // SAFETY: free stack, below every frame in use.
        unsafe { write_volatile(lowest.add(i), PAINT) };
    }
    (lowest, here)
}

/// Bytes of stack between the lowest word that was overwritten and `here`.
fn used_bytes(lowest: *mut u32, here: u32) -> u64 {
    let mut untouched = 0;
    // SAFETY: the words that `paint` marked.
    while untouched < WATCHED && unsafe { read_volatile(lowest.add(untouched)) } == PAINT {
        untouched += 1;
    }
    u64::from(here) - (lowest as u64 + untouched as u64 * 4)
}

#[cfg(feature = "in-place")]
fn memory(image: &'static mut [u8]) -> flash::Chip {
    for (to, byte) in image.iter_mut().zip(OLD) {
        *to = *byte;
    }
    // SAFETY: the only borrows of these two; `main` runs once.
    let (ring, slots) = unsafe { (&mut *addr_of_mut!(RING), &mut *addr_of_mut!(SLOTS)) };
    flash::Chip { image, ring, slots, patch: PATCH, page_bytes: PAGE_BYTES }
}

#[cfg(not(feature = "in-place"))]
fn memory(new: &'static mut [u8]) -> Memory {
    Memory { new }
}

#[cfg(feature = "in-place")]
#[inline(never)]
fn run(
    chip: &mut flash::Chip,
    page: &mut [u8],
    work: &mut Workspace,
) -> Result<u32, inplace::InPlaceError> {
    let geometry = Geometry {
        page_bytes: PAGE_BYTES as u32,
        image_pages: (NEW_BYTES_MAX / PAGE_BYTES) as u32,
        ring_pages: RING_PAGES,
        slots_pages: SLOTS_PAGES,
        patch_bytes: PATCH.len() as u32,
    };
    inplace::update(&geometry, chip, page, work)
}

#[cfg(not(feature = "in-place"))]
#[inline(never)]
fn run(
    memory: &mut Memory,
    page: &mut [u8],
    work: &mut Workspace,
) -> Result<u32, delta::apply::ApplyError> {
    let room = Room { old_len: OLD.len() as u32, new_len_max: NEW_BYTES_MAX as u32 };
    let mut apply = Apply::new(room, page, work);
    for piece in PATCH.chunks(64) {
        apply.feed(piece, memory)?;
    }
    apply.finish(memory)
}

#[entry]
fn main() -> ! {
    // SAFETY: the only borrows of these three; `main` runs once.
    let (new, page, work) =
        unsafe { (&mut *addr_of_mut!(NEW), &mut *addr_of_mut!(PAGE), &mut *addr_of_mut!(WORK)) };
    let mut memory = memory(new);
    let (lowest, here) = paint();
    // SAFETY: the system timer of Armv6-M: reload, value, then control with its exception.
    unsafe {
        write_volatile(SYSTICK.add(1), 0x00FF_FFFF);
        write_volatile(SYSTICK.add(2), 0);
        write_volatile(SYSTICK, 7);
    }
    let result = run(&mut memory, page, work);
    // SAFETY: as above; the handler is stopped before its count is read.
    let ticks = unsafe {
        let left = read_volatile(SYSTICK.add(2));
        write_volatile(SYSTICK, 0);
        u64::from(read_volatile(addr_of_mut!(WRAPS))) * 0x0100_0000 + u64::from(0x00FF_FFFF - left)
    };
    let stack = used_bytes(lowest, here);
    match result {
        Ok(bytes) => {
            print("new image right: ");
            print_number(u64::from(bytes));
            print(" bytes, instructions per byte: ");
            print_number(ticks * PER_TICK / u64::from(bytes.max(1)));
        }
        Err(_) => print("refused"),
    }
    print("\nstack: ");
    print_number(stack);
    print(" bytes, workspace: ");
    print_number(size_of::<Workspace>() as u64);
    print(" bytes, page: ");
    print_number(PAGE_BYTES as u64);
    print(" bytes\n");
    semihosting(0x18, 0x0002_0026);
    loop {}
}
