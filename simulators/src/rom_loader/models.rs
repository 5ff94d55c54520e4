//! The STM32s this room can be: a table.
//!
//! Figures: RM0008 and the STM32F103x8/xB data sheet, RM0316 and the STM32F303xB/xC data sheet,
//! RM0091 and the STM32F072x8/xB data sheet, RM0090 and the STM32F405 data sheet, RM0444, RM0351,
//! RM0367; the loader's product id, version, RAM and memory from AN2606. Times are the data sheets'
//! typical ones. Which signatures can be read how: what people met on real chips (`flash/README.md`,
//! "Unique ids by family").

use std::ops::Range;
use std::time::Duration;

/// First address of flash on every STM32.
pub const FLASH: u32 = 0x0800_0000;
/// First address of RAM on every STM32.
pub const RAM: u32 = 0x2000_0000;

/// How cells take a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// Half-words; one that is not erased takes only zeros.
    HalfWords,
    /// A write can only clear bits.
    Bits,
    /// Double words with a checksum; one that is not erased takes only zeros.
    DoubleWords,
    /// Words that read zero when erased; one that does not keeps its value.
    ZeroWords,
}

impl Cells {
    /// Bytes that are written together.
    #[must_use]
    pub fn unit_bytes(self) -> usize {
        match self {
            Self::HalfWords => 2,
            Self::Bits | Self::ZeroWords => 4,
            Self::DoubleWords => 8,
        }
    }

    /// What an erased byte reads as.
    #[must_use]
    pub fn erased(self) -> u8 {
        if self == Self::ZeroWords { 0x00 } else { 0xFF }
    }
}

/// How the loader lets unique id and flash size be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// Like the memory around it.
    InWords,
    /// Only as the whole block of 256 bytes that begins here.
    InBlock(u32),
    /// Not at all.
    Hidden,
}

/// A chip this room can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// What Get ID answers.
    pub product_id: u16,
    /// What Get answers as the protocol's version, one digit per nibble.
    pub version: u8,
    /// Runs of pages: how many, and bytes each.
    pub pages: &'static [(u32, u32)],
    /// Pages behind one bit of the write protection.
    pub protect_pages: usize,
    /// How its cells take a write.
    pub cells: Cells,
    /// Bytes of RAM; the loader keeps the first `ram_kept` for itself.
    pub ram_bytes: u32,
    /// Bytes of RAM the loader uses and does not let write.
    pub ram_kept: u32,
    /// The loader's own memory; on some chips the signature below lies in it.
    pub system: Range<u32>,
    /// The option bytes.
    pub options: Range<u32>,
    /// Where the three words of the unique id are.
    pub uid_at: [u32; 3],
    /// Where the flash size in KiB is, 16 bits.
    pub flash_size_at: u32,
    /// How both are read.
    pub signature: Signature,
    /// The option byte that leaves the chip open to reading; its complement stands beside it.
    pub open: u8,
    /// Erase is 0x44 with two bytes per page, not 0x43 with one.
    pub erase_extended: bool,
    /// It can erase everything by one command.
    pub mass_erase: bool,
    /// Above this the loader cannot measure the rate of the first byte.
    pub baud_max: u32,
    /// Writing one unit.
    pub write_time: Duration,
    /// Erasing one page of the first run; longer ones take as many times longer.
    pub erase_time: Duration,
}

impl Model {
    /// Bytes of flash.
    #[must_use]
    pub fn flash_bytes(&self) -> u32 {
        self.pages.iter().map(|(count, bytes)| count * bytes).sum()
    }

    /// How many pages there are.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.pages.iter().map(|(count, _)| count).sum()
    }

    /// The bytes of the page with this number, from the start of flash.
    #[must_use]
    pub fn page(&self, number: u32) -> Range<u32> {
        let (mut start, mut first) = (0, 0);
        for (count, bytes) in self.pages {
            if number < first + count {
                let at = start + (number - first) * bytes;
                return at..at + bytes;
            }
            start += count * bytes;
            first += count;
        }
        start..start
    }

    /// The number of the page that holds this place, from the start of flash.
    #[must_use]
    pub fn page_of(&self, place: u32) -> u32 {
        let (mut start, mut first) = (0, 0);
        for (count, bytes) in self.pages {
            if place < start + count * bytes {
                return first + (place - start) / bytes;
            }
            start += count * bytes;
            first += count;
        }
        first
    }
}

const fn words_at(start: u32) -> [u32; 3] {
    [start, start + 4, start + 8]
}

