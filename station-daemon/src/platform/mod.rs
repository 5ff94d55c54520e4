//! What depends on the operating system: files that survive a power cut, clocks, and what the
//! process may not leak.
//!
//! Linux lives here; a second system gets a second file beside it.

mod clocks;
mod files;
mod harden;
pub mod sealing;

pub use clocks::reading;
pub use files::{create_secret_file, remove_file, replace_file};
pub use harden::harden;
