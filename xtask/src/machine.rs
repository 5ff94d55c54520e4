//! What a fresh machine still needs, installed and said aloud.
//!
//! A chore names what it is about to use; what is missing is installed from Debian, from the
//! crate registry or from npm. Nothing is installed that the chore does not use.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    checkout::{self, tools, top},
    stage::{must, output},
};

/// The nextest this checkout's suite was written for.
const NEXTEST: &str = "0.9.143";
/// The stock probe-rs CLI the simulated board is judged by.
pub(crate) const PROBE_RS_TOOLS: &str = "0.32.0";
/// What judges releases at our hub: the TUF project's own client, and an HPKE.
const JUDGES: &[&str] = &["tuf==7.0.0", "securesystemslib[crypto]==1.4.0", "pyhpke==0.6.5"];
/// Espressif's own flashing program, which the simulated ESP32s are judged by.
const ESPTOOL: &str = "5.6.0";
/// WebDriver for Tauri windows.
const TAURI_DRIVER: &str = "2.1.0";

/// Packages for compiling the programs (ring and SQLite hold C) and for looking at the checkout.
pub(crate) const TO_BUILD: &[&str] = &["gcc", "git", "libc6-dev"];
/// Packages for reading our formats with a program that shares no code with ours.
pub(crate) const TO_JUDGE: &[&str] = &["python3", "python3-cryptography"];
/// What gives a test two networks, and cuts one of them.
pub(crate) const TO_CUT_OFF: &[&str] = &["iproute2"];
/// Packages for the browser tests.
pub(crate) const TO_BROWSE: &[&str] = &["chromium", "fonts-noto-cjk"];
/// Packages for the kiosk window.
pub(crate) const TO_OPEN_A_WINDOW: &[&str] =
    &["dbus-daemon", "fonts-noto-cjk", "libgtk-3-dev", "libwebkit2gtk-4.1-dev", "pkg-config"];
/// Packages for driving the kiosk window without a screen.
pub(crate) const TO_DRIVE_A_WINDOW: &[&str] = &["webkit2gtk-driver", "xauth", "xvfb"];
/// Firmware that other people wrote.
pub(crate) const TO_FLASH: &[&str] = &["firmware-microbit-micropython"];
/// USB devices that libusb takes for real ones, and another program that flashes them.
pub(crate) const TO_SERVE_USB: &[&str] = &["dfu-util", "libumockdev-dev", "umockdev"];
/// A machine of its own with a kernel, udev and users; and what unpacks the kernel.
pub(crate) const TO_BOOT: &[&str] = &["busybox-static", "dpkg", "qemu-system-x86", "udev"];
/// A TPM 2.0 for that machine, and the system that seals with it.
pub(crate) const TO_SEAL: &[&str] = &[
    "libtss2-esys-3.0.2-0",
    "libtss2-mu0",
    "libtss2-rc0",
    "libtss2-tcti-device0",
    "swtpm",
    "systemd",
];
/// Boards and flashing programs that other people wrote.
pub(crate) const TO_EMULATE: &[&str] = &["qemu-system-arm", "stm32flash"];

/// Packages for programs from the Python registry.
const TO_RUN_PYTHON: &[&str] = &["python3", "python3-venv"];

/// Installs the Debian packages that are missing, saying which.
pub(crate) fn debian(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        on_path("apt-get").is_some(),
        "this machine has no apt-get; install by hand: {}",
        missing.join(" ")
    );
    println!("installing Debian packages: {}", missing.join(" "));
    must(as_root("apt-get")?.args(["update", "-q"]).stdout(Stdio::null()))?;
    must(
        as_root("apt-get")?
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null()),
    )
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Abbrev}", package])
        .output()
        .is_ok_and(|answer| answer.status.success() && answer.stdout.starts_with(b"ii"))
}

fn as_root(program: &str) -> Result<Command> {
    let user = output(Command::new("id").arg("-u"))?;
    if user.trim() == "0" {
        return Ok(Command::new(program));
    }
    ensure!(on_path("sudo").is_some(), "`{program}` needs root, and this machine has no sudo");
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

/// Where a program lies on the search path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// rustfmt and clippy come with a normal Rust installation; say so in one sentence if not.
pub(crate) fn rust() -> Result<()> {
    for program in ["rustfmt", "clippy-driver"] {
        if on_path(program).is_none() {
            bail!(
                "`{program}` is missing: install Rust 1.95.0 with its usual components, rustfmt \
                 and clippy"
            );
        }
    }
    Ok(())
}

/// Makes sure `cargo nextest` runs and gives the command for it, lints included.
pub(crate) fn nextest(mut cargo: Command) -> Result<Command> {
    let present = checkout::cargo()
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !present {
        let folder = crate_tool("cargo-nextest", NEXTEST, &[])?;
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder).chain(env::split_paths(&path));
        cargo.env("PATH", env::join_paths(folders).context("extending PATH")?);
    }
    cargo.arg("nextest");
    Ok(cargo)
}

