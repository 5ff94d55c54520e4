//! An ESP32 behind a serial port over USB, its reset and boot pins on the port's lines.
//!
//! The circuit of Espressif's boards: two transistors, so that RTS alone holds the reset pin low and
//! DTR alone the boot pin; both together pull neither. A capacitor keeps the reset pin low for a
//! moment: a host that changes one line after the other still meets the boot pin as it was left.

use std::collections::VecDeque;
use std::time::Duration;

use super::modem::{FarEnd, Lines};
use crate::esp_loader::Wire;
use crate::rom_loader::Line as _;
use crate::rom_loader::lever::Lever;

/// Everything that the chip says is due by then: a transfer over USB waits for the host, not for a
/// clock.
const LATER: Duration = Duration::from_secs(3600);

/// The board.
#[derive(Debug)]
pub struct AutoReset {
    wire: Wire,
    lines: Lines,
    /// The reset pin is low.
    held: bool,
    said: VecDeque<u8>,
    now: Duration,
}

impl AutoReset {
    /// A board with this chip.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        let (lines, said) = (Lines::default(), VecDeque::new());
        Self { wire, lines, held: false, said, now: Duration::ZERO }
    }

    /// Pulls a lever of the chip; the answer has no line end.
    pub fn pull(&mut self, lever: Lever) -> String {
        self.wire.pull(lever)
    }
}

impl FarEnd for AutoReset {
    fn drive(&mut self, lines: Lines) {
        self.lines = lines;
        match (lines.data_terminal_ready, lines.request_to_send) {
            (false, true) => self.held = true,
            (true, true) => {}
            (boots_loader, false) if self.held => {
                self.held = false;
                self.said.clear();
                self.wire.pull(if boots_loader { Lever::Reset } else { Lever::Run });
            }
            (_, false) => {}
        }
    }

    fn take(&mut self, bytes: &[u8], baud: u32) {
        if !self.held {
            self.now += LATER;
            self.wire.receive(bytes, baud, self.now);
        }
    }

    fn give(&mut self, bytes_max: usize, baud: u32) -> Option<Vec<u8>> {
        if !self.held {
            // What was sent is on the wire at once, and has arrived when it is asked for.
            self.now += LATER;
            let arrived = self.wire.arrived(baud, self.now);
            self.said.extend(arrived.iter().map(|arrival| arrival.byte));
            self.now += LATER;
            let arrived = self.wire.arrived(baud, self.now);
            self.said.extend(arrived.iter().map(|arrival| arrival.byte));
        }
        let count = self.said.len().min(bytes_max);
        (count > 0).then(|| self.said.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp_loader::{Chip, chip::model};

    #[test]
    fn the_lines_start_the_loader_or_the_program_and_both_together_do_nothing() {
        let chip = Chip::new(model("esp32c3").unwrap(), [2, 0, 0, 0, 0, 1], 1 << 20, None).unwrap();
        let mut board = AutoReset::new(Wire::new(chip, 0.0));
        let mut check = |drives: &[(bool, bool)], runs: Option<bool>| {
            for (data_terminal_ready, request_to_send) in drives {
                board.drive(Lines {
                    data_terminal_ready: *data_terminal_ready,
                    request_to_send: *request_to_send,
                });
            }
            let said = board.give(4096, 115_200).map(|said| String::from_utf8(said).unwrap());
            let runs_by_word = said.as_ref().map(|said| !said.contains("DOWNLOAD"));
            assert_eq!(runs_by_word, runs, "{drives:?}: {said:?}");
        };
        check(&[(true, true), (true, false), (false, false)], None);
        // Both at once, and one after the other.
        check(&[(false, true), (true, false), (false, false)], Some(false));
        check(&[(false, true), (true, true), (true, false), (false, false)], Some(false));
        check(&[(false, true), (false, false)], Some(true));
    }
}
