//! Outside: the boot image and the machine.

use std::io;
use std::path::Path;

use simulators::line_pc::{Archive, Kernel, Machine};

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

fn kernel() -> Kernel {
    let folder = std::env::var_os("GUEST_KERNEL")
        .expect("GUEST_KERNEL is not set: `cargo xtask test --deep` fetches a kernel and names it");
    Kernel::in_folder(folder.into())
}

fn image(kernel: &Kernel, test: &str) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    let modules = kernel.drivers()?;
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap_or(module);
        archive.copy(&modules.join(format!("{module}.ko")), &format!("/modules/{name}.ko"))?;
    }
    archive.copy(Path::new("/bin/busybox"), "/bin/busybox")?;
    archive.program(Path::new("/bin/udevadm"), "/bin/udevadm")?;
    // One program under two names.
    archive.copy(Path::new("/bin/udevadm"), "/bin/systemd-udevd")?;
    archive.program(Path::new("/usr/bin/setpriv"), "/bin/setpriv")?;
    archive.program(&std::env::current_exe()?, "/bin/guest")?;
    archive.program(Path::new(env!("CARGO_BIN_EXE_board-visit")), "/bin/board-visit")?;
    for rules in RULES {
        archive.copy(
            &Path::new("/lib/udev/rules.d").join(rules),
            &format!("/lib/udev/rules.d/{rules}"),
        )?;
    }
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../udev/70-flashline.rules");
    archive.copy(&ours, "/etc/udev/rules.d/70-flashline.rules")?;
    archive.file("/etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\nworker:x:1000:1000::/:/bin/sh\n");
    archive.file("/etc/group", 0o644, include_bytes!("group"));
    archive.file("/init", 0o755, include_str!("init").replace("@TEST@", test).as_bytes());
    Ok(archive.finish())
}

/// What the serial console said from power to power off.
pub(crate) fn boot(test: &str) -> String {
    let kernel = kernel();
    let image = image(&kernel, test).expect("the boot image");
    let machine = Machine { kernel: &kernel, image, init: "/init", tpm: None };
    machine.boot().expect("the machine")
}
