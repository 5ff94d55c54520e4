//! Activation blocks, mode by mode: where they lie, what was found there, what a chip's own is.
//!
//! Owns the choice of the check for each mode. Leaves the checks to `activation`, who gets which
//! code to the books.

use activation::{
    BLOCK_BYTES, BlockFound, Claim, MAC_BLOCK_BYTES, Mode, POOL_BLOCK_BYTES_MAX, Refusal,
    check_mac_block, check_pool_block, look_at, look_at_stored, pool_block_bytes,
};
use audit::BlockState;
use release::recipe::{ActivationMode, ActivationPlace, ChipRecipe};
use zeroize::Zeroizing;

/// The first bytes of a pool block, by which one that is not there is told from one that is.
const POOL_HEAD_BYTES: usize = 64;

/// How a recipe's blocks are proven, in the words of `activation`.
pub(super) const fn mode_of(place: &ActivationPlace) -> Mode {
    match place.mode {
        ActivationMode::Ed25519 => Mode::Ed25519,
        ActivationMode::Stored => Mode::Stored,
        ActivationMode::HmacSha256 => Mode::HmacSha256,
        ActivationMode::Pool => Mode::Pool,
    }
}

/// What is read to see a chip's block: address and bytes. A pool's block says its own length, so as
/// much is read as the longest has, up to the memory's end.
pub(super) fn where_to_look(chip: &ChipRecipe) -> Option<(u64, u32)> {
    let place = chip.activation.as_ref()?;
    let memory = chip.memory.iter().find(|m| (m.start..m.end()).contains(&place.address));
    let left = memory.map_or(u64::MAX, |memory| memory.end() - place.address);
    let bytes = match mode_of(place) {
        Mode::Ed25519 | Mode::Stored => BLOCK_BYTES,
        Mode::HmacSha256 => MAC_BLOCK_BYTES,
        Mode::Pool => POOL_BLOCK_BYTES_MAX.min(usize::try_from(left).unwrap_or(usize::MAX)),
    };
    Some((place.address, u32::try_from(bytes).unwrap_or(u32::MAX)))
}

/// What an erased byte reads as where a chip's activation block belongs.
pub(super) fn erased_byte(recipe: &ChipRecipe) -> u8 {
    let place = recipe.activation.as_ref().zip(flash::chip(recipe.chip.as_str()));
    let region = place.and_then(|(place, chip)| chip.region_of(place.address, 1));
    region.map_or(0xFF, |region| region.erased)
}

/// What an activation block is judged by.
pub(super) struct BlockRule<'a> {
    /// How it must be proven.
    pub(super) mode: Mode,
    /// The product it must be for.
    pub(super) product: &'a str,
    /// The product's activation keys.
    pub(super) keys: &'a [[u8; 32]],
    /// The product's secrets, in mode *hmac-sha256*.
    pub(super) secrets: &'a [[u8; 32]],
    /// What an erased byte of the chip reads as.
    pub(super) erased: u8,
}

/// A chip's own block, proven.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OnChip {
    /// The activation code.
    pub(super) code: String,
    /// The allotment or share it was taken from.
    pub(super) allotment: [u8; 16],
    /// Its index there.
    pub(super) index: u32,
    /// The block, which in mode *pool* holds secrets; erased when dropped.
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Judges what lies where a chip's block belongs.
pub(super) fn block_on(
    bytes: &[u8],
    claim: &Claim<'_>,
    rule: &BlockRule<'_>,
) -> (BlockState, Option<OnChip>) {
    let blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == rule.erased);
    let head = match rule.mode {
        Mode::Pool => bytes.get(..POOL_HEAD_BYTES).unwrap_or(bytes),
        Mode::Ed25519 | Mode::Stored | Mode::HmacSha256 => bytes,
    };
    if blank(head) {
        return (BlockState::Blank, None);
    }
    match proven(bytes, claim, rule) {
        Ok(Some(on_chip)) => (BlockState::Valid, Some(on_chip)),
        Ok(None) => (BlockState::Blank, None),
        Err(refusal) => {
            tracing::info!(%refusal, mode = rule.mode.as_str(), "not this chip's own block");
            (BlockState::Foreign, None)
        }
    }
}

