//! Sockets by their place, and the text by which umockdev makes a device's folder in `/sys`.
//!
//! A socket is named as `usb:1-2.3`: bus 1, port 2 of its root hub, port 3 of the hub there. The
//! hubs on the way are made too: libusb finds a device's place by its parents.

use std::fmt::Write as _;
use std::str::FromStr;

/// A text that names no socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no USB socket: wanted usb:BUS-PORT[.PORT…]")]
pub struct PlaceError(String);

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bus: u8,
    ports: Vec<u8>,
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let read = || {
            let (bus, ports) = text.strip_prefix("usb:")?.split_once('-')?;
            let number = |text: &str| text.parse::<u8>().ok().filter(|number| *number > 0);
            let ports = ports.split('.').map(number).collect::<Option<Vec<u8>>>()?;
            Some(Self { bus: number(bus)?, ports })
        };
        read().ok_or_else(|| PlaceError(text.to_owned()))
    }
}

impl Place {
    /// Root hub first, then the hubs on the way; the device itself is not among them.
    pub(super) fn hubs(&self) -> Vec<String> {
        (0..self.ports.len()).map(|depth| self.folder(depth)).collect()
    }

    /// Its folder below `/sys`.
    pub(super) fn device(&self) -> String {
        self.folder(self.ports.len())
    }

    fn folder(&self, depth: usize) -> String {
        let bus = self.bus;
        let mut folder = format!("/devices/pci0000:00/0000:00:{:02x}.0/usb{bus}", 0x10 + bus % 16);
        let mut name = format!("{bus}-");
        for (step, port) in self.ports[..depth].iter().enumerate() {
            let dot = if step == 0 { "" } else { "." };
            // Writing to a String cannot fail.
            let _ = write!(name, "{dot}{port}");
            let _ = write!(folder, "/{name}");
        }
        folder
    }
}

/// The device file's path below `/dev`.
pub(super) fn node(bus: u8, address: u8) -> String {
    format!("bus/usb/{bus:03}/{address:03}")
}

/// What there is to say about a device.
pub(super) struct About<'a> {
    pub(super) bus: u8,
    pub(super) address: u8,
    pub(super) ids: (u16, u16, u16),
    pub(super) class: u8,
    /// Megabits per second.
    pub(super) speed: u16,
    /// Maker, product, serial number.
    pub(super) texts: Option<&'a [String; 3]>,
    pub(super) descriptors: &'a [u8],
}

/// A device in udev's export form, as umockdev reads it.
pub(super) fn describe(folder: &str, about: &About<'_>) -> String {
    let About { bus, address, ids: (vendor, product, release), class, speed, .. } = about;
    let node = node(*bus, *address);
    let mut text = format!(
        "P: {folder}\nN: {node}\nE: DEVNAME=/dev/{node}\nE: DEVTYPE=usb_device\n\
         E: SUBSYSTEM=usb\nE: DRIVER=usb\nE: MAJOR=189\nE: MINOR={}\n\
         E: BUSNUM={bus:03}\nE: DEVNUM={address:03}\nE: PRODUCT={vendor:x}/{product:x}/{release:x}\n\
         E: ID_VENDOR_ID={vendor:04x}\nE: ID_MODEL_ID={product:04x}\n\
         A: bConfigurationValue=1\\n\nA: bDeviceClass={class:02x}\\n\nA: bNumConfigurations=1\\n\n\
         A: bcdDevice={release:04x}\\n\nA: busnum={bus}\\n\nA: devnum={address}\\n\n\
         A: idProduct={product:04x}\\n\nA: idVendor={vendor:04x}\\n\nA: speed={speed}\\n\n",
        u32::from(*bus - 1) * 128 + u32::from(*address - 1),
    );
    if let Some([maker, product, serial]) = about.texts {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "E: ID_SERIAL_SHORT={serial}\nA: manufacturer={maker}\\n\nA: product={product}\\n\n\
             A: serial={serial}\\n\n"
        );
    }
    text.push_str("H: descriptors=");
    text.push_str(&hex::encode_upper(about.descriptors));
    text.push_str("\n\n");
    text
}

/// Device and configuration descriptor of a hub with one interrupt endpoint (USB 2.0, 11.23.1).
pub(super) const HUB: [u8; 43] = [
    18, 1, 0x00, 0x02, 9, 0, 1, 64, 0x6B, 0x1D, 0x02, 0x00, 0x00, 0x06, 0, 0, 0, 1, //
    9, 2, 25, 0, 1, 1, 0, 0xE0, 0, //
    9, 4, 0, 0, 1, 9, 0, 0, 0, //
    7, 5, 0x81, 3, 4, 0, 12,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_lies_behind_its_hubs() {
        let place: Place = "usb:1-2.3".parse().expect("place");
        let root = "/devices/pci0000:00/0000:00:11.0/usb1";
        assert_eq!(place.hubs(), [root.to_owned(), format!("{root}/1-2")]);
        assert_eq!(place.device(), format!("{root}/1-2/1-2.3"));
        for bad in ["", "usb:1", "usb:0-1", "usb:1-", "usb:1-2.", "1-2", "usb:1-256"] {
            assert_eq!(bad.parse::<Place>(), Err(PlaceError(bad.to_owned())));
        }
    }

    #[test]
    fn a_hub_descriptor_is_as_long_as_it_says() {
        assert_eq!(usize::from(HUB[0]) + usize::from(HUB[20]), HUB.len());
    }
}
