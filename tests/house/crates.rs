//! Which crates from outside may stand in the lock file: licence, source, bans.

use std::fs;

use cargo_metadata::Package;
use spdx::{Expression, LicenseReq};

use crate::{resolved, text::tracked, top};

/// Licences a closed product may ship with.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must never come in, and why.
const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "one TLS and hash library on hosts: ring"),
    ("aws-lc-sys", "one TLS and hash library on hosts: ring; this one also wants cmake"),
    ("openssl", "rustls does TLS"),
    ("openssl-sys", "rustls does TLS; a C library of the machine is not ours to trust"),
    ("native-tls", "rustls does TLS"),
    ("unicorn-engine", "GPL-2.0; armagnac runs the simulated core"),
];

fn allowed(requirement: &LicenseReq) -> bool {
    requirement.license.id().is_some_and(|id| LICENCES.contains(&id.name))
}

fn outside(packages: &[Package]) -> impl Iterator<Item = &Package> {
    packages.iter().filter(|package| package.source.is_some())
}

#[test]
fn every_crate_has_a_licence_we_may_ship() {
    let metadata = resolved();
    let bad: Vec<String> = outside(&metadata.packages)
        .filter_map(|package| {
            let id = format!("{} {}", package.name, package.version);
            let Some(text) = &package.license else {
                return Some(format!("{id}: names no licence"));
            };
            match Expression::parse_mode(text, spdx::ParseMode::LAX) {
                Ok(expression) if expression.evaluate(allowed) => None,
                Ok(_) => Some(format!("{id}: {text}")),
                Err(error) => Some(format!("{id}: {text:?} does not parse: {error}")),
            }
        })
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_crate_comes_from_the_public_registry() {
    let metadata = resolved();
    let bad: Vec<String> = outside(&metadata.packages)
        .filter(|package| !package.source.as_ref().is_some_and(|source| source.is_crates_io()))
        .map(|package| format!("{} from {:?}", package.name, package.source))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn no_banned_crate_stands_in_any_lock_file() {
    let locks: Vec<String> = tracked().into_iter().filter(|n| n.ends_with("Cargo.lock")).collect();
    assert!(
        locks.len() >= 3,
        "the lock files of the station, the window and the firmware: {locks:?}"
    );
    for lock in &locks {
        let text = fs::read_to_string(top().join(lock))
            .unwrap_or_else(|error| panic!("reading {lock}: {error}"));
        for (name, why) in BANNED {
            assert!(
                !text.contains(&format!("name = \"{name}\"\n")),
                "{lock} brings in {name}: {why}"
            );
        }
    }
}

#[test]
fn one_sqlite_is_linked() {
    let metadata = resolved();
    let versions: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.name.as_str() == "libsqlite3-sys")
        .map(|package| package.version.to_string())
        .collect();
    assert_eq!(versions.len(), 1, "libsqlite3-sys in versions {versions:?}");
}
