//! The control port: one line asks, one line answers `ok …` or `error …`.
//!
//! Owns the words; [`crate::board::Board`] owns what they do. The levers are a bench instrument,
//! not a debugger: they see and change a locked or unpowered chip too.

use std::path::PathBuf;
use std::time::Duration;

use crate::probe::{Slip, Slips};
use crate::silicon::Disguise;

/// One lever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lever {
    /// `power on`, `power off`: the supply.
    Power(bool),
    /// `remove`: the board leaves the fixture.
    Remove,
    /// `insert`: the board is back.
    Insert,
    /// `cut N`: the supply fails before programming word N + 1 from now.
    Cut(u64),
    /// `cut-erase N`: the supply fails in the middle of erase N + 1 from now.
    CutErase(u64),
    /// `stuck ADDR [BIT]`: a flash cell that stays 0.
    Stuck {
        /// Byte address in flash or UICR.
        address: u32,
        /// Bit of that byte, 0 to 7.
        bit: u8,
    },
    /// `no-erase ADDR`: the page around that address keeps its contents when it is erased.
    NoErase(u32),
    /// `lock [LEVEL]`: read-out protection (level 1 unless said) is programmed and takes effect.
    Lock(u8),
    /// `uid HEX`, `uid unreadable`, `part NUMBER`, `flash-kib N`: the chip looks like another one.
    Disguise(Disguise),
    /// `reset`: the reset pin is pulsed.
    Reset,
    /// `slow MS`: more latency on every probe transaction.
    Slow(Duration),
    /// `hang [MS]`: the probe stops answering, for a time or until `heal`.
    Hang(Option<Duration>),
    /// `flip read|write|parity [N [every]]`: bits of the Nth block from now are wrong.
    Flip(Slips),
    /// `busy on`, `busy off`: another program holds the probe.
    Busy(bool),
    /// `unplug`: the probe is taken off its host.
    Unplug,
    /// `plug`: the probe is back.
    Plug,
    /// `heal`: no stuck cells, no cut due, every page erases, no bits flip, not slow, not hanging,
    /// not busy, plugged. Power, seat and looks stay as they are.
    Heal,
    /// `dump FILE`: flash and UICR into a file.
    Dump(PathBuf),
    /// `load FILE`: every cell as in a file that `dump` wrote.
    Load(PathBuf),
    /// `dump-hex ADDR LEN`: flash or UICR bytes as hex.
    DumpHex {
        /// First byte.
        address: u32,
        /// Number of bytes.
        length: u32,
    },
    /// `counters`: totals as one JSON object.
    Counters,
    /// `state`: power, seat, core and lock as one JSON object.
    State,
}

/// Why a line is no lever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeverError {
    /// No such word.
    #[error("unknown lever {0:?}")]
    Unknown(String),
    /// The word needs other arguments.
    #[error("usage: {0}")]
    Usage(&'static str),
}

