//! The roster that goes with the lease: judged by the same keys, kept by the desk.

use release::{Lease, Roster, RosterCheck, RosterError, WrapKey};

use super::erase::LeaseFate;
use super::{LeaseState, Shelf, Taken};

impl Shelf {
    /// The lease that will count once `taken` is accepted.
    #[must_use]
    pub fn lease_to_come<'a>(&'a self, taken: &'a Taken) -> Option<&'a Lease> {
        match (&taken.lease, &self.lease) {
            (LeaseFate::Taken { lease, .. } | LeaseFate::Kept { lease, .. }, _) => Some(lease),
            (LeaseFate::Stays, LeaseState::InForce(lease)) => Some(lease),
            (LeaseFate::Stays, LeaseState::Over { .. } | LeaseState::Missing)
            | (LeaseFate::Ends, _) => None,
        }
    }

    /// Judges a roster by the keys of the repository that came with it, or else of the one in
    /// force; none when there is neither. Older versions than `version_min` are refused.
    #[must_use]
    pub fn judge_roster(
        &self,
        taken: Option<&Taken>,
        document: &[u8],
        station_key: &WrapKey,
        version_min: u64,
    ) -> Option<Result<Roster, RosterError>> {
        let fresh = taken.and_then(|taken| taken.repository.as_ref());
        let repository = fresh.or(self.repository.as_ref())?;
        let check = RosterCheck {
            tenant: self.pin.tenant(),
            station_key,
            keys: repository.lease_keys(),
            version_min,
        };
        Some(Roster::verify(document, &check))
    }
}