/// The stock probe-rs CLI.
pub(crate) fn probe_rs_cli() -> Result<PathBuf> {
    Ok(crate_tool("probe-rs-tools", PROBE_RS_TOOLS, &[])?.join("probe-rs"))
}

/// The WebDriver bridge of Tauri.
pub(crate) fn tauri_driver() -> Result<PathBuf> {
    Ok(crate_tool("tauri-driver", TAURI_DRIVER, &["--debug"])?.join("tauri-driver"))
}

/// Espressif's flashing program.
pub(crate) fn esptool() -> Result<PathBuf> {
    debian(TO_RUN_PYTHON)?;
    python_tool("esptool", ESPTOOL)
}

/// A Python that has the packages of [`JUDGES`], in a folder of its own.
pub(crate) fn judges() -> Result<PathBuf> {
    debian(TO_RUN_PYTHON)?;
    let home = tools()?.join(format!("judges-{}", JUDGES.join("-").replace(['=', '[', ']'], "_")));
    let (python, done) = (home.join("bin/python"), home.join("installed"));
    if done.is_file() {
        return Ok(python);
    }
    println!("installing {} (once per machine)", JUDGES.join(", "));
    must(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&home))?;
    must(
        Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(JUDGES),
    )?;
    // Written last: a folder without it was left half-made.
    replace(&done, b"")?;
    Ok(python)
}

/// Installs a program from the Python registry once per machine, in a folder of its own that the
/// system's Python does not see; gives the program.
fn python_tool(name: &str, version: &str) -> Result<PathBuf> {
    let home = tools()?.join(format!("{name}-{version}"));
    let program = home.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    println!("installing {name} {version} (once per machine)");
    must(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&home))?;
    must(
        Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("{name}=={version}")),
    )?;
    Ok(program)
}

/// Builds a program from the crate registry once per machine; gives the folder it lies in.
fn crate_tool(name: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let home = tools()?.join(format!("{name}-{version}"));
    let bin = home.join("bin");
    if bin.is_dir() && fs::read_dir(&bin).is_ok_and(|mut files| files.next().is_some()) {
        return Ok(bin);
    }
    println!("building {name} {version} (once per machine)");
    must(
        checkout::cargo()
            .current_dir(env::temp_dir())
            .args(["install", "--quiet", "--locked", "--version", version, name, "--root"])
            .arg(&home)
            .args(options),
    )?;
    Ok(bin)
}

/// The kernel that Debian would install here, unpacked but not installed: the folder with its `boot`
/// and `lib/modules`.
pub(crate) fn kernel() -> Result<PathBuf> {
    let depends = output(
        Command::new("apt-cache").args(["depends", "linux-image-amd64"]).env("LC_ALL", "C"),
    )?;
    let named: Vec<&str> =
        depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).collect();
    let [package] = named[..] else {
        bail!("linux-image-amd64 depends on {named:?}, not on one kernel; run apt-get update");
    };
    ensure!(!package.contains("cloud"), "{package} is a kernel without USB");
    let home = tools()?.join(package);
    if home.is_dir() {
        return Ok(home);
    }
    println!("unpacking {package} (once per machine)");
    let parent = home.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let fresh = tempfile::tempdir_in(parent).context("making a folder for the kernel")?;
    must(Command::new("apt-get").args(["download", "-q", package]).current_dir(fresh.path()))?;
    let deb = fs::read_dir(fresh.path())?.next().context("apt-get downloaded nothing")??.path();
    let whole = fresh.path().join("whole");
    must(Command::new("dpkg-deb").arg("-x").args([&deb, &whole]))?;
    fs::rename(&whole, &home).with_context(|| format!("making {}", home.display()))?;
    Ok(home)
}

/// Node and npm, and the npm packages of `ui/` as its lock file names them.
pub(crate) fn npm() -> Result<()> {
    for program in ["node", "npm"] {
        if on_path(program).is_none() {
            bail!("`{program}` is missing: install Node.js 20 or newer");
        }
    }
    let ui = top().join("ui");
    let lock = fs::read(ui.join("package-lock.json")).context("reading ui/package-lock.json")?;
    let mark = ui.join("node_modules").join(".installed-lock");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("installing the npm packages of ui/");
    must(npm_command(&ui).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    replace(&mark, &lock)
}

/// `npm` in one folder.
pub(crate) fn npm_command(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}

/// Writes a file so that a cut leaves the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new).with_context(|| format!("making {}", new.display()))?;
    std::io::Write::write_all(&mut file, bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("writing {}", path.display()))
}
