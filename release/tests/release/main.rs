//! What the room `release` promises, seen from outside it.

#![allow(clippy::unwrap_used, reason = "in a test, a failed unwrap is the finding")]
#![allow(clippy::type_complexity, reason = "tables of cases: what is spoilt, and how")]

mod bundles;
mod chips;
mod cli;
mod formats;
mod images;
mod leases;
mod recipes;
mod rosters;
mod sealing;
mod trust;
mod workbench;
mod zoo;
