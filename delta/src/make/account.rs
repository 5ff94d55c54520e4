//! Where a patch's bytes go: decoded again, with the price of every decision.

use crate::apply::{ApplyError, apply};
use crate::coder::{Coder, Kind, Reader, price};
use crate::header::{Body, Header};
use crate::walk::{Action, Codec, Facts, Scene};

/// Reads decisions and adds up what each kind cost, in 1/65,536 bit.
struct Counting {
    reader: Reader,
    spent: [u64; 8],
}

impl Coder for Counting {
    fn code(&mut self, p: u32, bit: bool, kind: Kind) -> bool {
        let bit = self.reader.code(p, bit, kind);
        let chance = if bit { p } else { 65_536 - p };
        self.spent[kind as usize] += u64::from(price(chance));
        bit
    }
}

/// Both images, the new one known already.
struct Known<'a> {
    old: &'a [u8],
    new: &'a [u8],
}

impl Scene for Known<'_> {
    fn source(&mut self, at: u32) -> u8 {
        let at = at as usize;
        let byte = match at.checked_sub(self.old.len()) {
            None => self.old.get(at),
            Some(at) => self.new.get(at),
        };
        byte.copied().unwrap_or(0)
    }

    fn put(&mut self, _byte: u8) {}

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

/// Bits of a patch by kind of decision, in the order of [`KINDS`](super::KINDS); all zero if it is
/// stored.
///
/// # Errors
///
/// When the patch does not give an image from this old one.
pub fn spent_bits(old: &[u8], patch: &[u8]) -> Result<[u64; 8], ApplyError> {
    let new = apply(old, patch)?;
    let (header, body_at) = Header::parse(patch)?;
    let Body::Coded { isa, base, map_entries } = header.body else { return Ok([0; 8]) };
    let Header { old_len, new_len, .. } = header;
    let map_entries = u32::from(map_entries);
    let mut codec = Codec::new(Facts { isa, old_len, new_len, base, map_entries });
    let mut coder = Counting { reader: Reader::blank(), spent: [0; 8] };
    coder.reader.begin();
    let mut scene = Known { old, new: &new };
    let mut body = patch.get(body_at..).unwrap_or(&[]);
    while !codec.done() {
        if coder.reader.ready() {
            codec.step(&mut coder, &mut scene).map_err(|_| ApplyError::Damaged)?;
        } else if body.is_empty() {
            coder.reader.end();
        } else {
            let taken = coder.reader.feed(body);
            body = body.get(taken..).unwrap_or(&[]);
        }
    }
    Ok(coder.spent.map(|spent| spent >> 16))
}