/// Reads one line.
///
/// # Errors
/// [`LeverError`] says which words there are.
pub fn parse(line: &str) -> Result<Lever, LeverError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (word, arguments) = words.split_first().unwrap_or((&"", &[]));
    let usage = LeverError::Usage;
    match (*word, arguments) {
        ("power", ["on"]) => Ok(Lever::Power(true)),
        ("power", ["off"]) => Ok(Lever::Power(false)),
        ("power", _) => Err(usage("power on|off")),
        ("remove", []) => Ok(Lever::Remove),
        ("insert", []) => Ok(Lever::Insert),
        ("cut", [words]) => number(words).map(Lever::Cut).ok_or(usage("cut WORDS")),
        ("cut", _) => Err(usage("cut WORDS")),
        ("cut-erase", [erases]) => {
            number(erases).map(Lever::CutErase).ok_or(usage("cut-erase ERASES"))
        }
        ("cut-erase", _) => Err(usage("cut-erase ERASES")),
        ("stuck", [address, bit @ ..]) if bit.len() <= 1 => {
            let bit = bit.first().map_or(Some(0), |bit| number(bit));
            match (number32(address), bit) {
                (Some(address), Some(bit @ 0..=7)) => Ok(Lever::Stuck { address, bit: bit as u8 }),
                (Some(_) | None, Some(_) | None) => Err(usage("stuck ADDR [BIT 0-7]")),
            }
        }
        ("stuck", _) => Err(usage("stuck ADDR [BIT 0-7]")),
        ("no-erase", [address]) => {
            number32(address).map(Lever::NoErase).ok_or(usage("no-erase ADDR"))
        }
        ("no-erase", _) => Err(usage("no-erase ADDR")),
        ("lock", []) => Ok(Lever::Lock(1)),
        ("lock", ["1"]) => Ok(Lever::Lock(1)),
        ("lock", ["2"]) => Ok(Lever::Lock(2)),
        ("lock", _) => Err(usage("lock [1|2]")),
        ("uid", ["unreadable"]) => Ok(Lever::Disguise(Disguise::UidUnreadable)),
        ("uid", [bytes]) => hex::decode(bytes)
            .map(|uid| Lever::Disguise(Disguise::Uid(uid)))
            .map_err(|_| usage("uid HEX|unreadable")),
        ("uid", _) => Err(usage("uid HEX|unreadable")),
        ("part", [part]) => number32(part)
            .map(|part| Lever::Disguise(Disguise::Part(part)))
            .ok_or(usage("part NUMBER")),
        ("part", _) => Err(usage("part NUMBER")),
        ("flash-kib", [kib]) => number32(kib)
            .map(|kib| Lever::Disguise(Disguise::FlashKib(kib)))
            .ok_or(usage("flash-kib N")),
        ("flash-kib", _) => Err(usage("flash-kib N")),
        ("flip", [slip, when @ ..]) => {
            slips(slip, when).map(Lever::Flip).ok_or(usage("flip read|write|parity [N [every]]"))
        }
        ("flip", _) => Err(usage("flip read|write|parity [N [every]]")),
        ("busy", ["on"]) => Ok(Lever::Busy(true)),
        ("busy", ["off"]) => Ok(Lever::Busy(false)),
        ("busy", _) => Err(usage("busy on|off")),
        ("unplug", []) => Ok(Lever::Unplug),
        ("plug", []) => Ok(Lever::Plug),
        ("reset", []) => Ok(Lever::Reset),
        ("slow", [ms]) => milliseconds(ms).map(Lever::Slow).ok_or(usage("slow MS")),
        ("slow", _) => Err(usage("slow MS")),
        ("hang", []) => Ok(Lever::Hang(None)),
        ("hang", [ms]) => {
            milliseconds(ms).map(|time| Lever::Hang(Some(time))).ok_or(usage("hang [MS]"))
        }
        ("heal", []) => Ok(Lever::Heal),
        ("dump", [_, ..]) => Ok(Lever::Dump(path_behind(line, "dump"))),
        ("dump", _) => Err(usage("dump FILE")),
        ("load", [_, ..]) => Ok(Lever::Load(path_behind(line, "load"))),
        ("load", _) => Err(usage("load FILE")),
        ("dump-hex", [address, length]) => match (number32(address), number32(length)) {
            (Some(address), Some(length)) => Ok(Lever::DumpHex { address, length }),
            (Some(_) | None, Some(_) | None) => Err(usage("dump-hex ADDR LEN")),
        },
        ("dump-hex", _) => Err(usage("dump-hex ADDR LEN")),
        ("counters", []) => Ok(Lever::Counters),
        ("state", []) => Ok(Lever::State),
        (word, _) => Err(LeverError::Unknown(word.to_owned())),
    }
}

/// The rest of a line, which may hold spaces.
fn path_behind(line: &str, word: &str) -> PathBuf {
    PathBuf::from(line.trim().trim_start_matches(word).trim())
}

