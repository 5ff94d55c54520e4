//! Sticks at the hub: letters of stations are opened and taken like requests, parcels for stations
//! are made of what a connection would have carried.
//!
//! Owns the order of both. Leaves bytes and checks of sticks to `sync`, every document and record
//! to whoever answers for it on the network.
//!
//! Promise: a list or letter moves nothing before its station's signature over it was checked, and
//! nothing of a parcel that was read to its end is taken again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::stick::{ANSWER, DOCUMENTS, JOURNAL, REQUEST, WANTED_MAX};
use protocol::{
    DocumentName, Epoch, JournalPush, JournalState, ProblemType, SealedLetter, Sha256, StickAnswer,
    StickParcel, StickRequest,
};
use ring::rand::{SecureRandom, SystemRandom};
use sync::stick::{Address, Letter, ListedFile, ParcelList, Seal, StickError, Way, seal};
use zeroize::Zeroizing;

use crate::digest::sha256;
use crate::hub::Hub;
use crate::refusal::{Refusal, chain};
use crate::station_api::{documents, time};
use crate::store::{StationRow, StickState, TenantScope};

/// What a station's screen shows for a stick that is refused.
pub(crate) const STICK_CODE: &str = "F-55";

impl From<StickError> for Refusal {
    fn from(error: StickError) -> Self {
        let mut refusal = Self::because(ProblemType::StickRefused, chain(&error));
        refusal.0.code = Some(STICK_CODE.to_owned());
        refusal
    }
}

fn address(scope: &TenantScope, station: &StationRow, way: Way) -> Result<Address, Refusal> {
    Ok(Address::new(scope.name().as_str(), station.name.as_str(), way)?)
}

fn not_revoked(station: &StationRow) -> Result<(), Refusal> {
    if station.revoked { Err(Refusal::of(ProblemType::CertificateRefused)) } else { Ok(()) }
}

/// Checks the list of a station's parcel; its number.
pub(crate) async fn take_list(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    list: &[u8],
) -> Result<u64, Refusal> {
    not_revoked(station)?;
    let read = ParcelList::read(list, &address(scope, station, Way::Up)?)?;
    ParcelList::prove(list, &station.journal_key.0)?;
    newer(read.number, &hub.store.stick(scope, station).await?)?;
    Ok(read.number)
}

fn newer(number: u64, state: &StickState) -> Result<(), StickError> {
    if number > state.read {
        Ok(())
    } else {
        Err(StickError::Replayed { number, last: state.read })
    }
}

/// Takes one letter of a station; the parcel it belongs to.
pub(crate) async fn take_letter(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    bytes: &[u8],
) -> Result<u64, Refusal> {
    not_revoked(station)?;
    let letter = Letter::read(bytes)?;
    let number = letter.number();
    newer(number, &hub.store.stick(scope, station).await?)?;
    let keys = hub.keys(scope).await?;
    let plain = letter.open(
        &address(scope, station, Way::Up)?,
        number,
        &station.journal_key.0,
        &keys.stick.to_bytes(),
    )?;
    let unreadable = |error: serde_json::Error| {
        let detail = format!("letter {} holds something else: {error}", letter.name());
        Refusal::because(ProblemType::RequestMalformed, detail)
    };
    if letter.name() == REQUEST {
        let request: StickRequest = serde_json::from_slice(&plain).map_err(unreadable)?;
        if request.wanted.len() > WANTED_MAX {
            let detail = format!("a request names at most {WANTED_MAX} chunks");
            return Err(Refusal::because(ProblemType::RequestMalformed, detail));
        }
        let text = serde_json::to_string(&request).map_err(|error| Refusal::internal(&error))?;
        hub.store.keep_stick_request(scope, station, &text).await?;
        hub.store.heard(scope, station, hub.now_ms()).await?;
    } else if let Some(epoch) = journal_of(letter.name()) {
        let push: JournalPush = serde_json::from_slice(&plain).map_err(unreadable)?;
        crate::journal::take(hub, scope, station, epoch, push).await?;
    } else {
        let detail = format!("no station sends a letter {:?}", letter.name());
        return Err(Refusal::because(ProblemType::RequestMalformed, detail));
    }
    Ok(number)
}

/// The journal that a letter is about: `journal/<epoch>/<from>`.
fn journal_of(name: &str) -> Option<Epoch> {
    let (epoch, _) = name.strip_prefix(JOURNAL)?.split_once('/')?;
    epoch.parse().ok().filter(|epoch: &Epoch| *epoch >= Epoch::FIRST)
}

/// A parcel of a station was read to its end.
pub(crate) async fn end_read(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    list: &[u8],
    who: &str,
) -> Result<u64, Refusal> {
    let number = take_list(hub, scope, station, list).await?;
    hub.store.stick_read(scope, station, number, who, hub.now_ms()).await?;
    Ok(number)
}

