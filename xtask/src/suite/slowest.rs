//! The ten slowest tests, read from the report nextest leaves behind.

use std::fs;

use anyhow::{Context, Result};

use crate::checkout::target;

const SHOWN: usize = 10;

/// Prints seconds and names, slowest first.
pub(super) fn print() -> Result<()> {
    let path = target().join("nextest/default/junit.xml");
    let report = fs::read_to_string(&path).context("reading the report of the Rust tests")?;
    for (seconds, name) in slowest(&report) {
        println!("{seconds:>8.2} s  {name}");
    }
    Ok(())
}

fn slowest(report: &str) -> Vec<(f64, String)> {
    let mut tests: Vec<(f64, String)> = report
        .split("<testcase ")
        .skip(1)
        .filter_map(|case| {
            let seconds = attribute(case, "time")?.parse().ok()?;
            let name = format!("{} {}", attribute(case, "classname")?, attribute(case, "name")?);
            Some((seconds, name))
        })
        .collect();
    tests.sort_by(|a, b| b.0.total_cmp(&a.0));
    tests.truncate(SHOWN);
    tests
}

fn attribute<'a>(case: &'a str, name: &str) -> Option<&'a str> {
    let head = &case[..case.find('>')?];
    let start = head.find(&format!(" {name}=\"")).map_or_else(
        || head.starts_with(&format!("{name}=\"")).then_some(name.len() + 2),
        |at| Some(at + name.len() + 3),
    )?;
    let rest = &head[start..];
    Some(&rest[..rest.find('"')?])
}

#[cfg(test)]
mod tests {
    use super::slowest;

    #[test]
    fn tests_come_slowest_first() {
        let report = r#"<testsuite name="audit"><testcase name="a" classname="audit" time="0.5">
            </testcase><testcase name="b" classname="audit" timestamp="x" time="2.25"/></testsuite>"#;
        let found = slowest(report);
        assert_eq!(found, [(2.25, "audit b".to_owned()), (0.5, "audit a".to_owned())]);
    }
}
