//! The hub's register of one product: what every chip is, after all that stations have recorded.
//!
//! It is a fold over facts in the order of the hub's log, which is the order that *first recorded
//! wins* means: a station's clock decides nothing, and what was kept once is never voided by a
//! record that comes late. A record delivered twice is told apart by its identity before it comes
//! here.
//!
//! Promise: a code is live on one chip at most; a chip has one live code at most, and always the
//! first; void is for ever; and every step that could have put a wrong board into a box leaves a
//! [`Finding`] that names the board.

use crate::chip::Chip;
use std::collections::BTreeMap;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// What a chip was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Activation {
    /// The activation code.
    pub code: String,
    /// The allotment or share it was taken from.
    pub allotment: [u8; 16],
    /// Its index there.
    pub index: u32,
}

/// One thing that a station recorded, or an administrator at the hub (`station` is `None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An activation was bound to a chip, or found on it and adopted.
    Activated {
        /// Where it was recorded: the station's key.
        station: [u8; 32],
        /// The chip.
        chip: Chip,
        /// What it has.
        activation: Activation,
    },
    /// A board passed.
    Passed {
        /// Where it was recorded.
        station: [u8; 32],
        /// The chip.
        chip: Chip,
    },
    /// A unit was scrapped: UID and code are void.
    Scrapped {
        /// Where it was recorded; `None` at the hub itself, which knows the whole register.
        station: Option<[u8; 32]>,
        /// The chip.
        chip: Chip,
    },
    /// A unit got another chip: one serial number links the two, the old chip is void.
    ChipReplaced {
        /// Where it was recorded; `None` at the hub itself.
        station: Option<[u8; 32]>,
        /// The unit's serial number.
        serial: String,
        /// The chip that came off.
        old: Chip,
        /// The chip that came on.
        new: Chip,
    },
}

/// Something a person must be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Two credentials for one chip: the first recorded is kept, the second is void.
    SecondCredential {
        /// The chip.
        chip: Chip,
        /// Kept.
        kept: Activation,
        /// Void.
        voided: Activation,
    },
    /// One code, twice paid for: another allotment or index for a chip that had its code.
    SpentTwice {
        /// The chip.
        chip: Chip,
        /// Recorded first.
        first: Activation,
        /// Recorded later.
        second: Activation,
    },
    /// One credential on two chips: the first recorded keeps it, the second chip has none.
    CodeOnTwoChips {
        /// The code.
        code: String,
        /// Keeps it.
        first: Chip,
        /// The board to pull.
        second: Chip,
    },
    /// One index under two codes: a copied station database, or a stolen key.
    IndexOnTwoChips {
        /// The allotment.
        allotment: [u8; 16],
        /// The index.
        index: u32,
        /// Recorded first.
        first: Chip,
        /// Recorded later.
        second: Chip,
    },
    /// The board of this chip passed and is void, and whoever did the one did not know the other:
    /// it is to be pulled.
    PullBoard {
        /// The chip on the board.
        chip: Chip,
        /// The station where it passed.
        passed_at: [u8; 32],
    },
    /// A void chip was activated or adopted again.
    VoidInUse {
        /// The chip.
        chip: Chip,
        /// Where.
        station: [u8; 32],
    },
    /// A chip was recorded as the replacement of itself; nothing was changed.
    ReplacedByItself {
        /// The chip.
        chip: Chip,
        /// The unit's serial number.
        serial: String,
    },
    /// A chip recorded under a second serial number; the first is kept.
    SecondSerial {
        /// The chip.
        chip: Chip,
        /// Kept.
        kept: String,
        /// Not taken.
        refused: String,
    },
}

/// What the register knows of a chip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// The first activation recorded for it that no other chip had.
    pub activation: Option<Activation>,
    /// Codes recorded for it later or on another chip before: void on this chip.
    pub voided_codes: Vec<String>,
    /// Where it passed first.
    pub passed_at: Option<[u8; 32]>,
    /// Whether the chip and its code are void.
    pub void: bool,
    /// The serial number that links it to another chip.
    pub serial: Option<String>,
}

/// The register of one product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    units: BTreeMap<Chip, Unit>,
    holders: BTreeMap<String, Chip>,
    spenders: BTreeMap<([u8; 16], u32), Chip>,
}

impl Register {
    /// What is known of a chip.
    #[must_use]
    pub fn unit(&self, chip: &Chip) -> Option<&Unit> {
        self.units.get(chip)
    }

