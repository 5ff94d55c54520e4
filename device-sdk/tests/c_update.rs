//! Updates from C: an updater that gcc compiles against the header and links with the static library,
//! beside the old image in any chunking, and over it with flash that fails anywhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod staticlib;

use delta::Isa;
use delta::make::{Pages, Wish, make};
use staticlib::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Thumb-like code with a function put in: every call behind it moves.
fn images() -> (Vec<u8>, Vec<u8>) {
    let mut seed = 7_u32;
    let mut half = || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let top = if seed & 0x70_0000 == 0 { 0xF000 } else { 0x4000 };
        ((top | (seed >> 16) & 0x7FF) as u16).to_le_bytes()
    };
    let old: Vec<u8> = (0..3000).flat_map(|_| half()).collect();
    let mut new = old.clone();
    let fresh: Vec<u8> = (0..100).flat_map(|_| half()).collect();
    new.splice(1000..1000, fresh);
    new[4000] ^= 0x11;
    (old, new)
}

struct Folder {
    program: PathBuf,
    folder: PathBuf,
}

impl Folder {
    fn new(name: &str, old: &[u8], patch: &[u8]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let written = Self { program: staticlib::program("update"), folder };
        written.write("old", old);
        written.write("patch", patch);
        written
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.folder.join(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// What the updater prints, and the image it leaves.
    fn run(&self, way: &str, knob: u64) -> (String, Vec<u8>) {
        let path = |name: &str| self.folder.join(name);
        let mut update = Command::new(&self.program);
        update.arg(way).arg(path("old")).arg(path("patch")).arg(path("new"));
        let said = run(update.arg(knob.to_string()));
        (said, std::fs::read(path("new")).unwrap())
    }
}

#[test]
fn a_c_program_applies_a_patch_in_any_chunking_and_refuses_any_other() {
    let (old, new) = images();
    let wish = Wish { isa: Some(Isa::Thumb), ..Wish::default() };
    let patch = make(&old, &new, &wish, &mut |_, _| {}).unwrap().patch;
    let folder = Folder::new("beside", &old, &patch);
    for chunk in [1, 7, 64, 100_000] {
        let (said, image) = folder.run("beside", chunk);
        assert_eq!((said, image), (format!("0 {}\n", new.len()), new.clone()), "by {chunk}");
    }
    let check = |old: &[u8], patch: &[u8], says: &str| {
        folder.write("old", old);
        folder.write("patch", patch);
        let (said, image) = folder.run("beside", 10);
        assert_eq!(said, format!("{says} 0\n"));
        assert_ne!(image, new);
    };
    let mut stale = old.clone();
    stale[5999] ^= 1;
    check(&stale, &patch, "25");
    check(&old[1..], &patch, "24");
    check(&old, &patch[..patch.len() - 9], "27");
    check(&old, &[&patch[..], &[1; 5]].concat(), "28");
    check(&old, b"BSDIFF40", "20");
    check(&old, b"", "27");
    check(&old, &[b"FD\x02", &patch[3..]].concat(), "21");
    let mut damaged = patch.clone();
    damaged[60] ^= 0x40;
    folder.write("patch", &damaged);
    let (said, _) = folder.run("beside", 10);
    assert!(["27 0\n", "28 0\n", "29 0\n", "30 0\n"].contains(&said.as_str()), "{said}");
}

#[test]
fn a_c_program_updates_in_place_and_goes_on_after_flash_failed() {
    let (old, new) = images();
    let pages = Pages { page_bytes: 256, ring_pages: 4, spare_pages: 0 };
    let wish = Wish { isa: Some(Isa::Thumb), in_place: Some(pages), ..Wish::default() };
    let patch = make(&old, &new, &wish, &mut |_, _| {}).unwrap().patch;
    let folder = Folder::new("over", &old, &patch);
    let whole = |state: u8| format!("0 {} 0 {state} 2\n", new.len());
    assert_eq!(folder.run("over", 0), (whole(0), new.clone()));
    let mut between = [false; 2];
    for cut in [1, 2, 40, 300, 301, 333, 700, 1200, 1500] {
        let (said, image) = folder.run("over", cut);
        assert!(said == whole(0) || said == whole(1), "cut {cut}: {said}");
        between[usize::from(said == whole(1))] = true;
        assert_eq!(image, new, "cut {cut}");
    }
    assert_eq!(between, [true; 2], "cut before and after the first checkpoint");
    let mut damaged = patch.clone();
    damaged[60] ^= 0x40;
    folder.write("patch", &damaged);
    assert_eq!(folder.run("over", 0), ("29 0 0 0 0\n".to_owned(), old));
}

#[test]
fn the_header_says_the_numbers_of_the_code() {
    use delta::HeaderError;
    use delta::apply::{ApplyError, FlashFault};
    use delta::inplace::InPlaceError;
    use device_sdk::c_update::{DELTA_BYTES, apply_number, in_place_number};

    let header = include_str!("../include/flashline_update.h");
    let check = |name: &str, number: i32| {
        let line = format!("#define FLASHLINE_{name} {number}");
        let found = header.lines().any(|l| l == line || l.starts_with(&format!("{line} ")));
        assert!(found, "{line}");
    };
    check("DELTA_BYTES", DELTA_BYTES as i32);
    for (name, error) in [
        ("FOREIGN", ApplyError::Header(HeaderError::Foreign)),
        ("VERSION", ApplyError::Header(HeaderError::Version(2))),
        ("ISA", ApplyError::Header(HeaderError::Isa(9))),
        ("LIMITS", ApplyError::Header(HeaderError::Limits)),
        ("OLD_LENGTH", ApplyError::OldLength { wanted: 1, found: 2 }),
        ("OLD_DIGEST", ApplyError::OldDigest),
        ("ROOM", ApplyError::Room { wanted: 2, room: 1 }),
        ("TRUNCATED", ApplyError::Truncated),
        ("TRAILING", ApplyError::Trailing),
        ("DAMAGED", ApplyError::Damaged),
        ("NEW_DIGEST", ApplyError::NewDigest),
        ("NO_PAGE", ApplyError::NoPage),
        ("FLASH", ApplyError::Flash(FlashFault)),
    ] {
        check(&format!("UPDATE_{name}"), apply_number(error));
    }
    for (name, error) in [
        ("FOREIGN", InPlaceError::Header(HeaderError::Foreign)),
        ("OLD_DIGEST", InPlaceError::OldDigest),
        ("ROOM", InPlaceError::Room { wanted: 2, room: 1 }),
        ("DAMAGED", InPlaceError::Damaged),
        ("NEW_DIGEST", InPlaceError::NewDigest),
        ("FLASH", InPlaceError::Flash(FlashFault)),
        ("NOT_IN_PLACE", InPlaceError::NotInPlace),
        ("PAGE", InPlaceError::Page { wanted: 1, found: 2 }),
        ("RING", InPlaceError::Ring { wanted: 2, found: 1 }),
        ("SLOTS", InPlaceError::Slots { wanted: 2, found: 1 }),
        ("OTHER", InPlaceError::OtherUpdate),
    ] {
        check(&format!("UPDATE_{name}"), in_place_number(error));
    }
}