/// Makes a parcel for a station: what it lacks as far as its newest request says, everything if it
/// never asked.
pub(crate) async fn write(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    who: &str,
) -> Result<StickParcel, Refusal> {
    not_revoked(station)?;
    let state = hub.store.stick(scope, station).await?;
    let damaged = |error: serde_json::Error| Refusal::internal(&error);
    let request: Option<StickRequest> =
        state.request.as_deref().map(serde_json::from_str).transpose().map_err(damaged)?;
    let mut station = station.clone();
    if let Some(request) = &request
        && request.lease_version > station.lease_version
    {
        // A hub that was set back: the station would take no lease of the same version again.
        crate::lease::current(hub, scope, &station, Some(request.lease_version)).await?;
        station = hub.store.station(scope, &station.name).await?;
    }
    crate::publish::refresh(hub, scope).await?;
    let listed = documents::list_for(hub, scope, &station).await?.documents;
    let now_ms = hub.now_ms();
    let now = u64::try_from(now_ms).unwrap_or_default();
    let number = now.max(state.written.saturating_add(1));
    let keys = hub.keys(scope).await?;
    let mut parcel = Packing {
        list: ParcelList::new(
            &address(scope, &station, Way::Down)?,
            number,
            now_ms,
            keys.stick.public().as_bytes(),
        ),
        letters: Vec::new(),
        seal: |name: &str, plain: &[u8]| {
            let mut seed = Zeroizing::new([0; 32]);
            SystemRandom::new().fill(seed.as_mut()).map_err(|_| StickError::NotSealed)?;
            let address = Address::new(scope.name().as_str(), station.name.as_str(), Way::Down)?;
            let (receiver, sender) = (&station.hpke_key.0, keys.cosign_key());
            seal(Seal { address: &address, number, name, receiver, sender, seed }, plain)
        },
    };
    let mut chunks = Vec::new();
    for document in &listed {
        let name = document.name.to_string();
        let held = request.as_ref().and_then(|request| request.held.get(&name));
        if held == Some(&document.etag) {
            continue;
        }
        let bytes = documents::bytes_of(hub, scope, &station, &document.name).await?;
        let bytes = bytes.filter(|bytes| sha256(bytes) == document.etag);
        // It changed since it was listed: whoever writes the stick asks again.
        let bytes = bytes.ok_or_else(|| Refusal::of(ProblemType::NotFound))?;
        parcel.letter(&format!("{DOCUMENTS}{name}"), &bytes)?;
        if let DocumentName::Manifest(digest) = &document.name {
            chunks.extend(hub.store.chunks_of(scope, digest).await?);
        }
    }
    for digest in request.iter().flat_map(|request| &request.wanted) {
        if !chunks.contains(digest) && hub.store.has_chunk(scope, digest).await? {
            chunks.push(*digest);
        }
    }
    for digest in &chunks {
        parcel.list.chunks.push(chunk_of(hub, digest).await?);
    }
    let answer = StickAnswer {
        v: 1,
        time: match &request {
            Some(request) => {
                Some(time::answer(hub, scope, station.name.clone(), request.nonce.clone()).await?)
            }
            None => None,
        },
        journal: match &request {
            Some(request) => Some(journal_state(hub, scope, &station, request.epoch).await?),
            None => None,
        },
        documents: listed,
    };
    let answer = serde_json::to_vec(&answer).map_err(|error| Refusal::internal(&error))?;
    parcel.letter(ANSWER, &answer)?;
    let list = parcel.list.sign(keys.cosign_key())?;
    let list = String::from_utf8(list).map_err(|error| Refusal::internal(&error))?;
    let letters = parcel.letters;
    hub.store.stick_written(scope, &station, number, who, now_ms).await?;
    Ok(StickParcel { list, letters, chunks })
}

async fn journal_state(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    epoch: Epoch,
) -> Result<JournalState, Refusal> {
    Ok(hub.store.journal_state(scope, station, epoch).await?)
}

async fn chunk_of(hub: &Hub, digest: &Sha256) -> Result<ListedFile, Refusal> {
    let (blobs, wanted) = (hub.blobs.clone(), *digest);
    let bytes = tokio::task::spawn_blocking(move || blobs.read(&wanted))
        .await
        .map_err(|error| Refusal::internal(&error))?
        .map_err(|error| Refusal::internal(&error))?
        .ok_or_else(|| Refusal::of(ProblemType::NotFound))?;
    let name = digest.to_string();
    Ok(ListedFile { name: name.clone(), bytes: bytes.len() as u64, sha256: name })
}

/// A parcel in the making.
struct Packing<S> {
    list: ParcelList,
    letters: Vec<SealedLetter>,
    seal: S,
}

impl<S: Fn(&str, &[u8]) -> Result<Vec<u8>, StickError>> Packing<S> {
    fn letter(&mut self, name: &str, plain: &[u8]) -> Result<(), StickError> {
        let sealed = (self.seal)(name, plain)?;
        self.list.letters.push(ListedFile {
            name: name.to_owned(),
            bytes: sealed.len() as u64,
            sha256: sha256(&sealed).to_string(),
        });
        let base64 = STANDARD.encode(&sealed);
        self.letters.push(SealedLetter { name: name.to_owned(), base64 });
        Ok(())
    }
}
