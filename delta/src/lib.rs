#![doc = include_str!("../README.md")]
#![cfg_attr(not(any(test, feature = "make")), no_std)]
#![forbid(unsafe_code)]

pub mod apply;
mod coder;
mod digest;
mod header;
pub mod inplace;
mod isa;
mod logistic;
#[cfg(feature = "make")]
pub mod make;
mod map;
mod model;
mod prior;
mod walk;

pub use digest::Digest;
pub use header::{
    BASE_STEP, Body, HEADER_BYTES_MAX, Header, HeaderError, IMAGE_BYTES_MAX, InPlace,
    PAGE_BITS_MAX, PAGE_BITS_MIN, REACH_MAX, VERSION,
};
pub use isa::Isa;
pub use map::MAP_ENTRIES_MAX;
