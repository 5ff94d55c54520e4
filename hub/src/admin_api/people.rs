//! People of the lines: who may work where, with which badge and PIN.
//!
//! Promise: neither a badge nor a PIN leaves the hub in an answer, a log or the hub's own record
//! of changes; a name stands in its own erasable table only.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use protocol::{LineName, Problem, ProblemType, Role};
use release::limits::INTEGER_MAX;
use release::{Pin, PinPolicy};
use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

use super::Caller;
use crate::body::read_json;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::PersonRow;

const BODY_BYTES_MAX: usize = 16 * 1024;
const LINES_MAX: usize = 16;
const NAME_CHARS_MAX: usize = 100;
/// How long a badge's text is, in bytes.
const BADGE_BYTES: std::ops::RangeInclusive<usize> = 4..=64;
/// How often a change may find that another one was faster.
const ATTEMPTS_MAX: u32 = 3;

/// A badge's text or a PIN on its way to the hub: erased when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ZeroizeOnDrop, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Withheld(String);

impl Withheld {
    /// Takes the text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Withheld(..)")
    }
}

/// A person to be added.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonCreate {
    /// The number that records hold; from 1, never given twice.
    pub number: u32,
    /// How they are called, for people at the hub only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they may do with their PIN.
    pub role: Role,
    /// Where; 1 to 16 lines.
    pub lines: Vec<LineName>,
    /// The text on their badge without `OP:`; 4 to 64 printable ASCII characters, no other's.
    pub badge: Withheld,
    /// 4 to 12 digits, for lead and IT 6 or more. Without one the badge is all they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Withheld>,
    /// The last millisecond in which they may work, since the Unix epoch; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<i64>,
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another role; a PIN that is too short for it must be set anew with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Other lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineName>>,
    /// Another badge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge: Option<Withheld>,
    /// Another PIN, or the same again: it ends a lock at the stations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Withheld>,
    /// Another end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<i64>,
    /// No end any more.
    #[serde(default)]
    pub no_end: bool,
    /// Turned away, or let in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A person as people at the hub see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// The number that records hold.
    pub number: u32,
    /// How they are called; absent when nobody said or it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they may do with their PIN.
    pub role: Role,
    /// Where.
    pub lines: Vec<LineName>,
    /// Whether they have a PIN.
    pub has_pin: bool,
    /// The last millisecond in which they may work, since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<i64>,
    /// Whether they are turned away.
    pub disabled: bool,
    /// When they were last changed, milliseconds since the Unix epoch.
    pub changed_ms: i64,
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::because(ProblemType::RequestMalformed, detail)
}

fn shown(row: PersonRow, name: Option<String>) -> Person {
    Person {
        number: row.number,
        name,
        role: row.role,
        has_pin: row.pin.is_some(),
        lines: row.lines,
        ends_ms: row.ends_ms,
        disabled: row.disabled,
        changed_ms: row.changed_ms,
    }
}

fn checked_lines(lines: Vec<LineName>) -> Result<Vec<LineName>, Refusal> {
    let distinct: BTreeSet<LineName> = lines.into_iter().collect();
    if (1..=LINES_MAX).contains(&distinct.len()) {
        Ok(distinct.into_iter().collect())
    } else {
        Err(malformed(format!("a person works on 1 to {LINES_MAX} lines")))
    }
}

fn checked_name(name: &str) -> Result<(), Refusal> {
    let good =
        (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    let rule =
        || malformed(format!("a name has 1 to {NAME_CHARS_MAX} characters, none of control"));
    good.then_some(()).ok_or_else(rule)
}

fn checked_badge(badge: &Withheld) -> Result<&str, Refusal> {
    let text = badge.0.as_str();
    let good = BADGE_BYTES.contains(&text.len())
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && text.trim() == text;
    good.then_some(text).ok_or_else(|| malformed("a badge's text has 4 to 64 printable characters"))
}

fn checked_end(ends_ms: Option<i64>) -> Result<Option<i64>, Refusal> {
    let good = ends_ms.is_none_or(|ends| (0..=INTEGER_MAX.cast_signed()).contains(&ends));
    good.then_some(ends_ms).ok_or_else(|| malformed("an end is from 0 to below 2^53 milliseconds"))
}

fn checked_pin(pin: &Withheld) -> Result<Pin, Refusal> {
    let pin = Pin::read(&pin.0).map_err(|error| malformed(error.to_string()))?;
    if pin.is_obvious() {
        return Err(malformed("this PIN is one of the first that anybody tries"));
    }
    Ok(pin)
}

fn long_enough(pin: &Pin, role: Role) -> Result<(), Refusal> {
    let policy = PinPolicy::default();
    let digits_min = match role {
        Role::Worker => policy.worker_digits_min,
        Role::Lead | Role::It => policy.lead_digits_min,
    };
    if pin.digits() < digits_min {
        return Err(malformed(format!("the PIN of this role has at least {digits_min} digits")));
    }
    Ok(())
}

/// Everybody, by number.
#[utoipa::path(get, path = "/v1/people",
    responses((status = 200, body = Vec<Person>), (status = 401, body = Problem)))]
pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<Person>>, Refusal> {
    let people = hub.store.people(&caller.scope).await?;
    Ok(Json(people.into_iter().map(|(row, name)| shown(row, name)).collect()))
}

/// Adds a person to the lines they work on.
#[utoipa::path(post, path = "/v1/admin/people", request_body = PersonCreate,
    responses((status = 201), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let create: PersonCreate = read_json(&headers, body, BODY_BYTES_MAX).await?;
    if create.number == 0 {
        return Err(malformed("people are numbered from 1"));
    }
    create.name.as_deref().map(checked_name).transpose()?;
    let Caller { scope, who } = &caller;
    let badge = checked_badge(&create.badge)?;
    let pin = create.pin.as_ref().map(checked_pin).transpose()?;
    if let Some(pin) = &pin {
        long_enough(pin, create.role)?;
    }
    let row = PersonRow {
        number: create.number,
        role: create.role,
        lines: checked_lines(create.lines)?,
        badge: hub.seal_badge(scope, create.number, badge)?,
        badge_digest: hub.badge_digest(scope, badge).await?,
        pin: pin.map(|pin| hub.seal_pin(scope, create.number, &pin)).transpose()?,
        pin_serial: 1,
        ends_ms: checked_end(create.ends_ms)?,
        disabled: false,
        serial: 1,
        changed_ms: hub.now_ms(),
    };
    hub.store.add_person(scope, &row, create.name.as_deref(), who).await?;
    hub.announce_change();
    Ok(StatusCode::CREATED)
}

/// Changes a person: role, lines, badge, PIN, end, or whether they are turned away.
#[utoipa::path(post, path = "/v1/admin/people/{number}", request_body = PersonChange,
    params(("number" = u32, Path, description = "The person's number")),
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn change(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<u32>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let change: PersonChange = read_json(&headers, body, BODY_BYTES_MAX).await?;
    change.name.as_deref().map(checked_name).transpose()?;
    let lines = change.lines.map(checked_lines).transpose()?;
    let ends_ms = checked_end(change.ends_ms)?;
    let Caller { scope, who } = &caller;
    for _ in 0..ATTEMPTS_MAX {
        let mut row = hub.store.person(scope, number).await?;
        row.role = change.role.unwrap_or(row.role);
        if let Some(lines) = &lines {
            row.lines.clone_from(lines);
        }
        if let Some(badge) = &change.badge {
            let badge = checked_badge(badge)?;
            row.badge = hub.seal_badge(scope, number, badge)?;
            row.badge_digest = hub.badge_digest(scope, badge).await?;
        }
        if let Some(pin) = &change.pin {
            row.pin = Some(hub.seal_pin(scope, number, &checked_pin(pin)?)?);
            row.pin_serial += 1;
        }
        if let Some(pin) = hub.open_pin(scope, &row)? {
            long_enough(&pin, row.role)?;
        }
        row.ends_ms = if change.no_end { None } else { ends_ms.or(row.ends_ms) };
        row.disabled = change.disabled.unwrap_or(row.disabled);
        row.serial += 1;
        row.changed_ms = hub.now_ms();
        if hub.store.change_person(scope, &row, change.name.as_deref(), who).await? {
            hub.announce_change();
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(Refusal::because(ProblemType::AlreadyExists, "the person was changed meanwhile"))
}

/// Erases a person's name; the number stays in every record.
#[utoipa::path(delete, path = "/v1/admin/people/{number}/name",
    params(("number" = u32, Path, description = "The person's number")),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn erase_name(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<u32>,
) -> Result<StatusCode, Refusal> {
    hub.store.erase_name(&caller.scope, number, &caller.who, hub.now_ms()).await?;
    Ok(StatusCode::NO_CONTENT)
}
