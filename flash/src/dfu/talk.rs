//! The conversation with one DFU device: requests, statuses, commands, blocks.
//!
//! Owns the protocol (DFU 1.1, chapter 6; DfuSe as ST's AN3156 and UM0424 tell it) over any
//! [`Transport`]. After every block the device is asked for its status until it has finished, never
//! before the time it named. Every wait ends: a transfer after [`TRANSFER_WITHIN`], a busy device
//! after the step's own limit.
//!
//! Leaves to others: which pages, which bytes, and whether the device really went away.

use std::time::Duration;

use zeroize::Zeroizing;

use super::descriptor::{self, Function};
use super::error::{DfuError, Doing};
use super::status::{State, Status, StatusCode};
use super::wire::{Setup, Transport, UsbFault, Waiter};

/// One control transfer. STM32 loaders stand still while their flash is erased.
pub const TRANSFER_WITHIN: Duration = Duration::from_secs(5);
/// One page of at most 256 KiB (STM32F4 data sheets: 128 KiB in 4 s at the lowest supply).
const PAGE_ERASE_LIMIT: Duration = Duration::from_secs(10);
/// The whole chip (STM32F4 data sheets: 2 MiB in 64 s at the lowest supply).
const WHOLE_ERASE_LIMIT: Duration = Duration::from_secs(90);
/// One block, one command, or the way back to dfuIDLE.
const SHORT_LIMIT: Duration = Duration::from_secs(5);
/// The start of a new program on a device that stays on the bus.
const MANIFEST_LIMIT: Duration = Duration::from_secs(30);
/// A device that names no time is asked again at once so many times,
const ASKED_AT_ONCE: u32 = 4;
/// and then after this.
const POLL_LEAST: Duration = Duration::from_millis(1);
/// The Linux kernel refuses longer control transfers from programs by default.
const BLOCK_BYTES_MAX: usize = 4096;
/// Before a device that just refused to tell its status is asked again.
const STALL_PAUSE: Duration = Duration::from_millis(10);
/// A look at the start of a long page, where that may be enough: one packet at full speed.
pub(super) const GLANCE_BYTES: usize = 64;
/// Requests that lead any state back to dfuIDLE.
const SETTLE_TURNS: usize = 8;

const TO_INTERFACE: u8 = 0x21;
const FROM_INTERFACE: u8 = 0xA1;
const FROM_DEVICE: u8 = 0x80;

const DETACH: u8 = 0;
const DNLOAD: u8 = 1;
const UPLOAD: u8 = 2;
const GETSTATUS: u8 = 3;
const CLRSTATUS: u8 = 4;
const GETSTATE: u8 = 5;
const ABORT: u8 = 6;
const GET_DESCRIPTOR: u8 = 6;

const SET_ADDRESS: u8 = 0x21;
const ERASE: u8 = 0x41;
const READ_UNPROTECT: u8 = 0x92;

/// Blocks 0 and 1 do not carry data in DfuSe.
const FIRST_DATA_BLOCK: u16 = 2;

/// A device whose DFU interface is known and selected.
pub struct Talk<T> {
    wire: T,
    function: Function,
    /// It is known to wait for a command: in dfuIDLE or dfuDNLOAD-IDLE, by its own answer.
    waits: bool,
}

/// The language a device's texts are asked for in: its first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(u16);

/// Reads the descriptors of a device that was just opened.
///
/// # Errors
/// [`DfuError::Usb`], [`DfuError::Short`], [`DfuError::Descriptor`].
pub fn describe<T: Transport>(wire: &mut T) -> Result<Function, DfuError> {
    const HEAD_BYTES: usize = 9;
    let doing = Doing::Describe;
    let setup = Setup { kind: FROM_DEVICE, request: GET_DESCRIPTOR, value: 0x0200, index: 0 };
    // Most come whole with the first question.
    let mut first = [0; 255];
    let found = wire
        .control_in(setup, &mut first, TRANSFER_WITHIN)
        .map_err(|fault| DfuError::Usb { doing, fault })?;
    if found < HEAD_BYTES {
        return Err(DfuError::Short { doing, wanted: HEAD_BYTES, found });
    }
    let length = usize::from(u16::from_le_bytes([first[2], first[3]]));
    if length <= found {
        return Function::read(&first[..length]).map_err(DfuError::Descriptor);
    }
    let mut bytes = vec![0; length.min(BLOCK_BYTES_MAX)];
    whole(wire, setup, &mut bytes, doing)?;
    Function::read(&bytes).map_err(DfuError::Descriptor)
}

