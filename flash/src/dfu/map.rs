//! The DfuSe memory map: `@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg`.
//!
//! One such text is the name of each alternate setting (ST UM0424, "DfuSe: Device firmware upgrade
//! extension", descriptor strings): a name, then one or more stretches of `/base/count*size unit
//! letter,…`. The unit is a space or `B` for bytes, `K`, or `M`; the letter's low three bits say
//! readable, erasable, writable.
//!
//! Pure. Errors name the byte at which reading stopped. Nothing is guessed: a map that cannot be
//! read whole is no map.

use std::ops::Range;

/// What may be done to a stretch of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Can be uploaded.
    pub readable: bool,
    /// Can be erased by page.
    pub erasable: bool,
    /// Can be downloaded to.
    pub writable: bool,
}

impl Access {
    fn from_letter(letter: u8) -> Option<Self> {
        if !(b'a'..=b'g').contains(&letter) {
            return None;
        }
        let bits = letter & 7;
        let has = |bit| bits & bit != 0;
        Some(Self { readable: has(1), erasable: has(2), writable: has(4) })
    }
}

/// Pages of one size that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First address.
    pub start: u64,
    /// Number of pages.
    pub pages: u32,
    /// Bytes of one page.
    pub page_bytes: u32,
    /// What may be done to them.
    pub access: Access,
}

impl Stretch {
    /// One past the last address.
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.pages) * u64::from(self.page_bytes)
    }

    /// The page that holds `address`, which must lie in this stretch.
    fn page_at(&self, address: u64) -> Range<u64> {
        let size = u64::from(self.page_bytes);
        let start = self.start + (address - self.start) / size * size;
        start..start + size
    }
}

/// The memory behind one alternate setting, lowest address first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryMap {
    /// Its name, without the spaces around it.
    pub name: String,
    /// Its stretches, which do not touch each other's bytes.
    pub stretches: Vec<Stretch>,
}

/// Why a text is no memory map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a DfuSe memory map at byte {at}: wanted {wanted}")]
pub struct MapError {
    /// Byte of the text at which reading stopped.
    pub at: usize,
    /// What would have had to stand there.
    pub wanted: &'static str,
}

/// Highest address plus one: DfuSe addresses have 32 bits.
const ADDRESS_END: u64 = 1 << 32;

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wants<T>(&self, wanted: &'static str) -> Result<T, MapError> {
        Err(MapError { at: self.at, wanted })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    fn number(&mut self, radix: u32, wanted: &'static str) -> Result<u32, MapError> {
        let start = self.at;
        let mut value: u32 = 0;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) {
            match value.checked_mul(radix).and_then(|value| value.checked_add(digit)) {
                Some(next) => value = next,
                None => return self.wants("a number of 32 bits"),
            }
            self.at += 1;
        }
        if self.at == start { self.wants(wanted) } else { Ok(value) }
    }

    /// `04*016Kg`, from `start` on.
    fn stretch(&mut self, start: u64) -> Result<Stretch, MapError> {
        let begun = self.at;
        let pages = self.number(10, "a number of pages")?;
        if !self.take(b'*') {
            return self.wants("'*'");
        }
        let size = self.number(10, "a page size")?;
        let unit = match self.peek() {
            Some(b' ' | b'B') => 1,
            Some(b'K') => 1024,
            Some(b'M') => 1024 * 1024,
            Some(_) | None => return self.wants("a unit: ' ', 'B', 'K' or 'M'"),
        };
        self.at += 1;
        let Some(access) = self.peek().and_then(Access::from_letter) else {
            return self.wants("an access letter, 'a' to 'g'");
        };
        self.at += 1;
        let page_bytes = size.checked_mul(unit).unwrap_or(0);
        let end = u64::from(pages).checked_mul(page_bytes.into()).map(|bytes| start + bytes);
        if pages == 0 || page_bytes == 0 || end.is_none_or(|end| end > ADDRESS_END) {
            return Err(MapError { at: begun, wanted: "pages that fit 32-bit addresses" });
        }
        Ok(Stretch { start, pages, page_bytes, access })
    }
}

