//! Every fault lever, alone and swept over every request of a visit.

use flash::{Backend, Contact, FlashError, Presence, Step};
use simulators::dfu::{Bus, Device, Fault, Lever, Request};

use crate::bench::*;

fn pulled(lever: &str) -> (Bus, Hand) {
    let bus = bus_with(f4_device());
    let (hand, _) = identified(&bus, &F4);
    let lever: Lever = lever.parse().unwrap();
    bus.with(SLOT, |d| d.pull(lever));
    (bus, hand)
}

/// The error without the driver's words.
fn fact(mut error: FlashError) -> FlashError {
    if let FlashError::Silent { detail, .. }
    | FlashError::Driver { detail, .. }
    | FlashError::CoreStuck { detail, .. }
    | FlashError::PermissionDenied { detail, .. } = &mut error
    {
        detail.clear();
    }
    error
}

#[test]
fn every_fault_on_the_wire_is_one_fact_and_the_next_try_repairs_the_board() {
    // After identification, 64 KiB onto a blank chip: one set-address for the survey with a glance
    // at each of four pages and 32 blocks up, one set-address and 32 blocks down, one set-address and 32 blocks up to compare.
    let image = image(64 << 10, 1);
    let detail = String::new;
    let silent = |during| Err(FlashError::Silent { during, detail: detail() });
    let driver = |during| Err(FlashError::Driver { during, detail: detail() });
    let check = |lever: &str, wanted: Result<(), FlashError>| {
        let (bus, mut hand) = pulled(lever);
        let found = program(&mut hand, &F4, &[(START, &image)]);
        assert_eq!(found.map(drop).map_err(fact), wanted, "{lever}");
        if wanted.is_ok() {
            assert!(held(&bus, SLOT, START, image.len()) == image, "{lever}");
        }
        bus.with(SLOT, Device::heal);
        bus.reseat(SLOT);
        hand.identify(&F4).unwrap();
        program(&mut hand, &F4, &[(START, &image)]).unwrap();
        assert!(held(&bus, SLOT, START, image.len()) == image, "{lever}, repaired");
    };
    check("dnload:5=stall", driver(Step::Program));
    check("dnload:5=hang", silent(Step::Program));
    check("dnload:5=unplug", silent(Step::Program));
    check("dnload:5=babble", driver(Step::Program));
    let refused = |code| FlashError::WriteFailed { address: 0x0800_1000, bytes: 2048, code };
    check("dnload:5=status-3", Err(refused(3)));
    check("dnload:5=status-6", Err(refused(6)));
    check("dnload:5=status-11", Err(FlashError::Locked));
    let differed = |address, wanted: u8| FlashError::VerifyDiffered {
        address,
        bytes: 1,
        wanted,
        found: wanted ^ 0x10,
    };
    check("dnload:5=corrupt", Err(differed(0x0800_1400, image[0x1400])));
    check("dnload:5=delay-300", Ok(()));
    check("dnload:5=delay-6000", silent(Step::Program));
    check("dnload:1=stall", driver(Step::Survey));
    check("getstatus:2=hang", silent(Step::Survey));
    check("getstatus:20=hang", silent(Step::Program));
    check("getstatus:20=short", driver(Step::Program));
    check("getstatus:20=stall", driver(Step::Program));
    check("upload:5=short", driver(Step::Survey));
    check("upload:40=short", driver(Step::Verify));
    check("upload:40=babble", driver(Step::Verify));
    check("upload:40=hang", silent(Step::Verify));
    check("upload:40=unplug", silent(Step::Verify));
    check("upload:40=status-14", driver(Step::Verify));
    let at = 7 * 2048 + 1024;
    check("upload:44=corrupt", Err(differed(START + 7 * 2048 + 1024, image[at])));
    // A wrong bit in the survey costs an erase, never a wrong chip.
    check("upload:5=corrupt", Ok(()));
    check("abort:2=stall", driver(Step::Survey));
}

#[test]
fn an_erase_that_fails_names_its_page() {
    let (bus, mut hand) = pulled("dnload:3=status-4");
    let old = image(64 << 10, 4);
    bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
    // Two pages surveyed, the first erased, the second refused.
    let found = program(&mut hand, &F4, &[(START + 0x3FFE, b"over")]);
    assert_eq!(found, Err(FlashError::EraseFailed { address: 0x0800_4000, code: 4 }));
}

#[test]
fn no_single_fault_anywhere_in_a_visit_makes_a_wrong_board_pass_or_a_board_unrepairable() {
    let image = image(3000, 21);
    let old = self::image(4000, 22);
    let kinds = [
        Request::Dnload,
        Request::Upload,
        Request::GetStatus,
        Request::ClrStatus,
        Request::GetState,
        Request::Abort,
    ];
    let faults = [
        Fault::Stall,
        Fault::Hang,
        Fault::Unplug,
        Fault::Status(3),
        Fault::Corrupt,
        Fault::Short,
        Fault::Babble,
    ];
    let (mut tried, mut passed) = (0, 0);
    for request in kinds {
        for fault in faults {
            for nth in 1.. {
                let bus = bus_with(l4_device());
                bus.with(SLOT, |d| {
                    d.memory_mut().put(0x0800_0000, &old);
                    d.pull(Lever { request, nth, fault });
                });
                let mut hand = hand(&bus, SLOT);
                let visit = |hand: &mut Hand| {
                    let identity = hand.identify(&L4)?;
                    let told = identity.uid.as_ref().map(|uid| uid.as_bytes().to_vec());
                    assert!(told.is_none_or(|told| told == UID), "{request:?} {nth} {fault:?}");
                    assert!(identity.uid.is_some() || identity.weak.is_some() || identity.locked);
                    program(hand, &L4, &[(START, &image)])
                };
                let found = visit(&mut hand);
                let right = held(&bus, SLOT, START, image.len()) == image;
                assert!(found.is_err() || right, "{request:?} {nth} {fault:?}: {found:?}");
                tried += 1;
                passed += u32::from(found.is_ok());
                let beyond = bus.with(SLOT, Device::heal) == Some(1);
                if bus.cable(SLOT).look().is_none() {
                    bus.reseat(SLOT);
                }
                let again = visit(&mut hand);
                assert!(again.is_ok(), "{request:?} {nth} {fault:?}, again: {again:?}");
                assert!(held(&bus, SLOT, START, image.len()) == image);
                if beyond {
                    assert!(found.is_ok());
                    break;
                }
            }
        }
    }
    println!("{tried} visits with one fault, {passed} passed all the same");
    assert!(tried > 300 && passed < tried);
}

