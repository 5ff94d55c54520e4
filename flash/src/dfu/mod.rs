//! The back end for USB DFU: ST's DfuSe over any port, and plain DFU 1.1 as a conversation.
//!
//! Owns one slot, which is one USB port by its place in the tree ([`UsbPath`]), and the device that
//! was identified in it until it leaves. The protocol ([`Talk`]) is ours: it reads every segment of
//! a memory map, honours every poll time, and compares every byte.
//!
//! Leaves to others: who may flash what; the deadline of a whole step (transfers and busy devices
//! have their own here). Promises as [`crate`]. A unique id comes from the chip's memory or not at
//! all: the loader's serial number is folded from it, repeats, and is only ever [`Identity::weak`].

mod descriptor;
mod error;
mod file;
mod map;
mod path;
mod profile;
mod socket;
mod status;
mod talk;
mod usb;
mod visit;
mod wire;

use std::time::Duration;

use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, Step, UnlockApproval,
    VerifyReport, Via,
};
use crate::chip::{Chip, RegionKind};
use crate::error::FlashError;
use crate::identity::Identity;
use crate::listen::{Heard, Listener};
use crate::plan::Plan;
use visit::{Trouble, Visit, ms};

pub use descriptor::{Alternate, DescriptorError, Function, Functional, Mode};
pub use error::{DfuError, Doing};
pub use file::{Contents, DfuFile, Element, FileError, Suffix, checksum};
pub use map::{Access, MapError, MemoryMap, Stretch};
pub use path::UsbPath;
pub use profile::{DFU_PROFILES, DfuProfile, profile};
pub use status::{State, Status, StatusCode};
pub use talk::{Language, TRANSFER_WITHIN, Talk, describe, language, text};
pub use usb::{UsbPort, UsbWire};
pub use wire::{Port, Setup, Sighting, Transport, UsbFault, Waiter, WallTime};

/// Time for a device to come back on the bus as something else.
const RETURN_WITHIN: Duration = Duration::from_secs(5);
/// Time for a device that erases itself whole before it comes back.
const UNPROTECT_WITHIN: Duration = Duration::from_secs(90);
/// Time for a device to leave DFU mode.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// A plug that is being pushed in enumerates more than once: a device that has not been there for
/// so long is not there yet. It also gives udev the time to set its access rights.
const STEADY_FOR: Duration = Duration::from_millis(100);
/// Between two looks into the port.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// One slot and the DFU device in it.
pub struct DfuBackend<P: Port, W> {
    port: P,
    time: W,
    visit: Option<Visit<P::Wire>>,
    locked: bool,
    /// The enumeration in the port, and since when.
    seen: Option<(u8, Duration)>,
    /// The device of the last visit, once its program was started.
    released: Option<Released>,
}

/// A device that runs its program: it may show on USB as that, or not at all.
struct Released {
    /// Vendor and product id of its loader.
    loader: (u16, u16),
    /// Its program was seen in the port.
    shown: bool,
}

/// A device in DFU mode with its memory chosen.
struct Entered<T> {
    talk: Talk<T>,
    sighting: Sighting,
    map: MemoryMap,
    /// The loader's serial number: two boards may carry the same one.
    serial: Option<String>,
}

fn usb(doing: Doing) -> impl Fn(UsbFault) -> DfuError {
    move |fault| DfuError::Usb { doing, fault }
}

impl DfuBackend<UsbPort, WallTime> {
    /// Takes a physical port of this machine; opens nothing yet.
    ///
    /// # Errors
    /// [`FlashError::Driver`] if this machine has no USB.
    pub fn at(path: UsbPath) -> Result<Self, FlashError> {
        let name = path.to_string();
        let port = UsbPort::new(path)
            .map_err(|fault| usb(Doing::Open)(fault).into_flash(Step::Contact, &name))?;
        Ok(Self::new(port, WallTime::default()))
    }
}

impl<P: Port, W: Waiter> DfuBackend<P, W> {
    /// Takes a port; opens nothing yet.
    pub fn new(port: P, time: W) -> Self {
        Self { port, time, visit: None, locked: false, seen: None, released: None }
    }

    fn failed(&self, during: Step) -> impl Fn(DfuError) -> FlashError + use<P, W> {
        let port = self.port.name();
        move |error| error.into_flash(during, &port)
    }

