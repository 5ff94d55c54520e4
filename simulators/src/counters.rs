//! What the board counted since it was created: the evidence a test asks for.

use serde::Serialize;

/// Totals since the board process started; they survive power cycles and re-insertions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// 32-bit words programmed into flash or UICR.
    pub programmed_words: u64,
    /// Of these, words in the UICR.
    pub uicr_words: u64,
    /// Pages erased one by one (UICR included).
    pub page_erases: u64,
    /// Whole-chip erases, by NVMC or by the control access port.
    pub mass_erases: u64,
    /// Writes and erases the NVMC refused (not enabled, wrong width, outside flash).
    pub refused: u64,
    /// Programmed words that asked for a 1 where the cell held a 0.
    pub words_with_lost_bits: u64,
    /// Nominal chip time spent erasing and programming, in nanoseconds, whatever the timing mode.
    pub busy_ns: u64,
    /// Requests answered on the probe port.
    pub probe_transactions: u64,
    /// Instructions executed.
    pub instructions: u64,
    /// Times the chip was powered up.
    pub power_ons: u64,
    /// Resets other than power-up.
    pub resets: u64,
    /// Bytes sent on the UART.
    pub uart_bytes: u64,
}
