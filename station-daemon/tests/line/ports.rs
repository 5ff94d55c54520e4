//! Slots over other ports than a debug probe, and slots with several.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use flash::BackEnd;
use simulators::rom_loader::{self, Chip, Settings};
use station_daemon::api::view::{Approval, SlotState, SlotView, TroubleCode};
use station_daemon::config::SlotConfig;
use station_daemon::desk::{Desk, NotApproved};
use station_daemon::teach::{Lists, SlotPorts};

use super::paper::{Plan, STM32_BLOCK_AT};
use super::station::{Board, Station, port};
use super::{UIDS, World, assert_holds_image};

const UID: [u8; 12] = *b"\x23\0\x25\0\x07W2W464 ";

/// An STM32F103 in its ROM loader at the end of a serial line.
struct Loader {
    served: rom_loader::Served,
    control: TcpStream,
}

impl Loader {
    /// Beside the fixture.
    fn new() -> Self {
        let model = rom_loader::models::model("stm32f103").expect("a model");
        let chip = Chip::new(model, UID, None).expect("a chip");
        let control = "127.0.0.1:0".parse().expect("an address");
        let served =
            rom_loader::serve(Settings { chip, control, time_scale: 0.0 }).expect("serves");
        let control = TcpStream::connect(served.control).expect("control port");
        let loader = Self { served, control };
        loader.pull("remove");
        loader.pull("says FLASHLINE demo-lamp 1.0.0 activation=valid");
        loader
    }

    fn pull(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).expect("lever");
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).expect("answer");
        let rest = answer.trim_end().strip_prefix("ok");
        rest.unwrap_or_else(|| panic!("{lever}: {answer}")).trim_start().to_owned()
    }

    fn cells(&self, at: u64, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).expect("hex")
    }

    fn port(&self) -> flash::Port {
        port(&format!("tty:{}", self.served.tty))
    }

    fn slot(&self, number: u32) -> SlotConfig {
        SlotConfig {
            number,
            ports: vec![self.port()],
            chips: BTreeMap::new(),
            uart: None,
            baud: 115_200,
        }
    }
}

/// A lead's word that this chip may be flashed through its serial loader.
fn approve(station: &Station) {
    let approved = station.desk.ask(|desk| desk.approve_unproven("STM32F103CB", BackEnd::Uart, 12));
    assert_eq!(approved, Ok(Ok(())));
}

fn for_stm32(plan: &mut Plan) {
    plan.chip = "STM32F103CB";
}

#[test]
fn a_chip_behind_its_serial_loader_is_flashed_and_heard_through_one_port() {
    let world = World::new(for_stm32);
    let board = Loader::new();
    let station = Station::start(world.path(), &[board.slot(1)]);
    approve(&station);
    let parcel = world.parcel();
    station.deliver(&parcel);
    station.wait_slot(1, SlotState::Empty);

    board.pull("insert");
    let passed = station.wait_slot(1, SlotState::Pass);
    for (address, bytes) in &parcel.image {
        assert_eq!(&board.cells(*address, bytes.len()), bytes, "image at {address:#x}");
    }
    let block = board.cells(STM32_BLOCK_AT, activation::BLOCK_BYTES);
    let code = activation::code_for("demo-lamp", "stm32f1", &UID).to_string();
    assert_eq!(passed.code.as_deref(), Some(code.as_str()));
    assert_eq!(
        station.visit_events(),
        [
            "contact",
            "identified",
            "reserved",
            "programming",
            "verified",
            "activated",
            "self_tested",
            "passed"
        ]
    );

    // Its program runs and no loader answers: it stays good until it is started into it again.
    assert!(board.pull("state").contains("\"running\":true"));
    board.pull("reset");
    let seen = station.wait_slot(1, SlotState::SeenBefore);
    assert_eq!(seen.code, passed.code);
    assert_eq!(board.cells(STM32_BLOCK_AT, activation::BLOCK_BYTES), block);
    station.stop();
}

