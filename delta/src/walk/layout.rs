//! Where the model's counters and weights live: normative, see `FORMAT.md`.

use crate::model::{SLAB, WEIGHTS};

/// First counters of each table.
pub(super) mod slots {
    pub(in crate::walk) const FLAG: [u16; 6] = [0, 256, 384, 512, 640, 768];
    pub(in crate::walk) const FLAG_BITS: u32 = 7;
    pub(in crate::walk) const DIFFERENCE: [u16; 5] = [896, 960, 1024, 1088, 1152];
    pub(in crate::walk) const DIFFERENCE_BITS: u32 = 6;
    pub(in crate::walk) const LITERAL: [u16; 6] = [1216, 1280, 1344, 1408, 1472, 1536];
    pub(in crate::walk) const LITERAL_BITS: u32 = 6;
    pub(in crate::walk) const REFERENCE: usize = 1600;
    pub(in crate::walk) const HIGH: usize = 1856;
    pub(in crate::walk) const LOW: usize = 1920;
    pub(in crate::walk) const SWAP: usize = 1936;
    pub(in crate::walk) const SPELT: usize = 1952;
    pub(in crate::walk) const ACTION: usize = 1976;
    pub(in crate::walk) const MAP: usize = 1980;
    pub(in crate::walk) const COPY: usize = 1982;
    pub(super) const END: usize = 1988;
}

/// First weights of each mixer.
pub(super) mod weights {
    pub(in crate::walk) const FLAG: usize = 0;
    pub(super) const FLAG_SETS: usize = 15;
    pub(in crate::walk) const DIFFERENCE: usize = FLAG + FLAG_SETS * 6;
    pub(super) const DIFFERENCE_SETS: usize = 16;
    pub(in crate::walk) const LITERAL: usize = DIFFERENCE + DIFFERENCE_SETS * 5;
    pub(super) const LITERAL_SETS: usize = 24;
    pub(super) const END: usize = LITERAL + LITERAL_SETS * 6;
}

const _: () = assert!(slots::END == SLAB && weights::END == WEIGHTS);
