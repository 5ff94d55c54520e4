//! Which journal: the first line of every checkpoint.

use std::fmt;
use std::str::FromStr;

/// A journal's name: `flashline/<tenant>/<station>/<epoch>`.
///
/// The hub's own log of a tenant has the hub's name in the place of the station.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    tenant: String,
    station: String,
    epoch: u32,
}

/// Why a text is no journal's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not four parts, of which the first is `flashline`.
    #[error("a journal's name has the form flashline/<tenant>/<station>/<epoch>")]
    Form,
    /// A tenant or station that is empty, too long, or has other characters than letters, digits,
    /// `-`, `_` and `.`.
    #[error("tenant and station are 1 to 63 of the characters a-z, A-Z, 0-9, -, _ and .")]
    Name,
    /// The epoch is no plain decimal number.
    #[error("the epoch is a decimal number without leading zeros")]
    Epoch,
}

impl Origin {
    /// The journal of `station` of `tenant` in this epoch.
    ///
    /// # Errors
    /// [`OriginError::Name`].
    pub fn new(tenant: &str, station: &str, epoch: u32) -> Result<Self, OriginError> {
        if !is_name(tenant) || !is_name(station) {
            return Err(OriginError::Name);
        }
        Ok(Self { tenant: tenant.to_owned(), station: station.to_owned(), epoch })
    }

    /// The tenant's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The station's name.
    #[must_use]
    pub fn station(&self) -> &str {
        &self.station
    }

    /// The journal's epoch.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flashline/{}/{}/{}", self.tenant, self.station, self.epoch)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let mut parts = text.split('/');
        let (Some("flashline"), Some(tenant), Some(station), Some(epoch), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(OriginError::Form);
        };
        let number: u32 = epoch.parse().map_err(|_| OriginError::Epoch)?;
        if number.to_string() != epoch {
            return Err(OriginError::Epoch);
        }
        Self::new(tenant, station, number)
    }
}
