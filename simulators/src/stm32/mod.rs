//! STM32s: memories, flash controllers and what else firmware and a debugger need on the bus.
//!
//! Owns the parts' addresses and figures and three kinds of flash controller: double words with error
//! correction (G0, G4, L4), half-words (F0, F1, F3) and sectors (F4). Owns no core and no debug port.
//! Facts are those of the reference manuals RM0444 (G0), RM0440 (G4), RM0351 (L4), RM0091 (F0), RM0008
//! with PM0075 (F1), RM0316 (F3) and RM0090 (F4) and of the data sheets.
//!
//! Promise: flash refuses what the silicon refuses and says so in the same status bits, and
//! read-out protection is opened only at the price of everything in flash.

mod bus;
mod chip;
mod clocks;
mod debug_pins;
mod double_word;
mod half_word;
mod keys;
mod layout;
mod part;
mod parts;
mod sector;
mod usart;

pub use chip::{Chip, Config};
pub use part::Part;
pub use parts::{PARTS, part};
