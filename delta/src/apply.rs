//! Old image + patch = new image, as the patch arrives.
//!
//! Owns the order of checks: header and limits, then the old image's digest, then bytes, then the
//! new image's digest. Leaves flash to the caller ([`Flash`]). Allocates nothing; [`Apply`] and the
//! [`Workspace`] are all its memory, beside one page lent by the caller and the stack.
//!
//! Promise: nothing is written before the old image's digest was right, and [`Apply::finish`]
//! returns `Ok` only if the whole new image has the digest the patch names. Whatever the patch
//! says, there is no panic, no read or write outside the images, and a bounded amount of work.

use crate::coder::Reader;
use crate::digest::{Digest, Hash};
use crate::header::{Body, Header, HeaderError, Parsed, parse};
use crate::walk::{Action, Codec, Facts, Scene};

/// The two images, wherever they lie. Offsets count from the start of each image.
pub trait Flash {
    /// Fills `into` from the old image.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault>;

    /// Fills `into` from the part of the new image that was written before.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    fn read_new(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault>;

    /// Writes part of the new image: whole pages in ascending order, the last one maybe shorter.
    ///
    /// # Errors
    ///
    /// When the memory cannot be written.
    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault>;
}

/// The memory did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("flash did not do what was asked")]
pub struct FlashFault;

/// Why a patch was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The header cannot be followed.
    #[error("reading the patch header")]
    Header(#[from] HeaderError),
    /// The patch is for an old image of another length.
    #[error("patch is for an old image of {wanted} bytes, this one has {found}")]
    OldLength {
        /// Bytes the patch is for.
        wanted: u32,
        /// Bytes there are.
        found: u32,
    },
    /// The patch is for another old image.
    #[error("patch is for another old image")]
    OldDigest,
    /// The new image does not fit.
    #[error("new image has {wanted} bytes, there is room for {room}")]
    Room {
        /// Bytes of the new image.
        wanted: u32,
        /// Bytes there is room for.
        room: u32,
    },
    /// The patch ended early.
    #[error("patch is cut short")]
    Truncated,
    /// Bytes follow the patch.
    #[error("patch is followed by other bytes")]
    Trailing,
    /// The patch contradicts itself.
    #[error("patch contradicts itself")]
    Damaged,
    /// What came out is not the new image.
    #[error("result is not the new image")]
    NewDigest,
    /// The page lent is empty.
    #[error("no page buffer was given")]
    NoPage,
    /// Flash failed.
    #[error("using the flash")]
    Flash(#[from] FlashFault),
}

/// Memory that applying takes on this machine, beside one page and the stack.
pub const RAM_BYTES: usize = size_of::<Apply<'static>>() + size_of::<Workspace>();

/// What a device has.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of the old image.
    pub old_len: u32,
    /// Bytes there are for the new image.
    pub new_len_max: u32,
}

/// The large part of the memory: all zeros at first, so that a device keeps it in a static.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub(crate) reader: Reader,
    pub(crate) codec: Codec,
}

impl Workspace {
    /// An unused one.
    pub const fn new() -> Self {
        Self { reader: Reader::blank(), codec: Codec::blank() }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

/// A patch being applied.
#[derive(Debug)]
pub struct Apply<'p> {
    page: &'p mut [u8],
    room: Room,
    state: State,
    work: &'p mut Workspace,
    written: u32,
    in_page: u32,
    new_len: u32,
    new_digest: Digest,
}

#[derive(Debug)]
enum State {
    /// Its bytes so far are in the reader.
    Header,
    Stored,
    Coded,
    Failed(ApplyError),
}

impl<'p> Apply<'p> {
    /// Begins; `page` is the unit in which the new image is written.
    /// `work` may have been used before.
    pub fn new(room: Room, page: &'p mut [u8], work: &'p mut Workspace) -> Self {
        work.reader.begin();
        let state = if page.is_empty() { State::Failed(ApplyError::NoPage) } else { State::Header };
        Self {
            page,
            room,
            state,
            work,
            written: 0,
            in_page: 0,
            new_len: 0,
            new_digest: Digest([0; 16]),
        }
    }

    /// Takes the next bytes of the patch, any number of them.
    ///
    /// # Errors
    ///
    /// When the patch is refused or flash fails; every later call says the same.
    pub fn feed<F: Flash>(&mut self, patch: &[u8], flash: &mut F) -> Result<(), ApplyError> {
        let result = self.take(patch, flash);
        self.remember(result)
    }

