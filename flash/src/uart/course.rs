//! How far a step is, and how long it took.

use std::time::Instant;

use crate::backend::{Progress, Step};

/// Tells the caller how far a step is; the first event comes with the step's beginning.
pub(crate) struct Course<'a> {
    on_progress: &'a mut dyn FnMut(Progress),
    step: Step,
    done: u64,
    total: u64,
}

impl<'a> Course<'a> {
    /// A step that begins now, of `total` bytes.
    pub(crate) fn new(on_progress: &'a mut dyn FnMut(Progress), step: Step, total: u64) -> Self {
        let mut course = Self { on_progress, step, done: 0, total };
        course.on(0);
        course
    }

    /// So many bytes more are done.
    pub(crate) fn on(&mut self, bytes: u64) {
        self.done += bytes;
        (self.on_progress)(Progress {
            step: self.step,
            done_bytes: self.done,
            total_bytes: self.total,
        });
    }
}

/// Milliseconds since `begun`.
pub(crate) fn ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
