//! A process followed from outside, stopped before every call by which it changes something that
//! lasts, and killed at one of them.
//!
//! The kernel's `ptrace` does it: the program under test is the one that ships, and knows nothing.
//! A call at which the process is killed is not executed. Everything here happens on one thread,
//! because a tracee belongs to the thread that follows it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A task that was just made stops with this event (`PTRACE_EVENT_STOP` of `linux/ptrace.h`).
const EVENT_STOP: i32 = 128;

/// Which process's calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The daemon: its database, its files.
    Daemon,
    /// The workers it starts: what they say to the probe.
    Worker,
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Call {
    /// Bytes into a file: SQLite writes its frames and pages like this.
    Write,
    /// What this task wrote into the database reaches the disk: a commit.
    Commit,
    /// Another file reaches the disk.
    Sync,
    /// A file takes another's name.
    Rename,
    /// Bytes to the probe.
    Send,
}

impl Call {
    fn of(who: Who, number: u64) -> Option<Self> {
        let is = |known: libc::c_long| u64::try_from(known) == Ok(number);
        let renames = [libc::SYS_renameat, libc::SYS_renameat2];
        match who {
            Who::Worker => is(libc::SYS_sendto).then_some(Self::Send),
            Who::Daemon if is(libc::SYS_pwrite64) => Some(Self::Write),
            Who::Daemon if is(libc::SYS_fsync) || is(libc::SYS_fdatasync) => Some(Self::Sync),
            Who::Daemon if renames.into_iter().any(is) || is_rename(number) => Some(Self::Rename),
            Who::Daemon => None,
        }
    }
}

/// The oldest of the three calls is missing on younger architectures.
#[cfg(target_arch = "x86_64")]
fn is_rename(number: u64) -> bool {
    u64::try_from(libc::SYS_rename) == Ok(number)
}

#[cfg(not(target_arch = "x86_64"))]
fn is_rename(_number: u64) -> bool {
    false
}

/// What is done about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is made.
    Go,
    /// Its process is killed before it is made.
    Kill,
}

/// A program about to be followed; it stands still before its first instruction.
pub(crate) struct Tracer {
    child: Child,
    who: Who,
    /// Tasks that are known, and whether they are counted.
    tasks: BTreeMap<Pid, bool>,
    /// Tasks that stopped before their maker told what they are.
    held: BTreeSet<Pid>,
    /// Tasks that wrote into the database since they last synced.
    wrote: BTreeSet<Pid>,
}

impl Tracer {
    /// Starts a program so that it can be followed from its first instruction on.
    pub(crate) fn start(command: &Command, who: Who) -> Self {
        // The shell stops itself and then becomes the program: its process is followed before it
        // has done anything, and no code of ours runs between fork and exec.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        let child = shell
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let pid = raw(&child);
        waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("the shell stops");
        let mut options = libc::PTRACE_O_EXITKILL
            | libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC;
        if who == Who::Worker {
            options |= libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;
        }
        kernel::seize(pid, options).expect("a child can be followed (ptrace)");
        kill(pid, Signal::SIGCONT).expect("goes on");
        let tasks = BTreeMap::from([(pid, who == Who::Daemon)]);
        Self { child, who, tasks, held: BTreeSet::new(), wrote: BTreeSet::new() }
    }

    /// The followed program's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Follows the program to its end. `judge` is asked before every call that is counted, while
    /// the task that makes it stands still.
    pub(crate) fn follow(mut self, mut judge: impl FnMut(Call) -> Verdict) {
        let leader = raw(&self.child);
        loop {
            // Only what this thread started or follows.
            let any = Pid::from_raw(-1);
            let status = match waitpid(any, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => return,
                Err(error) => panic!("following {leader}: {error}"),
            };
            match status {
                WaitStatus::PtraceSyscall(task) => {
                    let entered = self.tasks.get(&task).copied().unwrap_or(false);
                    let call = if entered { kernel::entering(task) } else { None };
                    let call = call.and_then(|number| Call::of(self.who, number));
                    let call = call.map(|call| self.refined(task, call));
                    match call.map(&mut judge) {
                        Some(Verdict::Kill) => self.kill_process_of(task),
                        Some(Verdict::Go) | None => go(task, None),
                    }
                }
                WaitStatus::PtraceEvent(task, _, event) => self.on_event(task, event),
                WaitStatus::Stopped(task, signal) => go(task, Some(signal)),
                WaitStatus::Exited(task, _) | WaitStatus::Signaled(task, _, _) => {
                    self.tasks.remove(&task);
                    if task == leader {
                        // Its workers end with it; they are nobody's children here.
                        return;
                    }
                }
                WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
            }
        }
    }

