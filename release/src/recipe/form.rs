//! How a recipe is written: flat for a unit with one chip, a list of `chips` for one with several.
//!
//! Each recipe has exactly one form: one chip called `main` that waits for no other is written
//! flat. R&D's TOML may list that chip too; a manifest, whose spelling must be its own, may not.

use serde::{Deserialize, Serialize};

use super::{ActivationPlace, ChipRecipe, Exclude, Memory, Recipe, SelfTest, Through};
use crate::names::{Channel, Label, Name};

/// Both forms at once; [`Recipe`] is what a valid one means.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chip: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<Through>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Vec<Memory>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<Exclude>,
    #[serde(skip_serializing_if = "Option::is_none")]
    self_test: Option<SelfTest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<ActivationPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protect: Option<bool>,
    channels: Vec<Channel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chips: Vec<ChipRecipe>,
}

/// A recipe that is neither of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRecipe {
    #[error("a recipe needs `family` and `chip`, or a list of `chips`")]
    NoChip,
    #[error("a recipe with a list of `chips` says everything about a chip in that list")]
    Mixed,
}

impl TryFrom<Form> for Recipe {
    type Error = NoRecipe;

    fn try_from(form: Form) -> Result<Self, NoRecipe> {
        let Form { family, chip, through, memory, exclude, self_test, activation, .. } = form;
        let (channels, chips) = (form.channels, form.chips);
        if chips.is_empty() {
            let (Some(family), Some(chip)) = (family, chip) else { return Err(NoRecipe::NoChip) };
            let only = ChipRecipe {
                name: Name::main(),
                after: Vec::new(),
                family,
                chip,
                through,
                memory: memory.unwrap_or_default(),
                exclude,
                self_test,
                activation,
                protect: form.protect.unwrap_or_default(),
            };
            return Ok(Self { channels, chips: vec![only] });
        }
        let said_outside = family.is_some()
            || chip.is_some()
            || through.is_some()
            || memory.is_some()
            || !exclude.is_empty()
            || self_test.is_some()
            || activation.is_some()
            || form.protect.is_some();
        if said_outside { Err(NoRecipe::Mixed) } else { Ok(Self { channels, chips }) }
    }
}

impl From<Recipe> for Form {
    fn from(recipe: Recipe) -> Self {
        let flat = recipe.is_flat();
        let Recipe { channels, mut chips } = recipe;
        let only = if flat { chips.pop() } else { None };
        match only {
            Some(only) => Self {
                family: Some(only.family),
                chip: Some(only.chip),
                through: only.through,
                memory: Some(only.memory),
                exclude: only.exclude,
                self_test: only.self_test,
                activation: only.activation,
                protect: Some(only.protect),
                channels,
                chips,
            },
            None => Self {
                family: None,
                chip: None,
                through: None,
                memory: None,
                exclude: Vec::new(),
                self_test: None,
                activation: None,
                protect: None,
                channels,
                chips,
            },
        }
    }
}
