//! One value of one column: from the text in the file to the bytes in the chip.

use super::schema::{Column, Form};
use crate::pool_block::is_code;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::string::String;
use std::vec;
use std::vec::Vec;
use zeroize::Zeroizing;

/// Why a value is refused. No text repeats the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CellFault {
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// A control character, or space at either end.
    #[error("has a control character, or a space at its beginning or end")]
    Untidy,
    /// Not hexadecimal digits, two for a byte.
    #[error("is not hexadecimal digits, two for each byte")]
    NotHex,
    /// Not padded standard base64.
    #[error("is not base64 with its padding")]
    NotBase64,
    /// Shorter or longer than the schema says.
    #[error("has {bytes} bytes; the schema allows {bytes_min} to {bytes_max}")]
    Length {
        /// Bytes of the value as the chip would hold it.
        bytes: usize,
        /// Fewest.
        bytes_min: u16,
        /// Most.
        bytes_max: u16,
    },
    /// The activation code with other characters than printable ASCII.
    #[error("is the activation code and has other characters than printable ASCII")]
    NotACode,
    /// The same value in the same column further up.
    #[error("has the same value as line {line} of this file")]
    TwiceInFile {
        /// The line of the first one.
        line: u32,
    },
    /// The same value in the same column of something imported before.
    #[error("has a value that was imported before: {earlier}")]
    SeenBefore {
        /// Which import, in the words of whoever keeps the pool.
        earlier: String,
    },
}

/// The value that `text` writes, in a buffer that is zeroed when dropped.
pub(super) fn read(
    text: &[u8],
    column: &Column,
    is_the_code: bool,
) -> Result<Zeroizing<Vec<u8>>, CellFault> {
    let value = match column.form {
        Form::Text => {
            let text = std::str::from_utf8(text).map_err(|_| CellFault::NotUtf8)?;
            if text.trim() != text || text.chars().any(char::is_control) {
                return Err(CellFault::Untidy);
            }
            Zeroizing::new(text.as_bytes().to_vec())
        }
        Form::Hex => {
            let mut value = Zeroizing::new(vec![0; text.len() / 2]);
            hex::decode_to_slice(text, &mut value).map_err(|_| CellFault::NotHex)?;
            value
        }
        Form::Base64 => {
            let mut value = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
            let bytes =
                STANDARD.decode_slice(text, &mut value).map_err(|_| CellFault::NotBase64)?;
            value.truncate(bytes);
            value
        }
    };
    let (bytes_min, bytes_max) = (column.bytes_min, column.bytes_max);
    if !(usize::from(bytes_min)..=usize::from(bytes_max)).contains(&value.len()) {
        return Err(CellFault::Length { bytes: value.len(), bytes_min, bytes_max });
    }
    if is_the_code && !is_code(&value) {
        return Err(CellFault::NotACode);
    }
    Ok(value)
}