#[test]
fn what_is_wrong_behind_a_serial_line_is_named() {
    let check = |lever: &str, code: TroubleCode| {
        let world = World::new(for_stm32);
        let board = Loader::new();
        let station = Station::start(world.path(), &[board.slot(1)]);
        approve(&station);
        station.deliver(&world.parcel());
        station.wait_slot(1, SlotState::Empty);
        board.pull(lever);
        board.pull("insert");
        let failed = station.wait_slot(1, SlotState::Fail);
        assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(code), "{lever}");
        station.stop();
    };
    check("lock", TroubleCode::ChipLocked);
    check("stuck 0x08000100 0", TroubleCode::ReadBackDiffered);
    check("cut 500", TroubleCode::BoardUnplugged);
}

#[test]
fn of_several_ports_the_one_flashes_that_the_orders_chip_can_be_reached_through() {
    let world = World::new(|plan| plan.self_test = false);
    let (board, other) = (Board::new(UIDS[0]), Loader::new());
    let mut slot = board.slot(1);
    slot.ports.insert(0, other.port());
    let station = Station::start(world.path(), &[slot]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    // A chip that the order is not for is behind the other port all the time.
    other.pull("insert");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    assert_holds_image(&board, &parcel);
    let counters: serde_json::Value =
        serde_json::from_str(&other.pull("counters")).expect("counters");
    assert_eq!(counters["commands"], 0, "{counters}");
    station.stop();
}

#[test]
fn a_slot_without_a_port_for_the_orders_chip_says_so() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Loader::new();
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::PortMissing));
    assert!(station.visit_events().is_empty(), "it waits; that is no visit");
    station.stop();
}

#[test]
fn a_kind_of_port_that_the_lease_does_not_allow_flashes_nothing() {
    let check = |kinds: &[&'static str], code: Option<TroubleCode>| {
        let world = World::new(|plan| {
            for_stm32(plan);
            plan.port_kinds = kinds.to_vec();
        });
        let board = Loader::new();
        let station = Station::start(world.path(), &[board.slot(1)]);
        approve(&station);
        station.deliver(&world.parcel());
        board.pull("insert");
        let state = if code.is_some() { SlotState::Fail } else { SlotState::Pass };
        let tile = station.wait_slot(1, state);
        assert_eq!(tile.trouble.map(|trouble| trouble.code), code, "{kinds:?}");
        let blank = board.cells(0x0800_0000, 64).iter().all(|byte| *byte == 0xFF);
        assert_eq!(blank, code.is_some(), "{kinds:?}");
        station.stop();
    };
    check(&[], Some(TroubleCode::PortNotLeased));
    check(&["blackmagic-tcp", "cmsis-dap", "dfu"], Some(TroubleCode::PortNotLeased));
    check(&["blackmagic-tcp", "uart"], None);
}

#[test]
fn a_pseudo_terminal_is_flashed_only_where_the_lease_allows_simulated_boards() {
    let world = World::new(|plan| {
        for_stm32(plan);
        plan.allow_simulated = false;
    });
    let board = Loader::new();
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::ReleaseNotTrusted));
    assert!(board.cells(0x0800_0000, 64).iter().all(|byte| *byte == 0xFF));
    station.stop();
}