/// The chip's own block; none on a blank place.
fn proven(
    bytes: &[u8],
    claim: &Claim<'_>,
    rule: &BlockRule<'_>,
) -> Result<Option<OnChip>, Refusal> {
    let own = |code: String, allotment, index, bytes: &[u8]| {
        Some(OnChip { code, allotment, index, bytes: Zeroizing::new(bytes.to_vec()) })
    };
    let signed = |found| match found {
        BlockFound::Blank => Ok(None),
        BlockFound::Valid(block) => {
            Ok(own(block.code().to_string(), block.allotment(), block.index(), bytes))
        }
        BlockFound::Foreign(refusal) => Err(refusal),
    };
    match rule.mode {
        Mode::Ed25519 => signed(look_at(bytes, claim, rule.keys)),
        Mode::Stored => signed(look_at_stored(bytes, claim, rule.keys)),
        Mode::HmacSha256 => {
            let block = check_mac_block(bytes, claim, rule.secrets)?;
            Ok(own(block.code().to_string(), block.allotment(), block.index(), bytes))
        }
        Mode::Pool => {
            let found = bytes.len();
            let length = pool_block_bytes(bytes).ok_or(Refusal::NotOurs)?;
            let bytes = bytes.get(..length).ok_or(Refusal::WrongSize { found })?;
            let block = check_pool_block(bytes, claim, rule.keys)?;
            Ok(own(block.code().to_owned(), block.allotment(), block.index(), bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use activation::MacSecret;
    use release::Recipe;

    const CLAIM: Claim<'_> = Claim { product: "lamp", family: "nrf52", uid: &[1, 2, 3] };
    const RULE: BlockRule<'_> =
        BlockRule { mode: Mode::Ed25519, product: "lamp", keys: &[], secrets: &[], erased: 0xFF };

    fn recipe(chip: &str, address: u64, mode: &str) -> ChipRecipe {
        let mut recipe: Recipe = serde_json::from_value(serde_json::json!({
            "family": "stm32l0", "chip": chip, "channels": ["production"],
            "memory": [{ "name": "flash", "start": 0, "bytes": 0x8_0000 }],
            "activation": { "address": address, "mode": mode, "product_keys": [] },
        }))
        .expect("a recipe");
        recipe.chips.remove(0)
    }

    #[test]
    fn a_block_is_blank_where_it_reads_as_the_chip_reads_when_erased() {
        let check = |mode: Mode, erased: u8, read: u8, state: BlockState| {
            let bytes = vec![read; BLOCK_BYTES];
            let (found, own) = block_on(&bytes, &CLAIM, &BlockRule { mode, erased, ..RULE });
            assert_eq!(found, state, "{mode}: {read:#x} on a chip that erases to {erased:#x}");
            assert!(own.is_none());
        };
        for mode in Mode::ALL {
            check(mode, 0xFF, 0xFF, BlockState::Blank);
            check(mode, 0x00, 0x00, BlockState::Blank);
            check(mode, 0xFF, 0x00, BlockState::Foreign);
        }
        assert_eq!(erased_byte(&recipe("STM32L053R8", 0x0800_0000, "ed25519")), 0x00);
        assert_eq!(erased_byte(&recipe("nRF52832_xxAA", 0x7_F000, "ed25519")), 0xFF);
    }

    #[test]
    fn a_block_is_this_chips_own_only_in_the_recipes_mode_and_under_the_products_secret() {
        let secret = MacSecret::from_bytes(&[5; 32]).expect("a secret");
        let bytes = secret.issue("lamp", [9; 16], 7, "nrf52", &[1, 2, 3]).expect("a block");
        let mac = BlockRule { mode: Mode::HmacSha256, secrets: &[[5; 32]], ..RULE };
        let (state, own) = block_on(&bytes, &CLAIM, &mac);
        let own = own.expect("its own");
        assert_eq!((state, own.allotment, own.index), (BlockState::Valid, [9; 16], 7));
        assert_eq!(own.bytes.as_slice(), bytes);
        for mode in [Mode::Ed25519, Mode::Stored, Mode::Pool] {
            let (state, _) = block_on(&bytes, &CLAIM, &BlockRule { mode, ..RULE });
            assert_eq!(state, BlockState::Foreign, "{mode}");
        }
        let (state, _) = block_on(&bytes, &CLAIM, &BlockRule { secrets: &[[6; 32]], ..mac });
        assert_eq!(state, BlockState::Foreign, "another secret");
    }

    #[test]
    fn as_much_is_read_as_a_block_of_the_mode_may_have_and_never_past_the_memory() {
        let check = |mode: &str, address: u64, bytes: usize| {
            let look = where_to_look(&recipe("nRF52832_xxAA", address, mode));
            assert_eq!(look, Some((address, u32::try_from(bytes).expect("short"))), "{mode}");
        };
        check("ed25519", 0x7_F000, BLOCK_BYTES);
        check("stored", 0x7_F000, BLOCK_BYTES);
        check("hmac-sha256", 0x7_F000, MAC_BLOCK_BYTES);
        check("pool", 0x7_F000, 4096);
        check("pool", 0x7_FC00, 1024);
    }
}
