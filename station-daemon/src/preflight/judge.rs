//! What the facts mean. Pure.

use super::usb::Controller;
use super::{Disk, Facts, Found, PortFact, StationFacts};
use crate::api::preflight::{Check, Finding, Level};
use crate::api::view::HubState;

/// Endpoints an xHCI controller of a PC has room for at least; some BIOSes give no more.
const ENDPOINTS_SURE: u32 = 64;
/// Endpoints the common xHCI controllers have room for.
const ENDPOINTS_MAX: u32 = 96;
/// With less the next release may not fit.
const DISK_LOW_BYTES: u64 = 2 << 30;
/// With less the records of a shift may not fit.
const DISK_OUT_BYTES: u64 = 256 << 20;

/// Judges facts; worst things are not sorted first, a page does that.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.controllers.iter().map(endpoints).collect();
    findings.extend(facts.ports.iter().map(port));
    findings.push(disk(facts.disk));
    findings.push(swap(&facts.swaps));
    findings.push(tpm(facts.tpm));
    findings.extend(facts.station.iter().flat_map(|station| [clock(*station), hub(*station)]));
    findings
}

fn finding(
    check: Check,
    level: Level,
    about: impl Into<String>,
    sentence: impl Into<String>,
) -> Finding {
    Finding { check, level, about: about.into(), sentence: sentence.into() }
}

fn endpoints(controller: &Controller) -> Finding {
    let Controller { name, devices, endpoints, .. } = controller;
    let counted = format!("{devices} devices take {endpoints} of {ENDPOINTS_MAX} endpoints");
    let (level, sentence) = match *endpoints {
        ENDPOINTS_MAX.. => (
            Level::Fail,
            format!("{counted}: the next one finds no room; add a second controller."),
        ),
        more if more > ENDPOINTS_SURE => {
            (Level::Warn, format!("{counted}; some machines have room for {ENDPOINTS_SURE} only."))
        }
        _ => (Level::Ok, format!("{counted}.")),
    };
    finding(Check::UsbEndpoints, level, name, sentence)
}

fn port(fact: &PortFact) -> Finding {
    let PortFact { slot, port, found } = fact;
    let (level, sentence) = match found {
        Found::Elsewhere => (Level::Ok, format!("{port} is a simulated board's probe.")),
        Found::Usable(node) => {
            (Level::Ok, format!("{port} is {}, and the station may use it.", node.display()))
        }
        Found::Forbidden(node) => (
            Level::Fail,
            format!("The station may not read and write {} ({port}).", node.display()),
        ),
        // Boards come and go there.
        Found::Nothing if matches!(port, flash::Port::Usb(_)) => {
            (Level::Ok, format!("No board is in the socket {port}."))
        }
        Found::Nothing => (Level::Fail, format!("Nothing is plugged in at {port}.")),
    };
    finding(Check::Port, level, format!("slot {slot}"), sentence)
}

fn disk(disk: Option<Disk>) -> Finding {
    let Some(Disk { free_bytes }) = disk else {
        let sentence = "The system does not say how much room the station's disk has.";
        return finding(Check::Disk, Level::Warn, "disk", sentence);
    };
    let level = match free_bytes {
        ..DISK_OUT_BYTES => Level::Fail,
        DISK_OUT_BYTES..DISK_LOW_BYTES => Level::Warn,
        _ => Level::Ok,
    };
    let sentence = format!("The station's disk has {} MiB of room.", free_bytes >> 20);
    finding(Check::Disk, level, "disk", sentence)
}

fn swap(swaps: &[String]) -> Finding {
    match swaps.first() {
        None => finding(Check::Swap, Level::Ok, "swap", "No swap area is on a disk."),
        Some(first) => {
            let sentence = format!("Swap is on ({first}): plain firmware could reach the disk.");
            finding(Check::Swap, Level::Fail, "swap", sentence)
        }
    }
}

fn tpm(tpm: bool) -> Finding {
    let (level, sentence) = if tpm {
        (Level::Ok, "A TPM is there.")
    } else {
        (Level::Warn, "No TPM is there: whoever copies the disk has the station's keys.")
    };
    finding(Check::Tpm, level, "tpm", sentence)
}

fn clock(station: StationFacts) -> Finding {
    let (level, sentence) = if station.clock_jumped {
        (Level::Fail, "The system's clock jumped further than is believed; the hub settles it.")
    } else {
        (Level::Ok, "The clock agrees with what the hub last said.")
    };
    finding(Check::Clock, level, "clock", sentence)
}

