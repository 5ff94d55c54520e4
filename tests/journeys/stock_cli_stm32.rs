//! The simulated STM32s before the same judge.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use journeys::world::{Board, BoardKind, Programs};

use super::output;

/// Name, wire, address of the unique id.
const PARTS: [(&str, &str, u32); 9] = [
    ("STM32G071RB", "swd", 0x1FFF_7590),
    ("STM32F103CB", "swd", 0x1FFF_F7E8),
    ("STM32F103CB", "jtag", 0x1FFF_F7E8),
    ("STM32L476RG", "swd", 0x1FFF_7590),
    ("STM32F072RB", "swd", 0x1FFF_F7AC),
    ("STM32F303CB", "swd", 0x1FFF_F7AC),
    ("STM32F405RG", "swd", 0x1FFF_7A10),
    ("STM32F405RG", "jtag", 0x1FFF_7A10),
    ("STM32G431RB", "swd", 0x1FFF_7590),
];
const FLASH: u32 = 0x0800_0000;

/// A chip and the wire it is asked by.
#[derive(Debug, Clone, Copy)]
struct Way {
    chip: &'static str,
    wire: &'static str,
}

/// `probe-rs VERB` for a board with this chip.
fn probe_rs(board: &Board, Way { chip, wire }: Way, verb: &str) -> Result<Command> {
    let program = std::env::var_os("PROBE_RS_CLI").context("PROBE_RS_CLI names no probe-rs")?;
    let mut command = Command::new(program);
    command.args([verb, "--chip", chip, "--protocol", wire, "--probe"]);
    command.arg(board.selector());
    Ok(command)
}

fn board(chip: &'static str, folder: &Path) -> Result<Board> {
    let programs = Programs::beside_this_test()?;
    let board = Board::make(&programs, BoardKind::Stm32(chip), 9, folder)?;
    board.insert()?;
    Ok(board)
}

fn download(board: &Board, way: Way, image: &Path) -> Result<String> {
    let mut command = probe_rs(board, way, "download")?;
    command.args(["--binary-format", "bin", "--base-address", &format!("{FLASH:#x}"), "--verify"]);
    output(command.arg(image))
}

/// The bytes `probe-rs read b8` prints, as lower-case hex.
fn bytes_read(board: &Board, way: Way, address: u32, bytes: u32) -> Result<String> {
    let mut command = probe_rs(board, way, "read")?;
    let text = output(command.args(["b8", &format!("{address:#x}"), &bytes.to_string()]))?;
    let bytes = text.lines().filter_map(|line| line.split_once(':').map(|(_, bytes)| bytes));
    Ok(bytes.flat_map(str::split_whitespace).collect::<String>().to_lowercase())
}

/// 5,000 bytes that are no program, different for every seed.
fn image(folder: &Path, seed: u32) -> Result<std::path::PathBuf> {
    let path = folder.join(format!("image-{seed}.bin"));
    let bytes: Vec<u8> = (0..5000_u32).map(|at| (at * 37 + seed + at / 251) as u8).collect();
    let mut file = std::fs::File::create(&path)?;
    std::io::Write::write_all(&mut file, &bytes)?;
    Ok(path)
}

#[test]
fn the_stock_command_line_downloads_verifies_and_reads_every_stm32() -> Result<()> {
    for (chip, wire, uid_at) in PARTS {
        let way = Way { chip, wire };
        let folder = tempfile::tempdir()?;
        let board = board(chip, folder.path())?;
        for seed in [1, 2] {
            let image = image(folder.path(), seed)?;
            download(&board, way, &image).with_context(|| format!("{way:?}, image {seed}"))?;
            let held = board.flash(FLASH, 5000)?;
            let wanted: String =
                std::fs::read(&image)?.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(held, wanted, "{way:?}, image {seed}");
            assert_eq!(bytes_read(&board, way, FLASH, 256)?, wanted[..512], "{way:?}");
        }
        assert_eq!(bytes_read(&board, way, uid_at, 12)?, board.uid.to_lowercase(), "{way:?}");
    }
    Ok(())
}

#[test]
fn the_stock_command_line_is_refused_what_the_chip_refuses() -> Result<()> {
    for (chip, wire, uid_at) in PARTS {
        let way = Way { chip, wire };
        let folder = tempfile::tempdir()?;
        let board = board(chip, folder.path())?;
        let image = image(folder.path(), 3)?;
        download(&board, way, &image)?;
        let held = board.flash(FLASH, 5000)?;
        // A page that does not erase: what differs there was written already.
        board.pull(&format!("no-erase {FLASH:#x}"))?;
        let other = self::image(folder.path(), 4)?;
        assert!(download(&board, way, &other).is_err(), "{way:?} was written over");
        // An F4 writes over what is there, and the comparison finds it.
        if chip != "STM32F405RG" {
            assert_eq!(board.flash(FLASH, 1024)?, held[..2048], "{way:?}");
        }
        board.pull("lock")?;
        let refused =
            probe_rs(&board, way, "read")?.args(["b8", &format!("{FLASH:#x}"), "4"]).output()?;
        assert!(!refused.status.success(), "{way:?} shows flash although it is protected");
        bytes_read(&board, way, uid_at, 12).with_context(|| format!("{way:?}, protected"))?;
    }
    Ok(())
}

#[test]
fn the_stock_command_line_resets_a_board_into_what_it_flashed() -> Result<()> {
    // ldr r0, clock register; ldr r1, bit; str; ldr r0, USART2; movs r1, #9; str r1, [r0];
    // movs r1, #'\n'; str r1, [r0, #TDR]; b .
    let code: [u16; 10] =
        [0x4804, 0x4905, 0x6001, 0x4805, 0x2109, 0x6001, 0x210A, 0x6281, 0xE7FE, 0xBF00];
    let mut program = [0x2000_2000_u32, FLASH + 9].map(u32::to_le_bytes).concat();
    program.extend(code.map(u16::to_le_bytes).concat());
    program.extend([0x4002_103C_u32, 1 << 17, 0x4000_4400].map(u32::to_le_bytes).concat());
    let way = Way { chip: "STM32G071RB", wire: "swd" };
    let folder = tempfile::tempdir()?;
    let board = board(way.chip, folder.path())?;
    let path = folder.path().join("newline.bin");
    std::io::Write::write_all(&mut std::fs::File::create(&path)?, &program)?;
    download(&board, way, &path)?;
    let uart = TcpStream::connect(&board.uart)?;
    uart.set_read_timeout(Some(Duration::from_secs(20)))?;
    output(&mut probe_rs(&board, way, "reset")?)?;
    let mut line = String::new();
    BufReader::new(uart).read_line(&mut line)?;
    assert_eq!(line, "\n");
    Ok(())
}
