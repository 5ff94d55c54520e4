//! The device on its bus: descriptors, loader or program, supply, faults.

use std::time::Duration;

use super::levers::{Fault, Lever, Request};
use super::loader::{Answer, Flavour, Loader, LoaderState};
use super::memory::Memory;

/// A control transfer's setup packet (USB 2.0, 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// bmRequestType.
    pub kind: u8,
    /// bRequest.
    pub request: u8,
    /// wValue.
    pub value: u16,
    /// wIndex.
    pub index: u16,
    /// wLength.
    pub length: u16,
}

/// What the program in flash shows on USB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// Nothing: the device leaves the bus.
    Silent,
    /// An interface that can be told to detach into the loader.
    RunTimeDfu {
        /// It leaves the bus by itself; otherwise it waits for a reset.
        will_detach: bool,
        /// Interfaces of other kinds before the DFU one, as a composite device has them.
        behind: u8,
    },
}

/// How the device answers a control request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    In(Vec<u8>),
    Ack,
    Stall,
    Hang,
    Babble,
    Gone,
    /// What came before is delayed by this.
    Late(Duration, Box<Reply>),
}

#[derive(Debug, Clone)]
enum Runs {
    Loader(Loader),
    Program { detached: bool },
    Nothing,
}

/// One board with a USB plug.
#[derive(Debug, Clone)]
pub struct Device {
    memory: Memory,
    flavour: Flavour,
    application: Application,
    serial: String,
    /// The boot strap: power-up runs the loader.
    strapped: bool,
    stays: bool,
    powered: bool,
    runs: Runs,
    /// The alternate setting the host chose; every one but 0 takes and gives no data.
    alternate: u8,
    /// Counts every time the device shows up on the bus anew.
    pub(crate) enumerations: u32,
    levers: Vec<(u32, Lever)>,
    transfers: u64,
}

const LOADER_RELEASE: u16 = 0x2200;

impl Device {
    /// A board that is powered, strapped to its loader, and whose program is silent on USB.
    pub fn new(memory: Memory, serial: &str) -> Self {
        let mut device = Self {
            memory,
            flavour: Flavour::DfuSe,
            application: Application::Silent,
            serial: serial.to_owned(),
            strapped: true,
            stays: false,
            powered: true,
            runs: Runs::Nothing,
            alternate: 0,
            enumerations: 0,
            levers: Vec::new(),
            transfers: 0,
        };
        device.power_up();
        device
    }

