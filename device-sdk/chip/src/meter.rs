//! Instructions and stack of one call.

use core::arch::asm;
use core::ptr::{addr_of_mut, read_volatile, write_volatile};
use cortex_m_rt::exception;

/// The system timer of Armv6-M: control, reload, value.
const SYSTICK: *mut u32 = 0xE000_E010 as *mut u32;
const RELOAD: u32 = 0x00FF_FFFF;
/// Instructions in sixteen ticks: the machine's clock has 16 MHz, an instruction takes 1 ns.
const PER_16_TICKS: u64 = 1000;
/// Stack watched, in words: most of the RAM.
const WATCHED: usize = 3500;
const PAINT: u32 = 0xC0DE_CAFE;

static mut WRAPS: u32 = 0;

/// What one call took.
#[derive(Clone, Copy)]
pub struct Figures {
    /// What it answered.
    pub answer: bool,
    /// Instructions, to within a hundred.
    pub instructions: u32,
    /// Bytes of stack below the caller.
    pub stack_bytes: u32,
}

#[exception]
fn SysTick() {
    // SAFETY: the only writer; one core; the reader has the timer stopped.
    unsafe { write_volatile(addr_of_mut!(WRAPS), read_volatile(addr_of_mut!(WRAPS)) + 1) }
}

/// Calls and measures.
#[inline(never)]
pub fn measure(call: impl FnOnce() -> bool) -> Figures {
    let lowest = paint();
    // SAFETY: registers of the system timer; the handler is the only other user of WRAPS and the
    // timer is stopped around each access here.
    unsafe {
        write_volatile(addr_of_mut!(WRAPS), 0);
        write_volatile(SYSTICK.add(1), RELOAD);
        write_volatile(SYSTICK.add(2), 0);
        write_volatile(SYSTICK, 7);
    }
    let answer = call();
    // SAFETY: as above.
    let ticks = unsafe {
        let left = read_volatile(SYSTICK.add(2));
        write_volatile(SYSTICK, 0);
        let wraps = read_volatile(addr_of_mut!(WRAPS));
        u64::from(wraps) * u64::from(RELOAD + 1) + u64::from(RELOAD - left)
    };
    let instructions = u32::try_from(ticks * PER_16_TICKS / 16).unwrap_or(u32::MAX);
    Figures { answer, instructions, stack_bytes: painted_over(lowest) }
}

/// Marks the stack below the caller; gives the lowest word marked.
#[inline(never)]
fn paint() -> *mut u32 {
    let here: u32;
    // SAFETY: reads the stack pointer.
    unsafe { asm!("mov {}, sp", out(reg) here) };
    let lowest = (here as usize - 64 - WATCHED * 4) as *mut u32;
    for word in 0..WATCHED {
        // SAFETY: free stack, below every frame in use and above the few statics.
        unsafe { write_volatile(lowest.add(word), PAINT) };
    }
    lowest
}

fn painted_over(lowest: *mut u32) -> u32 {
    let mut untouched = 0;
    // SAFETY: the words that `paint` marked.
    while untouched < WATCHED && unsafe { read_volatile(lowest.add(untouched)) } == PAINT {
        untouched += 1;
    }
    ((WATCHED - untouched) * 4) as u32
}
