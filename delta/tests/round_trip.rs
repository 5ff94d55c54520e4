//! What was made comes back, in any chunking and any page size; what was tampered with does not.

mod images;

use delta::apply::{Apply, ApplyError, Flash, FlashFault, InMemory, Room, Workspace, apply};
use delta::make::{Wish, make, spent_bits};
use delta::{Body, Header, IMAGE_BYTES_MAX, Isa};
use images::{Dice, edited, firmware};

fn check(old: &[u8], new: &[u8]) -> Vec<u8> {
    let made = make(old, new, &Wish::default(), &mut |_, _| {}).expect("short enough");
    assert_eq!(apply(old, &made.patch).as_deref(), Ok(new));
    assert_eq!(spent_bits(old, &made.patch), Ok(made.spent_bits), "the reader pays what was paid");
    made.patch
}

#[test]
fn edges_come_back() {
    let mut dice = Dice::new(1);
    let random = dice.bytes(3000, 256);
    for (old, new) in [
        (&[][..], &[][..]),
        (b"", b"x"),
        (b"x", b""),
        (b"x", b"x"),
        (b"x", b"y"),
        (&random, &random),
        (&random, &random[..1500]),
        (&random[..1500], &random),
        (&[0xFF; 5000], &[0; 5001]),
    ] {
        let patch = check(old, new);
        assert!(patch.len() <= new.len() + 48, "{} → {} bytes", old.len(), new.len());
    }
    let reversed: Vec<u8> = random.iter().rev().copied().collect();
    check(&random, &reversed);
    let swapped: Vec<u8> = random.chunks(4).flat_map(|w| w.iter().rev().copied()).collect();
    check(&random, &swapped);
}

#[test]
fn random_edits_come_back_with_every_instruction_set() {
    for seed in 0..15 {
        println!("seed {seed}");
        let mut dice = Dice::new(seed);
        let len = dice.roll(6000);
        let old = firmware(&mut dice, len);
        let new = edited(&mut dice, &old);
        for isa in Isa::ALL {
            let made =
                make(&old, &new, &Wish { isa: Some(isa), ..Wish::default() }, &mut |_, _| {})
                    .expect("short");
            assert_eq!(apply(&old, &made.patch).as_deref(), Ok(&new[..]), "{isa:?}");
        }
    }
}

#[test]
fn the_same_images_give_the_same_patch() {
    let mut dice = Dice::new(5);
    let old = firmware(&mut dice, 4000);
    let new = edited(&mut dice, &old);
    assert_eq!(check(&old, &new), check(&old, &new));
}

#[test]
fn any_chunking_and_any_page_gives_the_same_image() {
    let mut dice = Dice::new(9);
    let old = firmware(&mut dice, 5000);
    let new = edited(&mut dice, &old);
    let patch = check(&old, &new);
    // One workspace serves them all.
    let mut work = Workspace::new();
    for (chunk, page) in [(1, 1), (1, 4096), (7, 64), (64, 100), (10_000, 256)] {
        let mut page = vec![0; page];
        let mut flash = InMemory { old: &old, new: Vec::new() };
        let room = Room { old_len: old.len() as u32, new_len_max: new.len() as u32 };
        let mut apply = Apply::new(room, &mut page, &mut work);
        for piece in patch.chunks(chunk) {
            apply.feed(piece, &mut flash).expect("good patch");
        }
        assert_eq!(apply.finish(&mut flash), Ok(new.len() as u32));
        assert_eq!(flash.new, new);
    }
}

#[test]
fn a_patch_cut_short_or_followed_by_more_is_refused() {
    let mut dice = Dice::new(11);
    let old = firmware(&mut dice, 1500);
    let new = edited(&mut dice, &old);
    let patch = check(&old, &new);
    for len in 0..patch.len() {
        assert!(apply(&old, &patch[..len]).is_err(), "{len} bytes");
    }
    for more in [&[0][..], &[0; 9], &[1, 2, 3, 4, 5], &[0xFF; 200]] {
        let longer = [&patch[..], more].concat();
        assert_eq!(apply(&old, &longer), Err(ApplyError::Trailing), "{more:?}");
    }
}

#[test]
fn no_changed_bit_is_ever_accepted() {
    let mut dice = Dice::new(13);
    let old = firmware(&mut dice, 900);
    let new = edited(&mut dice, &old);
    let patch = check(&old, &new);
    for bit in 0..patch.len() * 8 {
        let mut bad = patch.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // A bit of the load address may go unused; then the image is right and may be accepted.
        if let Ok(image) = apply(&old, &bad) {
            assert_eq!(image, new, "bit {bit}");
        }
    }
}

/// How many hostile patches are tried; `DELTA_HOSTILE` asks for more.
fn hostile_seeds() -> u64 {
    std::env::var("DELTA_HOSTILE").ok().and_then(|n| n.parse().ok()).unwrap_or(90)
}

