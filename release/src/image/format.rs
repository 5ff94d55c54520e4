//! How image files are written, and telling them apart by what is in them, never by their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ImageError, dfu, esp};

/// A format by its name: what a manifest and a person call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatName {
    /// Intel HEX.
    IntelHex,
    /// Motorola S-records.
    Srec,
    /// ELF.
    Elf,
    /// UF2.
    Uf2,
    /// Bytes.
    Raw,
    /// ESP image.
    Esp,
    /// Firmware with a DFU suffix, DfuSe or plain.
    Dfu,
}

impl FormatName {
    /// Every format.
    pub const ALL: [Self; 7] =
        [Self::IntelHex, Self::Srec, Self::Elf, Self::Uf2, Self::Raw, Self::Esp, Self::Dfu];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IntelHex => "intel-hex",
            Self::Srec => "srec",
            Self::Elf => "elf",
            Self::Uf2 => "uf2",
            Self::Raw => "raw",
            Self::Esp => "esp",
            Self::Dfu => "dfu",
        }
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading a format: expected intel-hex, srec, elf, uf2, raw, esp or dfu")]
pub struct UnknownFormat;

impl FromStr for FormatName {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(UnknownFormat)
    }
}

/// How an image file is written, with what the file itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// Intel HEX: the addresses are in the file.
    IntelHex,
    /// Motorola S-records: the addresses are in the file.
    Srec,
    /// ELF: loadable segments at their physical addresses.
    Elf,
    /// UF2: the addresses are in the blocks.
    Uf2,
    /// Raw bytes that begin at this address.
    Raw {
        /// Address of the first byte.
        address: u64,
    },
    /// An ESP image that goes into flash at this address.
    Esp {
        /// Address of the first byte.
        address: u64,
    },
    /// Firmware with a DFU suffix.
    Dfu {
        /// Address of the first byte of a plain file; none for a DfuSe file, which has addresses.
        address: Option<u64>,
    },
}

impl ImageFormat {
    /// The format's name.
    #[must_use]
    pub const fn name(self) -> FormatName {
        match self {
            Self::IntelHex => FormatName::IntelHex,
            Self::Srec => FormatName::Srec,
            Self::Elf => FormatName::Elf,
            Self::Uf2 => FormatName::Uf2,
            Self::Raw { .. } => FormatName::Raw,
            Self::Esp { .. } => FormatName::Esp,
            Self::Dfu { .. } => FormatName::Dfu,
        }
    }

    /// A file's format: as said, else by its content; raw bytes if it looks like none of the others
    /// and an address is given.
    ///
    /// # Errors
    /// [`ImageError::AddressGiven`] for a file that has addresses of its own,
    /// [`ImageError::AddressNeeded`] for one that has none, [`ImageError::Unrecognised`].
    pub fn choose(
        file: &[u8],
        said: Option<FormatName>,
        address: Option<u64>,
    ) -> Result<Self, ImageError> {
        let format = match (said.or_else(|| detect(file)), address) {
            (Some(format), _) => format,
            (None, Some(_)) => FormatName::Raw,
            (None, None) => return Err(ImageError::Unrecognised),
        };
        let none = |chosen| match address {
            None => Ok(chosen),
            Some(_) => Err(ImageError::AddressGiven { format }),
        };
        let needed = address.ok_or(ImageError::AddressNeeded { format });
        match format {
            FormatName::IntelHex => none(Self::IntelHex),
            FormatName::Srec => none(Self::Srec),
            FormatName::Elf => none(Self::Elf),
            FormatName::Uf2 => none(Self::Uf2),
            FormatName::Raw => Ok(Self::Raw { address: needed? }),
            FormatName::Esp => Ok(Self::Esp { address: needed? }),
            FormatName::Dfu => Ok(Self::Dfu { address }),
        }
    }
}

/// The format that a file's content shows; none for raw bytes. Says nothing about damage.
#[must_use]
pub fn detect(file: &[u8]) -> Option<FormatName> {
    let text = file.trim_ascii_start();
    match text {
        [b':', digit, ..] if digit.is_ascii_hexdigit() => return Some(FormatName::IntelHex),
        [b'S', b'0'..=b'9', digit, ..] if digit.is_ascii_hexdigit() => {
            return Some(FormatName::Srec);
        }
        _ => {}
    }
    if file.starts_with(b"\x7fELF") {
        Some(FormatName::Elf)
    } else if file.starts_with(b"UF2\nWQ]\x9e") {
        Some(FormatName::Uf2)
    } else if dfu::is_dfu(file) {
        Some(FormatName::Dfu)
    } else if file.first() == Some(&esp::MAGIC) {
        // No vector table begins like this: the stack pointer in it is a multiple of 4.
        Some(FormatName::Esp)
    } else {
        None
    }
}
