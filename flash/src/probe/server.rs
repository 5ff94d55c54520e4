//! Why a server of probes hung up: what it says before it does.
//!
//! The driver throws that away. ser2net, which puts a Black Magic Probe's serial port on the network,
//! says "Port already in use", "Port's device already in use" or "Port's device failed open" to a
//! client that it cannot serve; the simulated board says the same. A server that says nothing is
//! taken to be busy: a probe serves one program at a time.

use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Time for the connection, and then for the words.
const WITHIN: Duration = Duration::from_millis(500);
const WORDS_MAX: usize = 256;

/// Why there is no probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another program has it.
    Busy,
    /// The server has lost it.
    Missing,
}

/// Asks the server at `HOST:PORT` once more and judges what it says as it hangs up.
pub(super) fn refusal(address: &str) -> Refusal {
    let words = parting_words(address).unwrap_or_default();
    tracing::debug!(words, "the server of the probe hung up");
    judge(&words)
}

fn judge(words: &str) -> Refusal {
    let words = words.to_lowercase();
    let missing = ["failed open", "open fail", "no such", "not found", "unplugged"];
    if missing.iter().any(|word| words.contains(word)) { Refusal::Missing } else { Refusal::Busy }
}

fn parting_words(address: &str) -> std::io::Result<String> {
    let mut words = Vec::new();
    if let Some(address) = address.to_socket_addrs()?.next() {
        let mut server = TcpStream::connect_timeout(&address, WITHIN)?;
        let begun = Instant::now();
        let mut block = [0; WORDS_MAX];
        while words.len() < WORDS_MAX {
            let left = WITHIN.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            server.set_read_timeout(Some(left))?;
            match server.read(&mut block) {
                Ok(0) | Err(_) => break,
                Ok(count) => words.extend_from_slice(&block[..count]),
            }
        }
    }
    Ok(String::from_utf8_lossy(&words).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lost_its_probe_is_told_from_one_that_serves_another_program() {
        let check = |words: &str, refusal: Refusal| assert_eq!(judge(words), refusal, "{words:?}");
        check("Port already in use\r\n", Refusal::Busy);
        check("Port's device already in use\r\n", Refusal::Busy);
        check("Port's device failed open\r\n", Refusal::Missing);
        check("Device open failure: No such file or directory\r\n", Refusal::Missing);
        check("", Refusal::Busy);
    }
}
