//! How a station joins a hub: the code somebody types, the request, the answer.
//!
//! Owns the enrolment code's bytes and text (`FORMAT.md`). Leaves the checking of the secret to
//! the hub and the pinning of both hashes to the station.
//!
//! Promise: a code that parses was typed as it was printed: any one wrong character, and any two
//! swapped neighbours, are noticed by its check value.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};

use crate::ids::{Ed25519Key, EnrolmentSecret, HpkeKey, LineName, Sha256, StationName, TenantName};

/// What every code begins with; the digit is the version of the format.
pub const PREFIX: &str = "FL1-";
/// Longest `host:port` in a code, in bytes.
pub const HUB_ADDRESS_BYTES_MAX: usize = 255;

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 1 + 32 + 32 + 16 + 1;
const CHECK_BYTES: usize = 4;
const GROUP_CHARS: usize = 5;

/// What IT types, scans or carries on a stick to enrol one station, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// `host:port` of the hub's station listener.
    pub hub: String,
    /// SHA-256 of the hub CA's certificate in DER: the only CA the station will accept.
    pub hub_ca_sha256: Sha256,
    /// SHA-256 of the tenant's root metadata file: the only root the station will accept.
    pub root_sha256: Sha256,
    /// Proves to the hub that this station was invited; expires, works once.
    pub secret: EnrolmentSecret,
}

/// Why a text is not an enrolment code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentCodeError {
    /// Does not begin with [`PREFIX`].
    #[error("an enrolment code begins with {PREFIX}")]
    Prefix,
    /// A character that the alphabet does not have, or a broken last group.
    #[error("the enrolment code holds a character that cannot be part of one")]
    Alphabet,
    /// Shorter or longer than its own lengths say.
    #[error("the enrolment code has {bytes} bytes, which does not fit its contents")]
    Length {
        /// Bytes that were decoded.
        bytes: usize,
    },
    /// A version that this program does not know.
    #[error("the enrolment code is of version {0}, which this program does not know")]
    Version(u8),
    /// Mistyped: the check value differs.
    #[error("the enrolment code was mistyped")]
    Mistyped,
    /// The hub's address is not `host:port`.
    #[error("the hub address in the enrolment code is not host:port")]
    Hub,
}

impl EnrolmentCode {
    /// The code's bytes, check value included (`FORMAT.md`).
    ///
    /// # Errors
    /// [`EnrolmentCodeError::Hub`] when the address is not `host:port` of 3 to 255 bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnrolmentCodeError> {
        check_hub(&self.hub)?;
        let length = u8::try_from(self.hub.len()).map_err(|_| EnrolmentCodeError::Hub)?;
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.hub.len() + CHECK_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.hub_ca_sha256.0);
        bytes.extend_from_slice(&self.root_sha256.0);
        bytes.extend_from_slice(&self.secret.0);
        bytes.push(length);
        bytes.extend_from_slice(self.hub.as_bytes());
        let check = crc32(&bytes);
        bytes.extend_from_slice(&check.to_be_bytes());
        Ok(bytes)
    }

    /// The code as people see it: [`PREFIX`], then groups of five characters.
    ///
    /// # Errors
    /// As [`EnrolmentCode::to_bytes`].
    pub fn to_text(&self) -> Result<String, EnrolmentCodeError> {
        let letters = alphabet().encode(&self.to_bytes()?);
        let mut text = String::with_capacity(PREFIX.len() + letters.len() * 6 / 5 + 1);
        text.push_str(PREFIX);
        for (index, letter) in letters.chars().enumerate() {
            if index > 0 && index % GROUP_CHARS == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        Ok(text)
    }

    /// Reads the code's bytes.
    ///
    /// # Errors
    /// Whatever is wrong first; a wrong check value before anything it covers is believed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnrolmentCodeError> {
        let length = EnrolmentCodeError::Length { bytes: bytes.len() };
        if bytes.len() < FIXED_BYTES + CHECK_BYTES {
            return Err(length);
        }
        let (body, check) = bytes.split_at(bytes.len() - CHECK_BYTES);
        if crc32(body).to_be_bytes() != check {
            return Err(EnrolmentCodeError::Mistyped);
        }
        if body[0] != VERSION {
            return Err(EnrolmentCodeError::Version(body[0]));
        }
        if body.len() != FIXED_BYTES + usize::from(body[FIXED_BYTES - 1]) {
            return Err(length);
        }
        let hub = std::str::from_utf8(&body[FIXED_BYTES..]).map_err(|_| EnrolmentCodeError::Hub)?;
        check_hub(hub)?;
        Ok(Self {
            hub: hub.to_owned(),
            hub_ca_sha256: Sha256(array(&body[1..33])),
            root_sha256: Sha256(array(&body[33..65])),
            secret: EnrolmentSecret(array(&body[65..81])),
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

/// `host:port`: a host of letters, digits, `.`, `-`, `:` and brackets, a port of 1 to 65535.
fn check_hub(hub: &str) -> Result<(), EnrolmentCodeError> {
    let (host, port) = hub.rsplit_once(':').ok_or(EnrolmentCodeError::Hub)?;
    let host_fits = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let port_fits =
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if hub.len() <= HUB_ADDRESS_BYTES_MAX && host_fits && port_fits {
        Ok(())
    } else {
        Err(EnrolmentCodeError::Hub)
    }
}

/// Crockford's base 32: no I, L, O, U; small letters and the look-alikes are understood, spaces
/// and hyphens mean nothing.
fn alphabet() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    specification.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    specification.ignore.push_str("- \r\n\t");
    specification.encoding().expect("the alphabet is a constant and complete")
}

/// CRC-32 (IEEE 802.3, reflected): finds every burst of up to 32 bits.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

impl fmt::Display for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text().map_err(|_| fmt::Error)?)
    }
}

