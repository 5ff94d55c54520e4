//! The hands: one long-lived worker process per slot that touches the board.
//!
//! [`Hand`] is the daemon's end: it starts the worker, gives it one job at a time, kills it when a
//! deadline passes, and starts another. [`worker`] is the other end: the same binary, its own
//! subcommand, one open port at a time, no key, no database, no journal, no network but a loopback
//! probe.
//!
//! Leaves to others: which job comes next, what a failure means, records. Image bytes travel in a
//! sealed memfd ([`SealedImage`]) and are never written to a disk or a pipe.
//!
//! Promise: [`Hand::run`] comes back within its deadline of the last sign of life, whatever the
//! driver does, and a worker that hangs or dies takes nothing with it but its own visit.

mod memfd;
mod nursery;
pub mod stopwatch;
mod wire;
pub mod worker;

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use flash::{
    FlashError, Identity, ProgramReport, Progress, SelfTest, Step, Uid, VerifyReport, Via,
};
pub use memfd::SealedImage;
pub use wire::{Answer, Job, PlacedBlock, READ_BYTES_MAX};
use wire::{FRAME_BYTES_MAX, Say};

/// How long one look at the socket lasts; between two the deadline and the canceller are checked.
const LOOK: Duration = Duration::from_millis(50);

/// What a slot's worker needs to know.
#[derive(Debug, Clone)]
pub struct HandConfig {
    /// The slot's number on the fixture.
    pub slot: u32,
    /// The port it begins with, as [`flash::Port`] reads it; [`Job::Take`] names another.
    pub port: String,
    /// The chip that is to come, as [`Job::Expect`] says it.
    pub chip: Option<String>,
    /// The binary whose `worker` subcommand is the worker.
    pub program: PathBuf,
}

impl HandConfig {
    /// A worker from the running binary itself: the very file that runs, even when an upgrade has
    /// put another one in its place.
    ///
    /// # Errors
    /// When the system does not show a process its own binary (no `/proc`).
    pub fn new(slot: u32, port: impl Into<String>) -> io::Result<Self> {
        let program = PathBuf::from("/proc/self/exe");
        std::fs::symlink_metadata(&program)?;
        Ok(Self { slot, port: port.into(), chip: None, program })
    }
}

/// Why a job did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// The board, the probe or the plan; the worker is well.
    #[error("slot work failed")]
    Flash(#[source] FlashError),
    /// No sign of life within the deadline; the worker was killed.
    #[error("the worker hung ({during})")]
    Hung {
        /// The step it was last heard in.
        during: Step,
    },
    /// The worker died.
    #[error("the worker died of {death} ({during})")]
    Crashed {
        /// How.
        death: Death,
        /// The step it was last heard in.
        during: Step,
    },
    /// The job was cancelled; the worker was killed.
    #[error("the job was cancelled ({during})")]
    Cancelled {
        /// The step it was last heard in.
        during: Step,
    },
    /// The worker could not be started.
    #[error("could not start the worker of slot {slot}")]
    Start {
        /// The slot.
        slot: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The two ends do not understand each other; the worker was killed.
    #[error("the worker was not understood: {detail}")]
    Garbled {
        /// What was wrong with the frame.
        detail: String,
    },
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By a signal.
    Signal(i32),
    /// By leaving with an exit code (101 is a panic).
    Exit(i32),
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Exit(code) => write!(f, "exit code {code}"),
        }
    }
}

impl From<ExitStatus> for Death {
    fn from(status: ExitStatus) -> Self {
        match status.signal() {
            Some(number) => Self::Signal(number),
            None => Self::Exit(status.code().unwrap_or(-1)),
        }
    }
}

/// Stops the job that runs now, from any thread.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<AtomicBool>);

impl Canceller {
    /// Makes the running [`Hand::run`] return [`HandError::Cancelled`]; without one it does nothing.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The daemon's end of one slot's worker.
#[derive(Debug)]
pub struct Hand {
    config: HandConfig,
    process: Option<Process>,
    cancelled: Arc<AtomicBool>,
    starts: u32,
}

#[derive(Debug)]
struct Process {
    child: Child,
    socket: UnixStream,
    /// Bytes of a frame that is not whole yet.
    inbox: Vec<u8>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already; then there is nothing to kill and only the status to collect.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Hand {
    /// Starts the worker.
    ///
    /// # Errors
    /// [`HandError::Start`].
    pub fn spawn(config: HandConfig) -> Result<Self, HandError> {
        let mut hand = Self { config, process: None, cancelled: Arc::default(), starts: 0 };
        hand.start()?;
        Ok(hand)
    }

    /// The slot this hand belongs to.
    pub fn slot(&self) -> u32 {
        self.config.slot
    }

    /// The port taken last.
    pub fn port(&self) -> &str {
        &self.config.port
    }

    /// The chip that is looked out for.
    pub fn expected(&self) -> Option<&str> {
        self.config.chip.as_deref()
    }

    /// The worker's process id, while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// How many workers were started, the first one included.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// A way to stop the running job from another thread.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.cancelled))
    }

