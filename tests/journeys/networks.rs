//! Two stations in networks of their own, and one of them is cut off: the other does not notice,
//! and what the first recorded meanwhile arrives when its cable is back.
//!
//! The networks are the kernel's: a namespace and a virtual cable for each station, made here and
//! removed here. That needs root.

#![allow(clippy::print_stderr, reason = "what is not shown is said aloud")]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use journeys::world::{Hub, Programs, Recipe, Research, Station, until};

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
const ARRIVES: Duration = Duration::from_secs(60);
/// Set by whoever knows that this machine gives no root, and accepts that this is not shown.
const WITHOUT_ROOT: &str = "FLASHLINE_WITHOUT_ROOT";

fn ip(words: &[&str]) -> Result<()> {
    let said = Command::new("ip").args(words).output().context("running ip (Debian: iproute2)")?;
    ensure!(
        said.status.success(),
        "ip {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&said.stderr)
    );
    Ok(())
}

/// A namespace with a cable to this machine's own network.
struct Network {
    /// Of this process: tests may run side by side.
    name: String,
    cable: String,
    /// The machine's end; the station's is one more.
    here: String,
}

impl Network {
    fn make(number: u32) -> Result<Self> {
        let id = std::process::id();
        let (a, b) = (id / 256 % 64 + 64, id % 256);
        let network = Self {
            name: format!("fl-{id}-{number}"),
            cable: format!("fl{id}n{number}"),
            here: format!("100.{a}.{b}.{}", number * 4 + 1),
        };
        let there = format!("100.{a}.{b}.{}/30", number * 4 + 2);
        let far = format!("fl{id}f{number}");
        let Self { name, cable, here } = &network;
        ip(&["netns", "add", name])?;
        ip(&["link", "add", cable, "type", "veth", "peer", "name", &far, "netns", name])?;
        ip(&["addr", "add", &format!("{here}/30"), "dev", cable])?;
        ip(&["link", "set", cable, "up"])?;
        for words in [
            &["addr", "add", &there, "dev", &far][..],
            &["link", "set", &far, "up"],
            &["link", "set", "lo", "up"],
            &["route", "add", "default", "via", here],
        ] {
            ip(&[&["-n", name.as_str()], words].concat())?;
        }
        Ok(network)
    }

    fn set(&self, state: &str) -> Result<()> {
        ip(&["link", "set", &self.cable, state])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The cable goes with its far end.
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// Starts of a station that the hub knows of.
fn starts(hub: &Hub, station: &str) -> usize {
    let journal = hub.journal(station).map(|journal| journal.to_string()).unwrap_or_default();
    journal.matches("station_started").count()
}

#[test]
fn a_station_that_is_cut_off_disturbs_nobody_and_catches_up_when_its_cable_is_back() -> Result<()> {
    if !nix_root() {
        let told = std::env::var_os(WITHOUT_ROOT).is_some();
        assert!(told, "NOT SHOWN: two networks need root; run as root, or set {WITHOUT_ROOT}=1");
        eprintln!("NOT SHOWN: a station that is cut off (no root here, {WITHOUT_ROOT} is set)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let networks = [Network::make(0)?, Network::make(1)?];
    let mut hub = Hub::make_at(&programs, folder.path(), &networks[0].here)?;
    let research = Research::begin(&programs, &folder.path().join("research"), &hub.keys()?)?;
    hub.start()?;
    let recipe = Recipe::demo_lamp(&Research::activation_key(&programs)?);
    hub.publish(&research.pack("1.0.0", &recipe, std::path::Path::new(FIRMWARE))?)?;

    let names = ["station-1", "station-2"];
    let mut stations = Vec::new();
    for (name, network) in names.iter().zip(&networks) {
        let inside = programs.inside(&network.name);
        let code = hub.enrolment_code(name, "line-1")?;
        let mut station = Station::enrol(&inside, folder.path(), name, &code)?;
        station.start_unseen()?;
        stations.push(station);
    }
    let [mut near, mut far] =
        <[Station; 2]>::try_from(stations).map_err(|_| anyhow::anyhow!("two stations"))?;
    let hears = |station: &str, times: usize| {
        until(ARRIVES, || Ok((starts(&hub, station) == times).then_some(())))
            .with_context(|| format!("waiting for {times} starts of {station}"))
    };
    hears(names[0], 1)?;
    hears(names[1], 1)?;

    networks[1].set("down")?;
    for times in 2..=3 {
        near.stop()?;
        near.start_unseen()?;
        far.stop()?;
        far.start_unseen()?;
        hears(names[0], times)?;
    }
    assert_eq!(starts(&hub, names[1]), 1, "nothing came through a cable that is out");

    networks[1].set("up")?;
    hears(names[1], 3)?;
    let journal = hub.journal(names[1])?;
    let records = journal["records"].as_array().context("records")?;
    for (seq, record) in records.iter().enumerate() {
        let record = record.as_str().context("a record")?;
        assert!(
            record.contains(&format!("\"seq\":{seq},"))
                || record.contains(&format!("\"seq\":{seq}}}")),
            "{record}"
        );
    }
    near.alive()?;
    far.alive()?;
    near.stop()?;
    far.stop()
}

fn nix_root() -> bool {
    let said = Command::new("id").arg("-u").output();
    said.is_ok_and(|said| said.stdout == b"0\n")
}
