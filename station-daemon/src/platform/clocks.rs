//! What the machine's clocks say (Linux).

use rustix::time::{ClockId, clock_gettime};

use crate::clock::Reading;

/// Reads the three clocks: the system's, the one that runs while the machine is awake
/// (`CLOCK_MONOTONIC`), and by the one that also counts sleep (`CLOCK_BOOTTIME`) how long it slept.
#[must_use]
pub fn reading() -> Reading {
    let read = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
    };
    let awake_ms = read(ClockId::Monotonic);
    Reading {
        os_ms: read(ClockId::Realtime),
        awake_ms,
        asleep_ms: read(ClockId::Boottime).saturating_sub(awake_ms).max(0),
    }
}

#[cfg(test)]
mod tests {
    use super::reading;

    #[test]
    fn the_kernels_own_account_of_its_uptime_agrees() {
        let text = std::fs::read_to_string("/proc/uptime").expect("uptime");
        let before = text.split('.').next().expect("seconds").parse::<i64>().expect("a number");
        let now = reading();
        let uptime_ms = now.awake_ms + now.asleep_ms;
        assert!(uptime_ms >= before * 1000, "{uptime_ms} {before}");
        let after = std::fs::read_to_string("/proc/uptime").expect("uptime");
        let after = after.split('.').next().expect("seconds").parse::<i64>().expect("a number");
        assert!(uptime_ms < (after + 1) * 1000, "{uptime_ms} {after}");
        assert!(reading().awake_ms >= now.awake_ms);
    }
}
