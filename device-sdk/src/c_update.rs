//! The C interface of updates: what `include/flashline_update.h` declares.
//!
//! Flash is reached through the caller's functions only. Memory is the caller's: one
//! `flashline_delta` and one page, kept as they are until the update ends. Null pointers are answered
//! with [`BAD_CALL`].
#![allow(unsafe_code, reason = "C hands over pointers")]

use crate::c::BAD_CALL;
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::{ptr, slice};
use delta::HeaderError;
use delta::apply::{Apply, ApplyError, Flash, FlashFault, Room, Workspace};
use delta::inplace::{self, Area, Geometry, InPlaceError, Nor, State, slots_pages};

/// Done: the image is whole, or more may come.
pub const DONE: i32 = 0;
/// Bytes of `flashline_delta`.
pub const DELTA_BYTES: usize = 7552;

/// Both images of an update, wherever they lie: `flashline_images`. The functions answer 0, or
/// anything else if the memory failed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Images {
    /// Handed to the functions.
    pub context: *mut c_void,
    /// Fills `into` from the old image.
    pub read_old: Option<unsafe extern "C" fn(*mut c_void, u32, *mut u8, usize) -> i32>,
    /// Fills `into` from what was written of the new image.
    pub read_new: Option<unsafe extern "C" fn(*mut c_void, u32, *mut u8, usize) -> i32>,
    /// Writes the next part of the new image.
    pub write_new: Option<unsafe extern "C" fn(*mut c_void, u32, *const u8, usize) -> i32>,
    /// Bytes of the old image.
    pub old_bytes: u32,
    /// Bytes there are for the new image.
    pub new_room: u32,
}

/// NOR flash of an update in place: `flashline_flash`. The functions answer 0, or anything else if
/// the memory failed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Memory {
    /// Handed to the functions.
    pub context: *mut c_void,
    /// Fills `into` from an area.
    pub read: Option<unsafe extern "C" fn(*mut c_void, i32, u32, *mut u8, usize) -> i32>,
    /// Erases a page of an area.
    pub erase: Option<unsafe extern "C" fn(*mut c_void, i32, u32) -> i32>,
    /// Writes units of 32 bytes into erased memory.
    pub program: Option<unsafe extern "C" fn(*mut c_void, i32, u32, *const u8, usize) -> i32>,
}

/// What lies in a `flashline_delta`. `apply` borrows `work`, which stays where it is.
struct Update {
    work: Workspace,
    apply: ManuallyDrop<Apply<'static>>,
    images: Images,
}

const _: () = assert!(size_of::<Update>() <= DELTA_BYTES && align_of::<Update>() <= 8);

fn fault(answer: Option<i32>) -> Result<(), FlashFault> {
    if answer == Some(0) { Ok(()) } else { Err(FlashFault) }
}

impl Flash for Images {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        // SAFETY: the function fills the bytes it is given, by the contract of `begin`.
        fault(self.read_old.map(|f| unsafe { f(self.context, at, into.as_mut_ptr(), into.len()) }))
    }

    fn read_new(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        // SAFETY: as above.
        fault(self.read_new.map(|f| unsafe { f(self.context, at, into.as_mut_ptr(), into.len()) }))
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        // SAFETY: the function only reads the bytes, by the contract of `begin`.
        fault(self.write_new.map(|f| unsafe { f(self.context, at, bytes.as_ptr(), bytes.len()) }))
    }
}

impl Nor for Memory {
    fn read(&mut self, area: Area, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let (to, count) = (into.as_mut_ptr(), into.len());
        // SAFETY: the function fills the bytes it is given, by the contract of the exported functions.
        fault(self.read.map(|f| unsafe { f(self.context, area as i32, at, to, count) }))
    }

    fn erase(&mut self, area: Area, page: u32) -> Result<(), FlashFault> {
        // SAFETY: numbers only.
        fault(self.erase.map(|f| unsafe { f(self.context, area as i32, page) }))
    }

    fn program(&mut self, area: Area, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let (from, count) = (bytes.as_ptr(), bytes.len());
        // SAFETY: the function only reads the bytes, by the contract of the exported functions.
        fault(self.program.map(|f| unsafe { f(self.context, area as i32, at, from, count) }))
    }
}

