//! States, statuses and the six bytes that tell them (DFU 1.1, chapter 6.1.2 and annex A).

use std::fmt;
use std::time::Duration;

/// Where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its program runs.
    AppIdle,
    /// Its program was told to detach and waits for the reset.
    AppDetach,
    /// In DFU mode, waiting.
    Idle,
    /// Has a block, waits to be asked for its status.
    DownloadSync,
    /// Works on a block; must not be asked before its time.
    DownloadBusy,
    /// Waits for the next block.
    DownloadIdle,
    /// Has everything, waits to be asked for its status.
    ManifestSync,
    /// Starts the new program.
    Manifest,
    /// Waits to be reset by the host.
    ManifestWaitReset,
    /// Waits for the next read.
    UploadIdle,
    /// Refuses everything until its status is cleared.
    Error,
}

impl State {
    /// The state with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::AppIdle,
            1 => Self::AppDetach,
            2 => Self::Idle,
            3 => Self::DownloadSync,
            4 => Self::DownloadBusy,
            5 => Self::DownloadIdle,
            6 => Self::ManifestSync,
            7 => Self::Manifest,
            8 => Self::ManifestWaitReset,
            9 => Self::UploadIdle,
            10 => Self::Error,
            _ => return None,
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppIdle => "appIDLE",
            Self::AppDetach => "appDETACH",
            Self::Idle => "dfuIDLE",
            Self::DownloadSync => "dfuDNLOAD-SYNC",
            Self::DownloadBusy => "dfuDNBUSY",
            Self::DownloadIdle => "dfuDNLOAD-IDLE",
            Self::ManifestSync => "dfuMANIFEST-SYNC",
            Self::Manifest => "dfuMANIFEST",
            Self::ManifestWaitReset => "dfuMANIFEST-WAIT-RESET",
            Self::UploadIdle => "dfuUPLOAD-IDLE",
            Self::Error => "dfuERROR",
        })
    }
}

/// What the device says went wrong: bStatus; 0 is OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusCode(pub u8);

impl StatusCode {
    /// No error.
    pub const OK: Self = Self(0x00);
    /// The file, or the address, is not for this device; STM32 loaders: an address they do not have.
    pub const TARGET: Self = Self(0x01);
    /// Vendor's own; STM32 loaders: the chip is read-protected (AN3156).
    pub const VENDOR: Self = Self(0x0B);
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x00 => "OK",
            0x01 => "errTARGET",
            0x02 => "errFILE",
            0x03 => "errWRITE",
            0x04 => "errERASE",
            0x05 => "errCHECK_ERASED",
            0x06 => "errPROG",
            0x07 => "errVERIFY",
            0x08 => "errADDRESS",
            0x09 => "errNOTDONE",
            0x0A => "errFIRMWARE",
            0x0B => "errVENDOR",
            0x0C => "errUSBR",
            0x0D => "errPOR",
            0x0E => "errUNKNOWN",
            0x0F => "errSTALLEDPKT",
            other => return write!(f, "status {other:#04x}"),
        })
    }
}

/// The answer to DFU_GETSTATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// bStatus.
    pub code: StatusCode,
    /// bwPollTimeout: the device must not be asked again before this has gone by.
    pub poll: Duration,
    /// bState.
    pub state: State,
}

impl Status {
    /// Bytes of the answer.
    pub const BYTES: usize = 6;

    /// Reads the six bytes; `None` for a state that does not exist.
    pub fn read(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let [code, low, middle, high, state, _text] = bytes;
        Some(Self {
            code: StatusCode(code),
            poll: Duration::from_millis(u32::from_le_bytes([low, middle, high, 0]).into()),
            state: State::from_number(state)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bytes_are_read_as_status_time_and_state_and_unknown_states_are_refused() {
        let check = |bytes: [u8; 6], wanted: Option<(u8, u64, State)>| {
            let found = Status::read(bytes)
                .map(|s| (s.code.0, u64::try_from(s.poll.as_millis()).expect("small"), s.state));
            assert_eq!(found, wanted, "{bytes:02x?}");
        };
        check([0, 0, 0, 0, 2, 0], Some((0, 0, State::Idle)));
        check([0, 0x68, 0x01, 0, 4, 0], Some((0, 360, State::DownloadBusy)));
        check([0x0B, 0xFF, 0xFF, 0xFF, 10, 9], Some((0x0B, 0xFF_FFFF, State::Error)));
        check([0, 0, 0, 0, 11, 0], None);
        check([0xFF; 6], None);
    }

    #[test]
    fn every_state_and_status_is_called_what_the_standard_calls_it() {
        let states: Vec<String> =
            (0..=10).filter_map(State::from_number).map(|s| s.to_string()).collect();
        assert_eq!(states.len(), 11);
        assert_eq!((&*states[2], &*states[10]), ("dfuIDLE", "dfuERROR"));
        let check = |code: u8, name: &str| assert_eq!(StatusCode(code).to_string(), name);
        check(0, "OK");
        check(8, "errADDRESS");
        check(0x0B, "errVENDOR");
        check(0x0F, "errSTALLEDPKT");
        check(0x77, "status 0x77");
    }
}