    /// The same board with a loader of another flavour.
    #[must_use]
    pub fn with_flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self.power_up();
        self
    }

    /// The same board, running the program it holds.
    #[must_use]
    pub fn running(mut self, application: Application) -> Self {
        (self.application, self.strapped) = (application, false);
        self.power_up();
        self
    }

    /// What its program shows on USB once it runs.
    pub fn set_application(&mut self, application: Application) {
        self.application = application;
    }

    /// Flash and unique id.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Flash and unique id, for a bench instrument.
    pub fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Bytes programmed so far.
    pub fn programmed_bytes(&self) -> u64 {
        self.memory.programmed_bytes
    }

    /// Pages erased so far.
    pub fn erases(&self) -> u64 {
        self.memory.erases
    }

    /// Control transfers answered so far.
    pub fn transfers(&self) -> u64 {
        self.transfers
    }

    /// Pulls a lever; it counts from now.
    pub fn pull(&mut self, lever: Lever) {
        self.levers.push((0, lever));
    }

    /// Lets go of every lever; answers how many were not reached.
    pub fn heal(&mut self) -> usize {
        let levers = std::mem::take(&mut self.levers);
        levers.iter().filter(|(count, lever)| *count < lever.nth).count()
    }

    /// From now on the loader ignores the order to leave.
    pub fn ignore_leave(&mut self) {
        self.stays = true;
        if let Runs::Loader(loader) = &mut self.runs {
            loader.stays = true;
        }
    }

    /// The loader's state, if it runs.
    pub fn loader_state(&self) -> Option<LoaderState> {
        match &self.runs {
            Runs::Loader(loader) => Some(loader.state),
            Runs::Program { .. } | Runs::Nothing => None,
        }
    }

    /// The program in flash runs.
    pub fn runs_its_program(&self) -> bool {
        matches!(self.runs, Runs::Program { .. })
    }

    /// The supply comes back, or comes anew.
    pub fn power_up(&mut self) {
        self.powered = true;
        if self.strapped { self.start_loader() } else { self.start_program() }
    }

    pub(crate) fn power_down(&mut self) {
        (self.powered, self.runs) = (false, Runs::Nothing);
    }

    fn start_loader(&mut self) {
        let mut loader = Loader::new(self.flavour, self.memory.silicon().start);
        loader.stays = self.stays;
        (self.runs, self.alternate) = (Runs::Loader(loader), 0);
        self.enumerations += 1;
    }

    fn start_program(&mut self) {
        // A jump into blank flash ends in a fault handler, and nothing is on the bus.
        self.runs = if self.memory.holds_a_program() {
            Runs::Program { detached: false }
        } else {
            Runs::Nothing
        };
        self.alternate = 0;
        self.enumerations += 1;
    }

    /// The device shows on the bus.
    pub(crate) fn is_on_the_bus(&self) -> bool {
        match self.runs {
            Runs::Loader(_) => self.powered,
            Runs::Program { .. } => self.powered && self.application != Application::Silent,
            Runs::Nothing => false,
        }
    }

    /// idVendor, idProduct, bcdDevice.
    pub(crate) fn ids(&self) -> (u16, u16, u16) {
        match self.runs {
            Runs::Loader(_) | Runs::Nothing => (0x0483, 0xDF11, LOADER_RELEASE),
            Runs::Program { .. } => (0x0483, 0x5740, 0x0100),
        }
    }

    /// Number of the DFU interface.
    fn interface(&self) -> u8 {
        match (&self.runs, self.application) {
            (Runs::Program { .. }, Application::RunTimeDfu { behind, .. }) => behind,
            (Runs::Program { .. } | Runs::Loader(_) | Runs::Nothing, _) => 0,
        }
    }

    /// The host chooses one of the loader's memories.
    pub(crate) fn select(&mut self, alternate: u8) {
        self.alternate = alternate;
    }

    /// The host resets the port. A device that waited for that comes back as another one.
    pub(crate) fn bus_reset(&mut self) {
        match &mut self.runs {
            Runs::Program { detached: true } => self.start_loader(),
            Runs::Loader(loader) if loader.waits_for_reset() => {
                self.strapped = false;
                self.start_program();
            }
            Runs::Loader(_) => self.start_loader(),
            Runs::Program { detached: false } | Runs::Nothing => {}
        }
    }

    fn configuration(&self) -> Vec<u8> {
        let behind = self.interface();
        let (protocol, bits, count) = match (&self.runs, self.flavour, self.application) {
            (Runs::Program { .. }, _, Application::RunTimeDfu { will_detach, .. }) => {
                (1, 0x03 | u8::from(will_detach) << 3, 1)
            }
            (Runs::Program { .. } | Runs::Nothing, _, _) => (1, 0x03, 1),
            (Runs::Loader(_), Flavour::DfuSe, _) => {
                (2, 0x0B, 1 + self.memory.silicon().further_memories.len())
            }
            (Runs::Loader(_), Flavour::Plain { manifestation_tolerant }, _) => {
                (2, 0x03 | u8::from(manifestation_tolerant) << 2, 1)
            }
        };
        let version: u16 = if self.flavour == Flavour::DfuSe { 0x011A } else { 0x0110 };
        let mut body = Vec::new();
        for other in 0..behind {
            body.extend([9, 4, other, 0, 0, 0xFF, 0, 0, 0]);
        }
        for setting in 0..u8::try_from(count).unwrap_or(1) {
            body.extend([9, 4, behind, setting, 0, 0xFE, 1, protocol, 4 + setting]);
        }
        body.extend([9, 0x21, bits, 0xFF, 0]);
        body.extend(self.memory.silicon().transfer_bytes.to_le_bytes());
        body.extend(version.to_le_bytes());
        let total = u16::try_from(9 + body.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut whole = vec![9, 2, total[0], total[1], behind + 1, 1, 0, 0xC0, 50];
        whole.extend(body);
        whole
    }

    fn text(&self, index: u8) -> Option<String> {
        Some(match index {
            1 => "Simulated".to_owned(),
            2 => "DFU loader".to_owned(),
            3 => self.serial.clone(),
            4 if self.flavour == Flavour::DfuSe => self.memory.silicon().map_text(),
            4 => "Firmware".to_owned(),
            more => self.memory.silicon().further_memories.get(usize::from(more) - 5)?.clone(),
        })
    }

    /// The device descriptor of a full-speed device (USB 2.0, 9.6.1).
    fn head(&self) -> Vec<u8> {
        let mut whole = vec![18, 1, 0x00, 0x01, 0, 0, 0, 64];
        let (vendor, product, release) = self.ids();
        whole.extend([vendor, product, release].into_iter().flat_map(u16::to_le_bytes));
        whole.extend([1, 2, 3, 1]);
        whole
    }

    /// Device and configuration descriptor, as the kernel reads them when the device shows up.
    #[cfg(feature = "umockdev")]
    pub(crate) fn descriptors(&self) -> Vec<u8> {
        [self.head(), self.configuration()].concat()
    }

    /// Maker, product, serial number.
    #[cfg(feature = "umockdev")]
    pub(crate) fn texts(&self) -> [String; 3] {
        [1, 2, 3].map(|index| self.text(index).unwrap_or_default())
    }

    fn describe(&self, value: u16) -> Option<Vec<u8>> {
        let [index, kind] = value.to_le_bytes();
        match (kind, index) {
            (1, 0) => Some(self.head()),
            (2, 0) => Some(self.configuration()),
            (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
            (3, index) if index > 0 => {
                let units: Vec<u8> =
                    self.text(index)?.encode_utf16().flat_map(u16::to_le_bytes).collect();
                let mut whole = vec![u8::try_from(units.len() + 2).ok()?, 3];
                whole.extend(units);
                Some(whole)
            }
            _ => None,
        }
    }

    /// One control request.
    pub(crate) fn control(&mut self, setup: Setup, out: &[u8], now: Duration) -> Reply {
        if !self.is_on_the_bus() {
            return Reply::Gone;
        }
        self.transfers += 1;
        match setup.kind {
            0x80 if setup.request == 6 => match self.describe(setup.value) {
                Some(mut bytes) => {
                    bytes.truncate(setup.length.into());
                    Reply::In(bytes)
                }
                None => Reply::Stall,
            },
            0x21 | 0xA1 if self.alternate > 0 && matches!(setup.request, 1 | 2) => Reply::Stall,
            0x21 | 0xA1 if setup.index == u16::from(self.interface()) => {
                match Request::from_number(setup.request) {
                    Some(request) => self.faulted(request, setup, out, now),
                    None => Reply::Stall,
                }
            }
            _ => Reply::Stall,
        }
    }

    fn due(&mut self, request: Request) -> Option<Fault> {
        let mut due = None;
        for (count, lever) in self.levers.iter_mut().filter(|(_, lever)| lever.request == request) {
            *count += 1;
            if *count == lever.nth {
                due = Some(lever.fault);
            }
        }
        due
    }

    fn faulted(&mut self, request: Request, setup: Setup, out: &[u8], now: Duration) -> Reply {
        let Some(fault) = self.due(request) else { return self.class(request, setup, out, now) };
        match fault {
            Fault::Stall => Reply::Stall,
            Fault::Hang => Reply::Hang,
            Fault::Babble => Reply::Babble,
            Fault::Unplug => {
                self.power_down();
                Reply::Gone
            }
            Fault::Delay(late) => {
                let reply = self.class(request, setup, out, now + late);
                Reply::Late(late, Box::new(reply))
            }
            Fault::Status(status) => {
                let reply = self.class(request, setup, out, now);
                if let Runs::Loader(loader) = &mut self.runs {
                    loader.fail(status);
                }
                reply
            }
            Fault::Corrupt if out.is_empty() => {
                bent(self.class(request, setup, out, now), |bytes| {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 0x10;
                })
            }
            Fault::Corrupt => {
                let mut turned = out.to_vec();
                turned[out.len() / 2] ^= 0x10;
                self.class(request, setup, &turned, now)
            }
            Fault::Short => bent(self.class(request, setup, out, now), |bytes| {
                bytes.truncate(bytes.len() / 2);
            }),
        }
    }

    fn class(&mut self, request: Request, setup: Setup, out: &[u8], now: Duration) -> Reply {
        let place = (request, setup.value, setup.length);
        let answer = match &mut self.runs {
            Runs::Loader(loader) => loader.request(&mut self.memory, place, out, now),
            Runs::Program { detached } => {
                let detached_state = u8::from(*detached);
                return match (request, self.application) {
                    (Request::Detach, Application::RunTimeDfu { will_detach: true, .. }) => {
                        self.start_loader();
                        Reply::Ack
                    }
                    (Request::Detach, _) => {
                        *detached = true;
                        Reply::Ack
                    }
                    (Request::GetState, _) => Reply::In(vec![detached_state]),
                    (Request::GetStatus, _) => Reply::In(vec![0, 0, 0, 0, detached_state, 0]),
                    _ => Reply::Stall,
                };
            }
            Runs::Nothing => return Reply::Gone,
        };
        match answer {
            Answer::In(bytes) => Reply::In(bytes),
            Answer::Ack => Reply::Ack,
            Answer::Stall => Reply::Stall,
            Answer::InThenLeave(bytes, address) => {
                if address == self.memory.silicon().start {
                    self.start_program();
                } else {
                    self.runs = Runs::Nothing;
                }
                Reply::In(bytes)
            }
            Answer::InThenReset(bytes) => {
                self.power_up();
                Reply::In(bytes)
            }
            Answer::PowerFailed => {
                self.power_down();
                Reply::Gone
            }
        }
    }
}

fn bent(reply: Reply, bend: impl FnOnce(&mut Vec<u8>)) -> Reply {
    let Reply::In(mut bytes) = reply else { return reply };
    if !bytes.is_empty() {
        bend(&mut bytes);
    }
    Reply::In(bytes)
}
