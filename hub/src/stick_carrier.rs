//! A stick at the machine of whoever runs the hub: read into the hub, written from it, both over
//! the admin API.
//!
//! Owns the files of the stick. Leaves every key and every judgement to the hub: what is whole by
//! its digests is brought there, and refused there if it is not signed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::{Sha256, StickParcel};
use serde::Serialize;
use sync::stick::{Address, FoundParcel, ParcelList, ParcelWriter, StickError, Way};

use crate::admin_client::{AdminClient, AdminError};

/// A stick was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// The stick.
    #[error("using the stick")]
    Stick(#[from] StickError),
    /// The hub.
    #[error("bringing it to, or fetching it from, the hub")]
    Hub(#[from] AdminError),
    /// The hub gave a letter that is none.
    #[error("reading a letter {name} that the hub gave")]
    Letter {
        /// Which letter.
        name: String,
    },
}

/// What was carried for one station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// The station.
    pub station: String,
    /// The parcel's number.
    pub number: u64,
    /// Letters in it.
    pub letters: usize,
    /// Chunks that go with it.
    pub chunks: usize,
}

/// Brings what a station wrote on a stick to the hub.
///
/// # Errors
/// [`CarrierError`]. What was brought before the failure stays there; reading again is safe.
pub async fn read(
    client: &AdminClient,
    mount: &Path,
    tenant: &str,
    station: &str,
) -> Result<Carried, CarrierError> {
    let found = FoundParcel::find(mount, &Address::new(tenant, station, Way::Up)?)?;
    client.check_stick(station, found.list_bytes().to_vec()).await?;
    for letter in &found.list().letters {
        client.bring_letter(station, found.raw(letter)?).await?;
    }
    let taken = client.end_stick(station, found.list_bytes().to_vec()).await?;
    Ok(Carried {
        station: station.to_owned(),
        number: taken.number,
        letters: found.list().letters.len(),
        chunks: 0,
    })
}

/// Writes what the hub has for a station on a stick.
///
/// # Errors
/// [`CarrierError`]; an unfinished parcel is no parcel.
pub async fn write(
    client: &AdminClient,
    mount: &Path,
    tenant: &str,
    station: &str,
) -> Result<Carried, CarrierError> {
    let address = Address::new(tenant, station, Way::Down)?;
    let StickParcel { list, letters, chunks } = client.stick_for(station).await?;
    let named = ParcelList::read(list.as_bytes(), &address)?;
    let writer = ParcelWriter::begin_list(mount, &address, named)?;
    for letter in letters {
        let bytes = STANDARD.decode(&letter.base64);
        let bytes = bytes.map_err(|_| CarrierError::Letter { name: letter.name.clone() })?;
        writer.sealed_letter(&letter.name, &bytes)?;
    }
    for Sha256(digest) in &chunks {
        if !sync::stick::chunk(mount, digest)? {
            writer.shared_chunk(digest, &client.chunk(&Sha256(*digest)).await?)?;
        }
    }
    let written = writer.finish_with(list.as_bytes())?;
    Ok(Carried {
        station: station.to_owned(),
        number: written.number,
        letters: written.letters,
        chunks: written.chunks,
    })
}
