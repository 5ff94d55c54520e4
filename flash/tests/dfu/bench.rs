//! The simulated bus as the back end's wire, two chips, and images for them.

use std::time::Duration;

use flash::dfu::{DfuBackend, Port, Setup, Sighting, Transport, UsbFault, Waiter};
use flash::{
    Backend, Chip, Contact, FlashError, Identity, PartReader, Piece, Plan, ProgramReport, Protect,
    UidReader,
};
use simulators::dfu as model;
use simulators::dfu::{Bus, Cable, CableFault, Device, Memory, Silicon};

pub(crate) const UID: [u8; 12] = [0x2A, 0, 0x38, 0, 0x0B, 0x51, 0x33, 0x34, 0x39, 0x38, 0x31, 0x37];
pub(crate) const SERIAL: &str = "STM32FxSTM32";
pub(crate) const SLOT: &str = "usb:1-2.3";
pub(crate) const START: u64 = 0x0800_0000;

pub(crate) use flash::chips::{STM32F072RB as F0, STM32F405RG as F4, STM32L476RG as L4};

/// A chip that no row knows.
pub(crate) static STRANGER: Chip = Chip {
    name: "STM32H743ZI",
    family: "stm32h7",
    regions: &[],
    ram: (0x2000_0000, 0x1_0000),
    uid: UidReader::EfuseMac,
    part: PartReader::ByLoader,
    protect: Protect::None,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: &[],
    ways: &[],
};

/// Bytes that look like a program: a stack in RAM, then no byte like its neighbour.
pub(crate) fn image(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut image: Vec<u8> = (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    let head = [0x00, 0x00, 0x02, 0x20];
    image.iter_mut().zip(head).for_each(|(to, from)| *to = from);
    image
}

pub(crate) fn f4_device() -> Device {
    Device::new(Memory::new(Silicon::stm32f405(), UID), SERIAL)
}

pub(crate) fn l4_device() -> Device {
    Device::new(Memory::new(Silicon::stm32l476(), UID), SERIAL)
}

pub(crate) struct ModelPort(pub(crate) Cable);

pub(crate) struct ModelWire(model::Wire);

pub(crate) struct ModelTime(pub(crate) Bus);

pub(crate) type Hand = DfuBackend<ModelPort, ModelTime>;

fn fault(fault: CableFault) -> UsbFault {
    match fault {
        CableFault::Stall => UsbFault::Stall,
        CableFault::Timeout => UsbFault::Timeout,
        CableFault::Babble => UsbFault::Babble,
        CableFault::Gone => UsbFault::Gone,
        CableFault::Denied => UsbFault::Denied,
    }
}

fn setup(setup: Setup, length: usize) -> model::Setup {
    let Setup { kind, request, value, index } = setup;
    model::Setup { kind, request, value, index, length: u16::try_from(length).unwrap() }
}

impl Port for ModelPort {
    type Wire = ModelWire;

    fn look(&mut self) -> Result<Option<Sighting>, UsbFault> {
        Ok(self.0.look().map(|seen| Sighting {
            address: seen.address,
            vendor: seen.vendor,
            product: seen.product,
            release: seen.release,
            serial_index: seen.serial_index,
        }))
    }

    fn open(&mut self) -> Result<ModelWire, UsbFault> {
        self.0.open().map(ModelWire).map_err(fault)
    }

    fn name(&self) -> String {
        self.0.path().to_owned()
    }
}

impl Transport for ModelWire {
    fn control_in(
        &mut self,
        request: Setup,
        into: &mut [u8],
        within: Duration,
    ) -> Result<usize, UsbFault> {
        let bytes = self.0.control_in(setup(request, into.len()), within).map_err(fault)?;
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn control_out(
        &mut self,
        request: Setup,
        bytes: &[u8],
        within: Duration,
    ) -> Result<(), UsbFault> {
        self.0.control_out(setup(request, bytes.len()), bytes, within).map_err(fault)
    }

    fn select(&mut self, _interface: u8, alternate: u8) -> Result<(), UsbFault> {
        self.0.select(alternate);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), UsbFault> {
        self.0.reset();
        Ok(())
    }
}

impl Waiter for ModelTime {
    fn now(&mut self) -> Duration {
        self.0.now()
    }

    fn wait(&mut self, pause: Duration) {
        self.0.wait(pause);
    }
}

pub(crate) fn bus_with(device: Device) -> Bus {
    let bus = Bus::new();
    bus.insert(SLOT, device);
    bus
}

pub(crate) fn hand(bus: &Bus, path: &str) -> Hand {
    DfuBackend::new(ModelPort(bus.cable(path)), ModelTime(bus.clone()))
}

/// Looks twice, as far apart as contact has to be steady.
pub(crate) fn steady(bus: &Bus, hand: &mut Hand) -> Result<Contact, FlashError> {
    hand.contact()?;
    bus.wait(Duration::from_millis(100));
    hand.contact()
}

pub(crate) fn identified(bus: &Bus, chip: &'static Chip) -> (Hand, Identity) {
    let mut hand = hand(bus, SLOT);
    let identity = hand.identify(chip).unwrap();
    (hand, identity)
}

pub(crate) fn plan<'a>(chip: &'static Chip, pieces: &[(u64, &'a [u8])]) -> Plan<'a> {
    let pieces =
        pieces.iter().map(|(address, bytes)| Piece { name: "image", address: *address, bytes });
    Plan::new(chip, pieces).unwrap()
}

pub(crate) fn program(
    hand: &mut Hand,
    chip: &'static Chip,
    pieces: &[(u64, &[u8])],
) -> Result<ProgramReport, FlashError> {
    hand.program(&plan(chip, pieces), &mut |_| {})
}

/// Flash from `address` on, as a bench instrument sees it.
pub(crate) fn held(bus: &Bus, path: &str, address: u64, bytes: usize) -> Vec<u8> {
    let start = usize::try_from(address - START).unwrap();
    bus.with(path, |device| device.memory().bytes()[start..start + bytes].to_vec()).unwrap()
}
