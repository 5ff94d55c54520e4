//! The worker's end of a hand: one process that touches one board.
//!
//! Owns one open port and, during a programming job, a read-only view of the image. Holds no key,
//! no file, no environment; leaves no core dump; ends when the daemon does.

use std::ffi::CString;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use flash::{
    Backend, Chip, Contact, FlashError, Piece, Plan, Port, Presence, Progress, UnlockApproval,
};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use tracing_subscriber::EnvFilter;

use super::memfd::MappedImage;
use super::wire::{
    Answer, FRAME_BYTES_MAX, Hello, Load, Order, READ_BYTES_MAX, Say, Segment, send,
};

/// Progress is said at most this often, except when a step begins or ends.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Exit codes for the log.
const NOT_PREPARED: u8 = 70;
const NOT_UNDERSTOOD: u8 = 76;

/// The `worker` subcommand: serves one hand over the socket that is its standard input. To be
/// called before anything else is opened or started: it closes every other descriptor.
pub fn main() -> ExitCode {
    log_to_stderr();
    if let Err(error) = confine() {
        tracing::error!(%error, "the worker cannot confine itself");
        return ExitCode::from(NOT_PREPARED);
    }
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::from(NOT_PREPARED);
    };
    match serve(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the worker leaves");
            ExitCode::from(NOT_UNDERSTOOD)
        }
    }
}

/// The daemon's log collects the workers' standard error. The driver itself is left out: it calls
/// every look into an empty slot an error.
fn log_to_stderr() {
    let filter = EnvFilter::new("info,probe_rs=off");
    let log = tracing_subscriber::fmt().json().with_env_filter(filter);
    // Only a second subscriber could fail this, and then there is a log already.
    drop(log.with_writer(io::stderr).try_init());
}

/// Gives away everything a worker does not need. Order matters: once the process is not dumpable,
/// its own `/proc` entries are closed to it.
fn confine() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in open.into_iter().filter(|number| *number > 2) {
        // The listing's own descriptor is among them and is closed already.
        let _closed_already = nix::unistd::close(number);
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    nix::sys::prctl::set_no_new_privs()?;
    nix::sys::prctl::set_dumpable(false)?;
    // A partial limit would make later allocations fail, so it is all or nothing.
    if getrlimit(Resource::RLIMIT_MEMLOCK)?.0 == RLIM_INFINITY {
        let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
        if let Err(error) = mlockall(all) {
            tracing::debug!(%error, "the worker's memory is not locked");
        }
    }
    Ok(())
}

fn serve(mut socket: UnixStream) -> io::Result<()> {
    let (frames, inbox) = sync_channel(1);
    let incoming = socket.try_clone()?;
    // Reads on while a job runs, so that a worker whose driver hangs still ends with the daemon.
    thread::Builder::new().name("incoming".to_owned()).spawn(move || {
        let code = match listen(&incoming, &frames) {
            Ok(()) => 0,
            Err(_) => i32::from(NOT_UNDERSTOOD),
        };
        std::process::exit(code);
    })?;
    // Two lines may arrive as one: a descriptor then comes with the first and belongs to the second.
    let Some((hello, mut waiting)) = next::<Hello>(&inbox)? else {
        return Ok(());
    };
    let port = hello.port.parse();
    let port = port.map_err(|_| FlashError::SelectorInvalid { selector: hello.port });
    // A chip without a profile is an error of the job that needs it.
    let expected = hello.chip.as_deref().and_then(flash::chip);
    let mut bench = Bench { port, expected, backend: None, chip: None };
    if let Ok(name) = CString::new(format!("hand-{}", hello.slot)) {
        nix::sys::prctl::set_name(&name)?;
    }
    tracing::debug!(slot = hello.slot, "worker ready");
    while let Some((order, descriptors)) = next::<Order>(&inbox)? {
        waiting.extend(descriptors);
        let said = bench.obey(order, std::mem::take(&mut waiting), &mut socket);
        send(&mut socket, &said, None)?;
    }
    Ok(())
}

type Frame = (Vec<u8>, Vec<OwnedFd>);

fn next<T: serde::de::DeserializeOwned>(
    inbox: &Receiver<Frame>,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    match inbox.recv() {
        Ok((frame, descriptors)) => Ok(Some((serde_json::from_slice(&frame)?, descriptors))),
        Err(_) => Ok(None),
    }
}