    fn visit(&mut self, wanted: Step) -> Result<(&mut Visit<P::Wire>, &mut W), FlashError> {
        match &mut self.visit {
            Some(visit) => Ok((visit, &mut self.time)),
            None if self.locked => Err(FlashError::Locked),
            None => Err(FlashError::NotIdentified { wanted }),
        }
    }

    /// Ends a step of the visit; a device that is gone ends the visit.
    fn settle<T>(&mut self, result: Result<T, Trouble>) -> Result<T, FlashError> {
        let error = match result {
            Ok(done) => return Ok(done),
            Err(Trouble::Dfu(error, during)) => self.failed(during)(error),
            Err(Trouble::Fact(error)) => error,
        };
        if let FlashError::Silent { .. } = error {
            self.visit = None;
        }
        Err(error)
    }

    fn look(&mut self) -> Result<Option<Sighting>, DfuError> {
        self.port.look().map_err(usb(Doing::Open))
    }

    /// Waits until the port holds another enumeration than `old`, and it can be opened.
    fn await_return(
        &mut self,
        old: Sighting,
        within: Duration,
    ) -> Result<(P::Wire, Sighting), DfuError> {
        let begun = self.time.now();
        loop {
            let over = self.time.now().saturating_sub(begun) > within;
            match self.look()? {
                Some(found) if found.address != old.address => match self.port.open() {
                    Ok(wire) => return Ok((wire, found)),
                    // Access rights come a moment after the device.
                    Err(UsbFault::Denied | UsbFault::Busy | UsbFault::Gone) if !over => {}
                    Err(fault) => return Err(usb(Doing::Open)(fault)),
                },
                Some(_) | None if over => {
                    return Err(usb(Doing::Open)(UsbFault::Gone));
                }
                Some(_) | None => {}
            }
            self.time.wait(LOOK_EVERY);
        }
    }

    /// Opens what is in the port, in DFU mode: a running program is told to detach.
    fn open(&mut self) -> Result<(P::Wire, Function, Sighting), DfuError> {
        let sighting = self.look()?.ok_or_else(|| usb(Doing::Open)(UsbFault::Gone))?;
        let mut wire = self.port.open().map_err(usb(Doing::Open))?;
        let function = describe(&mut wire)?;
        if function.mode == Mode::Dfu {
            return Ok((wire, function, sighting));
        }
        let setting = function.alternates.first().map_or(0, |first| first.setting);
        Talk::begin(wire, function, setting)?.detach()?;
        let (mut wire, sighting) = self.await_return(sighting, RETURN_WITHIN)?;
        let function = describe(&mut wire)?;
        match function.mode {
            Mode::Dfu => Ok((wire, function, sighting)),
            Mode::RunTime => {
                Err(DfuError::OutOfStep { doing: Doing::Detach, found: State::AppIdle })
            }
        }
    }

    /// Opens the loader and chooses the memory that holds the profile's flash.
    fn enter(&mut self, chip: &'static Chip, during: Step) -> Result<Entered<P::Wire>, FlashError> {
        let profile = profile(chip.name)
            .ok_or_else(|| FlashError::UnknownChip { chip: chip.name.to_owned() })?;
        let failed = self.failed(during);
        let wrong = |found: String| FlashError::WrongChip { wanted: chip.name.to_owned(), found };
        let (mut wire, function, sighting) = self.open().map_err(&failed)?;
        if (sighting.vendor, sighting.product) != profile.loader {
            return Err(wrong(format!("USB {:04x}:{:04x}", sighting.vendor, sighting.product)));
        }
        if !function.functional.is_dfuse() {
            return Err(wrong("a DFU device without addresses".to_owned()));
        }
        let language = language(&mut wire).map_err(&failed)?;
        let mut names = Vec::new();
        let mut unread = None;
        let mut chosen = None;
        for alternate in &function.alternates {
            let name = text(&mut wire, language, alternate.name_index).map_err(&failed)?;
            match MemoryMap::read(name.as_deref().unwrap_or_default()) {
                Ok(map) => {
                    names.push(map.name.clone());
                    let page = map.page(chip.flash_start());
                    if page.is_some_and(|(_, access)| access.writable) {
                        chosen = Some((alternate.setting, map));
                        break;
                    }
                }
                Err(error) => unread = Some(error),
            }
        }
        let Some((setting, map)) = chosen else {
            return Err(match unread {
                Some(error) => failed(DfuError::Map(error)),
                None => wrong(format!("memories {}", names.join(", "))),
            });
        };
        let code = chip.regions.iter().filter(|region| region.kind == RegionKind::Code);
        if code.clone().any(|region| map.pages(region.start..region.end()).is_err()) {
            let kib = map.writable_bytes() / 1024;
            return Err(wrong(format!("{} with {kib} KiB", map.name)));
        }
        let serial = text(&mut wire, language, sighting.serial_index).map_err(&failed)?;
        let mut talk = Talk::begin(wire, function, setting).map_err(&failed)?;
        talk.settle(&mut self.time).map_err(&failed)?;
        Ok(Entered { talk, sighting, map, serial })
    }

