//! What the desk knows about ports: which chip is to come through one, and which the lease allows.

use flash::Port;

use super::Desk;
use crate::shelf::LeaseState;
use crate::trouble::TroubleCode;

impl Desk {
    /// The chip that the chosen order's boards are identified by, by its profile's name.
    #[must_use]
    pub fn expected_chip(&mut self) -> Option<String> {
        let portion = self.portion()?;
        let manifest = self.enrolled.as_ref()?.shelf.manifest(&portion.manifest_sha256)?;
        let recipe = &manifest.recipe;
        Some(recipe.chips.get(recipe.identity())?.chip.as_str().to_owned())
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
