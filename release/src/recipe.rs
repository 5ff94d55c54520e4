//! What turns a bare unit into a good one: the chip, its memories, and the steps around flashing.

use serde::{Deserialize, Serialize};

use crate::canonical::DocumentError;
use crate::key::PublicKey;
use crate::limits::{
    EXCLUDES_MAX, EXPECT_BYTES_MAX, INTEGER_MAX, MEMORIES_MAX, PRODUCT_KEYS_MAX, SELF_TEST_MS_MAX,
};
use crate::names::{Channel, Label, Name};

/// The signed recipe of a release. In R&D's hands a TOML file, in the manifest canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The chip's family, which decides how its UID is read: `nrf52`.
    pub family: Name,
    /// The chip by its probe-rs name: `nRF52832_xxAA`.
    pub chip: Label,
    /// The memories a byte may go to, by address. Empty in a recipe file means: by the chip table.
    #[serde(default)]
    pub memory: Vec<Memory>,
    /// Ranges of the images that are not flashed, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Exclude>,
    /// What the flashed unit must say of itself; absent: nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// Where the activation block goes; absent: the unit is not activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<ActivationPlace>,
    /// Whether the chip is locked against read-out at the end.
    #[serde(default)]
    pub protect: bool,
    /// What the release may be flashed for.
    pub channels: Vec<Channel>,
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
    /// found blocks with.
    pub product_keys: Vec<PublicKey>,
}

/// How an activation block is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationMode {
    /// Two Ed25519 signatures, checked by the chip.
    Ed25519,
}

const WHAT: &str = "a recipe";

impl Recipe {
    /// Checks every rule that one recipe can break by itself.
    ///
    /// # Errors
    /// [`DocumentError::Rule`] with the rule.
    pub fn check(&self) -> Result<(), DocumentError> {
        let rule = |holds: bool, rule: &'static str| {
            if holds { Ok(()) } else { Err(DocumentError::Rule { what: WHAT, rule }) }
        };
        rule(
            !self.channels.is_empty() && self.channels.is_sorted_by(|a, b| a < b),
            "channels must be given, each once, in the order production, rework, after-sales",
        )?;
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
            rule(
                (1..=PRODUCT_KEYS_MAX).contains(&place.product_keys.len())
                    && place.product_keys.first() != place.product_keys.get(1),
                "activation needs one or two different product keys",
            )?;
        }
        Ok(())
    }
}
