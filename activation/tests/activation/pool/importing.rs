//! Files: taken whole or not at all, with the line and the column of what is wrong.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::world::*;
use activation::pool::CellFault::{self, *};
use activation::pool::LineFault::{self, *};
use activation::pool::{
    Column, Fingerprint, ImportError, LINE_BYTES_MAX, Limits, Row, Staging, import,
};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// A pool's store: what was kept, with the import that brought it.
#[derive(Default)]
struct Store {
    kept: RefCell<Vec<String>>,
    seen: RefCell<BTreeMap<(String, Fingerprint), String>>,
}

/// One transaction on it; forgotten when dropped.
struct Transaction<'a> {
    store: &'a Store,
    name: &'a str,
    codes: Vec<String>,
    seen: Vec<(String, Fingerprint)>,
    fails_at: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
#[error("the store is full")]
struct Full;

impl Staging for Transaction<'_> {
    type Error = Full;
    type Kept = u32;

    fn seen(&mut self, column: &Column, value: Fingerprint) -> Result<Option<String>, Full> {
        Ok(self.store.seen.borrow().get(&(column.name.clone(), value)).cloned())
    }

    fn stage(&mut self, row: Row) -> Result<(), Full> {
        if self.fails_at == Some(row.line) {
            return Err(Full);
        }
        self.codes.push(row.credential.code().to_owned());
        let names = row.fingerprints.iter().map(|(at, _)| schema().columns()[*at].name.clone());
        self.seen.extend(names.zip(row.fingerprints.iter().map(|(_, value)| *value)));
        Ok(())
    }

    fn keep(self, rows: u32) -> Result<u32, Full> {
        if self.fails_at == Some(0) {
            return Err(Full);
        }
        self.store.kept.borrow_mut().extend(self.codes);
        let named = self.seen.into_iter().map(|key| (key, self.name.to_owned()));
        self.store.seen.borrow_mut().extend(named);
        Ok(rows)
    }
}

impl Store {
    fn import(&self, name: &str, file: impl Read) -> Result<u32, ImportError<Full>> {
        self.import_failing(name, file, None)
    }

    fn import_failing(
        &self,
        name: &str,
        file: impl Read,
        fails_at: Option<u32>,
    ) -> Result<u32, ImportError<Full>> {
        let (codes, seen) = (Vec::new(), Vec::new());
        let transaction = Transaction { store: self, name, codes, seen, fails_at };
        import(file, &schema(), &pepper(), LIMITS, transaction)
    }
}

/// Small ones, so that a test meets them soon.
const LIMITS: Limits = Limits { file_bytes: 1 << 20, rows: 100 };

const HEADING: &str = "ProductKey,DeviceName,DeviceSecret\n";
const GOOD: &str = "a1Zx,lamp-1,0011223344556677\na1Zx,lamp-2,8899aabbccddeeff\n";

#[test]
fn good_files_are_kept_whole_however_they_are_written() {
    let check = |file: &str, codes: &[&str]| {
        let store = Store::default();
        let rows = store.import("first", file.as_bytes());
        assert_eq!(rows.unwrap() as usize, codes.len(), "{file}");
        assert_eq!(*store.kept.borrow(), codes, "{file}");
    };
    let both = ["lamp-1", "lamp-2"];
    check(&format!("{HEADING}{GOOD}"), &both);
    check(&format!("\u{FEFF}{HEADING}{GOOD}"), &both);
    check(format!("{HEADING}{GOOD}").trim_end(), &both);
    check(&format!("{HEADING}{GOOD}").replace('\n', "\r\n"), &both);
    check(&format!("{HEADING}{GOOD}").replace("lamp-1", "\"lamp-1\""), &both);
    check("DeviceSecret,DeviceName,ProductKey\n0011223344556677,lamp-1,a1Zx\n", &["lamp-1"]);
    check(
        "\"ProductKey\",\"DeviceName\",\"DeviceSecret\"\n\"a,1Z\",\"lamp-1\",\"0011223344556677\"\n",
        &["lamp-1"],
    );
    check("ProductKey,DeviceName,DeviceSecret\na1 Zx,lamp-1,0011223344556677\n", &["lamp-1"]);
}

