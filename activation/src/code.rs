//! The activation code: a chip's short public name within a product, the same from any station
//! for ever.

use crate::wire::{CONTEXT_BYTES, context, digest_of};
use core::fmt;
use core::str::FromStr;

const CONTEXT: [u8; CONTEXT_BYTES] = context("flashline activation code");

/// Crockford's base32 digits, then his five extra check symbols (values 32 to 36).
const SYMBOLS: &[u8; 37] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";

/// Digits of a code without its check symbol.
const DIGITS: usize = 16;

/// Symbols of a code with its check symbol, without hyphens.
pub(crate) const CODE_SYMBOLS: usize = DIGITS + 1;

/// The activation code of one chip for one product: 80 bits.
///
/// Shown as `XXXX-XXXX-XXXX-XXXX-C`: 16 Crockford base32 digits and Crockford's check symbol (the
/// 80-bit number modulo 37), which finds every single wrong digit and every swap of neighbours.
/// Reading forgives lower case, missing hyphens, and O, I and L for 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivationCode([u8; 10]);

/// The code of the chip `uid` of chip family `family` within `product`.
#[must_use]
pub fn code_for(product: &str, family: &str, uid: &[u8]) -> ActivationCode {
    let digest = digest_of(&CONTEXT, &[product.as_bytes(), family.as_bytes(), uid]);
    let mut bits = [0; 10];
    bits.iter_mut().zip(digest).for_each(|(bit, byte)| *bit = byte);
    ActivationCode(bits)
}

impl ActivationCode {
    /// The 80 bits, most significant first.
    #[must_use]
    pub const fn to_bits(self) -> [u8; 10] {
        self.0
    }

    /// The 17 symbols without hyphens, as they stand in an activation block.
    #[must_use]
    pub fn to_symbols(self) -> [u8; CODE_SYMBOLS] {
        let number = self.number();
        let mut symbols = [symbol(check_of(number)); CODE_SYMBOLS];
        for (place, digit) in symbols.iter_mut().take(DIGITS).enumerate() {
            let shift = 5 * (DIGITS - 1 - place);
            *digit = symbol(((number >> shift) & 0x1F) as u8);
        }
        symbols
    }

    fn number(self) -> u128 {
        self.0.iter().fold(0, |number, &byte| (number << 8) | u128::from(byte))
    }
}

fn check_of(number: u128) -> u8 {
    (number % 37) as u8
}

fn symbol(value: u8) -> u8 {
    SYMBOLS.get(usize::from(value)).copied().unwrap_or(b'?')
}

impl fmt::Display for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, symbol) in self.to_symbols().into_iter().enumerate() {
            if place != 0 && place % 4 == 0 {
                f.write_str("-")?;
            }
            fmt::Write::write_char(f, char::from(symbol))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no activation code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not 16 digits and a check symbol.
    #[error("an activation code has 16 digits and a check symbol; {found} symbols were given")]
    Length {
        /// Symbols found, hyphens left out.
        found: usize,
    },
    /// A symbol that no activation code has at this place.
    #[error("symbol {place} is none that an activation code can have there")]
    Symbol {
        /// Counted from 1, hyphens left out.
        place: usize,
    },
    /// The check symbol does not fit: a digit was misread.
    #[error("the check symbol does not fit; a digit was misread")]
    Check,
}

impl FromStr for ActivationCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let mut number: u128 = 0;
        let mut check = None;
        let mut found = 0;
        for symbol in text.chars().filter(|&symbol| symbol != '-') {
            found += 1;
            let value = value_of(symbol).ok_or(CodeError::Symbol { place: found })?;
            if found <= DIGITS {
                if value > 31 {
                    return Err(CodeError::Symbol { place: found });
                }
                number = (number << 5) | u128::from(value);
            } else {
                check = Some(value);
            }
        }
        if found != CODE_SYMBOLS {
            return Err(CodeError::Length { found });
        }
        if check != Some(check_of(number)) {
            return Err(CodeError::Check);
        }
        let mut bits = [0; 10];
        for (bit, byte) in bits.iter_mut().zip(number.to_be_bytes().into_iter().skip(6)) {
            *bit = byte;
        }
        Ok(Self(bits))
    }
}

/// The value of a symbol as a person may write it.
fn value_of(symbol: char) -> Option<u8> {
    let upper = match symbol.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    SYMBOLS
        .iter()
        .zip(0..)
        .find_map(|(&known, value)| (char::from(known) == upper).then_some(value))
}

#[cfg(feature = "issue")]
impl serde::Serialize for ActivationCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "issue")]
impl<'de> serde::Deserialize<'de> for ActivationCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: std::string::String = serde::Deserialize::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
