//! Image bytes in memory that has no name and cannot change: a sealed memfd.
//!
//! The daemon fills one per release and hands it to every slot; a worker maps it read-only. The
//! pages are locked into memory where the system allows it, so that they are not swapped out.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap, munmap};

use super::wire::{SEGMENTS_MAX, Segment};

/// Most image bytes one release may bring.
const IMAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The plain bytes of a release's images, unchangeable from now on.
#[derive(Debug)]
pub struct SealedImage {
    file: File,
    segments: Vec<Segment>,
    /// Held only to keep the pages locked; an empty image has none.
    _pages: Option<Pages>,
}

impl SealedImage {
    /// Copies segments, each (image name, first address, bytes), into sealed memory.
    ///
    /// # Errors
    /// When the system gives no memory for it, or for more than 64 MiB or 1,024 segments.
    pub fn new<'a>(
        segments: impl IntoIterator<Item = (&'a str, u64, &'a [u8])>,
    ) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create("image", flags)?);
        let mut table = Vec::new();
        let mut offset = 0;
        for (name, address, bytes) in segments {
            file.write_all(bytes)?;
            table.push(Segment { name: name.to_owned(), address, offset, bytes: bytes.len() });
            offset += bytes.len();
            if offset > IMAGE_BYTES_MAX || table.len() > SEGMENTS_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals()))?;
        let pages = NonZeroUsize::new(offset).map(|length| Pages::of(&file, length)).transpose()?;
        Ok(Self { file, segments: table, _pages: pages })
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl AsRawFd for SealedImage {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL
}

/// The worker's view of a memfd that came over the socket: whole, read-only, unchangeable.
#[derive(Debug)]
pub(super) struct MappedImage(Option<Pages>);

impl MappedImage {
    /// Maps it after checking that nobody can change it.
    pub(super) fn map(descriptor: OwnedFd) -> io::Result<Self> {
        let file = File::from(descriptor);
        let set = fcntl(&file, FcntlArg::F_GET_SEALS)?;
        if !SealFlag::from_bits_truncate(set).contains(seals()) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if length > IMAGE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        NonZeroUsize::new(length).map(|length| Pages::of(&file, length)).transpose().map(Self)
    }
}

impl Deref for MappedImage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |pages| pages.as_bytes())
    }
}

/// A read-only mapping of a sealed memfd.
#[derive(Debug)]
struct Pages {
    start: NonNull<std::ffi::c_void>,
    length: NonZeroUsize,
}

#[allow(
    unsafe_code,
    reason = "mapping memory has no safe form; a read-only mapping of a sealed memfd cannot change or shrink"
)]
impl Pages {
    /// `file` is a memfd sealed against writing and shrinking, `length` no longer than it.
    fn of(file: &File, length: NonZeroUsize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address the kernel chooses touches no memory of ours.
        let start =
            unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, 0) }?;
        let pages = Self { start, length };
        // SAFETY: the range is the mapping just made; locking changes no bytes.
        if let Err(error) = unsafe { mlock(start, length.get()) } {
            tracing::debug!(%error, "image bytes are not locked into memory");
        }
        Ok(pages)
    }

    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for `length` bytes until it is dropped; the seals keep
        // its bytes and its length as they are.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.length.get()) }
    }
}

#[allow(unsafe_code, reason = "undoes the mapping of `Pages::of`")]
impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping made in `of`, and nothing borrows from it any more.
        if let Err(error) = unsafe { munmap(self.start, self.length.get()) } {
            tracing::warn!(%error, "image bytes stay mapped");
        }
    }
}

#[allow(unsafe_code, reason = "a raw pointer takes away what the memory behind it allows")]
// SAFETY: the memory is never written after sealing, so it may be read and unmapped anywhere.
unsafe impl Send for Pages {}
#[allow(unsafe_code, reason = "a raw pointer takes away what the memory behind it allows")]
// SAFETY: as above; shared reads of memory that never changes.
unsafe impl Sync for Pages {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_image_reads_back_whole_and_refuses_every_change() {
        let image = SealedImage::new([("a", 0, &[1, 2, 3][..]), ("b", 0x100, &[4, 5][..])])
            .expect("sealed");
        assert_eq!(image.bytes(), 5);
        let mut file = image.file.try_clone().expect("clone");
        assert!(file.write_all(&[9]).is_err(), "written to");
        assert!(file.set_len(2).is_err(), "shrunk");
        assert!(file.set_len(9).is_err(), "grown");
        let mapped = MappedImage::map(OwnedFd::from(file)).expect("maps");
        assert_eq!(&*mapped, [1, 2, 3, 4, 5]);
        let places: Vec<(u64, usize, usize)> = image
            .segments()
            .iter()
            .map(|segment| (segment.address, segment.offset, segment.bytes))
            .collect();
        assert_eq!(places, [(0, 0, 3), (0x100, 3, 2)]);
    }

    #[test]
    fn an_empty_image_is_allowed_and_an_unsealed_one_refused() {
        let empty = SealedImage::new([]).expect("sealed");
        let descriptor = OwnedFd::from(empty.file.try_clone().expect("clone"));
        assert!(MappedImage::map(descriptor).expect("maps").is_empty());
        let unsealed =
            memfd_create("x", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).expect("memfd");
        assert!(MappedImage::map(unsealed).is_err());
    }
}