    /// Only the database is written with an offset: a sync by the same task is its commit.
    fn refined(&mut self, task: Pid, call: Call) -> Call {
        match call {
            Call::Write => {
                self.wrote.insert(task);
                call
            }
            Call::Sync if self.wrote.remove(&task) => Call::Commit,
            Call::Sync | Call::Commit | Call::Rename | Call::Send => call,
        }
    }

    fn on_event(&mut self, task: Pid, event: i32) {
        match event {
            libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                if let Ok(made) = kernel::made_by(task) {
                    let is_thread = event == libc::PTRACE_EVENT_CLONE;
                    let makers = self.tasks.get(&task).copied().unwrap_or(false);
                    // A worker is whatever the daemon makes that is not a thread of its own.
                    let counted = if is_thread { makers } else { self.who == Who::Worker };
                    self.tasks.insert(made, counted);
                    if self.held.remove(&made) {
                        go(made, None);
                    }
                }
                go(task, None);
            }
            EVENT_STOP if !self.tasks.contains_key(&task) => {
                self.held.insert(task);
            }
            // A stop for the whole group, or the first one: nobody here means to stay stopped.
            _ => go(task, None),
        }
    }

    fn kill_process_of(&self, task: Pid) {
        let status = std::fs::read_to_string(format!("/proc/{task}/status")).expect("a process");
        let group = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
        let group = group.and_then(|text| text.trim().parse().ok()).expect("a process id");
        kill(Pid::from_raw(group), Signal::SIGKILL).expect("killed");
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended, unless the test ends before its time.
        drop(self.child.kill());
        let ended = self.child.wait();
        drop(ended.map(|status| status.signal()));
    }
}

fn raw(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
}

/// Lets a task go on to its next stop; one that was killed meanwhile needs no letting.
fn go(task: Pid, signal: Option<Signal>) {
    match kernel::go_to_next_call(task, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("letting {task} go on: {error}"),
    }
}

/// The four requests to `ptrace(2)` that are needed, straight: the wrapper for them is behind a
/// feature that half the drivers in this program's tree would be compiled anew for.
mod kernel {
    #![allow(unsafe_code, reason = "ptrace has no safe form without a wrapper")]

    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    /// Follows a process from now on, without stopping it.
    pub(super) fn seize(process: Pid, options: libc::c_int) -> nix::Result<()> {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: this request reads no memory of ours; the options are its data argument.
        let done = unsafe { libc::ptrace(libc::PTRACE_SEIZE, process.as_raw(), none, options) };
        Errno::result(done).map(drop)
    }

    /// Lets a stopped task go on until it enters or leaves a system call.
    pub(super) fn go_to_next_call(task: Pid, signal: Option<Signal>) -> nix::Result<()> {
        let none = std::ptr::null_mut::<libc::c_void>();
        let signal = signal.map_or(0, |signal| signal as libc::c_int);
        // SAFETY: this request reads no memory of ours; the signal is its data argument.
        let done = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, task.as_raw(), none, signal) };
        Errno::result(done).map(drop)
    }

    /// The task that a stopped task has just made.
    pub(super) fn made_by(task: Pid) -> nix::Result<Pid> {
        let none = std::ptr::null_mut::<libc::c_void>();
        let mut made: libc::c_ulong = 0;
        let into: *mut libc::c_ulong = &mut made;
        // SAFETY: the kernel writes one long into `made`, which outlives the call.
        let done = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, task.as_raw(), none, into) };
        Errno::result(done)?;
        i32::try_from(made).map(Pid::from_raw).map_err(|_| Errno::ERANGE)
    }

    /// The number of the call a stopped task is about to make; none where it comes back from one.
    pub(super) fn entering(task: Pid) -> Option<u64> {
        let mut info = std::mem::MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
        let size = size_of::<libc::ptrace_syscall_info>();
        // SAFETY: the kernel writes at most `size` bytes into `info`, which outlives the call and
        // is sound with every bit pattern.
        let info = unsafe {
            let request = libc::PTRACE_GET_SYSCALL_INFO;
            let told = libc::ptrace(request, task.as_raw(), size, info.as_mut_ptr());
            Errno::result(told).ok()?;
            info.assume_init()
        };
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return None;
        }
        // SAFETY: `op` says that the kernel filled in the member for an entry.
        let entry = unsafe { info.u.entry };
        Some(entry.nr)
    }
}
