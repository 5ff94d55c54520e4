//! The door for the handover sheet: what one shift leaves to the next.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use crate::api::view::{RejectView, SlotState};

/// What one shift leaves to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Handover {
    /// Station time, seconds since the Unix epoch.
    pub at_s: u32,
    /// The order in hand.
    #[schema(required = true)]
    pub order: Option<String>,
    /// Boards that lie in slots.
    pub boards: Vec<BoardLeft>,
    /// Rejected boards that no bin was scanned for.
    pub rejects: Vec<RejectView>,
    /// Codes that were set aside for a chip and are not proven on it, the newest first; at most
    /// [`CODES_MAX`].
    pub codes: Vec<CodeLeft>,
    /// How many such codes there are.
    pub codes_count: u32,
    /// Records that the hub has not acknowledged.
    pub unsynced: u32,
    /// The journal's signed head.
    #[schema(required = true)]
    pub head: Option<HeadLeft>,
}

/// Most codes that a sheet lists.
pub const CODES_MAX: usize = 50;

/// A board that lies in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoardLeft {
    /// The slot.
    pub slot: u32,
    /// What happens in it.
    pub state: SlotState,
    /// Last four hexadecimal digits of the chip's UID.
    #[schema(required = true)]
    pub uid_tail: Option<String>,
}

/// A code that was set aside and is not proven on its chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CodeLeft {
    /// The activation code.
    pub code: String,
    /// The order.
    pub order: String,
    /// Last four hexadecimal digits of the chip's UID.
    pub uid_tail: String,
}

/// The signed head of the journal: what a phone can keep of everything that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeadLeft {
    /// The journal's epoch.
    pub epoch: u32,
    /// Records in it; stops at 4294967295.
    pub size: u32,
    /// The head as a signed note.
    pub note: String,
    /// Modules along one edge of the note's QR code, without its quiet zone.
    pub qr_width: u32,
    /// The dark modules, as the path of an SVG of that width.
    pub qr_path: String,
}

impl HeadLeft {
    /// A head with its QR code; none where the note is too long for one.
    #[must_use]
    pub fn of(epoch: u32, size: u64, note: String) -> Option<Self> {
        let code = qrcode::QrCode::new(note.as_bytes()).ok()?;
        let width = code.width();
        let mut qr_path = String::new();
        for (place, color) in code.to_colors().into_iter().enumerate() {
            if color == qrcode::Color::Dark {
                let (x, y) = (place % width, place / width);
                qr_path.push_str(&format!("M{x} {y}h1v1h-1z"));
            }
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let qr_width = u32::try_from(width).unwrap_or_default();
        Some(Self { epoch, size, note, qr_width, qr_path })
    }
}

/// What one shift leaves to the next.
#[utoipa::path(get, path = "/api/handover", responses(
    (status = 200, description = "The sheet", body = Handover),
    (status = 401, description = "No cookie: open the page through its entry address"),
    (status = 403, description = "People are kept, and nobody is in")
))]
pub(super) async fn handover(State(api): State<Api>) -> Response {
    let desk = api.desk;
    match tokio::task::spawn_blocking(move || desk.handover()).await {
        Ok(Some(sheet)) => ([(header::CACHE_CONTROL, "no-store")], Json(sheet)).into_response(),
        Ok(None) => StatusCode::FORBIDDEN.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heads_qr_code_has_its_finders_and_one_that_does_not_fit_is_none() {
        let head = HeadLeft::of(1, 7, "flashline/acme/line-1/1\n7\nAAAA\n".to_owned());
        let head = head.expect("it fits");
        // Version 4 at least, with a finder's corner in the upper left and lower left.
        assert!(head.qr_width >= 21 && (head.qr_width - 17).is_multiple_of(4), "{}", head.qr_width);
        assert!(head.qr_path.starts_with("M0 0h1v1h-1z"));
        assert!(head.qr_path.contains(&format!("M0 {}h1v1h-1z", head.qr_width - 1)));
        assert_eq!(HeadLeft::of(1, 7, "x".repeat(5000)), None);
    }
}
