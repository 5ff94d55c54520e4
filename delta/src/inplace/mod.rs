//! The new image over the old one, in one slot of NOR flash, whatever is cut off when.
//!
//! Beside the image lie the whole patch, a small ring of pages that keeps what the image's last pages
//! held before, and two slots for checkpoints ([`log`]). A page of the new image is made in memory;
//! the old page goes into the ring, that is noted, and only then is the page erased and written.
//! After a cut the walk goes on from the newest checkpoint with what the ring kept: the same bytes
//! come out, and pages already done are left alone.
//!
//! Owns the order of these steps and when a checkpoint is taken. Leaves flash to the caller
//! ([`Nor`]), and to the maker of the patch that no byte is needed once its page left the ring.
//!
//! Promise: nothing is erased before the header, the geometry, the patch's own sum and the old
//! image's digest were right. [`update`] returns `Ok` only if the whole new image has its digest;
//! after an error or a cut, calling it again goes on. A bootloader starts the image only if
//! [`state`] is not [`State::Begun`].

pub(crate) mod log;
mod page;

use crate::apply::{FlashFault, Workspace};
use crate::digest::{Digest, Hash};
use crate::header::{HEADER_BYTES_MAX, Header, HeaderError, InPlace};
use log::Log;
pub use log::{CHECKPOINT_BYTES, UNIT};
use page::Rewriting;

/// Places in flash. Offsets count from the start of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Area {
    /// The old image, on its way to being the new one.
    Image = 0,
    /// Pages kept for a while.
    Ring = 1,
    /// Checkpoints.
    Slots = 2,
    /// The patch; read only.
    Patch = 3,
}

/// NOR flash: erased by pages, then written once.
///
/// A cut may happen inside any call. What an interrupted erase or write left may read as anything,
/// differently each time, or fail to be read; nothing that matters is then read from there.
pub trait Nor {
    /// Fills `into`.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    fn read(&mut self, area: Area, at: u32, into: &mut [u8]) -> Result<(), FlashFault>;

    /// Erases page number `page` of an area.
    ///
    /// # Errors
    ///
    /// When the memory cannot be erased.
    fn erase(&mut self, area: Area, page: u32) -> Result<(), FlashFault>;

    /// Writes whole units of [`UNIT`] bytes into erased memory, each once after an erase.
    ///
    /// # Errors
    ///
    /// When the memory cannot be written.
    fn program(&mut self, area: Area, at: u32, bytes: &[u8]) -> Result<(), FlashFault>;
}

/// What a device set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Geometry {
    /// Bytes of a page, in every area.
    pub page_bytes: u32,
    /// Pages of the image's area.
    pub image_pages: u32,
    /// Pages of the ring, 1 to 32.
    pub ring_pages: u32,
    /// Pages of the area of checkpoints: [`slots_pages`].
    pub slots_pages: u32,
    /// Bytes of the patch.
    pub patch_bytes: u32,
}

/// Pages that checkpoints need beside a ring of `ring_pages` pages of `page_bytes` bytes.
pub const fn slots_pages(page_bytes: u32, ring_pages: u32) -> u32 {
    2 * (CHECKPOINT_BYTES + UNIT * ring_pages).div_ceil(page_bytes)
}

/// Most erases of any one page by one update, by area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wear {
    /// Of a page of the image.
    pub image: u32,
    /// Of a page of the ring.
    pub ring: u32,
    /// Of a page of the checkpoints' area.
    pub slots: u32,
}

/// Most erases of any one page by an update that is not interrupted: each cut may add one or two.
pub const fn wear(header: &Header, in_place: InPlace, ring_pages: u32) -> Wear {
    let pages = header.new_len.div_ceil(in_place.page_bytes());
    let pause = match ring_pages.saturating_sub(in_place.reach as u32) {
        0 => 1,
        pause => pause,
    };
    // The first and the last note beside one for each `pause` pages, on two slots in turn.
    let slots = (pages.div_ceil(pause) + 2).div_ceil(2);
    let ring = if ring_pages == 0 { 0 } else { pages.div_ceil(ring_pages) };
    if in_place.lift == 0 {
        return Wear { image: 1, ring, slots };
    }
    let old_pages = header.old_len.div_ceil(in_place.page_bytes());
    let lifting = old_pages.div_ceil(in_place.lift as u32) + 1;
    Wear { image: 2, ring, slots: slots + lifting.div_ceil(2) }
}

