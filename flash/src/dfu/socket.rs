//! What is in a USB socket, without opening it.
//!
//! On Linux the answer is two small files: the kernel names a device's folder after its place. So a
//! look is cheap enough for every slot several times a second, and it needs neither access rights
//! nor kernel events.

use super::path::UsbPath;
use super::wire::{Sighting, UsbFault};

/// Bytes of a device descriptor (USB 2.0, 9.6.1).
const DESCRIPTOR_BYTES: usize = 18;

/// What a device descriptor says, at this device number.
fn sighting(address: u8, descriptor: &[u8]) -> Option<Sighting> {
    let descriptor: &[u8; DESCRIPTOR_BYTES] = descriptor.first_chunk()?;
    let word = |at: usize| u16::from_le_bytes([descriptor[at], descriptor[at + 1]]);
    let is_device = descriptor[1] == 1;
    is_device.then(|| Sighting {
        address,
        vendor: word(8),
        product: word(10),
        release: word(12),
        serial_index: descriptor[16],
    })
}

/// The kernel's folder of USB devices.
#[cfg(target_os = "linux")]
const DEVICES: &str = "/sys/bus/usb/devices";
/// The device went between two looks at it.
#[cfg(target_os = "linux")]
const ENODEV: i32 = 19;

/// # Errors
/// [`UsbFault::Host`] if this machine has no USB.
#[cfg(target_os = "linux")]
pub(super) fn present() -> Result<(), UsbFault> {
    if std::path::Path::new(DEVICES).is_dir() {
        Ok(())
    } else {
        Err(UsbFault::Host("that this machine has no USB"))
    }
}

/// What is in the socket now.
///
/// # Errors
/// [`UsbFault::Host`] if the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn look(path: &UsbPath) -> Result<Option<Sighting>, UsbFault> {
    use std::io::ErrorKind;

    let folder = std::path::Path::new(DEVICES).join(path.folder());
    let read = || {
        let address = std::fs::read_to_string(folder.join("devnum"))?;
        Ok((address, std::fs::read(folder.join("descriptors"))?))
    };
    match read() {
        Ok((address, descriptors)) => {
            // A device that is just going shows empty files.
            let address = address.trim_end().parse().ok();
            Ok(address.and_then(|address| sighting(address, &descriptors)))
        }
        Err(error) => {
            let error: std::io::Error = error;
            let kind = error.kind();
            if kind == ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV) {
                Ok(None)
            } else if kind == ErrorKind::PermissionDenied {
                Err(UsbFault::Denied)
            } else {
                Err(UsbFault::Host("that its list of devices cannot be read"))
            }
        }
    }
}

/// # Errors
/// [`UsbFault::Host`] if this machine has no USB.
#[cfg(not(target_os = "linux"))]
pub(super) fn present() -> Result<(), UsbFault> {
    rusb::Context::new().map(drop).map_err(super::usb::fault)
}

/// What is in the socket now.
///
/// # Errors
/// [`UsbFault::Host`] if the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn look(path: &UsbPath) -> Result<Option<Sighting>, UsbFault> {
    let Some(device) = super::usb::device(path)? else { return Ok(None) };
    let descriptor = match device.device_descriptor() {
        Ok(descriptor) => descriptor,
        Err(rusb::Error::NoDevice) => return Ok(None),
        Err(error) => return Err(super::usb::fault(error)),
    };
    let release = descriptor.device_version();
    let release = u16::from(release.0 / 10 * 16 + release.0 % 10) << 8
        | u16::from(release.1) << 4
        | u16::from(release.2);
    Ok(Some(Sighting {
        address: device.address(),
        vendor: descriptor.vendor_id(),
        product: descriptor.product_id(),
        release,
        serial_index: descriptor.serial_number_string_index().unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_descriptor_is_read_by_its_places_and_anything_else_is_no_device() {
        let whole = [18, 1, 0, 1, 0, 0, 0, 64, 0x83, 0x04, 0x11, 0xDF, 0x00, 0x22, 1, 2, 3, 1, 9];
        let wanted = Sighting {
            address: 7,
            vendor: 0x0483,
            product: 0xDF11,
            release: 0x2200,
            serial_index: 3,
        };
        assert_eq!(sighting(7, &whole), Some(wanted));
        assert_eq!(sighting(7, &whole[..18]), Some(wanted));
        assert_eq!(sighting(7, &whole[..17]), None);
        assert_eq!(sighting(7, &[]), None);
        assert_eq!(sighting(7, &whole[1..]), None);
    }
}
