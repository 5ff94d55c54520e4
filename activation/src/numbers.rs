//! Sets of numbers as ranges: which indices of an allotment a portion may use, which credentials of
//! a pool are lent.
//!
//! Promise: what is taken out of a set is in it no longer, and nothing is put in twice. Two shares
//! cut from one set are therefore disjoint.

use std::ops::Range;
use std::vec::Vec;

/// A set of numbers below 2³², kept as ascending ranges that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers(Vec<Range<u32>>);

/// Why a set was left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumbersError {
    /// Fewer numbers than asked for.
    #[error("{asked} numbers were asked for and {left} are left")]
    TooFew {
        /// How many were asked for.
        asked: u32,
        /// How many there are.
        left: u32,
    },
    /// A number that would be in the set twice.
    #[error("number {number} is there already")]
    Twice {
        /// The first such number.
        number: u32,
    },
    /// A number to be taken that is not in the set.
    #[error("number {number} is not there")]
    Missing {
        /// The first such number.
        number: u32,
    },
}

impl Numbers {
    /// The numbers of `range`.
    #[must_use]
    pub fn of(range: Range<u32>) -> Self {
        let mut numbers = Self::default();
        if !range.is_empty() {
            numbers.0.push(range);
        }
        numbers
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        // The ranges are disjoint and end below 2³², so their lengths add up to less.
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `number` is among them.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        self.0.iter().any(|range| range.contains(&number))
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u32>] {
        &self.0
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().cloned().flatten()
    }

    /// The number that has `index` smaller ones in the set.
    #[must_use]
    pub fn nth(&self, index: u32) -> Option<u32> {
        let mut left = index;
        for range in &self.0 {
            let length = range.end - range.start;
            if left < length {
                return Some(range.start + left);
            }
            left -= length;
        }
        None
    }

    /// How many smaller numbers the set has than `number`, which is in it.
    #[must_use]
    pub fn index_of(&self, number: u32) -> Option<u32> {
        let mut before = 0;
        for range in &self.0 {
            if range.contains(&number) {
                return Some(before + (number - range.start));
            }
            before += range.end - range.start;
        }
        None
    }

    /// Takes the `asked` lowest numbers out.
    ///
    /// # Errors
    /// [`NumbersError::TooFew`]; nothing is taken then.
    pub fn take(&mut self, asked: u32) -> Result<Self, NumbersError> {
        let left = self.count();
        if asked > left {
            return Err(NumbersError::TooFew { asked, left });
        }
        let (mut taken, mut kept, mut wanted) = (Self::default(), Vec::new(), asked);
        for range in self.0.drain(..) {
            let cut = range.start + wanted.min(range.end - range.start);
            wanted -= cut - range.start;
            if cut > range.start {
                taken.0.push(range.start..cut);
            }
            if cut < range.end {
                kept.push(cut..range.end);
            }
        }
        self.0 = kept;
        Ok(taken)
    }

    /// Puts `others` in.
    ///
    /// # Errors
    /// [`NumbersError::Twice`]; nothing is put in then.
    pub fn put(&mut self, others: &Self) -> Result<(), NumbersError> {
        for other in &others.0 {
            let overlaps = |range: &&Range<u32>| range.start < other.end && other.start < range.end;
            if let Some(range) = self.0.iter().find(overlaps) {
                return Err(NumbersError::Twice { number: range.start.max(other.start) });
            }
        }
        let mut ranges = std::mem::take(&mut self.0);
        ranges.extend(others.0.iter().cloned());
        ranges.sort_unstable_by_key(|range| range.start);
        for range in ranges {
            match self.0.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.0.push(range),
            }
        }
        Ok(())
    }

    /// Takes exactly `others` out.
    ///
    /// # Errors
    /// [`NumbersError::Missing`]; nothing is taken then.
    pub fn remove(&mut self, others: &Self) -> Result<(), NumbersError> {
        for other in &others.0 {
            let holds = |range: &Range<u32>| range.start <= other.start && other.end <= range.end;
            if !self.0.iter().any(holds) {
                let missing = other.clone().find(|&number| !self.contains(number));
                return Err(NumbersError::Missing { number: missing.unwrap_or(other.start) });
            }
        }
        for other in &others.0 {
            let mut kept = Vec::with_capacity(self.0.len() + 1);
            for range in self.0.drain(..) {
                if other.start >= range.start && other.end <= range.end {
                    let parts = [range.start..other.start, other.end..range.end];
                    kept.extend(parts.into_iter().filter(|part| !part.is_empty()));
                } else {
                    kept.push(range);
                }
            }
            self.0 = kept;
        }
        Ok(())
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut numbers: Vec<u32> = numbers.into_iter().filter(|&n| n != u32::MAX).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut set = Self::default();
        for number in numbers {
            match set.0.last_mut() {
                Some(last) if last.end == number => last.end = number + 1,
                _ => set.0.push(number..number + 1),
            }
        }
        set
    }
}
