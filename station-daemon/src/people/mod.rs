//! Who stands at the station, and what they may do: the rules, pure.
//!
//! Owns the session of one operator, the waits after wrong PINs ([`throttle`]) and the end of
//! rights. Takes the time as an argument: station time where a date or the hub is meant, the steady
//! clock where a wait or idleness is. Leaves the roster's proof to `release`, records and commits
//! to the desk.
//!
//! Promises: a badge alone never gives more than a worker's rights; rights beyond them end with
//! idleness and with too many days without the hub; nobody who is not of the roster in force stays.

pub mod throttle;

use release::{Operator, PinPolicy, Role};

/// Without a touch, a scan or a board for this long, rights beyond a worker's end.
pub const RIGHTS_IDLE_MS: i64 = 5 * 60 * 1000;
/// Without a touch, a scan or a board for this long, the operator is signed out.
pub const SESSION_IDLE_MS: i64 = 60 * 60 * 1000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Why nobody comes in by a badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadgeRefusal {
    /// Nobody of this line has it.
    Unknown,
    /// The operator's end date has passed.
    Ended,
    /// The operator is turned away.
    Disabled,
}

impl BadgeRefusal {
    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Disabled => "disabled",
        }
    }
}

/// Whether an operator of the roster may work now, at station time `now_ms`.
///
/// # Errors
/// [`BadgeRefusal::Disabled`], [`BadgeRefusal::Ended`].
pub fn may_work(operator: &Operator, now_ms: i64) -> Result<(), BadgeRefusal> {
    if operator.disabled {
        return Err(BadgeRefusal::Disabled);
    }
    if operator.ends_ms.is_some_and(|ends_ms| now_ms > ends_ms) {
        return Err(BadgeRefusal::Ended);
    }
    Ok(())
}

/// The fewest digits of a role's PIN.
#[must_use]
pub const fn digits_min(role: Role, policy: &PinPolicy) -> u8 {
    match role {
        Role::Worker => policy.worker_digits_min,
        Role::Lead | Role::It => policy.lead_digits_min,
    }
}

/// Whether the hub has been away so long that rights beyond a worker's are over. `heard_ms` is the
/// station time of the last time the hub signed; without one they are.
#[must_use]
pub fn hub_is_away_too_long(heard_ms: Option<i64>, now_ms: i64, policy: &PinPolicy) -> bool {
    let days_max = i64::from(policy.lead_offline_days_max);
    heard_ms.is_none_or(|heard_ms| now_ms.saturating_sub(heard_ms) > days_max * DAY_MS)
}

/// The operator who is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Their number.
    pub operator: u32,
    /// What the roster lets them do with their PIN.
    pub role: Role,
    /// Whether their PIN was proven and their rights have not ended since.
    pub proven: bool,
    acted_steady_ms: i64,
}

