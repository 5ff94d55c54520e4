//! A station that never sees a network after its enrolment: everything goes by stick, both ways.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use journeys::world::{
    Board, BoardKind, Hub, ORDER, PRODUCT, Programs, Recipe, Research, STATION, Station, until,
};

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
/// A visit takes some 10 s on a quiet machine.
const VISIT: Duration = Duration::from_secs(150);

/// What a failed command said.
fn refused<T: std::fmt::Debug>(done: Result<T>) -> String {
    format!("{:#}", done.expect_err("it was not refused"))
}

#[test]
fn a_board_passes_on_what_sticks_brought_and_its_record_goes_back_by_stick() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let mut hub = Hub::make(&programs, folder.path())?;
    let research = Research::begin(&programs, &folder.path().join("research"), &hub.keys()?)?;
    hub.start()?;
    let recipe = Recipe::demo_lamp(&Research::activation_key(&programs)?);
    let release = research.pack("1.0.0", &recipe, Path::new(FIRMWARE))?;
    hub.publish(&release)?;
    let stick = folder.path().join("stick");
    fs::create_dir(&stick)?;
    hub.enrolment_code_on_stick(STATION, "line-1", &stick)?;
    let mut station = Station::enrol_from_stick(&programs, folder.path(), STATION, &stick)?;
    assert_eq!(station.stick_folder(), stick);

    // From here on nothing but the stick goes between them.
    assert!(refused(hub.stick("read", &stick)).contains("no parcel"), "an empty stick");
    station.stick("write")?;
    let read = hub.stick("read", &stick)?;
    assert_eq!(read[0]["letters"], 2, "a request and the first records: {read}");
    assert!(refused(hub.stick("read", &stick)).contains("not newer than"), "read twice");

    hub.open_order(ORDER, PRODUCT, &release, 10)?;
    hub.grant(STATION, ORDER, 10, &research.certify(&hub.station_key(STATION)?, 10)?)?;
    let written = hub.stick("write", &stick)?;
    let chunks = written[0]["chunks"].as_u64().context("a count")?;
    assert!(chunks > 0, "{written}");
    let taken = station.stick("read")?;
    assert_eq!((&taken["chunks"], &taken["time"]), (&chunks.into(), &true.into()), "{taken}");
    assert!(taken["acknowledged"].as_u64() > Some(0), "{taken}");
    assert!(refused(station.stick("read")).contains("replayed"), "read twice");

    // Asked again, the hub sends only what is new: an answer, a lease whose number rose perhaps,
    // and no chunk.
    station.stick("write")?;
    hub.stick("read", &stick)?;
    let written = hub.stick("write", &stick)?;
    assert_eq!(written[0]["chunks"], 0, "{written}");
    let taken = station.stick("read")?;
    assert_eq!(taken["time"], true, "{taken}");

    // The hub is away while the line works.
    hub.stop()?;
    let board = Board::make(&programs, BoardKind::Simulated, 1, folder.path())?;
    let boards = [board];
    station.start(&boards, None)?;
    let view = until(Duration::from_secs(30), || {
        let view = station.view()?;
        Ok((view["order"]["ready"] == true).then_some(view))
    })
    .context("waiting for the order to be ready")?;
    assert_eq!(
        (&view["hub"]["chunks_missing"], &view["hub"]["missing_bytes"]),
        (&0.into(), &0.into())
    );
    boards[0].insert()?;
    let view = until(VISIT, || {
        let view = station.view()?;
        Ok((view["slots"][0]["state"] == "pass").then_some(view))
    })
    .context("waiting for the board to pass")?;
    assert!(view["hub"]["unsynced"].as_u64() > Some(5), "{view}");
    assert!(view["hub"]["unsynced_bytes"].as_u64() > Some(500), "{view}");

    // The lead has the stick written at the station's screen; only where sticks are mounted.
    let elsewhere = station.carry("write", folder.path())?;
    assert_eq!((&elsewhere["word"], &elsewhere["code"]), (&"not_a_place".into(), &"F-55".into()));
    let done = station.carry("write", &stick)?;
    assert_eq!((&done["accepted"], &done["word"]), (&true.into(), &"written".into()), "{done}");
    let stale = station.carry("read", &stick)?;
    assert_eq!((&stale["word"], &stale["code"]), (&"replayed".into(), &"F-55".into()), "{stale}");
    station.stop()?;

    hub.start()?;
    hub.stick("read", &stick)?;
    let units = hub.units()?;
    assert_eq!(units.len(), 1, "{units:?}");
    assert_eq!(units[0]["passed_count"], 1, "{units:?}");
    let journal = hub.journal(STATION)?.to_string();
    for event in ["release_shelved", "stick_written", "stick_read", "clock_moved", "passed"] {
        assert!(journal.contains(&format!("\\\"event\\\":\\\"{event}\\\"")), "no {event}");
    }
    // This line keeps no people: the act is nobody's.
    assert!(journal.contains("\\\"operator\\\":0"), "who carried the stick is in the journal");

    // Nothing of the firmware lies on the stick in plain.
    let marker = b"FLASHLINE demo-lamp";
    let mut files = 0;
    let mut folders = vec![stick];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path)?;
            assert!(!bytes.windows(marker.len()).any(|part| part == marker), "{}", path.display());
        }
    }
    assert!(files > 3, "{files}");
    Ok(())
}
