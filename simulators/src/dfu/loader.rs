//! The loader's state machine: DFU 1.1, annex A, with ST's commands behind block 0.
//!
//! Pure: flash and time come in with every request. A request that does not belong into a state is
//! stalled and leads to dfuERROR with errSTALLEDPKT, as the standard has it.

use std::time::Duration;

use super::levers::Request;
use super::memory::{Access, Memory};

/// How the device takes its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// ST's: commands, addresses, leaves when told to.
    DfuSe,
    /// The standard's: one image, block after block.
    Plain {
        /// Goes on speaking once it has everything; otherwise it waits for a reset.
        manifestation_tolerant: bool,
    },
}

/// bState.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoaderState {
    /// dfuIDLE.
    Idle = 2,
    /// dfuDNLOAD-SYNC.
    DnloadSync = 3,
    /// dfuDNBUSY.
    DnBusy = 4,
    /// dfuDNLOAD-IDLE.
    DnloadIdle = 5,
    /// dfuMANIFEST-SYNC.
    ManifestSync = 6,
    /// dfuMANIFEST.
    Manifest = 7,
    /// dfuMANIFEST-WAIT-RESET.
    ManifestWaitReset = 8,
    /// dfuUPLOAD-IDLE.
    UploadIdle = 9,
    /// dfuERROR.
    Error = 10,
}

const OK: u8 = 0;
const ERR_TARGET: u8 = 1;
const ERR_PROG: u8 = 6;
const ERR_VENDOR: u8 = 0x0B;
const ERR_UNKNOWN: u8 = 0x0E;
const ERR_STALLED: u8 = 0x0F;

const COMMANDS: [u8; 4] = [0x00, 0x21, 0x41, 0x92];
const MANIFEST_TIME: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
enum Work {
    SetAddress(u32),
    ErasePage(u32),
    EraseAll,
    ReadUnprotect,
    Write(u32, Vec<u8>),
    Unknown,
}

/// What the loader says, and what happens to the device besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    In(Vec<u8>),
    Ack,
    Stall,
    /// The program at this address starts once this answer is given.
    InThenLeave(Vec<u8>, u32),
    /// The chip resets once this answer is given.
    InThenReset(Vec<u8>),
    /// The supply failed before an answer.
    PowerFailed,
}

/// A loader that runs.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    flavour: Flavour,
    pub(crate) state: LoaderState,
    pub(crate) status: u8,
    pointer: u32,
    work: Option<Work>,
    busy_until: Duration,
    /// What the work in hand will end with.
    outcome: u8,
    /// Plain: the block that comes next.
    next_block: u16,
    /// Ignores the order to leave.
    pub(crate) stays: bool,
    /// The supply fails with the work in hand.
    failing: bool,
}

impl Loader {
    pub(crate) fn new(flavour: Flavour, pointer: u32) -> Self {
        Self {
            flavour,
            state: LoaderState::Idle,
            status: OK,
            pointer,
            work: None,
            busy_until: Duration::ZERO,
            outcome: OK,
            next_block: 0,
            stays: false,
            failing: false,
        }
    }

    /// A reset from the host ends a plain loader that waits for it.
    pub(crate) fn waits_for_reset(&self) -> bool {
        self.state == LoaderState::ManifestWaitReset
    }

    pub(crate) fn fail(&mut self, status: u8) {
        (self.state, self.status, self.work) = (LoaderState::Error, status, None);
    }

    fn refuse(&mut self, status: u8) -> Answer {
        self.fail(status);
        Answer::Stall
    }

    /// One class request.
    pub(crate) fn request(
        &mut self,
        memory: &mut Memory,
        (request, value, length): (Request, u16, u16),
        out: &[u8],
        now: Duration,
    ) -> Answer {
        match request {
            Request::GetState => Answer::In(vec![self.state as u8]),
            Request::GetStatus => self.get_status(memory, now),
            Request::ClrStatus if self.state == LoaderState::Error => {
                (self.state, self.status) = (LoaderState::Idle, OK);
                Answer::Ack
            }
            Request::ClrStatus => self.refuse(ERR_UNKNOWN),
            Request::Abort => match self.state {
                LoaderState::Idle
                | LoaderState::DnloadSync
                | LoaderState::DnloadIdle
                | LoaderState::ManifestSync
                | LoaderState::UploadIdle => {
                    (self.state, self.work) = (LoaderState::Idle, None);
                    Answer::Ack
                }
                LoaderState::DnBusy
                | LoaderState::Manifest
                | LoaderState::ManifestWaitReset
                | LoaderState::Error => self.refuse(ERR_STALLED),
            },
            Request::Detach => self.refuse(ERR_STALLED),
            Request::Dnload => self.download(memory, value, out),
            Request::Upload => self.upload(memory, value, usize::from(length)),
        }
    }

