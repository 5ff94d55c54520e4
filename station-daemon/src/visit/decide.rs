//! What is to be done with this unit: a pure function of everything known about it.
//!
//! Owns the rules of one chip, one code, and of the portion. Leaves proving to others: a lease, a
//! release or a block reaches this place already judged.
//!
//! Promise: a unit whose identity is weak, whose chip is locked, or that stands in another slot is
//! never flashed with a code; a code once reserved for a UID is the only one that UID gets here.

use crate::trouble::TroubleCode;

/// How far a UID tells a chip from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strength {
    /// Made unique by the chip's maker.
    Strong,
    /// May repeat, e.g. a constant DFU serial.
    Weak,
    /// The chip is locked and tells nothing.
    Locked,
}

/// What lies where the activation block belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockSeen {
    /// The recipe has no activation; nothing was read.
    NotRead,
    /// Erased flash.
    Blank,
    /// A block proven for this product and UID.
    Valid,
    /// Anything else.
    Foreign,
}

/// What this station's records say about the UID, for the product of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum History {
    /// Never seen.
    Unknown,
    /// A code is reserved; no PASS yet. Also what a power cut leaves behind.
    Reserved,
    /// Seen and failed without a code.
    Failed,
    /// Passed.
    Passed,
    /// Scrapped: UID and code are void.
    Voided,
}

/// The signed permission to flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseFacts {
    /// Good now.
    Good,
    /// Its end has passed, or it has not begun.
    Over,
    /// There is none.
    Missing,
}

/// The release the portion names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseFacts {
    /// Verified, opened, ready.
    Ready,
    /// Not here (yet), or not leased.
    Missing,
    /// Taken back by R&D.
    Withdrawn,
    /// Its signatures do not hold.
    NotTrusted,
    /// Its bytes do not hold.
    Damaged,
}

/// The station's share of the work order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortionFacts {
    /// Units the station may make.
    pub quantity: u32,
    /// Units passed.
    pub passed: u32,
    /// Places held now.
    pub in_work: u32,
    /// Whether the unit at hand is one of those passed.
    pub counts_already: bool,
    /// Activation codes left in the allotment.
    pub codes_left: u32,
    /// Whether the channel is rework: a passed unit is written again.
    pub rework: bool,
}

/// What the recipe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecipeFacts {
    /// The chip in the slot is the chip of the recipe.
    pub chip_fits: bool,
    /// An activation block is written.
    pub activation: bool,
    /// A self-test line is awaited.
    pub self_test: bool,
    /// The chip is locked at the end.
    pub protect: bool,
}

/// Everything the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How good the identity is.
    pub strength: Strength,
    /// The same UID is in another slot right now.
    pub in_other_slot: bool,
    /// The lease.
    pub lease: LeaseFacts,
    /// The chosen portion, if one is chosen.
    pub portion: Option<PortionFacts>,
    /// Its release.
    pub release: ReleaseFacts,
    /// Its recipe; meaningless unless the release is ready.
    pub recipe: RecipeFacts,
    /// What is known of this UID.
    pub history: History,
    /// What lies on the chip.
    pub block: BlockSeen,
}

/// Where the unit's code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeSource {
    /// The next index of the allotment.
    New,
    /// The reservation made for this UID before.
    Reserved,
    /// The valid block on the chip.
    Adopted,
    /// The recipe gives none.
    NotActivated,
}

/// What a flashing visit consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Work {
    /// Where the code comes from.
    pub code: CodeSource,
    /// The firmware's line is awaited.
    pub self_test: bool,
    /// The chip is locked at the end.
    pub protect: bool,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Reserve, write, prove.
    Flash(Work),
    /// It passed before: compare and say so.
    CompareOnly,
    /// Not this unit, not now.
    Refuse(TroubleCode),
}

/// Decides. The order of the rules is the order in which a worker can do something about them:
/// the board in the hand first, then the station's permission, then the unit's past.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    match refusal(facts) {
        Some(code) => Decision::Refuse(code),
        None => choose(facts),
    }
}