/// Cuts the byte stream into frames until the daemon closes it.
fn listen(socket: &UnixStream, frames: &SyncSender<Frame>) -> io::Result<()> {
    let mut open = Vec::new();
    let mut descriptors = Vec::new();
    loop {
        let mut block = [0; 8 * 1024];
        let count = receive(socket, &mut block, &mut descriptors)?;
        if count == 0 {
            return Ok(());
        }
        for byte in &block[..count] {
            open.push(*byte);
            if *byte == b'\n' {
                let frame = (std::mem::take(&mut open), std::mem::take(&mut descriptors));
                if frames.send(frame).is_err() {
                    return Ok(());
                }
            }
        }
        if open.len() > FRAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn receive(
    socket: &UnixStream,
    block: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut parts = [IoSliceMut::new(block)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            descriptors.extend(numbers.into_iter().map(own));
        }
    }
    Ok(message.bytes)
}

#[allow(unsafe_code, reason = "a received descriptor is a bare number until it is owned")]
fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// The board's place: the port in hand, and the chip of this visit.
struct Bench {
    port: Result<Port, FlashError>,
    /// The chip that is to come through it, where that is known.
    expected: Option<&'static Chip>,
    /// Opened when it is first used, and again when that failed: USB may come later.
    backend: Option<Box<dyn Backend>>,
    chip: Option<&'static Chip>,
}

impl Bench {
    fn obey(&mut self, order: Order, descriptors: Vec<OwnedFd>, socket: &mut UnixStream) -> Say {
        let mut teller = Teller::new(socket);
        let done = match order {
            Order::Program(load) => {
                return self.with_plan(load, descriptors, |backend, plan| {
                    let report = backend.program(plan, &mut |progress| teller.tell(progress))?;
                    Ok(Answer::Programmed(report))
                });
            }
            Order::Verify(load) => {
                return self.with_plan(load, descriptors, |backend, plan| {
                    let report = backend.verify(plan, &mut |progress| teller.tell(progress))?;
                    Ok(Answer::Verified(report))
                });
            }
            Order::Read { bytes, .. } if bytes > READ_BYTES_MAX => {
                let detail = format!("{bytes} bytes in one read");
                return Say::Refused { detail };
            }
            Order::Take { port } => {
                // The other port is let go first: both may be one device.
                (self.backend, self.chip) = (None, None);
                self.port = Ok(port);
                Ok(Answer::Taken)
            }
            Order::Expect { chip } => profile(&chip).map(|chip| {
                (self.backend, self.chip) = (None, None);
                self.expected = Some(chip);
                Answer::Expecting
            }),
            Order::Contact => self.backend().and_then(|backend| {
                let board = backend.contact()? == Contact::Board;
                Ok(Answer::Contact { board })
            }),
            Order::Identify { chip } => profile(&chip).and_then(|chip| {
                let identity = self.backend()?.identify(chip)?;
                self.chip = Some(chip);
                Ok(Answer::Identity(identity))
            }),
            Order::Read { address, bytes } => self.backend().and_then(|backend| {
                let mut memory = vec![0; usize::try_from(bytes).unwrap_or(0)];
                backend.read(address, &mut memory)?;
                Ok(Answer::Bytes(memory))
            }),
            Order::SelfTest(test) => self.backend().and_then(|backend| {
                let line = backend.self_test(&test, &mut |progress| teller.tell(progress))?;
                Ok(Answer::SelfTested { line })
            }),
            Order::Protect => {
                self.backend().and_then(|backend| backend.protect().map(|()| Answer::Protected))
            }
            Order::Run => {
                self.backend().and_then(|backend| backend.reset_and_run().map(|()| Answer::Running))
            }
            Order::Unlock { chip, record } => profile(&chip).and_then(|chip| {
                let approval = UnlockApproval { record };
                self.backend()?.unlock(chip, &approval)?;
                Ok(Answer::Unlocked)
            }),
            Order::Absent => self.backend().and_then(|backend| {
                let gone = backend.presence()? == Presence::Gone;
                Ok(Answer::Absent { gone })
            }),
        };
        match done {
            Ok(answer) => Say::Done(answer),
            Err(error) => Say::Failed(error),
        }
    }

    fn backend(&mut self) -> Result<&mut dyn Backend, FlashError> {
        let backend = match self.backend.take() {
            Some(backend) => backend,
            None => self.port.as_ref().map_err(Clone::clone)?.open(self.expected)?,
        };
        Ok(self.backend.insert(backend).as_mut())
    }

    /// Maps the image, lays the plan out, and lets `work` do it.
    fn with_plan(
        &mut self,
        load: Load,
        descriptors: Vec<OwnedFd>,
        work: impl FnOnce(&mut dyn Backend, &Plan<'_>) -> Result<Answer, FlashError>,
    ) -> Say {
        let mapped = match descriptors.into_iter().next() {
            Some(descriptor) => MappedImage::map(descriptor),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let mapped = match mapped {
            Ok(mapped) => mapped,
            Err(error) => {
                let detail = format!("the image's memory: {error}");
                return Say::Refused { detail };
            }
        };
        if let Err(detail) = load.check(mapped.len()) {
            return Say::Refused { detail };
        }
        let image = load.segments.iter().map(|segment: &Segment| Piece {
            name: &segment.name,
            address: segment.address,
            bytes: &mapped[segment.offset..segment.offset + segment.bytes],
        });
        let block = load.block.iter().map(|block| Piece {
            name: "activation block",
            address: block.address,
            bytes: &block.bytes,
        });
        let done = self
            .chip
            .ok_or(FlashError::NotIdentified { wanted: flash::Step::Program })
            .and_then(|chip| Plan::new(chip, image.chain(block)))
            .and_then(|plan| work(self.backend()?, &plan));
        match done {
            Ok(answer) => Say::Done(answer),
            Err(error) => Say::Failed(error),
        }
    }
}

fn profile(name: &str) -> Result<&'static Chip, FlashError> {
    flash::chip(name).ok_or_else(|| FlashError::UnknownChip { chip: name.to_owned() })
}

/// Says progress, not too often.
struct Teller<'a> {
    socket: &'a mut UnixStream,
    last: Option<(Progress, Instant)>,
}

impl<'a> Teller<'a> {
    fn new(socket: &'a mut UnixStream) -> Self {
        Self { socket, last: None }
    }

    fn tell(&mut self, progress: Progress) {
        let due = self.last.is_none_or(|(last, at)| {
            last.step != progress.step
                || progress.done_bytes >= progress.total_bytes
                || at.elapsed() >= PROGRESS_EVERY
        });
        if due {
            self.last = Some((progress, Instant::now()));
            // A daemon that is gone ends this process from the other thread.
            drop(send(self.socket, &Say::Progress(progress), None));
        }
    }
}
