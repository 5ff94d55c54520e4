//! Which room may import which: the table of `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::{resolved, text::tracked, top};

/// `(room, what it may import)`. A room that is not named here may not exist.
const DOORS: &[(&str, &[&str])] = &[
    ("activation", &[]),
    ("audit", &[]),
    ("delta", &[]),
    ("device-sdk", &["activation", "delta"]),
    ("flash", &[]),
    ("hub", &["activation", "audit", "delta", "protocol", "release", "sync"]),
    ("protocol", &[]),
    ("release", &[]),
    ("simulators", &["device-sdk"]),
    ("station-daemon", &["activation", "audit", "delta", "flash", "protocol", "release", "sync"]),
    ("sync", &[]),
    ("tests", EVERYTHING),
    ("xtask", EVERYTHING),
];

/// The rooms in workspaces of their own: `(manifest, package, what it may import)`.
const OUTSIDE: &[(&str, &str, &[&str])] = &[
    ("src-tauri/Cargo.toml", "kiosk-shell", &[]),
    ("device-sdk/demo/Cargo.toml", "demo-lamp", &["device-sdk"]),
    ("delta/chip/Cargo.toml", "delta-chip", &["delta"]),
    ("activation/fuzz/Cargo.toml", "activation-fuzz", &["activation"]),
    ("audit/fuzz/Cargo.toml", "audit-fuzz", &["audit"]),
    ("delta/fuzz/Cargo.toml", "delta-fuzz", &["delta"]),
    ("device-sdk/chip/Cargo.toml", "activation-chip", &["device-sdk"]),
    ("device-sdk/staticlib/Cargo.toml", "flashline-device", &["device-sdk"]),
    ("flash/fuzz/Cargo.toml", "flash-fuzz", &["flash"]),
    ("release/fuzz/Cargo.toml", "release-fuzz", &["release"]),
    ("sync/fuzz/Cargo.toml", "sync-fuzz", &["sync"]),
];

const EVERYTHING: &[&str] = &["*"];

/// Rooms a test may use although the program may not: boards to test against.
const FOR_TESTS: &[&str] = &["simulators"];

/// One door that stands open: `room` imports `imported`.
type Door = (String, String);

fn doors_opened(metadata: &Metadata, kind: DependencyKind) -> BTreeSet<Door> {
    let rooms: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| {
            package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == kind)
                .filter(|dependency| {
                    dependency.path.is_some() || rooms.contains(dependency.name.as_str())
                })
                .map(|dependency| (package.name.to_string(), dependency.name.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn forbidden(opened: &BTreeSet<Door>, extra: &[&str]) -> Vec<String> {
    let doors: BTreeMap<&str, &[&str]> = DOORS.iter().copied().collect();
    opened
        .iter()
        .filter(|(room, imported)| {
            let allowed = doors.get(room.as_str()).copied().unwrap_or(&[]);
            allowed != EVERYTHING
                && !allowed.contains(&imported.as_str())
                && !extra.contains(&imported.as_str())
        })
        .map(|(room, imported)| format!("{room} imports {imported}"))
        .collect()
}

#[test]
fn every_room_is_on_the_map() {
    let known: BTreeSet<&str> = DOORS.iter().map(|(room, _)| *room).collect();
    let unknown: Vec<_> = resolved()
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "rooms the map does not show: {unknown:?}");
}

#[test]
fn no_door_is_open_that_the_map_does_not_show() {
    let metadata = resolved();
    let mut bad = forbidden(&doors_opened(&metadata, DependencyKind::Normal), &[]);
    bad.extend(forbidden(&doors_opened(&metadata, DependencyKind::Build), &[]));
    bad.extend(forbidden(&doors_opened(&metadata, DependencyKind::Development), FOR_TESTS));
    assert!(bad.is_empty(), "doors the map does not show: {bad:#?}");
}

#[test]
fn a_planted_door_is_found() {
    let planted = BTreeSet::from([("flash".to_owned(), "release".to_owned())]);
    assert_eq!(forbidden(&planted, FOR_TESTS), ["flash imports release"]);
}

#[test]
fn rooms_in_workspaces_of_their_own_open_no_other_door() {
    for (manifest, room, allowed) in OUTSIDE {
        let path = top().join(manifest);
        let metadata = MetadataCommand::new()
            .manifest_path(&path)
            .no_deps()
            .exec()
            .unwrap_or_else(|error| panic!("reading {manifest}: {error}"));
        for package in metadata.workspace_packages() {
            assert_eq!(package.name.as_str(), *room, "{manifest} holds another package");
            for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
                assert!(
                    allowed.contains(&dependency.name.as_str()),
                    "{room} imports {}",
                    dependency.name
                );
            }
        }
    }
}

#[test]
fn every_manifest_is_a_room_or_a_workspace_on_the_map() {
    let metadata = resolved();
    let rooms: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| format!("{}/Cargo.toml", package.name))
        .collect();
    let unknown: Vec<String> = tracked()
        .into_iter()
        .filter(|name| name.ends_with("/Cargo.toml") && !rooms.contains(name))
        .filter(|name| !OUTSIDE.iter().any(|(manifest, _, _)| manifest == name))
        .collect();
    assert!(unknown.is_empty(), "workspaces the map does not show: {unknown:?}");
}
