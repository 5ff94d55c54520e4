//! Who is in a slot: the chips of one unit, as far as they tell.
//!
//! The unit is known by one of them, its identity chip; the others are named in the records. A weak
//! name tells no chip from another.

use activation::Claim;
use audit::{BlockState, HexBytes};
use release::Recipe;

use super::blocks::{BlockRule, OnChip, block_on};
use super::visits::Found;
use crate::store::UnitKey;

/// Characters of a weak name that a record carries; USB has no longer ones.
const WEAK_CHARACTERS_MAX: usize = 126;

/// One chip of a unit, which was not locked.
pub(super) struct Unit {
    pub(super) family: String,
    pub(super) part: String,
    pub(super) id: ChipId,
    pub(super) found: BlockState,
    pub(super) on_chip: Option<OnChip>,
}

/// How a chip is told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChipId {
    /// By its maker's unique id.
    Uid(Vec<u8>),
    /// Not at all: it has a name that may repeat, or none. The unit is one of its own in every
    /// visit.
    Weak { name: String, visit: String },
}

impl ChipId {
    pub(super) fn uid(&self) -> Option<&[u8]> {
        match self {
            Self::Uid(uid) => Some(uid),
            Self::Weak { .. } => None,
        }
    }

    /// The members `uid` and `weak` of a record.
    pub(super) fn recorded(&self) -> (Option<HexBytes>, Option<String>) {
        match self {
            Self::Uid(uid) => (Some(HexBytes(uid.clone())), None),
            Self::Weak { name, .. } => (None, Some(name.clone())),
        }
    }
}

impl Unit {
    /// The unit that is known by this chip.
    pub(super) fn key(&self, product: &str) -> UnitKey {
        let uid = match &self.id {
            ChipId::Uid(uid) => hex::encode_upper(uid),
            // No hexadecimal digits: it is never taken for a unique id.
            ChipId::Weak { visit, .. } => format!("visit {visit}"),
        };
        UnitKey { product: product.to_owned(), family: self.family.clone(), uid }
    }

    /// Whether both are one chip for all we can tell: weak names tell nothing.
    pub(super) fn is(&self, other: &Self) -> bool {
        let uid = self.id.uid();
        uid.is_some() && uid == other.id.uid() && self.family == other.family
    }
}

/// Who a chip is; none while it is locked and tells nothing. A block is only looked at where there
/// is a unique id it could belong to.
pub(super) fn unit_of(found: &Found, rule: &BlockRule<'_>, visit: &str) -> Option<Unit> {
    let identity = &found.identity;
    if identity.locked {
        return None;
    }
    let (family, part) = (identity.family.clone(), identity.part.clone());
    let Some(uid) = &identity.uid else {
        let name = identity.weak.as_deref().unwrap_or_default();
        let name = name.chars().take(WEAK_CHARACTERS_MAX).collect();
        let id = ChipId::Weak { name, visit: visit.to_owned() };
        return Some(Unit { family, part, id, found: BlockState::Unread, on_chip: None });
    };
    let claim = Claim { product: rule.product, family: &family, uid: uid.as_bytes() };
    let (state, on_chip) = match found.block.as_deref() {
        None => (BlockState::Unread, None),
        Some(bytes) => block_on(bytes, &claim, rule),
    };
    let id = ChipId::Uid(uid.as_bytes().to_vec());
    Some(Unit { family, part, id, found: state, on_chip })
}

/// What a record calls the chip at a place; nothing where the unit has one.
pub(super) fn chip_name(recipe: &Recipe, place: usize) -> Option<String> {
    if recipe.is_flat() {
        return None;
    }
    recipe.chips.get(place).map(|chip| chip.name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash::{Identity, Uid};

    const RULE: BlockRule<'_> = BlockRule {
        mode: activation::Mode::Ed25519,
        product: "lamp",
        keys: &[],
        secrets: &[],
        erased: 0xFF,
    };

    fn found(uid: Option<Vec<u8>>, weak: Option<&str>, locked: bool) -> Found {
        let uid = uid.map(|bytes| Uid::new(bytes).expect("plausible"));
        let (family, part, weak) = ("stm32f4".to_owned(), String::new(), weak.map(str::to_owned));
        Found { identity: Identity { family, part, uid, weak, locked }, block: None }
    }

    #[test]
    fn a_weak_name_makes_a_unit_of_its_own_in_every_visit_and_is_never_another_chip() {
        let unit = |visit: &str, name: Option<&str>| {
            unit_of(&found(None, name, false), &RULE, visit).expect("a unit")
        };
        let (first, again) = (unit("a1", Some("STM32FxSTM32")), unit("b2", Some("STM32FxSTM32")));
        assert_ne!(first.key("lamp"), again.key("lamp"));
        assert!(!first.is(&again) && !first.is(&first));
        assert!(hex::decode(first.key("lamp").uid).is_err(), "no unique id");
        assert_eq!(first.id.recorded(), (None, Some("STM32FxSTM32".to_owned())));
        assert_eq!(unit("c3", None).id.recorded(), (None, Some(String::new())));
        let long = "é".repeat(1000);
        let (_, name) = unit("d4", Some(&long)).id.recorded();
        assert_eq!(name.map(|name| name.chars().count()), Some(WEAK_CHARACTERS_MAX));
    }

    #[test]
    fn a_unique_id_is_the_same_unit_in_every_visit_and_a_locked_chip_is_nobody() {
        let uid = vec![1, 2, 3];
        let unit = |visit: &str| {
            let found = found(Some(uid.clone()), Some("ignored"), false);
            unit_of(&found, &RULE, visit).expect("a unit")
        };
        assert_eq!(unit("a1").key("lamp"), unit("b2").key("lamp"));
        assert!(unit("a1").is(&unit("b2")));
        assert_eq!(unit("a1").id.recorded(), (Some(HexBytes(uid.clone())), None));
        assert!(unit_of(&found(Some(uid.clone()), None, true), &RULE, "a1").is_none());
    }
}