    /// The unique id, or `None` if this loader does not show it.
    fn read_uid(
        &mut self,
        talk: &mut Talk<P::Wire>,
        chip: &Chip,
    ) -> Result<Option<Vec<u32>>, DfuError> {
        // One upload from the first word to the last: on families that spread them, what lies
        // between is thrown away.
        let words = chip.uid.words();
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return Ok(None);
        };
        let mut held = vec![0; usize::try_from(last + 4 - first).unwrap_or(0)];
        match talk.read(*first, &mut held, &mut self.time) {
            Ok(()) => Ok(Some(
                words
                    .iter()
                    .filter_map(|word| {
                        let at = usize::try_from(word - first).ok()?;
                        Some(u32::from_le_bytes(held.get(at..at + 4)?.try_into().ok()?))
                    })
                    .collect(),
            )),
            Err(DfuError::Refused { .. } | DfuError::Short { .. }) => {
                talk.settle(&mut self.time)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn leave(&mut self, during: Step) -> Result<(), FlashError> {
        let (visit, time) = self.visit(during)?;
        let (old, start) = (visit.sighting, visit.flash_start);
        let left = visit.talk.make_ready(time).and_then(|()| visit.talk.leave(start, time));
        self.settle(left.map_err(|error| Trouble::Dfu(error, during)))?;
        // The device is let go, so that the system can take it off the bus.
        self.visit = None;
        self.await_leaving(old).map_err(self.failed(during))?;
        self.released = Some(Released { loader: (old.vendor, old.product), shown: false });
        Ok(())
    }

    fn await_leaving(&mut self, old: Sighting) -> Result<(), DfuError> {
        let begun = self.time.now();
        loop {
            match self.look()? {
                None => return Ok(()),
                Some(found) if found.address != old.address => {
                    let back = (found.vendor, found.product) == (old.vendor, old.product);
                    return if back { Err(DfuError::LeaveIgnored) } else { Ok(()) };
                }
                Some(_) if self.time.now().saturating_sub(begun) > LEAVE_WITHIN => {
                    return Err(DfuError::LeaveIgnored);
                }
                Some(_) => self.time.wait(LOOK_EVERY),
            }
        }
    }
}

impl<P: Port, W: Waiter> Backend for DfuBackend<P, W> {
    /// A device that stays in the port is a board; it is not opened. Asking costs two small files of
    /// the system's and no USB traffic, so the port is asked rather than waited on: kernel events do
    /// not reach a confined service, and whoever misses one believes in a board that left.
    fn contact(&mut self) -> Result<Contact, FlashError> {
        if self.visit.is_some() {
            return Ok(match self.presence()? {
                Presence::Still => Contact::Board,
                Presence::Gone => Contact::Nothing,
            });
        }
        let found = self.look().map_err(self.failed(Step::Contact))?;
        let now = self.time.now();
        self.seen = found.map(|found| match self.seen {
            Some((address, since)) if address == found.address => (address, since),
            _ => (found.address, now),
        });
        let steady = self.seen.is_some_and(|(_, since)| now.saturating_sub(since) >= STEADY_FOR);
        Ok(if steady { Contact::Board } else { Contact::Nothing })
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        let during = Step::Identify;
        (self.visit, self.locked, self.released) = (None, false, None);
        let entered = self.enter(chip, during)?;
        let failed = self.failed(during);
        let Entered { mut talk, sighting, map, serial } = entered;
        let family = chip.family.to_owned();
        let mut first = [0; 4];
        match talk.read(chip.flash_start(), &mut first, &mut self.time) {
            Ok(()) => {}
            Err(error) if talk::is_read_protected(&error) => {
                self.locked = true;
                return Ok(Identity {
                    family,
                    part: String::new(),
                    uid: None,
                    weak: serial,
                    locked: true,
                });
            }
            Err(error) => return Err(failed(error)),
        }
        let uid = self.read_uid(&mut talk, chip).map_err(&failed)?;
        // A code is bound to these bytes for ever: they are read twice.
        if uid != self.read_uid(&mut talk, chip).map_err(&failed)? {
            let detail = "the unique id read differently the second time".to_owned();
            return Err(FlashError::Driver { during, detail });
        }
        let uid = uid.map(|words| chip.uid.judge(&words)).transpose()?;
        let weak = if uid.is_none() { serial } else { None };
        let part = format!("{} {} KiB", map.name, map.writable_bytes() / 1024);
        let flash_start = chip.flash_start();
        self.visit = Some(Visit { talk, chip, flash_start, map, sighting });
        Ok(Identity { family, part, uid, weak, locked: false })
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        let (visit, time) = self.visit(Step::Read)?;
        let read = visit.talk.make_ready(time).and_then(|()| visit.talk.read(address, into, time));
        self.settle(read.map_err(|error| Trouble::Dfu(error, Step::Read)))
    }

    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        let (visit, time) = self.visit(Step::Program)?;
        let done = visit.program(plan, time, on_progress);
        self.settle(done)
    }

    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        let (visit, time) = self.visit(Step::Verify)?;
        let done = visit.compare(plan, time, on_progress);
        self.settle(done)
    }

