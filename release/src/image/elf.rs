//! ELF: what the linker wrote. The loadable segments go where their *physical* address says, which
//! is where the bytes lie in flash; the virtual address is where they are used.
//!
//! Owns nothing but the choice of segments; the tables are read by `object`. Segments without bytes
//! in the file (`.bss`) are not flashed. Only 32-bit little-endian executables: every chip we know
//! is one.

use object::LittleEndian;
use object::elf::{ET_EXEC, FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::ImageError;
use super::arm;
use super::facts::{ARM, ChipClaim, Found};
use super::pieces::{Origin, Pieces};
use crate::limits::SEGMENTS_MAX;

/// What is wrong with an ELF file.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// Not ELF, or cut off.
    #[error("reading ELF: the header or the program headers are damaged")]
    Damaged(#[source] object::read::Error),
    /// 64-bit or big-endian.
    #[error("reading ELF: the file is not 32-bit little-endian (class {class}, data {data})")]
    OtherShape {
        /// `EI_CLASS`: 1 is 32-bit.
        class: u8,
        /// `EI_DATA`: 1 is little-endian.
        data: u8,
    },
    /// An object file or a library.
    #[error("reading ELF: the file is not an executable (type {kind})")]
    NotExecutable {
        /// `e_type`: 2 is an executable.
        kind: u16,
    },
    /// A segment that the file does not hold.
    #[error("reading ELF: segment {segment} at offset {offset:#x} runs over the end of the file")]
    CutOff {
        /// Number of the program header, from 0.
        segment: usize,
        /// Where in the file it should begin.
        offset: u64,
    },
    /// More than 32 bits of address.
    #[error("reading ELF: segment {segment} runs over the end of the addresses")]
    Wraps {
        /// Number of the program header, from 0.
        segment: usize,
    },
}

pub(super) fn read(file: &[u8]) -> Result<Found, ImageError> {
    if let &[0x7F, b'E', b'L', b'F', class, data, ..] = file
        && (class, data) != (1, 1)
    {
        return Err(ElfError::OtherShape { class, data }.into());
    }
    let header = FileHeader32::<LittleEndian>::parse(file).map_err(ElfError::Damaged)?;
    let endian = header.endian().map_err(ElfError::Damaged)?;
    let kind = header.e_type(endian);
    if kind != ET_EXEC {
        return Err(ElfError::NotExecutable { kind }.into());
    }
    let segments = header.program_headers(endian, file).map_err(ElfError::Damaged)?;
    if segments.len() > SEGMENTS_MAX {
        return Err(ImageError::TooManySegments { segments_max: SEGMENTS_MAX });
    }
    let mut found = Found::of(Pieces::with_room_for(file.len()));
    let machine = header.e_machine(endian);
    let core = if machine == ARM { arm::core(header, file) } else { None };
    found.claim(core.map_or(ChipClaim::Machine(machine), ChipClaim::ArmCore));
    found.entry(u64::from(header.e_entry(endian)));
    for (number, segment) in segments.iter().enumerate() {
        if segment.p_type(endian) != PT_LOAD || segment.p_filesz(endian) == 0 {
            continue;
        }
        let offset = u64::from(segment.p_offset(endian));
        let bytes = segment
            .data(endian, file)
            .map_err(|()| ElfError::CutOff { segment: number, offset })?;
        let address = u64::from(segment.p_paddr(endian));
        if address + bytes.len() as u64 > 1 << 32 {
            return Err(ElfError::Wraps { segment: number }.into());
        }
        found.pieces.push(address, bytes, Origin::Offset(offset))?;
    }
    Ok(found)
}
