//! The indices of an allotment: cut into portions at the hub, given to chips at the station.

use crate::chip::Chip;
use crate::numbers::{Numbers, NumbersError};
use std::collections::BTreeMap;
use std::ops::Range;

/// Cuts `count` indices that lie side by side out of an allotment's `free` ones, for one portion.
///
/// # Errors
/// [`NumbersError::TooFew`] if no stretch is that long; `left` is the longest one.
pub fn lend_indices(free: &mut Numbers, count: u32) -> Result<Range<u32>, NumbersError> {
    let length = |range: &Range<u32>| range.end - range.start;
    let Some(range) = free.ranges().iter().find(|range| length(range) >= count).cloned() else {
        let left = free.ranges().iter().map(length).max().unwrap_or_default();
        return Err(NumbersError::TooFew { asked: count, left });
    };
    let lent = range.start..range.start + count;
    free.remove(&Numbers::of(lent.clone()))?;
    Ok(lent)
}

/// A station's part of an allotment: which index which chip has.
///
/// Promise: the same chip has the same index for ever, no two chips have one, and an index is never
/// free again: not after a fail, not after a scrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indices {
    range: Range<u32>,
    next: u32,
    of_chip: BTreeMap<Chip, u32>,
}

/// Why no index was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndicesError {
    /// All are given.
    #[error("all {count} activation indices of the portion are given")]
    Spent {
        /// How many the portion has.
        count: u32,
    },
    /// A stored index outside the portion.
    #[error("activation index {index} is not one of the portion's")]
    Outside {
        /// The index.
        index: u32,
    },
    /// A stored index that another chip has, or a chip that has another index.
    #[error("activation index {index} or its chip is in the books already")]
    Twice {
        /// The index.
        index: u32,
    },
}

impl Indices {
    /// A portion's indices, none given.
    #[must_use]
    pub const fn new(range: Range<u32>) -> Self {
        Self { next: range.start, range, of_chip: BTreeMap::new() }
    }

    /// Puts a stored index back in.
    ///
    /// # Errors
    /// [`IndicesError::Outside`], [`IndicesError::Twice`].
    pub fn restore(&mut self, chip: Chip, index: u32) -> Result<(), IndicesError> {
        if !self.range.contains(&index) {
            return Err(IndicesError::Outside { index });
        }
        if self.of_chip.contains_key(&chip) || self.of_chip.values().any(|&given| given == index) {
            return Err(IndicesError::Twice { index });
        }
        self.of_chip.insert(chip, index);
        // Never into a gap: a number that is missing here may have been given all the same.
        self.next = self.next.max(index.saturating_add(1));
        Ok(())
    }

    /// The chip's index: the one it has, else the next one.
    ///
    /// # Errors
    /// [`IndicesError::Spent`].
    pub fn give(&mut self, chip: &Chip) -> Result<u32, IndicesError> {
        if let Some(&index) = self.of_chip.get(chip) {
            return Ok(index);
        }
        if !self.range.contains(&self.next) {
            let count = self.range.end.saturating_sub(self.range.start);
            return Err(IndicesError::Spent { count });
        }
        let index = self.next;
        self.next += 1;
        self.of_chip.insert(chip.clone(), index);
        Ok(index)
    }

    /// Indices that no chip can have yet.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.range.end.saturating_sub(self.next)
    }
}
