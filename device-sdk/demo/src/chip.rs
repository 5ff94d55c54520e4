//! The few registers of the nRF52832 that the lamp touches.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

const DEVICE_ID: u32 = 0x1000_0060;
const ACTIVATION_BLOCK: u32 = 0x0007_F000;
const UICR_APPROTECT: u32 = 0x1000_1208;
const APPROTECT_DISABLE: u32 = 0x4000_0558;
const HW_DISABLED: u32 = 0x5A;

const UART: u32 = 0x4000_2000;
const START_TX: u32 = UART + 0x008;
const STOP_TX: u32 = UART + 0x00C;
const TX_READY: u32 = UART + 0x11C;
const ENABLE: u32 = UART + 0x500;
const PIN_TXD: u32 = UART + 0x50C;
const TXD: u32 = UART + 0x51C;
const BAUD_RATE: u32 = UART + 0x524;
/// TXD of the development kit.
const TXD_PIN: u32 = 6;
const BAUD_115200: u32 = 0x01D7_E000;

/// The chip's unique id as its bytes lie in memory.
pub fn device_id() -> [u8; 8] {
    bytes(DEVICE_ID)
}

/// What lies where the activation block belongs.
pub fn activation_block<const N: usize>() -> [u8; N] {
    bytes(ACTIVATION_BLOCK)
}

/// Revision 3 chips lock their debug port at every reset unless UICR and firmware agree that it
/// stays open: agree with UICR.
pub fn keep_debug_port_as_configured() {
    if read(UICR_APPROTECT) & 0xFF == HW_DISABLED {
        write(APPROTECT_DISABLE, HW_DISABLED);
    }
}

/// Waits for an interrupt; none is enabled.
pub fn sleep() {
    // SAFETY: `wfi` touches neither memory nor registers.
    unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) }
}

/// The transmitter, 115200 8N1.
pub struct Uart(());

impl Uart {
    /// Switches it on.
    pub fn open() -> Self {
        write(PIN_TXD, TXD_PIN);
        write(BAUD_RATE, BAUD_115200);
        write(ENABLE, 4);
        write(START_TX, 1);
        Self(())
    }

    /// Sends every byte before it returns.
    pub fn print(&self, text: &str) {
        for byte in text.bytes() {
            write(TX_READY, 0);
            write(TXD, u32::from(byte));
            while read(TX_READY) == 0 {}
        }
    }
}

impl Drop for Uart {
    fn drop(&mut self) {
        write(STOP_TX, 1);
        write(ENABLE, 0);
    }
}

fn bytes<const N: usize>(address: u32) -> [u8; N] {
    let mut bytes = [0; N];
    for (at, byte) in (address..).zip(&mut bytes) {
        // SAFETY: callers pass addresses in FICR and flash, readable at any width at any time.
        *byte = unsafe { read_volatile(at as *const u8) };
    }
    bytes
}

fn read(address: u32) -> u32 {
    // SAFETY: callers pass the aligned register addresses above.
    unsafe { read_volatile(address as *const u32) }
}

fn write(address: u32, value: u32) {
    // SAFETY: callers pass the aligned register addresses above; none of them moves memory.
    unsafe { write_volatile(address as *mut u32, value) }
}