/// `FLASHLINE_UPDATE_…` of an error of applying.
pub fn apply_number(error: ApplyError) -> i32 {
    match error {
        ApplyError::Header(error) => header_number(error),
        ApplyError::OldLength { .. } => 24,
        ApplyError::OldDigest => 25,
        ApplyError::Room { .. } => 26,
        ApplyError::Truncated => 27,
        ApplyError::Trailing => 28,
        ApplyError::Damaged => 29,
        ApplyError::NewDigest => 30,
        ApplyError::NoPage => 31,
        ApplyError::Flash(_) => 32,
    }
}

fn header_number(error: HeaderError) -> i32 {
    match error {
        HeaderError::Foreign => 20,
        HeaderError::Version(_) => 21,
        HeaderError::Isa(_) => 22,
        HeaderError::Limits => 23,
    }
}

/// `FLASHLINE_UPDATE_…` of an error of an update in place.
pub fn in_place_number(error: InPlaceError) -> i32 {
    match error {
        InPlaceError::Header(error) => header_number(error),
        InPlaceError::OldDigest => 25,
        InPlaceError::Room { .. } => 26,
        InPlaceError::Damaged => 29,
        InPlaceError::NewDigest => 30,
        InPlaceError::Flash(_) => 32,
        InPlaceError::NotInPlace => 33,
        InPlaceError::Page { .. } => 34,
        InPlaceError::Ring { .. } => 35,
        InPlaceError::Slots { .. } => 36,
        InPlaceError::OtherUpdate => 37,
    }
}

/// `flashline_delta_begin`: makes `delta` ready for a patch's first byte.
///
/// # Safety
/// - `delta`: null, or [`DELTA_BYTES`] writable bytes at a multiple of eight.
/// - `images`: null, or a readable [`Images`] whose functions keep to what it says of them.
/// - `page`: null, or `page_bytes` writable bytes.
///
/// `delta` and `page` overlap nothing, stay where they are, and nobody else touches them until
/// [`flashline_delta_finish`] answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_delta_begin(
    delta: *mut c_void,
    images: *const Images,
    page: *mut u8,
    page_bytes: usize,
) -> i32 {
    let update = delta.cast::<Update>();
    if !update.is_aligned() || page.is_null() || isize::try_from(page_bytes).is_err() {
        return BAD_CALL;
    }
    // SAFETY: null, or a readable `Images`, by this function's contract.
    let Some(&images) = (unsafe { images.as_ref() }) else { return BAD_CALL };
    let whole =
        images.read_old.is_some() && images.read_new.is_some() && images.write_new.is_some();
    if update.is_null() || !whole {
        return BAD_CALL;
    }
    let room = Room { old_len: images.old_bytes, new_len_max: images.new_room };
    // SAFETY: room for an `Update`, writable and aligned; the borrows of `work` and `page` are the only
    // ones for as long as `apply` is used, by this function's contract.
    unsafe {
        (&raw mut (*update).work).write(Workspace::new());
        let page = slice::from_raw_parts_mut(page, page_bytes);
        let apply = Apply::new(room, page, &mut (*update).work);
        (&raw mut (*update).apply).write(ManuallyDrop::new(apply));
        (&raw mut (*update).images).write(images);
    }
    DONE
}

/// `flashline_delta_feed`: takes the next bytes of the patch, any number of them.
///
/// # Safety
/// - `delta`: null, or what [`flashline_delta_begin`] answered [`DONE`] for.
/// - `patch`: null, or `patch_bytes` readable bytes outside of `delta` and its page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_delta_feed(
    delta: *mut c_void,
    patch: *const u8,
    patch_bytes: usize,
) -> i32 {
    let update = delta.cast::<Update>();
    if update.is_null() || patch.is_null() || isize::try_from(patch_bytes).is_err() {
        return BAD_CALL;
    }
    // SAFETY: begun, by this function's contract; `apply` and `images` are two fields, and `work` is
    // reached through `apply` only.
    let (apply, images, patch) = unsafe {
        let patch = slice::from_raw_parts(patch, patch_bytes);
        (&mut (*update).apply, &mut (*update).images, patch)
    };
    apply.feed(patch, images).map_or_else(apply_number, |()| DONE)
}