    fn download(&mut self, memory: &Memory, value: u16, out: &[u8]) -> Answer {
        let first = self.state == LoaderState::Idle;
        let long = out.len() > usize::from(memory.silicon().transfer_bytes);
        if !(first || self.state == LoaderState::DnloadIdle) || long {
            return self.refuse(ERR_STALLED);
        }
        if out.is_empty() {
            if first && self.flavour != Flavour::DfuSe {
                return self.refuse(ERR_STALLED);
            }
            self.state = LoaderState::ManifestSync;
            return Answer::Ack;
        }
        let address = |bytes: &[u8]| u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        let transfer = u32::from(memory.silicon().transfer_bytes);
        self.work = Some(match (self.flavour, value) {
            (Flavour::Plain { .. }, block) => {
                if first {
                    self.next_block = 0;
                }
                if block != self.next_block {
                    return self.refuse(ERR_STALLED);
                }
                self.next_block = self.next_block.wrapping_add(1);
                let offset = u32::from(block) * transfer;
                Work::Write(memory.silicon().start.wrapping_add(offset), out.to_vec())
            }
            (Flavour::DfuSe, 0) => match out {
                [0x21, _, _, _, _] => Work::SetAddress(address(out)),
                [0x41, _, _, _, _] => Work::ErasePage(address(out)),
                [0x41] => Work::EraseAll,
                [0x92] => Work::ReadUnprotect,
                _ => Work::Unknown,
            },
            // Block 1 is reserved.
            (Flavour::DfuSe, 1) => return self.refuse(ERR_STALLED),
            (Flavour::DfuSe, block) => {
                let offset = u32::from(block - 2).wrapping_mul(transfer);
                Work::Write(self.pointer.wrapping_add(offset), out.to_vec())
            }
        });
        self.state = LoaderState::DnloadSync;
        Answer::Ack
    }

    fn upload(&mut self, memory: &Memory, value: u16, length: usize) -> Answer {
        let first = self.state == LoaderState::Idle;
        if !(first || self.state == LoaderState::UploadIdle) {
            return self.refuse(ERR_STALLED);
        }
        let transfer = u32::from(memory.silicon().transfer_bytes);
        let length = length.min(usize::from(memory.silicon().transfer_bytes));
        if let Flavour::Plain { .. } = self.flavour {
            let offset = u32::from(value) * transfer;
            let left = memory.silicon().bytes().saturating_sub(offset);
            let count = length.min(usize::try_from(left).unwrap_or(length));
            self.state = if count < length { LoaderState::Idle } else { LoaderState::UploadIdle };
            return match memory.read(memory.silicon().start + offset, count) {
                Some(bytes) => Answer::In(bytes),
                None => self.refuse(ERR_TARGET),
            };
        }
        if memory.locked {
            return self.refuse(ERR_VENDOR);
        }
        match value {
            0 => {
                // ST's loaders go back to dfuIDLE when all the commands were read.
                self.state = if length >= 4 { LoaderState::Idle } else { LoaderState::UploadIdle };
                Answer::In(COMMANDS[..length.min(4)].to_vec())
            }
            1 => self.refuse(ERR_STALLED),
            block => {
                let offset = u32::from(block - 2).wrapping_mul(transfer);
                match memory.read(self.pointer.wrapping_add(offset), length) {
                    Some(bytes) => {
                        self.state = LoaderState::UploadIdle;
                        Answer::In(bytes)
                    }
                    None => self.refuse(ERR_TARGET),
                }
            }
        }
    }

    fn tell(&self, poll: Duration) -> Vec<u8> {
        let ms = u32::try_from(poll.as_millis()).unwrap_or(u32::MAX).min(0xFF_FFFF).to_le_bytes();
        vec![self.status, ms[0], ms[1], ms[2], self.state as u8, 0]
    }

