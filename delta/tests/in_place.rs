//! The new image over the old one, with the power cut anywhere.

#![allow(clippy::print_stdout, reason = "seeds, and how many cuts were tried")]

mod images;
mod nor;

use delta::apply::{Workspace, apply};
use delta::inplace::{Area, CHECKPOINT_BYTES, InPlaceError, State, UNIT, state, wear};
use delta::make::{Made, Pages, Wish, make};
use delta::{Body, Digest, HeaderError, Isa};
use images::{Dice, edited, firmware};
use nor::{CUTS, Chip, Cut};

const PAGE_BYTES: u32 = 256;

/// A patch for updating in place.
fn made(old: &[u8], new: &[u8], isa: Isa, ring_pages: u32) -> Made {
    let in_place = Some(Pages { page_bytes: PAGE_BYTES, ring_pages, spare_pages: 0 });
    let wish = Wish { isa: Some(isa), in_place, ..Wish::default() };
    let made = make(old, new, &wish, &mut |_, _| {}).expect("short");
    assert_eq!(apply(old, &made.patch).as_deref(), Ok(new), "also beside the old image");
    made
}

/// Four pairs: a few edits, code put in at the front, an image that shrank, and one that grew by
/// more than a small ring holds.
fn pairs() -> [(Vec<u8>, Vec<u8>); 4] {
    let mut dice = Dice::new(77);
    let edits = firmware(&mut dice, 1500);
    let grown = firmware(&mut dice, 1400);
    let shrunk = firmware(&mut dice, 1700);
    let mut new = edits.clone();
    for at in [3, 400, 401, 800, 1490] {
        new[at] ^= 0x55;
    }
    let front = firmware(&mut dice, 130);
    let longer = [&grown[..200], &front, &grown[200..]].concat();
    let shorter = [&shrunk[..300], &shrunk[620..1000], &shrunk[1010..]].concat();
    let small = firmware(&mut dice, 1100);
    let large = [&small[..100], &firmware(&mut dice, 760), &small[100..]].concat();
    [(edits, new), (grown, longer), (shrunk, shorter), (small, large)]
}

/// The image's area begins with this image.
fn holds(chip: &Chip, image: &[u8]) -> bool {
    chip.image().starts_with(image)
}

/// Cuts every operation in every way; returns how many cuts were tried.
fn sweep(pair: usize, ring_pages: u32, made_for: u32) -> u64 {
    let (old, new) = &pairs()[pair];
    let made = made(old, new, Isa::Thumb, made_for);
    let mut work = Workspace::new();
    let whole = Chip::new(old, &made.patch, new.len(), PAGE_BYTES, ring_pages);
    let mut chip = whole.clone();
    chip.run(&mut work).expect("an update without a cut");
    assert!(holds(&chip, new));
    let operations = chip.operations;
    let mut tried = 0;
    for operation in 0..operations {
        // Before an operation is after the one before it.
        let cuts = if operation == 0 { &CUTS[..] } else { &[Cut::Middle, Cut::After] };
        for cut in cuts.iter().copied() {
            let mut chip = whole.clone();
            chip.cut_at(operation, cut, operation);
            assert!(chip.run(&mut work).is_err(), "cut {cut:?} at {operation}");
            assert!(chip.was_cut());
            chip.power_up();
            let again = chip.run(&mut work);
            assert_eq!(again, Ok(new.len() as u32), "after cut {cut:?} at {operation}");
            assert!(holds(&chip, new), "after cut {cut:?} at {operation}");
            tried += 1;
        }
    }
    println!("pair {pair}, ring of {ring_pages}: {operations} operations, {tried} cuts");
    assert_eq!(tried, 2 * operations + 1);
    tried
}

/// Every ring that a patch may have been made for, and larger ones.
fn sweep_pair(pair: usize) {
    let mut tried = 0;
    for (ring_pages, made_for) in [(1, 1), (2, 2), (3, 3), (4, 4), (4, 2)] {
        tried += sweep(pair, ring_pages, made_for);
    }
    println!("pair {pair}: {tried} cuts");
    assert!(tried > 14_000, "{tried}");
}

#[test]
fn a_cut_at_any_operation_of_an_edit_is_made_good() {
    sweep_pair(0);
}

#[test]
fn a_cut_at_any_operation_of_a_growing_image_is_made_good() {
    sweep_pair(1);
}

#[test]
fn a_cut_at_any_operation_of_a_shrinking_image_is_made_good() {
    sweep_pair(2);
}

#[test]
fn a_cut_at_any_operation_of_an_image_that_is_moved_up_first_is_made_good() {
    let (old, new) = &pairs()[3];
    let lift = |ring| made(old, new, Isa::Thumb, ring).header.in_place.expect("in place").lift;
    assert_eq!([1, 2].map(lift), [3, 2], "as far as it grew, less what the ring holds");
    let tried = sweep(3, 1, 1);
    println!("{tried} cuts");
    assert!(tried > 4_000, "{tried}");
}

