//! `cargo xtask bench`: measures, judges nothing.
//!
//! One JSON object per case: `ours`, `peer` and their `ratio`, or a `value`, with the `target` that
//! was set for it. Everything is built in the release profile, and ours and the peer run on the same
//! machine in the same call.

mod custody;
mod delta;
mod dfu;
mod flash;
mod kiosk;
mod uart;

use anyhow::{Result, bail};
use serde::Serialize;

/// Runs one bench by name.
pub(crate) fn run(name: &str) -> Result<()> {
    match name {
        "flash" => flash::run().and_then(|()| dfu::run()).and_then(|()| uart::run()),
        "custody" => custody::run(),
        "delta" => delta::run(),
        "dfu" => dfu::run(),
        "kiosk" => kiosk::run(),
        "uart" => uart::run(),
        other => {
            bail!(
                "there is no bench called `{other}`; there are `custody`, `delta`, `flash`, `dfu`, \
                 `kiosk`, `uart`"
            )
        }
    }
}

/// One line of output.
#[derive(Serialize)]
struct Case<'a> {
    bench: &'a str,
    case: &'a str,
    ours: f64,
    peer: f64,
    ratio: f64,
    target: f64,
    unit: &'a str,
}

impl Case<'_> {
    fn with_ratio(self) -> Self {
        Self { ratio: self.ours / self.peer, ..self }
    }

    fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// A case without a peer.
#[derive(Serialize)]
struct Value<'a> {
    bench: &'a str,
    case: &'a str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<f64>,
    unit: &'a str,
}

impl Value<'_> {
    fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// The middle of some samples; the mean of the two middle ones where they are even.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    match samples.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(samples[middle - 1], samples[middle]),
        _ => samples[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_sample_or_between_the_two_middle_ones() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