/// The first language of the device's texts; `None` if it has no texts.
///
/// # Errors
/// [`DfuError::Usb`].
pub fn language<T: Transport>(wire: &mut T) -> Result<Option<Language>, DfuError> {
    Ok(match string(wire, 0, 0)?[..] {
        [_, 3, low, high, ..] => Some(Language(u16::from_le_bytes([low, high]))),
        _ => None,
    })
}

/// A text of the device; `None` if it has none with this index.
///
/// # Errors
/// [`DfuError::Usb`].
pub fn text<T: Transport>(
    wire: &mut T,
    language: Option<Language>,
    index: u8,
) -> Result<Option<String>, DfuError> {
    match language {
        Some(Language(language)) if index > 0 => {
            Ok(descriptor::text(&string(wire, index, language)?))
        }
        Some(_) | None => Ok(None),
    }
}

/// A string descriptor; empty if the device has none with this index.
fn string<T: Transport>(wire: &mut T, number: u8, index: u16) -> Result<Vec<u8>, DfuError> {
    let value = 0x0300 | u16::from(number);
    let setup = Setup { kind: FROM_DEVICE, request: GET_DESCRIPTOR, value, index };
    let mut bytes = [0; 255];
    match wire.control_in(setup, &mut bytes, TRANSFER_WITHIN) {
        Ok(count) => Ok(bytes[..count].to_vec()),
        Err(UsbFault::Stall) => Ok(Vec::new()),
        Err(fault) => Err(DfuError::Usb { doing: Doing::Describe, fault }),
    }
}

fn whole<T: Transport>(
    wire: &mut T,
    setup: Setup,
    into: &mut [u8],
    doing: Doing,
) -> Result<(), DfuError> {
    let wanted = into.len();
    match wire.control_in(setup, into, TRANSFER_WITHIN) {
        Ok(found) if found == wanted => Ok(()),
        Ok(found) => Err(DfuError::Short { doing, wanted, found }),
        Err(fault) => Err(DfuError::Usb { doing, fault }),
    }
}

impl<T: Transport> Talk<T> {
    /// Claims the DFU interface with one of its memories.
    ///
    /// # Errors
    /// [`DfuError::Usb`].
    pub fn begin(mut wire: T, function: Function, alternate: u8) -> Result<Self, DfuError> {
        wire.select(function.interface, alternate)
            .map_err(|fault| DfuError::Usb { doing: Doing::Open, fault })?;
        Ok(Self { wire, function, waits: false })
    }

    /// What the device said about itself.
    pub fn function(&self) -> &Function {
        &self.function
    }

    fn send(
        &mut self,
        request: u8,
        value: u16,
        bytes: &[u8],
        doing: Doing,
    ) -> Result<(), DfuError> {
        let setup =
            Setup { kind: TO_INTERFACE, request, value, index: self.function.interface.into() };
        self.waits = false;
        self.wire
            .control_out(setup, bytes, TRANSFER_WITHIN)
            .map_err(|fault| self.after(fault, doing))
    }

    /// What a failed transfer means: a device that stalls usually says why when asked.
    fn after(&mut self, fault: UsbFault, doing: Doing) -> DfuError {
        if fault == UsbFault::Stall
            && let Ok(Status { code, state: State::Error, .. }) = self.status(doing)
        {
            return DfuError::Refused { doing, code };
        }
        DfuError::Usb { doing, fault }
    }

    /// DFU_GETSTATUS. The caller waits for the time in the answer before it asks again.
    ///
    /// # Errors
    /// [`DfuError::Usb`], [`DfuError::Short`], [`DfuError::BadStatus`].
    pub fn status(&mut self, doing: Doing) -> Result<Status, DfuError> {
        let index = self.function.interface.into();
        let setup = Setup { kind: FROM_INTERFACE, request: GETSTATUS, value: 0, index };
        let mut bytes = [0; Status::BYTES];
        whole(&mut self.wire, setup, &mut bytes, doing)?;
        Status::read(bytes).ok_or(DfuError::BadStatus { doing })
    }

