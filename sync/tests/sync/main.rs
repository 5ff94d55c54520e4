//! The postman against a hub that follows a script: what it asks, in which order, and what it does
//! with answers that no good hub gives.

#![allow(clippy::unwrap_used, reason = "in a test the panic is the report")]

mod answers;
mod chunks;
mod corpus;
mod distorted;
mod journal;
mod script;
mod stick;
mod time;
