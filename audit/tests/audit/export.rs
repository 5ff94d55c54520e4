//! Exports: checked offline, with public keys only.

use crate::world::*;
use audit::{
    ExportError, ExportKeys, ExportReport, LineFault, Origin, Tree, verify_csv_export,
    verify_export, write_csv_export, write_export, write_partial_export,
};

fn keys() -> ExportKeys {
    ExportKeys {
        origin: Some(origin()),
        station_key: public_of(&station_key()),
        cosigner: Some(cosigner()),
    }
}

fn complete(count: u64) -> Vec<u8> {
    let records = records(count);
    let signed = head_of(&records).cosign(HUB, &hub_key(), 99).unwrap();
    let mut file = Vec::new();
    write_export(&mut file, &signed, &records).unwrap();
    file
}

/// Records 2, 5 and 6 of 9.
fn partial() -> Vec<u8> {
    let records = records(9);
    let signed = head_of(&records).cosign(HUB, &hub_key(), 99).unwrap();
    let tree = Tree::from_leaf_hashes(leaves_of(&records));
    let mut file = Vec::new();
    let some = [2, 5, 6].map(|seq: usize| (seq as u64, &records[seq]));
    write_partial_export(&mut file, &signed, &tree, 9, some).unwrap();
    file
}

fn verify(file: &[u8]) -> Result<ExportReport, ExportError> {
    verify_export(file, &keys())
}

#[test]
fn complete_and_partial_exports_verify_and_say_which_they_are() {
    for count in 0..10 {
        let report = verify(&complete(count)).unwrap();
        assert_eq!((report.records, report.complete, report.seen_s), (count, true, Some(99)));
        assert_eq!(report.checkpoint.size, count);
    }
    let report = verify(&partial()).unwrap();
    assert_eq!((report.records, report.complete, report.checkpoint.size), (3, false, 9));
}

#[test]
fn the_reader_decides_whom_to_trust() {
    let file = complete(4);
    let trusting = |keys: ExportKeys| verify_export(file.as_slice(), &keys);
    let plain = trusting(ExportKeys { origin: None, cosigner: None, ..keys() }).unwrap();
    assert_eq!((plain.seen_s, plain.checkpoint.origin), (None, origin()));
    let stranger = public_of(&key("a stranger"));
    assert!(trusting(ExportKeys { station_key: stranger, ..keys() }).is_err());
    assert!(trusting(ExportKeys { station_key: stranger, origin: None, ..keys() }).is_err());
    let other = Origin::new("acme", "line-2", EPOCH).unwrap();
    assert!(trusting(ExportKeys { origin: Some(other), ..keys() }).is_err());
    let mut unknown_hub = cosigner();
    unknown_hub.key = stranger;
    assert!(trusting(ExportKeys { cosigner: Some(unknown_hub), ..keys() }).is_err());
}