    /// Kills the worker, with whatever it is doing; the next job starts another.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Does one job and waits for its answer. `deadline` is the longest silence: each progress
    /// event starts it anew. After [`HandError::Hung`], [`HandError::Crashed`],
    /// [`HandError::Cancelled`] or [`HandError::Garbled`] a fresh worker is started, which knows
    /// nothing of the visit: begin with [`Job::Contact`] and [`Job::Identify`] again. It has the
    /// port that was taken last.
    ///
    /// # Errors
    /// [`HandError`]; [`HandError::Flash`] is the only one that leaves the worker running.
    pub fn run(
        &mut self,
        job: &Job,
        deadline: Duration,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Answer, HandError> {
        self.cancelled.store(false, Ordering::Relaxed);
        let alive = self
            .process
            .as_mut()
            .is_some_and(|process| matches!(process.child.try_wait(), Ok(None)));
        if !alive {
            self.start()?;
        }
        let slot = self.config.slot;
        let cancelled = Arc::clone(&self.cancelled);
        let Some(process) = self.process.as_mut() else {
            let source = io::ErrorKind::NotFound.into();
            return Err(HandError::Start { slot, source });
        };
        let done = process.run(job, deadline, &cancelled, on_progress);
        // A worker that has to be replaced goes on where this one was.
        match (job, &done) {
            (Job::Take { port }, Ok(Answer::Taken)) => self.config.port = port.to_string(),
            (Job::Expect { chip }, Ok(Answer::Expecting)) => self.config.chip = Some(chip.clone()),
            (_, _) => {}
        }
        match &done {
            Ok(_) | Err(HandError::Flash(_)) => {}
            Err(error) => {
                tracing::warn!(slot, %error, "starting a fresh worker");
                self.process = None;
                // A failure to start shows at the next job.
                drop(self.start());
            }
        }
        done
    }

    fn start(&mut self) -> Result<(), HandError> {
        self.process = None;
        let slot = self.config.slot;
        let (child, socket) = nursery::start(&self.config.program)
            .map_err(|source| HandError::Start { slot, source })?;
        self.starts += 1;
        let mut process = Process { child, socket, inbox: Vec::new() };
        wire::send_hello(&mut process.socket, &self.config)
            .map_err(|source| HandError::Start { slot, source })?;
        self.process = Some(process);
        Ok(())
    }
}

impl Process {
    fn run(
        &mut self,
        job: &Job,
        deadline: Duration,
        cancelled: &AtomicBool,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Answer, HandError> {
        let mut during = job.step();
        let set_up = self
            .socket
            .set_read_timeout(Some(LOOK))
            .and_then(|()| self.socket.set_write_timeout(Some(deadline.max(LOOK))));
        if set_up.and_then(|()| wire::send_job(&mut self.socket, job)).is_err() {
            return Err(self.dead(during));
        }
        let mut silent_since = Instant::now();
        loop {
            match self.receive() {
                Ok(Some(Say::Progress(progress))) => {
                    during = progress.step;
                    silent_since = Instant::now();
                    on_progress(progress);
                }
                Ok(Some(Say::Done(answer))) => return Ok(answer),
                Ok(Some(Say::Failed(error))) => return Err(HandError::Flash(error)),
                Ok(Some(Say::Refused { detail })) => return Err(HandError::Garbled { detail }),
                Ok(None) => {
                    if cancelled.load(Ordering::Relaxed) {
                        return Err(HandError::Cancelled { during });
                    }
                    if silent_since.elapsed() >= deadline {
                        return Err(HandError::Hung { during });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let detail = error.to_string();
                    return Err(HandError::Garbled { detail });
                }
                Err(_) => return Err(self.dead(during)),
            }
        }
    }

    /// The next frame, or nothing if none is whole within [`LOOK`].
    fn receive(&mut self) -> io::Result<Option<Say>> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                let frame: Vec<u8> = self.inbox.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&frame)?));
            }
            if self.inbox.len() > FRAME_BYTES_MAX {
                let long = "a frame without end";
                return Err(io::Error::new(io::ErrorKind::InvalidData, long));
            }
            let mut block = [0; 8 * 1024];
            match self.socket.read(&mut block) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.inbox.extend_from_slice(&block[..count]),
                Err(error) if is_a_pause(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket is closed: the worker is dead or about to be.
    fn dead(&mut self, during: Step) -> HandError {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if begun.elapsed() < LOOK => std::thread::yield_now(),
                Ok(None) | Err(_) => break self.child.kill().and_then(|()| self.child.wait()),
            }
        };
        let death = status.map_or(Death::Exit(-1), Death::from);
        HandError::Crashed { death, during }
    }
}

fn is_a_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
