//! How long the lead's figures take over a million visits: `cargo xtask bench kiosk` runs this.
//!
//! Makes a store in the folder that is named, ends a million visits in it, and prints the
//! milliseconds of each of nine readings as the API makes them, one JSON array.
#![allow(clippy::print_stdout, reason = "its output is read by the bench")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use station_daemon::figures::{Ending, Figures};
use station_daemon::store::{EndedVisit, Store, StoreError};

const MILLION: u32 = 1_000_000;
const COMMIT: u32 = 50_000;
const READS: usize = 9;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("name a folder")?;
    let path = PathBuf::from(folder).join("station.db");
    let mut store = Store::open(&path).context("making a store")?;
    for first in (0..MILLION).step_by(COMMIT as usize) {
        store
            .commit(|commit| {
                (first..first + COMMIT).try_for_each(|number| commit.end_visit(&visit(number)))?;
                Ok::<_, StoreError>(())
            })
            .context("ending visits")?;
    }
    drop(store);
    let mut times = Vec::new();
    for _ in 0..READS {
        let begun = Instant::now();
        let figures = Figures::open(&path)
            .and_then(|figures| figures.of_order("WO-1", Some(MILLION), Some(12), 0))
            .context("reading the figures")?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        ensure!(figures.counts.visits == MILLION, "figures of {} visits", figures.counts.visits);
    }
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}

/// Visit `number` of a line of sixteen slots that ends one every 0.7 seconds for eight days.
fn visit(number: u32) -> EndedVisit {
    let fails = number % 29 == 7;
    let cause = ["F-10", "F-11", "F-13", "F-18", "F-19"][(number / 29 % 5) as usize];
    EndedVisit {
        at_ms: i64::from(number) * 700,
        order_number: Some("WO-1".to_owned()),
        slot: 1 + number % 16,
        visit: format!("{number:016x}"),
        unit: Some(format!("{number:016X}")),
        ending: if fails { Ending::Fail } else { Ending::Pass },
        trouble: fails.then(|| cause.to_owned()),
        step: fails.then(|| "program".to_owned()),
        code: None,
        took_ms: 4_300 + number % 211,
    }
}
