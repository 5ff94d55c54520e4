//! What a crashed process must not leave behind.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Forbids core dumps and reading this process by others of the same user, and lets a write beyond
/// a file size limit fail like one to a full disk instead of ending the process.
///
/// What a process cannot do by itself (no swap for its pages without a privilege) is the service
/// manager's part: `MemorySwapMax=0`.
///
/// # Errors
/// When the kernel refuses.
pub fn harden() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    ignore_file_size_signal()?;
    prctl::set_dumpable(false)
}

#[allow(unsafe_code, reason = "setting a signal's disposition is unsafe by its signature")]
fn ignore_file_size_signal() -> nix::Result<()> {
    // SAFETY: the signal is ignored; no handler runs, and nothing else in this program sets it.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map(drop)
}
