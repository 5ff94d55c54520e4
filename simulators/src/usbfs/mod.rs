//! The front for real libusb: the device model behind the machine's own system calls.
//!
//! umockdev gives a process (and its children) a `/sys` and `/dev` of its own through a preloaded
//! library; [`Usb`] fills them with sockets, hubs and devices, and answers the usbdevfs calls that
//! libusb makes with what [`crate::dfu::Device`] says. libusb, `rusb` and `dfu-util` run unmodified,
//! as any user. Devices come and go with real kernel events.
//!
//! Leaves to others: access rights, udev rules, ttys (a real kernel shows those). A program that
//! avoids libc (as `nusb` does) does not see the sockets.
//!
//! Promise: time is the machine's own. A poll time is waited for, a transfer takes its
//! [`WireTime`], and a device that does not answer ends in the caller's own time limit.

mod machine;
mod story;
mod sys;
mod tree;
mod urb;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::dfu::Device;
use machine::{Change, Come, Machine};
use sys::{Attached, Bed};
use tree::{About, HUB, Place, node};
use urb::DeviceFile;

pub use machine::WireTime;
pub use story::{run_again, with_sockets};
pub use sys::TestbedError;
pub use tree::PlaceError;

/// The library that turns a process's system calls aside.
const PRELOAD: &str = "libumockdev-preload.so.0";

/// What keeps the front from serving a device.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// This process was started without the preload library: see [`under_preload`].
    #[error("serving USB devices: this process does not run under {PRELOAD}")]
    NoPreload,
    /// The socket's name.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// umockdev.
    #[error(transparent)]
    Testbed(#[from] TestbedError),
}

/// Whether this process sees the sockets of a [`Usb`] made in it.
pub fn under_preload() -> bool {
    std::env::var_os("LD_PRELOAD").is_some_and(|libraries| {
        libraries.to_string_lossy().split([':', ' ']).any(|library| library.ends_with(PRELOAD))
    })
}

/// Lets `command` run under the preload library, so that it can make a [`Usb`].
pub fn preload(command: &mut Command) -> &mut Command {
    let mut libraries = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    if !libraries.is_empty() {
        libraries.push(":");
    }
    libraries.push(OsStr::new(PRELOAD));
    command.env("LD_PRELOAD", libraries)
}

/// The sockets, and a word to whoever keeps the tree when something has changed.
struct Shared {
    machine: Mutex<Machine>,
    changed: Condvar,
}

impl Shared {
    fn with<R>(&self, act: impl FnOnce(&mut Machine) -> R) -> R {
        let done = act(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        done
    }

    /// Waits until `ready` gives something.
    fn until<R>(&self, mut ready: impl FnMut(&mut Machine) -> Option<R>) -> R {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(done) = ready(&mut machine) {
                return done;
            }
            machine = self.changed.wait(machine).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The sockets of this process and its children. One per process.
pub struct Usb {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

impl Usb {
    /// A machine with empty sockets.
    ///
    /// # Errors
    /// [`UsbError::NoPreload`].
    pub fn new(wire: WireTime) -> Result<Self, UsbError> {
        if !under_preload() {
            return Err(UsbError::NoPreload);
        }
        let shared = Shared { machine: Mutex::new(Machine::new(wire)), changed: Condvar::new() };
        let shared = Arc::new(shared);
        // Made here, so that children started from now on see it.
        let tree = Tree::new(Arc::clone(&shared));
        let keeper = Some(thread::spawn(move || tree.keep()));
        Ok(Self { shared, keeper })
    }

    /// Plugs a device into a socket such as `usb:1-2.3`, in place of what was there.
    ///
    /// # Errors
    /// [`UsbError::Place`], [`UsbError::Testbed`].
    pub fn insert(&self, port: &str, device: Device) -> Result<(), UsbError> {
        let place: Place = port.parse()?;
        self.shared.with(|machine| machine.insert(port, place, device));
        self.shown()
    }

    /// Pulls the device out; it loses its power.
    ///
    /// # Errors
    /// [`UsbError::Testbed`].
    pub fn remove(&self, port: &str) -> Result<(), UsbError> {
        self.shared.with(|machine| machine.remove(port));
        self.shown()
    }

    /// Puts the device that was last in a socket back into it.
    ///
    /// # Errors
    /// [`UsbError::Testbed`].
    pub fn reseat(&self, port: &str) -> Result<(), UsbError> {
        self.shared.with(|machine| machine.reseat(port));
        self.shown()
    }

    /// Does something with the device in a socket; `None` if there never was one.
    pub fn with<R>(&self, port: &str, act: impl FnOnce(&mut Device) -> R) -> Option<R> {
        self.shared.with(|machine| machine.device(port).map(act))
    }

    /// Waits until every device is shown as it is.
    fn shown(&self) -> Result<(), UsbError> {
        self.shared.until(|machine| match machine.failed.take() {
            Some(error) => Some(Err(error.into())),
            None => machine.is_settled().then_some(Ok(())),
        })
    }
}

impl Drop for Usb {
    fn drop(&mut self) {
        self.shared.with(|machine| machine.over = true);
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked has already said so on standard error.
            drop(keeper.join());
        }
    }
}

/// The folders that libusb reads, kept as the machine is.
struct Tree {
    shared: Arc<Shared>,
    bed: Bed,
    hubs: BTreeSet<String>,
    /// Device files answered, by socket and node. One that went is kept until its node is needed
    /// again: programs may still hold it open.
    files: BTreeMap<String, Attached>,
}

impl Tree {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, bed: Bed::new(), hubs: BTreeSet::new(), files: BTreeMap::new() }
    }

    fn keep(mut self) {
        loop {
            let change = self.shared.until(|machine| match machine.over {
                true => Some(None),
                false => machine.next_change().map(Some),
            });
            let Some(change) = change else { return };
            let done = self.make(&change);
            self.shared.with(|machine| {
                machine.showing = false;
                machine.failed = done.err();
            });
        }
    }

    fn make(&mut self, change: &Change) -> Result<(), TestbedError> {
        let Come { port, place, address, descriptors, texts, ids } = match change {
            Change::Gone(place) => {
                self.bed.remove(&format!("/sys{}", place.device()));
                return Ok(());
            }
            Change::Come(come) => come,
        };
        for folder in place.hubs() {
            if self.hubs.contains(&folder) {
                continue;
            }
            let root = self.hubs.is_empty();
            let address = if root { 1 } else { self.shared.with(Machine::fresh_address) };
            let ids = (0x1D6B, 2, 0x0600);
            let (bus, speed, texts) = (place.bus, 480, None);
            let about = About { bus, address, ids, class: 9, speed, texts, descriptors: &HUB };
            self.bed.add(&tree::describe(&folder, &about))?;
            self.hubs.insert(folder);
        }
        let (bus, address) = (place.bus, *address);
        let node = format!("/dev/{}", node(bus, address));
        if self.files.contains_key(&node) {
            self.bed.leave(&node)?;
            self.files.remove(&node);
        }
        // Answered before it is there: a program may open it as soon as it shows.
        let file = DeviceFile::new(Arc::clone(&self.shared), port, address);
        let attached = self.bed.answer(&node, Box::new(file))?;
        self.files.insert(node, attached);
        let (texts, speed) = (Some(texts), 12);
        let about = About { bus, address, ids: *ids, class: 0, speed, texts, descriptors };
        self.bed.add(&tree::describe(&place.device(), &about))?;
        Ok(())
    }
}
