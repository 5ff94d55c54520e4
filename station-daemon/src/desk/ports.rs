//! What the desk knows about ports: which chip is to come through one, which the lease allows, and
//! whether the chip is proven in that way.

use flash::{BackEnd, Port};
use release::recipe::{ChipRecipe, Through};

use super::Desk;
use super::approvals::{Leave, leave_for};
use crate::config::SlotConfig;
use crate::shelf::LeaseState;
use crate::shelf::OpenRelease;
use crate::trouble::TroubleCode;

/// How one chip of a unit is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// The slot's port.
    pub(super) port: Port,
    /// Why it may be used although the chip is not proven in this way; none for a proven one.
    pub(super) leave: Option<Leave>,
}

/// The slot's port for a chip.
fn port_of<'a>(config: &'a SlotConfig, recipe: &ChipRecipe) -> Result<&'a Port, TroubleCode> {
    let chip = flash::chip(recipe.chip.as_str()).ok_or(TroubleCode::ChipNotSupported)?;
    let through = recipe.through.map(|through| match through {
        Through::Probe => BackEnd::Probe,
        Through::Dfu => BackEnd::Dfu,
        Through::Uart => BackEnd::Uart,
    });
    config.port_of(recipe.name.as_str(), chip, through).ok_or(TroubleCode::PortMissing)
}

impl Desk {
    /// The slot's port to the chip by which the chosen order's boards are known, and that chip's
    /// name.
    #[must_use]
    pub fn expected(&mut self, config: &SlotConfig) -> Option<(Port, String)> {
        let portion = self.portion()?;
        let manifest = self.enrolled.as_ref()?.shelf.manifest(&portion.manifest_sha256)?;
        let recipe = manifest.recipe.chips.get(manifest.recipe.identity())?;
        let port = port_of(config, recipe).ok()?;
        Some((port.clone(), recipe.chip.as_str().to_owned()))
    }

    /// How each chip of a release is reached from a slot, in their order.
    ///
    /// # Errors
    /// Why one of them is not: no profile, no port of its own, not leased, not proven.
    pub(super) fn routes(
        &mut self,
        config: &SlotConfig,
        release: &OpenRelease,
    ) -> Result<Vec<Route>, TroubleCode> {
        self.unproven.remove(&config.number);
        let mut routes: Vec<Route> = Vec::new();
        for recipe in &release.manifest.recipe.chips {
            let port = port_of(config, recipe)?;
            if routes.iter().any(|other| other.port.meets(port)) {
                // Two chips behind one port would be one and the same.
                return Err(TroubleCode::PortMissing);
            }
            self.may_use(port)?;
            let chip = flash::chip(recipe.chip.as_str()).ok_or(TroubleCode::ChipNotSupported)?;
            let way = chip.way(port.back_end()).ok_or(TroubleCode::PortMissing)?;
            let approved = self.approvals.covers(chip.name, way.back_end);
            let leave = leave_for(way.proof, release.channel, approved).inspect_err(|_| {
                let waits = (chip.name.to_owned(), way.back_end);
                self.unproven.insert(config.number, waits);
            })?;
            routes.push(Route { port: port.clone(), leave });
        }
        Ok(routes)
    }

    /// Whether the lease lets a board be flashed through a port.
    pub(super) fn may_use(&self, port: &Port) -> Result<(), TroubleCode> {
        let lease = self.enrolled.as_ref().and_then(|enrolled| match enrolled.shelf.lease() {
            LeaseState::InForce(lease) => Some(lease),
            LeaseState::Over { .. } | LeaseState::Missing => None,
        });
        let Some(lease) = lease else { return Err(TroubleCode::NoRelease) };
        if port.is_simulated() && !lease.allow_simulated {
            return Err(TroubleCode::ReleaseNotTrusted);
        }
        let kind = port.kind().to_string();
        let leased = lease.probe_kinds.iter().any(|allowed| allowed.as_str() == kind);
        if leased { Ok(()) } else { Err(TroubleCode::PortNotLeased) }
    }
}

#[cfg(test)]
mod tests {
    use flash::RegionKind;
    use release::image::ChipClaim;

    #[test]
    fn what_rnd_packs_for_a_chip_is_what_a_station_can_program() {
        for chip in flash::CHIPS {
            let packed = release::chips::memory_of(chip.name);
            let packed: Vec<(String, u64, u64)> = packed
                .unwrap_or_else(|| panic!("release does not know {}", chip.name))
                .into_iter()
                .map(|memory| (memory.name.as_str().to_owned(), memory.start, memory.bytes))
                .collect();
            let named = |kind| match kind {
                RegionKind::Code => "flash",
                RegionKind::Configuration => "uicr",
            };
            let programmed: Vec<(String, u64, u64)> = chip
                .regions
                .iter()
                .map(|region| (named(region.kind).to_owned(), region.start, region.bytes))
                .collect();
            assert_eq!(packed, programmed, "{}", chip.name);
            // A file of another instruction set is found out when packing.
            let alien = ChipClaim::Machine(u16::MAX).fits(chip.family, chip.name);
            assert_eq!(alien, Some(false), "release does not know the family {}", chip.family);
        }
    }
}
