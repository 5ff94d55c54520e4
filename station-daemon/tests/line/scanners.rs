//! Scanners at a real daemon: a serial one is a pseudo-terminal.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serialport::{SerialPort as _, TTYPort};
use station_daemon::api::view::{ScanKind, ScanSeen, SlotState, TroubleCode};
use station_daemon::desk::Desk;

use super::UIDS;
use super::faults::stuck_cell;
use super::people::{scan, staffed};
use super::process::{Daemon, Screen};
use super::station::{Board, Station};

/// A scanner that stands where the configuration says.
struct Scanner {
    near: TTYPort,
    far: TTYPort,
}

impl Scanner {
    fn plug(place: &Path) -> Self {
        let (near, far) = TTYPort::pair().expect("a pseudo-terminal");
        let device = far.name().expect("a name");
        fs::remove_file(place).ok();
        symlink(device, place).expect("linked");
        Self { near, far }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.near.write_all(bytes).expect("sent");
    }

    fn unplug(self, place: &Path) {
        fs::remove_file(place).expect("unlinked");
        drop((self.near, self.far));
    }
}

fn place(folder: &Path) -> PathBuf {
    folder.join("scanner")
}

fn start(folder: &Path) -> Daemon {
    Daemon::start_configured(
        folder,
        &[],
        &format!("scanners = [\"tty:{}\"]\n", place(folder).display()),
    )
}

/// Waits for the scan after `number`.
fn next_scan(screen: &mut Screen, number: u32) -> ScanSeen {
    let view =
        screen.wait("a scan", |view| view.scan.as_ref().is_some_and(|scan| scan.number > number));
    let scan = view.scan.expect("a scan");
    assert_eq!((scan.number, scan.scanner), (number + 1, 1));
    scan
}

fn wait_scanner(screen: &mut Screen, there: bool) {
    screen.wait(if there { "the scanner" } else { "no scanner" }, |view| {
        let [scanner] = view.scanners.as_slice() else { return false };
        let code = scanner.trouble.as_ref().map(|trouble| trouble.code);
        code == (!there).then_some(TroubleCode::ScannerGone)
    });
}

#[test]
fn every_scan_of_a_serial_scanner_ends_in_a_named_answer_and_an_unplugged_one_recovers() {
    let world = staffed(|_, _| {});
    let folder = world.path();
    let station = Station::start(folder, &[]);
    station.deliver(&world.parcel());
    station.stop();

    let mut daemon = start(folder);
    let mut screen = daemon.screen();
    wait_scanner(&mut screen, false);
    let mut scanner = Scanner::plug(&place(folder));
    wait_scanner(&mut screen, true);

    let mut number = 0;
    let mut check = |screen: &mut Screen, scanner: &mut Scanner, bytes: &[u8], wanted: &str| {
        scanner.send(bytes);
        let ScanSeen { text, answer, .. } = next_scan(screen, number);
        number += 1;
        assert_eq!(answer.word, wanted, "{bytes:?}");
        (text, answer)
    };
    let (text, answer) = check(&mut screen, &mut scanner, b"WO:4711\r", "badge_first");
    assert_eq!((text.as_deref(), answer.kind), (Some("4711"), Some(ScanKind::Order)));
    let (text, answer) = check(&mut screen, &mut scanner, b"OP:B-0007\r\n", "badged_in");
    assert_eq!((text, answer.kind, answer.accepted), (None, Some(ScanKind::Operator), true));
    check(&mut screen, &mut scanner, b"]C0WO:4711\r", "order_selected");
    let (text, answer) = check(&mut screen, &mut scanner, b"4006381333931\r", "not_a_scan");
    assert_eq!((text, answer.code), (None, Some(TroubleCode::ScanForeign)));
    let (_, answer) = check(&mut screen, &mut scanner, b"WO:47\xff11\n", "damaged");
    assert_eq!(answer.code, Some(TroubleCode::ScanDamaged));
    check(&mut screen, &mut scanner, b"OP:B-00\x00\r", "damaged");
    check(&mut screen, &mut scanner, &[&[b'x'; 3000][..], b"\r"].concat(), "too_long");
    // Half of an order's number would be another order.
    check(&mut screen, &mut scanner, b"WO:47", "incomplete");
    let (text, _) =
        check(&mut screen, &mut scanner, b"]C1010950600013435221A-7\r", "not_used_here");
    assert_eq!(text.as_deref(), Some("A-7"), "GS1's serial number");

    scanner.send(b"SN:A-8\rSN:A-8\r");
    let view = screen
        .wait("two scans", |view| view.scan.as_ref().is_some_and(|scan| scan.number == number + 2));
    let answer = view.scan.expect("a scan").answer;
    assert_eq!((answer.word.as_str(), answer.code), ("doubled", Some(TroubleCode::ScanDoubled)));

    scanner.unplug(&place(folder));
    wait_scanner(&mut screen, false);
    let mut scanner = Scanner::plug(&place(folder));
    wait_scanner(&mut screen, true);
    scanner.send(b"WO:9999\r");
    assert_eq!(next_scan(&mut screen, number + 2).answer.word, "unknown_order");
    daemon.terminate();
    let log = fs::read_to_string(folder.join("log.jsonl")).expect("log");
    assert!(!log.contains("B-0007"), "a badge's text is in the log");
}

