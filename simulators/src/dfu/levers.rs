//! Faults on the wire: the n-th request of a kind goes wrong in one way.

use std::str::FromStr;
use std::time::Duration;

/// A class request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// DFU_DETACH.
    Detach,
    /// DFU_DNLOAD.
    Dnload,
    /// DFU_UPLOAD.
    Upload,
    /// DFU_GETSTATUS.
    GetStatus,
    /// DFU_CLRSTATUS.
    ClrStatus,
    /// DFU_GETSTATE.
    GetState,
    /// DFU_ABORT.
    Abort,
}

impl Request {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Detach,
            1 => Self::Dnload,
            2 => Self::Upload,
            3 => Self::GetStatus,
            4 => Self::ClrStatus,
            5 => Self::GetState,
            6 => Self::Abort,
            _ => return None,
        })
    }
}

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device refuses and stays as it is.
    Stall,
    /// The device does not answer.
    Hang,
    /// The board is pulled out.
    Unplug,
    /// The device takes the request and then reports this status.
    Status(u8),
    /// One bit of the data is turned over.
    Corrupt,
    /// The answer takes this much longer.
    Delay(Duration),
    /// The answer ends early.
    Short,
    /// More comes than was asked for.
    Babble,
}

/// One fault, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lever {
    /// The kind of request.
    pub request: Request,
    /// Which one, counted from 1 after the lever was pulled.
    pub nth: u32,
    /// What happens to it.
    pub fault: Fault,
}

/// A text that is no lever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no lever: wanted REQUEST:N=FAULT, like dnload:12=stall or getstatus:3=delay-200")]
pub struct LeverError(String);

impl FromStr for Lever {
    type Err = LeverError;

    fn from_str(text: &str) -> Result<Self, LeverError> {
        let read = || {
            let (place, fault) = text.split_once('=')?;
            let (request, nth) = place.split_once(':')?;
            let request = match request {
                "detach" => Request::Detach,
                "dnload" => Request::Dnload,
                "upload" => Request::Upload,
                "getstatus" => Request::GetStatus,
                "clrstatus" => Request::ClrStatus,
                "getstate" => Request::GetState,
                "abort" => Request::Abort,
                _ => return None,
            };
            let fault = match fault.split_once('-').unwrap_or((fault, "")) {
                ("stall", "") => Fault::Stall,
                ("hang", "") => Fault::Hang,
                ("unplug", "") => Fault::Unplug,
                ("corrupt", "") => Fault::Corrupt,
                ("short", "") => Fault::Short,
                ("babble", "") => Fault::Babble,
                ("status", code) => Fault::Status(code.parse().ok()?),
                ("delay", ms) => Fault::Delay(Duration::from_millis(ms.parse().ok()?)),
                _ => return None,
            };
            let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
            Some(Self { request, nth, fault })
        };
        read().ok_or_else(|| LeverError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lever_is_a_request_a_count_and_a_fault() {
        let check = |text: &str, wanted: Option<(Request, u32, Fault)>| {
            let found = text.parse::<Lever>().ok().map(|l| (l.request, l.nth, l.fault));
            assert_eq!(found, wanted, "{text}");
        };
        check("dnload:12=stall", Some((Request::Dnload, 12, Fault::Stall)));
        check("getstatus:20=hang", Some((Request::GetStatus, 20, Fault::Hang)));
        check("upload:1=status-3", Some((Request::Upload, 1, Fault::Status(3))));
        let delay = Fault::Delay(Duration::from_millis(200));
        check("abort:2=delay-200", Some((Request::Abort, 2, delay)));
        for bad in ["", "dnload=stall", "dnload:0=stall", "dnload:x=stall", "read:1=stall"] {
            check(bad, None);
        }
        for bad in ["dnload:1=", "dnload:1=fire", "dnload:1=status", "dnload:1=stall-3"] {
            check(bad, None);
        }
    }
}
