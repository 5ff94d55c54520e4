//! A machine with a TPM 2.0, systemd as its first process, and a station as its service: the station
//! secret is sealed there, opens at the next start, and opens nowhere else.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulators::line_pc::{Archive, Kernel, Machine};

use super::World;

const SYSTEMD: &str = "/lib/systemd/systemd";
const DATA: &str = "/var/lib/flashline";
/// What systemd itself keeps for sealing; made in the machine, copied with its disk.
const HOST_KEY: &str = "/var/lib/systemd/credential.secret";
const SEALED: &str = "station.secret.sealed";

/// What systemd loads by itself to speak with a TPM.
const TSS: [&str; 4] =
    ["libtss2-esys.so.0", "libtss2-mu.so.0", "libtss2-rc.so.0", "libtss2-tcti-device.so.0"];

/// Every unit here runs on the serial console, and none waits for a system that is not there.
const ON_CONSOLE: &str = "StandardOutput=tty\nStandardError=tty\nTTYPath=/dev/ttyS0\n";

const FUNCTIONS: &str = r#"
export PATH=/bin:/usr/bin
busybox ifconfig lo up
echo "GUEST begins"
show() { echo "GUEST file $1 $(busybox base64 -w 0 $2)"; }
# The station runs as its unit says; its words are in its journal's place, the console.
serve() {
    systemctl start flashline-station.service
    echo "GUEST started $?"
    n=0
    until busybox wget -q -O /dev/null http://127.0.0.1:7380/ 2>/dev/null || [ $n = 200 ]; do
        [ "$(systemctl is-active flashline-station.service)" = active ] || break
        n=$((n + 1)); busybox usleep 100000
    done
    echo "GUEST state $(systemctl is-active flashline-station.service)"
    systemctl stop flashline-station.service
}
"#;

fn kernel() -> Kernel {
    let folder = std::env::var_os("GUEST_KERNEL")
        .expect("GUEST_KERNEL is not set: `cargo xtask test --deep` fetches a kernel and names it");
    Kernel::in_folder(folder.into())
}

/// A disk with a station's folder on it, and `files` more.
fn image(
    data: &[(String, Vec<u8>)],
    files: &[(&str, Vec<u8>)],
    story: &str,
) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib/systemd"] {
        archive.folder(folder);
    }
    archive.copy(Path::new("/bin/busybox"), "/bin/busybox")?;
    archive.copy(Path::new("/bin/busybox"), "/bin/sh")?;
    for program in ["/usr/bin/systemd-creds", "/usr/bin/systemctl"] {
        archive.program(Path::new(program), program)?;
    }
    archive.program(Path::new(SYSTEMD), SYSTEMD)?;
    for library in TSS {
        let path = format!("/usr/lib/x86_64-linux-gnu/{library}");
        archive.program(Path::new(&path), &path)?;
    }
    archive.program(Path::new(env!("CARGO_BIN_EXE_station-daemon")), "/usr/bin/station-daemon")?;
    archive.file("/etc/os-release", 0o644, b"ID=line-pc\n");
    archive.file("/etc/machine-id", 0o444, b"0123456789abcdef0123456789abcdef\n");
    archive.file("/etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n");
    archive.file("/etc/group", 0o644, b"root:x:0:\n");
    let unit = |name: &str, text: &str| {
        let text = format!("[Unit]\nDefaultDependencies=no\n{text}\n");
        (format!("/etc/systemd/system/{name}"), text)
    };
    for (path, text) in [
        unit("default.target", "Requires=story.service\nAfter=story.service"),
        unit(
            "story.service",
            &format!("[Service]\nType=oneshot\nExecStart=/bin/sh /story\n{ON_CONSOLE}"),
        ),
        unit(
            "flashline-station.service",
            &format!(
                "[Service]\nType=exec\nLoadCredentialEncrypted=flashline.station-secret:{DATA}/{SEALED}\n\
                 ExecStart=/usr/bin/station-daemon run --data {DATA}\nLimitCORE=0\n{ON_CONSOLE}"
            ),
        ),
    ] {
        archive.file(&path, 0o644, text.as_bytes());
    }
    for (name, bytes) in data {
        archive.file(&format!("{DATA}/{name}"), 0o600, bytes);
    }
    for (path, bytes) in files {
        // systemd takes its own key from nobody who could have changed it.
        archive.file(path, 0o400, bytes);
    }
    let story = format!("{FUNCTIONS}\n{story}\nbusybox poweroff -f\n");
    archive.file("/story", 0o755, story.as_bytes());
    Ok(archive.finish())
}

