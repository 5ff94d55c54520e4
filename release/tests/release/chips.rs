//! A unit with several chips: one order, each byte on its own chip, and every other way refused.

use release::recipe::{OrderError, Through};
use release::{
    Channel, Digest, DocumentError, ImageFile, ImageFormat, Manifest, Pack, PackError, Recipe,
    Summary,
};
use zeroize::Zeroizing;

use crate::workbench::*;

/// A lamp with a radio that must be flashed first: listed last, so that packing has to sort.
pub(crate) const LAMP_WITH_RADIO: &str = r#"
channels = ["production"]

[[chips]]
name = "main"
after = ["radio"]
family = "stm32f4"
chip = "STM32F405RGTx"
protect = true

[chips.activation]
address = 0x080E0000
mode = "ed25519"
product_keys = ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]

[[chips]]
name = "radio"
family = "nrf52"
chip = "nRF52832_xxAA"
through = "probe"
exclude = [{ start = 0x10001000, end = 0x10002000 }]

[chips.self_test]
via = "rtt"
expect = "{product} radio {version}"
within_ms = 2000
"#;

fn image(chip: Option<&str>, called: &str, address: u64, bytes: usize) -> ImageFile {
    ImageFile {
        name: name(called),
        chip: chip.map(name),
        format: ImageFormat::Raw { address },
        file: Zeroizing::new(firmware(bytes)),
    }
}

pub(crate) fn lamp_with_radio() -> Pack {
    let mut pack = pack_of("demo-lamp", "1.0.0", Vec::new());
    pack.recipe = toml::from_str(LAMP_WITH_RADIO).unwrap();
    pack.images = vec![
        image(Some("main"), "app", 0x0800_0000, 70),
        image(Some("radio"), "net", 0x0, 20),
        image(Some("main"), "config", 0x080C_0000, 8),
    ];
    pack
}

fn refused(change: impl FnOnce(&mut Pack)) -> PackError {
    let mut pack = lamp_with_radio();
    change(&mut pack);
    match pack.pack(&mut Numbered::default()) {
        Ok(_) => panic!("was packed"),
        Err(error) => error,
    }
}

#[test]
fn chips_are_put_in_order_and_every_image_goes_to_its_own() {
    let packed = lamp_with_radio().pack(&mut Numbered::default()).unwrap();
    let manifest = Manifest::from_bytes(&packed.manifest_bytes).unwrap();
    assert_eq!((manifest.v, &manifest), (2, &packed.manifest));
    let recipe = &manifest.recipe;
    let names: Vec<&str> = recipe.chips.iter().map(|chip| chip.name.as_str()).collect();
    assert_eq!(names, ["radio", "main"]);
    assert_eq!(recipe.identity(), 1, "the activated chip");
    assert_eq!(recipe.chips[0].through, Some(Through::Probe));
    assert_eq!(recipe.chips[0].memory.len(), 2, "filled from the chip table");
    let test = recipe.chips[0].self_test.as_ref().unwrap();
    assert_eq!(test.expect, "demo-lamp radio 1.0.0");
    let placed: Vec<(&str, Option<usize>)> = manifest
        .images
        .iter()
        .map(|image| (image.name.as_str(), manifest.place_of(image)))
        .collect();
    assert_eq!(placed, [("net", Some(0)), ("app", Some(1)), ("config", Some(1))]);
    // The nRF52's address 0 and the STM32's are two places.
    let release = Shelf::holding(&packed).flash().unwrap();
    let opened: Vec<(&str, usize)> = release
        .images()
        .iter()
        .map(|image| (image.name.as_str(), image.segments[0].bytes.len()))
        .collect();
    assert_eq!(opened, [("net", 20), ("app", 70), ("config", 8)]);
}

