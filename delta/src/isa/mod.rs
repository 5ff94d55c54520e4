//! Instruction sets: what in the old bytes refers to an address, and how to aim it elsewhere.
//!
//! A reference is recognised in the old bytes alone and re-encoded for its new place. Recognition
//! may be wrong (data that looks like code): that costs bits, never correctness.

pub(crate) mod avr;
mod form;
pub(crate) mod riscv;
pub(crate) mod tc32;
pub(crate) mod thumb;
pub(crate) mod xtensa;

/// What is looked at to recognise something: eight bytes as two little-endian words, because small
/// cores handle words in fewer instructions than bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) low: u32,
    pub(crate) high: u32,
}

impl Window {
    pub(crate) const BYTES: u32 = 8;

    pub(crate) const fn new(low: u32, high: u32) -> Self {
        Self { low, high }
    }

    /// Byte `i` below 8.
    pub(crate) const fn byte(self, i: u32) -> u8 {
        let word = if i < 4 { self.low } else { self.high };
        (word >> (i % 4 * 8)) as u8
    }

    /// Sets byte `i`, which is zero so far.
    pub(crate) fn fill(&mut self, i: u32, byte: u8) {
        let word = if i < 4 { &mut self.low } else { &mut self.high };
        *word |= u32::from(byte) << (i % 4 * 8);
    }

    /// The first two halfwords.
    const fn halves(self) -> (u32, u32) {
        (self.low & 0xFFFF, self.low >> 16)
    }

    const fn with_halves(self, first: u32, second: u32) -> Self {
        Self { low: first & 0xFFFF | second << 16, high: self.high }
    }
}

use form::Form;

/// The instruction set an image is modelled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Isa {
    /// Bytes; no references.
    None = 0,
    /// Arm Thumb-1 and Thumb-2.
    Thumb = 1,
    /// AVR (8-bit).
    Avr = 2,
    /// RISC-V, 32 bits, with compressed instructions.
    RiscV = 3,
    /// Telink TC32.
    Tc32 = 4,
    /// Xtensa, little-endian.
    Xtensa = 5,
}

