//! The station secret, sealed by the machine: a credential of systemd's.
//!
//! systemd seals with a key that its TPM 2.0 gives back on this machine only, with one that lies on
//! its disk, or with both (systemd.exec(5), `LoadCredentialEncrypted=`; systemd-creds(1)). A service
//! is handed the secret by the system's first process; by hand, as root, `systemd-creds` opens it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::KeyProtection;
use zeroize::Zeroizing;

/// The name the credential is bound to.
pub const CREDENTIAL: &str = "flashline.station-secret";
const SYSTEMD_CREDS: &str = "systemd-creds";
/// A credential begins with the id of its form, in base64 (systemd, `creds-util.h`).
const ID_BYTES: usize = 16;
const ID_TEXT: usize = 22;
/// `CRED_AES256_GCM_BY_TPM2_HMAC`
const BY_TPM: [u8; ID_BYTES] = *b"\x0C\x7C\xC0\x7B\x11\x76\x45\x91\x9C\x4B\x0B\xEA\x08\xBC\x20\xFE";
/// `CRED_AES256_GCM_BY_HOST_AND_TPM2_HMAC`
const BY_HOST_AND_TPM: [u8; ID_BYTES] =
    *b"\x93\xA8\x94\x09\x48\x74\x44\x90\x90\xCA\xF2\xFC\x93\xCA\xB5\x53";

/// What a secret is sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealWith {
    /// The TPM and the machine's own key: a copied disk does not open, nor does a TPM alone.
    HostAndTpm,
    /// The TPM.
    Tpm,
    /// The machine's own key, which is on the same disk.
    Host,
}

impl SealWith {
    fn word(self) -> &'static str {
        match self {
            Self::HostAndTpm => "host+tpm2",
            Self::Tpm => "tpm2",
            Self::Host => "host",
        }
    }
}

/// Where the system's first process put this service's opened credentials: the environment variable
/// `CREDENTIALS_DIRECTORY`.
#[must_use]
pub fn handed_over() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(CREDENTIAL))
}

/// Whether a sealed credential needs the TPM of its machine.
#[must_use]
pub fn needs_tpm(sealed: &[u8]) -> bool {
    // Twenty-two letters hold sixteen bytes and four bits more.
    let head = sealed.get(..ID_TEXT + 2).and_then(|text| STANDARD.decode(text).ok());
    let id = head.as_ref().and_then(|bytes| bytes.get(..ID_BYTES));
    id == Some(&BY_TPM) || id == Some(&BY_HOST_AND_TPM)
}

/// Seals a secret for this machine.
///
/// # Errors
/// No `systemd-creds`, or its words: no TPM, no right to use it.
pub fn seal(secret: &[u8], with: SealWith) -> io::Result<Vec<u8>> {
    let key = format!("--with-key={}", with.word());
    run(&["encrypt", &key, "-", "-"], secret).map(|sealed| sealed.to_vec())
}

/// Opens a sealed secret, which takes root on the machine that sealed it.
///
/// # Errors
/// No `systemd-creds`, or its words: another machine, another TPM, no right.
pub fn unseal(sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    run(&["decrypt", "-", "-"], sealed)
}

fn run(arguments: &[&str], input: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new(SYSTEMD_CREDS)
        .arg(format!("--name={CREDENTIAL}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stops reading says why on its other output.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    let written = Zeroizing::new(output.stdout);
    if output.status.success() {
        return Ok(written);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{SYSTEMD_CREDS} {}: {}", arguments[0], words.trim())))
}

/// What guards a file on this disk: its encryption, or nothing.
#[must_use]
pub fn protection_of_disk(path: &Path) -> KeyProtection {
    protection_under(Path::new("/sys/dev/block"), path)
}

/// dm-crypt names its devices so (`/sys/dev/block/MAJOR:MINOR/dm/uuid`); what lies below, of a volume
/// group for one, is among the slaves.
const ENCRYPTED: &str = "CRYPT-";
/// Devices on devices on devices.
const DEPTH_MAX: u32 = 8;

fn protection_under(devices: &Path, path: &Path) -> KeyProtection {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(about) = std::fs::metadata(path) else { return KeyProtection::None };
    let (major, minor) = (nix::sys::stat::major(about.dev()), nix::sys::stat::minor(about.dev()));
    let device = devices.join(format!("{major}:{minor}"));
    if is_encrypted(&device, DEPTH_MAX) { KeyProtection::Disk } else { KeyProtection::None }
}

fn is_encrypted(device: &Path, depth: u32) -> bool {
    let named = std::fs::read_to_string(device.join("dm/uuid"));
    if named.is_ok_and(|uuid| uuid.starts_with(ENCRYPTED)) {
        return true;
    }
    let Ok(slaves) = std::fs::read_dir(device.join("slaves")) else { return false };
    let slaves: Vec<PathBuf> = slaves.flatten().map(|entry| entry.path()).collect();
    // One that is not encrypted is enough for a thief.
    depth > 0 && !slaves.is_empty() && slaves.iter().all(|slave| is_encrypted(slave, depth - 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the test makes a small system")]

    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_a_credential_was_sealed_with_stands_at_its_beginning() {
        let check = |id: &[u8; ID_BYTES], needs: bool| {
            let sealed = STANDARD.encode([id.as_slice(), &[0x20, 0, 0, 0, 1, 0, 0, 0]].concat());
            assert_eq!(needs_tpm(sealed.as_bytes()), needs, "{id:X?}");
        };
        check(&BY_TPM, true);
        check(&BY_HOST_AND_TPM, true);
        // CRED_AES256_GCM_BY_HOST
        check(b"\x5A\x1C\x6A\x86\xDF\x9D\x40\x96\xB1\xD5\xA6\x5E\x08\x62\xF1\x9A", false);
        for none in [
            "",
            "DHzA",
            "no credential at all, only text",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert!(!needs_tpm(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn a_disk_counts_as_encrypted_where_all_that_is_below_is() {
        let folder = tempfile::tempdir().expect("folder");
        let dev = fs::metadata(folder.path()).expect("about").dev();
        let (major, minor) = (nix::sys::stat::major(dev), nix::sys::stat::minor(dev));
        let check = |files: &[(&str, &str)], wanted: KeyProtection| {
            let devices = folder.path().join("devices");
            let device = devices.join(format!("{major}:{minor}"));
            fs::create_dir_all(&device).expect("device");
            for (name, text) in files {
                let file = device.join(name);
                fs::create_dir_all(file.parent().expect("folder")).expect("folder");
                fs::write(file, text).expect("file");
            }
            assert_eq!(protection_under(&devices, folder.path()), wanted, "{files:?}");
            fs::remove_dir_all(devices).expect("removed");
        };
        let (crypt, volume) = ("CRYPT-LUKS2-8d\n", "LVM-aa\n");
        check(&[], KeyProtection::None);
        check(&[("dm/uuid", crypt)], KeyProtection::Disk);
        check(&[("dm/uuid", volume)], KeyProtection::None);
        check(&[("dm/uuid", volume), ("slaves/dm-0/dm/uuid", crypt)], KeyProtection::Disk);
        let two = [("slaves/dm-0/dm/uuid", crypt), ("slaves/sdb1/size", "1")];
        check(&two, KeyProtection::None);
        assert_eq!(protection_of_disk(Path::new("/no/such/path")), KeyProtection::None);
    }
}
