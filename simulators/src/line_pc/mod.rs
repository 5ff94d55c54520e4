//! A line PC with a kernel of its own: Debian's, under QEMU, without any help of the host's.
//!
//! Owns the boot image, the machine around it and its serial console; a story inside ends by turning
//! the power off. With a TPM 2.0 where one is asked for: swtpm, behind the bus that a real one is at.

mod archive;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub use archive::Archive;

/// From power to power off.
const WITHIN: Duration = Duration::from_secs(90);
/// For swtpm to make its socket.
const TPM_WITHIN: Duration = Duration::from_secs(10);

/// An unpacked `linux-image` package: `boot/` and `lib/modules/`.
#[derive(Debug, Clone)]
pub struct Kernel(PathBuf);

impl Kernel {
    /// The one in this folder.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder of its drivers.
    ///
    /// # Errors
    /// A folder that holds no kernel, or two.
    pub fn drivers(&self) -> io::Result<PathBuf> {
        Ok(only(&self.0.join("lib/modules"), "")?.join("kernel/drivers"))
    }

    fn image(&self) -> io::Result<PathBuf> {
        only(&self.0.join("boot"), "vmlinuz-")
    }
}

/// The one entry of a folder whose name begins so.
fn only(folder: &Path, begins: &str) -> io::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins)) {
            found.push(path);
        }
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        _ => Err(io::Error::other(format!("not one {begins}* in {}", folder.display()))),
    }
}

/// One machine, before its power is turned on.
#[derive(Debug)]
pub struct Machine<'a> {
    /// What it boots.
    pub kernel: &'a Kernel,
    /// What it boots it with.
    pub image: Vec<u8>,
    /// The first program, of the image.
    pub init: &'a str,
    /// Folder that holds what its TPM remembers; none for a machine without a TPM.
    pub tpm: Option<&'a Path>,
}

impl Machine<'_> {
    /// Boots, waits for the power to go off, and gives what the serial console said, with the time
    /// it took as the last line.
    ///
    /// # Errors
    /// No QEMU or no swtpm (Debian packages `qemu-system-x86`, `swtpm`), no kernel, or a machine that
    /// was not done after 90 s, with what it had said.
    pub fn boot(self) -> io::Result<String> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("image");
        std::fs::File::create(&path)?.write_all(&self.image)?;
        let mut command = Command::new("qemu-system-x86_64");
        command
            .arg("-kernel")
            .arg(self.kernel.image()?)
            .arg("-initrd")
            .arg(&path)
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 mitigations=off rdinit={}", self.init))
            .args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "768"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args(["-serial", "stdio"]);
        let tpm = self.tpm.map(|state| Tpm::start(state, folder.path())).transpose()?;
        if let Some(tpm) = &tpm {
            command
                .arg("-chardev")
                .arg(format!("socket,id=tpm,path={}", tpm.socket.display()))
                .args([
                    "-tpmdev",
                    "emulator,id=tpm0,chardev=tpm",
                    "-device",
                    "tpm-tis,tpmdev=tpm0",
                ]);
        }
        let mut machine = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let said = listen(&mut machine);
        machine.kill()?;
        machine.wait()?;
        said
    }
}

/// Reads the console until it closes: then the machine is off.
fn listen(machine: &mut Child) -> io::Result<String> {
    let begun = Instant::now();
    let console =
        machine.stdout.take().ok_or_else(|| io::Error::other("a machine without console"))?;
    let (lines, heard) = mpsc::channel();
    let listener = thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut said = String::new();
    loop {
        match heard.recv_timeout(WITHIN.saturating_sub(begun.elapsed())) {
            Ok(line) => {
                said.push_str(line.trim_end());
                said.push('\n');
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(io::Error::other(format!("not done in {WITHIN:?}:\n{said}")));
            }
        }
    }
    // It has ended: it hung up.
    drop(listener.join());
    said.push_str(&format!("GUEST ran for {:.1} s\n", begun.elapsed().as_secs_f64()));
    Ok(said)
}

/// A TPM 2.0 in a process of its own, for one machine.
struct Tpm {
    process: Child,
    socket: PathBuf,
}

impl Tpm {
    fn start(state: &Path, folder: &Path) -> io::Result<Self> {
        let socket = folder.join("tpm.sock");
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--terminate", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .stdin(Stdio::null())
            .spawn()?;
        let begun = Instant::now();
        while !socket.exists() {
            if process.try_wait()?.is_some() || begun.elapsed() > TPM_WITHIN {
                return Err(io::Error::other("swtpm made no socket"));
            }
            thread::yield_now();
        }
        Ok(Self { process, socket })
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // It ends by itself when the machine does.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
