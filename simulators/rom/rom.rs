//! Hands `rom.s` to the compiler's own assembler: no Rust, no core library.
//! Built by build.sh.

#![feature(no_core, lang_items, rustc_attrs, decl_macro)]
#![no_core]
#![no_std]
#![allow(internal_features, dead_code, reason = "what the compiler wants of a crate without core")]

#[lang = "pointee_sized"]
trait PointeeSized {}
#[lang = "meta_sized"]
trait MetaSized: PointeeSized {}
#[lang = "sized"]
trait Sized: MetaSized {}

#[rustc_builtin_macro]
macro global_asm() {}
#[rustc_builtin_macro]
macro include_str() {}

global_asm!(include_str!("rom.s"), options(raw));
