//! How the hub looks from here, and how long to wait before trying again.

/// Whether the hub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubState {
    /// Not tried yet since the start.
    Connecting,
    /// The last exchange went well.
    Online,
    /// The last exchange did not.
    Offline(OfflineReason),
}

/// Why the hub cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineReason {
    /// No connection, or it broke.
    Unreachable,
    /// Somebody answers whose certificate is not from the hub's CA.
    HubCertificate,
    /// The hub does not accept this station's certificate.
    StationRefused,
    /// The hub says it has a trouble of its own.
    HubTrouble,
    /// The hub answers something that cannot be what was asked for.
    NotUnderstood,
    /// The station's own store failed.
    StationTrouble,
}

/// Waits between failed attempts: doubled each time up to a cap, and spread over the whole
/// interval so that a returning hub is not trampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// Longest first wait, in milliseconds.
    pub first_ms: u64,
    /// Longest wait ever, in milliseconds.
    pub cap_ms: u64,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { first_ms: 250, cap_ms: 10_000 }
    }
}

impl BackOff {
    /// The wait after `failures` failures in a row (1, 2, …), in milliseconds: from half of the
    /// doubled interval to the whole of it. `jitter` gives a number below its argument.
    pub fn wait_ms(&self, failures: u32, jitter: &mut dyn FnMut(u64) -> u64) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let whole = self.first_ms.saturating_mul(1 << doublings).min(self.cap_ms).max(2);
        let half = whole / 2;
        half + jitter(whole - half).min(whole - half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_never_beyond_whatever_the_jitter_says() {
        let back_off = BackOff { first_ms: 100, cap_ms: 1_000 };
        for (failures, low, high) in [(1, 50, 100), (2, 100, 200), (4, 400, 800), (99, 500, 1_000)]
        {
            assert_eq!(back_off.wait_ms(failures, &mut |_| 0), low);
            assert_eq!(back_off.wait_ms(failures, &mut |below| below), high);
            assert_eq!(back_off.wait_ms(failures, &mut |_| u64::MAX), high);
        }
    }
}
