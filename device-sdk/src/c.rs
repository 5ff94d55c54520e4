//! The C interface: the functions that `include/flashline.h` declares.
//!
//! Every function reads only what its caller points to, writes only where its caller says, keeps no
//! pointer and holds no state, so it may be called from anywhere at any time. Null pointers and
//! texts without an end are answered with [`BAD_CALL`]; pointers to memory that is not there
//! cannot be noticed.
#![allow(unsafe_code, reason = "C hands over pointers")]

use crate::{Activation, Credential, Refusal};
use activation::{COLUMNS_MAX, FAMILY_BYTES_MAX, Openness, PRODUCT_BYTES_MAX, UID_BYTES_MAX};
use core::ffi::c_char;
use core::{ptr, slice};

/// The chip's own, proven block.
pub const VALID: i32 = 0;
/// Erased flash.
pub const ABSENT: i32 = -1;
/// A null pointer where none may be, or a text that does not end.
pub const BAD_CALL: i32 = -2;
/// Room for an activation code of `flashline_check` and its NUL.
pub const CODE_ROOM: usize = 22;
/// Room for an activation code of `flashline_check_pool` and its NUL.
pub const POOL_CODE_ROOM: usize = crate::POOL_CODE_BYTES_MAX + 1;

/// Which chip a block is checked for: `flashline_chip`.
#[repr(C)]
pub struct Chip {
    /// Product name, UTF-8, ends with NUL.
    pub product: *const c_char,
    /// Chip family in lower case, ends with NUL.
    pub family: *const c_char,
    /// The chip's unique id as it lies in its memory.
    pub uid: *const u8,
    /// Bytes of the unique id.
    pub uid_bytes: usize,
    /// Current and next key or secret, one behind the other; 32 zeros where there is none.
    pub keys: *const [[u8; 32]; 2],
}

/// One column of a credential: `flashline_column`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Column {
    /// Its first byte, in the block.
    pub bytes: *const u8,
    /// How many.
    pub count: usize,
    /// 1: only the chip may hold it; 0: public.
    pub secret: u8,
}

/// [`Chip`], read.
struct Known<'a> {
    product: &'a str,
    family: &'a str,
    uid: &'a [u8],
    keys: &'a [[u8; 32]; 2],
}

impl Known<'_> {
    /// # Safety
    /// As `flashline_check` says of `chip`, for as long as the answer lives.
    unsafe fn of<'a>(chip: *const Chip) -> Option<Known<'a>> {
        // SAFETY: null, or a readable `Chip`, by the contract of the exported functions.
        let chip = unsafe { chip.as_ref() }?;
        // SAFETY: `product` and `family` are null or point to text that ends with NUL; the other
        // two are null or point to what their types say.
        unsafe {
            Some(Known {
                product: text(chip.product, PRODUCT_BYTES_MAX)?,
                family: text(chip.family, FAMILY_BYTES_MAX)?,
                // A longer one is refused anyway: no more is read than a UID can have.
                uid: bytes(chip.uid, chip.uid_bytes.min(UID_BYTES_MAX + 1))?,
                keys: chip.keys.as_ref()?,
            })
        }
    }
}

/// The text at `first`, without its NUL.
///
/// # Safety
/// `first` is null, or readable up to a NUL or `bytes_max` bytes and one, whichever comes first.
unsafe fn text<'a>(first: *const c_char, bytes_max: usize) -> Option<&'a str> {
    if first.is_null() {
        return None;
    }
    // SAFETY: no byte behind the NUL is read, and none behind `bytes_max` and one.
    let length = (0..=bytes_max).find(|&at| unsafe { *first.add(at) } == 0)?;
    // SAFETY: `length` bytes were just read.
    core::str::from_utf8(unsafe { bytes(first.cast(), length)? }).ok()
}

/// # Safety
/// `first` is null, or `count` bytes from it can be read while the answer lives.
unsafe fn bytes<'a>(first: *const u8, count: usize) -> Option<&'a [u8]> {
    if first.is_null() || isize::try_from(count).is_err() {
        return None;
    }
    // SAFETY: readable by the contract, not null, and not longer than a slice may be.
    Some(unsafe { slice::from_raw_parts(first, count) })
}

/// Writes `text` and a NUL.
///
/// # Safety
/// `text` and one byte more can be written at `to`.
unsafe fn write(text: impl Iterator<Item = u8>, to: *mut c_char) {
    let mut at = to;
    for byte in text {
        // SAFETY: within the room of the contract.
        unsafe {
            at.write(byte as c_char);
            at = at.add(1);
        }
    }
    // SAFETY: the byte behind the text.
    unsafe { at.write(0) }
}

