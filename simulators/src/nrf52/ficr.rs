//! Factory information: who this chip is.

/// The read-only FICR page.
#[derive(Debug, Clone)]
pub struct Ficr {
    words: [u32; 1024],
}

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
        Self { words }
    }

    /// The word at byte `offset` in the page.
    #[must_use]
    pub fn word(&self, offset: u32) -> u32 {
        self.words[(offset as usize / 4) & 1023]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_lies_in_memory_in_the_order_it_was_given() {
        let ficr = Ficr::new([1, 2, 3, 4, 5, 6, 7, 8], 0x4141_4530);
        assert_eq!(ficr.word(0x60), 0x0403_0201);
        assert_eq!(ficr.word(0x64), 0x0807_0605);
        assert_eq!(ficr.word(0x100), 0x52832);
    }
}
