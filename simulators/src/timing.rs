//! How long the chip and the probe take.
//!
//! Figures are the nRF52832's own (product specification 1.4, NVMC electrical specification, the
//! slow end for erases and the fast end for words, which is what a new chip on the crystal shows).

use std::time::Duration;

/// Programming one 32-bit word.
pub const WORD: Duration = Duration::from_nanos(67_500);
/// Erasing one 4 KiB page, or the UICR.
pub const PAGE_ERASE: Duration = Duration::from_micros(89_700);
/// Erasing flash and UICR together.
pub const MASS_ERASE: Duration = Duration::from_micros(295_300);
/// The core may run ahead of the flash by this much, so that a waiting thread is woken once for
/// many words instead of once per word, and half of it before the flash is done: late by less than
/// that, it costs the chip nothing. The total stays exact.
pub const SLACK: Duration = Duration::from_millis(8);

/// Whether flash operations and probe transactions take their real time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// Factor on the chip's own figures; 0 = the chip is instant.
    pub chip_scale: f64,
    /// Added to every probe transaction.
    pub latency: Duration,
}

impl Timing {
    /// Nothing waits: for tests about content, not about time.
    pub const OFF: Self = Self { chip_scale: 0.0, latency: Duration::ZERO };
    /// The chip's figures and one USB frame per transaction.
    pub const REAL: Self = Self { chip_scale: 1.0, latency: Duration::from_millis(1) };

    /// What `nominal` chip time costs in wall time.
    #[must_use]
    pub fn wall(&self, nominal: Duration) -> Duration {
        if self.chip_scale == 0.0 { Duration::ZERO } else { nominal.mul_f64(self.chip_scale) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_off_costs_nothing_and_a_scale_of_a_half_costs_half() {
        assert_eq!(Timing::OFF.wall(PAGE_ERASE), Duration::ZERO);
        assert_eq!(Timing::REAL.wall(PAGE_ERASE), PAGE_ERASE);
        let half = Timing { chip_scale: 0.5, ..Timing::REAL };
        assert_eq!(half.wall(Duration::from_millis(90)), Duration::from_millis(45));
    }
}
