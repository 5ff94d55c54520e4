//! Every fault of the model as libusb reports it, and as the station is told.

use std::time::{Duration, Instant};

use flash::dfu::{Port as _, Setup, Transport as _, UsbFault, UsbPort};
use flash::{Backend, Contact, FlashError, Step};
use simulators::dfu::{Device, Lever};

use crate::sockets::*;

const GET_STATUS: Setup = Setup { kind: 0xA1, request: 3, value: 0, index: 0 };
const SET_ADDRESS: Setup = Setup { kind: 0x21, request: 1, value: 0, index: 0 };

#[test]
fn every_fault_on_the_wire_is_an_error_of_libusb_with_its_own_meaning() {
    with_sockets(|usb| {
        // Long enough for a busy machine to see an answer that comes in time.
        let within = Duration::from_millis(600);
        let check = |lever: &str, wanted: Result<usize, UsbFault>| {
            usb.insert(SLOT, device()).unwrap();
            usb.with(SLOT, |d| d.pull(lever.parse::<Lever>().unwrap()));
            let mut wire = UsbPort::new(SLOT.parse().unwrap()).unwrap().open().unwrap();
            wire.select(0, 0).unwrap();
            let begun = Instant::now();
            let found = if lever.starts_with("dnload") {
                let command = [0x21, 0, 0, 0, 8];
                wire.control_out(SET_ADDRESS, &command, within).map(|()| command.len())
            } else {
                wire.control_in(GET_STATUS, &mut [0; 6], within)
            };
            assert_eq!(found, wanted, "{lever}");
            if found == Err(UsbFault::Timeout) {
                assert!(begun.elapsed() >= within, "{lever}: given up too early");
            }
        };
        check("getstatus:2=stall", Ok(6));
        for (request, bytes) in [("getstatus", 6), ("dnload", 5)] {
            let check = |fault: &str, wanted| check(&format!("{request}:1={fault}"), wanted);
            check("stall", Err(UsbFault::Stall));
            check("hang", Err(UsbFault::Timeout));
            check("unplug", Err(UsbFault::Gone));
            check("babble", Err(UsbFault::Babble));
            check("delay-100", Ok(bytes));
            check("delay-5000", Err(UsbFault::Timeout));
            check("corrupt", Ok(bytes));
            check("status-3", Ok(bytes));
        }
        check("getstatus:1=short", Ok(3));
    });
}

#[test]
fn every_fault_in_a_visit_is_one_fact_and_the_next_try_repairs_the_board() {
    with_sockets(|usb| {
        // 16 KiB onto a blank chip: one set-address and 8 blocks up, the same down, the same up.
        let image = image(16 << 10, 1);
        let check = |lever: &str, is_right: &dyn Fn(&FlashError) -> bool| {
            usb.insert(SLOT, device()).unwrap();
            let mut hand = hand(SLOT);
            hand.identify(F4).unwrap();
            usb.with(SLOT, |d| d.pull(lever.parse::<Lever>().unwrap()));
            let found = program(&mut hand, &image);
            assert!(matches!(&found, Err(error) if is_right(error)), "{lever}: {found:?}");
            assert_eq!(usb.with(SLOT, Device::heal), Some(0), "{lever} was not reached");
            usb.reseat(SLOT).unwrap();
            hand.identify(F4).unwrap();
            program(&mut hand, &image).unwrap();
            assert!(held(usb, SLOT, image.len()) == image, "{lever}, repaired");
        };
        check("upload:3=unplug", &|e| matches!(e, FlashError::Silent { during: Step::Survey, .. }));
        check("dnload:5=stall", &|e| matches!(e, FlashError::Driver { during: Step::Program, .. }));
        check("dnload:5=unplug", &|e| {
            matches!(e, FlashError::Silent { during: Step::Program, .. })
        });
        check("dnload:5=babble", &|e| {
            matches!(e, FlashError::Driver { during: Step::Program, .. })
        });
        check("dnload:5=status-3", &|e| {
            let (address, bytes, code) = (0x0800_1000, 2048, 3);
            *e == FlashError::WriteFailed { address, bytes, code }
        });
        check("dnload:5=status-11", &|e| *e == FlashError::Locked);
        check("dnload:5=corrupt", &|e| {
            let (address, bytes, wanted) = (0x0800_1400, 1, image[0x1400]);
            *e == FlashError::VerifyDiffered { address, bytes, wanted, found: wanted ^ 0x10 }
        });
        check("getstatus:8=short", &|e| {
            matches!(e, FlashError::Driver { during: Step::Program, .. })
        });
        check("upload:12=short", &|e| matches!(e, FlashError::Driver { during: Step::Verify, .. }));
        check("upload:12=unplug", &|e| {
            matches!(e, FlashError::Silent { during: Step::Verify, .. })
        });
    });
}

#[test]
fn a_device_that_another_program_has_claimed_is_busy_until_that_lets_go() {
    with_sockets(|usb| {
        usb.insert(SLOT, device()).unwrap();
        let mut other = UsbPort::new(SLOT.parse().unwrap()).unwrap().open().unwrap();
        other.select(0, 0).unwrap();
        let mut hand = hand(SLOT);
        until(&mut hand, Contact::Board);
        let busy = hand.identify(F4);
        assert!(
            matches!(&busy, Err(FlashError::ProbeBusy { what, .. }) if what == SLOT),
            "{busy:?}"
        );
        drop(other);
        assert!(hand.identify(F4).is_ok());
    });
}
