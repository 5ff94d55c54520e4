//! Where one scan ends and the next begins, in what a scanner sends.
//!
//! A scan ends with a line end. One whose end does not come is refused as a whole: half of `WO:4711`
//! is another order. Time comes in as an argument.

use std::time::{Duration, Instant};

use super::label::{LABEL_BYTES_MAX, NotALabel};

/// A scanner sends a label in one go; after this pause the rest is not coming.
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(400);

/// One scan: its bytes, or why there are none.
pub(super) type Frame = Result<Vec<u8>, NotALabel>;

/// Collects what a scanner sends.
#[derive(Debug, Default)]
pub(super) struct Frames {
    held: Vec<u8>,
    last: Option<Instant>,
}

impl Frames {
    /// Takes what came at `now`; the scans it ends.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) -> Vec<Frame> {
        let mut ended = Vec::new();
        for byte in bytes {
            if matches!(byte, b'\r' | b'\n') {
                ended.extend(self.end());
                continue;
            }
            // Enough is kept to know that the scan was too long, never more.
            if self.held.len() <= LABEL_BYTES_MAX {
                self.held.push(*byte);
            }
            self.last = Some(now);
        }
        ended
    }

    /// Gives up a scan whose end has not come by `now`.
    pub(super) fn quiet(&mut self, now: Instant) -> Option<Frame> {
        let last = self.last.filter(|_| !self.held.is_empty())?;
        if now.saturating_duration_since(last) < PAUSE_MAX {
            return None;
        }
        self.held.clear();
        Some(Err(NotALabel::Incomplete))
    }

    /// The scan at hand; a line end alone is none.
    fn end(&mut self) -> Option<Frame> {
        let bytes = std::mem::take(&mut self.held);
        if bytes.len() > LABEL_BYTES_MAX {
            return Some(Err(NotALabel::TooLong));
        }
        (!bytes.is_empty()).then_some(Ok(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_end_with_a_line_end_and_half_a_scan_never_counts() {
        let begun = Instant::now();
        let mut frames = Frames::default();
        assert_eq!(frames.take(b"WO:47", begun), []);
        assert_eq!(frames.quiet(begun + PAUSE_MAX / 2), None);
        assert_eq!(
            frames.take(b"11\r\nOP:B-0007\rSN", begun + PAUSE_MAX / 2),
            [Ok(b"WO:4711".to_vec()), Ok(b"OP:B-0007".to_vec())]
        );
        assert_eq!(frames.quiet(begun + PAUSE_MAX), None);
        assert_eq!(frames.quiet(begun + PAUSE_MAX * 2), Some(Err(NotALabel::Incomplete)));
        assert_eq!(frames.quiet(begun + PAUSE_MAX * 9), None);
        assert_eq!(frames.take(b"\n:1\n", begun + PAUSE_MAX * 9), [Ok(b":1".to_vec())]);
    }

    #[test]
    fn a_scan_without_end_is_one_refusal_and_takes_no_more_memory() {
        let mut frames = Frames::default();
        let now = Instant::now();
        for _ in 0..1000 {
            assert_eq!(frames.take(&[b'x'; 1000], now), []);
        }
        assert!(frames.held.capacity() < 4 * LABEL_BYTES_MAX);
        assert_eq!(frames.take(b"\rWO:1\r", now), [Err(NotALabel::TooLong), Ok(b"WO:1".to_vec())]);
    }
}
