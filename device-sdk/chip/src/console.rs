//! Text out of the emulator: semihosting, one character a call.

use core::arch::asm;

fn semihosting(operation: u32, argument: u32) {
    // SAFETY: the semihosting call of Armv6-M; QEMU handles the breakpoint.
    unsafe { asm!("bkpt 0xAB", inout("r0") operation => _, in("r1") argument) };
}

/// Prints text.
pub fn print(text: &str) {
    for byte in text.bytes() {
        let cell = u32::from(byte);
        semihosting(3, &raw const cell as u32);
    }
}

/// Prints a number in decimal.
pub fn print_number(number: u32) {
    if number > 9 {
        print_number(number / 10);
    }
    let cell = u32::from(b'0') + number % 10;
    semihosting(3, &raw const cell as u32);
}

/// Ends the emulator; it exits 0 if all was right.
pub fn end(right: bool) -> ! {
    const APPLICATION_EXIT: u32 = 0x2_0026;
    const INTERNAL_ERROR: u32 = 0x2_0024;
    semihosting(0x18, if right { APPLICATION_EXIT } else { INTERNAL_ERROR });
    loop {}
}
