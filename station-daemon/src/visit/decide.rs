//! What is to be done with this unit: a pure function of everything known about it.
//!
//! Owns the rules of one chip, one code, and of the portion. Leaves proving to others: a lease, a
//! release or a block reaches this place already judged.
//!
//! Promise: a unit whose identity is weak, of which a chip is locked, or that stands in another slot
//! is never flashed with a code; a code once reserved for a UID is the only one that UID gets here;
//! nothing is erased whole without an approval, but for a chip that arrives locked, once in a visit.

use super::ChipSet;
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
    /// A block proven for this product and UID, with another credential than the one that is bound
    /// to the chip.
    Rival,
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
    /// The first chip in the slot that is not the recipe's, by its place.
    pub wrong_chip: Option<u8>,
    /// The chip onto which an activation block is written, by its place.
    pub activation: Option<u8>,
    /// The chips of which a self-test line is awaited.
    pub self_test: ChipSet,
    /// The chips that are locked at the end.
    pub protect: ChipSet,
}

/// Everything the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How good the identity is: that of the chip by which the unit is known.
    pub strength: Strength,
    /// The chips that are locked.
    pub locked: ChipSet,
    /// The chips of the recipe that arrive locked from their maker.
    pub arrive_locked: ChipSet,
    /// A lead approved that the board of this visit be erased if it is locked.
    pub unlock_approved: bool,
    /// A chip of this board was erased whole in this visit.
    pub erased: bool,
    /// The first chip whose UID is in another slot right now, by its place.
    pub in_other_slot: Option<u8>,
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
    /// The chip onto which its block is written, by its place; none without a code.
    pub block: Option<u8>,
    /// The chips of which a self-test line is awaited.
    pub self_test: ChipSet,
    /// The chips that are locked at the end.
    pub protect: ChipSet,
}

impl Work {
    /// Whether it speaks of these chips only, and has a block exactly where it has a code.
    #[must_use]
    pub fn fits(&self, chips: ChipSet) -> bool {
        self.block.is_none_or(|place| chips.holds(place))
            && self.block.is_some() == (self.code != CodeSource::NotActivated)
            && self.self_test.is_within(chips)
            && self.protect.is_within(chips)
    }
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Reserve, write, prove.
    Flash(Work),
    /// It passed before: compare and say so.
    CompareOnly,
    /// Erase these locked chips whole, on the lead's approval or as they arrived, and look again.
    Unlock(ChipSet),
    /// Not this unit, not now.
    Refuse {
        /// Why.
        code: TroubleCode,
        /// The chip it is about, by its place; none: the unit.
        chip: Option<u8>,
    },
}

/// Decides. The order of the rules is the order in which a worker can do something about them:
/// the board in the hand first, then the station's permission, then the unit's past.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    let of_a_chip = refused_chip(facts).map(|(code, place)| (code, Some(place)));
    match of_a_chip.or_else(|| refused_unit(facts).map(|code| (code, None))) {
        Some((code, chip)) => Decision::Refuse { code, chip },
        None => choose(facts),
    }
}

/// What is wrong with one chip in the slot.
fn refused_chip(facts: &Facts) -> Option<(TroubleCode, u8)> {
    // One that is locked again after its erase is not as it arrived.
    let fresh = if facts.erased { ChipSet::NONE } else { facts.arrive_locked };
    if let Some(place) = facts.locked.without(fresh).first()
        && !facts.unlock_approved
    {
        return Some((TroubleCode::ChipLocked, place));
    }
    if let Some(place) = facts.in_other_slot {
        return Some((TroubleCode::UidDuplicate, place));
    }
    // Without a release nobody knows which chip is the right one.
    let is_known = facts.lease == LeaseFacts::Good
        && facts.portion.is_some()
        && facts.release == ReleaseFacts::Ready;
    let wrong = facts.recipe.wrong_chip.filter(|_| is_known)?;
    Some((TroubleCode::WrongChip, wrong))
}

