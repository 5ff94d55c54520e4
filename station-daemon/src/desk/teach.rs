//! Ports that were taught to slots, and what the desk knows of the station for a preflight.

use audit::Event;
use flash::Port;

use super::Desk;
use super::looks::Ring;
use crate::preflight::StationFacts;
use crate::store::StoreError;
use crate::teach::{Differs, SlotPorts};
use crate::trouble::TroubleCode;

impl Desk {
    /// Binds ports to a slot in place of what it was taught before. [`Desk::give_ports`] tells the
    /// slot.
    ///
    /// # Errors
    /// When it could not be kept.
    pub fn teach(&mut self, slot: u32, ports: &[Port]) -> Result<(), TroubleCode> {
        let kept = self.store.commit(|commit| {
            commit.forget_ports(slot)?;
            for port in ports {
                commit.teach_port(slot, &port.to_string())?;
            }
            Ok::<_, StoreError>(())
        });
        kept.map_err(|error| self.store_failed(&error))?;
        tracing::info!(slot, ?ports, "taught");
        Ok(())
    }

    /// The ports taught, and the slot of each. One that this program cannot read is left out.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn taught(&mut self) -> Result<Vec<(u32, Port)>, TroubleCode> {
        let rows = self.store.read(|commit| commit.taught_ports());
        let rows = rows.map_err(|error: StoreError| self.store_failed(&error))?;
        let read = |(slot, text): (u32, String)| match text.parse() {
            Ok(port) => Some((slot, port)),
            Err(error) => {
                tracing::error!(slot, %error, "a taught port cannot be read");
                None
            }
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Tells a slot through which ports it is reached, from the next board on.
    pub fn give_ports(&mut self, ports: SlotPorts) {
        if let Some(bell) = self.bells.get(&ports.config.number) {
            bell(Ring::Ports(Box::new(ports)));
        }
    }

    /// A shift begins: every slot looks at the sockets it was taught.
    pub fn check_sockets(&mut self) {
        for bell in self.bells.values() {
            bell(Ring::Check);
        }
    }

    /// Keeps that a socket holds something else than when it was taught.
    pub fn socket_differs(&mut self, slot: u32, port: &Port, found: &Differs) {
        let code = TroubleCode::SocketDiffers;
        let (port, found, trouble) = (port.to_string(), found.to_string(), code.text());
        tracing::error!(slot, port, found, code = trouble, "a socket is not as it was taught");
        let differs = Event::SocketDiffers { slot, port, found, trouble };
        if let Err(code) = self.record(vec![differs], |_| Ok(())) {
            tracing::warn!(slot, code = code.text(), "a socket that differs was not journalled");
        }
    }

    /// What the station knows of itself.
    #[must_use]
    pub fn station_facts(&self) -> StationFacts {
        StationFacts { clock_jumped: self.clock.jumped(), hub: self.hub }
    }
}
