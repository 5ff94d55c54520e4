//! What a failure means to the people at the line: the one place that decides it.
//!
//! Every error of a room is matched here by name, without a wildcard, so that a new one does not
//! compile until somebody chose its meaning. The whole chain of causes goes to the log where the
//! failure is handled, under the incident number that the worker sees.
//!
//! Promise: a code always comes with the same blame and the same one act.

use activation::IssueError;
use flash::{FlashError, Step};
use release::{LeaseError, MayNot, OpenError, ReleaseTrouble, TrustError, WrapError};
use sync::{EnrolError, OfflineReason};

pub use crate::api::view::{Act, Blame, Trouble, TroubleCode};
use crate::desk::PersonRefusal;
use crate::hands::HandError;
use crate::keys::KeyError;
use crate::scanners::label::NotALabel;
use crate::store::StoreError;

impl TroubleCode {
    /// Who or what is to blame, and the one thing to do.
    #[must_use]
    pub const fn meaning(self) -> (Blame, Act) {
        match self {
            Self::NoContact => (Blame::Slot, Act::PlugInAgain),
            Self::ContactLost => (Blame::Cable, Act::PlugInAgain),
            Self::BoardUnplugged => (Blame::Operator, Act::PlugInAgain),
            Self::ReadBackDiffered
            | Self::ChipLocked
            | Self::WrongChip
            | Self::UidImplausible
            | Self::SelfTestFailed
            | Self::FlashWriteFailed
            | Self::ForeignBlock
            | Self::UnitVoided => (Blame::Board, Act::PutInRedBin),
            Self::UidDuplicate | Self::CredentialConflict | Self::IndexTaken => {
                (Blame::Board, Act::CallLead)
            }
            // Another way onto the same chip would tell its unique id.
            Self::IdentityWeak => (Blame::Release, Act::CallLead),
            Self::DriverHung => (Blame::Probe, Act::PlugInAgain),
            Self::ProbeBusy => (Blame::Probe, Act::CallLead),
            Self::ProbeGone => (Blame::Probe, Act::TryOtherCable),
            Self::WorkerCrashed => (Blame::Station, Act::PlugInAgain),
            Self::ReleaseNotTrusted
            | Self::ReleaseDamaged
            | Self::ImageOutOfRange
            | Self::ReleaseWithdrawn
            | Self::ChipNotSupported
            | Self::ChipNotProven => (Blame::Release, Act::CallLead),
            Self::NoRelease => (Blame::Release, Act::WaitForStation),
            Self::LeaseOver
            | Self::QuotaEmpty
            | Self::AllotmentNotTrusted
            | Self::QuotaExceeded
            | Self::HubCertificate
            | Self::CredentialElsewhere => (Blame::Network, Act::CallLead),
            Self::HubUnreachable => (Blame::Network, Act::WaitForStation),
            Self::PortionFull | Self::WrongOrder => (Blame::Operator, Act::ScanWorkOrder),
            Self::NobodyIn => (Blame::Operator, Act::ScanBadge),
            Self::RejectWaits => (Blame::Operator, Act::ScanBin),
            Self::ScannerGone => (Blame::Station, Act::PlugInScanner),
            Self::ScanDamaged | Self::ScanForeign | Self::ScanDoubled => {
                (Blame::Operator, Act::ScanAgain)
            }
            Self::BadgeRefused | Self::PinRefused | Self::PinLocked | Self::RoleNeeded => {
                (Blame::Operator, Act::CallLead)
            }
            Self::RightsOver | Self::RosterRefused => (Blame::Network, Act::CallLead),
            Self::DiskFull
            | Self::StoreDamaged
            | Self::StoreNewer
            | Self::ClockJumped
            | Self::JournalSetBack
            | Self::PortMissing
            | Self::PortNotLeased
            | Self::PortForbidden
            | Self::SocketDiffers
            | Self::Internal => (Blame::Station, Act::CallLead),
            Self::EnrolmentCodeUsed | Self::EnrolmentCodeBad | Self::StickRefused => {
                (Blame::Operator, Act::CallLead)
            }
        }
    }

