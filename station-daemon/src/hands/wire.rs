//! What the two ends of a hand say to each other: one JSON object per line over a socket pair.
//!
//! Daemon to worker: a hello, then jobs. Worker to daemon: any number of progress lines, then one
//! answer per job. A job with an image carries its memfd beside the line (SCM_RIGHTS). Frames are
//! bounded; image bytes never stand in one.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use flash::{FlashError, Identity, Port, ProgramReport, Progress, SelfTest, Step, VerifyReport};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::{Deserialize, Serialize};

use zeroize::Zeroize;

use super::HandConfig;
use super::memfd::SealedImage;

/// Longest line in either direction, in bytes: a full read, four characters a byte, has room.
pub(super) const FRAME_BYTES_MAX: usize = 320 * 1024;

/// Most bytes one [`Job::Read`] may ask for.
pub const READ_BYTES_MAX: u32 = 64 * 1024;

/// Most segments an image may have.
pub(super) const SEGMENTS_MAX: usize = 1024;

/// Bytes for one board, next to the image: its activation block, which may hold a credential. Its
/// debug form does not show them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedBlock {
    /// First address.
    pub address: u64,
    /// The block.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for PlacedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlacedBlock({:#x}, {} bytes)", self.address, self.bytes.len())
    }
}

impl Drop for PlacedBlock {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// One thing to do to the board.
#[derive(Debug, Clone)]
pub enum Job {
    /// Let the present port go and work through this one. Answer: [`Answer::Taken`].
    Take {
        /// The port.
        port: Port,
    },
    /// Look out for this chip from now on, by its profile's name: behind a serial port the loaders of
    /// different makers are not spoken to alike. Between visits only. Answer: [`Answer::Expecting`].
    Expect {
        /// The chip.
        chip: String,
    },
    /// Is there a board? Cheap. Answer: [`Answer::Contact`].
    Contact,
    /// Attach for the visit and read who the chip is. Answer: [`Answer::Identity`].
    Identify {
        /// The chip of the recipe, by its profile's name.
        chip: String,
    },
    /// Read memory, at most [`READ_BYTES_MAX`] bytes. Answer: [`Answer::Bytes`].
    Read {
        /// First address.
        address: u64,
        /// Length in bytes.
        bytes: u32,
    },
    /// Program image and block in one pass and compare every byte. Answer: [`Answer::Programmed`].
    Program {
        /// The release's images.
        image: Arc<SealedImage>,
        /// The board's activation block.
        block: Option<PlacedBlock>,
    },
    /// Compare image and block with the chip, write nothing. Answer: [`Answer::Verified`].
    Verify {
        /// The release's images.
        image: Arc<SealedImage>,
        /// The board's activation block.
        block: Option<PlacedBlock>,
    },
    /// Reset and wait for the firmware's line. Answer: [`Answer::SelfTested`].
    SelfTest(SelfTest),
    /// Lock the chip and confirm it. Answer: [`Answer::Protected`].
    Protect,
    /// Reset and let the firmware run. Answer: [`Answer::Running`].
    Run,
    /// Erase a locked chip whole, on a recorded approval. Answer: [`Answer::Unlocked`].
    Unlock {
        /// The chip of the recipe, by its profile's name.
        chip: String,
        /// The record that holds the approval.
        record: String,
    },
    /// Is the board of this visit gone? Answer: [`Answer::Absent`].
    Absent,
}

impl Job {
    /// The step a job begins with.
    pub fn step(&self) -> Step {
        match self {
            Self::Take { .. } | Self::Expect { .. } | Self::Contact => Step::Contact,
            Self::Identify { .. } => Step::Identify,
            Self::Read { .. } => Step::Read,
            Self::Program { .. } => Step::Survey,
            Self::Verify { .. } => Step::Verify,
            Self::SelfTest(_) => Step::SelfTest,
            Self::Protect => Step::Protect,
            Self::Run => Step::Reset,
            Self::Unlock { .. } => Step::Unlock,
            Self::Absent => Step::Presence,
        }
    }
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The port is this hand's now; the device behind it was not touched yet.
    Taken,
    /// The chip is looked out for.
    Expecting,
    /// Whether a debug port answers.
    Contact {
        /// It does.
        board: bool,
    },
    /// Who the chip is; it may be locked.
    Identity(Identity),
    /// Memory, as asked for.
    Bytes(Vec<u8>),
    /// Programmed and compared, every byte.
    Programmed(ProgramReport),
    /// Compared, every byte.
    Verified(VerifyReport),
    /// The firmware's line.
    SelfTested {
        /// The line as it was heard.
        line: String,
    },
    /// Locked and confirmed.
    Protected,
    /// Reset; the firmware runs.
    Running,
    /// Erased whole and open again.
    Unlocked,
    /// Whether the board is gone.
    Absent {
        /// It is, or it lost its power since the last job.
        gone: bool,
    },
}

/// The first line: whose hand this is, and the port it begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) slot: u32,
    pub(super) port: String,
    pub(super) chip: Option<String>,
}

