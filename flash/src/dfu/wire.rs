//! The wire below DFU: control transfers, a port that may hold a device, and time.
//!
//! Everything above speaks through these three traits, so the same code runs on an in-process
//! model and on libusb. Faults are named here once, as a host controller tells them apart.

use std::time::Duration;

/// The eight bytes that open a control transfer, without the length (USB 2.0, 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// bmRequestType: direction, type, recipient.
    pub kind: u8,
    /// bRequest.
    pub request: u8,
    /// wValue.
    pub value: u16,
    /// wIndex.
    pub index: u16,
}

/// A control transfer that did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsbFault {
    /// The device refused the request.
    #[error("the device stalled the transfer")]
    Stall,
    /// Nothing came within the time allowed.
    #[error("the transfer timed out")]
    Timeout,
    /// More bytes came than were asked for.
    #[error("the device sent more than was asked for")]
    Babble,
    /// The device left the bus.
    #[error("the device is gone")]
    Gone,
    /// The operating system refuses the device.
    #[error("no permission")]
    Denied,
    /// Another program holds the device.
    #[error("another program holds the device")]
    Busy,
    /// The host's own trouble: no memory, no interface, a broken cable that still enumerates.
    #[error("the host's USB reported {0}")]
    Host(&'static str),
}

/// One opened device: control transfers on endpoint 0.
pub trait Transport {
    /// Reads into `into`; answers how many bytes came.
    ///
    /// # Errors
    /// Any [`UsbFault`]; fewer bytes than asked for are an answer, not an error.
    fn control_in(
        &mut self,
        setup: Setup,
        into: &mut [u8],
        within: Duration,
    ) -> Result<usize, UsbFault>;

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// Any [`UsbFault`].
    fn control_out(&mut self, setup: Setup, bytes: &[u8], within: Duration)
    -> Result<(), UsbFault>;

    /// Claims an interface and selects one of its alternate settings.
    ///
    /// # Errors
    /// Any [`UsbFault`].
    fn select(&mut self, interface: u8, alternate: u8) -> Result<(), UsbFault>;

    /// Resets the port: a device that waits for it changes between its program and DFU mode.
    ///
    /// # Errors
    /// Any [`UsbFault`]; a device that comes back as another one is `Ok`.
    fn reset(&mut self) -> Result<(), UsbFault>;
}

/// What stands in the device descriptor of the device in a port, and which enumeration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Device number on its bus; another one means it enumerated anew.
    pub address: u8,
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
    /// bcdDevice.
    pub release: u16,
    /// iSerialNumber, 0 = none.
    pub serial_index: u8,
}

/// One physical port: the slot. What is in it may come and go.
pub trait Port {
    /// An opened device of this port.
    type Wire: Transport;

    /// What is in the port now, without opening it.
    ///
    /// # Errors
    /// [`UsbFault::Host`]; an empty port is `None`.
    fn look(&mut self) -> Result<Option<Sighting>, UsbFault>;

    /// Opens what is in the port now.
    ///
    /// # Errors
    /// [`UsbFault::Gone`] for an empty port, [`UsbFault::Denied`], [`UsbFault::Busy`].
    fn open(&mut self) -> Result<Self::Wire, UsbFault>;

    /// The selector, for words in errors.
    fn name(&self) -> String;
}

/// Time: how long something took, and pauses the device asked for.
pub trait Waiter {
    /// Time since some fixed moment.
    fn now(&mut self) -> Duration;

    /// Lets `pause` go by.
    fn wait(&mut self, pause: Duration);
}

/// The machine's own time.
#[derive(Debug)]
pub struct WallTime {
    begun: std::time::Instant,
}

impl Default for WallTime {
    fn default() -> Self {
        Self { begun: std::time::Instant::now() }
    }
}

impl Waiter for WallTime {
    fn now(&mut self) -> Duration {
        self.begun.elapsed()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "bwPollTimeout is a time the device forbids to be asked in, not a guess"
    )]
    fn wait(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
