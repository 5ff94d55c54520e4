//! Debian's `dfu-util` against the same devices: the model is honest, and both agree about bytes.

use std::path::Path;
use std::process::Command;

use flash::{Backend, FlashError};
use simulators::usbfs::Usb;

use crate::sockets::*;

/// Runs `dfu-util` on the slot's socket; what it said, and whether it was content.
fn dfu_util(arguments: &[&str]) -> (String, bool) {
    let output = Command::new("dfu-util").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.success())
}

fn with_image(name: &str, bytes: &[u8], act: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    act(&path);
}

/// Identifies; a program that ended a moment ago may not have been missed yet.
fn identify(hand: &mut Hand) {
    let begun = std::time::Instant::now();
    loop {
        match hand.identify(F4) {
            Err(FlashError::ProbeBusy { .. }) if begun.elapsed().as_secs() < 10 => {
                std::thread::yield_now();
            }
            done => return drop(done.unwrap()),
        }
    }
}

#[test]
fn dfu_util_lists_writes_reads_and_starts_what_our_back_end_does() {
    with_sockets(|usb: &Usb| {
        usb.insert(SLOT, device()).unwrap();
        usb.insert(OTHER, device()).unwrap();
        let (listed, fine) = dfu_util(&["-l"]);
        assert!(fine, "{listed}");
        for path in ["1-2.3", "1-2.4"] {
            let found = listed.lines().find(|line| {
                line.contains(&format!(
                    "path=\"{path}\", alt=0, name=\"@Internal Flash  /0x08000000/"
                ))
            });
            let found = found.unwrap_or_else(|| panic!("{path} is not in {listed}"));
            assert!(found.contains("[0483:df11]") && found.contains(SERIAL), "{found}");
        }

        // It writes, we compare and keep.
        let image = image(60_000, 5);
        with_image("image.bin", &image, |path| {
            let path = path.to_str().unwrap();
            let at = ["-p", "1-2.3", "-a", "0", "-s", "0x08000000", "-D", path];
            let (said, fine) = dfu_util(&at);
            assert!(fine && said.contains("File downloaded successfully"), "{said}");
        });
        assert!(held(usb, SLOT, image.len()) == image);
        let mut hand = hand(SLOT);
        identify(&mut hand);
        let report = program(&mut hand, &image).unwrap();
        assert_eq!((report.sectors_equal, report.written_bytes), (4, 0));
        drop(hand);

        // We write, it reads.
        let new = crate::sockets::image(30_000, 6);
        let mut other = crate::sockets::hand(OTHER);
        identify(&mut other);
        program(&mut other, &new).unwrap();
        drop(other);
        with_image("nothing", b"", |nothing| {
            let back = nothing.with_file_name("back.bin");
            let to = back.to_str().unwrap();
            let (said, fine) =
                dfu_util(&["-p", "1-2.4", "-a", "0", "-s", "0x08000000:30000", "-U", to]);
            assert!(fine, "{said}");
            assert!(std::fs::read(&back).unwrap() == new);
        });

        // It starts the program, and the socket is empty.
        let (said, _) = dfu_util(&["-p", "1-2.3", "-a", "0", "-s", "0x08000000:leave"]);
        assert_eq!(usb.with(SLOT, |d| d.runs_its_program()), Some(true), "{said}");
    });
}

#[test]
fn dfu_util_fails_on_the_faults_that_fail_us() {
    with_sockets(|usb: &Usb| {
        let image = image(20_000, 7);
        for lever in ["dnload:20=stall", "dnload:20=unplug", "dnload:20=status-3"] {
            usb.insert(SLOT, device()).unwrap();
            usb.with(SLOT, |d| d.pull(lever.parse().unwrap()));
            with_image("image.bin", &image, |path| {
                let path = path.to_str().unwrap();
                let (said, fine) =
                    dfu_util(&["-p", "1-2.3", "-a", "0", "-s", "0x08000000", "-D", path]);
                assert!(!fine, "{lever}: {said}");
            });
        }
    });
}