#[test]
fn a_wrong_value_is_named_by_line_column_and_heading_and_nothing_is_kept() {
    let check = |third: &str, at: usize, heading: &str, fault: CellFault| {
        let store = Store::default();
        let file = format!("{HEADING}{GOOD}{third}\na1Zx,lamp-4,00000000000000aa\n");
        let error = store.import("first", file.as_bytes()).unwrap_err();
        let text = error.to_string();
        let ImportError::Cell { line, column, name, fault: found } = error else {
            panic!("{third:?}: {error}");
        };
        assert_eq!((line, column, name.as_str()), (4, at, heading), "{third:?}");
        assert_eq!(found, fault, "{third:?}");
        assert!(text.starts_with(&format!("line 4, column {at} ({heading}) ")), "{text}");
        let secret = third.rsplit(',').next().unwrap();
        assert!(!text.contains(secret), "{text} shows the secret");
        assert!(store.kept.borrow().is_empty() && store.seen.borrow().is_empty());
    };
    let length = |bytes, bytes_min, bytes_max| Length { bytes, bytes_min, bytes_max };
    check("a1Z,lamp-3,0123456789abcdef", 1, "ProductKey", length(3, 4, 16));
    check("a1Zx,abc,0123456789abcdef", 2, "DeviceName", length(3, 4, 32));
    check(&format!("a1Zx,{},0123456789abcdef", "a".repeat(33)), 2, "DeviceName", length(33, 4, 32));
    check("a1Zx,lamp-3,0123456789abcd", 3, "DeviceSecret", length(7, 8, 32));
    check("a1Zx,lamp-3,0123456789abcdeg", 3, "DeviceSecret", NotHex);
    check("a1Zx,lamp-3,0123456789abcde", 3, "DeviceSecret", NotHex);
    check("a1Zx, lamp-3,0123456789abcdef", 2, "DeviceName", Untidy);
    check("a1Zx,lamp-3\u{A0},0123456789abcdef", 2, "DeviceName", Untidy);
    check("a1Zx,la\u{7}mp-3,0123456789abcdef", 2, "DeviceName", Untidy);
    check("a1Zx,la\rmp-3,0123456789abcdef", 2, "DeviceName", Untidy);
    check("a1Zx,lämp-3,0123456789abcdef", 2, "DeviceName", NotACode);
    check("a1Zx,lamp 3,0123456789abcdef", 2, "DeviceName", NotACode);
    check("a1Zx,lamp-2,0123456789abcdef", 2, "DeviceName", TwiceInFile { line: 3 });
    check("a1Zx,lamp-3,8899AABBCCDDEEFF", 3, "DeviceSecret", TwiceInFile { line: 3 });
    check("a1Zx,lamp-3,0011223344556677", 3, "DeviceSecret", TwiceInFile { line: 2 });
}

#[test]
fn bytes_that_are_no_text_are_named_by_line_and_column() {
    let store = Store::default();
    let file = [HEADING.as_bytes(), b"a1Zx,la\xFFmp,0011223344556677\n"].concat();
    let error = store.import("first", file.as_slice()).unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 2 (DeviceName) is not UTF-8 text");
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_kept() {
    let check = |file: &str, wrong: u32, fault: LineFault| {
        let store = Store::default();
        let error = store.import("first", file.as_bytes()).unwrap_err();
        let ImportError::Line { line, fault: found } = error else {
            panic!("{file:?}: {error}");
        };
        assert_eq!((line, found), (wrong, fault), "{file:?}");
        assert!(store.kept.borrow().is_empty() && store.seen.borrow().is_empty());
    };
    let rows = |third: &str| format!("{HEADING}{GOOD}{third}");
    let count = |expected, found| ValueCount { expected, found };
    check("\n", 1, Empty);
    check(&rows("\na1Zx,lamp-3,0123456789abcdef\n"), 4, Empty);
    check(&rows("\r\n"), 4, Empty);
    check(&rows("a1Zx,lamp-3"), 4, count(3, 2));
    check(&rows("a1Zx,lamp-3,0123456789abcdef,"), 4, count(3, 4));
    check(&rows(&",".repeat(40)), 4, count(16, 41));
    check(&rows("a1Zx,la\"mp,0123456789abcdef"), 4, StrayQuote { byte: 8 });
    check(&rows("a1Zx,\"lamp\"3,0123456789abcdef"), 4, StrayQuote { byte: 11 });
    check(&rows("a1Zx,\"la\"\"mp\",0123456789abcdef"), 4, StrayQuote { byte: 9 });
    check(&rows("a1Zx,\"lamp-3,0123456789abcdef\nx"), 4, StrayQuote { byte: 6 });
    check(&rows("a1Zx,lamp-3,0123456789abcdef\""), 4, StrayQuote { byte: 29 });
    check(&rows(&format!("a1Zx,{},00", "a".repeat(LINE_BYTES_MAX))), 4, TooLong);
    check(&rows(&"a".repeat(3 * LINE_BYTES_MAX)), 4, TooLong);
    check("ProductKey,DeviceName,Secret\n", 1, UnknownHeading { column: 3 });
    check("ProductKey,DeviceName, DeviceSecret\n", 1, UnknownHeading { column: 3 });
    check("ProductKey;DeviceName;DeviceSecret\n", 1, UnknownHeading { column: 1 });
    let twice = HeadingTwice { column: 3, name: "DeviceName".into() };
    check("ProductKey,DeviceName,DeviceName\n", 1, twice);
    check("ProductKey,DeviceName\n", 1, HeadingMissing { name: "DeviceSecret".into() });
}

#[test]
fn a_file_without_rows_is_refused() {
    for file in ["", HEADING, HEADING.trim_end()] {
        let error = Store::default().import("first", file.as_bytes()).unwrap_err();
        assert!(matches!(error, ImportError::NoRows), "{error}");
    }
}

#[test]
fn a_value_imported_before_is_refused_in_every_column_but_the_repeating_one() {
    let store = Store::default();
    assert_eq!(store.import("Monday's file", format!("{HEADING}{GOOD}").as_bytes()).unwrap(), 2);
    let check = |row: &str, at: usize| {
        let file = format!("{HEADING}a1Zx,lamp-9,0000000000000009\n{row}\n");
        let error = store.import("Tuesday's file", file.as_bytes()).unwrap_err();
        let expected = format!("line 3, column {at} ");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(error.to_string().contains("Monday's file"), "{error}");
        assert_eq!(store.kept.borrow().len(), 2);
    };
    check("a1Zx,lamp-2,0000000000000007", 2);
    check("a1Zx,lamp-3,8899AABBCCDDEEFF", 3);
    // What the refused files held besides is not spent.
    let third = format!("{HEADING}a1Zx,lamp-9,0000000000000009\n");
    assert_eq!(store.import("Wednesday's file", third.as_bytes()).unwrap(), 1);
}

#[test]
fn a_store_that_fails_is_named_with_the_line_and_nothing_is_kept() {
    let store = Store::default();
    let file = format!("{HEADING}{GOOD}");
    let check = |fails_at, text: &str| {
        let error = store.import_failing("first", file.as_bytes(), Some(fails_at)).unwrap_err();
        assert_eq!(error.to_string(), text);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the store is full");
        assert!(store.kept.borrow().is_empty());
    };
    check(3, "storing the row on line 3");
    check(0, "keeping the imported rows");
}

#[test]
fn a_disk_that_fails_in_the_middle_is_named_with_the_line_and_nothing_is_kept() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::Error::other("unplugged"));
            }
            self.0.read(into)
        }
    }
    let store = Store::default();
    let file = format!("{HEADING}{GOOD}a1Zx");
    let error = store.import("first", Broken(file.as_bytes())).unwrap_err();
    assert!(matches!(error, ImportError::Read { line: 4, .. }), "{error}");
    assert!(store.kept.borrow().is_empty());
}

