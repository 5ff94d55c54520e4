//! Who may work at a station: its line's people, signed when they change.
//!
//! Owns what is sealed for people (badges, PINs, peppers) and the making of verifiers. Leaves
//! their form to `release`, keeping to the store.
//!
//! Promises: a station's roster versions only rise; a station of a line that never had people has
//! no roster; a PIN is open only while a verifier is made of it.

use protocol::Sha256;
use release::roster::{ROSTER_FORMAT, ROSTER_VERSION};
use release::{Name, Operator, Pepper, Pin, PinVerifier, Random, Role, RosterTerms, WrapPublicKey};
use zeroize::Zeroizing;

use crate::digest::sha256;
use crate::hub::{Hub, HubError};
use crate::refusal::Refusal;
use crate::store::{PersonRow, SignedRoster, StationRow, StoreError, TenantScope};

/// How often signing may find that another listener was faster.
const ATTEMPTS_MAX: u32 = 3;
/// Name of the tenant's own pepper, with which badges are told apart.
const PEOPLE_KEY: &str = "people";

fn badge_name(scope: &TenantScope, number: u32) -> String {
    format!("tenant/{}/badge/{number}", scope.name())
}

fn pin_name(scope: &TenantScope, number: u32) -> String {
    format!("tenant/{}/pin/{number}", scope.name())
}

fn pepper_name(scope: &TenantScope, station: &StationRow) -> String {
    format!("tenant/{}/pepper/{}", scope.name(), station.name)
}

fn people_name(scope: &TenantScope) -> String {
    format!("tenant/{}/{PEOPLE_KEY}", scope.name())
}

fn no_key(what: &'static str) -> Refusal {
    Refusal::internal(&HubError::Key { what })
}

fn pepper_of(bytes: &[u8]) -> Result<Pepper, Refusal> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| no_key("pepper"))?;
    Ok(Pepper::from_bytes(Zeroizing::new(bytes)))
}

impl Hub {
    pub(crate) fn seal_badge(
        &self,
        scope: &TenantScope,
        number: u32,
        badge: &str,
    ) -> Result<Vec<u8>, HubError> {
        Ok(self.vault.seal(&badge_name(scope, number), badge.as_bytes())?)
    }

    pub(crate) fn seal_pin(
        &self,
        scope: &TenantScope,
        number: u32,
        pin: &Pin,
    ) -> Result<Vec<u8>, HubError> {
        Ok(self.vault.seal(&pin_name(scope, number), pin.expose())?)
    }

    /// The PIN of a person, if they have one.
    pub(crate) fn open_pin(
        &self,
        scope: &TenantScope,
        person: &PersonRow,
    ) -> Result<Option<Pin>, Refusal> {
        let Some(sealed) = &person.pin else { return Ok(None) };
        let plain = self.vault.open_sealed(&pin_name(scope, person.number), sealed);
        let plain = plain.map_err(|error| Refusal::internal(&error))?;
        let digits = std::str::from_utf8(&plain).map_err(|_| no_key("PIN"))?;
        Ok(Some(Pin::read(digits).map_err(|_| no_key("PIN"))?))
    }