#[test]
fn a_chip_not_proven_in_this_way_waits_for_a_leads_recorded_approval() {
    let world = World::new(|plan| {
        for_stm32(plan);
        plan.self_test = false;
    });
    let board = Loader::new();
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    let waits = station.wait_slot(1, SlotState::Fail);
    assert_eq!(waits.trouble.map(|t| t.code), Some(TroubleCode::ChipNotProven));
    assert!(station.visit_events().is_empty(), "it waits; that is no visit");
    assert!(board.cells(0x0800_0000, 64).iter().all(|byte| *byte == 0xFF));
    for (chip, way, refused) in [
        ("STM32F103CB", BackEnd::Dfu, NotApproved::NoSuchWay),
        ("Z80", BackEnd::Uart, NotApproved::NoSuchWay),
        ("nRF52832_xxAA", BackEnd::Probe, NotApproved::ProvenAlready),
    ] {
        let answer = station.desk.ask(move |desk| desk.approve_unproven(chip, way, 12));
        assert_eq!(answer, Ok(Err(refused)), "{chip}");
    }

    // The board that waited is flashed without being touched, and the records say by whose leave.
    approve(&station);
    station.wait_slot(1, SlotState::Pass);
    let given = Approval::Unproven { chip: "STM32F103CB".into(), way: "uart".into(), by: 12 };
    station.wait("the approval shown", |view| view.approvals == [given.clone()]);
    let records = station.records();
    let approved = records.iter().position(|record| {
        matches!(&record.event, audit::Event::UnprovenApproved { operator: 12, .. })
    });
    let programmed = records.iter().position(|record| {
        let audit::Event::Programming { unproven, .. } = &record.event else { return false };
        unproven.as_deref() == Some("approved")
    });
    assert!(approved.is_some() && approved < programmed, "{records:?}");
    station.stop();

    // It counts after a restart.
    let station = Station::start(world.path(), &[]);
    station.wait("the approval kept", |view| view.approvals == [given.clone()]);
    station.stop();
}

#[test]
fn a_probe_that_is_unplugged_is_missed_and_back_in_use_once_it_is_plugged_in_again() {
    let world = World::new(|plan| {
        plan.self_test = false;
        plan.codes = 1;
    });
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    station.wait_slot(1, SlotState::Empty);
    let gone = |slot: SlotView| slot.trouble.map(|trouble| trouble.code);
    board.pull("unplug");
    // The server says why it hangs up.
    assert_eq!(gone(station.wait_slot(1, SlotState::Fail)), Some(TroubleCode::ProbeGone));
    board.pull("plug");
    station.wait_slot(1, SlotState::Empty);

    // In the middle of a visit: the board stays in its seat.
    board.pull("slow 5");
    board.pull("insert");
    station.wait_slot(1, SlotState::Flashing);
    board.pull("unplug");
    let failed = station.wait_slot(1, SlotState::Fail);
    let reserved = failed.code.clone();
    assert_eq!(gone(failed), Some(TroubleCode::ProbeGone));
    board.pull("plug");
    board.pull("heal");
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    assert_eq!(station.wait_slot(1, SlotState::Pass).code, reserved);
    station.stop();
}

#[test]
fn a_serial_adapter_that_comes_after_the_start_or_anew_is_used_without_a_restart() {
    let world = World::new(|plan| {
        for_stm32(plan);
        plan.self_test = false;
    });
    // What udev does: one name for whatever is in that socket.
    let name = world.path().join("adapter");
    let plug = |board: &Loader| {
        let next = world.path().join("adapter.next");
        std::os::unix::fs::symlink(&board.served.tty, &next).expect("a link");
        std::fs::rename(&next, &name).expect("the link's name");
    };
    let mut slot = Loader::new().slot(1);
    slot.ports = vec![port(&format!("tty:{}", name.display()))];
    let station = Station::start(world.path(), &[slot]);
    station.deliver(&world.parcel());
    approve(&station);
    let missing = |slot: SlotView| slot.trouble.map(|trouble| trouble.code);
    assert_eq!(missing(station.wait_slot(1, SlotState::Fail)), Some(TroubleCode::ProbeGone));

    let first = Loader::new();
    plug(&first);
    station.wait_slot(1, SlotState::Empty);
    // The name goes with the adapter: the system gives a freed terminal to whoever asks next, and
    // that may be another test.
    std::fs::remove_file(&name).expect("the link goes");
    first.pull("unplug");
    assert_eq!(missing(station.wait_slot(1, SlotState::Fail)), Some(TroubleCode::ProbeGone));
    let second = Loader::new();
    plug(&second);
    station.wait_slot(1, SlotState::Empty);
    second.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    station.stop();
}