#[test]
fn every_flipped_bit_of_an_export_is_refused() {
    for good in [complete(4), partial()] {
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(verify(&bad).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn every_cut_of_a_complete_export_is_refused_and_of_a_partial_one_mid_line() {
    let good = complete(4);
    for cut in 0..good.len() {
        assert!(verify(&good[..cut]).is_err(), "{cut} bytes");
    }
    let good = partial();
    for cut in 0..good.len() {
        let whole_lines = cut > 0 && good[cut - 1] == b'\n';
        assert_eq!(verify(&good[..cut]).is_ok(), whole_lines, "{cut} bytes");
    }
}

#[test]
fn lines_reordered_dropped_doubled_or_moved_between_files_are_refused() {
    let line_of = |file: &[u8], at: usize| {
        file.split_inclusive(|byte| *byte == b'\n').nth(at).unwrap().to_vec()
    };
    let lines_of = |file: &[u8]| -> Vec<Vec<u8>> {
        file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let check = |what: &str, lines: Vec<Vec<u8>>| {
        assert!(verify(&lines.concat()).is_err(), "{what}");
    };
    let lines = lines_of(&complete(5));
    for at in 1..lines.len() {
        let mut dropped = lines.clone();
        dropped.remove(at);
        check("dropped", dropped);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        check("doubled", doubled);
        let mut swapped = lines.clone();
        swapped.swap(at, (at % 4) + 1);
        if swapped != lines {
            check("swapped", swapped);
        }
    }
    let mut headless = lines.clone();
    headless.remove(0);
    check("without header", headless);
    let mut two_headers = lines.clone();
    two_headers.insert(1, lines[0].clone());
    check("two headers", two_headers);

    let proven = lines_of(&partial());
    let mut swapped = proven.clone();
    swapped.swap(1, 2);
    check("partial swapped", swapped);
    let mut doubled = proven.clone();
    doubled.push(proven[3].clone());
    check("partial doubled", doubled);
    let mut unproven = proven.clone();
    unproven.insert(1, line_of(&complete(5), 1));
    check("partial with an unproven line", unproven);
    let mut proof_in_complete = lines.clone();
    proof_in_complete[3] = proven[1].clone();
    check("complete with a proof", proof_in_complete);
}

#[test]
fn faults_name_their_line() {
    let good = String::from_utf8(complete(4)).unwrap();
    let check = |from: &str, to: &str, line: u64, fault: &str| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let Err(ExportError::Line { line: at, fault: found }) = verify(bad.as_bytes()) else {
            panic!("{bad} was taken");
        };
        assert_eq!((at, format!("{found:?}").split(['(', ' ']).next()), (line, Some(fault)));
    };
    check("\"format\":\"flashline-journal\"", "\"format\":\"other\"", 1, "UnknownFormat");
    check("\"v\":1}\n", "\"v\":2}\n", 1, "UnknownFormat");
    check("{\"record\"", "{ \"record\"", 2, "NotCanonical");
    check("{\"record\"", "{\"recerd\"", 2, "Members");
    check("\"seq\":1,", "\"seq\":7,", 3, "Misplaced");
    check("\"seq\":2,", "\"seq\":\"2\",", 4, "Record");
    check("{\"record\"", "{\"record", 2, "NotJson");
    let long = format!("{}{}\n", good, "x".repeat(100_000));
    assert!(matches!(
        verify(long.as_bytes()),
        Err(ExportError::Line { line: 6, fault: LineFault::TooLong })
    ));
    assert!(matches!(verify(b""), Err(ExportError::Line { line: 1, fault: LineFault::Members })));
}

/// An export as CSV: all of `count` records, or some of nine.
fn table(count: Option<u64>) -> Vec<u8> {
    let records = records(count.unwrap_or(9));
    let signed = head_of(&records).cosign(HUB, &hub_key(), 99).unwrap();
    let tree = Tree::from_leaf_hashes(leaves_of(&records));
    let mut file = Vec::new();
    match count {
        Some(_) => write_csv_export(&mut file, &signed, None, (0..).zip(&records)).unwrap(),
        None => {
            let some = [2, 5, 6].map(|seq: usize| (seq as u64, &records[seq]));
            write_csv_export(&mut file, &signed, Some((&tree, 9)), some).unwrap();
        }
    }
    file
}

#[test]
fn a_table_proves_what_the_lines_prove_and_no_byte_of_it_can_be_changed() {
    for count in 0..5 {
        let report = verify_csv_export(table(Some(count)).as_slice(), &keys()).unwrap();
        assert_eq!((report.records, report.complete, report.seen_s), (count, true, Some(99)));
    }
    let part = table(None);
    let report = verify_csv_export(part.as_slice(), &keys()).unwrap();
    assert_eq!((report.records, report.complete, report.checkpoint.size), (3, false, 9));

    for file in [part, table(Some(3))] {
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let taken = verify_csv_export(changed.as_slice(), &keys());
            // A line end is a line end, whichever way it is written.
            let line_end =
                matches!(file[at], b'\r' | b'\n') || matches!(changed[at], b'\r' | b'\n');
            assert!(
                taken.is_err() || line_end,
                "byte {at} of {:?}",
                String::from_utf8_lossy(&file)
            );
        }
    }
    // Another value in a column beside the record.
    let text = String::from_utf8(table(Some(3))).unwrap();
    let moved = text.replacen("\n1,", "\n2,", 1);
    assert!(moved != text && verify_csv_export(moved.as_bytes(), &keys()).is_err());
    let renamed = text.replacen(",contact,", ",passed,", 1);
    assert!(renamed != text && verify_csv_export(renamed.as_bytes(), &keys()).is_err());
}
