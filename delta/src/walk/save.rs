//! What a walk remembers between two pages, field by field: for checkpoints of an update in place.
//!
//! One list serves saving and loading. Left out is what the header says, what only the address map's
//! stage needs, and what never outlives a step or a reference being spelt out: a checkpoint is taken
//! between those ([`Codec::pausable`]).

use super::{Codec, Facts, Stage, Trail};

/// Goes through fields: takes each, or sets it.
pub(crate) trait Fields {
    /// A byte.
    fn byte(&mut self, value: &mut u8);

    /// Two bytes, lowest first.
    fn half(&mut self, value: &mut u16) {
        let [mut a, mut b] = value.to_le_bytes();
        self.byte(&mut a);
        self.byte(&mut b);
        *value = u16::from_le_bytes([a, b]);
    }

    /// Four bytes, lowest first.
    fn word(&mut self, value: &mut u32) {
        let [mut low, mut high] = [*value as u16, (*value >> 16) as u16];
        self.half(&mut low);
        self.half(&mut high);
        *value = u32::from(high) << 16 | u32::from(low);
    }

    /// Yes or no.
    fn flag(&mut self, value: &mut bool) {
        let mut byte = u8::from(*value);
        self.byte(&mut byte);
        *value = byte != 0;
    }
}

const NOTHING_AHEAD: u32 = u32::MAX;

impl Codec {
    /// Whether a checkpoint taken here says everything.
    pub(crate) fn pausable(&self) -> bool {
        self.now.missed.bytes == 0 && !matches!(self.now.stage, Stage::Map { .. })
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        let Self { now, model, map, targets, variables, swaps } = self;
        model.each(fields);
        map.each(fields);
        targets.each(fields);
        variables.each(fields);
        for swap in swaps {
            fields.half(&mut swap.key);
            fields.half(&mut swap.change);
        }
        let (mut old, mut new) = now.ahead.unwrap_or((NOTHING_AHEAD, 0));
        for word in [
            &mut now.at,
            &mut now.source,
            &mut now.left,
            &mut now.instruction,
            &mut now.diagonal,
            &mut old,
            &mut new,
        ] {
            fields.word(word);
        }
        now.ahead = (old != NOTHING_AHEAD).then_some((old, new));
        for (last, beside) in &mut now.nearby {
            fields.word(last);
            fields.word(beside);
        }
        let Trail { bytes, wrong, run, difference, second, missed } = &mut now.trail;
        fields.word(bytes);
        fields.word(run);
        for byte in [wrong, difference, &mut now.actions, &mut now.swap_results] {
            fields.byte(byte);
        }
        for byte in &mut now.results {
            fields.byte(byte);
        }
        for flag in [second, missed, &mut now.exact, &mut now.aimed] {
            fields.flag(flag);
        }
    }

    /// As [`begin`](Self::begin), but goes on where a checkpoint was taken.
    pub(crate) fn load<V: Fields>(&mut self, facts: Facts, fields: &mut V) {
        self.begin(facts);
        self.each(fields);
        self.now.stage = if self.now.left == 0 { Stage::Between } else { Stage::Copy };
    }
}