#[test]
fn power_cut_after_any_number_of_bytes_leaves_a_board_that_the_next_visit_finishes() {
    let image = image(20_000, 31);
    for bytes in [0, 1, 7, 8, 2047, 2048, 2049, 16_383, 16_384, 19_999] {
        let bus = bus_with(f4_device());
        let (mut hand, _) = identified(&bus, &F4);
        bus.with(SLOT, |d| d.memory_mut().cut_after(bytes));
        let found = program(&mut hand, &F4, &[(START, &image)]);
        assert!(
            matches!(found, Err(FlashError::Silent { during: Step::Program, .. })),
            "{bytes}: {found:?}"
        );
        assert_eq!(bus.with(SLOT, |d| d.programmed_bytes()), Some(bytes));
        assert_eq!(hand.contact(), Ok(Contact::Nothing));
        bus.reseat(SLOT);
        assert_eq!(steady(&bus, &mut hand), Ok(Contact::Board));
        hand.identify(&F4).unwrap();
        program(&mut hand, &F4, &[(START, &image)]).unwrap();
        assert!(held(&bus, SLOT, START, image.len()) == image, "{bytes}");
    }
}

#[test]
fn a_stuck_cell_and_a_write_protected_page_are_found_by_comparing() {
    let mut image = image(20_000, 41);
    image[0x2345] = 0xFF;
    let bus = bus_with(f4_device());
    bus.with(SLOT, |d| d.memory_mut().stick(0x0800_2345, 3));
    let (mut hand, _) = identified(&bus, &F4);
    let found = program(&mut hand, &F4, &[(START, &image)]);
    assert_eq!(
        found,
        Err(FlashError::VerifyDiffered {
            address: 0x0800_2345,
            bytes: 1,
            wanted: 0xFF,
            found: 0xF7
        })
    );

    // The loader reports no error when it erases or writes there.
    let bus = bus_with(f4_device());
    bus.with(SLOT, |d| d.memory_mut().write_protect(0x0800_4000));
    let (mut hand, _) = identified(&bus, &F4);
    let found = program(&mut hand, &F4, &[(START, &image)]);
    let Err(FlashError::VerifyDiffered { address, wanted, found, .. }) = found else {
        panic!("{found:?}");
    };
    let first = image[0x4000..].iter().position(|byte| *byte != 0xFF).unwrap();
    assert_eq!((address, found), (0x0800_4000 + first as u64, 0xFF));
    assert_eq!(wanted, image[0x4000 + first]);
}

#[test]
fn a_device_that_ignores_leave_or_comes_back_as_its_loader_is_stuck() {
    let image = image(2048, 51);
    let bus = bus_with(f4_device());
    bus.with(SLOT, Device::ignore_leave);
    let (mut hand, _) = identified(&bus, &F4);
    program(&mut hand, &F4, &[(START, &image)]).unwrap();
    let stuck = FlashError::CoreStuck { during: Step::Reset, detail: String::new() };
    assert_eq!(hand.reset_and_run().map_err(fact), Err(stuck));
    // A new visit finds it in dfuMANIFEST, out of which no request leads.
    let found = hand.identify(&F4).map(drop).map_err(fact);
    assert_eq!(found, Err(FlashError::Driver { during: Step::Identify, detail: String::new() }));
    bus.reseat(SLOT);
    assert!(hand.identify(&F4).is_ok());
}

#[test]
fn a_device_that_an_earlier_host_left_in_the_middle_is_led_back() {
    let image = image(2048, 61);
    let check = |lever: &str, leave: &dyn Fn(&mut Hand)| {
        let (bus, mut hand) = pulled(lever);
        leave(&mut hand);
        bus.with(SLOT, Device::heal);
        drop(hand);
        let (mut hand, _) = identified(&bus, &F4);
        program(&mut hand, &F4, &[(START, &image)]).unwrap();
    };
    let write = |hand: &mut Hand| {
        assert!(program(hand, &F4, &[(START, &image)]).is_err());
    };
    check("dnload:3=status-3", &write); // dfuERROR
    check("getstatus:6=short", &write); // in the middle of a block
    check("getstatus:5=hang", &write); // dfuDNLOAD-SYNC
    check("upload:2=babble", &|hand| {
        assert!(hand.is_blank(START, 8192).is_err()); // dfuUPLOAD-IDLE
    });
}

#[test]
fn a_port_that_the_system_refuses_is_named() {
    let bus = bus_with(f4_device());
    bus.deny(SLOT, true);
    let mut hand = hand(&bus, SLOT);
    assert_eq!(steady(&bus, &mut hand), Ok(Contact::Board));
    let denied = FlashError::PermissionDenied { what: SLOT.to_owned(), detail: String::new() };
    assert_eq!(hand.identify(&F4).map(drop).map_err(fact), Err(denied));
    bus.deny(SLOT, false);
    assert!(hand.identify(&F4).is_ok());
    assert_eq!(hand.presence(), Ok(Presence::Still));
}
