//! What scanners read: which label it is, and what it does.
//!
//! A scan selects and never configures. Owns the judging of a label's kind, scans that come twice,
//! and what is shown of the scans that the station's own scanners make. Orders and badges are judged
//! in their own rooms.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Desk;
use crate::api::view::{ScanAnswer, ScanKind, ScanSeen, ScannerView};
use crate::scanners::label::{Label, NotALabel, read_label};
use crate::trouble::{Trouble, TroubleCode};

/// The same content within this time is one scan: a scanner that reads a label twice, or a page and
/// a scanner that both heard it. Nobody scans one label on purpose that fast.
const DOUBLED_WITHIN: Duration = Duration::from_millis(500);

/// The scanners' part of the desk.
#[derive(Default)]
pub(super) struct Scans {
    /// Whether each scanner is there, by its number.
    there: BTreeMap<u32, bool>,
    /// The last content and when it came.
    last: Option<(Vec<u8>, Instant)>,
    /// What the station's own scanners read last.
    seen: Option<(ScanSeen, Instant)>,
}

impl Scans {
    pub(super) fn scanners(&self) -> Vec<ScannerView> {
        let view = |(number, there): (&u32, &bool)| ScannerView {
            number: *number,
            trouble: (!there).then(|| {
                let code = TroubleCode::ScannerGone;
                Trouble::of(code, None, code.text())
            }),
        };
        self.there.iter().map(view).collect()
    }

    pub(super) fn seen(&self) -> Option<ScanSeen> {
        let (seen, at) = self.seen.as_ref()?;
        let since_ms = u32::try_from(at.elapsed().as_millis()).unwrap_or(u32::MAX);
        Some(ScanSeen { since_ms, ..seen.clone() })
    }

    /// Whether this content came a moment ago.
    fn is_doubled(&mut self, content: &[u8], came: Instant) -> bool {
        let doubled = self.last.as_ref().is_some_and(|(last, at)| {
            last == content && came.saturating_duration_since(*at) < DOUBLED_WITHIN
        });
        self.last = Some((content.to_owned(), came));
        doubled
    }
}

impl ScanAnswer {
    /// What became of a label of this kind.
    #[must_use]
    pub fn to(kind: ScanKind, accepted: bool, word: &str) -> Self {
        Self { accepted, word: word.to_owned(), kind: Some(kind), code: None, slot: None }
    }

    /// It is no label of this line.
    #[must_use]
    pub fn unread(refusal: NotALabel) -> Self {
        let code = Some(TroubleCode::from(refusal));
        Self { accepted: false, word: refusal.word().to_owned(), kind: None, code, slot: None }
    }

    /// Nobody judged it.
    #[must_use]
    pub fn nobody(word: &str) -> Self {
        Self { accepted: false, word: word.to_owned(), kind: None, code: None, slot: None }
    }

    fn doubled() -> Self {
        let code = Some(TroubleCode::ScanDoubled);
        Self { code, ..Self::nobody("doubled") }
    }
}

impl Desk {
    /// Judges what a scanner read.
    pub fn scan(&mut self, content: &str) -> ScanAnswer {
        match read_label(content.as_bytes()) {
            Ok(label) => self.take_label(label),
            Err(refusal) => ScanAnswer::unread(refusal),
        }
    }

    /// The same, once for a content that comes twice; `came` is when.
    pub fn scan_once(&mut self, content: &str, came: Instant) -> ScanAnswer {
        if self.scans.is_doubled(content.trim().as_bytes(), came) {
            return ScanAnswer::doubled();
        }
        self.scan(content)
    }

    /// Takes and shows what a scanner of the station read, or why it could not.
    pub fn scan_heard(&mut self, scanner: u32, heard: Result<Vec<u8>, NotALabel>, came: Instant) {
        let (label, answer) = match heard.map(|content| (read_label(&content), content)) {
            Err(refusal) | Ok((Err(refusal), _)) => (None, ScanAnswer::unread(refusal)),
            Ok((Ok(label), content)) => {
                let doubled = self.scans.is_doubled(content.trim_ascii(), came);
                let answer =
                    if doubled { ScanAnswer::doubled() } else { self.take_label(label.clone()) };
                (Some(label), answer)
            }
        };
        // A badge opens doors and a refused text may be one: neither is shown.
        let text = match label {
            Some(Label::Order(number)) => Some(number.to_string()),
            Some(Label::Serial(text) | Label::Bin(text)) => Some(text),
            Some(Label::Badge(_) | Label::SignOut) | None => None,
        };
        tracing::info!(scanner, word = answer.word, "a scan");
        let number = self.scans.seen.as_ref().map_or(0, |(seen, _)| seen.number).wrapping_add(1);
        self.scans.seen = Some((ScanSeen { number, scanner, text, answer, since_ms: 0 }, came));
    }

    /// A scanner came or went.
    pub fn scanner_is(&mut self, scanner: u32, there: bool) {
        self.scans.there.insert(scanner, there);
    }

    fn take_label(&mut self, label: Label) -> ScanAnswer {
        match label {
            Label::Badge(badge) => self.badge_in(badge.text()),
            Label::Order(number) => {
                self.person_acted();
                self.choose_order(number.as_str())
            }
            Label::Serial(_) => {
                self.person_acted();
                ScanAnswer::to(ScanKind::Serial, false, "not_used_here")
            }
            Label::Bin(bin) => {
                self.person_acted();
                self.bin(&bin)
            }
            Label::SignOut => {
                let done = self.badge_out();
                ScanAnswer {
                    code: done.code,
                    ..ScanAnswer::to(ScanKind::Operator, done.accepted, &done.word)
                }
            }
        }
    }
}