#[test]
fn a_rejected_board_holds_its_slot_until_a_bin_is_scanned_also_across_a_restart() {
    let world = staffed(|_, _| {});
    let (bad, good) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let slots = [bad.slot(1)];
    let bins = ["RED".to_owned()];
    let use_bins = |station: &Station| {
        let bins = bins.clone();
        station.desk.ask(move |desk| desk.use_bins(&bins)).expect("the desk is open");
    };
    let station = Station::start(world.path(), &slots);
    use_bins(&station);
    let parcel = world.parcel();
    station.deliver(&parcel);
    assert_eq!(scan(&station, "OP:B-0007").1, "badged_in");
    assert_eq!(scan(&station, "BIN:RED").1, "nothing_to_bin");
    bad.pull(&stuck_cell(&parcel));
    bad.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(TroubleCode::ReadBackDiffered));
    bad.pull("remove");
    let held = station.wait("the slot is held", |view| {
        view.slots[0].trouble.as_ref().is_some_and(|t| t.code == TroubleCode::RejectWaits)
    });
    let [reject] = held.rejects.as_slice() else { panic!("{:?}", held.rejects) };
    assert_eq!((reject.slot, reject.code), (1, TroubleCode::ReadBackDiffered));
    assert_eq!((reject.uid_tail.as_deref(), reject.taken_out), (Some("0708"), true));
    let sheet = station.desk.ask(Desk::handover).expect("open").expect("somebody is in");
    assert_eq!((sheet.boards.len(), sheet.rejects.len(), sheet.codes_count), (0, 1, 1));
    assert_eq!(sheet.codes[0].uid_tail, "0708", "set aside, and not proven on a chip");
    assert!(sheet.head.expect("a head").note.contains("l1-s1"));
    assert_eq!(scan(&station, "OP:OUT"), (true, "signed_out".to_owned()));
    assert_eq!(station.desk.ask(Desk::handover).expect("open"), None, "nobody is in");
    assert_eq!(scan(&station, "BIN:RED").1, "badge_first");
    station.stop();

    let station = Station::start(world.path(), &[good.slot(1)]);
    use_bins(&station);
    good.pull("insert");
    assert_eq!(scan(&station, "OP:B-0008").1, "badged_in");
    station.wait("still held", |view| {
        view.slots[0].trouble.as_ref().is_some_and(|t| t.code == TroubleCode::RejectWaits)
    });
    assert_eq!(scan(&station, "BIN:BLUE").1, "bin_unknown");
    assert_eq!(scan(&station, "BIN:RED"), (true, "binned".to_owned()));
    station.wait_slot(1, SlotState::Pass);
    let binned = station.records().into_iter().find_map(|record| match record.event {
        audit::Event::Binned { slot, bin, operator, .. } => Some((slot, bin, operator)),
        _ => None,
    });
    assert_eq!(binned, Some((1, "RED".to_owned(), Some(8))));
    let view = station.wait("none waits", |view| view.rejects.is_empty());
    assert_eq!(view.order.as_ref().map(|order| order.passed_hour), Some(1));
    station.stop();
}

#[test]
fn a_scan_that_two_hear_is_taken_once() {
    let world = staffed(|_, _| {});
    let folder = world.path();
    let station = Station::start(folder, &[]);
    station.deliver(&world.parcel());
    station.stop();
    let mut daemon = start(folder);
    let screen = daemon.screen();
    let body = "{\"text\":\"OP:B-0007\"}";
    let mut words =
        [screen.fire("/api/scan", body), screen.fire("/api/scan", body)].map(|stream| {
            let mut answer = String::new();
            (&stream).read_to_string(&mut answer).expect("answer");
            ["badged_in", "doubled"].into_iter().find(|word| answer.contains(word))
        });
    words.sort_unstable();
    assert_eq!(words, [Some("badged_in"), Some("doubled")]);
    for (text, word) in [("", "empty"), ("WO:", "damaged"), ("XX:1", "not_a_scan")] {
        let answer = screen.post("/api/scan", &format!("{{\"text\":\"{text}\"}}"));
        assert_eq!(answer["word"], word, "{text:?}");
    }
    daemon.terminate();
}