#[test]
fn the_summary_shows_every_chip_in_its_order() {
    let packed = lamp_with_radio().pack(&mut Numbered::default()).unwrap();
    let text = Summary::of(&packed.manifest, Digest::of(&packed.manifest_bytes)).to_string();
    let mut rest = text.as_str();
    for line in [
        "chip       radio, 1 of 2: nRF52832_xxAA (family nrf52)\n",
        "through    probe only\n",
        "image      net (20 bytes)\n",
        "  EXCLUDED 0x10001000..0x10002000 0 bytes NOT flashed\n",
        "self-test  Rtt must say \"demo-lamp radio 1.0.0\" within 2000 ms\n",
        "activation none\n",
        "protect    no\n",
        "chip       main, 2 of 2: STM32F405RGTx (family stm32f4)\n",
        "  after    radio\n",
        "  identity of the unit\n",
        "memory     0x08000000..0x08100000 flash\n",
        "image      app (70 bytes)\n",
        "image      config (8 bytes)\n",
        "activation ed25519 block at 0x080e0000\n",
        "protect    locks the chip\n",
    ] {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is not here in\n{text}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn chips_that_cannot_be_put_in_one_order_are_named() {
    let wait = |recipe: &mut Recipe, chip: usize, after: &str| {
        recipe.chips[chip].after = vec![name(after)];
    };
    let order = |change: &dyn Fn(&mut Recipe)| {
        let refused = refused(|pack| change(&mut pack.recipe));
        let PackError::Order(error) = refused else { panic!("{refused:?}") };
        error
    };
    let cycle = order(&|recipe| wait(recipe, 1, "main"));
    assert_eq!(cycle.to_string(), "ordering the chips: main, radio wait for each other");
    let itself = order(&|recipe| wait(recipe, 1, "radio"));
    assert!(matches!(itself, OrderError::Cycle { chips } if chips.len() == 2));
    let unknown = order(&|recipe| wait(recipe, 0, "modem"));
    let words = "ordering the chips: main comes after modem, which is not in the recipe";
    assert_eq!(unknown.to_string(), words);
    let twice = order(&|recipe| recipe.chips[1].name = name("main"));
    assert_eq!(twice, OrderError::Duplicate { name: name("main") });
}

#[test]
fn of_chips_that_wait_for_nothing_the_one_listed_first_goes_first() {
    let check = |listed: &[(&str, &[&str])], ordered: &[&str]| {
        let mut recipe: Recipe = toml::from_str(LAMP_WITH_RADIO).unwrap();
        let chip = recipe.chips[1].clone();
        recipe.chips = listed
            .iter()
            .map(|(called, after)| {
                let after = after.iter().map(|text| name(text)).collect();
                release::recipe::ChipRecipe { name: name(called), after, ..chip.clone() }
            })
            .collect();
        let recipe = recipe.in_order().unwrap();
        let names: Vec<&str> = recipe.chips.iter().map(|chip| chip.name.as_str()).collect();
        assert_eq!(names, ordered);
    };
    check(&[("a", &[]), ("b", &[]), ("c", &[])], &["a", "b", "c"]);
    check(&[("a", &["c"]), ("b", &[]), ("c", &[])], &["b", "c", "a"]);
    check(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])], &["c", "b", "a"]);
}

#[test]
fn an_image_for_no_chip_and_a_rule_a_chip_breaks_are_refused_by_name() {
    let check = |change: &dyn Fn(&mut Pack), words: &str| {
        let error = refused(change);
        let mut said = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            said = format!("{said}: {source}");
        }
        assert_eq!(said, words);
    };
    check(
        &|pack| pack.images[1].chip = None,
        "packing the image net: the unit has several chips, and the image names none",
    );
    check(
        &|pack| pack.images[1].chip = Some(name("modem")),
        "packing the image net: the recipe has no chip called modem",
    );
    check(
        &|pack| pack.images[2].format = ImageFormat::Raw { address: 0x0800_0040 },
        "packing the images app and config: both claim the address 0x08000040",
    );
    check(
        &|pack| pack.images[1].format = ImageFormat::Raw { address: 0x0800_0000 },
        "packing the image net: placing an image: the chip has no memory at 0x08000000 \
         (the file's offset 0x0)",
    );
    check(
        &|pack| pack.recipe.chips[1].self_test.as_mut().unwrap().within_ms = 0,
        "packing the chip radio: reading a recipe: the self-test must end within 1 ms to 10 \
         minutes",
    );
    check(
        &|pack| pack.recipe.chips[1].activation = pack.recipe.chips[0].activation.clone(),
        "packing the chip radio: reading a recipe: the activation block must lie in a memory of \
         the chip",
    );
    check(
        &|pack| {
            let mut second = pack.recipe.chips[0].activation.clone();
            second.as_mut().unwrap().address = 0x7_F000;
            pack.recipe.chips[1].activation = second;
        },
        "packing the release: reading a recipe: at most one chip of a unit is activated",
    );
    check(
        &|pack| pack.images.retain(|image| image.name.as_str() != "net"),
        "packing the release: reading a manifest: every chip must have an image",
    );
}

