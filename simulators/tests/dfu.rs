//! The simulated loader against the rules of DFU 1.1 and ST's AN3156, request by request.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use simulators::dfu::{
    Application, Bus, CableFault, Device, Flavour, LoaderState, Memory, Setup, Silicon, Wire,
};

const SLOT: &str = "usb:1-1";
const WITHIN: Duration = Duration::from_secs(1);
const START: u32 = 0x0800_0000;

struct Bench {
    bus: Bus,
    wire: Wire,
}

impl Bench {
    fn with(device: Device) -> Self {
        let bus = Bus::new();
        bus.insert(SLOT, device);
        let wire = bus.cable(SLOT).open().unwrap();
        Self { bus, wire }
    }

    fn new(silicon: Silicon) -> Self {
        Self::with(Device::new(Memory::new(silicon, [7; 12]), "00"))
    }

    fn send(&mut self, request: u8, value: u16, bytes: &[u8]) -> Result<(), CableFault> {
        let length = u16::try_from(bytes.len()).unwrap();
        let setup = Setup { kind: 0x21, request, value, index: 0, length };
        self.wire.control_out(setup, bytes, WITHIN)
    }

    fn ask(&mut self, request: u8, value: u16, length: u16) -> Result<Vec<u8>, CableFault> {
        let setup = Setup { kind: 0xA1, request, value, index: 0, length };
        self.wire.control_in(setup, WITHIN)
    }

    /// (bStatus, poll time in ms, bState)
    fn status(&mut self) -> Result<(u8, u64, u8), CableFault> {
        let bytes = self.ask(3, 0, 6)?;
        let poll = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], 0]);
        Ok((bytes[0], poll.into(), bytes[4]))
    }

    /// Sends a block and asks until the device is no longer busy.
    fn work(&mut self, value: u16, bytes: &[u8]) -> (u8, u8) {
        self.send(1, value, bytes).unwrap();
        loop {
            let (code, poll, state) = self.status().unwrap();
            if state != LoaderState::DnBusy as u8 {
                return (code, state);
            }
            self.bus.wait(Duration::from_millis(poll));
        }
    }

    fn pointer(&mut self, address: u32) -> (u8, u8) {
        let mut command = vec![0x21];
        command.extend(address.to_le_bytes());
        self.work(0, &command)
    }

    fn erase(&mut self, address: u32) -> (u8, u8) {
        let mut command = vec![0x41];
        command.extend(address.to_le_bytes());
        self.work(0, &command)
    }

    fn flash(&self, address: u32, count: usize) -> Vec<u8> {
        let start = usize::try_from(address - START).unwrap();
        self.bus.with(SLOT, |d| d.memory().bytes()[start..start + count].to_vec()).unwrap()
    }

    fn clear(&mut self) {
        self.send(4, 0, &[]).unwrap();
        assert_eq!(self.status(), Ok((0, 0, 2)));
    }
}

const DNLOAD_IDLE: (u8, u8) = (0, 5);
const ERR_TARGET: (u8, u8) = (1, 10);
const ERR_PROG: (u8, u8) = (6, 10);
const ERR_VENDOR: (u8, u8) = (11, 10);
const ERR_STALLED: (u8, u8) = (15, 10);

#[test]
fn a_block_goes_to_the_pointer_plus_its_number_less_two_times_the_block_size() {
    let mut bench = Bench::new(Silicon::stm32f405());
    assert_eq!(bench.pointer(START + 0x100), DNLOAD_IDLE);
    assert_eq!(bench.work(2, &[1; 16]), DNLOAD_IDLE);
    assert_eq!(bench.work(5, &[5; 16]), DNLOAD_IDLE);
    assert_eq!(bench.flash(START + 0x100, 17), [&[1; 16][..], &[0xFF]].concat());
    assert_eq!(bench.flash(START + 0x100 + 3 * 2048, 16), [5; 16]);
    bench.send(6, 0, &[]).unwrap();
    assert_eq!(bench.ask(2, 5, 16), Ok(vec![5; 16]));
    assert_eq!(bench.ask(2, 2, 4), Ok(vec![1; 4]));
    bench.send(6, 0, &[]).unwrap();
    assert_eq!(bench.ask(2, 0, 16), Ok(vec![0x00, 0x21, 0x41, 0x92]), "the list of commands");
}

#[test]
fn a_busy_device_that_is_asked_too_early_stalls_and_is_in_error() {
    let mut bench = Bench::new(Silicon::stm32f405());
    bench.send(1, 0, &[0x41]).unwrap();
    let (_, poll, state) = bench.status().unwrap();
    assert_eq!((poll, state), (16_000, LoaderState::DnBusy as u8));
    bench.bus.wait(Duration::from_millis(poll - 1));
    assert_eq!(bench.status(), Err(CableFault::Stall));
    assert_eq!(bench.status(), Ok((15, 0, 10)));
    bench.clear();
    bench.send(1, 0, &[0x41]).unwrap();
    bench.status().unwrap();
    bench.bus.wait(Duration::from_millis(poll));
    assert_eq!(bench.status(), Ok((0, 0, 5)));
}