    /// Whether the failure says something about the slot, so that three in a row close it. What
    /// the whole station lacks says nothing about a slot.
    #[must_use]
    pub const fn is_about_the_slot(self) -> bool {
        match self.meaning().0 {
            Blame::Board | Blame::Cable | Blame::Slot | Blame::Probe => true,
            Blame::Station | Blame::Release | Blame::Network | Blame::Operator => false,
        }
    }

    /// The code as people read it: `F-12`.
    #[must_use]
    pub fn text(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(text)) => text,
            Ok(_) | Err(_) => "F-99".to_owned(),
        }
    }
}

impl Trouble {
    /// The trouble for a code, in a slot or (`None`) of the whole station.
    #[must_use]
    pub fn of(code: TroubleCode, slot: Option<u32>, incident: impl Into<String>) -> Self {
        let (blame, act) = code.meaning();
        Self { code, blame, act, slot, chip: None, incident: incident.into() }
    }
}

impl From<&IssueError> for TroubleCode {
    fn from(error: &IssueError) -> Self {
        match error {
            IssueError::Certificate(_) | IssueError::OtherStation => Self::AllotmentNotTrusted,
            IssueError::IndexBeyondQuota { .. } => Self::QuotaExceeded,
            IssueError::ChipUnusable => Self::UidImplausible,
            IssueError::CredentialUnusable | IssueError::OtherShare => Self::StoreDamaged,
        }
    }
}

impl From<&FlashError> for TroubleCode {
    fn from(error: &FlashError) -> Self {
        match error {
            FlashError::Silent { during, .. } | FlashError::Driver { during, .. } => lost(*during),
            FlashError::LineNoise { .. } | FlashError::LineDamaged { .. } => Self::ContactLost,
            FlashError::WrongBaud { .. } => Self::NoContact,
            FlashError::Refused { during, .. } => match during {
                Step::Erase | Step::Program | Step::Protect | Step::Unlock => {
                    Self::FlashWriteFailed
                }
                Step::Contact
                | Step::Identify
                | Step::Read
                | Step::Survey
                | Step::Verify
                | Step::Reset
                | Step::SelfTest
                | Step::Presence => lost(*during),
            },
            FlashError::CoreStuck { during, .. } => match during {
                Step::SelfTest | Step::Reset => Self::SelfTestFailed,
                Step::Contact
                | Step::Identify
                | Step::Read
                | Step::Survey
                | Step::Erase
                | Step::Program
                | Step::Verify
                | Step::Protect
                | Step::Unlock
                | Step::Presence => Self::FlashWriteFailed,
            },
            FlashError::ProbeMissing { .. }
            | FlashError::ProbeLost { .. }
            | FlashError::ListenFailed { .. } => Self::ProbeGone,
            FlashError::PermissionDenied { .. } => Self::PortForbidden,
            FlashError::ProbeBusy { .. } => Self::ProbeBusy,
            FlashError::Locked => Self::ChipLocked,
            FlashError::WrongChip { .. } => Self::WrongChip,
            FlashError::UnknownChip { .. } => Self::ChipNotSupported,
            FlashError::UidImplausible { .. } => Self::UidImplausible,
            FlashError::OutOfRange { .. } | FlashError::Overlap { .. } => Self::ImageOutOfRange,
            FlashError::EraseFailed { .. }
            | FlashError::WriteFailed { .. }
            | FlashError::NotProtected { .. } => Self::FlashWriteFailed,
            FlashError::VerifyDiffered { .. } => Self::ReadBackDiffered,
            FlashError::SelfTestSilent { .. } | FlashError::SelfTestDiffered { .. } => {
                Self::SelfTestFailed
            }
            FlashError::SelectorInvalid { .. }
            | FlashError::WireUnsupported { .. }
            | FlashError::NotIdentified { .. }
            | FlashError::Unsupported { .. } => Self::Internal,
        }
    }
}