#[test]
fn a_manifest_of_several_chips_keeps_its_rules() {
    let good = lamp_with_radio().pack(&mut Numbered::default()).unwrap().manifest;
    let check = |what: &str, spoil: &dyn Fn(&mut Manifest)| {
        let mut manifest = good.clone();
        spoil(&mut manifest);
        let refused = Manifest::from_bytes(&manifest.to_bytes().unwrap());
        assert!(matches!(refused, Err(DocumentError::Rule { .. })), "{what}: {refused:?}");
    };
    check("called version 1", &|m| m.v = 1);
    check("a chip before the one it waits for", &|m| m.recipe.chips.swap(0, 1));
    check("two chips of one name", &|m| m.recipe.chips[1].name = name("radio"));
    check("a chip that waits twice", &|m| m.recipe.chips[1].after.push(name("radio")));
    check("nine chips", &|m| {
        for number in 0..7 {
            let mut more = m.recipe.chips[0].clone();
            more.name = name(&format!("more-{number}"));
            m.recipe.chips.push(more);
        }
    });
    check("an image without a chip", &|m| m.images[0].chip = None);
    check("an image for no chip", &|m| m.images[0].chip = Some(name("modem")));
    check("a chip without an image", &|m| {
        for image in &mut m.images {
            image.chip = Some(name("main"));
        }
    });
    check("an image on another chip's address", &|m| m.images[0].chip = Some(name("main")));
    check("a channel out of order", &|m| m.recipe.channels.insert(0, Channel::Rework));
    let mut one = packed().manifest;
    one.v = 2;
    assert!(matches!(one.check(), Err(DocumentError::Rule { .. })), "one chip in version 2");
}

#[test]
fn a_recipe_has_one_form_and_words_in_the_wrong_one_are_refused() {
    let flat: Recipe = toml::from_str(
        "channels = [\"production\"]\n[[chips]]\nname = \"main\"\nfamily = \"nrf52\"\n\
         chip = \"nRF52832_xxAA\"\n",
    )
    .unwrap();
    assert!(flat.is_flat());
    let written = serde_json::to_value(&flat).unwrap();
    assert!(written.get("chips").is_none() && written["family"] == "nrf52", "{written}");
    let check = |text: &str, words: &str| {
        let refused = toml::from_str::<Recipe>(text).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused:?} does not say {words:?}");
    };
    check("channels = [\"production\"]", "needs `family` and `chip`, or a list of `chips`");
    check(&format!("protect = true\n{LAMP_WITH_RADIO}"), "says everything about a chip in that");
    check(&LAMP_WITH_RADIO.replace("protect", "protekt"), "protekt");
    check(&LAMP_WITH_RADIO.replace("\"probe\"", "\"parrot\""), "parrot");
    // The list form of a flat recipe is not what a manifest may hold.
    let manifest = String::from_utf8(packed().manifest_bytes).unwrap();
    let listed = manifest.replacen(
        "\"recipe\":{\"activation\"",
        "\"recipe\":{\"chips\":[],\"activation\"",
        1,
    );
    assert!(listed != manifest && Manifest::from_bytes(listed.as_bytes()).is_err());
}

#[test]
fn a_manifest_of_a_later_version_is_refused_by_that_version() {
    let later = String::from_utf8(packed().manifest_bytes).unwrap().replace("\"v\":1", "\"v\":3");
    let refused = Manifest::from_bytes(later.as_bytes()).unwrap_err();
    let words = "reading a manifest: format \"flashline-manifest\" version 3 is not known here";
    assert_eq!(refused.to_string(), words);
}