#[test]
fn a_request_that_does_not_belong_into_a_state_is_stalled_and_leads_to_error() {
    type Step = fn(&mut Bench) -> Result<(), CableFault>;
    let check = |name: &str, before: Step, refused: Step, code: u8| {
        let mut bench = Bench::new(Silicon::stm32f405());
        before(&mut bench).unwrap();
        assert_eq!(refused(&mut bench), Err(CableFault::Stall), "{name}");
        assert_eq!(bench.status(), Ok((code, 0, 10)), "{name}");
        assert_eq!(
            bench.send(6, 0, &[]),
            Err(CableFault::Stall),
            "{name}: no abort out of an error"
        );
        bench.clear();
    };
    let nothing: Step = |_| Ok(());
    let to_download: Step = |b| {
        b.pointer(START);
        Ok(())
    };
    let to_upload: Step = |b| b.ask(2, 2, 4).map(drop);
    check("upload in a download", to_download, |b| b.ask(2, 2, 4).map(drop), 15);
    check("download in an upload", to_upload, |b| b.send(1, 2, &[0; 4]), 15);
    check("block 1 down", to_download, |b| b.send(1, 1, &[0; 4]), 15);
    check("block 1 up", nothing, |b| b.ask(2, 1, 4).map(drop), 15);
    check("a block too long", to_download, |b| b.send(1, 2, &[0; 2049]), 15);
    check("a second block unasked", |b| b.send(1, 0, &[0x41]), |b| b.send(1, 0, &[0x41]), 15);
    check("clear without an error", nothing, |b| b.send(4, 0, &[]), 14);
    check("detach in the loader", nothing, |b| b.send(0, 0, &[]), 15);
    check("reading past the end", to_upload, |b| b.ask(2, 514, 4).map(drop), 1);
}

#[test]
fn addresses_that_are_not_there_and_unknown_commands_end_in_an_error_status() {
    let mut bench = Bench::new(Silicon::stm32f405());
    let check = |bench: &mut Bench, found: (u8, u8), wanted: (u8, u8)| {
        assert_eq!(found, wanted);
        bench.clear();
    };
    let found = bench.pointer(0x0810_0000);
    check(&mut bench, found, ERR_TARGET);
    let found = bench.erase(0x0810_0000);
    check(&mut bench, found, ERR_TARGET);
    let found = bench.work(0, &[0x33]);
    check(&mut bench, found, ERR_STALLED);
    assert_eq!(bench.pointer(0x080F_FFFC), DNLOAD_IDLE);
    let found = bench.work(2, &[0; 8]);
    check(&mut bench, found, ERR_TARGET);
    assert_eq!(bench.pointer(0x1FFF_7A10), DNLOAD_IDLE, "the unique id can be looked at");
    bench.send(6, 0, &[]).unwrap();
    assert_eq!(bench.ask(2, 2, 12), Ok(vec![7; 12]));
}

#[test]
fn cells_take_what_their_kind_of_flash_takes() {
    let mut bench = Bench::new(Silicon::stm32f405());
    bench.pointer(START);
    assert_eq!(bench.work(2, &[0xF0; 8]), DNLOAD_IDLE);
    assert_eq!(bench.work(2, &[0x3C; 8]), DNLOAD_IDLE);
    assert_eq!(bench.flash(START, 9), [&[0x30; 8][..], &[0xFF]].concat(), "bits only fall");
    assert_eq!(bench.erase(START + 0x3FFF), DNLOAD_IDLE);
    assert_eq!(bench.flash(START, 8), [0xFF; 8]);

    let mut bench = Bench::new(Silicon::stm32l476());
    bench.pointer(START);
    assert_eq!(bench.work(2, &[0xF0; 8]), DNLOAD_IDLE);
    assert_eq!(bench.work(2, &[0xF0; 8]), ERR_PROG, "a double word is written once");
    bench.clear();
    bench.pointer(START);
    assert_eq!(bench.work(2, &[0; 8]), DNLOAD_IDLE, "or cleared");
}

#[test]
fn a_locked_chip_only_lets_the_pointer_be_set_until_it_is_erased_whole() {
    let mut memory = Memory::new(Silicon::stm32f405(), [7; 12]);
    memory.put(START, &[1, 2, 3, 4]);
    memory.lock();
    let mut bench = Bench::with(Device::new(memory, "00"));
    assert_eq!(bench.pointer(START), DNLOAD_IDLE);
    assert_eq!(bench.work(2, &[0; 4]), ERR_VENDOR);
    bench.clear();
    assert_eq!(bench.erase(START), ERR_VENDOR);
    bench.clear();
    assert_eq!(bench.ask(2, 2, 4), Err(CableFault::Stall));
    assert_eq!(bench.status(), Ok((11, 0, 10)));
    bench.clear();
    assert_eq!(bench.flash(START, 4), [1, 2, 3, 4]);

    bench.send(1, 0, &[0x92]).unwrap();
    assert_eq!(bench.status().map(|(_, _, state)| state), Ok(LoaderState::DnBusy as u8));
    assert_eq!(bench.status(), Err(CableFault::Gone), "it resets itself");
    bench.wire = bench.bus.cable(SLOT).open().unwrap();
    assert_eq!(bench.ask(2, 2, 4), Ok(vec![0xFF; 4]));
}