fn refusal(facts: &Facts) -> Option<TroubleCode> {
    match facts.strength {
        Strength::Locked => return Some(TroubleCode::ChipLocked),
        Strength::Strong if facts.in_other_slot => return Some(TroubleCode::UidDuplicate),
        Strength::Strong | Strength::Weak => {}
    }
    match facts.lease {
        LeaseFacts::Good => {}
        LeaseFacts::Over => return Some(TroubleCode::LeaseOver),
        LeaseFacts::Missing => return Some(TroubleCode::NoRelease),
    }
    let Some(portion) = facts.portion else { return Some(TroubleCode::WrongOrder) };
    match facts.release {
        ReleaseFacts::Ready => {}
        ReleaseFacts::Missing => return Some(TroubleCode::NoRelease),
        ReleaseFacts::Withdrawn => return Some(TroubleCode::ReleaseWithdrawn),
        ReleaseFacts::NotTrusted => return Some(TroubleCode::ReleaseNotTrusted),
        ReleaseFacts::Damaged => return Some(TroubleCode::ReleaseDamaged),
    }
    if !facts.recipe.chip_fits {
        return Some(TroubleCode::WrongChip);
    }
    if facts.recipe.activation && facts.strength == Strength::Weak {
        return Some(TroubleCode::IdentityWeak);
    }
    if facts.history == History::Voided {
        return Some(TroubleCode::UnitVoided);
    }
    if only_compared(facts, portion) {
        return None;
    }
    // A torn block is what a pulled board keeps of our own write: the reservation is proof enough.
    let ours = matches!(facts.history, History::Reserved | History::Passed);
    if facts.block == BlockSeen::Foreign && !ours {
        return Some(TroubleCode::ForeignBlock);
    }
    let places_taken = portion.passed.saturating_add(portion.in_work);
    if !portion.counts_already && places_taken >= portion.quantity {
        return Some(TroubleCode::PortionFull);
    }
    if code_source(facts) == CodeSource::New && portion.codes_left == 0 {
        return Some(TroubleCode::QuotaEmpty);
    }
    None
}

fn only_compared(facts: &Facts, portion: PortionFacts) -> bool {
    facts.history == History::Passed && facts.strength == Strength::Strong && !portion.rework
}

fn choose(facts: &Facts) -> Decision {
    if facts.portion.is_some_and(|portion| only_compared(facts, portion)) {
        return Decision::CompareOnly;
    }
    Decision::Flash(Work {
        code: code_source(facts),
        self_test: facts.recipe.self_test,
        protect: facts.recipe.protect,
    })
}