/// Hyphens stand behind every fourth symbol.
fn hyphenated(symbols: [u8; 17]) -> impl Iterator<Item = u8> {
    symbols.into_iter().enumerate().flat_map(|(place, symbol)| {
        let hyphen = (place != 0 && place % 4 == 0).then_some(b'-');
        hyphen.into_iter().chain(core::iter::once(symbol))
    })
}

fn refused(refusal: Refusal) -> i32 {
    i32::from(refusal.number())
}

/// # Safety
/// `code` is null or has room for [`CODE_ROOM`] bytes.
unsafe fn answer(activation: Activation, code: *mut c_char) -> i32 {
    match activation {
        Activation::Valid { code: found } => {
            if !code.is_null() {
                // SAFETY: 17 symbols, 4 hyphens and a NUL are `CODE_ROOM` bytes.
                unsafe { write(hyphenated(found.to_symbols()), code) }
            }
            VALID
        }
        Activation::Absent => ABSENT,
        Activation::Invalid(refusal) => refused(refusal),
    }
}

/// `flashline_check`: mode *ed25519*. Answers [`VALID`], [`ABSENT`], [`BAD_CALL`], or the number of
/// a refusal (`FLASHLINE_REFUSED_…`).
///
/// # Safety
/// - `block`: null, or `block_bytes` readable bytes.
/// - `chip`: null, or a readable [`Chip`] whose pointers are null or point to what it says.
/// - `code`: null, or [`CODE_ROOM`] writable bytes that overlap nothing else here.
///
/// Nothing of it changes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_check(
    block: *const u8,
    block_bytes: usize,
    chip: *const Chip,
    code: *mut c_char,
) -> i32 {
    // SAFETY: this function's own contract.
    let (Some(block), Some(chip)) = (unsafe { (bytes(block, block_bytes), Known::of(chip)) })
    else {
        return BAD_CALL;
    };
    let found = crate::check_activation(block, chip.uid, chip.product, chip.family, chip.keys);
    // SAFETY: this function's own contract.
    unsafe { answer(found, code) }
}

/// `flashline_check_mac`: mode *hmac-sha256*, a copy deterrent. The chip's `keys` are secrets here.
/// Answers as [`flashline_check`].
///
/// # Safety
/// As [`flashline_check`].
#[cfg(feature = "mac")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_check_mac(
    block: *const u8,
    block_bytes: usize,
    chip: *const Chip,
    code: *mut c_char,
) -> i32 {
    // SAFETY: this function's own contract.
    let (Some(block), Some(chip)) = (unsafe { (bytes(block, block_bytes), Known::of(chip)) })
    else {
        return BAD_CALL;
    };
    let found = crate::check_mac_activation(block, chip.uid, chip.product, chip.family, chip.keys);
    // SAFETY: this function's own contract.
    unsafe { answer(found, code) }
}

/// `flashline_check_pool`: mode *pool*. `region` begins with the block and may be longer. Where the
/// answer is [`VALID`], `columns` points into it: `columns_found` of them, but no more than
/// `columns_room`. Otherwise answers as [`flashline_check`].
///
/// # Safety
/// As [`flashline_check`], and:
/// - `code`: null, or [`POOL_CODE_ROOM`] writable bytes that overlap nothing else here.
/// - `columns`: null, or room for `columns_room` of [`Column`].
/// - `columns_found`: null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashline_check_pool(
    region: *const u8,
    region_bytes: usize,
    chip: *const Chip,
    code: *mut c_char,
    columns: *mut Column,
    columns_room: usize,
    columns_found: *mut usize,
) -> i32 {
    // SAFETY: this function's own contract.
    let (Some(region), Some(chip)) = (unsafe { (bytes(region, region_bytes), Known::of(chip)) })
    else {
        return BAD_CALL;
    };
    let found =
        crate::check_pool_activation(region, chip.uid, chip.product, chip.family, chip.keys);
    let block = match found {
        Credential::Valid(block) => block,
        Credential::Absent => return ABSENT,
        Credential::Invalid(refusal) => return refused(refusal),
    };
    if !code.is_null() {
        // SAFETY: a pool's code has at most `POOL_CODE_BYTES_MAX` bytes.
        unsafe { write(block.code().bytes(), code) }
    }
    let room = if columns.is_null() { 0 } else { columns_room.min(COLUMNS_MAX) };
    for (place, column) in block.columns().take(room).enumerate() {
        let secret = u8::from(column.openness == Openness::Secret);
        let column = Column { bytes: column.bytes.as_ptr(), count: column.bytes.len(), secret };
        // SAFETY: `place` is below `room`, which is no more than the caller's.
        unsafe { ptr::write(columns.add(place), column) }
    }
    if !columns_found.is_null() {
        // SAFETY: not null, so writable by the contract.
        unsafe { columns_found.write(block.columns().count()) }
    }
    VALID
}
