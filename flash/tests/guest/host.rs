//! Outside: the boot image and the machine.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::archive::Archive;

/// From power to power off.
const WITHIN: Duration = Duration::from_secs(90);

/// In the order they need each other.
const MODULES: &[&str] = &[
    "usb/common/usb-common",
    "usb/core/usbcore",
    "usb/usbip/usbip-core",
    "usb/usbip/vhci-hcd",
    "usb/class/cdc-acm",
    "input/evdev",
    "input/misc/uinput",
];

/// Debian's rules that ours stand between.
const RULES: &[&str] = &[
    "50-udev-default.rules",
    "60-serial.rules",
    "70-uaccess.rules",
    "71-seat.rules",
    "73-seat-late.rules",
];

/// An unpacked `linux-image` package: `boot/` and `lib/modules/`.
fn kernel() -> PathBuf {
    let folder = std::env::var_os("GUEST_KERNEL")
        .expect("GUEST_KERNEL is not set: `cargo xtask test --deep` fetches a kernel and names it");
    PathBuf::from(folder)
}

/// The one entry of a folder whose name begins so.
fn only(folder: &Path, begins: &str) -> PathBuf {
    let found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(begins))
        .collect();
    let [one] = &found[..] else { panic!("not one {begins}* in {}: {found:?}", folder.display()) };
    one.clone()
}

fn image(kernel: &Path, test: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    let modules = only(&kernel.join("lib/modules"), "").join("kernel/drivers");
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap();
        archive.copy(&modules.join(format!("{module}.ko")), &format!("/modules/{name}.ko"));
    }
    archive.copy(Path::new("/bin/busybox"), "/bin/busybox");
    archive.program(Path::new("/bin/udevadm"), "/bin/udevadm");
    // One program under two names.
    archive.copy(Path::new("/bin/udevadm"), "/bin/systemd-udevd");
    archive.program(Path::new("/usr/bin/setpriv"), "/bin/setpriv");
    archive.program(&std::env::current_exe().unwrap(), "/bin/guest");
    archive.program(Path::new(env!("CARGO_BIN_EXE_board-visit")), "/bin/board-visit");
    for rules in RULES {
        archive.copy(
            &Path::new("/lib/udev/rules.d").join(rules),
            &format!("/lib/udev/rules.d/{rules}"),
        );
    }
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../udev/70-flashline.rules");
    archive.copy(&ours, "/etc/udev/rules.d/70-flashline.rules");
    archive.file("/etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\nworker:x:1000:1000::/:/bin/sh\n");
    archive.file("/etc/group", 0o644, include_bytes!("group"));
    archive.file("/init", 0o755, include_str!("init").replace("@TEST@", test).as_bytes());
    archive.finish()
}

/// Boots, waits for the power to go off, and gives what the serial console said, with the time it
/// took as the last line.
pub(crate) fn boot(test: &str) -> String {
    let kernel = kernel();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    File::create(&path).unwrap().write_all(&image(&kernel, test)).unwrap();
    let begun = Instant::now();
    let mut machine = Command::new("qemu-system-x86_64")
        .arg("-kernel")
        .arg(only(&kernel.join("boot"), "vmlinuz-"))
        .arg("-initrd")
        .arg(&path)
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "512"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting qemu-system-x86_64 (Debian package qemu-system-x86)");
    let console = machine.stdout.take().unwrap();
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
            // The console closed: the machine is off.
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                machine.kill().unwrap();
                machine.wait().unwrap();
                panic!("the machine was not done in {WITHIN:?}:\n{said}");
            }
        }
    }
    listener.join().unwrap();
    machine.wait().unwrap();
    said.push_str(&format!("GUEST ran for {:.1} s\n", begun.elapsed().as_secs_f64()));
    said
}