/// A board that falls silent before it was known makes no contact; later, contact is lost.
fn lost(during: Step) -> TroubleCode {
    match during {
        Step::Contact | Step::Identify | Step::Presence => TroubleCode::NoContact,
        Step::Read
        | Step::Survey
        | Step::Erase
        | Step::Program
        | Step::Verify
        | Step::Reset
        | Step::SelfTest
        | Step::Protect
        | Step::Unlock => TroubleCode::ContactLost,
    }
}

impl From<&HandError> for TroubleCode {
    fn from(error: &HandError) -> Self {
        match error {
            HandError::Flash(flash) => Self::from(flash),
            HandError::Hung { .. } | HandError::Cancelled { .. } => Self::DriverHung,
            HandError::Crashed { .. } | HandError::Garbled { .. } => Self::WorkerCrashed,
            HandError::Start { .. } => Self::Internal,
        }
    }
}

impl From<&StoreError> for TroubleCode {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::DiskFull,
            StoreError::Damaged { .. } => Self::StoreDamaged,
            StoreError::Newer { .. } => Self::StoreNewer,
            StoreError::InUse(_) | StoreError::Database(_) => Self::Internal,
        }
    }
}

impl From<&KeyError> for TroubleCode {
    fn from(error: &KeyError) -> Self {
        match error {
            KeyError::Store(store) => Self::from(store),
            KeyError::Sealed(_) | KeyError::SecretForm | KeyError::Missing(_) => Self::StoreDamaged,
            KeyError::SecretFile(_)
            | KeyError::Unseal(_)
            | KeyError::Seal(_)
            | KeyError::NoBareSecret
            | KeyError::SealedOther
            | KeyError::NoRandomness
            | KeyError::Request(_) => Self::Internal,
        }
    }
}

impl From<PersonRefusal> for TroubleCode {
    fn from(refusal: PersonRefusal) -> Self {
        match refusal {
            PersonRefusal::NobodyIn => Self::NobodyIn,
            PersonRefusal::Badge(_) => Self::BadgeRefused,
            PersonRefusal::NoRoster => Self::RosterRefused,
            PersonRefusal::NoPin | PersonRefusal::PinTooShort | PersonRefusal::PinWrong => {
                Self::PinRefused
            }
            PersonRefusal::Waits | PersonRefusal::Locked => Self::PinLocked,
            PersonRefusal::LeadNeeded | PersonRefusal::ItNeeded => Self::RoleNeeded,
            PersonRefusal::HubAway => Self::RightsOver,
        }
    }
}

impl From<ReleaseTrouble> for TroubleCode {
    fn from(trouble: ReleaseTrouble) -> Self {
        match trouble {
            ReleaseTrouble::NotTrusted => Self::ReleaseNotTrusted,
            ReleaseTrouble::Damaged => Self::ReleaseDamaged,
            ReleaseTrouble::ImageOutOfRange => Self::ImageOutOfRange,
            ReleaseTrouble::WrongChip => Self::WrongChip,
            ReleaseTrouble::ChipNotSupported => Self::ChipNotSupported,
            ReleaseTrouble::Withdrawn => Self::ReleaseWithdrawn,
            // What R&D's desk refuses never comes to a station.
            ReleaseTrouble::ImageUnreadable
            | ReleaseTrouble::RecipeRefused
            | ReleaseTrouble::Machine => Self::Internal,
        }
    }
}

impl From<&TrustError> for TroubleCode {
    fn from(error: &TrustError) -> Self {
        // A station that has not heard everything yet waits for the rest.
        if matches!(error, TrustError::Missing { .. }) {
            return Self::NoRelease;
        }
        ReleaseTrouble::from(error).into()
    }
}

