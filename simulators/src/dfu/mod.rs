//! A chip in its USB DFU loader: ST's DfuSe as the ROMs of the STM32 speak it, and plain DFU 1.1.
//!
//! Owns the device: its descriptors, the loader's state machine, its flash, and what happens when
//! it leaves, is told to detach, or loses its power. Pure: it is told the time and answers control
//! requests ([`Device::control`]). [`Bus`] is the front that a test in the same process uses:
//! ports by their place in the tree, a clock that only moves when somebody waits.
//!
//! Promise: it refuses what a loader refuses (ST AN3156, AN2662 chapter 4.5, DFU 1.1 chapter A),
//! stricter where a real one is forgiving: asked for its status before its poll time is over, it
//! stalls. Where a real one is silent it is silent too: erasing or writing a write-protected page
//! reports no error.

mod bus;
mod device;
mod levers;
mod loader;
mod memory;

pub use bus::{Bus, Cable, CableFault, Seen, Wire};
pub(crate) use device::Reply;
pub use device::{Application, Device, Setup};
pub use levers::{Fault, Lever, LeverError, Request};
pub use loader::{Flavour, LoaderState};
pub use memory::{Cells, Memory, Silicon};
