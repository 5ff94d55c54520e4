//! Whole visits, sockets, plugs.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use flash::{Backend, Contact, FlashError, Presence, Step};
use simulators::dfu::{Application, Device, Memory, Silicon};
use simulators::usbfs::{Usb, under_preload};

use crate::sockets::*;

fn a_whole_visit(usb: &Usb) {
    usb.insert(SLOT, device()).unwrap();
    let mut hand = hand(SLOT);
    until(&mut hand, Contact::Board);
    let identity = hand.identify(F4).unwrap();
    assert_eq!(identity.part, "Internal Flash 1024 KiB");
    assert_eq!(identity.uid.map(|uid| uid.as_bytes().to_vec()), Some(UID.to_vec()));
    assert_eq!(identity.weak, None);
    let image = image(60_000, 1);
    let report = program(&mut hand, &image).unwrap();
    assert_eq!((report.sectors_blank, report.verified_bytes), (4, 60_000));
    assert!(held(usb, SLOT, image.len()) == image);
    let mut part = [0; 10];
    hand.read(START + 1001, &mut part).unwrap();
    assert_eq!(part, image[1001..1011]);
    assert_eq!(hand.presence(), Ok(Presence::Still));
    hand.reset_and_run().unwrap();
    assert_eq!(usb.with(SLOT, |d| d.runs_its_program()), Some(true));
    assert_eq!(hand.contact(), Ok(Contact::Nothing));
}

#[test]
fn a_board_is_identified_written_compared_and_started_through_libusb() {
    // The test is found again by the path of this closure.
    with_sockets(|usb| {
        a_whole_visit(usb);
    });
}

#[test]
fn a_user_without_rights_makes_the_visit_and_a_device_it_may_not_open_is_named() {
    const NOBODY: u32 = 65_534;
    let story = |usb: &Usb| {
        assert_ne!(whoami(), 0);
        a_whole_visit(usb);
        usb.insert(OTHER, device()).unwrap();
        let mut other = hand(OTHER);
        until(&mut other, Contact::Board);
        let bed = std::env::var("UMOCKDEV_DIR").unwrap();
        let nodes = Path::new(&bed).join("dev/bus/usb/001");
        for node in std::fs::read_dir(nodes).unwrap() {
            std::fs::set_permissions(node.unwrap().path(), Permissions::from_mode(0o000)).unwrap();
        }
        let denied = other.identify(F4);
        let Err(FlashError::PermissionDenied { what, .. }) = denied else { panic!("{denied:?}") };
        assert_eq!(what, OTHER);
    };
    if under_preload() {
        return with_sockets(story);
    }
    // The program may lie where only its owner can read it.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("usb");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut again = Command::new(&copy);
    again.current_dir("/").env_remove("TMPDIR");
    if whoami() == 0 {
        again.uid(NOBODY).gid(NOBODY);
    }
    run_like(story, &mut again);
}

/// The user this process runs as owns its folder.
fn whoami() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// [`run_again`], for a story by its value.
fn run_like<S: FnOnce(&Usb)>(_: S, program: &mut Command) {
    run_again::<S>(program);
}

#[test]
fn two_boards_with_one_serial_number_are_two_slots_at_the_same_time() {
    with_sockets(|usb| {
        let images = [image(30_000, 1), image(30_000, 2)];
        let sockets = [SLOT, OTHER];
        for socket in sockets {
            let hidden = Silicon { shows_uid: false, ..silicon() };
            usb.insert(socket, Device::new(Memory::new(hidden, UID), SERIAL)).unwrap();
        }
        thread::scope(|scope| {
            for (socket, image) in sockets.iter().zip(&images) {
                scope.spawn(move || {
                    let mut hand = hand(socket);
                    let identity = hand.identify(F4).unwrap();
                    assert_eq!((identity.uid, identity.weak.as_deref()), (None, Some(SERIAL)));
                    program(&mut hand, image).unwrap();
                });
            }
        });
        for (socket, image) in sockets.iter().zip(&images) {
            assert!(held(usb, socket, image.len()) == *image, "{socket}");
        }
    });
}

#[test]
fn a_board_pulled_out_is_gone_and_put_back_it_is_another_visit() {
    with_sockets(|usb| {
        usb.insert(OTHER, device()).unwrap();
        let mut hand = hand(SLOT);
        assert_eq!(hand.contact(), Ok(Contact::Nothing));
        usb.insert(SLOT, device()).unwrap();
        let image = image(20_000, 3);
        for _ in 0..3 {
            until(&mut hand, Contact::Board);
            hand.identify(F4).unwrap();
            // A neighbour that comes and goes is none of this visit's business.
            usb.remove(OTHER).unwrap();
            usb.reseat(OTHER).unwrap();
            assert_eq!(hand.presence(), Ok(Presence::Still));
            usb.remove(SLOT).unwrap();
            usb.reseat(SLOT).unwrap();
            let gone = hand.read(START, &mut [0; 4]);
            assert!(
                matches!(gone, Err(FlashError::Silent { during: Step::Read, .. })),
                "the old enumeration is not to be used: {gone:?}"
            );
            hand.identify(F4).unwrap();
            usb.remove(SLOT).unwrap();
            assert_eq!(hand.presence(), Ok(Presence::Gone));
            assert_eq!(hand.contact(), Ok(Contact::Nothing));
            usb.reseat(SLOT).unwrap();
        }
        hand.identify(F4).unwrap();
        program(&mut hand, &image).unwrap();
        assert!(held(usb, SLOT, image.len()) == image);
    });
}

#[test]
fn a_running_program_is_told_to_detach_among_interfaces_of_other_kinds_too() {
    with_sockets(|usb| {
        for (will_detach, behind) in [(true, 0), (false, 0), (true, 2), (false, 2)] {
            let mut memory = Memory::new(silicon(), UID);
            memory.put(0x0800_0000, &image(1024, 2));
            let application = Application::RunTimeDfu { will_detach, behind };
            usb.insert(SLOT, Device::new(memory, SERIAL).running(application)).unwrap();
            let mut hand = hand(SLOT);
            hand.identify(F4).unwrap();
            let new = image(2048, 3);
            program(&mut hand, &new).unwrap();
            hand.reset_and_run().unwrap();
            assert_eq!(usb.with(SLOT, |d| d.runs_its_program()), Some(true));
            // Its program shows on USB, as another device.
            until(&mut hand, Contact::Board);
            assert_eq!(hand.presence(), Ok(Presence::Still));
            assert!(held(usb, SLOT, new.len()) == new, "{will_detach} {behind}");
        }
    });
}