impl From<&LeaseError> for TroubleCode {
    fn from(error: &LeaseError) -> Self {
        match error {
            LeaseError::Over { .. } => Self::LeaseOver,
            LeaseError::NotYet { .. } => Self::ClockJumped,
            LeaseError::Unreadable(_)
            | LeaseError::TooFewSignatures { .. }
            | LeaseError::OtherTenant { .. }
            | LeaseError::OtherStation { .. }
            | LeaseError::OlderVersion { .. } => Self::ReleaseNotTrusted,
        }
    }
}

impl From<&MayNot> for TroubleCode {
    fn from(error: &MayNot) -> Self {
        match error {
            MayNot::Over { .. } => Self::LeaseOver,
            MayNot::NotYet { .. } => Self::ClockJumped,
            MayNot::NotLeased { .. } => Self::NoRelease,
        }
    }
}

impl From<&OpenError> for TroubleCode {
    fn from(error: &OpenError) -> Self {
        if matches!(error, OpenError::Unreadable { .. }) {
            return Self::NoRelease;
        }
        ReleaseTrouble::from(error).into()
    }
}

impl From<&WrapError> for TroubleCode {
    fn from(_: &WrapError) -> Self {
        // A key that does not open was wrapped for another station, lease or release.
        Self::ReleaseNotTrusted
    }
}

impl From<&EnrolError> for TroubleCode {
    fn from(error: &EnrolError) -> Self {
        match error {
            EnrolError::Unreachable { .. } => Self::HubUnreachable,
            EnrolError::HubCertificate { .. } => Self::HubCertificate,
            EnrolError::CodeUsed => Self::EnrolmentCodeUsed,
            EnrolError::HubAddress { .. }
            | EnrolError::CodeExpired
            | EnrolError::CodeUnknown
            | EnrolError::Refused { .. } => Self::EnrolmentCodeBad,
            EnrolError::NotUnderstood { .. } => Self::Internal,
        }
    }
}

impl From<NotALabel> for TroubleCode {
    fn from(refusal: NotALabel) -> Self {
        match refusal {
            NotALabel::Empty | NotALabel::TooLong | NotALabel::Damaged | NotALabel::Incomplete => {
                Self::ScanDamaged
            }
            NotALabel::Foreign => Self::ScanForeign,
        }
    }
}

/// The trouble behind a hub that cannot be used. Being offline alone is normal operation and no
/// trouble; a stranger's certificate is.
#[must_use]
pub const fn of_offline(reason: OfflineReason) -> Option<TroubleCode> {
    match reason {
        OfflineReason::HubCertificate | OfflineReason::StationRefused => {
            Some(TroubleCode::HubCertificate)
        }
        OfflineReason::Unreachable
        | OfflineReason::HubTrouble
        | OfflineReason::NotUnderstood
        | OfflineReason::StationTrouble => None,
    }
}

