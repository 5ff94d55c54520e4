//! What the lead's page draws, as plain data.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Everything about one order at this station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderFigures {
    /// Number of the work order.
    pub order: String,
    /// Station time they were made, milliseconds since the Unix epoch.
    pub made_ms: i64,
    /// Seconds a unit may take on this line, where somebody set it.
    #[schema(required = true)]
    pub takt_s: Option<u32>,
    /// What passed, was tried and came back.
    pub counts: YieldCounts,
    /// Failures by cause, most frequent first.
    pub causes: Vec<ParetoRow>,
    /// Failures by step, most frequent first.
    pub steps: Vec<ParetoRow>,
    /// Slot by slot.
    pub slots: Vec<SlotFigures>,
    /// Hour by hour, the last at the end; hours without a visit are left out.
    pub hours: Vec<Hour>,
    /// Mean share of first attempts that failed, the p-chart's centre.
    #[schema(required = true)]
    pub failing_share: Option<f64>,
    /// How long passes took, if there were any.
    #[schema(required = true)]
    pub flash_time: Option<FlashTime>,
    /// How the portion is used up.
    pub burn_down: BurnDown,
}

/// What passed, was tried and came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct YieldCounts {
    /// Units that were tried.
    pub units: u32,
    /// Units that passed at their first attempt.
    pub first_pass: u32,
    /// First-pass yield per unit, 0..=1.
    #[schema(required = true)]
    pub first_pass_yield: Option<f64>,
    /// Units that failed at first and passed later.
    pub recovered: u32,
    /// Units that failed at first and have not passed since.
    pub still_failed: u32,
    /// Failed visits in which the chip told nobody who it is.
    pub unnamed: u32,
    /// Visits that worked on a board.
    pub visits: u32,
    /// Those that failed.
    pub failed_visits: u32,
    /// Yield per visit, 0..=1: what a station is judged by.
    #[schema(required = true)]
    pub visit_yield: Option<f64>,
    /// Visits of boards that had passed before.
    pub seen_before: u32,
    /// Failures of contact, after which a board is seated again.
    pub reseats: u32,
}

/// One bar of a Pareto chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParetoRow {
    /// A trouble's code or a step's name.
    pub key: String,
    /// Failures.
    pub count: u32,
    /// Part of all failures, 0..=1.
    pub share: f64,
    /// Part of all failures with those above, 0..=1.
    pub cumulative: f64,
}

/// One slot among the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlotFigures {
    /// Number on the fixture.
    pub slot: u32,
    /// Visits that worked on a board.
    pub visits: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that failed for want of contact.
    pub reseats: u32,
    /// Failures by cause, in the order of the codes.
    pub causes: Vec<CauseCount>,
    /// One-sided p of Fisher's exact test that this slot fails no more often than the others;
    /// null where there are too few visits or no other slot.
    #[schema(required = true)]
    pub p_value: Option<f64>,
    /// Whether the slot fails more often than chance explains.
    pub suspect: bool,
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CauseCount {
    /// The trouble's code.
    pub code: String,
    /// Failures.
    pub count: u32,
}

/// One hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hour {
    /// Its begin, milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// Visits that passed.
    pub passed: u32,
    /// First attempts.
    pub tried: u32,
    /// First attempts that failed.
    pub failed: u32,
    /// Lower limit of the share that failed, 0..=1.
    #[schema(required = true)]
    pub lower: Option<f64>,
    /// Upper limit of the share that failed, 0..=1.
    #[schema(required = true)]
    pub upper: Option<f64>,
    /// Whether the share lies outside its limits.
    pub outside: bool,
}

/// How long passes took: a chart of individual values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlashTime {
    /// Mean, milliseconds.
    pub mean_ms: f64,
    /// Standard deviation by the mean moving range, milliseconds.
    pub sigma_ms: f64,
    /// Lower limit, milliseconds.
    pub lower_ms: f64,
    /// Upper limit, milliseconds.
    pub upper_ms: f64,
    /// One-sided upper capability against the takt; null without a takt or without any spread.
    #[schema(required = true)]
    pub cpk_upper: Option<f64>,
    /// The last passes, oldest first.
    pub points: Vec<TimePoint>,
}

/// One pass in the chart of times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimePoint {
    /// End of the visit, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Slot.
    pub slot: u32,
    /// From contact to record, milliseconds.
    pub took_ms: u32,
    /// Whether it lies outside the limits.
    pub outside: bool,
}

/// How the portion is used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BurnDown {
    /// Units this station may make.
    pub quantity: u32,
    /// Units passed here.
    pub passed: u32,
    /// Units per hour over the hours in which something passed, the last eight of them.
    #[schema(required = true)]
    pub per_hour: Option<f64>,
    /// Seconds of such work until the portion is full.
    #[schema(required = true)]
    pub full_in_s: Option<u32>,
}

/// One ended visit, for drilling down and for CSV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VisitRow {
    /// Counts up with every visit that ended at this station.
    pub number: u32,
    /// Station time of the end, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Slot.
    pub slot: u32,
    /// The visit's name in the journal.
    pub visit: String,
    /// The chip's unique id in hexadecimal, where it told one.
    #[schema(required = true)]
    pub unit: Option<String>,
    /// `first`, `recovering`, `again` or `unnamed`.
    pub attempt: String,
    /// `pass`, `fail` or `seen_before`.
    pub ending: String,
    /// The trouble's code.
    #[schema(required = true)]
    pub trouble: Option<String>,
    /// The step that failed.
    #[schema(required = true)]
    pub step: Option<String>,
    /// Activation code.
    #[schema(required = true)]
    pub code: Option<String>,
    /// From contact to record, milliseconds.
    pub took_ms: u32,
}
