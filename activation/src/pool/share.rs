//! A station's share of a pool: which credential is bound to which chip.
//!
//! Promise: a chip never has two credentials and a credential never two chips, whatever the order
//! of calls; a binding is never undone, only voided. What must be on the disk before a credential
//! is opened is a [`Reservation`]; see [`super::credential`].

use super::credential::Journalled;
use crate::chip::Chip;
use crate::numbers::Numbers;
use std::collections::BTreeMap;
use std::vec::Vec;

/// How far a bound credential has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundState {
    /// Journalled; perhaps written, perhaps not.
    Reserved,
    /// Written and read back.
    Written,
    /// The unit was scrapped or the credential lost a conflict: never written again.
    Void,
}

/// One binding, as a station stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The chip, for ever.
    pub chip: Chip,
    /// How far it has come.
    pub state: BoundState,
    /// Whether the hub has cosigned the record of this state.
    pub acknowledged: bool,
}

/// A credential picked for a chip, not on the disk yet.
#[derive(Debug)]
pub struct Reservation {
    pub(super) allotment: [u8; 16],
    pub(super) number: u32,
    pub(super) chip: Chip,
    pub(super) known: bool,
}

impl Reservation {
    /// The share it is from.
    #[must_use]
    pub const fn allotment(&self) -> [u8; 16] {
        self.allotment
    }

    /// Which of the share's credentials, counted from 0.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// For which chip.
    #[must_use]
    pub const fn chip(&self) -> &Chip {
        &self.chip
    }

    /// Whether the chip had it before, so that nothing new is spent.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }
}

/// Why a share was left as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Every credential is bound or promised.
    #[error("every credential of this share is bound to a chip")]
    Empty,
    /// The chip's credential is void.
    #[error("credential {number} of this chip is void")]
    Void {
        /// Its number.
        number: u32,
    },
    /// Not this share's reservation.
    #[error("the reservation is from another share")]
    OtherShare,
    /// Not below the share's count.
    #[error("credential {number} is not within the share's {count}")]
    BeyondCount {
        /// The number asked for.
        number: u32,
        /// How many the share has.
        count: u32,
    },
    /// The credential belongs to another chip.
    #[error("credential {number} is bound to chip {chip}")]
    BoundElsewhere {
        /// Its number.
        number: u32,
        /// The chip that has it.
        chip: Chip,
    },
    /// The chip has another credential.
    #[error("the chip has credential {number} already")]
    ChipHasOne {
        /// The one it has.
        number: u32,
    },
    /// Nothing is bound to it.
    #[error("nothing is bound to this chip or credential")]
    NotBound,
}

/// A station's share of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    allotment: [u8; 16],
    count: u32,
    free: Numbers,
    promised: BTreeMap<Chip, u32>,
    bound: BTreeMap<u32, Bound>,
    number_of: BTreeMap<Chip, u32>,
}

impl Share {
    /// A share of `count` credentials, none bound.
    #[must_use]
    pub fn new(allotment: [u8; 16], count: u32) -> Self {
        Self {
            allotment,
            count,
            free: Numbers::of(0..count),
            promised: BTreeMap::new(),
            bound: BTreeMap::new(),
            number_of: BTreeMap::new(),
        }
    }

    /// Keeps credential `number` for `chip` alone: it was bound to that chip at another station,
    /// and the hub has sealed it anew for this one.
    ///
    /// # Errors
    /// [`ShareError::BeyondCount`], [`ShareError::BoundElsewhere`], [`ShareError::ChipHasOne`].
    pub fn promise(&mut self, number: u32, chip: &Chip) -> Result<(), ShareError> {
        self.check_free(number, chip)?;
        self.take(number);
        self.promised.insert(chip.clone(), number);
        Ok(())
    }

    /// Puts a stored binding back in: how a share is read from the disk.
    ///
    /// # Errors
    /// [`ShareError::BeyondCount`], [`ShareError::BoundElsewhere`], [`ShareError::ChipHasOne`].
    pub fn restore(&mut self, number: u32, bound: Bound) -> Result<(), ShareError> {
        self.check_free(number, &bound.chip)?;
        self.take(number);
        self.number_of.insert(bound.chip.clone(), number);
        self.bound.insert(number, bound);
        Ok(())
    }

    /// Picks the chip's credential: the one it has, the one promised to it, else the first free
    /// one. Changes nothing; [`Share::bind`] does, once it is journalled.
    ///
    /// # Errors
    /// [`ShareError::Void`], [`ShareError::Empty`].
    pub fn reserve(&self, chip: &Chip) -> Result<Reservation, ShareError> {
        let own = self.number_of.get(chip).copied();
        if let Some(number) = own {
            let state = self.bound.get(&number).map(|bound| bound.state);
            if state == Some(BoundState::Void) {
                return Err(ShareError::Void { number });
            }
        }
        let known = own.or_else(|| self.promised.get(chip).copied());
        let first = || self.free.ranges().first().map(|range| range.start);
        let number = known.or_else(first).ok_or(ShareError::Empty)?;
        let (allotment, chip) = (self.allotment, chip.clone());
        Ok(Reservation { allotment, number, chip, known: known.is_some() })
    }