    /// Over a UART only: the USB line is gone with the loader.
    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        let (visit, _) = self.visit(Step::SelfTest)?;
        let Via::Uart { endpoint, baud } = &test.via else {
            let chip = visit.chip.name.to_owned();
            return Err(FlashError::Unsupported { chip, step: Step::SelfTest });
        };
        // Opened before the start, so that not one byte after it is lost.
        let mut channel = Listener::open(endpoint, *baud)?;
        self.leave(Step::SelfTest)?;
        let begun = self.time.now();
        let mut heard = Heard::default();
        loop {
            heard.take(&channel.read_some()?);
            if let Some(line) = heard.line_with(&test.expect) {
                return Ok(line);
            }
            let done_ms = ms(&mut self.time, begun);
            if done_ms >= test.within_ms {
                let (expected, within_ms) = (test.expect.clone(), test.within_ms);
                return Err(match heard.last() {
                    Some(heard) => FlashError::SelfTestDiffered { expected, heard, within_ms },
                    None => FlashError::SelfTestSilent { expected, within_ms },
                });
            }
            on_progress(Progress {
                step: Step::SelfTest,
                done_bytes: done_ms,
                total_bytes: test.within_ms,
            });
        }
    }

    /// Starts the program and waits until the loader has left the bus. Ends the visit.
    fn reset_and_run(&mut self) -> Result<(), FlashError> {
        self.leave(Step::Reset)
    }

    fn protect(&mut self) -> Result<(), FlashError> {
        let (visit, _) = self.visit(Step::Protect)?;
        let chip = visit.chip.name.to_owned();
        Err(FlashError::Unsupported { chip, step: Step::Protect })
    }

    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError> {
        let during = Step::Unlock;
        self.visit = None;
        let mut entered = self.enter(chip, during)?;
        tracing::warn!(record = %approval.record, "taking a chip's read protection away, which erases it whole");
        let failed = self.failed(during);
        entered.talk.read_unprotect().map_err(&failed)?;
        // The device is let go, so that the system can take it off the bus.
        let old = entered.sighting;
        drop(entered);
        self.await_return(old, UNPROTECT_WITHIN).map(drop).map_err(failed)?;
        self.locked = false;
        Ok(())
    }

    /// Before the program runs: the same enumeration is still in the port. Afterwards: its program
    /// is, or nothing was seen since, because a program need not show on USB; a loader is the next
    /// board, or this one started anew.
    fn presence(&mut self) -> Result<Presence, FlashError> {
        if let Some(mut released) = self.released.take() {
            let found = self.look().map_err(self.failed(Step::Presence))?;
            let still = match found {
                None => !released.shown,
                Some(found) => (found.vendor, found.product) != released.loader,
            };
            released.shown |= found.is_some();
            self.released = still.then_some(released);
            return Ok(if still { Presence::Still } else { Presence::Gone });
        }
        let known = self.visit.as_ref().map(|visit| visit.sighting.address);
        let found = self.look().map_err(self.failed(Step::Presence))?;
        let still = match (known, found) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(known), Some(found)) => known == found.address,
        };
        if !still {
            self.visit = None;
        }
        Ok(if still { Presence::Still } else { Presence::Gone })
    }
}