    /// DFU_GETSTATE: looks without changing anything.
    ///
    /// # Errors
    /// [`DfuError::Usb`], [`DfuError::Short`], [`DfuError::BadStatus`].
    pub fn state(&mut self) -> Result<State, DfuError> {
        let index = self.function.interface.into();
        let setup = Setup { kind: FROM_INTERFACE, request: GETSTATE, value: 0, index };
        let mut byte = [0];
        whole(&mut self.wire, setup, &mut byte, Doing::Status)?;
        State::from_number(byte[0]).ok_or(DfuError::BadStatus { doing: Doing::Status })
    }

    /// DFU_CLRSTATUS, only right in dfuERROR.
    ///
    /// # Errors
    /// [`DfuError::Usb`].
    pub fn clear_status(&mut self) -> Result<(), DfuError> {
        self.send(CLRSTATUS, 0, &[], Doing::ClearStatus)
    }

    /// DFU_ABORT: back to dfuIDLE from any waiting state.
    ///
    /// # Errors
    /// [`DfuError::Usb`], [`DfuError::Refused`].
    pub fn abort(&mut self) -> Result<(), DfuError> {
        self.send(ABORT, 0, &[], Doing::Abort)?;
        self.waits = true;
        Ok(())
    }

    /// Leads the device to where it takes a command, from wherever an earlier visit left it. One
    /// that said so at the end of its last request is not asked.
    ///
    /// # Errors
    /// As [`Talk::settle`].
    pub fn make_ready(&mut self, time: &mut dyn Waiter) -> Result<(), DfuError> {
        if self.waits { Ok(()) } else { self.settle(time) }
    }

    /// Leads the device to dfuIDLE from wherever an earlier visit left it.
    ///
    /// # Errors
    /// [`DfuError::OutOfStep`] if it cannot get there, [`DfuError::Overdue`], transfer errors.
    pub fn settle(&mut self, time: &mut dyn Waiter) -> Result<(), DfuError> {
        let doing = Doing::Status;
        let begun = time.now();
        let mut found = State::Error;
        for _ in 0..SETTLE_TURNS {
            let status = match self.status(doing) {
                // It is still busy for a host that is gone, refuses, and is in dfuERROR now.
                Err(DfuError::Usb { fault: UsbFault::Stall, .. }) => {
                    time.wait(STALL_PAUSE);
                    continue;
                }
                status => status?,
            };
            found = status.state;
            match found {
                State::Idle => {
                    self.waits = true;
                    return Ok(());
                }
                State::Error => self.clear_status()?,
                State::DownloadBusy => {
                    self.pause(status.poll, ASKED_AT_ONCE, (begun, SHORT_LIMIT), doing, time)?;
                }
                State::DownloadSync
                | State::DownloadIdle
                | State::UploadIdle
                | State::ManifestSync => self.abort()?,
                State::AppIdle | State::AppDetach | State::Manifest | State::ManifestWaitReset => {
                    break;
                }
            }
        }
        Err(DfuError::OutOfStep { doing, found })
    }

    fn pause(
        &mut self,
        poll: Duration,
        asked: u32,
        (begun, limit): (Duration, Duration),
        doing: Doing,
        time: &mut dyn Waiter,
    ) -> Result<(), DfuError> {
        let poll = if poll.is_zero() && asked >= ASKED_AT_ONCE { POLL_LEAST } else { poll };
        if (time.now() + poll).saturating_sub(begun) > limit {
            return Err(DfuError::Overdue { doing, limit });
        }
        time.wait(poll);
        Ok(())
    }

    /// Asks until the device has done what it was just sent.
    fn finish(
        &mut self,
        limit: Duration,
        doing: Doing,
        time: &mut dyn Waiter,
    ) -> Result<(), DfuError> {
        let begun = time.now();
        let mut asked = 0;
        loop {
            let status = match self.status(doing) {
                Err(DfuError::Usb { fault, .. }) => return Err(self.after(fault, doing)),
                status => status?,
            };
            asked += 1;
            match status.state {
                State::DownloadIdle => {
                    self.waits = true;
                    return Ok(());
                }
                State::DownloadBusy | State::DownloadSync => {
                    self.pause(status.poll, asked, (begun, limit), doing, time)?;
                }
                State::Error => return Err(DfuError::Refused { doing, code: status.code }),
                found @ (State::AppIdle
                | State::AppDetach
                | State::Idle
                | State::ManifestSync
                | State::Manifest
                | State::ManifestWaitReset
                | State::UploadIdle) => return Err(DfuError::OutOfStep { doing, found }),
            }
        }
    }

