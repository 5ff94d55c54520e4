//! UF2: blocks of 512 bytes, each with its own address, its number, and how many there are.
//!
//! Layout: <https://github.com/microsoft/uf2>. Blocks may stand in any order; every number must be
//! there once. One file is for one family. Blocks marked *not main flash* and the erratum block of
//! the RP2350 (RP2350-E10, written by picotool) are not flashed and are counted in the remarks.

use super::ImageError;
use super::facts::{ChipClaim, Found};
use super::fields::{le32, part};
use super::pieces::{Origin, Pieces};

const BLOCK: usize = 512;
const MAGIC_FIRST: u32 = 0x0A32_4655;
const MAGIC_SECOND: u32 = 0x9E5D_5157;
const MAGIC_LAST: u32 = 0x0AB1_6F30;
const NOT_MAIN_FLASH: u32 = 0x0000_0001;
const FILE_CONTAINER: u32 = 0x0000_1000;
const FAMILY_PRESENT: u32 = 0x0000_2000;
const DATA_AT: usize = 32;
const DATA_MAX: usize = 476;
/// The family "absolute" of the erratum block, and the address it has.
const ERRATUM: (u32, u32) = (0xE48B_FF57, 0x10FF_FF00);

/// What is wrong with a UF2 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uf2Error {
    /// Not whole blocks.
    #[error("reading UF2: {bytes} bytes are not whole blocks of 512, the file is cut off")]
    CutOff {
        /// Bytes in the file.
        bytes: usize,
    },
    /// A block that is none.
    #[error("reading UF2: the block at offset {offset:#x} {fault}")]
    BadBlock {
        /// Where in the file the block begins.
        offset: u64,
        /// What is wrong with it.
        fault: Uf2Fault,
    },
}

/// What is wrong with one block of a UF2 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uf2Fault {
    /// One of the three magic numbers.
    #[error("has not UF2's magic numbers")]
    Magic,
    /// More data than fits.
    #[error("claims {bytes} bytes of data, 476 fit")]
    TooMuchData {
        /// What it claims.
        bytes: u32,
    },
    /// A file to be stored, not flash.
    #[error("carries a file, not flash")]
    FileContainer,
    /// Another number of blocks than there are.
    #[error("says that there are {said} blocks, the file has {found}")]
    BlockCount {
        /// What it says.
        said: u32,
        /// What the file has.
        found: usize,
    },
    /// A number beyond the last block's.
    #[error("has the number {number}, the last is {last}")]
    Number {
        /// Its number, from 0.
        number: u32,
        /// The last number there can be.
        last: usize,
    },
    /// A number that an earlier block has.
    #[error("has the number {number} of an earlier block")]
    Duplicate {
        /// The number, from 0.
        number: u32,
    },
    /// Two families in one file.
    #[error("is for another family than the blocks before it")]
    OtherFamily,
    /// More than 32 bits of address.
    #[error("runs over the end of the addresses")]
    Wraps,
}

struct Block<'a> {
    offset: u64,
    flags: u32,
    address: u32,
    number: u32,
    count: u32,
    family: Option<u32>,
    data: &'a [u8],
}

impl Block<'_> {
    fn is_erratum(&self) -> bool {
        self.family == Some(ERRATUM.0) && self.address == ERRATUM.1 && self.count == 2
    }

    const fn bad(&self, fault: Uf2Fault) -> Uf2Error {
        Uf2Error::BadBlock { offset: self.offset, fault }
    }
}

pub(super) fn read(file: &[u8]) -> Result<Found, ImageError> {
    if !file.len().is_multiple_of(BLOCK) {
        return Err(Uf2Error::CutOff { bytes: file.len() }.into());
    }
    let mut found = Found::of(Pieces::with_room_for(file.len()));
    let blocks: Result<Vec<Block<'_>>, Uf2Error> = file
        .chunks(BLOCK)
        .zip((0u64..).step_by(BLOCK))
        .map(|(bytes, offset)| {
            block(bytes, offset).map_err(|fault| Uf2Error::BadBlock { offset, fault })
        })
        .collect();
    let mut blocks = blocks?;
    if blocks.len() > 1 && blocks.first().is_some_and(Block::is_erratum) {
        blocks.remove(0);
        found.remark("the block for the erratum RP2350-E10 is not flashed".to_owned());
    }
    let mut seen = vec![false; blocks.len()];
    let family = blocks.first().and_then(|block| block.family);
    let (mut elsewhere, mut in_order) = (0u64, true);
    for (index, block) in blocks.iter().enumerate() {
        if block.count as usize != blocks.len() {
            let (said, found) = (block.count, blocks.len());
            return Err(block.bad(Uf2Fault::BlockCount { said, found }).into());
        }
        let number = block.number;
        match seen.get_mut(number as usize) {
            None => {
                let last = blocks.len() - 1;
                return Err(block.bad(Uf2Fault::Number { number, last }).into());
            }
            Some(true) => return Err(block.bad(Uf2Fault::Duplicate { number }).into()),
            Some(unseen) => *unseen = true,
        }
        in_order &= number as usize == index;
        if block.family != family {
            return Err(block.bad(Uf2Fault::OtherFamily).into());
        }
        if block.flags & NOT_MAIN_FLASH != 0 {
            elsewhere += 1;
            continue;
        }
        let address = u64::from(block.address);
        if address + block.data.len() as u64 > 1 << 32 {
            return Err(block.bad(Uf2Fault::Wraps).into());
        }
        let data_at = Origin::Offset(block.offset + DATA_AT as u64);
        found.pieces.push(address, block.data, data_at)?;
    }
    if let Some(family) = family {
        found.claim(ChipClaim::Uf2Family(family));
    }
    if elsewhere > 0 {
        found.remark(format!("{elsewhere} blocks are not for the main flash and not flashed"));
    }
    if !in_order {
        found.remark("the blocks are not in order".to_owned());
    }
    Ok(found)
}

fn block(bytes: &[u8], offset: u64) -> Result<Block<'_>, Uf2Fault> {
    let word = |index: usize| le32(bytes, index * 4).ok_or(Uf2Fault::Magic);
    if word(0)? != MAGIC_FIRST || word(1)? != MAGIC_SECOND || word(127)? != MAGIC_LAST {
        return Err(Uf2Fault::Magic);
    }
    let (flags, claimed) = (word(2)?, word(4)?);
    if flags & FILE_CONTAINER != 0 {
        return Err(Uf2Fault::FileContainer);
    }
    let data = usize::try_from(claimed)
        .ok()
        .filter(|&claimed| claimed <= DATA_MAX)
        .and_then(|claimed| part(bytes, DATA_AT, claimed))
        .ok_or(Uf2Fault::TooMuchData { bytes: claimed })?;
    let family = (flags & FAMILY_PRESENT != 0).then_some(word(7)?);
    let (address, number, count) = (word(3)?, word(5)?, word(6)?);
    Ok(Block { offset, flags, address, number, count, family, data })
}
