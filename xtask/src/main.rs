//! The chores: demo, test, bench.
fn main() {}
