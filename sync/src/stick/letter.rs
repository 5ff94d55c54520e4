//! One document, packed, sealed to its receiver by HPKE and signed by its sender.

use std::convert::Infallible;
use std::io::Read;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Address, PLAIN_BYTES_MAX, StickError, Way, is_letter_name, shown};

/// First bytes of every letter; the digit before the end is the version's byte.
const MAGIC: &[u8; 4] = b"FLSL";
const VERSION: u8 = 1;
const INFO: &[u8] = b"flashline stick letter v1";
const SIGNED: &[u8] = b"flashline stick letter v1\n";
const HEADER_BYTES_MAX: usize = 1024;
const FIXED_BYTES: usize = 4 + 1 + 2;
const ENCAPPED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 64;
/// The largest zstd window accepted: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

type Kem = X25519HkdfSha256;

/// What a letter says outside of its seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    tenant: String,
    station: String,
    way: Way,
    number: u64,
    name: String,
    plain_bytes: u64,
}

/// For whom a letter is sealed, and where it belongs.
pub struct Seal<'a> {
    /// Between whom.
    pub address: &'a Address,
    /// The parcel's number.
    pub number: u64,
    /// The document's name.
    pub name: &'a str,
    /// The receiver's X25519 public key.
    pub receiver: &'a [u8; 32],
    /// Who signs.
    pub sender: &'a Ed25519KeyPair,
    /// 32 random bytes that are used once.
    pub seed: Zeroizing<[u8; 32]>,
}

/// Packs, seals and signs a document.
///
/// # Errors
/// [`StickError::Name`], [`StickError::LetterTooLarge`], [`StickError::NotSealed`].
pub fn seal(with: Seal<'_>, plain: &[u8]) -> Result<Vec<u8>, StickError> {
    let Seal { address, number, name, receiver, sender, seed } = with;
    if !is_letter_name(name) {
        return Err(StickError::Name { name: shown(name) });
    }
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(StickError::LetterTooLarge { name: name.to_owned() });
    }
    let failed = || StickError::NotSealed;
    let header = Header {
        tenant: address.tenant.clone(),
        station: address.station.clone(),
        way: address.way,
        number,
        name: name.to_owned(),
        plain_bytes: plain.len() as u64,
    };
    let header = serde_json::to_vec(&header).map_err(|_| failed())?;
    let length = u16::try_from(header.len()).map_err(|_| failed())?;
    let mut letter =
        [MAGIC.as_slice(), &[VERSION], &length.to_be_bytes(), header.as_slice()].concat();
    let packed = zstd::encode_all(plain, 3).map_err(|_| failed())?;
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(receiver).map_err(|_| failed())?;
    let (encapped, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        INFO,
        &packed,
        &letter,
        &mut OneSeed(Some(seed)),
    )
    .map_err(|_| failed())?;
    letter.extend_from_slice(&encapped.to_bytes());
    letter.extend_from_slice(&sealed);
    let signature = sender.sign(&[SIGNED, letter.as_slice()].concat());
    letter.extend_from_slice(signature.as_ref());
    Ok(letter)
}

/// A letter whose form is right. Who sent it is not known before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter<'a> {
    bytes: &'a [u8],
    header: Header,
    header_end: usize,
}

