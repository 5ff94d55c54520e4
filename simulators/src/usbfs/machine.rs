//! The machine's sockets and what is plugged into them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::sys::TestbedError;
use super::tree::Place;
use crate::dfu::{Device, Reply, Setup};

/// How long control transfers take on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireTime {
    /// Setup, status and the host's own schedule.
    pub transfer: Duration,
    /// Each packet of 64 bytes.
    pub packet: Duration,
}

impl WireTime {
    /// Everything is there at once.
    pub const NONE: Self = Self { transfer: Duration::ZERO, packet: Duration::ZERO };

    /// A full-speed device: a control transfer without data takes a frame of 1 ms, and 13 packets
    /// of 64 bytes fit into each further one (USB 2.0, table 5-2, 13 transfers of 64 bytes).
    pub const FULL_SPEED: Self =
        Self { transfer: Duration::from_millis(1), packet: Duration::from_micros(77) };
}

struct Seat {
    device: Device,
    place: Place,
    seated: bool,
    /// Device number of the enumeration that is shown.
    address: u8,
    /// Which enumeration of the device is shown; none while it is off the bus.
    shown: Option<u32>,
}

impl Seat {
    fn is_on_the_bus(&self) -> bool {
        self.seated && self.device.is_on_the_bus()
    }

    fn differs(&self) -> bool {
        self.shown != self.is_on_the_bus().then_some(self.device.enumerations)
    }
}

/// What has to change in the tree so that it shows what is there.
pub(super) enum Change {
    Gone(Place),
    Come(Come),
}

/// A device that shows up.
pub(super) struct Come {
    pub(super) port: String,
    pub(super) place: Place,
    pub(super) address: u8,
    pub(super) descriptors: Vec<u8>,
    pub(super) texts: [String; 3],
    pub(super) ids: (u16, u16, u16),
}

/// Sockets with devices in them, told the time by the machine's own clock.
pub(super) struct Machine {
    begun: Instant,
    wire: WireTime,
    last_address: u8,
    seats: BTreeMap<String, Seat>,
    /// A change is being made in the tree.
    pub(super) showing: bool,
    /// The tree could not be changed.
    pub(super) failed: Option<TestbedError>,
    /// The tree is no longer kept.
    pub(super) over: bool,
}

impl Machine {
    pub(super) fn new(wire: WireTime) -> Self {
        Self {
            begun: Instant::now(),
            wire,
            last_address: 1,
            seats: BTreeMap::new(),
            showing: false,
            failed: None,
            over: false,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn wire_time(&self, bytes: usize) -> Duration {
        let packets = u32::try_from(bytes.div_ceil(64)).unwrap_or(u32::MAX);
        self.wire.transfer + self.wire.packet * packets
    }

    pub(super) fn insert(&mut self, port: &str, place: Place, device: Device) {
        let seat = self.seats.remove(port);
        let (address, shown) = seat.map_or((0, None), |seat| (seat.address, seat.shown));
        // Another device is another enumeration, however often it has enumerated elsewhere.
        let shown = shown.map(|_| u32::MAX);
        self.seats.insert(port.to_owned(), Seat { device, place, seated: true, address, shown });
    }

    pub(super) fn remove(&mut self, port: &str) {
        if let Some(seat) = self.seats.get_mut(port) {
            seat.seated = false;
            seat.device.power_down();
        }
    }

    pub(super) fn reseat(&mut self, port: &str) {
        if let Some(seat) = self.seats.get_mut(port) {
            seat.seated = true;
            seat.device.power_up();
        }
    }

    pub(super) fn device(&mut self, port: &str) -> Option<&mut Device> {
        self.seats.get_mut(port).map(|seat| &mut seat.device)
    }

    /// The device shown at this address is still the one in the port.
    pub(super) fn has(&self, port: &str, address: u8) -> bool {
        self.seats.get(port).is_some_and(|seat| {
            seat.address == address
                && seat.is_on_the_bus()
                && seat.shown == Some(seat.device.enumerations)
        })
    }

    pub(super) fn control(&mut self, port: &str, setup: Setup, out: &[u8]) -> Reply {
        let now = self.now();
        match self.seats.get_mut(port).filter(|seat| seat.seated) {
            Some(seat) => seat.device.control(setup, out, now),
            None => Reply::Gone,
        }
    }

    pub(super) fn select(&mut self, port: &str, alternate: u8) {
        if let Some(seat) = self.seats.get_mut(port) {
            seat.device.select(alternate);
        }
    }

    pub(super) fn reset(&mut self, port: &str) {
        if let Some(seat) = self.seats.get_mut(port) {
            seat.device.bus_reset();
        }
    }

    /// A number no device of this machine has.
    pub(super) fn fresh_address(&mut self) -> u8 {
        self.last_address = if self.last_address >= 127 { 2 } else { self.last_address + 1 };
        self.last_address
    }

    /// The next difference between what is shown and what is there, which is then being shown.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        let port =
            self.seats.iter().find(|(_, seat)| seat.differs()).map(|(port, _)| port.clone())?;
        let address = self.fresh_address();
        let seat = self.seats.get_mut(&port)?;
        self.showing = true;
        let place = seat.place.clone();
        if seat.shown.take().is_some() {
            return Some(Change::Gone(place));
        }
        (seat.shown, seat.address) = (Some(seat.device.enumerations), address);
        let (descriptors, texts) = (seat.device.descriptors(), seat.device.texts());
        let ids = seat.device.ids();
        Some(Change::Come(Come { port, place, address, descriptors, texts, ids }))
    }

    /// Every device is shown as it is.
    pub(super) fn is_settled(&self) -> bool {
        !self.showing && !self.seats.values().any(Seat::differs)
    }
}
