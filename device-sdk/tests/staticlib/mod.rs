//! The static library for this machine, and C programs that link it.

#![allow(unreachable_pub, reason = "shared by test programs")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a program printed; it must have ended well.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The static library for this machine.
fn library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("staticlib");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--profile", "small"]).arg("--manifest-path");
    cargo.arg(here().join("staticlib/Cargo.toml")).arg("--target-dir").arg(&target);
    // Another build than the one that runs this test: nothing of that one's settings.
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CLIPPY_ARGS"] {
        cargo.env_remove(name);
    }
    run(&mut cargo);
    target.join("small/libflashline.a")
}

/// A program of tests/c, compiled and linked.
pub fn program(name: &str) -> PathBuf {
    let library = library();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]);
    gcc.arg(here().join("include")).arg(here().join(format!("tests/c/{name}.c"))).arg(library);
    run(gcc.arg("-o").arg(&program));
    program
}