/// A chip whose update was cut, power back on.
fn cut_chip(whole: &Chip, operation: u64, cut: Cut, work: &mut Workspace) -> Chip {
    let mut chip = whole.clone();
    chip.cut_at(operation, cut, operation);
    assert!(chip.run(work).is_err());
    chip.power_up();
    chip
}

#[test]
fn a_cut_at_any_operation_of_a_recovery_is_made_good() {
    let (old, new) = &pairs()[1];
    let made = made(old, new, Isa::Thumb, 2);
    let mut work = Workspace::new();
    let whole = Chip::new(old, &made.patch, new.len(), PAGE_BYTES, 2);
    let operations = {
        let mut chip = whole.clone();
        chip.run(&mut work).expect("an update without a cut");
        chip.operations
    };
    let mut tried = 0;
    // The recovery writes a checkpoint, then a page: whatever it does, it has done by then.
    let recovery = 400;
    for operation in (0..operations).step_by(89) {
        let first = cut_chip(&whole, operation, Cut::Middle, &mut work);
        for second in first.operations..first.operations + recovery {
            let mut chip = first.clone();
            chip.cut_at(second, Cut::Middle, second ^ operation << 20);
            if chip.run(&mut work).is_err() {
                assert!(chip.was_cut(), "cuts at {operation} and {second}");
                chip.power_up();
                let again = chip.run(&mut work);
                assert_eq!(again, Ok(new.len() as u32), "cuts at {operation} and {second}");
                tried += 1;
            }
            assert!(holds(&chip, new), "cuts at {operation} and {second}");
        }
    }
    println!("{tried} cuts during a recovery");
    assert!(tried > 6_000, "{tried}");
}

#[test]
fn cuts_around_the_seals_of_a_checkpoint_never_bring_an_older_one_back() {
    let (old, new) = &pairs()[1];
    let made = made(old, new, Isa::Thumb, 2);
    let mut work = Workspace::new();
    let whole = Chip::new(old, &made.patch, new.len(), PAGE_BYTES, 2);
    let mut chip = whole.clone();
    chip.trace = Some(Vec::new());
    chip.run(&mut work).expect("an update without a cut");
    let slot = chip.geometry.slots_pages / 2 * PAGE_BYTES;
    let seal = |at: u32| at % slot >= CHECKPOINT_BYTES - 2 * UNIT;
    let writes = chip.trace.iter().flatten();
    let seals = writes.filter(|(_, area, at)| *area == Area::Slots && seal(*at));
    let mut tried = 0;
    for (first, ..) in seals.copied() {
        for seed in 0..6 {
            let mut once = whole.clone();
            once.cut_at(first, Cut::Middle, seed);
            assert!(once.run(&mut work).is_err());
            once.power_up();
            // The recovery erases the other slot first, then writes it.
            let begun = once.operations;
            let nearby = (begun..begun + 34).chain(begun + 260..begun + 300);
            for second in nearby.step_by(3) {
                let mut twice = once.clone();
                twice.cut_at(second, Cut::Middle, seed << 32 | second);
                let mut done = twice.run(&mut work);
                for third in 0.. {
                    if done.is_ok() {
                        break;
                    }
                    assert!(third < 20, "cuts at {first} and {second}, seed {seed}: {done:?}");
                    let lasts = 7 * (third * 31 + second + seed) % 300 + 150 * third;
                    twice.cut_at(twice.operations + lasts, Cut::Middle, seed + third);
                    done = twice.run(&mut work);
                    tried += 1;
                }
                assert!(holds(&twice, new), "cuts at {first} and {second}, seed {seed}");
            }
        }
    }
    println!("{tried} cuts");
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn power_that_fails_again_and_again_only_delays_the_update() {
    let mut cuts = 0;
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let (old, new) = &pairs()[dice.roll(4)];
        let ring_pages = 1 + dice.roll(4) as u32;
        let made_for = 1 + dice.roll(ring_pages as usize) as u32;
        let made = made(old, new, Isa::Thumb, made_for);
        let mut work = Workspace::new();
        let mut chip = Chip::new(old, &made.patch, new.len(), PAGE_BYTES, ring_pages);
        let mut starts = 0;
        loop {
            // Mostly long enough for a checkpoint and a page.
            let lasts = dice.roll(900) as u64;
            chip.cut_at(chip.operations + lasts, CUTS[dice.roll(3)], seed << 8 | starts);
            starts += 1;
            let done = chip.run(&mut work);
            if done == Ok(new.len() as u32) {
                break;
            }
            assert!(chip.was_cut(), "seed {seed}: {done:?}");
            assert!(starts < 400, "seed {seed}: no end");
            cuts += 1;
            chip.power_up();
            let now = state(&chip.geometry.clone(), &mut chip).expect("a geometry that fits");
            assert!(now != State::Complete || holds(&chip, new), "seed {seed}: a half image");
        }
        assert!(holds(&chip, new), "seed {seed}");
    }
    println!("{cuts} cuts");
    assert!(cuts > 1_000, "{cuts}");
}

