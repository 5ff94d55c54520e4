//! Every refusal of the hub, as problem+json (RFC 9457) with a stable type.

use serde::{Deserialize, Serialize};

macro_rules! problem_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal, $act:literal;)*) => {
        /// What kind of refusal; the member `type`. Spellings are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum ProblemType {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ProblemType {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As it stands on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status it comes with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// One line for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The one thing to do, as a sentence for people.
            #[must_use]
            pub fn act(self) -> &'static str {
                match self { $(Self::$name => $act,)* }
            }
        }
    };
}

problem_types! {
    /// The enrolment code was used before.
    EnrolmentCodeUsed = "enrolment-code-used", 409, "This enrolment code was already used",
        "Make a new enrolment code.";
    /// The enrolment code is too old.
    EnrolmentCodeExpired = "enrolment-code-expired", 410, "This enrolment code has expired",
        "Make a new enrolment code.";
    /// The hub never gave out this enrolment code.
    EnrolmentCodeUnknown = "enrolment-code-unknown", 403, "This enrolment code is not known",
        "Check the code against the hub that gave it out.";
    /// The code was made for a station of another name.
    EnrolmentCodeOtherStation = "enrolment-code-other-station", 403,
        "This enrolment code is for another station",
        "Enrol the station that the code names.";
    /// The certificate signing request or one of the keys is unusable.
    EnrolmentKeyRefused = "enrolment-key-refused", 422, "A key of the station is not usable",
        "Enrol again with an empty station folder.";
    /// The tenant asks for more than what guards the station's keys.
    KeyProtectionTooWeak = "key-protection-too-weak", 403,
        "The station's keys are not guarded as this tenant asks",
        "Seal the station secret on the station (`station-daemon seal`), or enrol one with a TPM.";
    /// No client certificate, or one of a station that is not enrolled or was revoked.
    CertificateRefused = "certificate-refused", 403, "The station's certificate is not accepted",
        "Enrol the station again, or ask who revoked it.";
    /// The certificate's life is over: it may renew itself and bring records, nothing else.
    CertificateExpired = "certificate-expired", 403, "The station's certificate has expired",
        "Let the station renew its certificate.";
    /// No token, or not the right one.
    TokenRefused = "token-refused", 401, "The access token is not accepted",
        "Use the token that the hub wrote for this tenant.";
    /// Nothing by that name, for this caller.
    NotFound = "not-found", 404, "There is nothing by this name",
        "Check the name.";
    /// The method is not offered there.
    MethodNotAllowed = "method-not-allowed", 405, "This cannot be done there",
        "Check the address against the hub's API document.";
    /// Not parseable, or a value out of its bounds.
    RequestMalformed = "request-malformed", 400, "The request is not well formed",
        "Correct the request where it says so.";
    /// Body beyond its limit, before or after decompression.
    RequestTooLarge = "request-too-large", 413, "The request is too large",
        "Send less at a time.";
    /// The range of a chunk cannot be served.
    RangeNotSatisfiable = "range-not-satisfiable", 416, "There are no such bytes in it",
        "Ask for bytes that the chunk has.";
    /// The station's checkpoint or a record does not verify.
    JournalNotVerified = "journal-not-verified", 422, "The journal range does not verify",
        "Keep the station's disk as it is and call whoever runs the hub.";
    /// Records between the hub's head and this push are missing; member `expected`.
    JournalGap = "journal-gap", 412, "Earlier records are missing",
        "Send the records from the expected number on.";
    /// Another record is already held under the same number; both are kept. Member `seq`.
    JournalFork = "journal-fork", 409, "Another record holds this number",
        "Stop the station and compare both branches.";
    /// The journal's epoch is beyond the one an administrator opened.
    EpochNotOpened = "epoch-not-opened", 409, "This epoch of the journal was not opened",
        "Open a new epoch for the station at the hub.";
    /// The station's journal is sound: there is nothing to open a new epoch for.
    NotQuarantined = "not-quarantined", 409, "The station is not in quarantine",
        "Leave its journal as it is.";
    /// The hub was set back to an older state and is being told what it missed.
    HubRecovering = "hub-recovering", 409, "The hub is recovering from an older backup",
        "Wait until every station has reported, or end the recovery.";
    /// Something by this name exists already.
    AlreadyExists = "already-exists", 409, "There is already something by this name",
        "Choose another name.";
    /// The order has fewer units left than the portion wants.
    OrderExhausted = "order-exhausted", 409, "The work order has not that many units left",
        "Grant fewer units, or raise the order.";
    /// The allotment certificate is not for this station and product, or has no indices left.
    AllotmentRefused = "allotment-refused", 422, "The allotment certificate cannot be used",
        "Certify a new allotment for this station and product.";
    /// A line or value of a pool's file is wrong; nothing of it was imported.
    PoolFileRefused = "pool-file-refused", 422, "The pool's file was not imported",
        "Correct the file where it says so and import it whole.";
    /// Fewer credentials are free than asked for.
    PoolExhausted = "pool-exhausted", 409, "The pool cannot lend these credentials",
        "Import more credentials, or lend fewer.";
    /// A release must be published first.
    NothingPublished = "nothing-published", 409, "No release was published yet",
        "Publish a release first.";
    /// What was to be published is not signed as the tenant's root demands; member `code`.
    ReleaseNotTrusted = "release-not-trusted", 422, "The release is not trusted",
        "Have the product's people sign it with the tenant's own keys.";
    /// What was to be published is damaged or not whole; member `code`.
    ReleaseDamaged = "release-damaged", 422, "The publication bundle is damaged",
        "Copy the bundle again from where it was packed.";
    /// What was to be published breaks a rule or was taken back; member `code`.
    ReleaseRefused = "release-refused", 422, "The release cannot be published",
        "Pack it again.";
    /// A list or letter of a stick cannot be taken; the detail says why.
    StickRefused = "stick-refused", 422, "What the stick holds cannot be taken",
        "Write the stick again where it comes from.";
    /// Grants are stopped for this station.
    GrantsStopped = "grants-stopped", 409, "Grants are stopped for this station",
        "Open a new epoch for the station first.";
    /// The hub's own trouble; see its log.
    Internal = "internal", 500, "The hub has a trouble of its own",
        "Look into the hub's log.";
}

/// The body of a refusal, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// What kind.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// One line for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The one thing to do, as a sentence for people.
    #[serde(default)]
    pub act: String,
    /// The code a station's screen shows for the same cause, `F-32`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With [`ProblemType::JournalGap`]: the first record that is wanted. With
    /// [`ProblemType::JournalFork`]: records held of the branch, the next one is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// With [`ProblemType::JournalFork`]: the first record that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl Problem {
    /// A refusal without particulars.
    #[must_use]
    pub fn of(kind: ProblemType) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: None,
            act: kind.act().to_owned(),
            code: None,
            expected: None,
            seq: None,
        }
    }

    /// The same with particulars.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_spelt_the_same_in_json_and_in_code() {
        for kind in ProblemType::ALL {
            let json = serde_json::to_value(Problem::of(*kind)).unwrap();
            assert_eq!(json["type"], kind.as_str());
            assert_eq!(json["status"], kind.status());
            assert!((400..600).contains(&kind.status()));
            let act = kind.act();
            assert!(act.ends_with('.') && act.matches('.').count() == 1, "one sentence: {act}");
        }
    }
}