    /// The code that is good on this chip: its own, unless it is void.
    #[must_use]
    pub fn live_code(&self, chip: &Chip) -> Option<&str> {
        let unit = self.units.get(chip).filter(|unit| !unit.void)?;
        unit.activation.as_ref().map(|activation| activation.code.as_str())
    }

    /// The chips, in order.
    pub fn chips(&self) -> impl Iterator<Item = (&Chip, &Unit)> {
        self.units.iter()
    }

    /// Takes a fact in, in the order of the hub's log, and says what a person must be shown.
    pub fn record(&mut self, fact: &Fact) -> Vec<Finding> {
        match fact {
            Fact::Activated { station, chip, activation } => {
                self.activated(*station, chip, activation)
            }
            Fact::Passed { station, chip } => {
                let unit = self.units.entry(chip.clone()).or_default();
                let again = unit.passed_at == Some(*station);
                unit.passed_at.get_or_insert(*station);
                let pull = Finding::PullBoard { chip: chip.clone(), passed_at: *station };
                if unit.void && !again { vec![pull] } else { Vec::new() }
            }
            Fact::Scrapped { station, chip } => self.void(*station, chip),
            Fact::ChipReplaced { station, serial, old, new } => {
                self.replaced(*station, serial, old, new)
            }
        }
    }

    fn activated(
        &mut self,
        station: [u8; 32],
        chip: &Chip,
        activation: &Activation,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Activation { code, allotment, index } = activation;
        let unit = self.units.entry(chip.clone()).or_default();
        let known = unit.activation.as_ref() == Some(activation);
        if unit.void {
            findings.push(Finding::VoidInUse { chip: chip.clone(), station });
        }
        if known || unit.voided_codes.contains(code) {
            return findings;
        }
        match self.spenders.get(&(*allotment, *index)) {
            Some(first) if first != chip && self.holders.get(code) != Some(first) => {
                findings.push(Finding::IndexOnTwoChips {
                    allotment: *allotment,
                    index: *index,
                    first: first.clone(),
                    second: chip.clone(),
                });
            }
            Some(_) => {}
            None => {
                self.spenders.insert((*allotment, *index), chip.clone());
            }
        }
        if let Some(first) = self.holders.get(code).filter(|&first| first != chip) {
            let (first, second) = (first.clone(), chip.clone());
            findings.push(Finding::CodeOnTwoChips { code: code.clone(), first, second });
            unit.voided_codes.push(code.clone());
            return findings;
        }
        match &unit.activation {
            None => {
                unit.activation = Some(activation.clone());
                self.holders.insert(code.clone(), chip.clone());
            }
            Some(first) if first.code == *code => {
                let (first, second) = (first.clone(), activation.clone());
                findings.push(Finding::SpentTwice { chip: chip.clone(), first, second });
            }
            Some(kept) => {
                let (kept, voided) = (kept.clone(), activation.clone());
                findings.push(Finding::SecondCredential { chip: chip.clone(), kept, voided });
                unit.voided_codes.push(code.clone());
                // Nobody else may have it either: it was written into a chip once.
                self.holders.insert(code.clone(), chip.clone());
            }
        }
        findings
    }

    fn void(&mut self, station: Option<[u8; 32]>, chip: &Chip) -> Vec<Finding> {
        let unit = self.units.entry(chip.clone()).or_default();
        if unit.void {
            return Vec::new();
        }
        unit.void = true;
        match (station, unit.passed_at) {
            (Some(station), Some(passed_at)) if station != passed_at => {
                vec![Finding::PullBoard { chip: chip.clone(), passed_at }]
            }
            _ => Vec::new(),
        }
    }

    fn replaced(
        &mut self,
        station: Option<[u8; 32]>,
        serial: &str,
        old: &Chip,
        new: &Chip,
    ) -> Vec<Finding> {
        if old == new {
            let (chip, serial) = (old.clone(), serial.into());
            return vec![Finding::ReplacedByItself { chip, serial }];
        }
        let mut findings = self.void(station, old);
        for chip in [old, new] {
            let unit = self.units.entry(chip.clone()).or_default();
            match &unit.serial {
                Some(kept) if kept != serial => findings.push(Finding::SecondSerial {
                    chip: chip.clone(),
                    kept: kept.clone(),
                    refused: serial.into(),
                }),
                _ => unit.serial = Some(serial.into()),
            }
        }
        findings
    }
}
