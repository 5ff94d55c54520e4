//! Inside: devices in the kernel's virtual host controller, users, and what they may do.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use flash::chips::{ESP32C3, STM32F405RG};
use flash::dfu::DfuBackend;
use flash::esp::EspBackend;
use flash::{Backend, Contact, FlashError, Piece, Plan, Presence, Step};
use simulators::dfu::{Application, Device, Memory, Silicon};
use simulators::esp_loader;
use simulators::rom_loader::lever::Lever;
use simulators::vhci::{AutoReset, Lines, Modem, Plugged, plug};

const PATIENCE: Duration = Duration::from_secs(15);
const UID: [u8; 12] = [0x2A, 0, 0x38, 0, 0x0B, 0x51, 0x33, 0x34, 0x39, 0x38, 0x31, 0x37];
const PLUGDEV: u32 = 46;
const DIALOUT: u32 = 20;
const IMAGE: &str = "/tmp/image.bin";

/// The guest: a loader in port 0, nothing in port 1 yet.
pub(crate) struct Machine {
    bus: u32,
    loader: Plugged<Device>,
    image: Vec<u8>,
}

pub(crate) fn until<R>(what: &str, mut ready: impl FnMut() -> Option<R>) -> R {
    let begun = Instant::now();
    loop {
        if let Some(done) = ready() {
            return done;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

fn quick() -> Silicon {
    Silicon {
        erase_16k: Duration::from_millis(1),
        write_word: Duration::ZERO,
        ..Silicon::stm32f405()
    }
}

pub(crate) fn settle() {
    assert!(Command::new("udevadm").arg("settle").status().unwrap().success());
}

/// What udev keeps about a device file.
fn known(node: &Path) -> String {
    let output = Command::new("udevadm").args(["info", "--name"]).arg(node).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program as the worker, in these groups beside its own.
fn as_worker(groups: &str, program: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1000", "--regid", "1000"]);
    match groups {
        "" => command.arg("--clear-groups"),
        groups => command.args(["--groups", groups]),
    };
    command.args(program).output().unwrap()
}

fn words(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&said).into_owned()
}

impl Machine {
    pub(crate) fn new() -> Self {
        // The controller's first bus is its high-speed one, which takes full-speed devices too.
        let bus = (1..9)
            .find(|bus| Path::new(&format!("/sys/devices/platform/vhci_hcd.0/usb{bus}")).exists())
            .expect("the virtual controller has no bus");
        let mut image: Vec<u8> = (0..60_000_u32).map(|n| (n * 7 / 3).to_le_bytes()[0]).collect();
        image.splice(..4, [0x00, 0x00, 0x02, 0x20]);
        let mut file = fs::File::create(IMAGE).unwrap();
        std::io::Write::write_all(&mut file, &image).unwrap();
        fs::set_permissions(IMAGE, fs::Permissions::from_mode(0o644)).unwrap();
        let loader = plug(0, Device::new(Memory::new(quick(), UID), "STM32FxSTM32"));
        Self { bus, loader, image }
    }

    fn socket(&self) -> String {
        format!("usb:{}-1", self.bus)
    }

    fn hand(&self) -> impl Backend + use<> {
        DfuBackend::at(self.socket().parse().unwrap()).unwrap()
    }

    /// The loader in port 0 as it is after power-up, and everything that udev does about it done.
    fn fresh(&self) -> PathBuf {
        self.loader.unplug();
        let mut hand = self.hand();
        until("the socket is empty", || (hand.contact() == Ok(Contact::Nothing)).then_some(()));
        self.loader.with(|device| *device = Device::new(Memory::new(quick(), UID), "STM32FxSTM32"));
        self.loader.replug();
        self.ready()
    }

    fn ready(&self) -> PathBuf {
        let mut hand = self.hand();
        until("the board is there", || {
            if let Some(error) = self.loader.failure() {
                panic!("{error:?}");
            }
            (hand.contact() == Ok(Contact::Board)).then_some(())
        });
        settle();
        let folder = format!("/sys/bus/usb/devices/{}-1", self.bus);
        let address = fs::read_to_string(format!("{folder}/devnum")).unwrap();
        let address: u32 = address.trim().parse().unwrap();
        PathBuf::from(format!("/dev/bus/usb/{:03}/{address:03}", self.bus))
    }

    fn holds_the_image(&self) -> bool {
        self.loader.with(|device| device.memory().bytes().starts_with(&self.image))
    }

    fn visit(&self, groups: &str) -> Output {
        as_worker(groups, &["board-visit", &self.socket(), "STM32F405RG", IMAGE])
    }
}

fn belongs_to(node: &Path, group: u32) {
    let about = fs::metadata(node).unwrap();
    assert_eq!((about.mode() & 0o777, about.uid(), about.gid()), (0o660, 0, group), "{node:?}");
}

pub(crate) fn udev_opens_the_loader_to_its_group(machine: &Machine) {
    let node = machine.ready();
    // What a program serves through the kernel is no hardware: it gets no plain bytes of a customer.
    assert!(machine.socket().parse::<flash::Port>().unwrap().is_simulated());
    belongs_to(&node, PLUGDEV);
    let known = known(&node);
    for wanted in ["E: ID_MM_DEVICE_IGNORE=1", "E: ID_USB_INTERFACES=:fe0102:"] {
        assert!(known.contains(wanted), "{wanted} is not in {known}");
    }
    let tags = known.lines().find(|line| line.starts_with("E: TAGS=")).unwrap_or_default();
    assert!(tags.contains(":uaccess:"), "{known}");
    // udev reads on after what it does not understand, and says so here only.
    let folder = format!("/sys/bus/usb/devices/{}-1", machine.bus);
    let output = Command::new("udevadm").args(["test", &folder]).output().unwrap();
    let said = words(&output);
    let complaint = said.lines().find(|line| {
        line.contains("70-flashline.rules:") && {
            ["nvalid", "nknown", "gnoring", "writing"].iter().any(|word| line.contains(word))
        }
    });
    assert_eq!(complaint, None, "{said}");
    assert!(said.contains("70-flashline.rules"), "the rules were not read: {said}");
}

pub(crate) fn a_member_flashes_and_a_stranger_does_not(machine: &Machine) {
    let stranger = machine.visit("");
    assert!(!stranger.status.success());
    let said = words(&stranger);
    assert!(said.contains(&format!("no permission to use {}", machine.socket())), "{said}");
    assert_eq!(machine.loader.with(|device| device.programmed_bytes()), 0);

    let member = machine.visit("46");
    assert!(member.status.success(), "{}", words(&member));
    assert!(machine.holds_the_image());
    assert!(machine.loader.with(|device| device.runs_its_program()));
}

/// udev's `uaccess` gives the seat's user an entry in the device's access list. Who that is it reads
/// from logind's file; there is no logind here, so the file is the test's.
pub(crate) fn who_sits_at_the_machine_flashes_without_a_group(machine: &Machine) {
    let seats = Path::new("/run/systemd/seats");
    fs::create_dir_all(seats).unwrap();
    let sits = |uid: u32| {
        let mut seat = fs::File::create(seats.join("seat0")).unwrap();
        let words = format!("IS_SEAT0=1\nACTIVE=1\nACTIVE_UID={uid}\n");
        std::io::Write::write_all(&mut seat, words.as_bytes()).unwrap();
    };
    let may = |uid: u32, wanted: bool| {
        sits(uid);
        belongs_to(&machine.fresh(), PLUGDEV);
        let done = machine.visit("");
        assert_eq!(done.status.success(), wanted, "{uid} sits there: {}", words(&done));
    };
    may(1001, false);
    may(1000, true);
    assert!(machine.holds_the_image());
    fs::remove_dir_all(seats).unwrap();
}

pub(crate) fn a_board_comes_and_goes(machine: &Machine) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(machine.fresh());
        let mut hand = machine.hand();
        hand.identify(&STM32F405RG).unwrap();
        machine.loader.unplug();
        until("the kernel has seen it", || (hand.presence() == Ok(Presence::Gone)).then_some(()));
        assert_eq!(hand.contact(), Ok(Contact::Nothing));
        machine.loader.replug();
        belongs_to(&machine.ready(), PLUGDEV);
        let done = machine.visit("46");
        assert!(done.status.success() && machine.holds_the_image(), "{}", words(&done));
    }
    nodes.dedup();
    assert_eq!(nodes.len(), 3, "every enumeration has a number of its own");
}

pub(crate) fn faults_are_told_from_each_other(machine: &Machine) {
    let check = |lever: &str, is_right: &dyn Fn(&FlashError) -> bool| {
        machine.fresh();
        let mut hand = machine.hand();
        hand.identify(&STM32F405RG).unwrap();
        machine.loader.with(|device| device.pull(lever.parse().unwrap()));
        let piece = Piece { name: "image", address: 0x0800_0000, bytes: &machine.image };
        let plan = Plan::new(&STM32F405RG, [piece]).unwrap();
        let found = hand.program(&plan, &mut |_| {});
        assert!(matches!(&found, Err(error) if is_right(error)), "{lever}: {found:?}");
        assert_eq!(machine.loader.with(Device::heal), 0, "{lever} was not reached");
    };
    check("dnload:5=stall", &|e| matches!(e, FlashError::Driver { during: Step::Program, .. }));
    check("dnload:5=hang", &|e| matches!(e, FlashError::Silent { during: Step::Program, .. }));
    check("dnload:5=unplug", &|e| matches!(e, FlashError::Silent { during: Step::Program, .. }));
    check("upload:5=babble", &|e| matches!(e, FlashError::Driver { during: Step::Survey, .. }));
    check("dnload:5=corrupt", &|e| matches!(e, FlashError::VerifyDiffered { bytes: 1, .. }));
}

pub(crate) fn a_running_program_is_told_to_detach(machine: &Machine) {
    machine.fresh();
    machine.loader.unplug();
    machine.loader.with(|device| {
        let mut memory = Memory::new(quick(), UID);
        memory.put(0x0800_0000, &machine.image[..1024]);
        let application = Application::RunTimeDfu { will_detach: true, behind: 2 };
        *device = Device::new(memory, "LAMP-1").running(application);
    });
    machine.loader.replug();
    belongs_to(&machine.ready(), PLUGDEV);
    let done = machine.visit("46");
    assert!(done.status.success() && machine.holds_the_image(), "{}", words(&done));
}

pub(crate) fn the_lines_of_a_serial_port_are_driven(_: &Machine) {
    // The port of a Raspberry Pi Debug Probe, as far as udev can tell.
    let modem = plug(1, Modem::new((0x2E8A, 0x000C), "E6614103E7"));
    let node = Path::new("/dev/ttyACM0");
    until("there is a port", || {
        assert!(modem.failure().is_none());
        node.exists().then_some(())
    });
    settle();
    belongs_to(node, DIALOUT);
    let known = known(node);
    for wanted in ["E: ID_MM_DEVICE_IGNORE=1", "E: ID_MM_PORT_IGNORE=1", ":uaccess:"] {
        assert!(known.contains(wanted), "{wanted} is not in {known}");
    }
    let open = ["sh", "-c", "exec 3<>/dev/ttyACM0"];
    assert!(!as_worker("", &open).status.success(), "a stranger opens the port");
    let member = as_worker("20", &open);
    assert!(member.status.success(), "{}", words(&member));

    let builder = serialport::new("/dev/ttyACM0", 115_200).timeout(PATIENCE);
    let mut port = builder.open().unwrap();
    let seen = |wanted: Lines| {
        until("the lines are driven", || {
            modem.with(|modem| (modem.lines().last() == Some(&wanted)).then_some(()))
        });
    };
    for (data_terminal_ready, request_to_send) in
        [(true, false), (false, true), (false, false), (true, true)]
    {
        port.write_data_terminal_ready(data_terminal_ready).unwrap();
        port.write_request_to_send(request_to_send).unwrap();
        seen(Lines { data_terminal_ready, request_to_send });
    }
    assert_eq!(modem.with(|modem| modem.baud()), 115_200);
    port.write_all(b"who is there").unwrap();
    let mut echo = [0; 12];
    port.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"who is there");
    modem.unplug();
    until("the port is gone", || (!node.exists()).then_some(()));
}