impl MemoryMap {
    /// Reads the text of an alternate setting's string descriptor.
    ///
    /// # Errors
    /// [`MapError`] with the byte at which it is not a map.
    pub fn read(text: &str) -> Result<Self, MapError> {
        let mut reader = Reader { text: text.as_bytes(), at: 0 };
        if !reader.take(b'@') {
            return reader.wants("'@'");
        }
        let Some(slash) = text.find('/') else {
            reader.at = text.len();
            return reader.wants("'/' and a base address");
        };
        let name = text[1..slash].trim().to_owned();
        reader.at = slash;
        let mut stretches = Vec::new();
        while reader.take(b'/') {
            if !(reader.take(b'0') && (reader.take(b'x') || reader.take(b'X'))) {
                return reader.wants("a base address, 0x…");
            }
            let mut start = u64::from(reader.number(16, "hex digits")?);
            reader.spaces();
            if !reader.take(b'/') {
                return reader.wants("'/' after the base address");
            }
            loop {
                reader.spaces();
                let stretch = reader.stretch(start)?;
                start = stretch.end();
                stretches.push(stretch);
                reader.spaces();
                // Both `…Kg,/0x…` and `…Kg/0x…` begin the next segment.
                let comma = reader.take(b',');
                reader.spaces();
                if !comma || reader.peek() == Some(b'/') {
                    break;
                }
            }
        }
        if reader.at < text.len() {
            return reader.wants("',', '/' or the end");
        }
        stretches.sort_by_key(|stretch| stretch.start);
        if stretches.windows(2).any(|pair| pair[1].start < pair[0].end()) {
            reader.at = slash;
            return reader.wants("segments that do not lie over each other");
        }
        Ok(Self { name, stretches })
    }

    /// The page that holds `address` and what may be done to it.
    pub fn page(&self, address: u64) -> Option<(Range<u64>, Access)> {
        let stretch = self.stretches.iter().find(|s| s.start <= address && address < s.end())?;
        Some((stretch.page_at(address), stretch.access))
    }

    /// The pages that `range` touches, in order.
    ///
    /// # Errors
    /// The first address of `range` that no page holds.
    pub fn pages(&self, range: Range<u64>) -> Result<Vec<(Range<u64>, Access)>, u64> {
        let mut pages = Vec::new();
        let mut address = range.start;
        while address < range.end {
            let (page, access) = self.page(address).ok_or(address)?;
            address = page.end;
            pages.push((page, access));
        }
        Ok(pages)
    }

