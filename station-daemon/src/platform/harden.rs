//! What a crashed process must not leave behind.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// Forbids core dumps and reading this process by others of the same user.
///
/// What a process cannot do by itself (no swap for its pages without a privilege) is the service
/// manager's part: `MemorySwapMax=0`.
///
/// # Errors
/// When the kernel refuses.
pub fn harden() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}
