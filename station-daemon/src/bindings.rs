//! Which ports belong to which slot now: those of the configuration file and those that were taught.
//!
//! Owns the joining of both; the desk keeps what was taught. Nothing here touches a port.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flash::Port;

use crate::config::Config;
use crate::teach::{Lists, SlotPorts};

/// The station's ports.
#[derive(Debug)]
pub struct Bindings {
    file: Config,
    now: Mutex<Config>,
}

impl Bindings {
    /// The ports of a configuration as it was read, and what was taught.
    #[must_use]
    pub fn new(file: Config, taught: Vec<(u32, Port)>) -> Self {
        let now = Mutex::new(bound(&file, taught));
        Self { file, now }
    }

    fn now(&self) -> MutexGuard<'_, Config> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration with every slot's ports as they are now.
    #[must_use]
    pub fn config(&self) -> Config {
        self.now().clone()
    }

    /// Whether a slot other than `number` has a port that leads to the same device.
    #[must_use]
    pub fn is_taken(&self, number: u32, port: &Port) -> bool {
        let others = &self.now().slots;
        let mut others = others.iter().filter(|slot| slot.number != number);
        others.any(|slot| slot.all_ports().any(|own| own.meets(port)))
    }

    /// Every slot's ports after a teach-in, of which all that was ever taught is given.
    pub fn rebind(&self, taught: Vec<(u32, Port)>, lists: &Lists) -> Vec<SlotPorts> {
        let next = bound(&self.file, taught.clone());
        let ports = |slot: &crate::config::SlotConfig| SlotPorts {
            taught: taught
                .iter()
                .filter(|(number, port)| *number == slot.number && slot.ports.contains(port))
                .map(|(_, port)| port.clone())
                .collect(),
            config: slot.clone(),
            lists: lists.clone(),
        };
        let slots = next.slots.iter().map(ports).collect();
        *self.now() = next;
        slots
    }
}

fn bound(file: &Config, taught: Vec<(u32, Port)>) -> Config {
    let mut config = file.clone();
    for (slot, port) in config.bind(taught) {
        tracing::error!(slot, %port, "a taught port is not used: no such slot, or another's");
    }
    config
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::SlotConfig;

    #[test]
    fn a_taught_port_comes_before_those_of_the_file_and_goes_when_another_is_taught() {
        let port = |text: &str| text.parse::<Port>().expect("a port");
        let slot = |number, ports: &[&str]| SlotConfig {
            number,
            ports: ports.iter().map(|text| port(text)).collect(),
            chips: std::collections::BTreeMap::new(),
            uart: None,
            baud: 115_200,
        };
        let mut file = Config::in_folder(Path::new("/nowhere"));
        file.slots = vec![slot(1, &["usb:1-1"]), slot(2, &[])];
        let bindings = Bindings::new(file, vec![(2, port("1366:0101@1-4"))]);
        assert!(bindings.is_taken(1, &port("usb:1-4")), "the same socket");
        assert!(!bindings.is_taken(2, &port("usb:1-4")));
        let check = |taught: &[(u32, &str)], wanted: [(&[&str], &[&str]); 2]| {
            let taught = taught.iter().map(|(number, text)| (*number, port(text))).collect();
            let slots = bindings.rebind(taught, &Lists::default());
            let texts = |ports: &[Port]| ports.iter().map(ToString::to_string).collect::<Vec<_>>();
            for (slot, (ports, taught)) in slots.iter().zip(wanted) {
                assert_eq!(texts(&slot.config.ports), ports);
                assert_eq!(texts(&slot.taught), taught);
            }
            let now = bindings.config().slots;
            assert!(now.iter().eq(slots.iter().map(|slot| &slot.config)));
        };
        check(
            &[(1, "0483:374b@1-5"), (2, "1366:0101@1-4")],
            [
                (&["0483:374b@1-5", "usb:1-1"], &["0483:374b@1-5"]),
                (&["1366:0101@1-4"], &["1366:0101@1-4"]),
            ],
        );
        check(
            &[(2, "1366:0101@1-6")],
            [(&["usb:1-1"], &[]), (&["1366:0101@1-6"], &["1366:0101@1-6"])],
        );
        // Another slot's by now, and a slot that is not there.
        check(&[(2, "usb:1-1"), (3, "usb:1-2")], [(&["usb:1-1"], &[]), (&[], &[])]);
    }
}
