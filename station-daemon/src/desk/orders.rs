//! Which work order the boards are flashed for.
//!
//! A scan selects; when the lease holds exactly one portion that is not made yet, it is taken
//! without a scan.

use audit::Event;
use release::Portion;

use super::Desk;
use crate::api::view::ScanAnswer;
use crate::store::StoreError;

/// Setting that holds the scanned order's number.
pub(super) const CHOSEN: &str = "order";
/// Prefix of a work order's label.
const WORK_ORDER: &str = "WO:";

impl Desk {
    /// The portion worked on now.
    pub(super) fn portion(&mut self) -> Option<Portion> {
        let portions = self.enrolled.as_ref()?.shelf.portions();
        let chosen = self.chosen.as_deref();
        if let Some(portion) = portions.iter().find(|p| Some(p.order.as_str()) == chosen) {
            return Some(portion.clone());
        }
        if let [only] = portions {
            return Some(only.clone());
        }
        let candidates = portions.to_vec();
        let mut open = candidates.into_iter().filter(|portion| {
            let passed = self.store.read(|commit| commit.passed_count(&portion.order));
            passed.is_ok_and(|passed| passed < portion.quantity)
        });
        match (open.next(), open.next()) {
            (Some(only), None) => Some(only),
            (_, _) => None,
        }
    }

    /// Judges a scan.
    pub fn scan(&mut self, text: &str) -> ScanAnswer {
        let answer = |accepted, word: &str| ScanAnswer { accepted, word: word.to_owned() };
        let text = text.trim();
        if let Some(number) = text.strip_prefix(WORK_ORDER) {
            return match self.choose(number.trim()) {
                Ok(true) => answer(true, "order_selected"),
                Ok(false) => answer(false, "unknown_order"),
                Err(()) => answer(false, "not_recorded"),
            };
        }
        let known = ["OP:", "SN:", "BIN:"].iter().any(|prefix| text.starts_with(prefix));
        answer(false, if known { "not_used_here" } else { "not_a_scan" })
    }

    /// Whether the lease knows the order; then it is chosen and journalled.
    fn choose(&mut self, number: &str) -> Result<bool, ()> {
        let Some(enrolled) = &self.enrolled else { return Ok(false) };
        let found = enrolled.shelf.portions().iter().find(|portion| portion.order == number);
        let Some(portion) = found else { return Ok(false) };
        let event = Event::OrderOpened {
            order: portion.order.clone(),
            product: portion.product.as_str().to_owned(),
            release: audit::Digest(*portion.manifest_sha256.as_bytes()),
            quantity: portion.quantity,
        };
        let number = number.to_owned();
        let kept = self.record(vec![event], |commit| {
            commit.put_setting(CHOSEN, number.as_bytes())?;
            Ok::<_, StoreError>(())
        });
        kept.map_err(|_| ())?;
        self.chosen = Some(number);
        Ok(true)
    }
}
