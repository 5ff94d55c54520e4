//! What the tracked files may say, and how long they may be.

use std::{fs, process::Command};

use crate::top;

/// Longer files are split by meaning.
const LINES_MAX: usize = 800;

/// Written by a program from something else that is reviewed.
const GENERATED: &[&str] = &["Cargo.lock", "package-lock.json", "openapi.json", "api.d.ts"];

/// `(words, where, why)`. The words are joined at run time so that this file does not hold them.
fn banned_words() -> Vec<(String, &'static str)> {
    [
        (["to", "do!("], "finish it, or leave the feature out and say so"),
        (["unimple", "mented!("], "finish it, or leave the feature out and say so"),
        (["FIX", "ME"], "mend it, or write down what is missing where users read it"),
        (["#[ig", "nore"], "a test that does not run proves nothing"),
        (["test.sk", "ip("], "a test that does not run proves nothing"),
        (["/ho", "me/"], "a path of one machine"),
        (["/ro", "ot/"], "a path of one machine"),
        (["/wo", "rk/main"], "a path of one machine"),
    ]
    .into_iter()
    .map(|(halves, why)| (halves.concat(), why))
    .collect()
}

/// The files git tracks, by their paths from the top folder.
pub(crate) fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(top())
        .output()
        .expect("git lists the tracked files");
    assert!(output.status.success(), "git ls-files failed");
    String::from_utf8(output.stdout)
        .expect("file names are UTF-8")
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn source(name: &str) -> bool {
    [".rs", ".ts", ".mjs", ".svelte", ".css", ".py", ".sh", ".md", ".toml", ".json", ".sql"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn generated(name: &str) -> bool {
    GENERATED.iter().any(|ending| name.ends_with(ending))
}

#[test]
fn no_file_is_longer_than_one_sitting() {
    let long: Vec<String> = tracked()
        .into_iter()
        .filter(|name| source(name) && !generated(name))
        .filter_map(|name| {
            let lines = fs::read_to_string(top().join(&name)).ok()?.lines().count();
            (lines > LINES_MAX).then(|| format!("{name}: {lines} lines"))
        })
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn no_file_holds_words_that_mean_unfinished() {
    let words = banned_words();
    let mut bad = Vec::new();
    for name in tracked().iter().filter(|name| source(name) && !generated(name)) {
        let Ok(text) = fs::read_to_string(top().join(name)) else { continue };
        for (word, why) in &words {
            if text.contains(word.as_str()) {
                bad.push(format!("{name} holds {word:?}: {why}"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_room_says_what_it_is() {
    for room in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        assert!(top().join(room).is_file(), "{room} is missing");
    }
}

#[test]
fn the_two_commands_of_the_readme_exist() {
    let readme = fs::read_to_string(top().join("README.md")).expect("README.md");
    for command in ["cargo xtask demo", "cargo xtask test"] {
        assert!(readme.contains(command), "README.md does not show `{command}`");
    }
}
