//! Tests that see simulated sockets only.
//!
//! The preload library has to be there when a process starts, so a test starts itself again.

use std::process::Command;

use super::{Usb, WireTime, preload, under_preload};

/// Runs `story`, a closure of a test, in a process of its own whose machine has empty sockets and
/// transfers that take no time.
///
/// # Panics
/// As the story does, and where umockdev or this very test cannot be found.
pub fn with_sockets<S: FnOnce(&Usb)>(story: S) {
    if under_preload() {
        match Usb::new(WireTime::NONE) {
            Ok(usb) => return story(&usb),
            Err(error) => panic!("{error}"),
        }
    }
    match std::env::current_exe() {
        Ok(program) => run_again::<S>(&mut Command::new(program)),
        Err(error) => panic!("finding the test program: {error}"),
    }
}

/// Starts the test whose closure `S` is again as `program`, under the preload library, and takes over
/// its end.
///
/// # Panics
/// Where that process fails.
pub fn run_again<S>(program: &mut Command) {
    let again = preload(program)
        .args([&test_name::<S>(), "--exact", "--nocapture", "--test-threads=1"])
        .output();
    let output = match again {
        Ok(output) => output,
        Err(error) => panic!("starting the test again: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("1 passed"), "the test was not found again: {said}");
}

/// The path of the test whose closure this is, as the test program knows it.
fn test_name<S>() -> String {
    let path = std::any::type_name::<S>();
    let path = path.split_once("::").map_or(path, |(_, path)| path);
    path.trim_end_matches("::{{closure}}").to_owned()
}
