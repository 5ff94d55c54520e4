//! R&D's day on the command line, from the first key to a verified bundle. Needs no hub.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use release::folder::{Readers, read_bundle, replace_file};
use release::{Digest, HubKeys, WrapKey};
use tempfile::TempDir;

use crate::images::writers;
use crate::workbench::{CHANNEL, DAY_MS, NOW_MS};

struct Desk(TempDir);

const RECIPE: &str = r#"
family = "nrf52"
chip = "nRF52832_xxAA"
channels = ["production"]
exclude = [{ start = 0x10001000, end = 0x10002000 }]

[self_test]
via = "uart"
expect = "FLASHLINE demo-lamp {version} activation=absent"
within_ms = 5000
"#;

/// 8 bytes at 0 and 4 bytes of UICR.
const HEX: &str =
    ":080000000001020304050607DC\n:020000041000EA\n:0410100001020304D2\n:00000001FF\n";

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.put("recipe.toml", RECIPE.as_bytes());
        desk.put("lamp.hex", HEX.as_bytes());
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        replace_file(&self.path().join(name), bytes, Readers::Everybody).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_flashline-release"))
            .current_dir(self.path())
            .args(["--now-ms", &NOW_MS.to_string()])
            .args(line.split_whitespace())
            .output()
            .unwrap()
    }

    /// Runs a line that must succeed and gives what it printed.
    fn says(&self, line: &str) -> String {
        let output = self.run(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a line that must fail and gives its complaint: one line, and one with what to do where
    /// a release was refused.
    fn refuses(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(!output.status.success(), "{line} succeeded");
        let complaint = String::from_utf8(output.stderr).unwrap();
        let ours = complaint.lines().find(|said| said.starts_with("flashline-release: "));
        ours.unwrap_or_else(|| panic!("{line}: {complaint}")).to_owned()
    }

    fn warns(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn keys(&self, names: &[&str]) {
        for name in names {
            self.says(&format!("keygen --out {name}.key"));
        }
        self.says("hub-keys --tenant acme --out hub");
    }

    fn thin(&self) {
        self.keys(&["root", "targets", "lamp"]);
        self.says(
            "root init --repo repo --tenant acme --root-key root.key --targets-key targets.key \
             --hub-keys hub/hub-keys.json --product demo-lamp=lamp.key.pub",
        );
    }

    fn root_sha256(&self) -> Digest {
        Digest::of(&fs::read(self.path().join("repo/metadata/1.root.json")).unwrap())
    }
}

const PACK: &str = "pack --repo repo --recipe recipe.toml --product demo-lamp --version 1.0.0 \
                    --hardware-revision A --image app=lamp.hex";

#[test]
fn a_release_goes_from_the_first_key_to_a_verified_bundle() {
    let desk = Desk::new();
    desk.thin();
    let summary = desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    assert!(summary.contains("demo-lamp 1.0.0 of acme"), "{summary}");
    assert!(summary.contains("EXCLUDED 0x10001000..0x10002000 4 bytes NOT flashed"), "{summary}");
    assert!(summary.contains("\"FLASHLINE demo-lamp 1.0.0 activation=absent\""), "{summary}");
    let root = desk.root_sha256();
    let verified = desk.says(&format!("verify bundle --root-sha256 {root}"));
    assert!(verified.contains(&format!("signed under the root {root}")), "{verified}");
    let inspected = desk.says("inspect bundle");
    assert!(inspected.contains("metadata/demo-lamp.json version 1"), "{inspected}");
    let shown = desk.says("root show repo");
    assert!(shown.contains(&root.words()) && shown.contains(&root.to_string()), "{shown}");

    // The hub opens what was wrapped for it.
    let hub_key = fs::read_to_string(desk.path().join("hub/release.key")).unwrap();
    let hub_key = WrapKey::from_pem(&hub_key).unwrap();
    let bundle = read_bundle(&desk.path().join("bundle")).unwrap();
    let pin = bundle.pin(&root).unwrap();
    assert!(bundle.check(&pin, NOW_MS).unwrap().content_key(&hub_key, CHANNEL).is_ok());
}

#[test]
fn no_file_that_leaves_rnd_holds_plain_firmware_or_a_private_key() {
    let desk = Desk::new();
    desk.thin();
    let marker = *b"FLASHLINE-MARKER-IN-THE-IMAGE!!!";
    desk.put("marked.bin", &marker);
    desk.says(&format!("{} --image more=marked.bin@0x1000 --key lamp.key --out bundle", PACK));
    let private = fs::read_to_string(desk.path().join("lamp.key")).unwrap();
    let private = private.lines().nth(1).unwrap().as_bytes().to_vec();
    for (name, bytes) in read_bundle(&desk.path().join("bundle")).unwrap().files() {
        for secret in [&marker[..], &private, b"0001020304050607"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{name}");
        }
    }
}

#[test]
fn private_keys_are_their_owners_and_are_never_overwritten() {
    let desk = Desk::new();
    desk.keys(&["root"]);
    for name in
        ["root.key", "hub/lease.key", "hub/release.key", "hub/snapshot.key", "hub/timestamp.key"]
    {
        let mode = fs::metadata(desk.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(desk.refuses("keygen --out root.key").contains("never overwritten"));
    assert!(desk.refuses("hub-keys --tenant acme --out hub").contains("never overwritten"));
    desk.says("keygen --kind x25519 --out bench.key");
    let hub = fs::read(desk.path().join("hub/hub-keys.json")).unwrap();
    assert_eq!(HubKeys::from_bytes(&hub).unwrap().tenant.as_str(), "acme");
}

#[test]
fn two_people_sign_one_after_the_other() {
    let desk = Desk::new();
    desk.keys(&["root", "root2", "targets", "targets2", "lamp", "lamp2", "lamp3"]);
    let init = "root init --repo repo --tenant acme --root-key root.key --root-key root2.key \
                --root-threshold 2 --targets-key targets.key --targets-key targets2.key \
                --targets-threshold 2 --hub-keys hub/hub-keys.json \
                --product demo-lamp=lamp.key.pub,lamp2.key.pub,lamp3.key.pub --product-threshold 2";
    assert!(!desk.warns(init).contains("alone"));
    let warning = desk.warns(&format!("{PACK} --key lamp.key --out bundle"));
    assert!(warning.contains("1 good signatures of the 2 needed"), "{warning}");
    let verify = format!("verify bundle --root-sha256 {} --quorum 2", desk.root_sha256());
    assert!(desk.refuses(&verify).contains("1 good signatures of the 2 needed"));
    desk.says("sign --bundle bundle --key lamp.key");
    assert!(desk.refuses(&verify).contains("1 good signatures of the 2 needed"));
    desk.says("sign --bundle bundle --key root.key");
    assert!(desk.refuses(&verify).contains("1 good signatures of the 2 needed"));
    desk.says("sign --bundle bundle --key lamp3.key");
    desk.says(&verify);
}

#[test]
fn a_root_of_two_of_three_is_signed_at_one_machine_after_another() {
    let desk = Desk::new();
    desk.keys(&["root1", "root2", "root3", "targets1", "targets2", "lamp"]);
    // The first machine knows the others' public keys only.
    let init = "root init --repo repo --tenant acme --threshold 2 --key root1.key \
                --key root2.key.pub --key root3.key.pub --targets-key targets1.key \
                --targets-key targets2.key.pub --targets-threshold 2 \
                --hub-keys hub/hub-keys.json --product demo-lamp=lamp.key.pub";
    let warning = desk.warns(init);
    assert!(warning.contains("not yet a root: verifying root: 1 good signatures of the 2"));
    assert!(desk.refuses(&format!("{PACK} --key lamp.key --out bundle")).contains("1 good"));
    let stranger = desk.refuses("root sign --repo repo --key lamp.key");
    assert!(stranger.contains("signs neither root 1 nor the targets"), "{stranger}");
    let second = desk.says("root sign --repo repo --key root3.key");
    assert!(second.contains("2 of the 2 needed for root 1, by its own keys"), "{second}");
    assert!(second.contains("incomplete"), "the targets still lack a signature: {second}");
    let third = desk.says("root sign --repo repo --key targets2.key");
    assert!(third.contains("complete   publish it"), "{third}");
    let digest = desk.root_sha256();
    assert!(third.contains(&format!("root sha256 {digest}")), "{third}");
    // A signature too many would change the digest that people have compared.
    let late = desk.says("root sign --repo repo --key root2.key");
    assert!(late.contains("has every signature it needs"), "{late}");
    assert_eq!(desk.root_sha256(), digest);
    desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    desk.says(&format!("verify bundle --root-sha256 {digest} --quorum 2"));
}

#[test]
fn a_root_is_rotated_over_several_versions_and_the_first_pin_still_verifies() {
    let desk = Desk::new();
    desk.keys(&["root", "root2", "targets", "targets2", "lamp"]);
    desk.says(
        "root init --repo repo --tenant acme --root-key root.key --targets-key targets.key \
         --hub-keys hub/hub-keys.json --product demo-lamp=lamp.key.pub",
    );
    let pin = desk.root_sha256();
    // Root 2 adds a person; the old root signs, the new one too.
    let rotated = desk.says(
        "root rotate --repo repo --add-root-key root2.key.pub --root-threshold 2 --key root.key",
    );
    assert!(rotated.contains("1 of the 1 needed for root 2, by the keys of root 1"), "{rotated}");
    assert!(rotated.contains("1 of the 2 needed for root 2, by its own keys"), "{rotated}");
    let halfway = desk.refuses("root rotate --repo repo --key root.key");
    assert!(halfway.contains("1 good signatures of the 2 needed"), "{halfway}");
    desk.says("root sign --repo repo --key root2.key");
    // Root 3 removes the first person and puts others in charge of the targets.
    let rotated = desk.says(
        "root rotate --repo repo --remove-root-key root.key.pub --root-threshold 1 \
         --add-targets-key targets2.key.pub --remove-targets-key targets.key.pub --key root.key \
         --key root2.key --key targets2.key",
    );
    assert!(rotated.contains("complete"), "{rotated}");
    // Root 4 follows a hub that lost its keys.
    desk.says("hub-keys --tenant acme --out hub2");
    desk.says(
        "root rotate --repo repo --hub-keys hub2/hub-keys.json --key root2.key --key targets2.key",
    );
    let old = desk.refuses("root rotate --repo repo --key root.key");
    assert!(old.contains("signs neither root nor targets"), "{old}");
    desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    let verified = desk.says(&format!("verify bundle --root-sha256 {pin}"));
    assert!(verified.contains(&format!("signed under the root {pin}")), "{verified}");
    let bundle = read_bundle(&desk.path().join("bundle")).unwrap();
    let checked = bundle.clone().check(&bundle.pin(&pin).unwrap(), NOW_MS).unwrap();
    let hub = |folder: &str| {
        let keys = fs::read(desk.path().join(folder).join("hub-keys.json")).unwrap();
        HubKeys::from_bytes(&keys).unwrap()
    };
    assert!(checked.is_for(&hub("hub2")) && !checked.is_for(&hub("hub")));

    // A root that the old quorum did not sign leads nowhere.
    let fourth = fs::read(desk.path().join("repo/metadata/4.root.json")).unwrap();
    desk.put("bundle/metadata/2.root.json", &fourth);
    desk.refuses(&format!("verify bundle --root-sha256 {pin}"));
}

#[test]
fn a_products_people_are_replaced_and_the_ones_before_sign_nothing_more() {
    let desk = Desk::new();
    desk.keys(&["root", "targets", "lamp", "a", "b", "c"]);
    desk.says(
        "root init --repo repo --tenant acme --root-key root.key --targets-key targets.key \
         --hub-keys hub/hub-keys.json --product demo-lamp=lamp.key.pub",
    );
    desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    let rotated = desk.says(
        "product rotate --repo repo --product demo-lamp=a.key.pub,b.key.pub,c.key.pub \
         --product-threshold 2 --targets-key targets.key --key a.key --key c.key",
    );
    assert!(rotated.contains("signed by 2 of the 2 needed"), "{rotated}");
    let taken = desk.says("documents --repo repo --out documents");
    assert!(taken.contains("release    demo-lamp 1.0.0 good"), "{taken}");
    let second = PACK.replace("1.0.0", "2.0.0");
    desk.says(&format!("{second} --key lamp.key --key b.key --out second"));
    let verify = format!("verify second --root-sha256 {}", desk.root_sha256());
    assert!(desk.refuses(&verify).contains("1 good signatures of the 2 needed"));
    desk.says("sign --bundle second --key a.key");
    desk.says(&verify);
    let absent = desk
        .refuses("product rotate --repo repo --product radio=a.key.pub --targets-key targets.key");
    assert!(absent.contains("there is no such product"), "{absent}");
}

#[test]
fn documents_without_a_release_carry_a_withdrawal_and_a_later_end() {
    let desk = Desk::new();
    desk.thin();
    desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    desk.says("withdraw --repo repo --product demo-lamp --version 1.0.0 --key lamp.key");
    let taken = desk.says("documents --repo repo --out withdrawn");
    assert!(taken.contains("release    demo-lamp 1.0.0 withdrawn"), "{taken}");
    let files: Vec<String> =
        read_bundle(&desk.path().join("withdrawn")).unwrap().files().keys().cloned().collect();
    let expected = [
        "lease-keys.json",
        "metadata/1.root.json",
        "metadata/demo-lamp.json",
        "metadata/targets.json",
    ];
    assert_eq!(files, expected);

    // Two years later the targets have run out, and are written anew.
    let later = (NOW_MS + 731 * DAY_MS).to_string();
    let at = |line: &str| {
        let line = format!("{line} --now-ms {later}");
        let words = line.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_flashline-release"))
            .current_dir(desk.path())
            .args(words)
            .output()
            .unwrap()
    };
    let over = at("documents --repo repo --out over");
    let complaint = String::from_utf8(over.stderr).unwrap();
    assert!(complaint.contains("verifying targets: it expired"), "{complaint}");
    assert!(at("renew --repo repo --key targets.key").status.success());
    assert!(at("renew --repo repo --product demo-lamp --key lamp.key").status.success());
    assert!(at("documents --repo repo --out renewed").status.success());
}

#[test]
fn a_thin_root_is_warned_about_and_refused_on_request() {
    let desk = Desk::new();
    desk.thin();
    desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    let verify = format!("verify bundle --root-sha256 {}", desk.root_sha256());
    assert!(desk.warns(&verify).contains("one person alone"));
    assert!(desk.refuses(&format!("{verify} --quorum 2")).contains("required are 2"));
    assert!(desk.warns("root show repo").contains("one person alone"));
}

#[test]
fn a_wrong_line_is_refused_in_one_sentence() {
    let desk = Desk::new();
    desk.thin();
    let pack = |change: &str| format!("{PACK} --key lamp.key --out bundle {change}");
    desk.put("recipe2.toml", RECIPE.replace("nRF52832_xxAA", "Z80").as_bytes());
    desk.put("beyond.hex", b":020000040008F2\n:0100000001FE\n:00000001FF\n");
    let cases = [
        (pack("--image app2=beyond.hex"), "no memory at 0x00080000"),
        (pack("--image app=lamp.hex"), "own name"),
        (pack("--image app2=nowhere.hex"), "reading nowhere.hex"),
        (pack("--image nonsense"), "NAME=FILE"),
        (PACK.replace("recipe.toml", "recipe2.toml") + " --key lamp.key --out b", "chip table"),
        (PACK.replace("demo-lamp", "radio") + " --key lamp.key --out b", "is not delegated"),
        (PACK.replace("1.0.0", "../../x") + " --key lamp.key --out b", ""),
        (format!("{PACK} --key lamp.key.pub --out b"), "PRIVATE KEY"),
        (format!("verify repo --root-sha256 {}", desk.root_sha256()), "not a file of a bundle"),
        ("inspect recipe.toml".to_owned(), "recipe.toml"),
        (
            "root init --repo repo --tenant acme --root-key root.key --targets-key root.key \
          --hub-keys hub/hub-keys.json --product a=lamp.key.pub"
                .to_owned(),
            "already holds",
        ),
        (
            "root init --repo repo2 --tenant other --root-key root.key --targets-key root.key \
          --hub-keys hub/hub-keys.json --product a=lamp.key.pub"
                .to_owned(),
            "tenant acme",
        ),
    ];
    for (line, part) in cases {
        let output = desk.run(&line);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{line} succeeded");
        assert!(complaint.contains(part), "{line}: {complaint}");
        assert!(!complaint.contains("panicked"), "{line}: {complaint}");
    }
    // Nothing of it was left behind, and the next release is still the first.
    assert!(!desk.path().join("bundle").exists() && !desk.path().join("b").exists());
    assert!(!desk.path().join("repo/metadata/demo-lamp.json").exists());
    desk.says(&pack(""));
    assert!(desk.refuses(&format!("{PACK} --key lamp.key --out b")).contains("already another"));
}

#[test]
fn images_of_every_format_are_packed_and_looked_at() {
    let desk = Desk::new();
    desk.thin();
    let segment = |physical| writers::ElfSegment {
        kind: writers::PT_LOAD,
        physical,
        bytes: vec![1, 2, 3, 4],
    };
    desk.put("app.elf", &writers::elf(writers::ARM, 0x1_0101, &[segment(0x1_0000)]));
    desk.put("c3.elf", &writers::elf(writers::RISC_V, 0, &[segment(0x1_0000)]));
    let srec = writers::srec_record(3, 0x2_0000, &[1]) + &writers::srec_record(7, 0x2_0000, &[]);
    desk.put("app.s37", srec.as_bytes());
    desk.put("app.uf2", &writers::uf2(&writers::uf2_blocks(writers::UF2_NRF52, 0x3_0000, &[1])));
    let target =
        writers::DfuTarget { alternate: 0, name: "x", elements: vec![(0x4_0000, vec![1])] };
    desk.put("app.dfu", &writers::of_vendor(0x1209, writers::dfuse(&[target])));
    desk.put("plain.dfu", &writers::of_vendor(0x1209, writers::dfu(0x0110, &[1, 2])));
    desk.put("slot.bin", &writers::mcuboot(0, &[5; 40], &[]));
    desk.put("c3.bin", &writers::esp(5, 0, &[(0, vec![1])], true));

    let summary = desk.says(&format!(
        "{PACK} --image elf=app.elf --image srec=app.s37 --image uf2=app.uf2 \
         --image dfuse=app.dfu --image dfu=plain.dfu@0x50000 --image slot=slot.bin@0x60000 \
         --image text=lamp.hex@0x70000,format=raw --key lamp.key --out bundle"
    ));
    let inspected = desk.says("inspect bundle");
    for text in [
        "format   intel-hex",
        "format   elf\n  entry    0x00010101\n  says     for Arm",
        "format   srec\n  entry    0x00020000",
        "format   uf2\n  says     for nRF52 (UF2 family 0x1b57745f)",
        "says     target 0 \"x\", 1 elements",
        "flash    0x00050000..0x00050002",
        "mcuboot  1.2.3+4 at 0x00060000, header 32 + code 40 bytes",
        "flash    0x00070000..",
    ] {
        assert!(summary.contains(text), "{text:?} is not in\n{summary}");
        assert!(inspected.contains(text), "{text:?} is not in\n{inspected}");
    }

    for (file, text) in [
        ("app.elf", "image      4 bytes in 1 pieces\n  format   elf"),
        ("slot.bin", "mcuboot  1.2.3+4 at 0x00000000"),
        ("plain.dfu", "says     for USB 1209:df11"),
        ("c3.bin", "says     for ESP32-C3"),
        ("lamp.hex", "piece    0x10001010..0x10001014"),
    ] {
        let shown = desk.says(&format!("inspect {file}"));
        assert!(shown.contains(text), "{file}: {shown}");
    }

    for (image, words) in [
        ("x=c3.elf", "the file is for RISC-V, the recipe for nRF52832_xxAA of nrf52"),
        ("x=c3.bin@0x70000", "the file is for ESP32-C3"),
        ("x=slot.bin", "slot.bin: recognising an image"),
        ("x=app.elf@0", "leave @ADDRESS out or add format=raw"),
        ("x=app.elf,format=uf2", "not whole blocks of 512"),
        ("x=app.elf,format=exe", "expected intel-hex, srec"),
    ] {
        let complaint = desk.refuses(&format!("{PACK} --image {image} --key lamp.key --out b"));
        assert!(complaint.contains(words), "{image}: {complaint}");
    }
}

#[test]
fn a_product_is_added_and_a_release_taken_back() {
    let desk = Desk::new();
    desk.thin();
    desk.says("keygen --out radio.key");
    let added = desk
        .says("product add --repo repo --product radio=radio.key.pub --targets-key targets.key");
    assert!(added.contains("product demo-lamp (1 of 1 keys)"), "{added}");
    let radio = PACK.replace("demo-lamp", "radio");
    desk.says(&format!("{radio} --key radio.key --out radio"));
    let verify = format!("verify radio --root-sha256 {}", desk.root_sha256());
    desk.says(&verify);
    desk.says("withdraw --repo repo --product radio --version 1.0.0 --key radio.key");
    let document = fs::read(desk.path().join("repo/metadata/radio.json")).unwrap();
    desk.put("radio/metadata/radio.json", &document);
    assert!(desk.refuses(&verify).contains("withdrawn"));
}

#[test]
fn a_spoilt_bundle_is_not_verified() {
    let desk = Desk::new();
    desk.thin();
    desk.says(&format!("{PACK} --key lamp.key --out bundle"));
    let verify = format!("verify bundle --root-sha256 {}", desk.root_sha256());
    let manifest = fs::read(desk.path().join("bundle/manifest.json")).unwrap();
    let mut spoilt = manifest.clone();
    let at = spoilt.iter().position(|&byte| byte == b'd').unwrap();
    spoilt[at] = b'e';
    desk.put("bundle/manifest.json", &spoilt);
    desk.refuses(&verify);
    desk.put("bundle/manifest.json", &manifest);
    desk.says(&verify);
    let other = Digest::of(b"another root");
    assert!(desk.refuses(&format!("verify bundle --root-sha256 {other}")).contains("is missing"));
}

#[test]
fn a_unit_with_two_chips_is_packed_in_order_and_looked_at() {
    let desk = Desk::new();
    desk.thin();
    desk.put("unit.toml", crate::chips::LAMP_WITH_RADIO.as_bytes());
    desk.put("app.bin", &[7; 16]);
    let pack = "pack --repo repo --recipe unit.toml --product demo-lamp --version 1.0.0 \
                --hardware-revision A --key lamp.key";
    let summary = desk.says(&format!(
        "{pack} --image main/app=app.bin@0x08000000 --image radio/net=lamp.hex --out bundle"
    ));
    let shown = desk.says("inspect bundle");
    for text in [&summary, &shown] {
        let radio = text.find("chip       radio, 1 of 2: nRF52832_xxAA (family nrf52)").unwrap();
        let main = text.find("chip       main, 2 of 2: STM32F405RGTx (family stm32f4)").unwrap();
        assert!(radio < main, "{text}");
    }
    let homeless = desk.refuses(&format!("{pack} --image app=app.bin@0 --out b"));
    assert!(homeless.contains("several chips, and the image names none"), "{homeless}");
    let stray = desk.refuses(&format!("{pack} --image modem/app=app.bin@0 --out b"));
    assert!(stray.contains("the recipe has no chip called modem"), "{stray}");
}
