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

/// Why a patch was not applied. One byte: a device hands it up through every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The header cannot be followed.
    #[error("reading the patch header")]
    Header(#[from] HeaderError),
    /// The patch is for an old image of another length; the header says which.
    #[error("patch is for an old image of another length")]
    OldLength,
    /// The patch is for another old image.
    #[error("patch is for another old image")]
    OldDigest,
    /// The new image does not fit; the header says how long it is.
    #[error("new image has no room")]
    Room,
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
    pub(crate) codec: Codec<Reader>,
}

impl Workspace {
    /// An unused one.
    pub const fn new() -> Self {
        Self { codec: Codec::blank(Reader::blank()) }
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
    work: &'p mut Workspace,
    pages: Pages<'p>,
    /// Room for the new image; its length, once the header is known.
    new_len: u32,
    new_digest: Digest,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its bytes so far are in the reader.
    Header,
    Stored,
    Coded,
    Failed(ApplyError),
}

/// The page being filled, and what is around it.
#[derive(Debug)]
struct Pages<'p> {
    page: &'p mut [u8],
    old_len: u32,
    /// Bytes of the new image so far.
    made: u32,
    /// How many of them are in the page.
    in_page: u32,
    fault: bool,
}

impl<'p> Apply<'p> {
    /// Begins; `page` is the unit in which the new image is written.
    /// `work` may have been used before.
    pub fn new(room: Room, page: &'p mut [u8], work: &'p mut Workspace) -> Self {
        work.codec.model.coder.begin();
        let state = if page.is_empty() { State::Failed(ApplyError::NoPage) } else { State::Header };
        let Room { old_len, new_len_max } = room;
        let pages = Pages { page, old_len, made: 0, in_page: 0, fault: false };
        Self { work, pages, new_len: new_len_max, new_digest: Digest([0; 16]), state }
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
        loop {
            let taken = self.work.codec.model.coder.feed(patch);
            self.run(flash)?;
            patch = patch.get(taken..).unwrap_or(&[]);
            if patch.is_empty() {
                return Ok(());
            }
            if taken == 0 {
                // What is held is never needed: the image is whole.
                return Err(ApplyError::Trailing);
            }
        }
    }

    /// Does what the bytes held are enough for.
    #[inline(never)]
    fn run<F: Flash>(&mut self, flash: &mut F) -> Result<(), ApplyError> {
        if self.state == State::Header
            && let Some(wanted) = self.open()?
            && !self.holds(&wanted, self.pages.old_len, flash, F::read_old)?
        {
            return Err(ApplyError::OldDigest);
        }
        let Self { work, pages, .. } = self;
        let scene = &mut Applying { pages, flash };
        match self.state {
            State::Header => {}
            State::Failed(error) => return Err(error),
            State::Stored => {
                while scene.pages.made < self.new_len
                    && let Some(byte) = work.codec.model.coder.plain()
                {
                    scene.put(byte);
                }
            }
            State::Coded => {
                while !scene.pages.fault && !work.codec.done() && work.codec.model.coder.ready() {
                    let step = work.codec.step(scene);
                    if work.codec.model.coder.overran() {
                        return Err(ApplyError::Truncated);
                    }
                    step.map_err(|_| ApplyError::Damaged)?;
                }
            }
        }
        Ok(scene.pages.sound()?)
    }

    /// Takes the header, if it is held whole; says then which old image the patch is for.
    // Not inlined: what is on the stack here should not be there during anything else.
    #[inline(never)]
    fn open(&mut self) -> Result<Option<Digest>, ApplyError> {
        let Parsed::Whole(header, bytes) = parse(self.work.codec.model.coder.held())? else {
            return Ok(None);
        };
        self.work.codec.model.coder.skip(bytes);
        let Header { old_len, new_len, old_digest, new_digest, body, .. } = header;
        if old_len != self.pages.old_len {
            return Err(ApplyError::OldLength);
        }
        if new_len > self.new_len {
            return Err(ApplyError::Room);
        }
        self.new_len = new_len;
        self.new_digest = new_digest;
        self.state = match body {
            Body::Stored => State::Stored,
            Body::Coded { isa, base, map_entries } => {
                let map_entries = u32::from(map_entries);
                self.work.codec.begin(Facts { isa, old_len, new_len, base, map_entries });
                State::Coded
            }
        };
        Ok(Some(old_digest))
    }

    fn close<F: Flash>(&mut self, flash: &mut F) -> Result<(), ApplyError> {
        self.work.codec.model.coder.end();
        self.run(flash)?;
        if self.pages.made < self.new_len || self.state == State::Header {
            return Err(ApplyError::Truncated);
        }
        let reader = &self.work.codec.model.coder;
        let more = if self.state == State::Coded { reader.overfed() } else { reader.holds_any() };
        if more {
            return Err(ApplyError::Trailing);
        }
        Applying { pages: &mut self.pages, flash }.flush();
        self.pages.sound()?;
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
            let some = (self.pages.page.len() as u32).min(len - at);
            let Some(piece) = self.pages.page.get_mut(..some as usize) else { break };
            read(flash, at, piece)?;
            hash.add(piece);
            at += some;
        }
        Ok(hash.is(wanted))
    }
}

impl Pages<'_> {
    /// Fails if flash failed in some call before.
    fn sound(&self) -> Result<(), FlashFault> {
        if self.fault { Err(FlashFault) } else { Ok(()) }
    }
}

/// The images as a step sees them.
struct Applying<'a, 'p, F> {
    pages: &'a mut Pages<'p>,
    flash: &'a mut F,
}

impl<F: Flash> Applying<'_, '_, F> {
    #[inline(never)]
    fn flush(&mut self) {
        let Pages { page, made, in_page, fault, .. } = &mut *self.pages;
        let Some(full) = page.get(..*in_page as usize) else { return };
        if !full.is_empty() {
            *fault |= self.flash.write_new(*made - *in_page, full).is_err();
        }
        *in_page = 0;
    }
}

impl<F: Flash> Scene for Applying<'_, '_, F> {
    #[inline(never)]
    fn source(&mut self, at: u32) -> u8 {
        let Pages { page, old_len, made, in_page, fault } = &mut *self.pages;
        let mut byte = [0];
        let read = if at < *old_len {
            self.flash.read_old(at, &mut byte)
        } else {
            let at = at - *old_len;
            let page_start = *made - *in_page;
            if at >= page_start {
                let found = page.get((at - page_start) as usize);
                return found.copied().unwrap_or(0);
            }
            self.flash.read_new(at, &mut byte)
        };
        *fault |= read.is_err();
        let [byte] = byte;
        byte
    }

    fn put(&mut self, byte: u8) {
        let Pages { page, made, in_page, .. } = &mut *self.pages;
        if let Some(slot) = page.get_mut(*in_page as usize) {
            *slot = byte;
        }
        *in_page += 1;
        *made += 1;
        if *in_page as usize >= page.len() {
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