#[test]
fn a_serial_port_that_another_program_has_is_named_and_used_once_it_is_free() {
    let world = World::new(|plan| {
        for_stm32(plan);
        plan.self_test = false;
    });
    let board = Loader::new();
    let other = serialport::new(&board.served.tty, 115_200).open().expect("another program");
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    approve(&station);
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(TroubleCode::ProbeBusy));
    drop(other);
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    station.stop();
}

/// The system's lists of a small machine.
fn lists(world: &World) -> Lists {
    let (usb, serial) = (world.path().join("usb"), world.path().join("serial"));
    Lists { usb, serial }
}

#[allow(clippy::disallowed_methods, reason = "the test makes a small sysfs")]
fn plug_in(lists: &Lists, place: &str, ids: (&str, &str)) {
    let device = lists.usb.join(place);
    std::fs::create_dir_all(&device).expect("device");
    for (name, word) in
        [("idVendor", ids.0), ("idProduct", ids.1), ("busnum", "1"), ("devnum", "7")]
    {
        std::fs::write(device.join(name), word).expect("word");
    }
}

#[test]
fn a_slot_that_is_taught_another_port_takes_the_next_board_through_it() {
    let world = World::new(|plan| plan.self_test = false);
    let (old, new) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let bare = SlotConfig { ports: Vec::new(), uart: None, ..old.slot(2) };
    let station = Station::start(world.path(), &[old.slot(1), bare]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    let trouble = station.wait_slot(2, SlotState::Fail).trouble;
    assert_eq!(trouble.map(|trouble| trouble.code), Some(TroubleCode::PortMissing));
    let teach = |board: &Board, number: u32| {
        let (config, taught) = (board.slot(number), Vec::new());
        let ports = SlotPorts { config, taught, lists: lists(&world) };
        station.desk.tell(move |desk| desk.give_ports(ports));
    };

    // The board that passed lies there still: its probe is another slot's by now.
    old.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    teach(&new, 1);
    station.wait_slot(1, SlotState::Empty);
    new.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    assert_holds_image(&new, &parcel);

    // A slot that had no port at all.
    teach(&old, 2);
    let seen = station.wait_slot(2, SlotState::SeenBefore);
    assert_eq!(seen.uid_tail.as_deref(), Some("0708"));
    station.stop();
}

#[test]
fn a_taught_socket_that_holds_something_else_is_a_recorded_trouble_until_it_does_not() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    station.wait_slot(1, SlotState::Empty);
    let lists = lists(&world);
    plug_in(&lists, "1-1", ("1366", "0101"));
    let taught = port("1366:0101@1-1");
    let ports = SlotPorts { config: board.slot(1), taught: vec![taught], lists: lists.clone() };
    station.desk.tell(move |desk| desk.give_ports(ports));
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);

    // Somebody swaps the probe; the next shift begins.
    plug_in(&lists, "1-1", ("0483", "374b"));
    station.desk.tell(Desk::check_sockets);
    let trouble = station.wait_slot(1, SlotState::Fail).trouble;
    assert_eq!(trouble.map(|trouble| trouble.code), Some(TroubleCode::SocketDiffers));
    let found = || -> Vec<(String, String)> {
        let of = |record: audit::Record| match record.event {
            audit::Event::SocketDiffers { slot: 1, port, found, trouble } if trouble == "F-48" => {
                Some((port, found))
            }
            _ => None,
        };
        station.records().into_iter().filter_map(of).collect()
    };
    assert_eq!(found(), [("1366:0101@1-1".to_owned(), "0483:374b".to_owned())]);
    plug_in(&lists, "1-1", ("1366", "0101"));
    station.wait_slot(1, SlotState::Empty);
    assert_eq!(found().len(), 1, "it was told once");
    station.stop();
}