const F103: Model = Model {
    name: "stm32f103",
    product_id: 0x410,
    version: 0x22,
    pages: &[(128, 0x400)],
    protect_pages: 4,
    cells: Cells::HalfWords,
    ram_bytes: 0x5000,
    ram_kept: 0x200,
    system: 0x1FFF_F000..0x1FFF_F800,
    options: 0x1FFF_F800..0x1FFF_F810,
    uid_at: words_at(0x1FFF_F7E8),
    flash_size_at: 0x1FFF_F7E0,
    signature: Signature::InWords,
    open: 0xA5,
    erase_extended: false,
    mass_erase: true,
    baud_max: 115_200,
    write_time: Duration::from_nanos(52_500),
    erase_time: Duration::from_millis(20),
};

const F303: Model = Model {
    name: "stm32f303",
    product_id: 0x422,
    version: 0x31,
    pages: &[(64, 0x800)],
    protect_pages: 2,
    ram_bytes: 0x8000,
    ram_kept: 0x1400,
    system: 0x1FFF_D800..0x1FFF_F800,
    uid_at: words_at(0x1FFF_F7AC),
    flash_size_at: 0x1FFF_F7CC,
    open: 0xAA,
    erase_extended: true,
    ..F103
};

const F405: Model = Model {
    name: "stm32f405",
    product_id: 0x413,
    pages: &[(4, 0x4000), (1, 0x1_0000), (7, 0x2_0000)],
    protect_pages: 1,
    cells: Cells::Bits,
    ram_bytes: 0x2_0000,
    ram_kept: 0x3000,
    system: 0x1FFF_0000..0x1FFF_7800,
    options: 0x1FFF_C000..0x1FFF_C010,
    uid_at: words_at(0x1FFF_7A10),
    flash_size_at: 0x1FFF_7A22,
    signature: Signature::InBlock(0x1FFF_7A00),
    write_time: Duration::from_micros(16),
    erase_time: Duration::from_millis(250),
    ..F303
};

const G071: Model = Model {
    name: "stm32g071",
    product_id: 0x460,
    protect_pages: 1,
    cells: Cells::DoubleWords,
    ram_bytes: 0x9000,
    ram_kept: 0x2700,
    // The information block with the signature follows the loader.
    system: 0x1FFF_0000..0x1FFF_7800,
    options: 0x1FFF_7800..0x1FFF_7880,
    uid_at: words_at(0x1FFF_7590),
    flash_size_at: 0x1FFF_75E0,
    write_time: Duration::from_micros(85),
    erase_time: Duration::from_millis(22),
    ..F303
};

const L476: Model = Model {
    name: "stm32l476",
    product_id: 0x415,
    pages: &[(512, 0x800)],
    ram_bytes: 0x1_8000,
    ram_kept: 0x3100,
    system: 0x1FFF_0000..0x1FFF_7000,
    signature: Signature::Hidden,
    ..G071
};

const L053: Model = Model {
    name: "stm32l053",
    product_id: 0x417,
    pages: &[(512, 0x80)],
    protect_pages: 32,
    cells: Cells::ZeroWords,
    ram_bytes: 0x2000,
    ram_kept: 0x1000,
    system: 0x1FF0_0000..0x1FF0_1000,
    options: 0x1FF8_0000..0x1FF8_0020,
    uid_at: [0x1FF8_0050, 0x1FF8_0054, 0x1FF8_0064],
    flash_size_at: 0x1FF8_007C,
    signature: Signature::InBlock(0x1FF8_0000),
    mass_erase: false,
    // A half page of 64 bytes in 3.2 ms.
    write_time: Duration::from_micros(200),
    erase_time: Duration::from_micros(3200),
    ..F303
};

/// Every chip this room can be.
pub static MODELS: &[Model] = &[
    F103,
    Model { name: "stm32f103x8", pages: &[(64, 0x400)], ..F103 },
    F303,
    Model {
        name: "stm32f072",
        product_id: 0x448,
        ram_bytes: 0x4000,
        ram_kept: 0x1800,
        system: 0x1FFF_C800..0x1FFF_F800,
        ..F303
    },
    F405,
    G071,
    L053,
    L476,
];

/// The model with this name.
#[must_use]
pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_unequal_length_are_found_by_number_and_by_place() {
        let check = |name: &str, number: u32, page: Range<u32>| {
            let model = model(name).unwrap();
            assert_eq!(model.page(number), page, "{name} {number}");
            for place in [page.start, page.end - 1] {
                assert_eq!(model.page_of(place), number, "{name} {place:#x}");
            }
        };
        check("stm32f103", 127, 0x1_FC00..0x2_0000);
        check("stm32f405", 3, 0xC000..0x1_0000);
        check("stm32f405", 4, 0x1_0000..0x2_0000);
        check("stm32f405", 11, 0xE_0000..0x10_0000);
        check("stm32l053", 511, 0xFF80..0x1_0000);
        assert_eq!(model("stm32f405").unwrap().page_count(), 12);
        assert_eq!(model("stm32l476").unwrap().flash_bytes(), 1 << 20);
    }
}
