//! The verbs about stations: invite, list, turn away, and what must guard their keys.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use hub::admin_client::CodeCreate;
use protocol::{KeyProtection, LineName, StationName};

use crate::{To, print};

/// What guards keys at rest.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Guard {
    /// A file only.
    None,
    /// An encrypted disk.
    Disk,
    /// A TPM 2.0.
    Tpm,
}

impl From<Guard> for KeyProtection {
    fn from(guard: Guard) -> Self {
        match guard {
            Guard::None => Self::None,
            Guard::Disk => Self::Disk,
            Guard::Tpm => Self::Tpm,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum StationVerb {
    /// Makes an enrolment code.
    Code {
        #[command(flatten)]
        to: To,
        /// What the station will be called.
        #[arg(long)]
        station: StationName,
        /// The line it stands at.
        #[arg(long)]
        line: LineName,
        /// How long the code is good, in seconds.
        #[arg(long)]
        expires_in_s: Option<u32>,
        /// Put it on the stick that is mounted here, too.
        #[arg(long, value_name = "FOLDER")]
        stick: Option<PathBuf>,
    },
    /// Lists the stations with their keys.
    List {
        #[command(flatten)]
        to: To,
    },
    /// Decides the least that must guard stations' keys: no station with less is enrolled or given a
    /// new lease.
    KeyProtection {
        #[command(flatten)]
        to: To,
        /// What guards a station's keys: a file only, an encrypted disk, a TPM.
        #[arg(value_enum)]
        least: Guard,
    },
    /// Accepts a station's certificate no more.
    Revoke {
        #[command(flatten)]
        to: To,
        /// The station.
        station: StationName,
    },
}

pub(crate) async fn station(verb: StationVerb) -> anyhow::Result<()> {
    match verb {
        StationVerb::Code { to, station, line, expires_in_s, stick } => {
            let create = CodeCreate { station, line, hub: None, expires_in_s };
            let created = to.client()?.create_code(&create).await?;
            if let Some(stick) = stick {
                sync::stick::write_code(&stick, create.station.as_str(), &created.code)?;
            }
            print(&created)
        }
        StationVerb::List { to } => print(&to.client()?.stations().await?),
        StationVerb::KeyProtection { to, least } => {
            let least = KeyProtection::from(least);
            to.client()?.demand_protection(least).await?;
            print(&serde_json::json!({ "least": least }))
        }
        StationVerb::Revoke { to, station } => {
            to.client()?.revoke(station.as_str()).await?;
            print(&serde_json::json!({ "revoked": station }))
        }
    }
}
