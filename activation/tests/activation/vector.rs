//! FORMAT.md's worked examples are what the code does.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::world::*;
use activation::code_for;
use std::fmt::Write as _;

/// One example as the page writes it.
struct Example(String);

impl Example {
    fn new() -> Self {
        Self(String::new())
    }

    fn line(mut self, name: &str, value: &str) -> Self {
        for (at, chunk) in value.as_bytes().chunks(64).enumerate() {
            let name = if at == 0 { name } else { "" };
            writeln!(self.0, "{name:<13}{}", str::from_utf8(chunk).unwrap()).unwrap();
        }
        self
    }

    fn bytes(self, name: &str, value: &[u8]) -> Self {
        self.line(name, &hex::encode(value))
    }

    #[track_caller]
    fn stands_on_the_page(self) {
        let page = include_str!("../../FORMAT.md");
        let example = format!("```text\n{}```\n", self.0);
        assert!(page.contains(&example), "FORMAT.md should say:\n{example}");
    }
}

#[test]
fn the_worked_example_of_the_format_page_is_what_the_code_makes() {
    let world = world();
    Example::new()
        .line("product", PRODUCT)
        .line("family", FAMILY)
        .bytes("uid", &UID)
        .bytes("allotment", &ALLOTMENT)
        .line("quota", &QUOTA.to_string())
        .line("index", "7")
        .bytes("product key", &world.product_key.public())
        .bytes("station key", &public_of(&world.station_key))
        .line("code", &code_for(PRODUCT, FAMILY, &UID).to_string())
        .bytes("certificate", world.certificate().as_bytes())
        .bytes("block", &world.block())
        .stands_on_the_page();
}

#[test]
fn the_worked_examples_of_the_other_modes_are_what_the_code_makes() {
    let world = world();
    Example::new().bytes("stored", &world.stored_block()).stands_on_the_page();
    Example::new()
        .bytes("mac secret", mac_secret().as_bytes())
        .bytes("mac block", &mac_block())
        .stands_on_the_page();
    let sealed = serde_json::to_value(sealed(7)).unwrap();
    let clear = hex::decode(sealed["sealed"].as_str().unwrap()).unwrap();
    Example::new()
        .line("row", ROW)
        .bytes("credential", &clear[..32])
        .bytes("secrets", &clear[32..])
        .bytes("pool block", &world.pool_block())
        .bytes("receipt", &world.receipt())
        .stands_on_the_page();
}

#[test]
fn the_schema_on_the_format_page_is_the_one_of_the_worked_example() {
    let page = include_str!("../../FORMAT.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (json, _) = rest.split_once("```").unwrap();
    assert_eq!(serde_json::from_str::<activation::pool::Schema>(json).unwrap(), schema());
}
