//! How long a visit keeps a board: the jobs of one visit with a stopwatch, for the benchmarks.
//!
//! Contact, identify, a look at the activation block's place, one programming pass with its
//! comparison. No self-test (the firmware's own time), no lock (irreversible), no journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flash::{Identity, ProgramReport};

use super::{Answer, Hand, HandError, Job, PlacedBlock, SealedImage};

/// Longest silence while measuring.
const PATIENCE: Duration = Duration::from_secs(60);

/// One visit, measured at the daemon's end of the hand.
#[derive(Debug, Clone)]
pub struct VisitTimes {
    /// Who the chip was.
    pub identity: Identity,
    /// What the programming pass did and where its time went.
    pub report: ProgramReport,
    /// Finding the board.
    pub contact: Duration,
    /// Attaching and reading who it is.
    pub identify: Duration,
    /// Reading the activation block's place.
    pub look: Duration,
    /// Programming and comparing.
    pub program: Duration,
    /// From the first job to the last answer.
    pub whole: Duration,
}

/// Runs one visit on the board in front of `hand`.
///
/// # Errors
/// As [`Hand::run`]; an empty slot is [`HandError::Garbled`] here, because nothing was to be measured.
pub fn time_visit(
    hand: &mut Hand,
    chip: &str,
    image: &Arc<SealedImage>,
    block: &PlacedBlock,
) -> Result<VisitTimes, HandError> {
    let begun = Instant::now();
    let mut lap = begun;
    let mut run = |job: Job| {
        let answer = hand.run(&job, PATIENCE, &mut |_| ())?;
        let now = Instant::now();
        let took = now - std::mem::replace(&mut lap, now);
        Ok((answer, took))
    };
    let unexpected = |answer: Answer| HandError::Garbled { detail: format!("{answer:?}") };
    let (answer, contact) = run(Job::Contact)?;
    let Answer::Contact { board: true } = answer else {
        return Err(unexpected(answer));
    };
    let (answer, identify) = run(Job::Identify { chip: chip.to_owned() })?;
    let Answer::Identity(identity) = answer else {
        return Err(unexpected(answer));
    };
    let bytes = u32::try_from(block.bytes.len()).unwrap_or(u32::MAX);
    let (_, look) = run(Job::Read { address: block.address, bytes })?;
    let (answer, program) =
        run(Job::Program { image: Arc::clone(image), block: Some(block.clone()) })?;
    let Answer::Programmed(report) = answer else {
        return Err(unexpected(answer));
    };
    let whole = begun.elapsed();
    Ok(VisitTimes { identity, report, contact, identify, look, program, whole })
}
