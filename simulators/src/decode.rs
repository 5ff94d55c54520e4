//! Instruction decoding with a memory, and with an ear for a core that has nothing to do.
//!
//! The interpreter's own look-up table takes long to build and its sleep state cannot be left from
//! outside. This decoder remembers what it decoded, turns WFI and WFE into a NOP and leaves a note
//! that the core wants to sleep; a branch to itself leaves the same note.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use armagnac::core::{ArmVersion, ItState};
use armagnac::decoder::{BasicInstructionDecoder, InstructionDecode, InstructionDecodeError};
use armagnac::instructions::{Instruction, InstructionSize};

const NOP: u32 = 0xBF00;
const WFE: u32 = 0xBF20;
const WFI: u32 = 0xBF30;
const WIDE_NOP: u32 = 0xF3AF_8000;
const WIDE_WFE: u32 = 0xF3AF_8002;
const WIDE_WFI: u32 = 0xF3AF_8003;
const BRANCH_TO_SELF: u32 = 0xE7FE;

/// The decoder; `asleep` is shared with whoever runs the core.
pub struct RememberingDecoder {
    basic: BasicInstructionDecoder,
    narrow: RefCell<Vec<Option<Rc<dyn Instruction>>>>,
    wide: RefCell<HashMap<u32, Rc<dyn Instruction>>>,
    asleep: Rc<Cell<bool>>,
}

impl RememberingDecoder {
    /// A decoder that sets `asleep` when the core decodes a wait.
    #[must_use]
    pub fn new(version: ArmVersion, asleep: Rc<Cell<bool>>) -> Self {
        Self {
            basic: BasicInstructionDecoder::new(version),
            narrow: RefCell::new(vec![None; 1 << 16]),
            wide: RefCell::new(HashMap::new()),
            asleep,
        }
    }
}

impl InstructionDecode for RememberingDecoder {
    fn try_decode(
        &self,
        code: u32,
        size: InstructionSize,
        state: ItState,
    ) -> Result<Rc<dyn Instruction>, InstructionDecodeError> {
        let narrow = matches!(size, InstructionSize::Ins16);
        let (waits, code) = match (narrow, code) {
            (true, WFI | WFE) => (true, NOP),
            (false, WIDE_WFI | WIDE_WFE) => (true, WIDE_NOP),
            (true, BRANCH_TO_SELF) => (true, code),
            (true | false, _) => (false, code),
        };
        if waits && state.0 == 0 {
            self.asleep.set(true);
        }
        // Inside an IT block the same code may mean another instruction.
        if state.0 != 0 {
            return self.basic.try_decode(code, size, state);
        }
        if narrow {
            if let Some(found) = &self.narrow.borrow()[code as usize & 0xFFFF] {
                return Ok(Rc::clone(found));
            }
            let found = self.basic.try_decode(code, size, state)?;
            self.narrow.borrow_mut()[code as usize & 0xFFFF] = Some(Rc::clone(&found));
            Ok(found)
        } else {
            if let Some(found) = self.wide.borrow().get(&code) {
                return Ok(Rc::clone(found));
            }
            let found = self.basic.try_decode(code, size, state)?;
            self.wide.borrow_mut().insert(code, Rc::clone(&found));
            Ok(found)
        }
    }
}
