//! What turns a bare unit into a good one: its chips, their memories, and the steps around flashing.

mod form;
mod order;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::canonical::DocumentError;
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::limits::{
    CHIPS_MAX, EXCLUDES_MAX, EXPECT_BYTES_MAX, INTEGER_MAX, MEMORIES_MAX, PRODUCT_KEYS_MAX,
    SELF_TEST_MS_MAX,
};
use crate::names::{Channel, Label, Name};

pub use order::OrderError;

/// The signed recipe of a release. In R&D's hands a TOML file, in the manifest canonical JSON; a
/// unit with one chip is written flat, one with several as a list of `chips`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "form::Form", into = "form::Form")]
pub struct Recipe {
    /// What the release may be flashed for.
    pub channels: Vec<Channel>,
    /// The unit's chips; in a manifest in the order in which they are flashed.
    pub chips: Vec<ChipRecipe>,
}

/// What is done to one chip of the unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipRecipe {
    /// What R&D calls it: `main`, `radio`.
    pub name: Name,
    /// The chips that must have been flashed, and have passed their self-test, before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Name>,
    /// The chip's family, which decides how its UID is read: `nrf52`.
    pub family: Name,
    /// The chip by its probe-rs name: `nRF52832_xxAA`.
    pub chip: Label,
    /// The way onto the chip, where only one will do; absent: whichever the slot has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Through>,
    /// The memories a byte may go to, by address. Empty in a recipe file means: by the chip table.
    #[serde(default)]
    pub memory: Vec<Memory>,
    /// Ranges of the images that are not flashed, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Exclude>,
    /// What the flashed chip must say of itself; absent: nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// Where the activation block goes; absent: the chip is not activated. At most one chip of a
    /// unit is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<ActivationPlace>,
    /// Whether the chip is locked against read-out at the end.
    #[serde(default)]
    pub protect: bool,
}

/// A way onto a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// A debug probe.
    Probe,
    /// USB DFU.
    Dfu,
    /// A serial ROM loader.
    Uart,
}

impl Through {
    /// The word used in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Dfu => "dfu",
            Self::Uart => "uart",
        }
    }
}

/// One memory of the chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// What the data sheet calls it: `flash`, `uicr`.
    pub name: Name,
    /// First address.
    pub start: u64,
    /// Size in bytes.
    pub bytes: u64,
}

impl Memory {
    /// The address after the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

/// A range of addresses, `start` in it and `end` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// First address.
    pub start: u64,
    /// Address after the last byte.
    pub end: u64,
}

/// What the flashed unit must say, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Where it says it.
    pub via: SelfTestVia,
    /// A received line must contain this text. When packing, `{version}` and `{product}` are
    /// filled in; the manifest holds the text as it must be seen.
    pub expect: String,
    /// Milliseconds after reset.
    pub within_ms: u32,
}

/// Where a unit's self-test line is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfTestVia {
    /// A serial line.
    Uart,
    /// SEGGER's real-time transfer, through the probe.
    Rtt,
    /// Semihosting, through the probe.
    Semihosting,
}

/// Where the activation block goes and how it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationPlace {
    /// Address of the block's first byte.
    pub address: u64,
    /// How the chip checks it.
    pub mode: ActivationMode,
    /// The product's activation keys, current then next: what a station verifies allotments and
    /// found blocks with. None in mode *hmac-sha256*, which has no signatures.
    pub product_keys: Vec<PublicKey>,
    /// SHA-256 of the product's secret, in mode *hmac-sha256* only: naming it is how R&D says that
    /// a copy deterrent is wanted, and how a station knows the secret it is given for the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_secret_sha256: Option<Digest>,
}

/// How an activation block is proven, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationMode {
    /// Two Ed25519 signatures, checked by the chip.
    Ed25519,
    /// The same signatures, checked by station, hub and service tools; the chip only holds them.
    Stored,
    /// A MAC under a secret that also lies in the firmware: a copy deterrent, no proof.
    HmacSha256,
    /// A credential that somebody else issued, out of the product's pool at the hub.
    Pool,
}

impl ActivationMode {
    /// The word used in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Stored => "stored",
            Self::HmacSha256 => "hmac-sha256",
            Self::Pool => "pool",
        }
    }

    /// What a release manager is shown beside it.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Ed25519 => "the chip checks it",
            Self::Stored => "the chip does NOT check it",
            Self::HmacSha256 => "COPY DETERRENT ONLY: whoever reads one chip can activate all",
            Self::Pool => "a credential from the product's pool",
        }
    }
}

const WHAT: &str = "a recipe";

