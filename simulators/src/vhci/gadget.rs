//! What can be plugged into a virtual port.

use std::time::Duration;

use crate::dfu::{Device, Reply, Setup};

/// How a device answers on endpoint 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These bytes, or none for a transfer towards the device.
    Done(Vec<u8>),
    /// It refuses.
    Stall,
    /// It says nothing; the host gives up.
    Silence,
    /// It sends more than was asked for.
    Babble,
    /// It leaves the bus without an answer.
    Gone,
    /// It answers this much later.
    Late(Duration, Box<Outcome>),
}

/// A device as a host controller meets it. Endpoint 0 has to answer GET_DESCRIPTOR; the standard
/// requests that only choose a configuration are answered for it.
pub trait Gadget: Send + 'static {
    /// It shows on the bus.
    fn is_on_the_bus(&self) -> bool;

    /// Counts every time it shows up anew.
    fn enumerations(&self) -> u32;

    /// The supply comes or goes.
    fn power(&mut self, on: bool);

    /// One control transfer.
    fn control(&mut self, setup: Setup, out: &[u8], now: Duration) -> Outcome;

    /// The host chooses an alternate setting.
    fn select(&mut self, alternate: u8);

    /// Bytes to an endpoint.
    fn take(&mut self, endpoint: u8, bytes: &[u8]);

    /// At most `bytes_max` bytes from an endpoint; `None` lets the host wait.
    fn give(&mut self, endpoint: u8, bytes_max: usize) -> Option<Vec<u8>>;
}

impl Gadget for Device {
    fn is_on_the_bus(&self) -> bool {
        Self::is_on_the_bus(self)
    }

    fn enumerations(&self) -> u32 {
        self.enumerations
    }

    fn power(&mut self, on: bool) {
        if on { self.power_up() } else { self.power_down() }
    }

    fn control(&mut self, setup: Setup, out: &[u8], now: Duration) -> Outcome {
        outcome(Self::control(self, setup, out, now))
    }

    fn select(&mut self, alternate: u8) {
        Self::select(self, alternate);
    }

    fn take(&mut self, _endpoint: u8, _bytes: &[u8]) {}

    fn give(&mut self, _endpoint: u8, _bytes_max: usize) -> Option<Vec<u8>> {
        None
    }
}

fn outcome(reply: Reply) -> Outcome {
    match reply {
        Reply::In(bytes) => Outcome::Done(bytes),
        Reply::Ack => Outcome::Done(Vec::new()),
        Reply::Stall => Outcome::Stall,
        Reply::Hang => Outcome::Silence,
        Reply::Babble => Outcome::Babble,
        Reply::Gone => Outcome::Gone,
        Reply::Late(late, then) => Outcome::Late(late, Box::new(outcome(*then))),
    }
}