/// What a look at the session finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing changed.
    Stays,
    /// Rights beyond a worker's have ended, for the reason in records.
    Lowered(&'static str),
    /// The operator is out, for the reason in records.
    Out(&'static str),
}

impl Session {
    /// Somebody comes in by their badge, at steady time `steady_ms`.
    #[must_use]
    pub const fn by_badge(operator: &Operator, steady_ms: i64) -> Self {
        let Operator { number, role, .. } = *operator;
        Self { operator: number, role, proven: false, acted_steady_ms: steady_ms }
    }

    /// The same with or without the rights that a PIN gives.
    #[must_use]
    pub const fn with(self, proven: bool) -> Self {
        Self { proven, ..self }
    }

    /// Something was touched, scanned or put in.
    pub fn acted(&mut self, steady_ms: i64) {
        self.acted_steady_ms = self.acted_steady_ms.max(steady_ms);
    }

    /// What they may do now.
    #[must_use]
    pub const fn rights(&self) -> Role {
        if self.proven { self.role } else { Role::Worker }
    }

    /// Looks whether the session goes on. `operator` is their entry in the roster in force, if
    /// there is one still.
    #[must_use]
    pub fn turn(
        &self,
        operator: Option<&Operator>,
        now_ms: i64,
        steady_ms: i64,
        hub_away: bool,
    ) -> Turn {
        let still = operator.filter(|operator| may_work(operator, now_ms).is_ok());
        let Some(operator) = still else { return Turn::Out("ended") };
        let idle_ms = steady_ms.saturating_sub(self.acted_steady_ms);
        if idle_ms > SESSION_IDLE_MS {
            return Turn::Out("idle");
        }
        if self.rights() == Role::Worker {
            return Turn::Stays;
        }
        if operator.role != self.role || operator.pin.is_none() {
            return Turn::Lowered("ended");
        }
        if hub_away {
            return Turn::Lowered("hub_away");
        }
        if idle_ms > RIGHTS_IDLE_MS { Turn::Lowered("idle") } else { Turn::Stays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use release::{Digest, Pepper, Pin};
    use zeroize::Zeroizing;

    const NOW: i64 = 1_800_000_000_000;

    fn person(role: Role) -> Operator {
        let pepper = Pepper::from_bytes(Zeroizing::new([3; 32]));
        let pin = pepper.verifier(12, &Pin::read("271828").expect("a PIN"), [1; 16]);
        Operator {
            number: 12,
            role,
            badge: Digest::of(b"badge"),
            pin: Some(pin.expect("a verifier")),
            ends_ms: None,
            disabled: false,
        }
    }

    #[test]
    fn an_end_date_and_a_ban_count_against_station_time() {
        let check = |ends_ms: Option<i64>, disabled: bool, wanted: Result<(), BadgeRefusal>| {
            let operator = Operator { ends_ms, disabled, ..person(Role::Lead) };
            assert_eq!(may_work(&operator, NOW), wanted, "{ends_ms:?} {disabled}");
        };
        check(None, false, Ok(()));
        check(Some(NOW), false, Ok(()));
        check(Some(NOW - 1), false, Err(BadgeRefusal::Ended));
        check(Some(NOW + 1), false, Ok(()));
        check(None, true, Err(BadgeRefusal::Disabled));
        check(Some(NOW - 1), true, Err(BadgeRefusal::Disabled));
    }

    #[test]
    fn a_lead_has_seven_days_without_the_hub_and_not_a_moment_more() {
        let policy = PinPolicy::default();
        let check = |heard_ms: Option<i64>, over: bool| {
            assert_eq!(hub_is_away_too_long(heard_ms, NOW, &policy), over, "{heard_ms:?}");
        };
        check(Some(NOW), false);
        check(Some(NOW - 7 * DAY_MS), false);
        check(Some(NOW - 7 * DAY_MS - 1), true);
        check(Some(NOW - 8 * DAY_MS), true);
        check(Some(0), true);
        check(None, true);
        // The hub set station time back: heard later than now.
        check(Some(NOW + DAY_MS), false);
        check(Some(i64::MAX), false);
        check(Some(i64::MIN), true);
    }

    #[test]
    fn a_badge_alone_gives_a_workers_rights_whatever_the_role() {
        for role in [Role::Worker, Role::Lead, Role::It] {
            let session = Session::by_badge(&person(role), 0);
            assert_eq!(session.rights(), Role::Worker, "{role}");
            assert_eq!(session.with(true).rights(), role);
        }
    }

    #[test]
    fn rights_end_before_the_session_and_both_end_with_idleness_or_the_roster() {
        let lead = person(Role::Lead);
        let proven = Session::by_badge(&lead, 1000).with(true);
        let badge = Session::by_badge(&lead, 1000);
        let at = |session: Session, ms: i64| session.turn(Some(&lead), NOW, 1000 + ms, false);
        assert_eq!(at(proven, RIGHTS_IDLE_MS), Turn::Stays);
        assert_eq!(at(proven, RIGHTS_IDLE_MS + 1), Turn::Lowered("idle"));
        assert_eq!(at(badge, RIGHTS_IDLE_MS + 1), Turn::Stays);
        assert_eq!(at(badge, SESSION_IDLE_MS), Turn::Stays);
        assert_eq!(at(badge, SESSION_IDLE_MS + 1), Turn::Out("idle"));
        assert_eq!(at(proven, SESSION_IDLE_MS + 1), Turn::Out("idle"));
        let mut busy = proven;
        busy.acted(1000 + RIGHTS_IDLE_MS);
        busy.acted(5);
        assert_eq!(at(busy, RIGHTS_IDLE_MS + 1), Turn::Stays, "a steady clock never runs back");

        let with = |session: Session, operator: Option<&Operator>, away: bool| {
            session.turn(operator, NOW, 1000, away)
        };
        assert_eq!(with(proven, Some(&lead), true), Turn::Lowered("hub_away"));
        assert_eq!(with(badge, Some(&lead), true), Turn::Stays, "a worker needs no hub");
        assert_eq!(with(proven, None, false), Turn::Out("ended"));
        let ended = Operator { ends_ms: Some(NOW - 1), ..lead.clone() };
        assert_eq!(with(badge, Some(&ended), false), Turn::Out("ended"));
        let disabled = Operator { disabled: true, ..lead.clone() };
        assert_eq!(with(proven, Some(&disabled), false), Turn::Out("ended"));
        let worker = Operator { role: Role::Worker, ..lead.clone() };
        assert_eq!(with(proven, Some(&worker), false), Turn::Lowered("ended"));
        let without = Operator { pin: None, ..lead.clone() };
        assert_eq!(with(proven, Some(&without), false), Turn::Lowered("ended"));
    }
}