    fn open_badge(
        &self,
        scope: &TenantScope,
        person: &PersonRow,
    ) -> Result<Zeroizing<String>, Refusal> {
        let plain = self.vault.open_sealed(&badge_name(scope, person.number), &person.badge);
        let plain = plain.map_err(|error| Refusal::internal(&error))?;
        let text = std::str::from_utf8(&plain).map_err(|_| no_key("badge"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// The digest by which a tenant's badges are told apart.
    pub(crate) async fn badge_digest(
        &self,
        scope: &TenantScope,
        badge: &str,
    ) -> Result<Sha256, Refusal> {
        let name = people_name(scope);
        let sealed = match self.store.sealed_key(scope, PEOPLE_KEY).await {
            Ok(sealed) => sealed,
            Err(StoreError::Missing { .. }) => {
                let fresh = Pepper::generate(&mut release::SystemRandom)
                    .map_err(|error| Refusal::internal(&error))?;
                let sealed = self
                    .vault
                    .seal(&name, fresh.expose())
                    .map_err(|error| Refusal::internal(&error))?;
                self.store.keep_tenant_key(scope, PEOPLE_KEY, &sealed).await?;
                // Another listener may have been faster: what is kept counts.
                self.store.sealed_key(scope, PEOPLE_KEY).await?
            }
            Err(error) => return Err(error.into()),
        };
        let plain =
            self.vault.open_sealed(&name, &sealed).map_err(|error| Refusal::internal(&error))?;
        Ok(Sha256(*pepper_of(&plain)?.badge_digest(badge).as_bytes()))
    }

    pub(crate) async fn pepper(
        &self,
        scope: &TenantScope,
        station: &StationRow,
    ) -> Result<Pepper, Refusal> {
        let name = pepper_name(scope, station);
        let row = match self.store.roster(scope, station).await? {
            Some(row) => row,
            None => {
                let fresh = Pepper::generate(&mut release::SystemRandom)
                    .map_err(|error| Refusal::internal(&error))?;
                let sealed = self
                    .vault
                    .seal(&name, fresh.expose())
                    .map_err(|error| Refusal::internal(&error))?;
                self.store.keep_pepper(scope, station, &sealed).await?;
                let row = self.store.roster(scope, station).await?;
                row.ok_or_else(|| no_key("pepper"))?
            }
        };
        let plain = self
            .vault
            .open_sealed(&name, &row.pepper)
            .map_err(|error| Refusal::internal(&error))?;
        pepper_of(&plain)
    }
}

/// The station's roster as it should be now; none while its line never had people.
pub(crate) async fn current(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
) -> Result<Option<SignedRoster>, Refusal> {
    for _ in 0..ATTEMPTS_MAX {
        let people = hub.store.people_of_line(scope, &station.line).await?;
        let held = hub.store.roster(scope, station).await?;
        let (version, signed) = held.map_or((0, None), |held| (held.version, held.signed));
        if people.is_empty() && signed.is_none() {
            return Ok(None);
        }
        let keys = hub.keys(scope).await?;
        let signer = keys.lease().public().key_id();
        let changes: Vec<(u32, u64)> =
            people.iter().map(|person| (person.number, person.serial)).collect();
        let content = serde_json::to_vec(&(signer, &station.line, changes))
            .map_err(|error| Refusal::internal(&error))?;
        let content_sha256 = sha256(&content);
        if let Some(signed) = signed.filter(|signed| signed.content_sha256 == content_sha256) {
            return Ok(Some(signed));
        }
        let pepper = hub.pepper(scope, station).await?;
        let (pepper, operators) = operators(hub, scope, station, pepper, &people).await?;
        let tenant = Name::new(scope.name().as_str()).map_err(|error| Refusal::internal(&error))?;
        let receiver = WrapPublicKey::from_bytes(station.hpke_key.0);
        let sealed = pepper
            .seal_for(&receiver, &tenant, &mut release::SystemRandom)
            .map_err(|error| Refusal::internal(&error))?;
        let terms = RosterTerms {
            format: ROSTER_FORMAT.to_owned(),
            v: ROSTER_VERSION,
            tenant,
            station: Name::new(station.name.as_str()).map_err(|error| Refusal::internal(&error))?,
            line: station.line.to_string(),
            station_key_sha256: receiver.digest(),
            version: version + 1,
            issued_ms: hub.now_ms(),
            pepper: sealed,
            operators,
        };
        let bytes = terms.sign(&[keys.lease()]).map_err(|error| Refusal::internal(&error))?;
        let signed = SignedRoster { version: terms.version, bytes, content_sha256 };
        if hub.store.keep_roster(scope, station, &signed, hub.now_ms()).await? {
            return Ok(Some(signed));
        }
    }
    Ok(hub.store.roster(scope, station).await?.and_then(|held| held.signed))
}

/// The operators of a roster. Verifiers of PINs that did not change are kept from the last time;
/// each new one is kept as it is made, so that a request that breaks off was not in vain.
async fn operators(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    mut pepper: Pepper,
    people: &[PersonRow],
) -> Result<(Pepper, Vec<Operator>), Refusal> {
    let known = hub.store.pin_verifiers(scope, station).await?;
    let mut operators = Vec::with_capacity(people.len());
    for person in people {
        let number = person.number;
        let kept = known
            .iter()
            .find(|(of, serial, _)| *of == number && *serial == person.pin_serial)
            .and_then(|(_, _, bytes)| <[u8; 48]>::try_from(bytes.as_slice()).ok())
            .map(|bytes| PinVerifier::from_bytes(&bytes));
        let pin = match (hub.open_pin(scope, person)?, kept) {
            (None, _) => None,
            (Some(_), Some(kept)) => Some(kept),
            (Some(pin), None) => {
                let mut salt = [0; 16];
                release::SystemRandom.fill(&mut salt).map_err(|error| Refusal::internal(&error))?;
                let made = tokio::task::spawn_blocking(move || {
                    let made = pepper.verifier(number, &pin, salt);
                    (pepper, made)
                });
                let (back, made) = made.await.map_err(|error| Refusal::internal(&error))?;
                pepper = back;
                let made = made.map_err(|error| Refusal::internal(&error))?;
                let of = (number, person.pin_serial);
                hub.store.keep_pin_verifier(scope, station, of, &made.to_bytes()).await?;
                Some(made)
            }
        };
        operators.push(Operator {
            number,
            role: role_of(person.role),
            badge: pepper.badge_digest(&hub.open_badge(scope, person)?),
            pin,
            ends_ms: person.ends_ms,
            disabled: person.disabled,
        });
    }
    Ok((pepper, operators))
}

/// A role as the roster spells it.
pub(crate) const fn role_of(role: protocol::Role) -> Role {
    match role {
        protocol::Role::Worker => Role::Worker,
        protocol::Role::Lead => Role::Lead,
        protocol::Role::It => Role::It,
    }
}
