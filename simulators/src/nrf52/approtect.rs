//! Access port protection, in both chip revisions.
//!
//! Old revisions (1, 2): a chip is open unless UICR.APPROTECT says otherwise. Revision 3: a chip is
//! locked unless UICR.APPROTECT says `HwDisabled` *and* the running firmware wrote `SwDisable`.
//! An erase through the control access port opens either until the next hard reset.

use serde::Serialize;

/// Which silicon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Revision {
    /// Build codes before Gxx: locked by UICR.APPROTECT = 0x00 only.
    Old,
    /// Revision 3 (build codes Gxx): locked by default.
    Three,
}

impl Revision {
    /// FICR.INFO.VARIANT as ASCII ("AAE0" and "AAG0").
    #[must_use]
    pub fn variant(self) -> u32 {
        match self {
            Self::Old => 0x4141_4530,
            Self::Three => 0x4141_4730,
        }
    }
}

const DISABLED: u32 = 0x5A;

/// The lock on the AHB access port.
#[derive(Debug)]
pub struct Approtect {
    revision: Revision,
    sampled: u32,
    software_disabled: bool,
    opened_by_erase: bool,
}

impl Approtect {
    /// Before the first power-up.
    #[must_use]
    pub fn new(revision: Revision) -> Self {
        Self { revision, sampled: 0xFF, software_disabled: false, opened_by_erase: false }
    }

    /// Any reset: the UICR word is read again and firmware's consent is forgotten. A hard reset
    /// (power-up, pin) also ends what an erase opened.
    pub fn reset(&mut self, uicr_approtect: u32, hard: bool) {
        self.sampled = uicr_approtect & 0xFF;
        self.software_disabled = false;
        if hard {
            self.opened_by_erase = false;
        }
    }

    /// The control access port erased everything.
    pub fn erased(&mut self) {
        self.opened_by_erase = true;
    }

    /// Firmware wrote APPROTECT.DISABLE.
    pub fn write_disable(&mut self, value: u32) {
        self.software_disabled = value == DISABLED;
    }

    /// What firmware reads from APPROTECT.DISABLE.
    #[must_use]
    pub fn read_disable(&self) -> u32 {
        if self.software_disabled { DISABLED } else { 0 }
    }

    /// Whether the AHB access port refuses.
    #[must_use]
    pub fn locked(&self) -> bool {
        if self.opened_by_erase {
            return false;
        }
        match self.revision {
            Revision::Old => self.sampled == 0,
            Revision::Three => !(self.sampled == DISABLED && self.software_disabled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_revision_locks_by_its_own_rule() {
        let check = |revision, uicr, software: bool, locked: bool| {
            let mut approtect = Approtect::new(revision);
            approtect.reset(uicr, true);
            if software {
                approtect.write_disable(0x5A);
            }
            assert_eq!(approtect.locked(), locked, "{revision:?} {uicr:#x} {software}");
        };
        check(Revision::Old, 0xFFFF_FFFF, false, false);
        check(Revision::Old, 0xFFFF_FF00, false, true);
        check(Revision::Old, 0xFFFF_FF5A, false, false);
        check(Revision::Three, 0xFFFF_FFFF, false, true);
        check(Revision::Three, 0xFFFF_FFFF, true, true);
        check(Revision::Three, 0xFFFF_FF00, true, true);
        check(Revision::Three, 0xFFFF_FF5A, false, true);
        check(Revision::Three, 0xFFFF_FF5A, true, false);
    }

    #[test]
    fn an_erase_opens_revision_three_until_the_next_hard_reset() {
        let mut approtect = Approtect::new(Revision::Three);
        approtect.reset(0xFFFF_FFFF, true);
        approtect.erased();
        approtect.reset(0xFFFF_FFFF, false);
        assert!(!approtect.locked());
        approtect.reset(0xFFFF_FFFF, true);
        assert!(approtect.locked());
    }
}