/// An update that must be refused before anything is erased or written.
fn refused(chip: &mut Chip, wanted: Option<InPlaceError>) {
    let mut work = Workspace::new();
    let (before, operations) = (chip.image().to_vec(), chip.operations);
    let refusal = chip.run(&mut work).expect_err("must be refused");
    if let Some(wanted) = wanted {
        assert_eq!(refusal, wanted);
    }
    assert_eq!(chip.operations, operations, "{refusal}: nothing is erased or written");
    assert_eq!(chip.image(), before);
}

#[test]
fn a_damaged_or_shortened_patch_is_refused_before_the_first_erase() {
    let (old, new) = &pairs()[0];
    let patch = made(old, new, Isa::Thumb, 2).patch;
    let mut chip = Chip::new(old, &patch, new.len(), PAGE_BYTES, 2);
    for bit in 0..patch.len() * 8 {
        let mut bad = patch.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        chip.stage(&bad);
        refused(&mut chip, None);
    }
    for len in 0..patch.len() {
        chip.stage(&patch[..len]);
        refused(&mut chip, None);
    }
    for more in [&[0][..], &[1, 2, 3, 4, 5], &[0xFF; 99]] {
        chip.stage(&[&patch, more].concat());
        refused(&mut chip, Some(InPlaceError::Damaged));
    }
}

#[test]
fn a_patch_for_another_image_or_another_device_is_refused_before_the_first_erase() {
    let [(old, new), (other, newer), ..] = &pairs();
    let patch = made(old, new, Isa::Thumb, 2).patch;
    let chip = |image: &[u8], patch: &[u8], ring| Chip::new(image, patch, 1600, PAGE_BYTES, ring);
    // Swapped: another product's. Stale: its old image was replaced long ago.
    refused(&mut chip(other, &patch, 2), Some(InPlaceError::OldDigest));
    let mut stale = old.clone();
    stale[77] ^= 1;
    refused(&mut chip(&stale, &patch, 2), Some(InPlaceError::OldDigest));
    refused(&mut chip(old, &patch, 1), Some(InPlaceError::Ring { wanted: 2, found: 1 }));
    refused(&mut chip(old, &patch, 33), Some(InPlaceError::Ring { wanted: 1, found: 33 }));
    let mut small = chip(old, &patch, 2);
    small.geometry.image_pages = 5;
    refused(&mut small, Some(InPlaceError::Room { wanted: 1500, room: 1280 }));
    let mut few = chip(old, &patch, 2);
    few.geometry.slots_pages -= 1;
    let (wanted, found) = (few.geometry.slots_pages + 1, few.geometry.slots_pages);
    refused(&mut few, Some(InPlaceError::Slots { wanted, found }));
    let mut large = Chip::new(old, &patch, 1600, 512, 2);
    refused(&mut large, Some(InPlaceError::Page { wanted: 256, found: 512 }));
    let beside = make(old, new, &Wish::default(), &mut |_, _| {}).expect("short").patch;
    refused(&mut chip(old, &beside, 2), Some(InPlaceError::NotInPlace));
    let foreign = Some(InPlaceError::Header(HeaderError::Foreign));
    refused(&mut chip(old, b"BSDIFF40 and so on", 2), foreign);
    let newest = made(other, newer, Isa::Thumb, 2).patch;
    refused(&mut chip(old, &newest, 2), Some(InPlaceError::OldDigest));
}

#[test]
fn an_update_goes_on_with_its_own_patch_only() {
    let (old, new) = &pairs()[1];
    let patch = made(old, new, Isa::Thumb, 2).patch;
    let other = made(old, new, Isa::None, 2).patch;
    let mut work = Workspace::new();
    let mut chip = Chip::new(old, &patch, new.len(), PAGE_BYTES, 2);
    let geometry = chip.geometry;
    assert_eq!(state(&geometry, &mut chip), Ok(State::Untouched));
    chip.cut_at(900, Cut::Middle, 5);
    assert!(chip.run(&mut work).is_err());
    chip.power_up();
    assert_eq!(state(&geometry, &mut chip), Ok(State::Begun));
    chip.stage(&other);
    refused(&mut chip, Some(InPlaceError::OtherUpdate));
    chip.stage(&patch);
    assert_eq!(chip.run(&mut work), Ok(new.len() as u32));
    assert_eq!(state(&geometry, &mut chip), Ok(State::Complete));
    // Once more changes nothing; and the way back is an update like any other.
    let operations = chip.operations;
    assert_eq!(chip.run(&mut work), Ok(new.len() as u32));
    assert_eq!(chip.operations, operations);
    chip.stage(&made(new, old, Isa::Thumb, 2).patch);
    assert_eq!(chip.run(&mut work), Ok(old.len() as u32));
    assert!(holds(&chip, old));
}

