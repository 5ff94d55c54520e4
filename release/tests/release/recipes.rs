//! A recipe or manifest that breaks a rule is refused by that rule.

use proptest::prelude::*;
use release::limits::CHUNK_BYTES_MAX;
use release::recipe::{Exclude, Memory};
use release::{Digest, DocumentError, Manifest, Recipe, Summary};

use crate::workbench::*;

fn check_recipe(what: &str, spoil: impl FnOnce(&mut Recipe)) {
    let mut manifest = packed().manifest;
    assert!(manifest.recipe.check().is_ok());
    spoil(&mut manifest.recipe);
    let refused = manifest.check();
    assert!(matches!(refused, Err(DocumentError::Rule { .. })), "{what}: {refused:?}");
}

fn check_manifest(what: &str, spoil: impl FnOnce(&mut Manifest)) {
    let mut manifest = packed().manifest;
    spoil(&mut manifest);
    let refused = Manifest::from_bytes(&manifest.to_bytes().unwrap());
    assert!(matches!(refused, Err(DocumentError::Rule { .. })), "{what}: {refused:?}");
}

#[test]
fn a_recipe_keeps_its_rules() {
    check_recipe("no channel", |r| r.channels.clear());
    check_recipe("a channel twice", |r| r.channels.push(CHANNEL));
    check_recipe("no memory", |r| r.chips[0].memory.clear());
    check_recipe("a memory without bytes", |r| r.chips[0].memory[0].bytes = 0);
    check_recipe("a memory beyond all addresses", |r| r.chips[0].memory[1].bytes = u64::MAX);
    check_recipe("overlapping memories", |r| {
        r.chips[0].memory.insert(1, Memory { name: name("x"), start: 0x7_FFFF, bytes: 2 });
    });
    check_recipe("an empty excluded range", |r| {
        r.chips[0].exclude[0].end = r.chips[0].exclude[0].start
    });
    check_recipe("overlapping excluded ranges", |r| {
        r.chips[0].exclude.push(Exclude { start: 0x1000_1FFF, end: 0x1000_3000 });
    });
    check_recipe("a self-test without text", |r| {
        r.chips[0].self_test.as_mut().unwrap().expect.clear()
    });
    check_recipe("a self-test over two lines", |r| {
        r.chips[0].self_test.as_mut().unwrap().expect = "a\nb".into();
    });
    check_recipe("a self-test without time", |r| {
        r.chips[0].self_test.as_mut().unwrap().within_ms = 0
    });
    check_recipe("activation outside the chip", |r| {
        r.chips[0].activation.as_mut().unwrap().address = 0x2000_0000;
    });
    check_recipe("activation without keys", |r| {
        r.chips[0].activation.as_mut().unwrap().product_keys.clear();
    });
    check_recipe("activation with the same key twice", |r| {
        let keys = &mut r.chips[0].activation.as_mut().unwrap().product_keys;
        keys.push(keys[0]);
    });
}

#[test]
fn a_manifest_keeps_its_rules() {
    check_manifest("a document's name as product", |m| m.product = name("targets"));
    check_manifest("no hardware revision", |m| m.hardware_revisions.clear());
    check_manifest("a hardware revision twice", |m| m.hardware_revisions.push(label("A")));
    check_manifest("packed before 1970", |m| m.packed_ms = -1);
    check_manifest("chunks of no size", |m| m.chunk_bytes = 0);
    check_manifest("chunks too large", |m| m.chunk_bytes = CHUNK_BYTES_MAX + 1);
    check_manifest("no image", |m| m.images.clear());
    check_manifest("two images of one name", |m| m.images.push(m.images[0].clone()));
    check_manifest("two images over each other", |m| {
        let mut second = m.images[0].clone();
        second.name = name("second");
        m.images.push(second);
        for sealed in &mut m.sealed {
            let mut image = sealed.images[0].clone();
            image.name = name("second");
            sealed.images.push(image);
        }
    });
    check_manifest("bytes that do not add up", |m| m.images[0].bytes += 1);
    check_manifest("a piece without bytes", |m| m.images[0].segments[0].bytes = 0);
    check_manifest("a piece outside the chip", |m| m.images[0].segments[0].address = 0x7_FFFF);
    check_manifest("a piece at the end of all addresses", |m| {
        m.images[0].segments[0].address = u64::MAX - 1;
    });
    check_manifest("a piece in an excluded range", |m| {
        m.images[0].segments[0].address = 0x1000_1000;
    });
    check_manifest("an image over the activation block", |m| {
        m.images[0].segments[0].address = 0x7_EFFF;
    });
    check_manifest("an excluded range not accounted for", |m| m.images[0].left_out.clear());
    check_manifest("a channel without a sealed form", |m| {
        m.sealed.pop();
    });
    check_manifest("a chunk too few", |m| {
        m.sealed[0].images[0].chunks.pop();
    });
    check_manifest("a sealed form of another image", |m| {
        m.sealed[0].images[0].name = name("other");
    });
}

#[test]
fn what_is_left_out_stands_in_the_summary() {
    let mut pack = pack_of("demo-lamp", "1.0.0", firmware(32));
    pack.recipe.chips[0].exclude.insert(0, Exclude { start: 8, end: 16 });
    let packed = pack.pack(&mut Numbered::default()).unwrap();
    let text = Summary::of(&packed.manifest, Digest::of(&packed.manifest_bytes)).to_string();
    for line in [
        "EXCLUDED 0x00000008..0x00000010 8 bytes NOT flashed",
        "EXCLUDED 0x10001000..0x10002000 0 bytes NOT flashed",
        "flash    0x00000000..0x00000008 flash sha256 ",
        "flash    0x00000010..0x00000020 flash sha256 ",
        "must say \"FLASHLINE demo-lamp 1.0.0 activation=valid\" within 5000 ms",
        "chip       nRF52832_xxAA (family nrf52)",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn a_recipe_file_with_an_unknown_word_is_refused() {
    let text = toml::to_string(&recipe()).unwrap();
    assert!(toml::from_str::<Recipe>(&text).is_ok());
    assert!(toml::from_str::<Recipe>(&format!("protekt = true\n{text}")).is_err());
    assert!(toml::from_str::<Recipe>(&text.replace("production", "Production")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..3000, at in 0usize..3000, byte: u8) {
        let good = packed_manifest();
        let mut spoilt = good[..cut.min(good.len())].to_vec();
        if let Some(there) = spoilt.get_mut(at) {
            *there = byte;
        }
        for bytes in [&bytes, &spoilt] {
            let _ = Manifest::from_bytes(bytes);
            let _ = release::lease::show_lease(bytes);
            let _ = release::HubKeys::from_bytes(bytes);
            let _ = release::HubWrap::from_bytes(bytes);
            let _ = release::LeaseKeys::from_bytes(bytes);
            let _ = release::tuf::show_document(bytes);
            let _ = release::PinnedRoot::from_pin(bytes, &Digest::of(bytes));
        }
    }
}
