//! The probe's cable to its host: one client at a time.
//!
//! Owns which connection holds the probe. A client that is gone has let go, even if the probe hangs
//! and nobody has read the end of its stream yet.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::board::Plug;

/// How long a request may lie unread before its sender counts as alive.
const UNREAD_MAX: Duration = Duration::from_millis(200);

/// The cable, shared by the board's thread and the thread that accepts clients.
#[derive(Debug, Clone)]
pub(crate) struct HostCable {
    end: Arc<Mutex<End>>,
}

#[derive(Debug)]
struct End {
    plug: Plug,
    client: Option<TcpStream>,
}

impl HostCable {
    /// A cable that is plugged in.
    pub(crate) fn plugged() -> Self {
        Self { end: Arc::new(Mutex::new(End { plug: Plug::In, client: None })) }
    }

    /// Gives the probe to `stream`; `false` when it cannot be had.
    pub(crate) fn claim(&self, stream: &TcpStream) -> bool {
        let mut end = self.end();
        if end.plug != Plug::In || end.client.as_ref().is_some_and(holds_on) {
            return false;
        }
        end.client = stream.try_clone().ok();
        end.client.is_some()
    }

    /// What a client is told that cannot have the probe, in ser2net's words.
    pub(crate) fn refusal(&self) -> &'static [u8] {
        match self.end().plug {
            Plug::Out => b"Port's device failed open\r\n",
            Plug::In | Plug::Busy => b"Port already in use\r\n",
        }
    }

    /// Moves the plug. Pulled out, the client loses its connection.
    pub(crate) fn set(&self, plug: Plug) {
        let mut end = self.end();
        end.plug = plug;
        if plug == Plug::Out
            && let Some(client) = end.client.take()
        {
            // A client that has hung up already is as gone as it can be.
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other side has not hung up yet. What it sent before it did is waited for: the
/// connection's own thread is about to read it.
fn holds_on(client: &TcpStream) -> bool {
    let mut byte = [0];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let deadline = Instant::now() + UNREAD_MAX;
    loop {
        match recv(client.as_raw_fd(), &mut byte, flags) {
            Ok(0) => return false,
            Ok(_) if Instant::now() < deadline => std::thread::yield_now(),
            Ok(_) => return true,
            Err(error) => return error == Errno::EAGAIN,
        }
    }
}
