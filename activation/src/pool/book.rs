//! The hub's book of one pool: which credentials are free and which are lent to whom.
//!
//! Credentials are numbered in the order of import, from 0, for ever. A [`Cut`] is a disjoint part
//! of them; within it the station counts its own indices from 0.

use crate::chip::Chip;
use crate::numbers::{Numbers, NumbersError};
use std::collections::BTreeMap;
use std::ops::Range;

/// What was lent under one allotment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The allotment's name, used once.
    pub allotment: [u8; 16],
    /// The station's activation key.
    pub station_key: [u8; 32],
    /// Which of the pool's credentials; the station's index counts them from the lowest.
    pub numbers: Numbers,
    /// Numbers that came back untouched.
    pub given_back: Numbers,
    /// The chip that alone may have the one credential of this cut: it was bound elsewhere.
    pub only_for: Option<Chip>,
}

impl Cut {
    /// The pool's number of the station's `index`.
    #[must_use]
    pub fn number_of(&self, index: u32) -> Option<u32> {
        self.numbers.nth(index)
    }

    /// The station's index of the pool's `number`.
    #[must_use]
    pub fn index_of(&self, number: u32) -> Option<u32> {
        self.numbers.index_of(number)
    }
}

/// Why the book was left as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// A cut of nothing.
    #[error("a share of no credentials is of no use")]
    Nothing,
    /// Not that many free ones.
    #[error("cutting a share from the pool")]
    TooFew(#[source] NumbersError),
    /// An allotment name used before.
    #[error("the allotment's name was used before")]
    AllotmentUsed,
    /// No such cut.
    #[error("nothing was lent under this allotment")]
    UnknownAllotment,
    /// An index that the cut does not have.
    #[error("index {index} is not within the share's {count}")]
    BeyondCut {
        /// The index.
        index: u32,
        /// How many the cut has.
        count: u32,
    },
    /// A credential that was given back before.
    #[error("giving credentials back to the pool")]
    GivenBack(#[source] NumbersError),
    /// A credential that was never lent cannot be lent anew.
    #[error("credential {number} was never bound to a chip")]
    NeverLent {
        /// Its number in the pool.
        number: u32,
    },
    /// The numbers end.
    #[error("a pool numbers at most {} credentials", u32::MAX)]
    Full,
}

/// The hub's book of one pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolBook {
    imported: u32,
    free: Numbers,
    cuts: BTreeMap<[u8; 16], Cut>,
}

impl PoolBook {
    /// A book as stored: how many were imported, and every cut ever made.
    ///
    /// # Errors
    /// [`BookError::AllotmentUsed`], [`BookError::GivenBack`] for cuts that no book has together.
    pub fn restore(imported: u32, cuts: impl IntoIterator<Item = Cut>) -> Result<Self, BookError> {
        let mut book = Self { imported, free: Numbers::of(0..imported), cuts: BTreeMap::new() };
        for cut in cuts {
            if cut.only_for.is_none() {
                let mut out = cut.numbers.clone();
                out.remove(&cut.given_back).map_err(BookError::GivenBack)?;
                book.free.remove(&out).map_err(BookError::GivenBack)?;
            }
            if book.cuts.insert(cut.allotment, cut).is_some() {
                return Err(BookError::AllotmentUsed);
            }
        }
        Ok(book)
    }

    /// How many credentials were ever imported.
    #[must_use]
    pub const fn imported(&self) -> u32 {
        self.imported
    }

    /// The credentials that are not lent.
    #[must_use]
    pub const fn free(&self) -> &Numbers {
        &self.free
    }

    /// What is lent, by allotment.
    #[must_use]
    pub const fn cuts(&self) -> &BTreeMap<[u8; 16], Cut> {
        &self.cuts
    }

    /// Numbers `rows` newly imported credentials.
    ///
    /// # Errors
    /// [`BookError::Full`].
    pub fn import(&mut self, rows: u32) -> Result<Range<u32>, BookError> {
        let end = self.imported.checked_add(rows).ok_or(BookError::Full)?;
        let new = self.imported..end;
        self.free.put(&Numbers::of(new.clone())).map_err(BookError::GivenBack)?;
        self.imported = end;
        Ok(new)
    }

    /// Lends `count` credentials, disjoint from all that is lent, under a new allotment.
    ///
    /// # Errors
    /// [`BookError::Nothing`], [`BookError::AllotmentUsed`], [`BookError::TooFew`].
    pub fn cut(
        &mut self,
        allotment: [u8; 16],
        station_key: [u8; 32],
        count: u32,
    ) -> Result<Cut, BookError> {
        if count == 0 {
            return Err(BookError::Nothing);
        }
        if self.cuts.contains_key(&allotment) {
            return Err(BookError::AllotmentUsed);
        }
        let numbers = self.free.take(count).map_err(BookError::TooFew)?;
        let given_back = Numbers::default();
        let cut = Cut { allotment, station_key, numbers, given_back, only_for: None };
        self.cuts.insert(allotment, cut.clone());
        Ok(cut)
    }

    /// Lends the credential `number`, which a receipt binds to `chip`, to another station, for
    /// that chip alone.
    ///
    /// # Errors
    /// [`BookError::AllotmentUsed`], [`BookError::NeverLent`].
    pub fn relend(
        &mut self,
        number: u32,
        chip: &Chip,
        allotment: [u8; 16],
        station_key: [u8; 32],
    ) -> Result<Cut, BookError> {
        if self.cuts.contains_key(&allotment) {
            return Err(BookError::AllotmentUsed);
        }
        if number >= self.imported || self.free.contains(number) {
            return Err(BookError::NeverLent { number });
        }
        let numbers = Numbers::of(number..number + 1);
        let (given_back, only_for) = (Numbers::default(), Some(chip.clone()));
        let cut = Cut { allotment, station_key, numbers, given_back, only_for };
        self.cuts.insert(allotment, cut.clone());
        Ok(cut)
    }

    /// Takes credentials back that no chip ever had, by the station's indices. The station's word
    /// for it is its signed record; what the certificate still allows it to claim is found as a
    /// conflict.
    ///
    /// # Errors
    /// [`BookError::UnknownAllotment`], [`BookError::BeyondCut`], [`BookError::GivenBack`].
    pub fn give_back(&mut self, allotment: [u8; 16], indices: &Numbers) -> Result<(), BookError> {
        let cut = self.cuts.get_mut(&allotment).ok_or(BookError::UnknownAllotment)?;
        if cut.only_for.is_some() {
            // Bound to its chip for ever; it only leaves the station.
            return Err(BookError::UnknownAllotment);
        }
        let count = cut.numbers.count();
        let beyond = |index| BookError::BeyondCut { index, count };
        let numbers = indices
            .iter()
            .map(|index| cut.number_of(index).ok_or_else(|| beyond(index)))
            .collect::<Result<Numbers, _>>()?;
        let mut given_back = cut.given_back.clone();
        given_back.put(&numbers).map_err(BookError::GivenBack)?;
        self.free.put(&numbers).map_err(BookError::GivenBack)?;
        cut.given_back = given_back;
        Ok(())
    }
}