/// Decimal, or hexadecimal with 0x.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn number32(text: &str) -> Option<u32> {
    number(text).and_then(|value| u32::try_from(value).ok())
}

fn slips(slip: &str, when: &[&str]) -> Option<Slips> {
    let slip = match slip {
        "read" => Slip::Read,
        "write" => Slip::Write,
        "parity" => Slip::Parity,
        _ => return None,
    };
    let (nth, every) = match when {
        [] => (1, false),
        [nth] => (number32(nth)?, false),
        [nth, "every"] => (number32(nth)?, true),
        _ => return None,
    };
    (nth > 0).then_some(Slips { slip, nth, every })
}

/// What a lever's outcome is on the wire, without a line end.
#[must_use]
pub fn answer(outcome: Result<String, String>) -> String {
    match outcome {
        Ok(text) if text.is_empty() => "ok".to_owned(),
        Ok(text) => format!("ok {text}"),
        Err(text) => format!("error {text}"),
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lever_has_its_line() {
        let check = |line: &str, lever: Lever| assert_eq!(parse(line), Ok(lever), "{line}");
        check("power on", Lever::Power(true));
        check("power off\r\n", Lever::Power(false));
        check("cut 0", Lever::Cut(0));
        check("cut-erase 2", Lever::CutErase(2));
        check("load a file with spaces", Lever::Load(PathBuf::from("a file with spaces")));
        check("stuck 0x1000", Lever::Stuck { address: 0x1000, bit: 0 });
        check("stuck 4096 7", Lever::Stuck { address: 0x1000, bit: 7 });
        check("slow 20", Lever::Slow(Duration::from_millis(20)));
        check("hang", Lever::Hang(None));
        check("hang 50", Lever::Hang(Some(Duration::from_millis(50))));
        check("dump a file with spaces", Lever::Dump(PathBuf::from("a file with spaces")));
        check("dump-hex 0x10001080 16", Lever::DumpHex { address: 0x1000_1080, length: 16 });
        for (line, lever) in [
            ("remove", Lever::Remove),
            ("insert", Lever::Insert),
            ("lock", Lever::Lock(1)),
            ("lock 2", Lever::Lock(2)),
            ("no-erase 0x800", Lever::NoErase(0x800)),
            ("uid 0aff", Lever::Disguise(Disguise::Uid(vec![0x0A, 0xFF]))),
            ("uid unreadable", Lever::Disguise(Disguise::UidUnreadable)),
            ("part 0x460", Lever::Disguise(Disguise::Part(0x460))),
            ("flash-kib 64", Lever::Disguise(Disguise::FlashKib(64))),
            ("flip read", Lever::Flip(Slips { slip: Slip::Read, nth: 1, every: false })),
            ("flip write 3", Lever::Flip(Slips { slip: Slip::Write, nth: 3, every: false })),
            ("flip parity 9 every", Lever::Flip(Slips { slip: Slip::Parity, nth: 9, every: true })),
            ("busy on", Lever::Busy(true)),
            ("busy off", Lever::Busy(false)),
            ("unplug", Lever::Unplug),
            ("plug", Lever::Plug),
            ("reset", Lever::Reset),
            ("heal", Lever::Heal),
            ("counters", Lever::Counters),
            ("state", Lever::State),
        ] {
            check(line, lever);
        }
    }

    #[test]
    fn lines_that_are_no_lever_say_what_would_be_one() {
        for line in [
            "",
            "explode",
            "power",
            "power maybe",
            "cut",
            "cut -1",
            "cut-erase",
            "load",
            "stuck 0 8",
            "heal now",
            "lock 3",
            "uid",
            "uid 0",
            "uid xyz",
            "part",
            "flash-kib many",
            "no-erase",
            "flip",
            "flip sideways",
            "flip read 0",
            "flip read 1 sometimes",
            "busy",
            "plug in",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
