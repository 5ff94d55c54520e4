//! Instructions with an address inside, as data: which bits tell them, where the distance lies.
//!
//! One reader and one writer of distances serve every instruction set; a table of [`Form`]s is all
//! that each adds. Code per instruction was several times as large on a Cortex-M0.

use super::{Reference, Window};

/// Bits of an instruction that hold bits of its distance: `width` bits from `word` on are bits
/// `distance` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) word: u8,
    pub(crate) distance: u8,
    pub(crate) width: u8,
}

/// `Field`, shorter to write in a table.
pub(crate) const fn field(word: u8, distance: u8, width: u8) -> Field {
    Field { word, distance, width }
}

impl Field {
    fn mask(self) -> u32 {
        (1 << self.width) - 1
    }
}

/// How the bits in the fields become a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As they are.
    Unsigned,
    /// Two's complement of so many bits.
    Signed(u8),
    /// 25 bits of Thumb's `BL`: bits 22 and 23 are stored as their difference from the sign.
    ThumbCall,
    /// 12 bits of size; bit 12 says plus.
    SizeAndPlus,
}

/// What a distance counts from: `((place + before) & keep) + after`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) before: u8,
    pub(crate) keep: u32,
    pub(crate) after: u32,
}

impl Origin {
    /// From the place of the instruction plus `bytes`.
    pub(crate) const fn after(bytes: u8) -> Self {
        Self { before: bytes, keep: !0, after: 0 }
    }

    fn of(self, place: u32) -> u32 {
        (place.wrapping_add(u32::from(self.before)) & self.keep).wrapping_add(self.after)
    }
}

/// A kind of instruction, by its first four bytes as a little-endian word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// It is one if `word & mask == value`; the first form of a table that fits counts.
    pub(crate) mask: u32,
    pub(crate) value: u32,
    pub(crate) origin: Origin,
    /// None: what looks so is no reference.
    pub(crate) fields: &'static [Field],
    pub(crate) reading: Reading,
    /// Length in bytes.
    pub(crate) bytes: u8,
    /// Context number below 4.
    pub(crate) kind: u8,
    /// Whether a decision is coded even if nothing is expected to change.
    pub(crate) always: bool,
}

/// Bits that Thumb's `BL` stores as their difference from the sign, and the sign.
const CALL_TWISTED: u32 = 0xC0_0000;
const CALL_SIGN: u32 = 1 << 24;
const PLUS: u32 = 1 << 12;

impl Form {
    /// The first form of `table` that the bytes have.
    pub(crate) fn of(table: &'static [Self], bytes: Window) -> Option<&'static Self> {
        let form = table.iter().find(|form| bytes.low & form.mask == form.value)?;
        (!form.fields.is_empty()).then_some(form)
    }

    /// What it reaches from `place`.
    pub(crate) fn target(&self, word: u32, place: u32) -> u32 {
        let mut bits = 0;
        for field in self.fields {
            bits |= (word >> field.word & field.mask()) << field.distance;
        }
        let distance = match self.reading {
            Reading::Unsigned => bits,
            Reading::Signed(width) => extend(bits, width),
            Reading::ThumbCall => extend(twist(bits), 25),
            Reading::SizeAndPlus if bits & PLUS != 0 => bits & !PLUS,
            Reading::SizeAndPlus => bits.wrapping_neg(),
        };
        self.origin.of(place).wrapping_add(distance)
    }

    /// The reference at `place`, of bytes that have this form.
    pub(crate) fn reference(&self, bytes: Window, place: u32) -> Reference {
        let target = self.target(bytes.low, place);
        Reference { target, bytes: self.bytes, kind: self.kind, always: self.always }
    }

    /// Re-encodes for another place and target; `None` if out of reach.
    pub(crate) fn aim(&self, bytes: Window, place: u32, target: u32) -> Option<Window> {
        let distance = target.wrapping_sub(self.origin.of(place));
        let bits = match self.reading {
            Reading::Unsigned | Reading::Signed(_) => distance,
            Reading::ThumbCall => twist(distance),
            Reading::SizeAndPlus if distance & !(PLUS - 1) == 0 => distance | PLUS,
            Reading::SizeAndPlus => distance.wrapping_neg() & (PLUS - 1),
        };
        let mut low = bytes.low;
        for field in self.fields {
            low = low & !(field.mask() << field.word)
                | (bits >> field.distance & field.mask()) << field.word;
        }
        // What does not fit, or not that evenly, reads back as another target.
        (self.target(low, place) == target).then_some(Window { low, ..bytes })
    }

    /// `bytes` without the distance.
    #[cfg(feature = "make")]
    pub(crate) fn clear(&self, bytes: Window) -> Window {
        let distance: u32 = self.fields.iter().map(|field| field.mask() << field.word).sum();
        Window { low: bytes.low & !distance, ..bytes }
    }
}

fn extend(value: u32, bits: u8) -> u32 {
    let unused = 32 - u32::from(bits);
    ((value << unused) as i32 >> unused) as u32
}

/// Both ways.
fn twist(bits: u32) -> u32 {
    if bits & CALL_SIGN == 0 { bits ^ CALL_TWISTED } else { bits }
}