fn refused_unit(facts: &Facts) -> Option<TroubleCode> {
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
    if !facts.locked.is_empty() {
        // Erased first, judged when it can be read.
        return None;
    }
    if facts.recipe.activation.is_some() && facts.strength == Strength::Weak {
        return Some(TroubleCode::IdentityWeak);
    }
    if facts.history == History::Voided {
        return Some(TroubleCode::UnitVoided);
    }
    if facts.block == BlockSeen::Rival {
        return Some(TroubleCode::CredentialConflict);
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
    // One that was erased whole holds nothing any more that could be compared.
    facts.history == History::Passed
        && facts.strength == Strength::Strong
        && !portion.rework
        && !facts.erased
}

fn choose(facts: &Facts) -> Decision {
    if !facts.locked.is_empty() {
        return Decision::Unlock(facts.locked);
    }
    if facts.portion.is_some_and(|portion| only_compared(facts, portion)) {
        return Decision::CompareOnly;
    }
    Decision::Flash(Work {
        code: code_source(facts),
        block: facts.recipe.activation,
        self_test: facts.recipe.self_test,
        protect: facts.recipe.protect,
    })
}

fn code_source(facts: &Facts) -> CodeSource {
    if facts.recipe.activation.is_none() {
        return CodeSource::NotActivated;
    }
    match (facts.history, facts.block) {
        (History::Reserved | History::Passed, _) => CodeSource::Reserved,
        (_, BlockSeen::Valid) => CodeSource::Adopted,
        (_, BlockSeen::NotRead | BlockSeen::Blank | BlockSeen::Foreign | BlockSeen::Rival) => {
            CodeSource::New
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ChipSet = ChipSet::FIRST;

    const GOOD: Facts = Facts {
        strength: Strength::Strong,
        locked: ChipSet::NONE,
        arrive_locked: ChipSet::NONE,
        unlock_approved: false,
        erased: false,
        in_other_slot: None,
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
        recipe: RecipeFacts {
            wrong_chip: None,
            activation: Some(0),
            self_test: FIRST,
            protect: ChipSet::NONE,
        },
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
        let block = (code != CodeSource::NotActivated).then_some(0);
        Decision::Flash(Work { code, block, self_test: FIRST, protect: ChipSet::NONE })
    }

    fn refuse(code: TroubleCode) -> Decision {
        Decision::Refuse { code, chip: None }
    }

    fn refuse_chip(code: TroubleCode, place: u8) -> Decision {
        Decision::Refuse { code, chip: Some(place) }
    }

    fn locked(places: &[u8]) -> Facts {
        let strength = if places.contains(&0) { Strength::Locked } else { Strength::Strong };
        Facts { strength, locked: ChipSet::of(places.iter().copied()), ..GOOD }
    }

    #[test]
    fn every_fact_that_matters_changes_the_decision_as_the_design_says() {
        use Decision::CompareOnly;
        let check = |name: &str, facts: Facts, expected: Decision| {
            assert_eq!(decide(&facts), expected, "{name}");
        };
        let weak = Facts { strength: Strength::Weak, ..GOOD };
        let plain = RecipeFacts { activation: None, ..GOOD.recipe };
        let full = portion(|p| p.passed = 8);
        let rework = portion(|p| p.rework = true);
        let no_codes = portion(|p| p.codes_left = 0);

        check("a fresh unit", GOOD, flash(CodeSource::New));
        check(
            "a unit without activation",
            Facts { recipe: plain, block: BlockSeen::NotRead, ..GOOD },
            flash(CodeSource::NotActivated),
        );
        check("locked", locked(&[0]), refuse_chip(TroubleCode::ChipLocked, 0));
        check(
            "the same UID twice",
            Facts { in_other_slot: Some(1), ..GOOD },
            refuse_chip(TroubleCode::UidDuplicate, 1),
        );
        check("weak with activation", weak, refuse(TroubleCode::IdentityWeak));
        check(
            "weak without activation never means seen before",
            Facts { recipe: plain, history: History::Passed, ..weak },
            flash(CodeSource::NotActivated),
        );
        check(
            "lease over",
            Facts { lease: LeaseFacts::Over, ..GOOD },
            refuse(TroubleCode::LeaseOver),
        );
        check(
            "no lease",
            Facts { lease: LeaseFacts::Missing, ..GOOD },
            refuse(TroubleCode::NoRelease),
        );
        check("no order chosen", Facts { portion: None, ..GOOD }, refuse(TroubleCode::WrongOrder));
        for (release, code) in [
            (ReleaseFacts::Missing, TroubleCode::NoRelease),
            (ReleaseFacts::Withdrawn, TroubleCode::ReleaseWithdrawn),
            (ReleaseFacts::NotTrusted, TroubleCode::ReleaseNotTrusted),
            (ReleaseFacts::Damaged, TroubleCode::ReleaseDamaged),
        ] {
            check("release", Facts { release, ..GOOD }, refuse(code));
        }
        check(
            "another chip",
            Facts { recipe: RecipeFacts { wrong_chip: Some(2), ..GOOD.recipe }, ..GOOD },
            refuse_chip(TroubleCode::WrongChip, 2),
        );
        check(
            "voided",
            Facts { history: History::Voided, ..GOOD },
            refuse(TroubleCode::UnitVoided),
        );
        for history in [History::Unknown, History::Reserved, History::Passed] {
            let rival = Facts { history, block: BlockSeen::Rival, ..GOOD };
            check("two credentials", rival, refuse(TroubleCode::CredentialConflict));
        }
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
        check("portion full", Facts { portion: full, ..GOOD }, refuse(TroubleCode::PortionFull));
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
        check("no codes", Facts { portion: no_codes, ..GOOD }, refuse(TroubleCode::QuotaEmpty));
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
            refuse(TroubleCode::ForeignBlock),
        );
        check(
            "our own torn block after a power cut",
            Facts { block: BlockSeen::Foreign, history: History::Reserved, ..GOOD },
            flash(CodeSource::Reserved),
        );
        check("one chip of several locked", locked(&[1]), refuse_chip(TroubleCode::ChipLocked, 1));
        check(
            "locked, with a lead's approval",
            Facts { unlock_approved: true, ..locked(&[0, 2]) },
            Decision::Unlock(ChipSet::of([0, 2])),
        );
        let fresh = |places: &[u8]| Facts { arrive_locked: ChipSet::of([0]), ..locked(places) };
        check("locked, as it arrives", fresh(&[0]), Decision::Unlock(ChipSet::of([0])));
        check(
            "locked, as one of them arrives",
            fresh(&[0, 2]),
            refuse_chip(TroubleCode::ChipLocked, 2),
        );
        check(
            "locked, as it arrives, but after its erase",
            Facts { erased: true, ..fresh(&[0]) },
            refuse_chip(TroubleCode::ChipLocked, 0),
        );
        check(
            "open, though such chips arrive locked",
            Facts { arrive_locked: ChipSet::of([0]), ..GOOD },
            flash(CodeSource::New),
        );
        check(
            "locked, with an approval, and the lease over",
            Facts { unlock_approved: true, lease: LeaseFacts::Over, ..locked(&[0]) },
            refuse(TroubleCode::LeaseOver),
        );
        check(
            "an approval for a board that is not locked",
            Facts { unlock_approved: true, ..GOOD },
            flash(CodeSource::New),
        );
        check(
            "passed before, erased now",
            Facts { history: History::Passed, erased: true, block: BlockSeen::Blank, ..GOOD },
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
                        for bits in 0..1024_u32 {
                            let bit = |n: u32| bits & (1 << n) != 0;
                            let facts = Facts {
                                strength,
                                locked: if strength == Strength::Locked || bit(7) {
                                    ChipSet::of([u8::from(strength != Strength::Locked)])
                                } else {
                                    ChipSet::NONE
                                },
                                arrive_locked: if bit(8) { ChipSet::all(2) } else { ChipSet::NONE },
                                unlock_approved: bit(6),
                                erased: bit(9),
                                in_other_slot: bit(0).then_some(0),
                                lease,
                                portion: portion(|p| {
                                    p.passed = if bit(1) { 8 } else { 0 };
                                    p.codes_left = u32::from(bit(2));
                                    p.rework = bit(3);
                                }),
                                release: ReleaseFacts::Ready,
                                recipe: RecipeFacts {
                                    wrong_chip: bit(4).then_some(0),
                                    activation: bit(5).then_some(0),
                                    ..GOOD.recipe
                                },
                                history,
                                block,
                            };
                            combinations += 1;
                            let decision = decide(&facts);
                            if let Decision::Unlock(chips) = decision {
                                let as_it_arrived = bit(8) && !facts.erased;
                                assert!(facts.unlock_approved || as_it_arrived, "{facts:?}");
                                assert_eq!(chips, facts.locked, "{facts:?}");
                                assert_eq!(lease, LeaseFacts::Good, "{facts:?}");
                                assert!(facts.recipe.wrong_chip.is_none(), "{facts:?}");
                            }
                            let Decision::Flash(work) = decision else { continue };
                            assert!(work.fits(ChipSet::all(1)), "{facts:?}");
                            assert!(facts.locked.is_empty(), "{facts:?}");
                            assert_eq!(lease, LeaseFacts::Good, "{facts:?}");
                            assert_ne!(history, History::Voided, "{facts:?}");
                            assert!(facts.recipe.wrong_chip.is_none(), "{facts:?}");
                            assert!(!bit(1), "a full portion: {facts:?}");
                            assert_eq!(facts.in_other_slot, None, "{facts:?}");
                            if strength == Strength::Weak {
                                assert_eq!(work.code, CodeSource::NotActivated, "{facts:?}");
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
        assert_eq!(combinations, 3 * 3 * 5 * 4 * 1024);
    }
}
