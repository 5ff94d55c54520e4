//! The front for a test in the same process: USB ports, and a clock that moves when somebody waits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::device::{Device, Reply, Setup};

/// What a host controller reports instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CableFault {
    /// The device refused.
    Stall,
    /// No answer in time.
    Timeout,
    /// Too much came.
    Babble,
    /// There is no such device any more.
    Gone,
    /// The system refuses the device.
    Denied,
}

/// A device as the bus shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Device number; a new one for every enumeration.
    pub address: u8,
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
    /// bcdDevice.
    pub release: u16,
    /// iSerialNumber.
    pub serial_index: u8,
}

struct Seat {
    device: Device,
    seated: bool,
    denied: bool,
    address: u8,
    enumerated: u32,
}

#[derive(Default)]
struct Inner {
    now: Duration,
    last_address: u8,
    seats: BTreeMap<String, Seat>,
}

impl Inner {
    /// The device in a port, with an address of its own for every enumeration.
    fn live(&mut self, path: &str) -> Option<&mut Seat> {
        let seat = self.seats.get_mut(path)?;
        if !seat.seated || !seat.device.is_on_the_bus() {
            return None;
        }
        if seat.enumerated != seat.device.enumerations {
            seat.enumerated = seat.device.enumerations;
            self.last_address = self.last_address % 127 + 1;
            seat.address = self.last_address;
        }
        Some(seat)
    }
}

/// All ports of one machine.
#[derive(Clone, Default)]
pub struct Bus(Rc<RefCell<Inner>>);

impl Bus {
    /// A machine with empty ports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a device into a port, in place of what was there.
    pub fn insert(&self, path: &str, device: Device) {
        let seat = Seat { device, seated: true, denied: false, address: 0, enumerated: u32::MAX };
        self.0.borrow_mut().seats.insert(path.to_owned(), seat);
    }

    /// Pulls the device out of a port; it loses its power.
    pub fn remove(&self, path: &str) {
        if let Some(seat) = self.0.borrow_mut().seats.get_mut(path) {
            seat.seated = false;
            seat.device.power_down();
        }
    }

    /// Puts the device that was last in a port back into it: power comes anew.
    pub fn reseat(&self, path: &str) {
        if let Some(seat) = self.0.borrow_mut().seats.get_mut(path) {
            seat.seated = true;
            seat.device.power_up();
        }
    }

    /// The system refuses this port from now on, or no longer.
    pub fn deny(&self, path: &str, denied: bool) {
        if let Some(seat) = self.0.borrow_mut().seats.get_mut(path) {
            seat.denied = denied;
        }
    }

    /// Does something with the device in a port; `None` if there never was one.
    pub fn with<R>(&self, path: &str, act: impl FnOnce(&mut Device) -> R) -> Option<R> {
        self.0.borrow_mut().seats.get_mut(path).map(|seat| act(&mut seat.device))
    }

    /// Time since the machine was made.
    pub fn now(&self) -> Duration {
        self.0.borrow().now
    }

    /// Lets time go by.
    pub fn wait(&self, pause: Duration) {
        self.0.borrow_mut().now += pause;
    }

    /// One port of this machine.
    pub fn cable(&self, path: &str) -> Cable {
        Cable { bus: self.clone(), path: path.to_owned() }
    }
}

/// One port.
#[derive(Clone)]
pub struct Cable {
    bus: Bus,
    path: String,
}

impl Cable {
    /// The port's name.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is in it.
    pub fn look(&self) -> Option<Seen> {
        let mut inner = self.bus.0.borrow_mut();
        let seat = inner.live(&self.path)?;
        let (vendor, product, release) = seat.device.ids();
        Some(Seen { address: seat.address, vendor, product, release, serial_index: 3 })
    }

    /// Opens what is in it.
    ///
    /// # Errors
    /// [`CableFault::Gone`], [`CableFault::Denied`].
    pub fn open(&self) -> Result<Wire, CableFault> {
        let mut inner = self.bus.0.borrow_mut();
        let seat = inner.live(&self.path).ok_or(CableFault::Gone)?;
        if seat.denied {
            return Err(CableFault::Denied);
        }
        Ok(Wire { cable: self.clone(), address: seat.address })
    }
}

/// An opened device: good for one enumeration.
pub struct Wire {
    cable: Cable,
    address: u8,
}

impl Wire {
    fn transfer(
        &mut self,
        setup: Setup,
        out: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, CableFault> {
        let mut inner = self.cable.bus.0.borrow_mut();
        let now = inner.now;
        let seat = inner.live(&self.cable.path).ok_or(CableFault::Gone)?;
        if seat.address != self.address {
            return Err(CableFault::Gone);
        }
        let mut reply = seat.device.control(setup, out, now);
        if let Reply::Late(late, after) = reply {
            if late >= within {
                reply = Reply::Hang;
            } else {
                inner.now += late;
                reply = *after;
            }
        }
        match reply {
            Reply::In(bytes) => Ok(bytes),
            Reply::Ack => Ok(Vec::new()),
            Reply::Stall => Err(CableFault::Stall),
            Reply::Babble => Err(CableFault::Babble),
            Reply::Gone => Err(CableFault::Gone),
            Reply::Hang | Reply::Late(..) => {
                inner.now += within;
                Err(CableFault::Timeout)
            }
        }
    }

    /// A control transfer towards the host; `setup.length` bytes at most.
    ///
    /// # Errors
    /// [`CableFault`].
    pub fn control_in(&mut self, setup: Setup, within: Duration) -> Result<Vec<u8>, CableFault> {
        self.transfer(setup, &[], within)
    }

    /// A control transfer towards the device.
    ///
    /// # Errors
    /// [`CableFault`].
    pub fn control_out(
        &mut self,
        setup: Setup,
        bytes: &[u8],
        within: Duration,
    ) -> Result<(), CableFault> {
        self.transfer(setup, bytes, within).map(drop)
    }

    /// Selects an alternate setting; every one but 0 takes and gives no data.
    pub fn select(&mut self, alternate: u8) {
        let mut inner = self.cable.bus.0.borrow_mut();
        if let Some(seat) = inner.seats.get_mut(&self.cable.path) {
            seat.device.select(alternate);
        }
    }

    /// Resets the port.
    pub fn reset(&mut self) {
        let mut inner = self.cable.bus.0.borrow_mut();
        if let Some(seat) = inner.seats.get_mut(&self.cable.path) {
            seat.device.bus_reset();
        }
    }
}
