//! FORMAT.md's worked example is what the code does.

use crate::world::*;
use activation::code_for;
use std::fmt::Write as _;

#[test]
fn the_worked_example_of_the_format_page_is_what_the_code_makes() {
    let world = world();
    let mut example = String::new();
    let mut line = |name: &str, value: String| {
        for (at, chunk) in value.as_bytes().chunks(64).enumerate() {
            let name = if at == 0 { name } else { "" };
            writeln!(example, "{name:<13}{}", str::from_utf8(chunk).unwrap()).unwrap();
        }
    };
    line("product", PRODUCT.into());
    line("family", FAMILY.into());
    line("uid", hex::encode(UID));
    line("allotment", hex::encode(ALLOTMENT));
    line("quota", QUOTA.to_string());
    line("index", "7".into());
    line("product key", hex::encode(world.product_key.public()));
    line("station key", hex::encode(public_of(&world.station_key)));
    line("code", code_for(PRODUCT, FAMILY, &UID).to_string());
    line("certificate", hex::encode(world.certificate().as_bytes()));
    line("block", hex::encode(world.block()));

    let page = include_str!("../../FORMAT.md");
    assert!(page.contains(&format!("```text\n{example}```\n")), "FORMAT.md should say:\n{example}");
}
