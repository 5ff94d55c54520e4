//! Where workers are born.
//!
//! A worker asks the kernel to be killed when its parent dies (`PR_SET_PDEATHSIG`), and the kernel
//! means the *thread* that started it. Threads of a runtime's pool come and go; this one stays for
//! as long as the daemon.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

type Birth = io::Result<(Child, UnixStream)>;

struct Order {
    program: PathBuf,
    reply: SyncSender<Birth>,
}

/// Starts `program worker` with a cleared environment, the socket as its standard input, and
/// nothing on its standard output.
pub(super) fn start(program: &Path) -> Birth {
    static NURSERY: OnceLock<SyncSender<Order>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (orders, inbox) = sync_channel::<Order>(1);
        let body = move || {
            for order in inbox {
                // The asker waits for the reply and cannot be gone.
                drop(order.reply.send(give_birth(&order.program)));
            }
        };
        // Without the thread the channel is closed and every start reports that.
        drop(std::thread::Builder::new().name("hands".to_owned()).spawn(body));
        orders
    });
    let (reply, answer) = sync_channel(1);
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    let program = program.to_owned();
    nursery.send(Order { program, reply }).map_err(|_| gone(()))?;
    answer.recv().map_err(|_| gone(()))?
}

fn give_birth(program: &Path) -> Birth {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(program)
        .arg("worker")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()?;
    Ok((child, ours))
}