impl Isa {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Thumb, Self::Avr, Self::RiscV, Self::Tc32, Self::Xtensa];

    /// The instruction set with this number in a patch header, if this build has it: each one is a
    /// feature of the crate.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 if cfg!(feature = "thumb") => Some(Self::Thumb),
            2 if cfg!(feature = "avr") => Some(Self::Avr),
            3 if cfg!(feature = "riscv") => Some(Self::RiscV),
            4 if cfg!(feature = "tc32") => Some(Self::Tc32),
            5 if cfg!(feature = "xtensa") => Some(Self::Xtensa),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Thumb => "thumb",
            Self::Avr => "avr",
            Self::RiscV => "riscv",
            Self::Tc32 => "tc32",
            Self::Xtensa => "xtensa",
        }
    }

    /// Its number in a patch header.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether aligned 32-bit words may be pointers.
    pub(crate) const fn has_word_pointers(self) -> bool {
        matches!(self, Self::Thumb | Self::RiscV | Self::Tc32 | Self::Xtensa)
    }

    /// Whether instructions are made of little-endian halfwords, the opcode mostly in the upper
    /// byte.
    pub(crate) const fn has_halves(self) -> bool {
        matches!(self, Self::Thumb | Self::Avr | Self::Tc32 | Self::RiscV)
    }

    /// What this build recognises.
    const fn forms(self) -> &'static [Form] {
        match self {
            Self::Thumb if cfg!(feature = "thumb") => thumb::FORMS,
            Self::Avr if cfg!(feature = "avr") => avr::FORMS,
            Self::RiscV if cfg!(feature = "riscv") => riscv::FORMS,
            Self::Tc32 if cfg!(feature = "tc32") => tc32::FORMS,
            Self::Xtensa if cfg!(feature = "xtensa") => xtensa::FORMS,
            Self::None | Self::Thumb | Self::Avr | Self::RiscV | Self::Tc32 | Self::Xtensa => &[],
        }
    }

    /// The reference at image offset `at`, if `bytes` (what follows there, zeros past the end) is
    /// one.
    pub(crate) fn find(self, bytes: Window, at: u32) -> Option<Reference> {
        if self != Self::Xtensa && !at.is_multiple_of(2) {
            return None;
        }
        match Form::of(self.forms(), bytes) {
            Some(form) => Some(form.reference(bytes, at)),
            None if cfg!(feature = "riscv") && self == Self::RiscV => riscv::find(bytes, at),
            None => None,
        }
    }

    /// `bytes`, a reference found before, re-encoded at image offset `at` to reach `target`; `None`
    /// if it cannot reach that far, or not that evenly.
    pub(crate) fn aim(self, bytes: Window, at: u32, target: u32) -> Option<Window> {
        match Form::of(self.forms(), bytes) {
            Some(form) => form.aim(bytes, at, target),
            None if cfg!(feature = "riscv") => riscv::aim(bytes, at, target),
            None => None,
        }
    }

    /// The RAM address at image offset `at`, if `bytes` name one. `aligned`: the place in the new
    /// image is a multiple of four.
    pub(crate) fn variable(self, bytes: Window, at: u32, aligned: bool) -> Option<Variable> {
        match self {
            Self::None => None,
            Self::Thumb | Self::RiscV | Self::Tc32 | Self::Xtensa => {
                let (start, len) = self.ram_window();
                let address = bytes.low.wrapping_sub(start);
                (aligned && address < len).then_some(Variable { address, bytes: 4, always: true })
            }
            Self::Avr if cfg!(feature = "avr") => avr::variable(bytes, at),
            Self::Avr => None,
        }
    }

    /// `bytes`, a variable found before, with another address.
    pub(crate) fn move_variable(self, bytes: Window, address: u32) -> Window {
        match self {
            Self::None => bytes,
            Self::Thumb | Self::RiscV | Self::Tc32 | Self::Xtensa => {
                let (start, _) = self.ram_window();
                Window::new(address.wrapping_add(start), bytes.high)
            }
            Self::Avr if cfg!(feature = "avr") => avr::move_variable(bytes, address),
            Self::Avr => bytes,
        }
    }

    /// RAM addresses in words: the first, and how many.
    const fn ram_window(self) -> (u32, u32) {
        match self {
            Self::Thumb => (0x1FFF_0000, 0x11_0000),
            Self::RiscV | Self::Xtensa => (0x3FC8_0000, 0x38_0000),
            Self::Tc32 => (0x0084_0000, 0x1_0000),
            Self::None | Self::Avr => (0, 0),
        }
    }

    /// For alignment: `bytes` without what depends on where things stand, and how many bytes that
    /// covers.
    #[cfg(feature = "make")]
    pub(crate) fn mask(self, bytes: Window, at: u32, hard: bool) -> Option<(Window, usize)> {
        let even = at.is_multiple_of(2) || self == Self::Xtensa;
        if let Some(form) = Form::of(self.forms(), bytes).filter(|_| even) {
            let small = form.bytes == 2 && !form.always;
            return (hard || !small).then(|| (form.clear(bytes), usize::from(form.bytes)));
        }
        match self {
            Self::None | Self::Thumb | Self::Tc32 => None,
            Self::Avr => avr::mask(bytes),
            Self::RiscV => riscv::mask(bytes).filter(|_| even),
            Self::Xtensa => Some((bytes, xtensa::instruction_bytes(bytes.byte(0)) as usize)),
        }
    }
}

/// Something that names a RAM address, counted from the start of the RAM window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) address: u32,
    pub(crate) bytes: u8,
    /// Whether a decision is coded even if nothing is expected to change.
    pub(crate) always: bool,
}

/// Something that names an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Image offset it reaches, wrapping: may lie outside the image.
    pub(crate) target: u32,
    /// Length in bytes, 2 to 8.
    pub(crate) bytes: u8,
    /// Context number below 8.
    pub(crate) kind: u8,
    /// Whether a decision is coded even if nothing is expected to change.
    pub(crate) always: bool,
}

impl Reference {
    /// In place of one.
    pub(crate) const NONE: Self = Self { target: 0, bytes: 0, kind: 0, always: false };
}
