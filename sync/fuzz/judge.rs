//! What the readers of a stick must keep, whatever the bytes: shared by the fuzz targets and by
//! their replay in the room's tests.

use sync::stick::{
    Address, CHUNKS_MAX, LETTERS_MAX, Letter, PARCEL_BYTES_MAX, PLAIN_BYTES_MAX, ParcelList, Way,
};

pub(crate) const TENANT: &str = "acme";
pub(crate) const STATION: &str = "l1-s1";
pub(crate) const NUMBER: u64 = 1_764_000_000_000;
/// Seed of the sender's Ed25519 key, for whoever makes seeds.
#[allow(dead_code, reason = "the fuzz targets make none")]
pub(crate) const SENDER_SEED: [u8; 32] = [3; 32];
/// Its public half.
const SENDER: [u8; 32] = [
    0xed, 0x49, 0x28, 0xc6, 0x28, 0xd1, 0xc2, 0xc6, 0xea, 0xe9, 0x03, 0x38, 0x90, 0x59, 0x95, 0x61,
    0x29, 0x59, 0x27, 0x3a, 0x5c, 0x63, 0xf9, 0x36, 0x36, 0xc1, 0x46, 0x14, 0xac, 0x87, 0x37, 0xd1,
];
const RECEIVER: [u8; 32] = [2; 32];
/// Its public half.
#[allow(dead_code, reason = "the fuzz targets seal nothing")]
pub(crate) const RECEIVER_PUBLIC: [u8; 32] = [
    0xce, 0x8d, 0x3a, 0xd1, 0xcc, 0xb6, 0x33, 0xec, 0x7b, 0x70, 0xc1, 0x78, 0x14, 0xa5, 0xc7, 0x6e,
    0xcd, 0x02, 0x96, 0x85, 0x05, 0x0d, 0x34, 0x47, 0x45, 0xba, 0x05, 0x87, 0x0e, 0x58, 0x7d, 0x59,
];

/// Whether a name leads to something inside the folder it is read in.
fn stays_inside(name: &str) -> bool {
    name.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Reads bytes as a fuzz target's name says; whether they were taken. Panics when a promise is
/// broken.
pub(crate) fn judge(target: &str, file: &[u8]) -> bool {
    let address = Address::new(TENANT, STATION, Way::Up).expect("an address");
    let taken = match target {
        "letter" => Letter::read(file).and_then(|letter| {
            assert!(letter.name().len() <= 200 && stays_inside(letter.name()));
            let plain = letter.open(&address, NUMBER, &SENDER, &RECEIVER)?;
            assert!(plain.len() <= PLAIN_BYTES_MAX);
            Ok(())
        }),
        "list" => ParcelList::read(file, &address).and_then(|list| {
            assert!(list.letters.len() <= LETTERS_MAX && list.chunks.len() <= CHUNKS_MAX);
            let all = list.letters.iter().map(|letter| letter.bytes).sum::<u64>();
            assert!(all <= PARCEL_BYTES_MAX);
            let named = list.letters.iter().chain(&list.chunks);
            assert!(named.into_iter().all(|file| stays_inside(&file.name)));
            ParcelList::prove(file, &SENDER)
        }),
        other => panic!("no such target: {other}"),
    };
    if let Err(error) = &taken {
        let words = error.to_string();
        assert!(!words.is_empty() && words.len() < 400 && !words.chars().any(char::is_control));
    }
    taken.is_ok()
}