    fn get_status(&mut self, memory: &mut Memory, now: Duration) -> Answer {
        match self.state {
            LoaderState::DnloadSync => {
                let Some(work) = self.work.take() else { return self.refuse(ERR_UNKNOWN) };
                // The work begins with this request and is done when the time it names is over.
                let (outcome, takes) = self.begin(memory, &work);
                self.outcome = outcome;
                // Whole milliseconds, so that a host that waits as told is never early.
                let takes = Duration::from_millis(takes.as_micros().div_ceil(1000) as u64);
                self.state = LoaderState::DnBusy;
                self.busy_until = now + takes;
                if self.failing {
                    return Answer::PowerFailed;
                }
                let told = self.tell(takes);
                match work {
                    Work::ReadUnprotect => Answer::InThenReset(told),
                    Work::SetAddress(_)
                    | Work::ErasePage(_)
                    | Work::EraseAll
                    | Work::Write(..)
                    | Work::Unknown => Answer::In(told),
                }
            }
            LoaderState::DnBusy if now < self.busy_until => self.refuse(ERR_STALLED),
            LoaderState::DnBusy => {
                match self.outcome {
                    OK => self.state = LoaderState::DnloadIdle,
                    status => self.fail(status),
                }
                Answer::In(self.tell(Duration::ZERO))
            }
            LoaderState::ManifestSync => self.manifest(now),
            LoaderState::Manifest if now < self.busy_until => self.refuse(ERR_STALLED),
            LoaderState::Manifest if self.flavour != Flavour::DfuSe => {
                let tolerant = Flavour::Plain { manifestation_tolerant: true };
                self.state = if self.flavour == tolerant {
                    LoaderState::Idle
                } else {
                    LoaderState::ManifestWaitReset
                };
                Answer::In(self.tell(Duration::ZERO))
            }
            LoaderState::Idle
            | LoaderState::DnloadIdle
            | LoaderState::Manifest
            | LoaderState::ManifestWaitReset
            | LoaderState::UploadIdle
            | LoaderState::Error => Answer::In(self.tell(Duration::ZERO)),
        }
    }

    fn manifest(&mut self, now: Duration) -> Answer {
        self.state = LoaderState::Manifest;
        match self.flavour {
            Flavour::DfuSe if self.stays => Answer::In(self.tell(Duration::ZERO)),
            Flavour::DfuSe => Answer::InThenLeave(self.tell(Duration::ZERO), self.pointer),
            Flavour::Plain { .. } => {
                self.busy_until = now + MANIFEST_TIME;
                Answer::In(self.tell(MANIFEST_TIME))
            }
        }
    }

    fn begin(&mut self, memory: &mut Memory, work: &Work) -> (u8, Duration) {
        let none = Duration::ZERO;
        let told = |access| match access {
            Access::Done | Access::PowerFailed => OK,
            Access::NoSuchAddress => ERR_TARGET,
            Access::Refused => ERR_PROG,
        };
        match work {
            Work::SetAddress(address) if memory.has(*address) => {
                self.pointer = *address;
                (OK, none)
            }
            Work::SetAddress(_) => (ERR_TARGET, none),
            Work::ReadUnprotect => {
                memory.unlock();
                (OK, memory.erase_all_time())
            }
            Work::Unknown => (ERR_STALLED, none),
            Work::ErasePage(_) | Work::EraseAll | Work::Write(..) if memory.locked => {
                (ERR_VENDOR, none)
            }
            Work::ErasePage(address) => {
                let takes = memory.erase_time(*address);
                (told(memory.erase_page(*address)), takes)
            }
            Work::EraseAll => {
                memory.erase_all();
                (OK, memory.erase_all_time())
            }
            Work::Write(address, bytes) => {
                if let Flavour::Plain { .. } = self.flavour {
                    // The standard knows no erase: the device does it where a page begins.
                    memory.erase_where_pages_begin(*address, bytes.len());
                }
                let takes = memory.write_time(bytes.len());
                let access = memory.write(*address, bytes);
                self.failing = access == Access::PowerFailed;
                (told(access), takes)
            }
        }
    }
}