#[test]
fn hostile_bytes_end_in_an_error_not_in_a_panic() {
    let mut accepted = 0;
    for seed in 0..hostile_seeds() {
        let mut dice = Dice::new(seed);
        let old = firmware(&mut dice, 700);
        let new = edited(&mut dice, &old);
        let isa = Isa::ALL[dice.roll(Isa::ALL.len())];
        let made = make(&old, &new, &Wish { isa: Some(isa), ..Wish::default() }, &mut |_, _| {})
            .expect("short");
        let (_, body) = Header::parse(&made.patch).expect("whole");
        for _ in 0..4 {
            let mut bad = made.patch.clone();
            // Sometimes the header too: kind, lengths, load address and count, not the digests.
            for at in [3, 4, 5, 6, 7, body - 1, body - 2] {
                if dice.roll(12) == 0 {
                    bad[at] = dice.roll(256) as u8;
                }
            }
            for _ in 0..dice.roll(20) {
                let at = body + dice.roll(bad.len() - body + 1);
                if let Some(byte) = bad.get_mut(at) {
                    *byte = dice.roll(256) as u8;
                }
            }
            let tail = dice.roll(60);
            bad.extend(dice.bytes(tail, 256));
            if let Ok(image) = apply(&old, &bad) {
                assert_eq!(image, new, "seed {seed}");
                accepted += 1;
            }
        }
    }
    println!("{accepted} were harmless");
}

/// Counts writes; serves an old image.
struct Counting<'a> {
    old: &'a [u8],
    writes: usize,
}

impl Flash for Counting<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        into.copy_from_slice(&self.old[at as usize..at as usize + into.len()]);
        Ok(())
    }

    fn read_new(&mut self, _at: u32, _into: &mut [u8]) -> Result<(), FlashFault> {
        Err(FlashFault)
    }

    fn write_new(&mut self, _at: u32, _bytes: &[u8]) -> Result<(), FlashFault> {
        self.writes += 1;
        Ok(())
    }
}

#[test]
fn a_patch_for_another_image_or_another_device_writes_nothing() {
    let mut dice = Dice::new(17);
    let old = firmware(&mut dice, 2000);
    let new = firmware(&mut dice, 2000);
    let patch = check(&old, &new);
    let mut stale = old.clone();
    stale[1999] ^= 1;
    let mut work = Workspace::new();
    for (image, room, wanted) in [
        (&stale, 2000, ApplyError::OldDigest),
        (&new, 2000, ApplyError::OldDigest),
        (&old, 1999, ApplyError::Room { wanted: 2000, room: 1999 }),
    ] {
        let mut page = [0; 64];
        let mut flash = Counting { old: image, writes: 0 };
        let mut apply = Apply::new(Room { old_len: 2000, new_len_max: room }, &mut page, &mut work);
        assert_eq!(apply.feed(&patch, &mut flash), Err(wanted));
        assert_eq!(apply.finish(&mut flash), Err(wanted), "it says the same again");
        assert_eq!(flash.writes, 0);
    }
    let room = Room { old_len: 1999, new_len_max: 2000 };
    let mut page = [0; 64];
    let mut flash = Counting { old: &old, writes: 0 };
    let refusal = Apply::new(room, &mut page, &mut work).feed(&patch, &mut flash);
    assert_eq!(refusal, Err(ApplyError::OldLength { wanted: 2000, found: 1999 }));
    assert_eq!(flash.writes, 0);
    let mut flash = Counting { old: &old, writes: 0 };
    let refusal = Apply::new(room, &mut [], &mut work).feed(&patch, &mut flash);
    assert_eq!(refusal, Err(ApplyError::NoPage));
}

#[test]
fn random_bytes_are_stored_not_grown() {
    let mut dice = Dice::new(21);
    let new = dice.bytes(4000, 256);
    let made = make(b"", &new, &Wish::default(), &mut |_, _| {}).expect("short");
    assert_eq!(made.header.body, Body::Stored);
    assert!(made.patch.len() <= new.len() + 42);
    assert_eq!(apply(b"", &made.patch).as_deref(), Ok(&new[..]));
}

#[test]
fn the_longest_images_of_the_format_come_back() {
    let mut dice = Dice::new(23);
    let len = IMAGE_BYTES_MAX as usize;
    let mut old = dice.bytes(len, 256);
    // Half of it repeats, as padding and tables do.
    old.copy_within(0..len / 2, len / 2);
    let mut new = old.clone();
    for _ in 0..500 {
        let at = dice.roll(len);
        new[at] ^= 0x20;
    }
    new[3_000_000..12_000_000].rotate_left(1_000_000);
    let wish = Wish { isa: Some(Isa::None), ..Wish::default() };
    let made = make(&old, &new, &wish, &mut |_, _| {}).expect("not too long");
    println!("{} bytes", made.patch.len());
    assert!(made.patch.len() < 10_000, "{} bytes", made.patch.len());
    assert!(apply(&old, &made.patch).as_deref() == Ok(&new[..]));
}

#[test]
fn an_image_beyond_the_format_is_refused_by_the_maker() {
    let long = vec![0; IMAGE_BYTES_MAX as usize + 1];
    assert!(make(b"", &long, &Wish::default(), &mut |_, _| {}).is_err());
}

#[test]
fn the_device_half_fits_in_eight_kilobytes() {
    let bytes = delta::apply::RAM_BYTES;
    println!("{bytes} bytes");
    assert!(bytes <= 8192);
}
