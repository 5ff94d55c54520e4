//! The control port's words; each chip's wire owns what they do.

use std::path::PathBuf;

/// One lever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lever {
    /// `power on`, `power off`: the supply.
    Power(bool),
    /// `remove`, `insert`: the board leaves the fixture, the serial adapter stays; and comes back.
    Seated(bool),
    /// `unplug`: the serial adapter itself goes, for good.
    Unplug,
    /// `reset`: a pulse on the reset pin, into the loader again.
    Reset,
    /// `run`: a pulse on the reset pin with the boot pin released (ESP32).
    Run,
    /// `lock`: readout protection takes effect; on an ESP32 secure download mode, for ever.
    Lock,
    /// `cut BYTES`: the supply fails after that many more programmed bytes.
    Cut(u64),
    /// `stuck ADDR [BIT]`: a flash cell that stays 0.
    Stuck(u32, u8),
    /// `flip ADDR [BIT]`: a bit of a flash cell turns over, once.
    Flip(u32, u8),
    /// `silence`: the loader's answers get lost until `heal`.
    Silence,
    /// `nack N`: the next N commands are refused.
    Nack(u32),
    /// `noise N [SKIP]`: after SKIP bytes, one bit of each of the next N bytes to the station flips.
    Noise(u32, u32),
    /// `noise-in N [SKIP]`: the same on the way to the chip.
    NoiseIn(u32, u32),
    /// `drop N [SKIP]`: after SKIP bytes, the next N bytes to the station get lost.
    Drop(u32, u32),
    /// `damage N [SKIP]`: after SKIP bytes, the next N bytes to the station come with a bit flipped and
    /// the wrong parity or no stop bit.
    Damage(u32, u32),
    /// `baud RATE`: the loader has measured this rate in an earlier session.
    Baud(u32),
    /// `says TEXT`: what the program in flash says at 115200 once it is started.
    Says(String),
    /// `heal`: no stuck cells, no faults due. Seat and supply stay.
    Heal,
    /// `dump FILE`: flash and option bytes into a file.
    Dump(PathBuf),
    /// `dump-hex ADDR LEN`: bytes of any memory as hex.
    DumpHex(u32, u32),
    /// `counters`: totals as one JSON object.
    Counters,
    /// `state`: seat, supply, lock and loader as one JSON object.
    State,
}

/// Reads one line; `None` if it is no lever.
#[must_use]
pub fn parse(line: &str) -> Option<Lever> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let numbers: Option<Vec<u64>> = rest.split_whitespace().map(number).collect();
    let numbers = numbers.unwrap_or_default();
    let narrow = |at: usize| numbers.get(at).and_then(|number| u32::try_from(*number).ok());
    let pair = || Some((narrow(0)?, if numbers.len() > 1 { narrow(1)? } else { 0 }));
    let cell = || {
        let (address, bit) = pair()?;
        Some((address, u8::try_from(bit).ok().filter(|bit| *bit < 8)?))
    };
    Some(match (word, rest.trim()) {
        ("power", "on") => Lever::Power(true),
        ("power", "off") => Lever::Power(false),
        ("remove", "") => Lever::Seated(false),
        ("insert", "") => Lever::Seated(true),
        ("unplug", "") => Lever::Unplug,
        ("reset", "") => Lever::Reset,
        ("run", "") => Lever::Run,
        ("lock", "") => Lever::Lock,
        ("cut", _) => Lever::Cut(*numbers.first()?),
        ("stuck", _) => cell().map(|(address, bit)| Lever::Stuck(address, bit))?,
        ("flip", _) => cell().map(|(address, bit)| Lever::Flip(address, bit))?,
        ("silence", "") => Lever::Silence,
        ("nack", _) => Lever::Nack(narrow(0)?),
        ("noise", _) => pair().map(|(count, skip)| Lever::Noise(count, skip))?,
        ("noise-in", _) => pair().map(|(count, skip)| Lever::NoiseIn(count, skip))?,
        ("drop", _) => pair().map(|(count, skip)| Lever::Drop(count, skip))?,
        ("damage", _) => pair().map(|(count, skip)| Lever::Damage(count, skip))?,
        ("baud", _) => Lever::Baud(narrow(0).filter(|baud| *baud > 0)?),
        ("says", text) => Lever::Says(text.to_owned()),
        ("heal", "") => Lever::Heal,
        ("dump", path) if !path.is_empty() => Lever::Dump(PathBuf::from(path)),
        ("dump-hex", _) => Lever::DumpHex(narrow(0)?, narrow(1)?),
        ("counters", "") => Lever::Counters,
        ("state", "") => Lever::State,
        _ => return None,
    })
}

/// Decimal, or hexadecimal with 0x.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lever_has_its_line_and_other_lines_are_none() {
        let check = |line: &str, lever: Option<Lever>| assert_eq!(parse(line), lever, "{line:?}");
        check("power off\n", Some(Lever::Power(false)));
        check("insert", Some(Lever::Seated(true)));
        check("cut 0x10", Some(Lever::Cut(16)));
        check("stuck 0x08000004 7", Some(Lever::Stuck(0x0800_0004, 7)));
        check("flip 0x1000", Some(Lever::Flip(0x1000, 0)));
        check("run", Some(Lever::Run));
        check("noise 1", Some(Lever::Noise(1, 0)));
        check("noise-in 2 30", Some(Lever::NoiseIn(2, 30)));
        check("damage 3 1", Some(Lever::Damage(3, 1)));
        check("says LAMP ok", Some(Lever::Says("LAMP ok".to_owned())));
        check("dump-hex 0x08000000 16", Some(Lever::DumpHex(0x0800_0000, 16)));
        for line in
            ["", "power", "power maybe", "cut", "cut x", "stuck 0 8", "baud 0", "dump", "lock it"]
        {
            check(line, None);
        }
    }
}