/// Why an update did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InPlaceError {
    /// The header cannot be followed.
    #[error("reading the patch header")]
    Header(#[from] HeaderError),
    /// The patch needs the old image beside the new one.
    #[error("patch was not made for updating in place")]
    NotInPlace,
    /// The patch is for other pages.
    #[error("patch is for pages of {wanted} bytes, this device has {found}")]
    Page {
        /// Bytes of the patch's pages.
        wanted: u32,
        /// Bytes of the device's pages, or of the page lent if that is shorter.
        found: u32,
    },
    /// The ring is too small, or larger than 32 pages.
    #[error("patch needs a ring of {wanted} to 32 pages, there are {found}")]
    Ring {
        /// Pages needed.
        wanted: u32,
        /// Pages there are.
        found: u32,
    },
    /// Checkpoints do not fit.
    #[error("checkpoints need {wanted} pages, there are {found}")]
    Slots {
        /// Pages needed.
        wanted: u32,
        /// Pages there are.
        found: u32,
    },
    /// An image does not fit, or the old one cannot be moved up as far as the patch wants.
    #[error("update needs {wanted} bytes, there is room for {room}")]
    Room {
        /// Bytes needed.
        wanted: u32,
        /// Bytes there are.
        room: u32,
    },
    /// The patch was changed after it was made.
    #[error("patch is damaged")]
    Damaged,
    /// The patch is for another old image.
    #[error("patch is for another old image")]
    OldDigest,
    /// Another update was begun and must be finished first.
    #[error("another update was begun")]
    OtherUpdate,
    /// What came out is not the new image.
    #[error("result is not the new image")]
    NewDigest,
    /// Flash failed, or did not keep what was written.
    #[error("using the flash")]
    Flash(#[from] FlashFault),
}

/// What the checkpoints say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No update was ever begun.
    Untouched,
    /// An update was begun: the image must not be started.
    Begun,
    /// The last update came to its end.
    Complete,
}

/// What the checkpoints say, for a bootloader: reads, writes nothing.
///
/// # Errors
///
/// When the geometry has no room for checkpoints.
pub fn state<N: Nor>(geometry: &Geometry, nor: &mut N) -> Result<State, InPlaceError> {
    fits(geometry)?;
    Ok(match Log::open(geometry, nor) {
        None => State::Untouched,
        Some((_, note)) if note.is_complete() => State::Complete,
        Some(_) => State::Begun,
    })
}

fn fits(geometry: &Geometry) -> Result<(), InPlaceError> {
    let Geometry { page_bytes, ring_pages, slots_pages: found, .. } = *geometry;
    if !page_bytes.is_power_of_two() || page_bytes < UNIT {
        return Err(InPlaceError::Page { wanted: UNIT, found: page_bytes });
    }
    if ring_pages == 0 || ring_pages > 32 {
        return Err(InPlaceError::Ring { wanted: 1, found: ring_pages });
    }
    let wanted = slots_pages(page_bytes, ring_pages);
    if found < wanted {
        return Err(InPlaceError::Slots { wanted, found });
    }
    Ok(())
}