#[allow(clippy::print_stdout, reason = "how long a boot took is what a deep run shows")]
fn boot(image: Vec<u8>, tpm: &Path) -> String {
    let machine = Machine { kernel: &kernel(), image, init: SYSTEMD, tpm: Some(tpm) };
    let said = machine.boot().expect("the machine");
    println!("{}", said.lines().last().unwrap_or_default());
    said
}

/// A file the story showed.
fn shown(said: &str, name: &str) -> Vec<u8> {
    let begins = format!("GUEST file {name} ");
    let text = said.lines().find_map(|line| line.strip_prefix(&begins));
    let text = text.unwrap_or_else(|| panic!("{name} was not shown:\n{said}"));
    STANDARD.decode(text.trim()).unwrap_or_else(|error| panic!("{name}: {error}\n{said}"))
}

fn folder_of(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(world.path()).expect("the station's folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.push((name, std::fs::read(path).expect("a file")));
        }
    }
    files
}

#[test]
fn a_secret_sealed_by_a_tpm_opens_for_its_service_and_on_no_other_machine() {
    let world = World::new(|_| {});
    let bare = std::fs::read(world.path().join("station.secret")).expect("the secret");
    let tpms = [tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder")];

    // Sealed, and served from the seal.
    let story = format!(
        "station-daemon seal --data {DATA}; echo \"GUEST sealed $?\"\n\
         busybox ls {DATA}\nserve\nshow sealed {DATA}/{SEALED}\nshow host-key {HOST_KEY}"
    );
    let said = boot(image(&folder_of(&world), &[], &story).expect("image"), tpms[0].path());
    let tells = |said: &str, what: &str| assert!(said.contains(what), "{what:?}:\n{said}");
    tells(&said, "\"key_protection\":\"tpm\"");
    for line in ["GUEST sealed 0", "GUEST started 0", "GUEST state active"] {
        tells(&said, line);
    }
    tells(&said, "\"key_protection\":\"tpm\"},\"target\"");
    assert!(!said.contains("the station is halted"), "{said}");
    let sealed = shown(&said, "sealed");
    let host_key = shown(&said, "host-key");
    assert!(!sealed.windows(bare.len()).any(|window| window == bare), "bare in the seal");
    assert!(!said.lines().any(|line| line.trim_end() == "station.secret"), "{said}");

    // The disk as it is now: without the bare secret, with what systemd keeps on it.
    let mut disk = folder_of(&world);
    disk.retain(|(name, _)| name != "station.secret");
    disk.push((SEALED.to_owned(), sealed));
    let files = [(HOST_KEY, host_key)];

    // The next start of the same machine.
    let again = image(&disk, &files, "serve").expect("image");
    let said = boot(again.clone(), tpms[0].path());
    tells(&said, "GUEST state active");
    assert!(!said.contains("the station is halted"), "{said}");

    // A copy of the disk in another machine; by hand, too.
    let story = format!(
        "serve\nstation-daemon run --data {DATA}; echo \"GUEST by hand $?\"\n\
         busybox ls {DATA}; echo \"GUEST done\""
    );
    let said = boot(image(&disk, &files, &story).expect("image"), tpms[1].path());
    for line in ["GUEST started 1", "GUEST state failed", "GUEST by hand 1", "GUEST done"] {
        tells(&said, line);
    }
    tells(&said, "unsealing what the TPM or the own key of the machine sealed");
    assert!(!said.contains("station starts"), "{said}");
    assert!(
        !said.lines().any(|line| line.trim_end() == "station.secret"),
        "no other secret is made beside a sealed one:\n{said}"
    );
}