    /// Ends the patch; returns the length of the new image, which is then whole and right.
    ///
    /// # Errors
    ///
    /// When the patch was cut short or the result is not the new image.
    pub fn finish<F: Flash>(&mut self, flash: &mut F) -> Result<u32, ApplyError> {
        let result = self.close(flash);
        self.remember(result)?;
        Ok(self.new_len)
    }

    fn remember(&mut self, result: Result<(), ApplyError>) -> Result<(), ApplyError> {
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    fn take<F: Flash>(&mut self, mut patch: &[u8], flash: &mut F) -> Result<(), ApplyError> {
        while matches!(self.state, State::Header) {
            let Some((first, rest)) = patch.split_at_checked(1) else { return Ok(()) };
            patch = rest;
            if let Some(wanted) = self.open(first)?
                && !self.holds(&wanted, self.room.old_len, flash, F::read_old)?
            {
                return Err(ApplyError::OldDigest);
            }
        }
        match self.state {
            State::Header => Ok(()),
            State::Failed(error) => Err(error),
            State::Stored => {
                for byte in patch {
                    if self.written >= self.new_len {
                        return Err(ApplyError::Trailing);
                    }
                    self.scene(flash).put(*byte);
                }
                Ok(())
            }
            State::Coded => {
                while !patch.is_empty() {
                    let taken = self.work.reader.feed(patch);
                    patch = patch.get(taken..).unwrap_or(&[]);
                    self.run(flash)?;
                    if taken == 0 && self.work.codec.done() {
                        return Err(ApplyError::Trailing);
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes a byte of the header; after the last one, says which old image the patch is for.
    // Not inlined: what is on the stack here should not be there during anything else.
    #[inline(never)]
    fn open(&mut self, byte: &[u8]) -> Result<Option<Digest>, ApplyError> {
        if self.work.reader.feed(byte) == 0 {
            return Err(HeaderError::Limits.into());
        }
        let Parsed::Whole(header, _) = parse(self.work.reader.held())? else { return Ok(None) };
        self.work.reader.begin();
        let Room { old_len, new_len_max } = self.room;
        let Header { new_len, new_digest, old_digest, .. } = header;
        if header.old_len != old_len {
            return Err(ApplyError::OldLength { wanted: header.old_len, found: old_len });
        }
        if new_len > new_len_max {
            return Err(ApplyError::Room { wanted: new_len, room: new_len_max });
        }
        self.new_len = new_len;
        self.new_digest = new_digest;
        self.state = match header.body {
            Body::Stored => State::Stored,
            Body::Coded { isa, base, map_entries } => {
                let map_entries = u32::from(map_entries);
                self.work.codec.begin(Facts { isa, old_len, new_len, base, map_entries });
                State::Coded
            }
        };
        Ok(Some(old_digest))
    }

    fn run<F: Flash>(&mut self, flash: &mut F) -> Result<(), ApplyError> {
        while !self.work.codec.done() && self.work.reader.ready() {
            let mut scene = Applying {
                page: self.page,
                flash,
                old_len: self.room.old_len,
                written: &mut self.written,
                in_page: &mut self.in_page,
                fault: None,
            };
            let step = self.work.codec.step(&mut self.work.reader, &mut scene);
            if let Some(fault) = scene.fault {
                return Err(fault.into());
            }
            if self.work.reader.overran() {
                return Err(ApplyError::Truncated);
            }
            step.map_err(|_| ApplyError::Damaged)?;
        }
        Ok(())
    }

    fn scene<'a, F: Flash>(&'a mut self, flash: &'a mut F) -> Applying<'a, F> {
        Applying {
            page: self.page,
            flash,
            old_len: self.room.old_len,
            written: &mut self.written,
            in_page: &mut self.in_page,
            fault: None,
        }
    }

    fn close<F: Flash>(&mut self, flash: &mut F) -> Result<(), ApplyError> {
        match self.state {
            State::Header => return Err(ApplyError::Truncated),
            State::Failed(error) => return Err(error),
            State::Stored => {}
            State::Coded => {
                self.work.reader.end();
                self.run(flash)?;
                if self.work.reader.overfed() {
                    return Err(ApplyError::Trailing);
                }
            }
        }
        if self.written < self.new_len {
            return Err(ApplyError::Truncated);
        }
        let mut scene = self.scene(flash);
        scene.flush();
        if let Some(fault) = scene.fault {
            return Err(fault.into());
        }
        // Of what flash holds, not of what was sent there.
        let wanted = self.new_digest;
        if !self.holds(&wanted, self.new_len, flash, F::read_new)? {
            return Err(ApplyError::NewDigest);
        }
        Ok(())
    }

    /// Whether an image has a digest; it is read through the page, which must be free.
    // Not inlined: one for both images, and the hash stands on the stack only here.
    #[inline(never)]
    fn holds<F: Flash>(
        &mut self,
        wanted: &Digest,
        len: u32,
        flash: &mut F,
        read: fn(&mut F, u32, &mut [u8]) -> Result<(), FlashFault>,
    ) -> Result<bool, FlashFault> {
        let mut hash = Hash::new();
        let mut at = 0;
        while at < len {
            let some = (self.page.len() as u32).min(len - at);
            let Some(piece) = self.page.get_mut(..some as usize) else { break };
            read(flash, at, piece)?;
            hash.add(piece);
            at += some;
        }
        Ok(hash.digest() == *wanted)
    }
}

/// The images as one step sees them.
struct Applying<'a, F> {
    page: &'a mut [u8],
    flash: &'a mut F,
    old_len: u32,
    written: &'a mut u32,
    in_page: &'a mut u32,
    fault: Option<FlashFault>,
}

impl<F: Flash> Applying<'_, F> {
    fn flush(&mut self) {
        let Some(full) = self.page.get(..*self.in_page as usize) else { return };
        if !full.is_empty()
            && let Err(fault) = self.flash.write_new(*self.written - *self.in_page, full)
        {
            self.fault = Some(fault);
        }
        *self.in_page = 0;
    }
}

impl<F: Flash> Scene for Applying<'_, F> {
    fn source(&mut self, at: u32) -> u8 {
        let mut byte = [0];
        let read = if at < self.old_len {
            self.flash.read_old(at, &mut byte)
        } else {
            let at = at - self.old_len;
            let page_start = *self.written - *self.in_page;
            if at >= page_start {
                let found = self.page.get((at - page_start) as usize);
                return found.copied().unwrap_or(0);
            }
            self.flash.read_new(at, &mut byte)
        };
        if let Err(fault) = read {
            self.fault = Some(fault);
        }
        let [byte] = byte;
        byte
    }

    fn put(&mut self, byte: u8) {
        if let Some(slot) = self.page.get_mut(*self.in_page as usize) {
            *slot = byte;
        }
        *self.in_page += 1;
        *self.written += 1;
        if *self.in_page as usize >= self.page.len() {
            self.flush();
        }
    }

    fn truth(&mut self, _at: u32) -> u8 {
        0
    }

    fn map_entry(&mut self, _number: u32) -> (u32, u32) {
        (0, 0)
    }

    fn plan(&mut self, _at: u32) -> Action {
        Action::Literal
    }
}

/// Both images in memory: a [`Flash`] for hosts and tests.
#[cfg(feature = "make")]
#[derive(Debug)]
pub struct InMemory<'a> {
    /// The old image.
    pub old: &'a [u8],
    /// What was written of the new image.
    pub new: Vec<u8>,
}

#[cfg(feature = "make")]
impl Flash for InMemory<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let at = at as usize;
        into.copy_from_slice(self.old.get(at..at + into.len()).ok_or(FlashFault)?);
        Ok(())
    }

    fn read_new(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let at = at as usize;
        into.copy_from_slice(self.new.get(at..at + into.len()).ok_or(FlashFault)?);
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        if at as usize != self.new.len() {
            return Err(FlashFault);
        }
        self.new.extend_from_slice(bytes);
        Ok(())
    }
}

/// Applies a whole patch to a whole image in memory.
///
/// # Errors
///
/// As [`Apply::feed`] and [`Apply::finish`].
#[cfg(feature = "make")]
pub fn apply(old: &[u8], patch: &[u8]) -> Result<Vec<u8>, ApplyError> {
    let old_len = u32::try_from(old.len()).unwrap_or(u32::MAX);
    let room = Room { old_len, new_len_max: crate::header::IMAGE_BYTES_MAX };
    let mut page = vec![0; 4096];
    let mut flash = InMemory { old, new: Vec::new() };
    let mut work = Workspace::new();
    let mut apply = Apply::new(room, &mut page, &mut work);
    apply.feed(patch, &mut flash)?;
    apply.finish(&mut flash)?;
    Ok(flash.new)
}
