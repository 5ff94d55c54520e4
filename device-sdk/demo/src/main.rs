//! The demo lamp's firmware: one line on the UART says who it is.
//!
//! After reset it reads its own chip id, checks the activation block in the last flash page with
//! the SDK's one check function and prints
//! `FLASHLINE demo-lamp <version> activation=valid|absent|invalid`, then sleeps. That line is what
//! a recipe's self-test waits for.

#![no_std]
#![no_main]

mod chip;
mod keys;

use cortex_m_rt::entry;
use device_sdk::{Activation, BLOCK_BYTES, check_activation};
use panic_halt as _;

const PRODUCT: &str = "demo-lamp";
const FAMILY: &str = "nrf52";
const VERSION: &str = env!("DEMO_LAMP_VERSION");

#[entry]
fn main() -> ! {
    chip::keep_debug_port_as_configured();
    let uid = chip::device_id();
    let block: [u8; BLOCK_BYTES] = chip::activation_block();
    let activation = match check_activation(&block, &uid, PRODUCT, FAMILY, &keys::PRODUCT_KEYS) {
        Activation::Valid { .. } => "valid",
        Activation::Absent => "absent",
        Activation::Invalid(_) => "invalid",
    };
    let uart = chip::Uart::open();
    for part in ["FLASHLINE ", PRODUCT, " ", VERSION, " activation=", activation, "\r\n"] {
        uart.print(part);
    }
    loop {
        chip::sleep();
    }
}
