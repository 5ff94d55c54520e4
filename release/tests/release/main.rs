//! What the room `release` promises, seen from outside it.

mod bundles;
mod cli;
mod formats;
mod images;
mod leases;
mod recipes;
mod sealing;
mod trust;
mod workbench;
