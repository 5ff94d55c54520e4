//! Serial ports as the system shows them: which names are one device, and which devices are no
//! hardware of this machine.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::place::is_virtual_device;

/// Major numbers of the near ends of Unix98 pseudo-terminals (Linux, `admin-guide/devices.txt`).
const PTY_MAJORS: std::ops::RangeInclusive<u64> = 136..=143;

/// Whether two paths lead to one device: the same text, or the same device node now.
pub(super) fn is_same_device(one: &str, two: &str) -> bool {
    one == two || device(Path::new(one)).is_some_and(|found| Some(found) == device(Path::new(two)))
}

/// Whether a program or another machine answers behind a path.
pub(super) fn is_virtual(path: &Path) -> bool {
    let Some((major, minor)) = device(path) else { return false };
    PTY_MAJORS.contains(&major)
        || is_virtual_device(Path::new(&format!("/sys/dev/char/{major}:{minor}")))
}

/// Major and minor number of the character device behind a path.
fn device(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    if !found.file_type().is_char_device() {
        return None;
    }
    // As Linux packs a `dev_t` of 64 bits.
    let packed = found.rdev();
    let major = (packed >> 8 & 0xFFF) | (packed >> 32 & !0xFFF);
    let minor = (packed & 0xFF) | (packed >> 12 & !0xFF);
    Some((major, minor))
}