impl Recipe {
    /// Whether it is written flat: one chip called `main` that waits for no other.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        matches!(self.chips.as_slice(), [only] if only.name == Name::main() && only.after.is_empty())
    }

    /// A chip by its name, and its place in the order.
    #[must_use]
    pub fn chip(&self, name: &Name) -> Option<(usize, &ChipRecipe)> {
        self.chips.iter().enumerate().find(|(_, chip)| chip.name == *name)
    }

    /// The place of the chip by which the unit is known: the one that is activated; where none is,
    /// the first.
    #[must_use]
    pub fn identity(&self) -> usize {
        self.chips.iter().position(|chip| chip.activation.is_some()).unwrap_or_default()
    }

    /// Checks every rule that one recipe can break by itself.
    ///
    /// # Errors
    /// [`DocumentError::Rule`] with the rule.
    pub fn check(&self) -> Result<(), DocumentError> {
        rule(
            !self.channels.is_empty() && self.channels.is_sorted_by(|a, b| a < b),
            "channels must be given, each once, in the order production, rework, after-sales",
        )?;
        rule((1..=CHIPS_MAX).contains(&self.chips.len()), "1 to 8 chips")?;
        rule(
            self.chips.iter().filter(|chip| chip.activation.is_some()).count() <= 1,
            "at most one chip of a unit is activated",
        )?;
        for (place, chip) in self.chips.iter().enumerate() {
            let before = self.chips.get(..place).unwrap_or_default();
            let is_before = |name: &Name| before.iter().any(|chip| chip.name == *name);
            rule(!is_before(&chip.name), "every chip must have its own name")?;
            rule(chip.after.iter().all(is_before), "a chip comes after those it waits for")?;
            rule(
                chip.after.iter().collect::<BTreeSet<_>>().len() == chip.after.len(),
                "a chip waits for another one once",
            )?;
            chip.check()?;
        }
        Ok(())
    }
}

impl ChipRecipe {
    /// Checks every rule that one chip can break by itself.
    ///
    /// # Errors
    /// [`DocumentError::Rule`] with the rule.
    pub fn check(&self) -> Result<(), DocumentError> {
        rule(
            (1..=MEMORIES_MAX).contains(&self.memory.len()),
            "the memory map must name 1 to 16 memories",
        )?;
        rule(
            self.memory.iter().all(|m| {
                m.bytes > 0 && m.start.checked_add(m.bytes).is_some_and(|end| end <= INTEGER_MAX)
            }),
            "every memory must have bytes and end below 2^53",
        )?;
        rule(
            self.memory.is_sorted_by(|a, b| a.end() <= b.start),
            "memories must be in order of address and not overlap",
        )?;
        rule(self.exclude.len() <= EXCLUDES_MAX, "at most 16 excluded ranges")?;
        rule(
            self.exclude.iter().all(|range| range.start < range.end && range.end <= INTEGER_MAX),
            "an excluded range must end after its start",
        )?;
        rule(
            self.exclude.is_sorted_by(|a, b| a.end <= b.start),
            "excluded ranges must be in order of address and not overlap",
        )?;
        if let Some(test) = &self.self_test {
            rule(
                (1..=EXPECT_BYTES_MAX).contains(&test.expect.len())
                    && !test.expect.chars().any(char::is_control),
                "the self-test's text must be 1 to 200 bytes on one line",
            )?;
            rule(
                (1..=SELF_TEST_MS_MAX).contains(&test.within_ms),
                "the self-test must end within 1 ms to 10 minutes",
            )?;
        }
        if let Some(place) = &self.activation {
            rule(
                self.memory.iter().any(|m| (m.start..m.end()).contains(&place.address)),
                "the activation block must lie in a memory of the chip",
            )?;
            place.check()?;
        }
        Ok(())
    }
}

impl ActivationPlace {
    fn check(&self) -> Result<(), DocumentError> {
        let keys = &self.product_keys;
        if self.mode == ActivationMode::HmacSha256 {
            rule(keys.is_empty(), "activation by hmac-sha256 has no product keys")?;
            return rule(
                self.mac_secret_sha256.is_some(),
                "activation by hmac-sha256, a copy deterrent, must name its secret's SHA-256",
            );
        }
        rule(
            (1..=PRODUCT_KEYS_MAX).contains(&keys.len()) && keys.first() != keys.get(1),
            "activation needs one or two different product keys",
        )?;
        rule(self.mac_secret_sha256.is_none(), "only activation by hmac-sha256 names a secret")
    }
}

fn rule(holds: bool, rule: &'static str) -> Result<(), DocumentError> {
    if holds { Ok(()) } else { Err(DocumentError::Rule { what: WHAT, rule }) }
}
