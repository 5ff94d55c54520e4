//! Images that look like firmware, and edits of them.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

/// A small generator, so that a seed is enough to replay.
pub struct Dice(u64);

impl Dice {
    /// A seed is enough to replay.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// Bytes below `alphabet`.
    pub fn bytes(&mut self, len: usize, alphabet: usize) -> Vec<u8> {
        (0..len).map(|_| self.roll(alphabet) as u8).collect()
    }
}

/// Thumb-like code: halfwords, calls, pointers and variables.
pub fn firmware(dice: &mut Dice, len: usize) -> Vec<u8> {
    let mut image = Vec::with_capacity(len);
    while image.len() < len {
        match dice.roll(8) {
            0 => {
                image.extend_from_slice(&(0xF000 | dice.roll(8) as u16).to_le_bytes());
                image.extend_from_slice(&(0xF800 | dice.roll(0x800) as u16).to_le_bytes());
            }
            1 if image.len() % 4 == 0 => {
                let pointer = 0x0800_0001 + dice.roll(len) as u32;
                image.extend_from_slice(&pointer.to_le_bytes());
            }
            2 if image.len() % 4 == 0 => {
                let variable = 0x2000_0000 + 4 * dice.roll(200) as u32;
                image.extend_from_slice(&variable.to_le_bytes());
            }
            _ => image.extend_from_slice(&(0x4600 | dice.roll(0x300) as u16).to_le_bytes()),
        }
    }
    image.truncate(len);
    image
}

/// Some edits: changed bytes, cut out, put in, moved.
pub fn edited(dice: &mut Dice, old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..dice.roll(8) {
        let at = dice.roll(new.len() + 1);
        match dice.roll(5) {
            4 => {
                // A run, here and there interrupted: copied from one byte before itself.
                let len = 40 + dice.roll(200);
                let (fill, step) = (dice.roll(256) as u8, 15 + dice.roll(30));
                let mut run = vec![fill; len];
                for byte in run.iter_mut().step_by(step) {
                    *byte = dice.roll(256) as u8;
                }
                new.splice(at..at, run);
            }
            0 => {
                for byte in new.iter_mut().skip(at).step_by(5).take(6) {
                    *byte = dice.roll(256) as u8;
                }
            }
            1 => {
                let len = dice.roll(60);
                let fresh = firmware(dice, len);
                new.splice(at..at, fresh);
            }
            2 => {
                let end = (at + dice.roll(80)).min(new.len());
                new.drain(at..end);
            }
            _ => {
                let end = (at + dice.roll(300)).min(new.len());
                let moved: Vec<u8> = new.drain(at..end).collect();
                let to = dice.roll(new.len() + 1);
                new.splice(to..to, moved);
            }
        }
    }
    new
}
