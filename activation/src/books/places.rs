//! The places of a portion: how many boards of an order a station may still make.

/// A portion's places.
///
/// Promise: passed and in work together never exceed the size. A board that fails gives its place
/// back; its code stays its own, in [`super::Indices`] or the pool's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    size: u32,
    passed: u32,
    in_work: u32,
}

/// Why a portion was left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlacesError {
    /// Every place is passed or in work.
    #[error("the portion of {size} is full: {passed} passed, {in_work} in work")]
    Full {
        /// The portion's size.
        size: u32,
        /// Boards passed.
        passed: u32,
        /// Boards in work.
        in_work: u32,
    },
    /// No board is in work.
    #[error("no board of the portion is in work")]
    NothingInWork,
    /// Stored figures that no sequence of boards gives.
    #[error("a portion of {size} cannot have {passed} passed and {in_work} in work")]
    Impossible {
        /// The portion's size.
        size: u32,
        /// Boards passed.
        passed: u32,
        /// Boards in work.
        in_work: u32,
    },
    /// A portion is never made smaller than what was begun.
    #[error("the portion cannot shrink to {size}: {begun} boards are passed or in work")]
    Begun {
        /// The size asked for.
        size: u32,
        /// Boards passed or in work.
        begun: u32,
    },
}

impl Places {
    /// Figures as stored; a new portion has none passed and none in work.
    ///
    /// # Errors
    /// [`PlacesError::Impossible`].
    pub fn new(size: u32, passed: u32, in_work: u32) -> Result<Self, PlacesError> {
        match passed.checked_add(in_work) {
            Some(begun) if begun <= size => Ok(Self { size, passed, in_work }),
            Some(_) | None => Err(PlacesError::Impossible { size, passed, in_work }),
        }
    }

    /// Places that nobody has.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.size - self.passed - self.in_work
    }

    /// Boards passed.
    #[must_use]
    pub const fn passed(&self) -> u32 {
        self.passed
    }

    /// Boards in work.
    #[must_use]
    pub const fn in_work(&self) -> u32 {
        self.in_work
    }

    /// A board takes a place.
    ///
    /// # Errors
    /// [`PlacesError::Full`].
    pub const fn take(self) -> Result<Self, PlacesError> {
        let Self { size, passed, in_work } = self;
        if self.left() == 0 {
            return Err(PlacesError::Full { size, passed, in_work });
        }
        Ok(Self { size, passed, in_work: in_work + 1 })
    }

    /// A board in work passes.
    ///
    /// # Errors
    /// [`PlacesError::NothingInWork`].
    pub const fn pass(self) -> Result<Self, PlacesError> {
        let Self { size, passed, in_work } = self;
        if in_work == 0 {
            return Err(PlacesError::NothingInWork);
        }
        Ok(Self { size, passed: passed + 1, in_work: in_work - 1 })
    }

    /// A board in work fails: the place is free again.
    ///
    /// # Errors
    /// [`PlacesError::NothingInWork`].
    pub const fn fail(self) -> Result<Self, PlacesError> {
        let Self { size, passed, in_work } = self;
        if in_work == 0 {
            return Err(PlacesError::NothingInWork);
        }
        Ok(Self { size, passed, in_work: in_work - 1 })
    }

    /// The hub changes the portion's size.
    ///
    /// # Errors
    /// [`PlacesError::Begun`].
    pub const fn resize(self, size: u32) -> Result<Self, PlacesError> {
        let begun = self.passed + self.in_work;
        if size < begun {
            return Err(PlacesError::Begun { size, begun });
        }
        Ok(Self { size, ..self })
    }
}