    /// Bytes that can be written, in all.
    pub fn writable_bytes(&self) -> u64 {
        self.stretches.iter().filter(|s| s.access.writable).map(|s| s.end() - s.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const F4: &str = "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg";

    fn shown(map: &MemoryMap) -> String {
        let mut text = map.name.clone();
        for s in &map.stretches {
            let bit = |has: bool, letter: char| if has { letter } else { '-' };
            let access = s.access;
            text += &format!(
                " {:x}:{}*{}{}{}{}",
                s.start,
                s.pages,
                s.page_bytes,
                bit(access.readable, 'r'),
                bit(access.erasable, 'e'),
                bit(access.writable, 'w')
            );
        }
        text
    }

    #[test]
    fn maps_of_real_loaders_are_read() {
        let check = |text: &str, wanted: &str| match MemoryMap::read(text) {
            Ok(map) => assert_eq!(shown(&map), wanted, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        };
        check(F4, "Internal Flash 8000000:4*16384rew 8010000:1*65536rew 8020000:7*131072rew");
        check(
            "@OTP Memory /0x1FFF7800/01*512 e,01*016 e",
            "OTP Memory 1fff7800:1*512r-w 1fff7a00:1*16r-w",
        );
        check("@Option Bytes  /0x1FFFC000/01*016 e", "Option Bytes 1fffc000:1*16r-w");
        check("@Device Feature/0xFFFF0000/01*004 e", "Device Feature ffff0000:1*4r-w");
        check(
            "@Internal Flash  /0x08000000/03*016Ka,01*016Kg,01*064Kg,07*128Kg",
            "Internal Flash 8000000:3*16384r-- 800c000:1*16384rew 8010000:1*65536rew \
             8020000:7*131072rew",
        );
        check("@Flash /0x08000000/512*0002Kg", "Flash 8000000:512*2048rew");
        // Listings of dfu-util that people published: STM32L4 (mobilinkd/tnc3-firmware 12), an
        // STM32F1 or a copy of one (keirf/flashfloppy 462), STM32F401 or F411 (zmkfirmware/zmk
        // 1711), GD32VF103 (aw/fiveforths 20).
        check("@Internal Flash  /0x08000000/0128*0002Kg", "Internal Flash 8000000:128*2048rew");
        check("@OTP Memory /0x1FFF7000/01*0001Ke", "OTP Memory 1fff7000:1*1024r-w");
        check("@Option Bytes  /0x1FFF7800/01*040 e", "Option Bytes 1fff7800:1*40r-w");
        check("@Internal Flash  /0x08000000/128*002Kg", "Internal Flash 8000000:128*2048rew");
        check("@Option Bytes  /0x1FFFF800/01*016 g", "Option Bytes 1ffff800:1*16rew");
        check(
            "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg",
            "Internal Flash 8000000:4*16384rew 8010000:1*65536rew 8020000:3*131072rew",
        );
        let two = "f 8000000:2*16384rew 8010000:1*65536rew";
        check("@f/0x08000000/02*016Kg,/0x08010000/01*064Kg", two);
        check("@f/0x08000000/02*016Kg/0x08010000/01*064Kg", two);
        check("@f/0x08010000/01*064Kg/0x08000000/02*016Kg", two);
        check("@f /0x8000000 / 1*1Mg , 2*4Bb ", "f 8000000:1*1048576rew 8100000:2*4-e-");
        check("@e/0X00/1*1 f", "e 0:1*1-ew");
        check("@top/0xFFFFFFFF/1*1Bd", "top ffffffff:1*1--w");
    }

    #[test]
    fn a_text_that_is_no_map_names_the_byte_where_it_stops_being_one() {
        let check = |text: &str, at: usize, wanted: &str| match MemoryMap::read(text) {
            Ok(map) => panic!("{text}: {map:?}"),
            Err(error) => assert_eq!((error.at, error.wanted), (at, wanted), "{text}"),
        };
        check("", 0, "'@'");
        check("Internal Flash", 0, "'@'");
        check("@Flash", 6, "'/' and a base address");
        check("@F/", 3, "a base address, 0x…");
        check("@F/08000000/1*1Kg", 4, "a base address, 0x…");
        check("@F/0x/1*1Kg", 5, "hex digits");
        check("@F/0x100000000/1*1Kg", 13, "a number of 32 bits");
        check("@F/0x08", 7, "'/' after the base address");
        check("@F/0x08/", 8, "a number of pages");
        check("@F/0x08/4", 9, "'*'");
        check("@F/0x08/4*", 10, "a page size");
        check("@F/0x08/4*16", 12, "a unit: ' ', 'B', 'K' or 'M'");
        check("@F/0x08/4*16Gg", 12, "a unit: ' ', 'B', 'K' or 'M'");
        check("@F/0x08/4*16K", 13, "an access letter, 'a' to 'g'");
        check("@F/0x08/4*16Kh", 13, "an access letter, 'a' to 'g'");
        check("@F/0x08/4*16KG", 13, "an access letter, 'a' to 'g'");
        check("@F/0x08/4*16Kg,", 15, "a number of pages");
        check("@F/0x08/4*16Kgx", 14, "',', '/' or the end");
        check("@F/0x08/0*16Kg", 8, "pages that fit 32-bit addresses");
        check("@F/0x08/4*0Kg", 8, "pages that fit 32-bit addresses");
        check("@F/0xFFFFFFFF/1*2 g", 14, "pages that fit 32-bit addresses");
        check("@F/0x0/4294967295*4095Mg", 7, "pages that fit 32-bit addresses");
        check("@F/0x0/1*8Kg/0x1000/1*4Kg", 2, "segments that do not lie over each other");
    }

    #[test]
    fn a_range_names_its_pages_across_sizes_and_the_first_byte_that_no_page_holds() {
        let map = MemoryMap::read(F4).expect("map");
        let pages = map.pages(0x0800_FFFF..0x0802_0001).expect("inside");
        let starts: Vec<u64> = pages.iter().map(|(page, _)| page.start).collect();
        assert_eq!(starts, [0x0800_C000, 0x0801_0000, 0x0802_0000]);
        assert_eq!(map.pages(0x080F_FFF0..0x0810_0010), Err(0x0810_0000));
        assert_eq!(map.pages(0..4), Err(0));
        assert_eq!(map.pages(5..5), Ok(vec![]));
        assert_eq!(map.writable_bytes(), 1024 * 1024);
        let gap = MemoryMap::read("@f/0x0/1*1Kg/0x800/1*1Ka").expect("map");
        assert_eq!(gap.pages(0..0x900), Err(0x400));
        assert_eq!(gap.writable_bytes(), 1024);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}") {
            let _answer = MemoryMap::read(&text);
        }

        #[test]
        fn no_text_made_of_map_parts_makes_the_reader_panic(
            text in "@[ a-z]{0,4}(/0x[0-9A-F]{0,9}/([0-9]{0,11}\\*[0-9]{0,11}[ BKM]?[a-h]?,?){0,3}){0,3}",
            address in any::<u32>(),
        ) {
            if let Ok(map) = MemoryMap::read(&text) {
                for stretch in &map.stretches {
                    prop_assert!(stretch.start < stretch.end() && stretch.end() <= ADDRESS_END);
                }
                if let Some((page, _)) = map.page(address.into()) {
                    prop_assert!(page.contains(&u64::from(address)));
                }
            }
        }
    }
}