/// Begins an update, or goes on with it, and ends it; returns the length of the new image.
///
/// `page` is memory for one page.
///
/// # Errors
///
/// When the patch is refused (nothing was erased then), when flash fails, or when the result is not
/// the new image.
pub fn update<N: Nor>(
    geometry: &Geometry,
    nor: &mut N,
    page: &mut [u8],
    work: &mut Workspace,
) -> Result<u32, InPlaceError> {
    fits(geometry)?;
    let (header, in_place, body_at) = examine(geometry, nor, page.len() as u32)?;
    let Some(page) = page.get_mut(..geometry.page_bytes as usize) else {
        return Err(InPlaceError::Flash(FlashFault));
    };
    let Header { old_len, new_len, old_digest, new_digest, .. } = header;
    let found = Log::open(geometry, nor);
    if let Some((log, note)) = found
        && !note.is_complete()
    {
        if note.patch_crc != in_place.patch_crc || note.new_digest != new_digest.0 {
            return Err(InPlaceError::OtherUpdate);
        }
        let mut rewriting = Rewriting::new(geometry, &header, in_place, body_at, nor, page, work);
        rewriting.resume(log, &note)?;
        rewriting.finish()?;
    } else if digest(nor, old_len)? == old_digest {
        let log = found.map_or(Log::NEW, |(log, _)| log);
        let mut rewriting = Rewriting::new(geometry, &header, in_place, body_at, nor, page, work);
        rewriting.begin(log)?;
        rewriting.finish()?;
    } else if digest(nor, new_len)? != new_digest {
        return Err(InPlaceError::OldDigest);
    }
    Ok(new_len)
}

/// Everything that can be refused before anything is erased, but the old image.
fn examine<N: Nor>(
    geometry: &Geometry,
    nor: &mut N,
    lent: u32,
) -> Result<(Header, InPlace, u32), InPlaceError> {
    let mut first = [0; HEADER_BYTES_MAX];
    let patch_bytes = geometry.patch_bytes;
    let some = (patch_bytes as usize).min(HEADER_BYTES_MAX);
    let Some(first) = first.get_mut(..some) else { return Err(InPlaceError::Damaged) };
    nor.read(Area::Patch, 0, first)?;
    let (header, body_at) = Header::parse(first)?;
    let body_at = body_at as u32;
    let in_place = header.in_place.ok_or(InPlaceError::NotInPlace)?;
    let (wanted, found) = (in_place.page_bytes(), geometry.page_bytes.min(lent));
    if wanted != geometry.page_bytes || found != wanted {
        return Err(InPlaceError::Page { wanted, found });
    }
    let wanted = u32::from(in_place.reach) + 1;
    if geometry.ring_pages < wanted {
        return Err(InPlaceError::Ring { wanted, found: geometry.ring_pages });
    }
    let room = geometry.image_pages.saturating_mul(geometry.page_bytes);
    let lifted = header.old_len.next_multiple_of(geometry.page_bytes)
        + u32::from(in_place.lift) * geometry.page_bytes;
    let old_end = if in_place.lift == 0 { header.old_len } else { lifted };
    let wanted = old_end.max(header.new_len);
    if wanted > room {
        return Err(InPlaceError::Room { wanted, room });
    }
    let mut sum = log::Sum::new();
    let own = body_at - 4..body_at;
    pieces(patch_bytes, nor, Area::Patch, &mut |at, piece| {
        for (at, byte) in (at..).zip(piece) {
            if !own.contains(&at) {
                sum.add(*byte);
            }
        }
    })?;
    if sum.value() != in_place.patch_crc {
        return Err(InPlaceError::Damaged);
    }
    Ok((header, in_place, body_at))
}

/// The first `len` bytes of an area, a few at a time.
fn pieces<N: Nor>(
    len: u32,
    nor: &mut N,
    area: Area,
    each: &mut dyn FnMut(u32, &[u8]),
) -> Result<(), FlashFault> {
    let mut piece = [0; 64];
    let mut at = 0;
    while at < len {
        let Some(piece) = piece.get_mut(..(len - at).min(64) as usize) else { break };
        nor.read(area, at, piece)?;
        each(at, piece);
        at += 64;
    }
    Ok(())
}

fn digest<N: Nor>(nor: &mut N, len: u32) -> Result<Digest, FlashFault> {
    let mut hash = Hash::new();
    pieces(len, nor, Area::Image, &mut |_, piece| hash.add(piece))?;
    Ok(hash.digest())
}