/// An ESP32 on a board with Espressif's reset circuit: no hand touches its pins.
pub(crate) fn the_lines_start_a_chips_loader(_: &Machine) {
    const MAC: [u8; 6] = [0x60, 0x55, 0xF9, 0x12, 0x34, 0x56];
    let chip = |mac| {
        let model = esp_loader::chip::model("esp32c3").unwrap();
        let chip = esp_loader::Chip::new(model, mac, 0x20_0000, None).unwrap();
        AutoReset::new(esp_loader::Wire::new(chip, 0.0))
    };
    let modem = plug(1, Modem::before((0x2E8A, 0x000C), "E6614103E8", chip(MAC)));
    // Nobody has started the loader: the program in flash, which is none, has the chip.
    modem.with(|modem| modem.far().pull(Lever::Run));
    let node = Path::new("/dev/ttyACM0");
    until("there is a port", || node.exists().then_some(()));
    settle();
    let runs = || {
        let state = modem.with(|modem| modem.far().pull(Lever::State));
        let state: serde_json::Value =
            serde_json::from_str(state.trim_start_matches("ok ")).unwrap();
        state["running"].as_bool().unwrap()
    };
    assert!(runs());

    let mut hand = EspBackend::new("/dev/ttyACM0", 460_800);
    until("the lines have brought it into its loader", || {
        matches!(hand.contact(), Ok(Contact::Board)).then_some(())
    });
    let identity = hand.identify(&ESP32C3).unwrap();
    assert_eq!(identity.uid.unwrap().as_bytes(), MAC);
    assert!(!runs());
    // The header of an image that the chip starts.
    let mut image = vec![0_u8; 64];
    (image[0], image[1], image[12]) = (0xE9, 0, 5);
    let plan = Plan::new(&ESP32C3, [Piece { name: "image", address: 0, bytes: &image }]).unwrap();
    assert_eq!(hand.program(&plan, &mut |_| {}).unwrap().verified_bytes, 64);
    hand.reset_and_run().unwrap();
    assert!(runs(), "the lines have let its program start");

    // After its PASS it is fetched back and compared.
    assert_eq!(hand.presence(), Ok(Presence::Still));
    hand.reset_and_run().unwrap();
    modem.with(|modem| *modem.far() = chip([0x60, 0x55, 0xF9, 0x12, 0x34, 0x57]));
    assert_eq!(hand.presence(), Ok(Presence::Gone), "another board");
    modem.unplug();
    until("the port is gone", || (!node.exists()).then_some(()));
}
