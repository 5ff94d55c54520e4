//! Checks one activation block built into it and prints what that took: answer, instructions, stack.
//!
//! Runs on QEMU's `microbit` (a Cortex-M0) with `-icount shift=0`, where one instruction takes one
//! virtual nanosecond; output goes through semihosting. Figures are in `../README.md`.

#![no_std]
#![no_main]

mod console;
mod meter;

use console::{end, print, print_number};
use cortex_m_rt::entry;
use panic_halt as _;

/// The chip, product, keys and blocks of activation/FORMAT.md's worked example.
const PRODUCT: &str = "demo-lamp";
const FAMILY: &str = "nrf52";
const UID: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// Whether the check of the feature chosen takes its block for the chip `uid`.
#[cfg(feature = "ed25519")]
fn is_valid(uid: &[u8]) -> bool {
    static BLOCK: &[u8; 288] = include_bytes!("../../../activation/fuzz/corpus/block/ed25519");
    let found = device_sdk::check_activation(BLOCK, uid, PRODUCT, FAMILY, &keys(PRODUCT_KEY));
    matches!(found, device_sdk::Activation::Valid { .. })
}

#[cfg(feature = "mac")]
fn is_valid(uid: &[u8]) -> bool {
    static BLOCK: &[u8; 160] = include_bytes!("../../../activation/fuzz/corpus/block/hmac-sha256");
    static SECRET: &[u8; 32] = include_bytes!("../../../activation/fuzz/corpus/mac-secret");
    let found = device_sdk::check_mac_activation(BLOCK, uid, PRODUCT, FAMILY, &keys(SECRET));
    matches!(found, device_sdk::Activation::Valid { .. })
}

#[cfg(feature = "pool")]
fn is_valid(uid: &[u8]) -> bool {
    static BLOCK: &[u8; 352] = include_bytes!("../../../activation/fuzz/corpus/block/pool");
    let found = device_sdk::check_pool_activation(BLOCK, uid, PRODUCT, FAMILY, &keys(PRODUCT_KEY));
    matches!(found, device_sdk::Credential::Valid(_))
}

#[cfg(not(any(feature = "ed25519", feature = "mac", feature = "pool")))]
fn is_valid(uid: &[u8]) -> bool {
    uid == UID && PRODUCT != FAMILY
}

#[cfg(any(feature = "ed25519", feature = "pool"))]
static PRODUCT_KEY: &[u8; 32] = include_bytes!("../../../activation/fuzz/corpus/product-key");

#[cfg(any(feature = "ed25519", feature = "mac", feature = "pool"))]
fn keys(current: &[u8; 32]) -> [[u8; 32]; 2] {
    [*current, [0; 32]]
}

#[entry]
fn main() -> ! {
    let mut uid = UID;
    // The compiler must not know the answer.
    let uid = core::hint::black_box(&mut uid);
    let own = meter::measure(|| is_valid(uid));
    uid[7] ^= 0xFF;
    let other = meter::measure(|| is_valid(uid));
    for (name, expected, figures) in [("own", true, own), ("other chip", false, other)] {
        print(name);
        print(if figures.answer == expected { ": right, " } else { ": WRONG, " });
        print_number(figures.instructions);
        print(" instructions, ");
        print_number(figures.stack_bytes);
        print(" bytes of stack\n");
    }
    end(own.answer && !other.answer)
}