#[test]
fn a_patch_that_needs_what_is_lost_never_makes_an_image_that_is_accepted() {
    let (old, new) = &pairs()[1];
    // Made for a device with eight pages in its ring, then said to need one.
    let mut patch = made(old, new, Isa::Thumb, 8).patch;
    let (mut header, body_at) = delta::Header::parse(&patch).expect("a header");
    let body = patch.split_off(body_at);
    let in_place = header.in_place.as_mut().expect("in place");
    in_place.reach = 0;
    let whole = |header: &delta::Header| [header.bytes(), body.clone()].concat();
    // The sum is right as well: search for it by asking the device.
    let sum = crc32(&[&whole(&header)[..body_at - 4], &body].concat());
    header.in_place.as_mut().expect("in place").patch_crc = sum;
    let mut chip = Chip::new(old, &whole(&header), new.len(), PAGE_BYTES, 1);
    let mut work = Workspace::new();
    assert_eq!(chip.run(&mut work), Err(InPlaceError::Damaged));
    let geometry = chip.geometry;
    assert_eq!(state(&geometry, &mut chip), Ok(State::Begun));
}

/// CRC-32 (ISO-HDLC), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xEDB8_8320 }
        })
    })
}

#[test]
fn images_of_any_length_come_out_with_every_instruction_set_and_ring() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut dice = Dice::new(seed);
        let len = dice.roll(5000);
        let old = firmware(&mut dice, len);
        let new = if seed % 10 == 9 { dice.bytes(len, 256) } else { edited(&mut dice, &old) };
        let isa = Isa::ALL[dice.roll(Isa::ALL.len())];
        let made_for = 1 + dice.roll(4) as u32;
        let made = made(&old, &new, isa, made_for);
        let ring_pages = made_for + dice.roll(3) as u32;
        let mut chip = Chip::new(&old, &made.patch, new.len(), PAGE_BYTES, ring_pages);
        assert_eq!(chip.run(&mut Workspace::new()), Ok(new.len() as u32), "seed {seed}");
        assert!(holds(&chip, &new), "seed {seed}");
        let in_place = made.header.in_place.expect("in place");
        let most = wear(&made.header, in_place, ring_pages);
        let [image, ring, slots] = chip.most_erases();
        assert!(
            image <= most.image && ring <= most.ring && slots <= most.slots,
            "seed {seed}: {image}, {ring} and {slots} erases, promised {most:?}"
        );
        if seed % 10 == 9 && len > 100 {
            assert_eq!(made.header.body, Body::Stored);
        }
    }
}

#[test]
fn pages_that_do_not_change_are_left_alone() {
    let (old, new) = &pairs()[0];
    let made = made(old, new, Isa::Thumb, 2);
    let mut chip = Chip::new(old, &made.patch, new.len(), PAGE_BYTES, 2);
    chip.run(&mut Workspace::new()).expect("a good patch");
    // Bytes 3, 400, 401, 800 and 1490 differ: four of six pages.
    assert_eq!(chip.image_erases(), [1, 1, 0, 1, 0, 1]);
}

#[test]
fn a_real_update_survives_cuts_at_random() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/corpus/delta/thb2-v18-v19");
    if !folder.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
        println!("skipped: no {}", folder.display());
        return;
    }
    let read = |name: &str| std::fs::read(folder.join(name)).expect("an image");
    let (old, new) = (read("old.bin"), read("new.bin"));
    let in_place = Some(Pages { page_bytes: 4096, ring_pages: 4, spare_pages: 0 });
    let wish = Wish { isa: Some(Isa::Thumb), in_place, ..Wish::default() };
    let made = make(&old, &new, &wish, &mut |_, _| {}).expect("short");
    let mut dice = Dice::new(5);
    for start in 0..12 {
        let mut work = Workspace::new();
        let mut chip = Chip::new(&old, &made.patch, new.len(), 4096, 4);
        let mut cuts = 0;
        while {
            let lasts = 500 + dice.roll(1500) as u64;
            chip.cut_at(chip.operations + lasts, CUTS[dice.roll(3)], start << 8 | cuts);
            chip.run(&mut work).is_err()
        } {
            assert!(chip.was_cut() && cuts < 200, "after {cuts} cuts");
            cuts += 1;
            chip.power_up();
        }
        assert_eq!(Digest::of(&chip.image()[..new.len()]), Digest::of(&new));
    }
}
