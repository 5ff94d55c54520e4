//! `libflashline.a`: the functions of `include/flashline.h` and `include/flashline_update.h`, and
//! nothing else.
#![no_std]

pub use device_sdk::{c, c_update};

/// Ends in a loop: the SDK has no panic of its own, and firmware has nobody to report one to. A
/// watchdog resets the chip.
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
