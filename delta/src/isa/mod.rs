//! Instruction sets: what in the old bytes refers to an address, and how to aim it elsewhere.
//!
//! A reference is recognised in the old bytes alone and re-encoded for its new place. Recognition
//! may be wrong (data that looks like code): that costs bits, never correctness.

pub(crate) mod avr;
pub(crate) mod riscv;
pub(crate) mod tc32;
pub(crate) mod thumb;
pub(crate) mod xtensa;

/// Bytes looked at to recognise something.
pub(crate) const WINDOW: usize = 8;

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

    /// The instruction set with this number in a patch header.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Thumb),
            2 => Some(Self::Avr),
            3 => Some(Self::RiscV),
            4 => Some(Self::Tc32),
            5 => Some(Self::Xtensa),
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

    /// The reference at image offset `at`, if `bytes` (what follows there, zeros past the end) is
    /// one.
    pub(crate) fn find(self, bytes: [u8; WINDOW], at: u32) -> Option<Reference> {
        match self {
            Self::None => None,
            Self::Thumb => thumb::find(bytes, at),
            Self::Avr => avr::find(bytes, at),
            Self::RiscV => riscv::find(bytes, at),
            Self::Tc32 => tc32::find(bytes, at),
            Self::Xtensa => xtensa::find(bytes, at),
        }
    }

    /// `bytes`, a reference found before, re-encoded at image offset `at` to reach `target`.
    pub(crate) fn aim(self, bytes: [u8; WINDOW], at: u32, target: u32) -> Option<[u8; WINDOW]> {
        match self {
            Self::None => None,
            Self::Thumb => thumb::aim(bytes, at, target),
            Self::Avr => avr::aim(bytes, at, target),
            Self::RiscV => riscv::aim(bytes, at, target),
            Self::Tc32 => tc32::aim(bytes, at, target),
            Self::Xtensa => xtensa::aim(bytes, at, target),
        }
    }

    /// The RAM address at image offset `at`, if `bytes` name one. `aligned`: the place in the new
    /// image is a multiple of four.
    pub(crate) fn variable(self, bytes: [u8; WINDOW], at: u32, aligned: bool) -> Option<Variable> {
        match self {
            Self::None => None,
            Self::Thumb | Self::RiscV | Self::Tc32 | Self::Xtensa => {
                let (start, len) = self.ram_window();
                let [a, b, c, d, ..] = bytes;
                let address = u32::from_le_bytes([a, b, c, d]).wrapping_sub(start);
                (aligned && address < len).then_some(Variable { address, bytes: 4, always: true })
            }
            Self::Avr => avr::variable(bytes, at),
        }
    }

    /// `bytes`, a variable found before, with another address.
    pub(crate) fn move_variable(self, bytes: [u8; WINDOW], address: u32) -> [u8; WINDOW] {
        match self {
            Self::None => bytes,
            Self::Thumb | Self::RiscV | Self::Tc32 | Self::Xtensa => {
                let [_, _, _, _, e, f, g, h] = bytes;
                let (start, _) = self.ram_window();
                let [a, b, c, d] = address.wrapping_add(start).to_le_bytes();
                [a, b, c, d, e, f, g, h]
            }
            Self::Avr => avr::move_variable(bytes, address),
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
    pub(crate) fn mask(
        self,
        bytes: [u8; WINDOW],
        at: u32,
        hard: bool,
    ) -> Option<([u8; WINDOW], usize)> {
        match self {
            Self::None => None,
            Self::Thumb => thumb::mask(bytes, at, hard),
            Self::Avr => avr::mask(bytes, at, hard),
            Self::RiscV => riscv::mask(bytes, at),
            Self::Tc32 => tc32::mask(bytes, at),
            Self::Xtensa => Some(xtensa::mask(bytes, at)),
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
