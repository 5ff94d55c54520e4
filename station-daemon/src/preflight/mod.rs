//! What a shift needs before it begins: sockets, rights, disk, swap, clock, hub, key chip.
//!
//! Owns the judgement, which is pure: [`Facts`] in, [`Finding`]s out. [`gather`] reads the facts from
//! the system's own files; their places are arguments. Changes nothing.
//!
//! Promise: each finding is one sentence that says what was found, and what is missing if anything.

mod gather;
mod judge;
pub mod usb;

use std::path::PathBuf;

use flash::Port;

use crate::api::view::HubState;

pub use gather::gather;
pub use judge::judge;
use usb::Controller;

/// Where the system shows itself.
#[derive(Debug, Clone)]
pub struct Roots {
    /// What is in USB sockets.
    pub usb: PathBuf,
    /// Device nodes.
    pub dev: PathBuf,
    /// The list of swap areas.
    pub swaps: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { usb: "/sys/bus/usb/devices".into(), dev: "/dev".into(), swaps: "/proc/swaps".into() }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// USB host controllers, by their place.
    pub controllers: Vec<Controller>,
    /// Every port of every slot, in their order.
    pub ports: Vec<PortFact>,
    /// Room where the station keeps its records; none if the system does not say.
    pub disk: Option<Disk>,
    /// Swap areas on disks.
    pub swaps: Vec<String>,
    /// Whether there is a TPM 2.0 for keys.
    pub tpm: bool,
    /// What the station itself knows; none for one whose records cannot be opened.
    pub station: Option<StationFacts>,
}

/// A port of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFact {
    /// The slot.
    pub slot: u32,
    /// The port.
    pub port: Port,
    /// What is there.
    pub found: Found,
}

/// What is at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A simulated board's probe: no device of this machine.
    Elsewhere,
    /// Nothing.
    Nothing,
    /// A device whose node this user may read and write.
    Usable(PathBuf),
    /// A device whose node this user may not read or write.
    Forbidden(PathBuf),
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes this user may still fill.
    pub free_bytes: u64,
}

/// What the station itself knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StationFacts {
    /// The system's clock jumped further than is believed.
    pub clock_jumped: bool,
    /// The hub, as of the last round.
    pub hub: HubState,
}