    fn command(
        &mut self,
        bytes: &[u8],
        limit: Duration,
        doing: Doing,
        time: &mut dyn Waiter,
    ) -> Result<(), DfuError> {
        self.send(DNLOAD, 0, bytes, doing)?;
        self.finish(limit, doing, time)
    }

    /// DfuSe: sets the address pointer.
    ///
    /// # Errors
    /// [`DfuError::Refused`] for an address the device does not have, transfer errors.
    pub fn set_address(&mut self, address: u64, time: &mut dyn Waiter) -> Result<(), DfuError> {
        let doing = Doing::SetAddress(address);
        self.command(&addressed(SET_ADDRESS, address, doing)?, SHORT_LIMIT, doing, time)
    }

    /// DfuSe: erases the page that holds `address`.
    ///
    /// # Errors
    /// [`DfuError::Refused`], [`DfuError::Overdue`], transfer errors.
    pub fn erase_page(&mut self, address: u64, time: &mut dyn Waiter) -> Result<(), DfuError> {
        let doing = Doing::ErasePage(address);
        self.command(&addressed(ERASE, address, doing)?, PAGE_ERASE_LIMIT, doing, time)
    }

    /// DfuSe: erases all of the flash.
    ///
    /// # Errors
    /// As [`Talk::erase_page`].
    pub fn erase_all(&mut self, time: &mut dyn Waiter) -> Result<(), DfuError> {
        self.command(&[ERASE], WHOLE_ERASE_LIMIT, Doing::EraseAll, time)
    }

    /// DfuSe: takes the read protection away. Everything is erased and the device resets itself.
    /// `Ok` says that the device took the order: look into the port.
    ///
    /// # Errors
    /// [`DfuError::Refused`], [`DfuError::OutOfStep`], transfer errors before it has begun.
    pub fn read_unprotect(&mut self) -> Result<(), DfuError> {
        let doing = Doing::ReadUnprotect;
        self.send(DNLOAD, 0, &[READ_UNPROTECT], doing)?;
        match self.status(doing) {
            Ok(Status { state: State::DownloadBusy, .. })
            // It may reset before it answers; the port tells whether it did.
            | Err(DfuError::Usb { .. }) => Ok(()),
            Ok(Status { state: State::Error, code, .. }) => Err(DfuError::Refused { doing, code }),
            Ok(Status { state: found, .. }) => Err(DfuError::OutOfStep { doing, found }),
            Err(error) => Err(error),
        }
    }

    /// Bytes of one block: the device's, cut to what the host can carry.
    fn block_bytes(&self) -> usize {
        usize::from(self.function.functional.transfer_bytes).min(BLOCK_BYTES_MAX)
    }

    /// Whether block numbers count in steps of what we send; if not, every block is number 2
    /// behind its own address.
    fn counts_blocks(&self) -> bool {
        self.block_bytes() == usize::from(self.function.functional.transfer_bytes)
    }

