//! Which credential a chip gets, as a pure function of everything known about it.
//!
//! Credentials are compared by their code: it is unique in the pool, and it stays the same when a
//! credential is lent anew.

use crate::refusal::Refusal;

/// What lies where the pool block belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolFound<'a> {
    /// Erased flash.
    Blank,
    /// This chip's own, proven block, with this code.
    Valid(&'a str),
    /// Something else.
    Foreign(Refusal),
}

/// Everything known about a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFacts<'a> {
    /// What lies in it.
    pub found: PoolFound<'a>,
    /// The code that this station has bound to it.
    pub own: Option<&'a str>,
    /// The code that another station's proven receipt binds to it.
    pub receipt: Option<&'a str>,
    /// The code of the credential that the hub lent this station for this chip alone.
    pub promised: Option<&'a str>,
    /// Whether the unit or its credential was voided.
    pub voided: bool,
    /// Credentials that this station has left.
    pub left: u32,
}

/// What happens to the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolDecision<'a> {
    /// It holds its own credential: nothing is spent, nothing is written.
    Adopt(&'a str),
    /// Its own credential is written, again or for the first time: nothing is spent.
    Write(&'a str),
    /// It has one of another station's: ask the hub to lend that one. Nothing is spent.
    AskFor(&'a str),
    /// It never had one: the next free credential.
    TakeNew,
    /// It never had one, and none is left.
    Empty,
    /// It was voided: nothing is written.
    Voided,
    /// Two credentials for one chip: nothing is written, both are named.
    Conflict(PoolConflict<'a>),
}

/// Two credentials that claim one chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConflict<'a> {
    /// The one that the chip holds, else the one this station has bound or was lent.
    pub here: &'a str,
    /// The other.
    pub there: &'a str,
}

/// Decides. Never answers [`PoolDecision::TakeNew`] for a chip that anybody bound a credential to.
#[must_use]
pub fn decide<'a>(facts: &PoolFacts<'a>) -> PoolDecision<'a> {
    if facts.voided {
        return PoolDecision::Voided;
    }
    let held = match facts.found {
        PoolFound::Valid(code) => Some(code),
        PoolFound::Blank | PoolFound::Foreign(_) => None,
    };
    let claims = [held, facts.own, facts.promised, facts.receipt];
    let mut known = claims.into_iter().flatten();
    let Some(here) = known.next() else {
        return if facts.left > 0 { PoolDecision::TakeNew } else { PoolDecision::Empty };
    };
    if let Some(there) = known.find(|&there| there != here) {
        return PoolDecision::Conflict(PoolConflict { here, there });
    }
    if held.is_some() {
        PoolDecision::Adopt(here)
    } else if facts.own.is_some() || facts.promised.is_some() {
        PoolDecision::Write(here)
    } else {
        PoolDecision::AskFor(here)
    }
}
