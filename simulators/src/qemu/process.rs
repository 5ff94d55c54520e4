//! One QEMU process, and the wires that reach it.
//!
//! The wires are socket pairs that QEMU inherits, so there is no port to guess, no path to clean
//! up and nothing another user can connect to.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

/// The emulator, looked up on the search path (Debian package `qemu-system-arm`).
const PROGRAM: &str = "qemu-system-arm";
/// Longest that QEMU may think about one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running QEMU; ends with this value, and with the thread that started it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

/// Our ends of the wires.
#[derive(Debug)]
pub(super) struct Wires {
    /// Memory.
    pub(super) qtest: UnixStream,
    /// The core.
    pub(super) gdb: UnixStream,
    /// What the firmware prints; never blocks.
    pub(super) uart: UnixStream,
}

impl Process {
    /// Starts a micro:bit whose core stands still.
    ///
    /// # Errors
    /// No such program, or no more sockets.
    pub(super) fn start() -> io::Result<(Self, Wires)> {
        let (qtest, qtest_there) = UnixStream::pair()?;
        let (gdb, gdb_there) = UnixStream::pair()?;
        let (uart, uart_there) = UnixStream::pair()?;
        for ours in [&qtest, &gdb] {
            ours.set_read_timeout(Some(PATIENCE))?;
            ours.set_write_timeout(Some(PATIENCE))?;
        }
        uart.set_nonblocking(true)?;

        let mut command = Command::new(PROGRAM);
        command
            .args(["-M", "microbit", "-accel", "tcg", "-S"])
            .args(["-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none"])
            .args(["-qtest-log", "none"])
            .args(["-qtest", "chardev:qtest", "-gdb", "chardev:gdb", "-serial", "chardev:uart"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let theirs = [("qtest", qtest_there), ("gdb", gdb_there), ("uart", uart_there)]
            .map(|(name, end)| (name, OwnedFd::from(end)));
        for (name, end) in &theirs {
            let wire = format!("socket,id={name},fd={}", end.as_raw_fd());
            command.args(["-chardev", &wire]);
        }
        let inherited = theirs.each_ref().map(|(_, end)| end.as_raw_fd());
        let parent = nix::unistd::getpid();
        #[allow(unsafe_code, reason = "the only way to prepare a child between fork and exec")]
        // SAFETY: the closure only makes system calls that are safe after a fork (fcntl, prctl,
        // getppid, setrlimit); it allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || prepare_child(parent, &inherited));
        }
        let child = command.spawn()?;
        Ok((Self { child }, Wires { qtest, gdb, uart }))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when QEMU is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs in the child: QEMU keeps its wires, ends with its starter and leaves no core file.
fn prepare_child(parent: nix::unistd::Pid, inherited: &[RawFd]) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != parent {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe));
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    for wire in inherited {
        #[allow(unsafe_code, reason = "a descriptor known by number in the child")]
        // SAFETY: the descriptors are open: the parent holds them until `spawn` returns.
        let wire = unsafe { std::os::fd::BorrowedFd::borrow_raw(*wire) };
        fcntl(wire, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}
