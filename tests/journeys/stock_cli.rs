//! The simulated boards are judged by a program we did not write: the stock probe-rs command line.

mod stock_cli_stm32;

use std::{env, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use journeys::world::{BLOCK_ADDRESS, Board, BoardKind, Plan, Programs, World};

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");

/// `probe-rs`, told which probe and chip; `PROBE_RS_CLI` names the program.
fn probe_rs(board: &Board, verb: &str) -> Result<Command> {
    let program = env::var_os("PROBE_RS_CLI").context("PROBE_RS_CLI names no probe-rs")?;
    let mut command = Command::new(program);
    command.args([verb, "--chip", "nRF52832_xxAA", "--protocol", "swd", "--probe"]);
    command.arg(board.selector());
    Ok(command)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("starting probe-rs")?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn board(folder: &Path) -> Result<Board> {
    let board = Board::make(&Programs::beside_this_test()?, BoardKind::Simulated, 7, folder)?;
    board.insert()?;
    Ok(board)
}

/// The bytes `probe-rs read b8` prints, as lower-case hex.
fn bytes_read(board: &Board, address: u32, bytes: u32) -> Result<String> {
    let text = output(probe_rs(board, "read")?.args([
        "b8",
        &format!("{address:#x}"),
        &bytes.to_string(),
    ]))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(':').map(|(_, bytes)| bytes))
        .flat_map(str::split_whitespace)
        .collect::<String>()
        .to_lowercase())
}

#[test]
fn the_stock_command_line_downloads_verifies_and_reads_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let board = board(folder.path())?;
    output(probe_rs(&board, "download")?.args(["--binary-format", "hex", "--verify", FIRMWARE]))?;
    assert_eq!(bytes_read(&board, 0, 256)?, board.flash(0, 256)?.to_lowercase());
    assert_ne!(bytes_read(&board, 0, 8)?, "ff".repeat(8), "nothing was flashed");
    Ok(())
}

#[test]
fn the_stock_command_line_reads_what_the_station_wrote() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let plan = Plan::new(1, Path::new(FIRMWARE));
    let mut world = World::set_up(&programs, folder.path(), plan, &mut |_| ())?;
    world.boards[0].insert()?;
    let tile = world.slot_becomes(1, &["pass", "fail"], Duration::from_secs(150))?;
    assert_eq!(tile["state"], "pass", "{tile}");
    world.station.stop()?;

    let block = bytes_read(&world.boards[0], BLOCK_ADDRESS, 288)?;
    assert_eq!(block, world.boards[0].flash(BLOCK_ADDRESS, 288)?.to_lowercase());
    let uid = world.boards[0].uid.to_lowercase();
    assert!(block.contains(&uid), "the block is not bound to chip {uid}: {block}");
    let mut verify = probe_rs(&world.boards[0], "verify")?;
    output(verify.args(["--binary-format", "hex", FIRMWARE])).context("the image")?;
    Ok(())
}

#[test]
fn the_stock_command_line_reads_the_uid_the_board_was_made_with() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let board = board(folder.path())?;
    assert_eq!(bytes_read(&board, 0x1000_0060, 8)?, board.uid.to_lowercase());
    Ok(())
}

#[test]
fn the_stock_command_line_finds_no_target_in_an_empty_fixture() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let board = board(folder.path())?;
    board.remove()?;
    let refused = probe_rs(&board, "read")?.args(["b8", "0", "4"]).output()?;
    assert!(!refused.status.success(), "an empty fixture was read");
    Ok(())
}
