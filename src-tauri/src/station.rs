//! Where the station's page is, and whether somebody answers there.

use std::{
    env, fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use tauri::Url;

/// Where an installed station leaves its entry address, with a nonce that works once.
const ENTRY_FILE: &str = "/run/flashline/enter";
/// The path that exchanges the nonce for a cookie and leads on to the page.
pub(crate) const DOOR: &str = "/enter";
/// A loopback connection is made at once or not at all.
const CONNECT: Duration = Duration::from_millis(400);

/// How the station is found.
pub(crate) enum Station {
    /// By an address that was given.
    At(Url),
    /// By a file that the station writes anew at every start.
    Entry(PathBuf),
}

impl Station {
    /// From the first argument, else `FLASHLINE_STATION` (an address or a file), else the place
    /// where an installed station leaves it.
    pub(crate) fn named() -> Result<Self, String> {
        let named = env::args().nth(1).or_else(|| env::var("FLASHLINE_STATION").ok());
        match named {
            Some(text) if text.contains("://") => loopback(&text)
                .map(Self::At)
                .ok_or_else(|| format!("a station is http://127.0.0.1:PORT/…, not {text}")),
            Some(file) => Ok(Self::Entry(file.into())),
            None => Ok(Self::Entry(ENTRY_FILE.into())),
        }
    }

    /// The entry address, while somebody listens there.
    pub(crate) fn address_if_up(&self) -> Option<Url> {
        let address = self.address()?;
        TcpStream::connect_timeout(&socket(&address)?, CONNECT).ok()?;
        Some(address)
    }

    /// Whether a page lies on this station.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        self.address().is_some_and(|address| address.origin() == url.origin())
    }

    fn address(&self) -> Option<Url> {
        match self {
            Self::At(address) => Some(address.clone()),
            Self::Entry(file) => loopback(fs::read_to_string(file).ok()?.trim()),
        }
    }
}

/// A plain http address with a port on this machine; nothing else is ever opened.
fn loopback(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let here = url.scheme() == "http" && socket(&url).is_some_and(|at| at.ip().is_loopback());
    here.then_some(url)
}

fn socket(url: &Url) -> Option<SocketAddr> {
    let host = url.host_str()?;
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    Some(SocketAddr::new(host.trim_matches(['[', ']']).parse().ok()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_pages_of_this_machine_are_opened() {
        let check = |text: &str, expected: bool| {
            assert_eq!(loopback(text).is_some(), expected, "{text}");
        };
        check("http://127.0.0.1:4100/enter?nonce=00", true);
        check("http://localhost:4100/", true);
        check("http://[::1]:4100/", true);
        check("http://192.168.0.7:4100/", false);
        check("http://127.0.0.1.example.org:4100/", false);
        check("http://station:4100/", false);
        check("https://127.0.0.1:4100/", false);
        check("file:///etc/passwd", false);
        check("", false);
    }

    #[test]
    fn a_page_of_another_port_is_not_the_stations() {
        let at = |text: &str| Url::parse(text).expect("a test address");
        let station = Station::At(at("http://127.0.0.1:4100/enter?nonce=00"));
        assert!(station.owns(&at("http://127.0.0.1:4100/")));
        assert!(!station.owns(&at("http://127.0.0.1:4101/")));
        assert!(!station.owns(&at("http://localhost:4100/")));
    }
}
