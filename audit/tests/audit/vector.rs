//! FORMAT.md's worked example is what the code does.

use crate::world::*;
use audit::{Checkpoint, Tree, leaf_hash, write_export, write_partial_export};
use std::fmt::Write as _;

#[test]
fn the_worked_example_of_the_format_page_is_what_the_code_makes() {
    let records = records(3);
    let signed = Checkpoint::of(origin(), &frontier_of(&records)).sign(&station_key());
    let cosigned = signed.cosign(HUB, &hub_key(), 1_795_176_060).unwrap();
    let mut export = Vec::new();
    write_export(&mut export, &cosigned, &records).unwrap();

    let mut example = String::new();
    let mut part = |name: &str, text: &str| {
        writeln!(example, "{name}:\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
    };
    part("Journal key, cosigner key", &{
        let keys = [station_key(), hub_key()].map(|key| hex::encode(public_of(&key)));
        keys.join("\n")
    });
    let texts: Vec<_> = records.iter().map(|record| str::from_utf8(record).unwrap()).collect();
    part("Records", &texts.join("\n"));
    let leaves: Vec<_> = records.iter().map(|record| hex::encode(leaf_hash(record))).collect();
    part("Their leaf hashes", &leaves.join("\n"));
    part("Root", &hex::encode(frontier_of(&records).root()));
    part("Cosigned checkpoint", cosigned.as_str());
    part("Complete export", str::from_utf8(&export).unwrap());

    let mut tree = Tree::new();
    for record in &records {
        tree.append(record);
    }
    let mut export = Vec::new();
    write_partial_export(&mut export, &cosigned, &tree, 3, [(1, &records[1])]).unwrap();
    part(
        "Partial export of the second record, with its inclusion proof",
        str::from_utf8(&export).unwrap(),
    );

    let page = include_str!("../../FORMAT.md");
    assert!(page.contains(&example), "FORMAT.md should say:\n{example}");
}