#[test]
fn a_write_protected_page_keeps_its_bytes_and_says_nothing() {
    let mut memory = Memory::new(Silicon::stm32f405(), [7; 12]);
    memory.put(START, &[9; 8]);
    memory.write_protect(START + 5);
    let mut bench = Bench::with(Device::new(memory, "00"));
    assert_eq!(bench.erase(START), DNLOAD_IDLE);
    bench.pointer(START);
    assert_eq!(bench.work(2, &[0; 8]), DNLOAD_IDLE);
    assert_eq!(bench.flash(START, 8), [9; 8]);
}

#[test]
fn leaving_starts_a_program_or_takes_the_device_off_the_bus_and_power_brings_the_loader_back() {
    let check = |program: &[u8], application: Application, back: Option<u16>| {
        let mut memory = Memory::new(Silicon::stm32f405(), [7; 12]);
        memory.put(START, program);
        let mut device = Device::new(memory, "00");
        device.set_application(application);
        let mut bench = Bench::with(device);
        let first = bench.bus.cable(SLOT).look().unwrap().address;
        bench.pointer(START);
        bench.send(1, 2, &[]).unwrap();
        assert_eq!(bench.status(), Ok((0, 0, LoaderState::Manifest as u8)));
        assert_eq!(bench.status(), Err(CableFault::Gone));
        let seen = bench.bus.cable(SLOT).look();
        assert_eq!(seen.map(|seen| seen.product), back);
        assert!(seen.is_none_or(|seen| seen.address != first));
        bench.bus.remove(SLOT);
        assert_eq!(bench.bus.cable(SLOT).look(), None);
        bench.bus.reseat(SLOT);
        assert_eq!(bench.bus.cable(SLOT).look().map(|seen| seen.product), Some(0xDF11));
    };
    let run_time = Application::RunTimeDfu { will_detach: true, behind: 0 };
    check(&[0, 0, 2, 0x20], Application::Silent, None);
    check(&[0, 0, 2, 0x20], run_time, Some(0x5740));
    check(&[], run_time, None);
}

#[test]
fn a_device_told_to_stay_answers_on_and_no_request_leads_it_back() {
    let mut bench = Bench::new(Silicon::stm32f405());
    bench.bus.with(SLOT, Device::ignore_leave);
    bench.send(1, 2, &[]).unwrap();
    assert_eq!(bench.status(), Ok((0, 0, 7)));
    assert_eq!(bench.status(), Ok((0, 0, 7)));
}

#[test]
fn a_plain_device_wants_its_blocks_in_order_and_an_image_before_the_end() {
    let flavour = Flavour::Plain { manifestation_tolerant: true };
    let device = || Device::new(Memory::new(Silicon::stm32f405(), [7; 12]), "00");
    let mut bench = Bench::with(device().with_flavour(flavour));
    assert_eq!(bench.send(1, 0, &[]), Err(CableFault::Stall));
    bench.clear();
    assert_eq!(bench.send(1, 1, &[1; 8]), Err(CableFault::Stall));
    bench.clear();
    assert_eq!(bench.work(0, &[1; 2048]), DNLOAD_IDLE);
    assert_eq!(bench.send(1, 2, &[1; 8]), Err(CableFault::Stall));
    bench.clear();
    assert_eq!(bench.work(0, &[2; 2048]), DNLOAD_IDLE);
    assert_eq!(bench.work(1, &[3; 8]), DNLOAD_IDLE);
    bench.send(1, 2, &[]).unwrap();
    let (_, poll, state) = bench.status().unwrap();
    assert_eq!(state, LoaderState::Manifest as u8);
    bench.bus.wait(Duration::from_millis(poll));
    assert_eq!(bench.status(), Ok((0, 0, 2)));
    assert_eq!(bench.flash(START + 2047, 2), [2, 3]);
}

#[test]
fn supply_that_fails_in_a_block_keeps_the_bytes_already_written() {
    let mut bench = Bench::new(Silicon::stm32f405());
    bench.bus.with(SLOT, |d| d.memory_mut().cut_after(5));
    bench.pointer(START);
    bench.send(1, 2, &[0; 8]).unwrap();
    assert_eq!(bench.status(), Err(CableFault::Gone));
    assert_eq!(bench.bus.cable(SLOT).look(), None);
    assert_eq!(bench.flash(START, 8), [0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF]);
    bench.bus.reseat(SLOT);
    bench.wire = bench.bus.cable(SLOT).open().unwrap();
    assert_eq!(bench.status(), Ok((0, 0, 2)));
}
