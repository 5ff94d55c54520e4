//! Some of a unit's chips, by their places in the order of flashing.

/// Most chips of one unit.
pub const CHIPS_MAX: u8 = 8;

/// A set of places, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChipSet(u8);

impl ChipSet {
    /// No chip.
    pub const NONE: Self = Self(0);

    /// The first chip: of a unit with one, all of it.
    pub const FIRST: Self = Self(1);

    /// The chips at these places; places that no unit has are left out.
    #[must_use]
    pub fn of(places: impl IntoIterator<Item = u8>) -> Self {
        places.into_iter().fold(Self::NONE, Self::and)
    }

    /// These chips and the one at `place`.
    #[must_use]
    pub const fn and(self, place: u8) -> Self {
        if place < CHIPS_MAX { Self(self.0 | 1 << place) } else { self }
    }

    /// Every chip of a unit with so many.
    #[must_use]
    pub fn all(chips: u8) -> Self {
        Self::of(0..chips)
    }

    /// Whether a place is in it.
    #[must_use]
    pub const fn holds(self, place: u8) -> bool {
        place < CHIPS_MAX && self.0 & (1 << place) != 0
    }

    /// Whether it has no place.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The places in it that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every place in it is in `other` too.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The lowest place in it.
    #[must_use]
    pub fn first(self) -> Option<u8> {
        self.from(0)
    }

    /// The lowest place in it that is not below `place`.
    #[must_use]
    pub fn from(self, place: u8) -> Option<u8> {
        (place..CHIPS_MAX).find(|place| self.holds(*place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_order_and_none_beyond_the_last() {
        let set = ChipSet::of([5, 2, 9]);
        let mut found = Vec::new();
        let mut next = set.first();
        while let Some(place) = next {
            found.push(place);
            next = set.from(place + 1);
        }
        assert_eq!(found, [2, 5]);
        assert!(set.holds(5) && !set.holds(9) && !set.holds(0));
        assert!(set.is_within(ChipSet::all(6)) && !set.is_within(ChipSet::all(5)));
        assert!(ChipSet::NONE.is_empty() && ChipSet::all(0).is_empty() && !set.is_empty());
        assert_eq!(ChipSet::all(8).from(8), None);
    }
}