    /// DfuSe: writes `bytes` from `address` on; erased memory is the caller's care. Blocks of 0xFF
    /// are what erased memory holds, and are not sent. Answers how many bytes were.
    ///
    /// # Errors
    /// [`DfuError::Refused`] with the block, [`DfuError::CannotDo`], transfer errors.
    pub fn download(
        &mut self,
        address: u64,
        bytes: &[u8],
        time: &mut dyn Waiter,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<u64, DfuError> {
        let whole = Doing::Download { address, bytes: bytes.len() as u64 };
        if !self.function.functional.can_download {
            return Err(DfuError::CannotDo { doing: whole });
        }
        let mut sent = 0;
        let mut number = None;
        let mut at = address;
        for block in bytes.chunks(self.block_bytes()) {
            if block.iter().any(|byte| *byte != 0xFF) {
                let now = match number {
                    Some(number) => number,
                    None => {
                        self.set_address(at, time)?;
                        FIRST_DATA_BLOCK
                    }
                };
                let doing = Doing::Download { address: at, bytes: block.len() as u64 };
                self.send(DNLOAD, now, block, doing)?;
                self.finish(SHORT_LIMIT, doing, time)?;
                number = Some(now);
                sent += block.len() as u64;
            }
            // A block's number is its place, sent or not.
            number = number.and_then(|last| last.checked_add(1)).filter(|_| self.counts_blocks());
            at += block.len() as u64;
            on_bytes(block.len() as u64);
        }
        Ok(sent)
    }

    /// DfuSe: reads `bytes` bytes from `address` on, and hands what came with its address to
    /// `on_bytes`, which answers how many bytes behind it need not be read. Whole blocks of those
    /// are left out: a block's number is its place, so that nothing is sent for them. Where
    /// `glances` says so of a block's address, its first 64 bytes are read alone, and the
    /// block, from its start again, only if the rest of it matters. Leaves the device in dfuIDLE.
    ///
    /// # Errors
    /// [`DfuError::Short`], [`DfuError::Refused`], [`DfuError::CannotDo`], transfer errors.
    pub fn upload(
        &mut self,
        address: u64,
        bytes: u64,
        time: &mut dyn Waiter,
        glances: &dyn Fn(u64) -> bool,
        on_bytes: &mut dyn FnMut(u64, &[u8]) -> u64,
    ) -> Result<(), DfuError> {
        if !self.function.functional.can_upload {
            return Err(DfuError::CannotDo { doing: Doing::Upload(address) });
        }
        let mut block = Zeroizing::new(vec![0; self.block_bytes()]);
        let block_bytes = block.len() as u64;
        let mut number = None;
        let (mut at, end) = (address, address.saturating_add(bytes));
        while at < end {
            let now = match number {
                Some(number) => number,
                None => {
                    // Commands belong to a download, uploads begin in dfuIDLE.
                    if at != address {
                        self.abort()?;
                    }
                    self.set_address(at, time)?;
                    self.abort()?;
                    FIRST_DATA_BLOCK
                }
            };
            let whole = usize::try_from(end - at).unwrap_or(usize::MAX).min(block.len());
            let glance = if glances(at) { whole.min(GLANCE_BYTES) } else { whole };
            let mut seen = glance;
            self.upload_block(now, &mut block[..seen], Doing::Upload(at))?;
            let mut done = seen as u64 + on_bytes(at, &block[..seen]);
            if done < whole as u64 {
                seen = whole;
                self.upload_block(now, &mut block[..seen], Doing::Upload(at))?;
                done = seen as u64 + on_bytes(at, &block[..seen]);
            }
            let blocks = (done / block_bytes).max(1);
            let next = u16::try_from(blocks).ok().and_then(|blocks| now.checked_add(blocks));
            number = next.filter(|_| self.counts_blocks());
            at = at.saturating_add(blocks.saturating_mul(block_bytes));
        }
        self.abort()
    }

    /// DfuSe: fills `into` from `address` on. Leaves the device in dfuIDLE.
    ///
    /// # Errors
    /// As [`Talk::upload`].
    pub fn read(
        &mut self,
        address: u64,
        into: &mut [u8],
        time: &mut dyn Waiter,
    ) -> Result<(), DfuError> {
        let bytes = into.len() as u64;
        let mut rest = into;
        self.upload(address, bytes, time, &|_| false, &mut |_, block| {
            // No more comes than was asked for.
            if let Some((now, left)) = std::mem::take(&mut rest).split_at_mut_checked(block.len()) {
                now.copy_from_slice(block);
                rest = left;
            }
            0
        })
    }

    fn upload_block(&mut self, number: u16, into: &mut [u8], doing: Doing) -> Result<(), DfuError> {
        let wanted = into.len();
        let found = self.upload_some(number, into, doing)?;
        if found == wanted { Ok(()) } else { Err(DfuError::Short { doing, wanted, found }) }
    }

    fn upload_some(
        &mut self,
        value: u16,
        into: &mut [u8],
        doing: Doing,
    ) -> Result<usize, DfuError> {
        let index = self.function.interface.into();
        let setup = Setup { kind: FROM_INTERFACE, request: UPLOAD, value, index };
        self.waits = false;
        self.wire.control_in(setup, into, TRANSFER_WITHIN).map_err(|fault| self.after(fault, doing))
    }

    /// DfuSe: starts the program at `address`. `Ok` says that the device took the order, not that
    /// it left: look into the port.
    ///
    /// # Errors
    /// [`DfuError::Refused`], [`DfuError::OutOfStep`], transfer errors other than its leaving.
    pub fn leave(&mut self, address: u64, time: &mut dyn Waiter) -> Result<(), DfuError> {
        let doing = Doing::Leave;
        self.set_address(address, time)?;
        self.send(DNLOAD, FIRST_DATA_BLOCK, &[], doing)?;
        match self.status(doing) {
            Ok(Status { state: State::Manifest | State::ManifestSync, .. })
            // Some loaders jump before they answer; the port tells whether this one did.
            | Err(DfuError::Usb { .. }) => Ok(()),
            Ok(Status { state: State::Error, code, .. }) => Err(DfuError::Refused { doing, code }),
            Ok(Status { state: found, .. }) => Err(DfuError::OutOfStep { doing, found }),
            Err(error) => Err(error),
        }
    }

    /// Tells a running program to go into DFU mode, and resets the port if it waits for that. The
    /// device then enumerates anew.
    ///
    /// # Errors
    /// Transfer errors; a device that left at once is `Ok`.
    pub fn detach(mut self) -> Result<(), DfuError> {
        let doing = Doing::Detach;
        let functional = self.function.functional;
        match self.send(DETACH, functional.detach_ms, &[], doing) {
            Ok(()) if functional.will_detach => Ok(()),
            Ok(()) => {
                self.wire.reset().map_err(|fault| DfuError::Usb { doing: Doing::Open, fault })
            }
            Err(DfuError::Usb { fault: UsbFault::Gone, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Plain DFU 1.1: sends a whole image, ends it, and waits until the device has taken it. A
    /// device that wants a reset afterwards gets it.
    ///
    /// # Errors
    /// [`DfuError::Refused`] with the offset, [`DfuError::CannotDo`], transfer errors.
    pub fn download_image(
        &mut self,
        image: &[u8],
        time: &mut dyn Waiter,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<(), DfuError> {
        let whole = Doing::Download { address: 0, bytes: image.len() as u64 };
        if !self.function.functional.can_download {
            return Err(DfuError::CannotDo { doing: whole });
        }
        self.settle(time)?;
        let mut offset = 0;
        let mut number: u16 = 0;
        for block in image.chunks(self.block_bytes()) {
            let doing = Doing::Download { address: offset, bytes: block.len() as u64 };
            self.send(DNLOAD, number, block, doing)?;
            self.finish(SHORT_LIMIT, doing, time)?;
            number = number.wrapping_add(1);
            offset += block.len() as u64;
            on_bytes(block.len() as u64);
        }
        let doing = Doing::Leave;
        self.send(DNLOAD, number, &[], doing)?;
        let begun = time.now();
        loop {
            let status = match self.status(doing) {
                Ok(status) => status,
                Err(DfuError::Usb { fault: UsbFault::Gone, .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            match status.state {
                State::Idle | State::AppIdle => return Ok(()),
                State::ManifestSync | State::Manifest | State::DownloadBusy => {
                    let limit = (begun, MANIFEST_LIMIT);
                    self.pause(status.poll, ASKED_AT_ONCE, limit, doing, time)?;
                }
                State::ManifestWaitReset => {
                    return self
                        .wire
                        .reset()
                        .map_err(|fault| DfuError::Usb { doing: Doing::Open, fault });
                }
                State::Error => return Err(DfuError::Refused { doing, code: status.code }),
                found @ (State::AppDetach
                | State::DownloadSync
                | State::DownloadIdle
                | State::UploadIdle) => return Err(DfuError::OutOfStep { doing, found }),
            }
        }
    }

    /// Plain DFU 1.1: reads until the device has no more or `into` is full; answers how much came.
    ///
    /// # Errors
    /// [`DfuError::Refused`], [`DfuError::CannotDo`], transfer errors.
    pub fn upload_image(
        &mut self,
        into: &mut [u8],
        time: &mut dyn Waiter,
    ) -> Result<usize, DfuError> {
        if !self.function.functional.can_upload {
            return Err(DfuError::CannotDo { doing: Doing::Upload(0) });
        }
        self.settle(time)?;
        let mut done = 0;
        let mut number: u16 = 0;
        for block in into.chunks_mut(self.block_bytes()) {
            let count = self.upload_some(number, block, Doing::Upload(done as u64))?;
            done += count;
            number = number.wrapping_add(1);
            if count < block.len() {
                break;
            }
        }
        // A short block ended the upload already; an abort in dfuIDLE changes nothing.
        self.abort()?;
        Ok(done)
    }
}

fn addressed(command: u8, address: u64, doing: Doing) -> Result<[u8; 5], DfuError> {
    let short = u32::try_from(address).map_err(|_| DfuError::NotAllowed { doing, address })?;
    let [a, b, c, d] = short.to_le_bytes();
    Ok([command, a, b, c, d])
}

/// A read-protected STM32 answers every read with this.
pub(super) fn is_read_protected(error: &DfuError) -> bool {
    matches!(error, DfuError::Refused { code: StatusCode::VENDOR, .. })
}