#[test]
fn endless_lines_rows_and_files_end_at_their_limits() {
    let store = Store::default();
    let error = store.import("first", io::repeat(b'a')).unwrap_err();
    assert!(matches!(error, ImportError::Line { line: 1, fault: TooLong }), "{error}");

    let rows = |count: u32| {
        let rows = (0..count).map(|row| format!("a1Zx,lamp-{row},{row:016x}\n"));
        HEADING.to_owned() + &rows.collect::<String>()
    };
    let error = store.import("first", rows(101).as_bytes()).unwrap_err();
    assert!(matches!(error, ImportError::TooManyRows { rows_max: 100 }), "{error}");
    assert!(store.kept.borrow().is_empty());
    assert_eq!(store.import("first", rows(100).as_bytes()).unwrap(), 100);

    let file = rows(3);
    let bytes = file.len() as u64;
    let import_of = |file_bytes| {
        let limits = Limits { file_bytes, ..LIMITS };
        let (codes, seen) = (Vec::new(), Vec::new());
        let store = Store::default();
        let transaction = Transaction { store: &store, name: "first", codes, seen, fails_at: None };
        import(file.as_bytes(), &schema(), &pepper(), limits, transaction)
    };
    assert_eq!(import_of(bytes).unwrap(), 3);
    let error = import_of(bytes - 1).unwrap_err();
    assert!(matches!(error, ImportError::FileTooLong { .. }), "{error}");
    let usual = Limits::default();
    assert_eq!((usual.file_bytes, usual.rows), (67_108_864, 250_000));
}

#[test]
fn fingerprints_differ_by_pepper_column_and_value() {
    let other = activation::pool::Pepper::new(&[1; 32]);
    let fingerprints = [
        pepper().fingerprint("a", b"bc"),
        pepper().fingerprint("ab", b"c"),
        pepper().fingerprint("a", b"bd"),
        other.fingerprint("a", b"bc"),
    ];
    for (at, one) in fingerprints.iter().enumerate() {
        assert!(fingerprints[at + 1..].iter().all(|other| other != one));
    }
    assert_eq!(pepper().fingerprint("a", b"bc"), fingerprints[0]);
    assert_eq!(format!("{:?}", pepper()), "Pepper");
}

proptest! {
    #[test]
    fn one_spoiled_row_anywhere_in_a_good_file_is_found_on_its_line(
        rows in 1..40_usize, spoiled in 0..40_usize,
    ) {
        let spoiled = spoiled % rows;
        let mut file = HEADING.to_owned();
        for row in 0..rows {
            let secret = if row == spoiled { "xx".repeat(8) } else { format!("{row:016x}") };
            file += &format!("a1Zx,lamp-{row},{secret}\n");
        }
        let store = Store::default();
        let error = store.import("first", file.as_bytes()).unwrap_err();
        let at = format!("line {}, column 3 ", spoiled + 2);
        prop_assert!(error.to_string().starts_with(&at), "{}", error);
        prop_assert!(store.kept.borrow().is_empty());
    }
}
