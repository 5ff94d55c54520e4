//! The order in which a unit's chips are flashed: as R&D lists them, as far as `after` allows.

use super::{ChipRecipe, Recipe};
use crate::names::Name;

/// Why a unit's chips cannot be put in one order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Two chips of one name.
    #[error("ordering the chips: two are called {name}")]
    Duplicate {
        /// The name.
        name: Name,
    },
    /// A chip waits for one that the recipe does not have.
    #[error("ordering the chips: {chip} comes after {missing}, which is not in the recipe")]
    Unknown {
        /// The chip that waits.
        chip: Name,
        /// What it waits for.
        missing: Name,
    },
    /// Chips that wait for each other, or one that waits for itself.
    #[error("ordering the chips: {} wait for each other", listed(.chips))]
    Cycle {
        /// The chips in the circle and those that wait for it, as the recipe lists them.
        chips: Vec<Name>,
    },
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

impl Recipe {
    /// The same recipe with its chips in the order in which they are flashed: of those that wait
    /// for nothing that is still to come, the one listed first.
    ///
    /// # Errors
    /// [`OrderError`] with the names.
    pub fn in_order(self) -> Result<Self, OrderError> {
        let mut names: Vec<&Name> = Vec::with_capacity(self.chips.len());
        for chip in &self.chips {
            if names.contains(&&chip.name) {
                return Err(OrderError::Duplicate { name: chip.name.clone() });
            }
            names.push(&chip.name);
        }
        for chip in &self.chips {
            if let Some(missing) = chip.after.iter().find(|name| !names.contains(name)) {
                let (chip, missing) = (chip.name.clone(), missing.clone());
                return Err(OrderError::Unknown { chip, missing });
            }
        }
        let mut waiting = self.chips;
        let mut ready: Vec<ChipRecipe> = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let is_ready = |name: &Name| ready.iter().any(|chip| chip.name == *name);
            match waiting.iter().position(|chip| chip.after.iter().all(is_ready)) {
                Some(next) => ready.push(waiting.remove(next)),
                None => {
                    let chips = waiting.into_iter().map(|chip| chip.name).collect();
                    return Err(OrderError::Cycle { chips });
                }
            }
        }
        Ok(Self { channels: self.channels, chips: ready })
    }
}
