//! Factory information: who this chip is.

/// The read-only FICR page.
#[derive(Debug, Clone)]
pub struct Ficr {
    words: [u32; 1024],
    uid_readable: bool,
}

const CODESIZE: usize = 0x014 / 4;
const DEVICEID: usize = 0x060 / 4;
const PART: usize = 0x100 / 4;
const FLASH: usize = 0x110 / 4;

impl Ficr {
    /// The page of an nRF52832_xxAA whose DEVICEID words lie in memory as `uid`.
    #[must_use]
    pub fn new(uid: [u8; 8], variant: u32) -> Self {
        let mut words = [0xFFFF_FFFF; 1024];
        let [a, b, c, d, e, f, g, h] = uid;
        for (offset, value) in [
            (0x010, 4096),
            (0x014, 128),
            (0x060, u32::from_le_bytes([a, b, c, d])),
            (0x064, u32::from_le_bytes([e, f, g, h])),
            (0x0A0, 0xFFFF_FFFF),
            (0x0A4, u32::from_le_bytes([e, f, g, h]) ^ 0x5A5A_5A5A),
            (0x0A8, u32::from_le_bytes([a, b, c, d]) & 0xFFFF),
            (0x100, 0x0005_2832),
            (0x104, variant),
            (0x108, 0x0000_2000),
            (0x10C, 64),
            (0x110, 512),
        ] {
            words[offset / 4] = value;
        }
        Self { words, uid_readable: true }
    }

    /// The word at byte `offset` in the page; `None` when it cannot be read.
    #[must_use]
    pub fn word(&self, offset: u32) -> Option<u32> {
        let index = (offset as usize / 4) & 1023;
        let hidden = !self.uid_readable && (DEVICEID..DEVICEID + 2).contains(&index);
        (!hidden).then_some(self.words[index])
    }

    /// Another DEVICEID, or none that can be read.
    pub fn set_uid(&mut self, uid: Option<[u8; 8]>) {
        self.uid_readable = uid.is_some();
        if let Some([a, b, c, d, e, f, g, h]) = uid {
            self.words[DEVICEID] = u32::from_le_bytes([a, b, c, d]);
            self.words[DEVICEID + 1] = u32::from_le_bytes([e, f, g, h]);
        }
    }

    /// Another INFO.PART.
    pub fn set_part(&mut self, part: u32) {
        self.words[PART] = part;
    }

    /// Another amount of flash.
    pub fn set_flash(&mut self, bytes: u32) {
        self.words[CODESIZE] = bytes / self.words[CODESIZE - 1];
        self.words[FLASH] = bytes / 1024;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_lies_in_memory_in_the_order_it_was_given() {
        let ficr = Ficr::new([1, 2, 3, 4, 5, 6, 7, 8], 0x4141_4530);
        assert_eq!(ficr.word(0x60), Some(0x0403_0201));
        assert_eq!(ficr.word(0x64), Some(0x0807_0605));
        assert_eq!(ficr.word(0x100), Some(0x52832));
    }
}