fn code_source(facts: &Facts) -> CodeSource {
    if !facts.recipe.activation {
        return CodeSource::NotActivated;
    }
    match (facts.history, facts.block) {
        (History::Reserved | History::Passed, _) => CodeSource::Reserved,
        (_, BlockSeen::Valid) => CodeSource::Adopted,
        (_, BlockSeen::NotRead | BlockSeen::Blank | BlockSeen::Foreign) => CodeSource::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts = Facts {
        strength: Strength::Strong,
        in_other_slot: false,
        lease: LeaseFacts::Good,
        portion: Some(PortionFacts {
            quantity: 10,
            passed: 3,
            in_work: 2,
            counts_already: false,
            codes_left: 5,
            rework: false,
        }),
        release: ReleaseFacts::Ready,
        recipe: RecipeFacts { chip_fits: true, activation: true, self_test: true, protect: false },
        history: History::Unknown,
        block: BlockSeen::Blank,
    };

    fn portion(change: impl FnOnce(&mut PortionFacts)) -> Option<PortionFacts> {
        let mut portion = GOOD.portion;
        if let Some(portion) = &mut portion {
            change(portion);
        }
        portion
    }

    fn flash(code: CodeSource) -> Decision {
        Decision::Flash(Work { code, self_test: true, protect: false })
    }

    #[test]
    fn every_fact_that_matters_changes_the_decision_as_the_design_says() {
        use Decision::{CompareOnly, Refuse};
        let check = |name: &str, facts: Facts, expected: Decision| {
            assert_eq!(decide(&facts), expected, "{name}");
        };
        let weak = Facts { strength: Strength::Weak, ..GOOD };
        let plain = RecipeFacts { activation: false, ..GOOD.recipe };
        let full = portion(|p| p.passed = 8);
        let rework = portion(|p| p.rework = true);
        let no_codes = portion(|p| p.codes_left = 0);

        check("a fresh unit", GOOD, flash(CodeSource::New));
        check(
            "a unit without activation",
            Facts { recipe: plain, block: BlockSeen::NotRead, ..GOOD },
            flash(CodeSource::NotActivated),
        );
        check(
            "locked",
            Facts { strength: Strength::Locked, ..GOOD },
            Refuse(TroubleCode::ChipLocked),
        );
        check(
            "the same UID twice",
            Facts { in_other_slot: true, ..GOOD },
            Refuse(TroubleCode::UidDuplicate),
        );
        check("weak with activation", weak, Refuse(TroubleCode::IdentityWeak));
        check(
            "weak without activation never means seen before",
            Facts { recipe: plain, history: History::Passed, in_other_slot: true, ..weak },
            flash(CodeSource::NotActivated),
        );
        check(
            "lease over",
            Facts { lease: LeaseFacts::Over, ..GOOD },
            Refuse(TroubleCode::LeaseOver),
        );
        check(
            "no lease",
            Facts { lease: LeaseFacts::Missing, ..GOOD },
            Refuse(TroubleCode::NoRelease),
        );
        check("no order chosen", Facts { portion: None, ..GOOD }, Refuse(TroubleCode::WrongOrder));
        for (release, code) in [
            (ReleaseFacts::Missing, TroubleCode::NoRelease),
            (ReleaseFacts::Withdrawn, TroubleCode::ReleaseWithdrawn),
            (ReleaseFacts::NotTrusted, TroubleCode::ReleaseNotTrusted),
            (ReleaseFacts::Damaged, TroubleCode::ReleaseDamaged),
        ] {
            check("release", Facts { release, ..GOOD }, Refuse(code));
        }
        check(
            "another chip",
            Facts { recipe: RecipeFacts { chip_fits: false, ..GOOD.recipe }, ..GOOD },
            Refuse(TroubleCode::WrongChip),
        );
        check(
            "voided",
            Facts { history: History::Voided, ..GOOD },
            Refuse(TroubleCode::UnitVoided),
        );
        check("passed before", Facts { history: History::Passed, ..GOOD }, CompareOnly);
        check(
            "passed before, portion full since",
            Facts { history: History::Passed, portion: full, ..GOOD },
            CompareOnly,
        );
        check(
            "passed before, rework",
            Facts { history: History::Passed, portion: rework, ..GOOD },
            flash(CodeSource::Reserved),
        );
        check("portion full", Facts { portion: full, ..GOOD }, Refuse(TroubleCode::PortionFull));
        check(
            "portion full, but this unit is one of them",
            Facts {
                history: History::Passed,
                portion: portion(|p| {
                    p.passed = 10;
                    p.rework = true;
                    p.counts_already = true;
                }),
                ..GOOD
            },
            flash(CodeSource::Reserved),
        );
        check("no codes", Facts { portion: no_codes, ..GOOD }, Refuse(TroubleCode::QuotaEmpty));
        check(
            "no codes, but one is reserved",
            Facts { portion: no_codes, history: History::Reserved, ..GOOD },
            flash(CodeSource::Reserved),
        );
        check(
            "no codes, but one is on the chip",
            Facts { portion: no_codes, block: BlockSeen::Valid, ..GOOD },
            flash(CodeSource::Adopted),
        );
        check(
            "a foreign block",
            Facts { block: BlockSeen::Foreign, ..GOOD },
            Refuse(TroubleCode::ForeignBlock),
        );
        check(
            "our own torn block after a power cut",
            Facts { block: BlockSeen::Foreign, history: History::Reserved, ..GOOD },
            flash(CodeSource::Reserved),
        );
        check(
            "failed before without a code",
            Facts { history: History::Failed, ..GOOD },
            flash(CodeSource::New),
        );
    }

    #[test]
    fn over_all_facts_no_refused_condition_ever_flashes_and_no_second_code_is_ever_taken() {
        let mut combinations = 0_u32;
        for strength in [Strength::Strong, Strength::Weak, Strength::Locked] {
            for lease in [LeaseFacts::Good, LeaseFacts::Over, LeaseFacts::Missing] {
                for history in [
                    History::Unknown,
                    History::Reserved,
                    History::Failed,
                    History::Passed,
                    History::Voided,
                ] {
                    for block in
                        [BlockSeen::NotRead, BlockSeen::Blank, BlockSeen::Valid, BlockSeen::Foreign]
                    {
                        for bits in 0..64_u32 {
                            let bit = |n: u32| bits & (1 << n) != 0;
                            let facts = Facts {
                                strength,
                                in_other_slot: bit(0),
                                lease,
                                portion: portion(|p| {
                                    p.passed = if bit(1) { 8 } else { 0 };
                                    p.codes_left = u32::from(bit(2));
                                    p.rework = bit(3);
                                }),
                                release: ReleaseFacts::Ready,
                                recipe: RecipeFacts {
                                    chip_fits: bit(4),
                                    activation: bit(5),
                                    ..GOOD.recipe
                                },
                                history,
                                block,
                            };
                            combinations += 1;
                            let Decision::Flash(work) = decide(&facts) else { continue };
                            assert_ne!(strength, Strength::Locked, "{facts:?}");
                            assert_eq!(lease, LeaseFacts::Good, "{facts:?}");
                            assert_ne!(history, History::Voided, "{facts:?}");
                            assert!(facts.recipe.chip_fits, "{facts:?}");
                            assert!(!bit(1), "a full portion: {facts:?}");
                            if strength == Strength::Weak {
                                assert_eq!(work.code, CodeSource::NotActivated, "{facts:?}");
                            } else {
                                assert!(!facts.in_other_slot, "{facts:?}");
                            }
                            if work.code == CodeSource::New {
                                assert!(bit(2), "an empty allotment: {facts:?}");
                                assert!(
                                    !matches!(history, History::Reserved | History::Passed)
                                        && block != BlockSeen::Valid,
                                    "a second code: {facts:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(combinations, 3 * 3 * 5 * 4 * 64);
    }
}
