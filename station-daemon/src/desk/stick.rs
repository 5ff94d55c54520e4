//! What the desk knows of sticks: the newest parcel of each way, and the question for the time that
//! went out with the last one.

use std::sync::Arc;

use audit::Event;
use protocol::TimeStatement;
use ring::rand::SecureRandom;
use ring::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};
use sync::PartyError;
use sync::stick::{Address, StickError, Way};
use zeroize::Zeroizing;

use super::Desk;
use super::hub::Refusal;
use crate::store::{Commit, StoreError};
use crate::trouble::TroubleCode;

/// Setting that holds how far the exchange has come.
const STICK: &str = "stick";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StickState {
    /// The newest parcel of the hub that was read.
    read: u64,
    /// The newest parcel that was written.
    written: u64,
    asked: Option<Asked>,
}

/// A question for the time that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    nonce: String,
    /// Station time when it was asked, milliseconds since the Unix epoch.
    at_ms: i64,
}

impl StickState {
    fn load(commit: &Commit<'_>) -> Result<Self, StoreError> {
        let Some(bytes) = commit.setting(STICK)? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged { what: format!("sticks: {error}") })
    }

    fn keep(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| StoreError::Damaged { what: format!("sticks: {error}") })?;
        commit.put_setting(STICK, &bytes)
    }
}

/// What a parcel is written with.
pub struct Outgoing {
    /// Between whom.
    pub address: Address,
    /// Its number.
    pub number: u64,
    /// Station time, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The question for the time.
    pub nonce: String,
    /// Version of the newest lease seen.
    pub lease_version: u64,
    /// Records the hub has acknowledged: the first one to write.
    pub acknowledged: u64,
    /// Signs.
    pub sender: Arc<Ed25519KeyPair>,
    /// What the hub opens.
    pub receiver: [u8; 32],
    /// Opens the answer.
    pub reply: Zeroizing<[u8; 32]>,
}

/// What a parcel is read with.
pub struct Incoming {
    /// Between whom.
    pub address: Address,
    /// The newest one that was read.
    pub last: u64,
    /// Whose signature counts.
    pub sender: [u8; 32],
    /// Opens letters.
    pub receiver: Zeroizing<[u8; 32]>,
}

/// Why the desk has no part in a stick.
#[derive(Debug, thiserror::Error)]
pub enum NoStick {
    /// It belongs to no hub.
    #[error("the station is not enrolled")]
    NotEnrolled,
    /// Enrolled before hubs had such a key, and no stick of the hub was read since.
    #[error("the hub's key for sticks is not known here: read a stick that the hub wrote first")]
    NoHubKey,
    /// A name that makes no folder.
    #[error("addressing the parcel")]
    Address(#[source] StickError),
    /// The store, or no randomness.
    #[error("the station's desk answers {}", .0.text())]
    Desk(TroubleCode),
}

impl Desk {
    fn stick_state(&mut self) -> Result<StickState, NoStick> {
        self.store.read(StickState::load).map_err(|error| NoStick::Desk(TroubleCode::from(&error)))
    }

    /// Begins a parcel: a fresh number and question, journalled with the person who asked for it.
    ///
    /// # Errors
    /// [`NoStick`]; nothing is changed then.
    pub fn begin_stick(&mut self, by: Option<u32>) -> Result<Outgoing, NoStick> {
        let mut state = self.stick_state()?;
        let now_ms = self.now_ms();
        let enrolled = self.enrolled.as_ref().ok_or(NoStick::NotEnrolled)?;
        let membership = &enrolled.membership;
        let address = Address::new(&membership.tenant, &membership.station, Way::Up)
            .map_err(NoStick::Address)?;
        let receiver = membership.stick_key().ok_or(NoStick::NoHubKey)?;
        let (sender, reply) = (enrolled.keys.journal(), enrolled.keys.hpke().to_bytes());
        let (epoch, lease_version) = (enrolled.journal.epoch(), enrolled.shelf.lease_version());
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce).map_err(|_| NoStick::Desk(TroubleCode::Internal))?;
        let nonce = hex::encode(nonce);
        let number = u64::try_from(now_ms).unwrap_or_default().max(state.written + 1);
        state.written = number;
        state.asked = Some(Asked { nonce: nonce.clone(), at_ms: now_ms });
        let event = Event::StickWritten { number, operator: by };
        self.record(vec![event], |commit| state.keep(commit)).map_err(NoStick::Desk)?;
        let held = self.store.read(|commit| commit.head(epoch, true));
        let held = held.map_err(|error| NoStick::Desk(TroubleCode::from(&error)))?;
        let acknowledged = held.map_or(0, |head| head.size);
        Ok(Outgoing {
            address,
            number,
            now_ms,
            nonce,
            lease_version,
            acknowledged,
            sender,
            receiver,
            reply,
        })
    }

    /// What a parcel of the hub is read with.
    ///
    /// # Errors
    /// [`NoStick`].
    pub fn expect_stick(&mut self) -> Result<Incoming, NoStick> {
        let last = self.stick_state()?.read;
        let enrolled = self.enrolled.as_ref().ok_or(NoStick::NotEnrolled)?;
        let membership = &enrolled.membership;
        let address = Address::new(&membership.tenant, &membership.station, Way::Down)
            .map_err(NoStick::Address)?;
        let (sender, receiver) = (membership.hub_key(), enrolled.keys.hpke().to_bytes());
        Ok(Incoming { address, last, sender, receiver })
    }

    /// The hub's time from a stick. Without a question on its way, or for another one, it moves
    /// nothing; that is no error, for a stick may carry an answer that came another way meanwhile.
    pub(super) fn take_late_time(
        &mut self,
        payload: &str,
        signature: &str,
    ) -> Result<bool, PartyError> {
        let mut state = self.stick_state()?;
        let Some(asked) = state.asked.take() else { return Ok(false) };
        let statement: TimeStatement = self.hub_statement(payload, signature)?;
        if statement.nonce != asked.nonce {
            return Ok(false);
        }
        let from_ms = self.now_ms();
        let now = (self.clocks)();
        self.clock.hear_hub_late(statement.hub_time_ms, asked.at_ms, now);
        let event = Event::ClockMoved { from_ms, to_ms: self.now_ms() };
        self.record(vec![event], |commit| state.keep(commit)).map_err(Refusal::Trouble)?;
        Ok(true)
    }

    /// A parcel of the hub was read to its end; `reply` is what answers are sealed to from now on.
    pub(super) fn end_stick(
        &mut self,
        number: u64,
        reply: &[u8; 32],
        by: Option<u32>,
    ) -> Result<(), PartyError> {
        let mut state = self.stick_state()?;
        state.read = state.read.max(number);
        let enrolled = self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?;
        let mut membership = enrolled.membership.clone();
        membership.stick_key = hex::encode(reply);
        let event = Event::StickRead { number, operator: by };
        self.record(vec![event], |commit| {
            state.keep(commit)?;
            membership.save(commit)
        })
        .map_err(Refusal::Trouble)?;
        if let Some(enrolled) = &mut self.enrolled {
            enrolled.membership = membership;
        }
        Ok(())
    }
}
