//! Whether the sockets a slot was taught still hold what was plugged into them then.
//!
//! Looked at when a shift begins and when the slot is taught anew; what differs is looked at again
//! until it does not. Owns when to look and what was told already.

use flash::Port;

use crate::teach::{self, Differs, Lists};

/// A socket that holds something else, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The port as it was taught.
    pub(super) port: Port,
    /// What is there.
    pub(super) found: Differs,
    /// It was not found before.
    pub(super) is_new: bool,
}

/// The sockets of one slot.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    taught: Vec<Port>,
    lists: Lists,
    due: bool,
    told: Option<(Port, Differs)>,
}

impl Sockets {
    /// The slot has these sockets by teach-in now.
    pub(super) fn are(&mut self, taught: Vec<Port>, lists: Lists) {
        *self = Self { taught, lists, due: true, told: None };
    }

    /// A shift begins.
    pub(super) fn check(&mut self) {
        self.due = true;
    }

    /// The first socket that differs; costs nothing while none is to be looked at.
    pub(super) fn look(&mut self) -> Option<Finding> {
        if !self.due {
            return None;
        }
        let differing = self
            .taught
            .iter()
            .find_map(|port| Some((port.clone(), teach::differs(&self.lists, port)?)));
        let is_new = differing.is_some() && differing != self.told;
        self.told.clone_from(&differing);
        let Some((port, found)) = differing else {
            self.due = false;
            return None;
        };
        Some(Finding { port, found, is_new })
    }
}