fn hub(station: StationFacts) -> Finding {
    let (level, sentence) = match station.hub {
        HubState::Online => (Level::Ok, "The hub answers."),
        HubState::Offline => {
            (Level::Warn, "The hub does not answer; the station works on its lease.")
        }
        HubState::Connecting => (Level::Warn, "The hub was not asked yet."),
        HubState::NotEnrolled => (Level::Fail, "The station belongs to no hub yet."),
    };
    finding(Check::Hub, level, "hub", sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            controllers: vec![controller(ENDPOINTS_SURE)],
            ports: Vec::new(),
            disk: Some(Disk { free_bytes: DISK_LOW_BYTES }),
            swaps: Vec::new(),
            tpm: true,
            station: Some(StationFacts { clock_jumped: false, hub: HubState::Online }),
        }
    }

    fn controller(endpoints: u32) -> Controller {
        Controller { name: "0000:00:14.0".to_owned(), buses: vec![1], devices: 4, endpoints }
    }

    fn found(port: &str, found: Found) -> PortFact {
        PortFact { slot: 3, port: port.parse().expect("a port"), found }
    }

    #[test]
    fn a_good_station_has_only_good_findings_and_each_lack_is_one_that_names_it() {
        assert!(judge(&good()).iter().all(|finding| finding.level == Level::Ok));
        let check = |change: &dyn Fn(&mut Facts), wanted: (Check, Level, &str), words: &str| {
            let mut facts = good();
            change(&mut facts);
            let findings = judge(&facts);
            let bad: Vec<&Finding> =
                findings.iter().filter(|finding| finding.level > Level::Ok).collect();
            let [bad] = bad.as_slice() else { panic!("{bad:?}") };
            assert_eq!((bad.check, bad.level, bad.about.as_str()), wanted);
            assert!(bad.sentence.contains(words) && bad.sentence.ends_with('.'), "{bad:?}");
        };
        let (warn, fail) = (Level::Warn, Level::Fail);
        let usb = |level| (Check::UsbEndpoints, level, "0000:00:14.0");
        check(&|f| f.controllers = vec![controller(ENDPOINTS_SURE + 1)], usb(warn), "65 of 96");
        check(&|f| f.controllers = vec![controller(ENDPOINTS_MAX)], usb(fail), "second controller");
        let slot = (Check::Port, fail, "slot 3");
        let tty = "tty:/dev/ttyUSB0";
        let node = || "/dev/ttyUSB0".into();
        check(&|f| f.ports = vec![found(tty, Found::Nothing)], slot, "tty:/dev/ttyUSB0");
        check(&|f| f.ports = vec![found(tty, Found::Forbidden(node()))], slot, "may not");
        let disk = |level| (Check::Disk, level, "disk");
        let free = |free_bytes| move |f: &mut Facts| f.disk = Some(Disk { free_bytes });
        check(&free(DISK_LOW_BYTES - 1), disk(warn), "2047 MiB");
        check(&free(DISK_OUT_BYTES - 1), disk(fail), "255 MiB");
        check(&|f| f.disk = None, disk(warn), "does not say");
        check(
            &|f| f.swaps = vec!["/dev/sda2".to_owned()],
            (Check::Swap, fail, "swap"),
            "/dev/sda2",
        );
        check(&|f| f.tpm = false, (Check::Tpm, warn, "tpm"), "No TPM");
        let station = |clock_jumped, hub| {
            move |f: &mut Facts| f.station = Some(StationFacts { clock_jumped, hub })
        };
        check(&station(true, HubState::Online), (Check::Clock, fail, "clock"), "jumped");
        check(&station(false, HubState::Offline), (Check::Hub, warn, "hub"), "lease");
        check(&station(false, HubState::NotEnrolled), (Check::Hub, fail, "hub"), "no hub");
    }

    #[test]
    fn what_may_be_empty_or_is_somewhere_else_is_no_lack() {
        let check = |port: &str, is: Found| {
            let mut facts = good();
            facts.ports = vec![found(port, is)];
            assert!(judge(&facts).iter().all(|finding| finding.level == Level::Ok), "{port}");
        };
        check("usb:1-2", Found::Nothing);
        check("tty:/dev/ttyUSB0", Found::Usable("/dev/ttyUSB0".into()));
        check("1d50:6018:127.0.0.1:1", Found::Elsewhere);
    }
}
