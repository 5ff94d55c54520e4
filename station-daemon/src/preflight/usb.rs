//! The USB tree as the kernel shows it: which devices hang on which controller, and how many
//! endpoints they take.
//!
//! A controller has room for so many endpoints, however many sockets its hubs add; the device that
//! comes when the room is used up is not configured, and nobody says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A USB host controller; its buses share its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// The kernel's name for it: `0000:00:14.0`.
    pub name: String,
    /// Its buses.
    pub buses: Vec<u8>,
    /// Devices on them, root hubs aside.
    pub devices: u32,
    /// Their endpoints, the control endpoint of each included.
    pub endpoints: u32,
}

/// A device in a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its socket as the kernel names it: `1-2.3`.
    pub place: String,
    /// Vendor and product id.
    pub ids: (u16, u16),
    /// Its serial number; empty if it has none.
    pub serial: String,
    /// Bus and device number, which name its node.
    pub node: (u32, u32),
    /// Whether it has a DFU interface (USB DFU 1.1, 4.1.2: class FE, subclass 01).
    pub dfu: bool,
    endpoints: u32,
}

impl Device {
    fn bus(&self) -> Option<u8> {
        self.place.split_once('-')?.0.parse().ok()
    }
}

/// Every device in a socket, by its place.
#[must_use]
pub fn devices(root: &Path) -> Vec<Device> {
    let mut found: BTreeMap<String, Device> = BTreeMap::new();
    for name in names(root) {
        // Interfaces have a colon, root hubs no dash.
        if name.contains(':') || !name.contains('-') {
            continue;
        }
        if let Some(device) = device(root, &name) {
            found.insert(name, device);
        }
    }
    found.into_values().collect()
}

/// Every controller with what hangs on it, by its name.
#[must_use]
pub fn controllers(root: &Path) -> Vec<Controller> {
    let mut found: BTreeMap<String, Controller> = BTreeMap::new();
    let mut of_bus: BTreeMap<u8, String> = BTreeMap::new();
    for name in names(root) {
        let Some(bus) = name.strip_prefix("usb").and_then(|bus| bus.parse::<u8>().ok()) else {
            continue;
        };
        // The root hub's folder lies in the controller's.
        let controller = fs::canonicalize(root.join(&name)).ok();
        let controller = controller.as_deref().and_then(Path::parent).and_then(Path::file_name);
        let controller = controller.and_then(|name| name.to_str()).unwrap_or(&name).to_owned();
        of_bus.insert(bus, controller.clone());
        let empty =
            || Controller { name: controller.clone(), buses: Vec::new(), devices: 0, endpoints: 0 };
        found.entry(controller.clone()).or_insert_with(empty).buses.push(bus);
    }
    for device in devices(root) {
        let controller = device.bus().and_then(|bus| of_bus.get(&bus));
        if let Some(controller) = controller.and_then(|name| found.get_mut(name)) {
            controller.devices += 1;
            controller.endpoints += device.endpoints;
        }
    }
    for controller in found.values_mut() {
        controller.buses.sort_unstable();
    }
    found.into_values().collect()
}

fn device(root: &Path, name: &str) -> Option<Device> {
    let word = |file: &str| word(&root.join(name).join(file));
    let id = |file: &str| u16::from_str_radix(&word(file)?, 16).ok();
    let number = |file: &str| word(file)?.parse::<u32>().ok();
    let mut interfaces = names(root);
    interfaces.retain(|other| other.starts_with(&format!("{name}:")));
    let of = |interface: &String, file: &str| {
        let text = self::word(&root.join(interface).join(file))?;
        u32::from_str_radix(&text, 16).ok()
    };
    let endpoints: u32 = interfaces.iter().filter_map(|one| of(one, "bNumEndpoints")).sum();
    let is_dfu = |one: &String| {
        of(one, "bInterfaceClass") == Some(0xFE) && of(one, "bInterfaceSubClass") == Some(0x01)
    };
    Some(Device {
        place: name.to_owned(),
        ids: (id("idVendor")?, id("idProduct")?),
        serial: word("serial").unwrap_or_default(),
        node: (number("busnum")?, number("devnum")?),
        dfu: interfaces.iter().any(is_dfu),
        endpoints: endpoints + 1,
    })
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn word(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree of a PC with one xHCI controller: a hub with a J-Link and a composite probe behind
    /// it, and a DFU device beside it; written from what `lsusb -v` says of such devices.
    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        let controller = folder.path().join("pci0000:00").join("0000:00:14.0");
        let put = |place: &str, files: &[(&str, &str)]| {
            let real = controller.join(place);
            fs::create_dir_all(&real).expect("folder");
            for (name, word) in files {
                let mut file = fs::File::create(real.join(name)).expect("file");
                std::io::Write::write_all(&mut file, word.as_bytes()).expect("word");
            }
            std::os::unix::fs::symlink(&real, folder.path().join(place)).expect("link");
        };
        let device = |place: &str, vendor: &str, product: &str, number: &str| {
            let ids = [("idVendor", vendor), ("idProduct", product)];
            let node = [("busnum", "1\n"), ("devnum", number)];
            put(place, &[ids, node].concat());
        };
        put("usb1", &[]);
        put("usb2", &[]);
        put("1-0:1.0", &[("bNumEndpoints", "01\n")]);
        device("1-1", "05e3\n", "0608\n", "2\n");
        put("1-1:1.0", &[("bNumEndpoints", "01\n")]);
        device("1-1.1", "1366\n", "0101\n", "3\n");
        put("1-1.1:1.0", &[("bNumEndpoints", "02\n")]);
        device("1-1.2", "0d28\n", "0204\n", "4\n");
        for (interface, count) in
            [("1-1.2:1.0", "02\n"), ("1-1.2:1.1", "01\n"), ("1-1.2:1.2", "03\n")]
        {
            put(interface, &[("bNumEndpoints", count), ("bInterfaceClass", "ff\n")]);
        }
        device("1-2", "0483\n", "df11\n", "5\n");
        let dfu = [("bInterfaceClass", "fe\n"), ("bInterfaceSubClass", "01\n")];
        put("1-2:1.0", &[&[("bNumEndpoints", "00\n")], dfu.as_slice()].concat());
        folder
    }

    #[test]
    fn endpoints_are_counted_per_controller_with_every_devices_own() {
        let tree = tree();
        let found = controllers(tree.path());
        // Hub 1 + 1, J-Link 2 + 1, composite probe 6 + 1, DFU device 0 + 1.
        let wanted = Controller {
            name: "0000:00:14.0".to_owned(),
            buses: vec![1, 2],
            devices: 4,
            endpoints: 13,
        };
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn a_device_is_known_by_its_place_its_ids_and_its_node() {
        let tree = tree();
        let found: Vec<_> = devices(tree.path())
            .into_iter()
            .map(|device| (device.place, device.ids, device.node, device.dfu))
            .collect();
        let wanted = [
            ("1-1", (0x05e3, 0x0608), (1, 2), false),
            ("1-1.1", (0x1366, 0x0101), (1, 3), false),
            ("1-1.2", (0x0d28, 0x0204), (1, 4), false),
            ("1-2", (0x0483, 0xdf11), (1, 5), true),
        ];
        assert_eq!(found, wanted.map(|(place, ids, node, dfu)| (place.to_owned(), ids, node, dfu)));
        assert!(devices(Path::new("/no/such/folder")).is_empty());
    }
}
