//! Nordic's control access port: the way in when the other port is locked.

use std::time::Duration;

use super::{Approtect, Nvmc};
use crate::cells::Cells;
use crate::silicon::Effect;

/// Which access port it is.
pub(crate) const CONTROL_AP: u8 = 1;

const RESET: u8 = 0x00;
const ERASEALL: u8 = 0x04;
const ERASEALLSTATUS: u8 = 0x08;
const APPROTECTSTATUS: u8 = 0x0C;
const IDR: u8 = 0xFC;
const IDENTIFICATION: u32 = 0x0288_0000;

/// The port's registers.
#[derive(Debug, Default)]
pub(crate) struct ControlAp {
    reset: u32,
    erasing_until: Duration,
}

impl ControlAp {
    pub(crate) fn read(&self, register: u8, approtect: &Approtect, cells: &Cells) -> u32 {
        match register {
            RESET => self.reset,
            ERASEALLSTATUS => u32::from(cells.now() < self.erasing_until),
            APPROTECTSTATUS => u32::from(!approtect.locked()),
            IDR => IDENTIFICATION,
            _ => 0,
        }
    }

    pub(crate) fn write(
        &mut self,
        register: u8,
        value: u32,
        approtect: &mut Approtect,
        nvmc: &mut Nvmc,
    ) -> Effect {
        match register {
            RESET => {
                let asserted = value & 1;
                let was = std::mem::replace(&mut self.reset, asserted);
                match (was, asserted) {
                    (0, 1) => Effect::Hold,
                    (1, 0) => Effect::Reset,
                    (_, _) => Effect::Nothing,
                }
            }
            ERASEALL => {
                if value & 1 == 1 {
                    nvmc.erase_all();
                    approtect.erased();
                    self.erasing_until = nvmc.cells.busy_until();
                }
                Effect::Nothing
            }
            _ => Effect::Nothing,
        }
    }
}
