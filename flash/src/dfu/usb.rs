//! The wire over real USB: libusb, linked statically, through `rusb`.
//!
//! Owns the mapping from a port's place in the tree to a device, and from libusb's errors to
//! [`UsbFault`]. No protocol. What is in a port is asked of the system by [`socket`].

use std::time::Duration;

use rusb::{Context, Device, DeviceHandle, UsbContext};

use super::path::UsbPath;
use super::socket;
use super::wire::{Port, Setup, Sighting, Transport, UsbFault};

/// A physical port of this machine.
pub struct UsbPort {
    path: UsbPath,
}

/// An opened device of this machine.
pub struct UsbWire {
    handle: DeviceHandle<Context>,
    claimed: Option<u8>,
}

fn fault(error: rusb::Error) -> UsbFault {
    match error {
        rusb::Error::Pipe => UsbFault::Stall,
        rusb::Error::Timeout => UsbFault::Timeout,
        rusb::Error::Overflow => UsbFault::Babble,
        rusb::Error::NoDevice => UsbFault::Gone,
        rusb::Error::Access => UsbFault::Denied,
        rusb::Error::Busy => UsbFault::Busy,
        rusb::Error::Io => UsbFault::Host("an input/output error"),
        rusb::Error::InvalidParam => UsbFault::Host("an invalid parameter"),
        rusb::Error::NotFound => UsbFault::Host("that the interface is not there"),
        rusb::Error::Interrupted => UsbFault::Host("an interruption"),
        rusb::Error::NoMem => UsbFault::Host("that memory is short"),
        rusb::Error::NotSupported => UsbFault::Host("that this is not supported"),
        rusb::Error::BadDescriptor => UsbFault::Host("a malformed descriptor"),
        rusb::Error::Other => UsbFault::Host("an error without a name"),
    }
}

impl UsbPort {
    /// Takes a port by its place; there need be nothing in it.
    ///
    /// # Errors
    /// [`UsbFault::Host`] if this machine has no USB.
    pub fn new(path: UsbPath) -> Result<Self, UsbFault> {
        socket::present()?;
        Ok(Self { path })
    }
}

/// The device in a port, from a context that has just looked: an older one knows only as much as
/// the events that reached it.
fn device(path: &UsbPath) -> Result<Option<Device<Context>>, UsbFault> {
    let devices = Context::new().and_then(|context| context.devices()).map_err(fault)?;
    Ok(devices.iter().find(|device| {
        device.port_numbers().is_ok_and(|ports| path.matches(device.bus_number(), &ports))
    }))
}

impl Port for UsbPort {
    type Wire = UsbWire;

    fn look(&mut self) -> Result<Option<Sighting>, UsbFault> {
        socket::look(&self.path)
    }

    fn open(&mut self) -> Result<UsbWire, UsbFault> {
        let device = device(&self.path)?.ok_or(UsbFault::Gone)?;
        let handle = device.open().map_err(fault)?;
        Ok(UsbWire { handle, claimed: None })
    }

    fn name(&self) -> String {
        self.path.to_string()
    }
}

impl Transport for UsbWire {
    fn control_in(
        &mut self,
        setup: Setup,
        into: &mut [u8],
        within: Duration,
    ) -> Result<usize, UsbFault> {
        let Setup { kind, request, value, index } = setup;
        self.handle.read_control(kind, request, value, index, into, within).map_err(fault)
    }

    fn control_out(
        &mut self,
        setup: Setup,
        bytes: &[u8],
        within: Duration,
    ) -> Result<(), UsbFault> {
        let Setup { kind, request, value, index } = setup;
        match self.handle.write_control(kind, request, value, index, bytes, within) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(UsbFault::Host("that only part of the bytes was sent")),
            Err(error) => Err(fault(error)),
        }
    }

    fn select(&mut self, interface: u8, alternate: u8) -> Result<(), UsbFault> {
        if self.claimed != Some(interface) {
            // Where the system knows no kernel drivers there is none to take it from.
            match self.handle.set_auto_detach_kernel_driver(true) {
                Ok(()) | Err(rusb::Error::NotSupported) => {}
                Err(error) => return Err(fault(error)),
            }
            self.handle.claim_interface(interface).map_err(fault)?;
            self.claimed = Some(interface);
        }
        self.handle.set_alternate_setting(interface, alternate).map_err(fault)
    }

    fn reset(&mut self) -> Result<(), UsbFault> {
        match self.handle.reset() {
            // The device came back as another one: this handle is spent, as intended.
            Ok(()) | Err(rusb::Error::NotFound | rusb::Error::NoDevice) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_libusb_that_tells_something_keeps_its_meaning() {
        let check = |error, wanted| assert_eq!(fault(error), wanted);
        check(rusb::Error::Pipe, UsbFault::Stall);
        check(rusb::Error::Timeout, UsbFault::Timeout);
        check(rusb::Error::Overflow, UsbFault::Babble);
        check(rusb::Error::NoDevice, UsbFault::Gone);
        check(rusb::Error::Access, UsbFault::Denied);
        check(rusb::Error::Busy, UsbFault::Busy);
        assert!(matches!(fault(rusb::Error::Io), UsbFault::Host(_)));
    }

    #[test]
    fn a_port_of_this_machine_that_does_not_exist_is_empty() {
        let path: UsbPath = "usb:255-7.7.7.7.7".parse().expect("path");
        // A machine without USB says so already here.
        if let Ok(mut port) = UsbPort::new(path) {
            assert_eq!(port.look(), Ok(None));
            assert_eq!(port.open().err(), Some(UsbFault::Gone));
        }
    }
}