/// A job as it travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Take { port: Port },
    Expect { chip: String },
    Contact,
    Identify { chip: String },
    Read { address: u64, bytes: u32 },
    Program(Load),
    Verify(Load),
    SelfTest(SelfTest),
    Protect,
    Run,
    Unlock { chip: String, record: String },
    Absent,
}

/// What lies where in the memfd that travels with the line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) segments: Vec<Segment>,
    pub(super) block: Option<PlacedBlock>,
}

/// A stretch of the memfd and its place on the chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) address: u64,
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Say {
    Progress(Progress),
    Done(Answer),
    Failed(FlashError),
    Refused { detail: String },
}

pub(super) fn send_hello(socket: &mut UnixStream, config: &HandConfig) -> io::Result<()> {
    let HandConfig { slot, port, chip, .. } = config.clone();
    send(socket, &Hello { slot, port, chip }, None)
}

pub(super) fn send_job(socket: &mut UnixStream, job: &Job) -> io::Result<()> {
    let load = |image: &SealedImage, block: &Option<PlacedBlock>| Load {
        segments: image.segments().to_vec(),
        block: block.clone(),
    };
    let (order, image) = match job {
        Job::Take { port } => (Order::Take { port: port.clone() }, None),
        Job::Expect { chip } => (Order::Expect { chip: chip.clone() }, None),
        Job::Contact => (Order::Contact, None),
        Job::Identify { chip } => (Order::Identify { chip: chip.clone() }, None),
        Job::Read { address, bytes } => (Order::Read { address: *address, bytes: *bytes }, None),
        Job::Program { image, block } => (Order::Program(load(image, block)), Some(image)),
        Job::Verify { image, block } => (Order::Verify(load(image, block)), Some(image)),
        Job::SelfTest(test) => (Order::SelfTest(test.clone()), None),
        Job::Protect => (Order::Protect, None),
        Job::Run => (Order::Run, None),
        Job::Unlock { chip, record } => {
            (Order::Unlock { chip: chip.clone(), record: record.clone() }, None)
        }
        Job::Absent => (Order::Absent, None),
    };
    send(socket, &order, image.map(|image| image.as_raw_fd()))
}

/// Writes one line; a descriptor travels with its first byte.
pub(super) fn send(
    socket: &mut UnixStream,
    line: &impl Serialize,
    descriptor: Option<RawFd>,
) -> io::Result<()> {
    let mut frame = serde_json::to_vec(line)?;
    frame.push(b'\n');
    if frame.len() > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut sent = 0;
    if let Some(descriptor) = descriptor {
        let descriptors = [descriptor];
        sent = sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&frame)],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
    }
    socket.write_all(&frame[sent..])
}

impl Load {
    /// Refuses a table that does not fit its memory.
    pub(super) fn check(&self, memory_bytes: usize) -> Result<(), String> {
        if self.segments.len() > SEGMENTS_MAX {
            return Err(format!("{} segments", self.segments.len()));
        }
        for segment in &self.segments {
            let end = segment.offset.checked_add(segment.bytes);
            if end.is_none_or(|end| end > memory_bytes) {
                return Err(format!("segment {} outside its memory", segment.name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_table_must_fit_its_memory() {
        let check = |segments: &[(usize, usize)], fits: bool| {
            let load = Load {
                segments: segments
                    .iter()
                    .map(|(offset, bytes)| Segment {
                        name: "a".to_owned(),
                        address: 0,
                        offset: *offset,
                        bytes: *bytes,
                    })
                    .collect(),
                block: None,
            };
            assert_eq!(load.check(100).is_ok(), fits, "{segments:?}");
        };
        check(&[], true);
        check(&[(0, 100)], true);
        check(&[(0, 50), (50, 50)], true);
        check(&[(0, 101)], false);
        check(&[(100, 1)], false);
        check(&[(usize::MAX, 1)], false);
        check(&[(0, 1); SEGMENTS_MAX + 1], false);
    }

    #[test]
    fn every_line_of_the_worker_reads_back_as_it_was_said() {
        let check = |say: Say| {
            let line = serde_json::to_string(&say).expect("line");
            assert!(!line.contains('\n'));
            let back: Say = serde_json::from_str(&line).expect("reads back");
            assert_eq!(serde_json::to_string(&back).expect("line"), line);
        };
        check(Say::Progress(Progress {
            step: Step::Program,
            done_bytes: 1,
            total_bytes: u64::MAX,
        }));
        check(Say::Done(Answer::Contact { board: true }));
        check(Say::Done(Answer::Bytes(vec![0, 255])));
        check(Say::Done(Answer::Protected));
        check(Say::Done(Answer::SelfTested { line: "a\nb\"".to_owned() }));
        check(Say::Failed(FlashError::VerifyDiffered {
            address: 0x1000,
            bytes: 3,
            wanted: 1,
            found: 0,
        }));
        check(Say::Failed(FlashError::Locked));
        check(Say::Refused { detail: "x".to_owned() });
    }
}