impl FromStr for EnrolmentCode {
    type Err = EnrolmentCodeError;

    fn from_str(text: &str) -> Result<Self, EnrolmentCodeError> {
        let text = text.trim();
        let prefix = text.get(..PREFIX.len()).ok_or(EnrolmentCodeError::Prefix)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(EnrolmentCodeError::Prefix);
        }
        let bytes = alphabet()
            .decode(&text.as_bytes()[PREFIX.len()..])
            .map_err(|_| EnrolmentCodeError::Alphabet)?;
        Self::from_bytes(&bytes)
    }
}

/// What guards the station's keys at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyProtection {
    /// A file only.
    None,
    /// An encrypted disk.
    Disk,
    /// A TPM 2.0 seals the station secret.
    Tpm,
}

impl KeyProtection {
    /// Its word in documents and on screens.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Disk => "disk",
            Self::Tpm => "tpm",
        }
    }
}

/// `POST /v1/enrol`: a fresh station introduces itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// From the enrolment code.
    pub secret: EnrolmentSecret,
    /// When the station believes to know its name, the name the code must have been made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station_name: Option<StationName>,
    /// Certificate signing request for the TLS key (P-256), PEM. Its subject is not believed.
    pub tls_csr_pem: String,
    /// What content keys are sealed to.
    pub hpke_key: HpkeKey,
    /// What signs the journal's checkpoints and the activation blocks of its allotments.
    pub journal_key: Ed25519Key,
    /// What guards these keys.
    pub key_protection: KeyProtection,
}

/// The hub's answer: everything a station needs from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Enrolled {
    /// Whose firmware this station flashes.
    pub tenant: TenantName,
    /// What it is called.
    pub station: StationName,
    /// Where it stands.
    pub line: LineName,
    /// Client certificate of the station, PEM.
    pub certificate_pem: String,
    /// The end of its life, milliseconds since the Unix epoch. It begins with `hub_time_ms`.
    pub certificate_not_after_ms: i64,
    /// The hub CA's certificate, PEM; its DER has the hash of the code.
    pub ca_pem: String,
    /// The name the hub signs cosignatures with.
    pub hub_cosign_name: String,
    /// The key that cosigns checkpoints and signs statements.
    pub hub_cosign_key: Ed25519Key,
    /// What letters on sticks to this hub are sealed to.
    pub hub_stick_key: HpkeKey,
    /// The tenant's root metadata, standard base64; has the hash of the code.
    pub root_json: String,
    /// Which keys belong to this station, signed by the hub (`EnrolmentStatement` inside).
    pub statement: crate::statement::SignedStatement,
    /// The hub's time, milliseconds since the Unix epoch.
    pub hub_time_ms: i64,
}

/// `POST /v1/renewal`: a station asks for its next certificate, with its last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CertificateRenewal {
    /// PKCS #10 request over the station's TLS key (P-256), PEM. Only its key counts.
    pub tls_csr_pem: String,
}

/// The next certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RenewedCertificate {
    /// Client certificate of the station, PEM.
    pub certificate_pem: String,
    /// Begin of its life, milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// End of its life, milliseconds since the Unix epoch.
    pub not_after_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_later_version_is_named_as_such() {
        let code = EnrolmentCode {
            hub: "localhost:1".into(),
            hub_ca_sha256: Sha256([1; 32]),
            root_sha256: Sha256([2; 32]),
            secret: EnrolmentSecret([3; 16]),
        };
        let mut bytes = code.to_bytes().unwrap();
        bytes.truncate(bytes.len() - CHECK_BYTES);
        bytes[0] = 2;
        bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
        assert_eq!(EnrolmentCode::from_bytes(&bytes), Err(EnrolmentCodeError::Version(2)));
    }

    #[test]
    fn the_check_value_is_the_crc_32_that_everybody_knows() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
