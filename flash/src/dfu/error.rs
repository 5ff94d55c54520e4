//! What can go wrong while speaking DFU, exactly; and how little of that the station has to know.

use std::fmt;
use std::time::Duration;

use super::descriptor::DescriptorError;
use super::map::MapError;
use super::status::{State, StatusCode};
use super::wire::UsbFault;
use crate::backend::Step;
use crate::error::{FlashError, chain};

/// The request or command that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Looking into the port, opening, claiming, resetting.
    Open,
    /// Reading descriptors.
    Describe,
    /// DFU_GETSTATUS, on its own.
    Status,
    /// DFU_CLRSTATUS.
    ClearStatus,
    /// DFU_ABORT.
    Abort,
    /// DfuSe: set the address pointer.
    SetAddress(u64),
    /// DfuSe: erase the page at this address.
    ErasePage(u64),
    /// DfuSe: erase everything.
    EraseAll,
    /// DfuSe: take the read protection away, which erases everything.
    ReadUnprotect,
    /// A block of data.
    Download {
        /// Where it goes: an address, or an offset into a plain DFU image.
        address: u64,
        /// Its length.
        bytes: u64,
    },
    /// Reading back from this address.
    Upload(u64),
    /// Starting the new program.
    Leave,
    /// DFU_DETACH to a running program.
    Detach,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("opening"),
            Self::Describe => f.write_str("reading descriptors"),
            Self::Status => f.write_str("asking for the status"),
            Self::ClearStatus => f.write_str("clearing the status"),
            Self::Abort => f.write_str("aborting"),
            Self::SetAddress(address) => write!(f, "setting the address {address:#010x}"),
            Self::ErasePage(address) => write!(f, "erasing the page at {address:#010x}"),
            Self::EraseAll => f.write_str("erasing everything"),
            Self::ReadUnprotect => f.write_str("taking the read protection away"),
            Self::Download { address, bytes } => {
                write!(f, "writing {bytes} bytes at {address:#010x}")
            }
            Self::Upload(address) => write!(f, "reading at {address:#010x}"),
            Self::Leave => f.write_str("leaving DFU mode"),
            Self::Detach => f.write_str("detaching the running program"),
        }
    }
}

/// A failed exchange with a DFU device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DfuError {
    /// A transfer failed and the device says nothing about why.
    #[error("{doing} failed")]
    Usb {
        /// What was under way.
        doing: Doing,
        /// How it failed.
        #[source]
        fault: UsbFault,
    },
    /// Fewer bytes came than have to.
    #[error("{doing}: {found} bytes came instead of {wanted}")]
    Short {
        /// What was under way.
        doing: Doing,
        /// Bytes asked for.
        wanted: usize,
        /// Bytes that came.
        found: usize,
    },
    /// The device went into dfuERROR.
    #[error("{doing}: the device reports {code}")]
    Refused {
        /// What was under way.
        doing: Doing,
        /// Its status.
        code: StatusCode,
    },
    /// The device stands where this step cannot begin or end.
    #[error("{doing}: the device is in {found}")]
    OutOfStep {
        /// What was under way.
        doing: Doing,
        /// Its state.
        found: State,
    },
    /// The status names a state that does not exist.
    #[error("{doing}: the device's status makes no sense")]
    BadStatus {
        /// What was under way.
        doing: Doing,
    },
    /// The device stays busy, or asks for more time than the step may have.
    #[error("{doing}: the device was busy for longer than {} ms", limit.as_millis())]
    Overdue {
        /// What was under way.
        doing: Doing,
        /// The time it had.
        limit: Duration,
    },
    /// The device was told to start its program and is still in DFU mode.
    #[error("the device ignores the order to leave")]
    LeaveIgnored,
    /// Its descriptors cannot be read as those of a DFU device.
    #[error("the device's descriptors are not those of a DFU device")]
    Descriptor(#[source] DescriptorError),
    /// The name of an alternate setting is no memory map.
    #[error("the device's memory map cannot be read")]
    Map(#[source] MapError),
    /// The device's map has no such memory, or does not allow this there.
    #[error("{doing}: the device's memory map does not allow that at {address:#010x}")]
    NotAllowed {
        /// What was wanted.
        doing: Doing,
        /// First address where it is not allowed.
        address: u64,
    },
    /// The functional descriptor lacks the ability.
    #[error("{doing}: the device cannot do that")]
    CannotDo {
        /// What was wanted.
        doing: Doing,
    },
}

impl DfuError {
    /// The fact as the station takes it. `port` names the slot's port.
    ///
    /// A timeout and a device that left are [`FlashError::Silent`]; a refused page is
    /// [`FlashError::EraseFailed`] and a refused block [`FlashError::WriteFailed`], each with
    /// bStatus as the code; errVENDOR is what STM32 loaders answer on a read-protected chip:
    /// [`FlashError::Locked`]. A device that stays busy or does not leave is
    /// [`FlashError::CoreStuck`]. Stall without a status, short answers, babble, and states out of
    /// step are [`FlashError::Driver`] with the words.
    pub fn into_flash(self, during: Step, port: &str) -> FlashError {
        let detail = chain(&self);
        match self {
            Self::Usb { fault: UsbFault::Timeout | UsbFault::Gone, .. } => {
                FlashError::Silent { during, detail }
            }
            Self::Usb { fault: UsbFault::Denied, .. } => {
                FlashError::PermissionDenied { what: port.to_owned(), detail }
            }
            Self::Usb { fault: UsbFault::Busy, .. } => {
                FlashError::ProbeBusy { what: port.to_owned(), detail }
            }
            Self::Refused { code: StatusCode::VENDOR, .. } => FlashError::Locked,
            Self::Refused { doing: Doing::ErasePage(address), code } => {
                FlashError::EraseFailed { address, code: code.0.into() }
            }
            Self::Refused { doing: Doing::Download { address, bytes }, code } => {
                FlashError::WriteFailed { address, bytes, code: code.0.into() }
            }
            Self::NotAllowed { doing, address } => {
                FlashError::OutOfRange { what: doing.to_string(), address, bytes: 1 }
            }
            Self::Overdue { .. } | Self::LeaveIgnored => FlashError::CoreStuck { during, detail },
            Self::Usb { fault: UsbFault::Stall | UsbFault::Babble | UsbFault::Host(_), .. }
            | Self::Short { .. }
            | Self::Refused { .. }
            | Self::OutOfStep { .. }
            | Self::BadStatus { .. }
            | Self::Descriptor(_)
            | Self::Map(_)
            | Self::CannotDo { .. } => FlashError::Driver { during, detail },
        }
    }
}