/// `flashline_delta_finish`: ends the patch. [`DONE`] if the new image is whole and right; its length
/// goes to `new_bytes`.
///
/// # Safety
/// - `delta`: null, or what [`flashline_delta_begin`] answered [`DONE`] for.
/// - `new_bytes`: null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_delta_finish(delta: *mut c_void, new_bytes: *mut u32) -> i32 {
    let update = delta.cast::<Update>();
    if update.is_null() {
        return BAD_CALL;
    }
    // SAFETY: as in `flashline_delta_feed`.
    let (apply, images) = unsafe { (&mut (*update).apply, &mut (*update).images) };
    match apply.finish(images) {
        Ok(len) => {
            // SAFETY: null or writable, by this function's contract.
            unsafe { put(new_bytes, len) }
            DONE
        }
        Err(error) => apply_number(error),
    }
}

/// # Safety
/// `to` is null or writable.
unsafe fn put(to: *mut u32, value: u32) {
    if !to.is_null() {
        // SAFETY: this function's contract.
        unsafe { ptr::write(to, value) }
    }
}

/// # Safety
/// Both are null, or readable and as their types say.
unsafe fn nor(memory: *const Memory, geometry: *const Geometry) -> Option<(Memory, Geometry)> {
    // SAFETY: this function's contract.
    let (memory, geometry) = unsafe { (*memory.as_ref()?, *geometry.as_ref()?) };
    let whole = memory.read.is_some() && memory.erase.is_some() && memory.program.is_some();
    whole.then_some((memory, geometry))
}

/// `flashline_update_in_place`: begins an update in place or goes on with it, and ends it. [`DONE`] if
/// the new image stands whole and right; its length goes to `new_bytes`.
///
/// # Safety
/// - `delta`: null, or [`DELTA_BYTES`] writable bytes at a multiple of eight.
/// - `memory`: null, or a readable [`Memory`] whose functions keep to what it says of them.
/// - `geometry`: null or readable.
/// - `page`: null, or `page_bytes` writable bytes.
/// - `new_bytes`: null, or writable.
///
/// None of them overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_update_in_place(
    delta: *mut c_void,
    memory: *const Memory,
    geometry: *const Geometry,
    page: *mut u8,
    page_bytes: usize,
    new_bytes: *mut u32,
) -> i32 {
    let work = delta.cast::<Workspace>();
    if work.is_null()
        || !work.is_aligned()
        || page.is_null()
        || isize::try_from(page_bytes).is_err()
    {
        return BAD_CALL;
    }
    // SAFETY: this function's contract.
    let Some((mut memory, geometry)) = (unsafe { nor(memory, geometry) }) else { return BAD_CALL };
    // SAFETY: writable and aligned, more than a `Workspace`; borrowed for this call only.
    let (work, page) = unsafe {
        work.write(Workspace::new());
        (&mut *work, slice::from_raw_parts_mut(page, page_bytes))
    };
    match inplace::update(&geometry, &mut memory, page, work) {
        Ok(len) => {
            // SAFETY: null or writable, by this function's contract.
            unsafe { put(new_bytes, len) }
            DONE
        }
        Err(error) => in_place_number(error),
    }
}

/// `flashline_update_state`: 0 never updated, 1 begun (the image must not be started), 2 complete;
/// [`BAD_CALL`], or another negative number if the geometry has no room for checkpoints.
///
/// # Safety
/// - `memory`: null, or a readable [`Memory`] whose functions keep to what it says of them.
/// - `geometry`: null or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_update_state(
    memory: *const Memory,
    geometry: *const Geometry,
) -> i32 {
    // SAFETY: this function's contract.
    let Some((mut memory, geometry)) = (unsafe { nor(memory, geometry) }) else { return BAD_CALL };
    match inplace::state(&geometry, &mut memory) {
        Ok(State::Untouched) => 0,
        Ok(State::Begun) => 1,
        Ok(State::Complete) => 2,
        Err(error) => -in_place_number(error),
    }
}

/// `flashline_slots_pages`: pages that checkpoints need beside a ring of `ring_pages` pages of
/// `page_bytes` bytes; 0 for pages of no bytes.
#[unsafe(no_mangle)]
pub extern "C" fn flashline_slots_pages(page_bytes: u32, ring_pages: u32) -> u32 {
    if page_bytes == 0 || ring_pages > 32 { 0 } else { slots_pages(page_bytes, ring_pages) }
}