/// The chain of an error's words, outermost first, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_spelt_f_and_two_digits_and_no_two_share_a_number() {
        let mut seen = std::collections::BTreeSet::new();
        for code in TroubleCode::ALL {
            let text = code.text();
            let digits = text.strip_prefix("F-").expect("F-");
            assert!(digits.len() == 2 && digits.parse::<u8>().is_ok(), "{text}");
            assert!(seen.insert(text.clone()), "{text} is used twice");
            let back: TroubleCode =
                serde_json::from_value(serde_json::Value::String(text)).expect("reads back");
            assert_eq!(back, code);
        }
        let document: serde_json::Value =
            serde_json::from_str(&crate::api::openapi_json()).expect("document");
        let listed = document["components"]["schemas"]["TroubleCode"]["enum"]
            .as_array()
            .expect("codes")
            .len();
        assert_eq!(seen.len(), listed, "a code is missing from TroubleCode::ALL");
    }

    #[test]
    fn a_release_refused_at_rds_desk_and_at_the_station_has_one_code() {
        for trouble in ReleaseTrouble::ALL {
            let here = TroubleCode::from(*trouble);
            let at_the_desk_only = here == TroubleCode::Internal;
            assert!(at_the_desk_only || here.text() == trouble.code(), "{trouble:?}");
            let taken = TroubleCode::ALL.iter().any(|code| code.text() == trouble.code());
            assert_eq!(taken, !at_the_desk_only, "{trouble:?}");
        }
    }

    #[test]
    fn what_the_station_lacks_never_closes_a_slot() {
        let check = |code: TroubleCode, about: bool| {
            assert_eq!(code.is_about_the_slot(), about, "{code:?}");
        };
        check(TroubleCode::NoContact, true);
        check(TroubleCode::ReadBackDiffered, true);
        check(TroubleCode::DriverHung, true);
        check(TroubleCode::DiskFull, false);
        check(TroubleCode::LeaseOver, false);
        check(TroubleCode::WrongOrder, false);
        check(TroubleCode::NoRelease, false);
        check(TroubleCode::ChipNotSupported, false);
        check(TroubleCode::BoardUnplugged, false);
        check(TroubleCode::IdentityWeak, false);
        check(TroubleCode::ChipNotProven, false);
        check(TroubleCode::PortMissing, false);
        check(TroubleCode::NobodyIn, false);
        check(TroubleCode::RosterRefused, false);
    }

    #[test]
    fn bad_input_ends_in_the_code_the_worker_is_told() {
        let silent = |during| FlashError::Silent { during, detail: String::new() };
        let noise = |during| FlashError::LineNoise { during, detail: String::new() };
        let (during, damage) = (Step::Identify, flash::Damage::Parity);
        let damaged = FlashError::LineDamaged { during, damage, detail: String::new() };
        let refused = |during| FlashError::Refused { during, detail: String::new() };
        let differed =
            FlashError::VerifyDiffered { address: 0x1000, bytes: 1, wanted: 0, found: 1 };
        let (what, detail) = ("/dev/ttyUSB0".to_owned(), String::new());
        let forbidden = FlashError::PermissionDenied { what, detail: detail.clone() };
        let busy = FlashError::ProbeBusy { what: String::new(), detail: detail.clone() };
        let missing = FlashError::ProbeMissing { selector: String::new(), detail };
        for (error, code) in [
            (silent(Step::Identify), TroubleCode::NoContact),
            (silent(Step::Program), TroubleCode::ContactLost),
            (missing, TroubleCode::ProbeGone),
            (forbidden, TroubleCode::PortForbidden),
            (busy, TroubleCode::ProbeBusy),
            (FlashError::Locked, TroubleCode::ChipLocked),
            (noise(Step::Identify), TroubleCode::ContactLost),
            (damaged, TroubleCode::ContactLost),
            (
                FlashError::WrongBaud { during: Step::Identify, tried: Vec::new() },
                TroubleCode::NoContact,
            ),
            (refused(Step::Erase), TroubleCode::FlashWriteFailed),
            (refused(Step::Identify), TroubleCode::NoContact),
            (refused(Step::Verify), TroubleCode::ContactLost),
            (FlashError::UnknownChip { chip: String::new() }, TroubleCode::ChipNotSupported),
            (differed, TroubleCode::ReadBackDiffered),
        ] {
            assert_eq!(TroubleCode::from(&HandError::Flash(error)), code);
        }
        let hung = HandError::Hung { during: Step::Program };
        assert_eq!(TroubleCode::from(&hung), TroubleCode::DriverHung);
        assert_eq!(TroubleCode::from(&EnrolError::CodeUsed), TroubleCode::EnrolmentCodeUsed);
        let newer = StoreError::Newer { found: 9, known: 1 };
        assert_eq!(TroubleCode::from(&newer), TroubleCode::StoreNewer);
    }
}