impl<'a> Letter<'a> {
    /// Reads the outside of a letter.
    ///
    /// # Errors
    /// [`StickError::Malformed`], [`StickError::Version`], [`StickError::Name`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, StickError> {
        let malformed = || StickError::Malformed { what: "a letter" };
        let (fixed, rest) = bytes.split_at_checked(FIXED_BYTES).ok_or_else(malformed)?;
        if !fixed.starts_with(MAGIC) {
            return Err(malformed());
        }
        if fixed[4] != VERSION {
            return Err(StickError::Version { what: "a letter", version: u64::from(fixed[4]) });
        }
        let length = usize::from(u16::from_be_bytes([fixed[5], fixed[6]]));
        let header_end = FIXED_BYTES + length;
        if length > HEADER_BYTES_MAX
            || bytes.len() < header_end + ENCAPPED_BYTES + TAG_BYTES + SIGNATURE_BYTES
        {
            return Err(malformed());
        }
        let header: Header = serde_json::from_slice(&rest[..length]).map_err(|_| malformed())?;
        if !is_letter_name(&header.name) {
            return Err(StickError::Name { name: shown(&header.name) });
        }
        if header.plain_bytes > PLAIN_BYTES_MAX as u64 {
            return Err(StickError::Expands { name: header.name, bytes: header.plain_bytes });
        }
        Ok(Self { bytes, header, header_end })
    }

    /// The document's name, as the letter says.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.header.name
    }

    /// The parcel's number, as the letter says.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.header.number
    }

    /// Opens a letter from `sender` that is sealed to `receiver` and belongs to this address and
    /// parcel.
    ///
    /// # Errors
    /// [`StickError::OtherAddress`], [`StickError::Mixed`], [`StickError::ForeignSender`],
    /// [`StickError::ForeignReceiver`], [`StickError::Expands`].
    pub fn open(
        &self,
        address: &Address,
        number: u64,
        sender: &[u8; 32],
        receiver: &[u8; 32],
    ) -> Result<Zeroizing<Vec<u8>>, StickError> {
        let Header { tenant, station, way, number: found, name, plain_bytes } = &self.header;
        if (tenant, station, way) != (&address.tenant, &address.station, &address.way) {
            let found = shown(&format!("{tenant}/{station} {way}"));
            return Err(StickError::OtherAddress { what: "a letter", found });
        }
        if *found != number {
            return Err(StickError::Mixed { name: name.clone(), number, found: *found });
        }
        let (body, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        UnparsedPublicKey::new(&ED25519, sender)
            .verify(&[SIGNED, body].concat(), signature)
            .map_err(|_| StickError::ForeignSender { what: "a letter" })?;
        let foreign = || StickError::ForeignReceiver { name: name.clone() };
        let (header, sealed) = body.split_at(self.header_end);
        let (encapped, sealed) = sealed.split_at(ENCAPPED_BYTES);
        let private =
            <Kem as hpke::Kem>::PrivateKey::from_bytes(receiver).map_err(|_| foreign())?;
        let encapped =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(encapped).map_err(|_| foreign())?;
        let packed = Zeroizing::new(
            hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
                &OpModeR::Base,
                &private,
                &encapped,
                INFO,
                sealed,
                header,
            )
            .map_err(|_| foreign())?,
        );
        unpack(&packed, *plain_bytes)
            .ok_or(StickError::Expands { name: name.clone(), bytes: *plain_bytes })
    }
}

/// Exactly `plain_bytes` bytes, or nothing; one byte more is never made.
fn unpack(packed: &[u8], plain_bytes: u64) -> Option<Zeroizing<Vec<u8>>> {
    let wanted = usize::try_from(plain_bytes).ok()?;
    let mut decoder = zstd::Decoder::with_buffer(packed).ok()?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
    // Room from the start: a growing vector would leave copies of the document behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(wanted.saturating_add(1)));
    decoder.take(plain_bytes.saturating_add(1)).read_to_end(&mut plain).ok()?;
    (plain.len() == wanted).then_some(plain)
}

/// The public half of an X25519 key.
pub(super) fn public_of(private: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    if let Ok(private) = <Kem as hpke::Kem>::PrivateKey::from_bytes(private) {
        Kem::sk_to_pk(&private).write_exact(&mut public);
    }
    public
}

/// The 32 bytes HPKE draws for its one-use key, drawn beforehand so that a failing source is an
/// error and a worked example can fix them.
struct OneSeed(Option<Zeroizing<[u8; 32]>>);

impl TryRng for OneSeed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("X25519 key generation draws bytes, not words")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("X25519 key generation draws bytes, not words")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        // Drawing twice from one seed would reuse a one-use key: rather stop.
        let Some(seed) = self.0.take() else { unreachable!("X25519 key generation draws once") };
        out.copy_from_slice(&*seed);
        Ok(())
    }
}

impl TryCryptoRng for OneSeed {}
