//! R&D's program, as a shell sees it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CLAIM: [&str; 6] =
    ["--product", "demo-lamp", "--family", "nrf52", "--uid", "0102030405060708"];
const PRODUCT_KEY: &str = "e9eae00bed8258fa659ce919abb28a977a19ab2953093d26199a9e9c59942a54";

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flashline-activation")).args(arguments).output().unwrap()
}

/// What it prints when all is well.
#[track_caller]
fn says(arguments: &[&str]) -> String {
    let output = program(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it prints when it refuses.
#[track_caller]
fn refuses(arguments: &[&str]) -> String {
    let output = program(arguments);
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[allow(clippy::disallowed_methods, reason = "a test's own input")]
fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn block(mode: &str) -> String {
    format!("{}/fuzz/corpus/block/{mode}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_service_tool_checks_blocks_of_every_mode_and_shows_no_secret() {
    let folder = folder("check");
    let secret = include_bytes!("../fuzz/corpus/mac-secret");
    let secret = file(&folder, "secret", hex::encode(secret).as_bytes());
    let check = |mode: &str, block_of: &str| -> Vec<String> {
        let mut arguments = vec!["check", "--mode", mode, "--key", PRODUCT_KEY];
        arguments.extend(CLAIM);
        let block = block(block_of);
        if mode == "hmac-sha256" {
            arguments.extend(["--secret", &secret]);
        }
        arguments.push(&block);
        arguments.into_iter().map(str::to_owned).collect()
    };
    let run = |arguments: Vec<String>| -> String {
        says(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let share = "616c6c6f746d656e74206e6f2e203031";
    let code = "BWHA-HYG6-8W71-2FVB-Z";
    assert_eq!(run(check("ed25519", "ed25519")), format!("{code}: 7 of 1000 in {share}\n"));
    assert_eq!(run(check("stored", "stored")), format!("{code}: 7 of 1000 in {share}\n"));
    let deterrent = format!("{code}: 7 in {share}, a copy deterrent\n");
    assert_eq!(run(check("hmac-sha256", "hmac-sha256")), deterrent);
    let pool = run(check("pool", "pool"));
    assert!(pool.starts_with(&format!("lamp-0007: 7 of 1000 in {share}\n")), "{pool}");
    assert!(pool.ends_with("Secret(16 bytes)\n"), "{pool}");

    let refused = |mode, block_of, why: &str| {
        let arguments = check(mode, block_of);
        let text = refuses(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(text.contains(why), "{text}");
    };
    refused("ed25519", "stored", "is of mode 2");
    refused("pool", "ed25519", "is of mode 1");
    refused("stored", "nowhere", "opening ");
    let unknown = refuses(&["check", "--mode", "rot13"]);
    assert!(unknown.contains("ed25519, stored, hmac-sha256, pool"), "{unknown}");
}

#[test]
fn a_pools_file_is_checked_whole_and_its_fault_is_named() {
    let folder = folder("check-pool");
    let schema = br#"{"columns":[
        {"name":"id","openness":"public","form":"text","bytes_min":1,"bytes_max":8},
        {"name":"key","openness":"secret","form":"hex","bytes_min":2,"bytes_max":2}],"code":"id"}"#;
    let schema = file(&folder, "schema.json", schema);
    let good = file(&folder, "good.csv", b"id,key\na,0001\nb,0002\n");
    let says_good = says(&["check-pool", "--schema", &schema, &good]);
    assert_eq!(says_good, "2 credentials, none twice\n");
    let twice = file(&folder, "twice.csv", b"id,key\na,0001\nb,0001\n");
    let text = refuses(&["check-pool", "--schema", &schema, &twice]);
    assert!(text.contains("line 3, column 2 (key) has the same value as line 2"), "{text}");
    let text = refuses(&["check-pool", "--schema", &good, &good]);
    assert!(text.contains("reading ") && text.contains("good.csv"), "{text}");
}

#[test]
fn a_mac_secret_is_made_once_for_its_owners_eyes() {
    use std::os::unix::fs::PermissionsExt;
    let path = folder("mac-secret").join("secret");
    let name = path.to_str().unwrap();
    assert_eq!(says(&["mac-secret", "--out", name]), "");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(hex::decode(text.trim_end()).unwrap().len(), 32);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(refuses(&["mac-secret", "--out", name]).contains("making "));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
