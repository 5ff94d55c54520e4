//! Puts the memory map where the linker looks, and the images where the program finds them.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy("memory.x", out.join("memory.x")).expect("OUT_DIR is writable");
    for (variable, name) in [("DELTA_OLD", "old"), ("DELTA_PATCH", "patch")] {
        let path = env::var(variable).expect("run.sh names the images");
        fs::copy(&path, out.join(name)).expect("the image can be copied");
        println!("cargo:rerun-if-changed={path}");
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
}