    /// Binds what was reserved and journalled. Binding the same again changes nothing.
    ///
    /// # Errors
    /// [`ShareError::OtherShare`], [`ShareError::BeyondCount`], [`ShareError::BoundElsewhere`],
    /// [`ShareError::ChipHasOne`], [`ShareError::Void`].
    pub fn bind(&mut self, journalled: &Journalled) -> Result<(), ShareError> {
        let Reservation { allotment, number, chip, .. } = journalled.reservation();
        let number = *number;
        if *allotment != self.allotment {
            return Err(ShareError::OtherShare);
        }
        if let Some(bound) = self.bound.get(&number).filter(|bound| bound.chip == *chip) {
            return match bound.state {
                BoundState::Void => Err(ShareError::Void { number }),
                BoundState::Reserved | BoundState::Written => Ok(()),
            };
        }
        self.check_free(number, chip)?;
        self.take(number);
        self.number_of.insert(chip.clone(), number);
        let (chip, state) = (chip.clone(), BoundState::Reserved);
        self.bound.insert(number, Bound { chip, state, acknowledged: false });
        Ok(())
    }

    /// The chip's block was written and read back.
    ///
    /// # Errors
    /// [`ShareError::NotBound`], [`ShareError::Void`].
    pub fn written(&mut self, chip: &Chip) -> Result<(), ShareError> {
        let (number, bound) = self.bound_to(chip)?;
        match bound.state {
            BoundState::Void => return Err(ShareError::Void { number }),
            BoundState::Written => {}
            BoundState::Reserved => {
                bound.state = BoundState::Written;
                bound.acknowledged = false;
            }
        }
        Ok(())
    }

    /// Voids the chip's credential. The binding stays.
    ///
    /// # Errors
    /// [`ShareError::NotBound`].
    pub fn void(&mut self, chip: &Chip) -> Result<(), ShareError> {
        let (_, bound) = self.bound_to(chip)?;
        if bound.state != BoundState::Void {
            bound.state = BoundState::Void;
            bound.acknowledged = false;
        }
        Ok(())
    }

    /// The hub has cosigned the record of the binding's present state.
    ///
    /// # Errors
    /// [`ShareError::NotBound`].
    pub fn acknowledged(&mut self, chip: &Chip) -> Result<(), ShareError> {
        self.bound_to(chip)?.1.acknowledged = true;
        Ok(())
    }

    /// The bindings, by number.
    #[must_use]
    pub const fn bound(&self) -> &BTreeMap<u32, Bound> {
        &self.bound
    }

    /// Credentials whose sealed secrets are no longer needed here and are to be erased: written or
    /// void, and the hub knows.
    #[must_use]
    pub fn to_erase(&self) -> Vec<u32> {
        let spent = |bound: &Bound| bound.acknowledged && bound.state != BoundState::Reserved;
        self.bound.iter().filter(|(_, bound)| spent(bound)).map(|(&number, _)| number).collect()
    }

    /// Credentials that no chip has or was promised: what is left, and what may be given back.
    #[must_use]
    pub const fn free(&self) -> &Numbers {
        &self.free
    }

    fn bound_to(&mut self, chip: &Chip) -> Result<(u32, &mut Bound), ShareError> {
        let number = self.number_of.get(chip).copied().ok_or(ShareError::NotBound)?;
        let bound = self.bound.get_mut(&number).ok_or(ShareError::NotBound)?;
        Ok((number, bound))
    }

    /// Whether `number` may become `chip`'s.
    fn check_free(&self, number: u32, chip: &Chip) -> Result<(), ShareError> {
        if number >= self.count {
            return Err(ShareError::BeyondCount { number, count: self.count });
        }
        let promised_to =
            |(holder, &promised): (&Chip, &u32)| (promised == number).then(|| holder.clone());
        let holder = match self.bound.get(&number) {
            Some(bound) => Some(bound.chip.clone()),
            None => self.promised.iter().find_map(promised_to),
        };
        if let Some(holder) = holder.filter(|holder| holder != chip) {
            return Err(ShareError::BoundElsewhere { number, chip: holder });
        }
        let own = self.number_of.get(chip).or_else(|| self.promised.get(chip));
        match own {
            Some(&own) if own != number || self.bound.contains_key(&own) => {
                Err(ShareError::ChipHasOne { number: own })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes `number` out of the free ones, if it is there.
    fn take(&mut self, number: u32) {
        if self.free.contains(number) {
            let one = Numbers::of(number..number.saturating_add(1));
            // Cannot fail: it was just seen to be there.
            let _ = self.free.remove(&one);
        }
    }
}
