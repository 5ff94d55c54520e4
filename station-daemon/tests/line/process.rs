//! The real program as its own process, watched through its own page's door.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use station_daemon::api::view::{SlotState, StationView};
use station_daemon::config::SlotConfig;

use super::station::PATIENCE;

pub(crate) struct Daemon {
    child: Child,
    folder: PathBuf,
}

/// The command that runs the station of a folder. A fresh entry address is awaited.
pub(crate) fn command(folder: &Path, slots: &[SlotConfig]) -> Command {
    command_configured(folder, slots, "")
}

/// The same, with `more` above the slots of its configuration.
fn command_configured(folder: &Path, slots: &[SlotConfig], more: &str) -> Command {
    let mut text = format!("data = \".\"\nlisten = \"127.0.0.1:0\"\n{more}");
    for slot in slots {
        let ports: Vec<String> = slot.ports.iter().map(ToString::to_string).collect();
        text += &format!("[[slot]]\nnumber = {}\nports = {ports:?}\n", slot.number);
        if let Some(uart) = &slot.uart {
            text += &format!("uart = {uart:?}\n");
        }
    }
    let config = folder.join("station.toml");
    std::fs::File::create(&config).and_then(|mut f| f.write_all(text.as_bytes())).expect("toml");
    // An address of an earlier run would be taken for this one's.
    std::fs::remove_file(folder.join("run/enter")).ok();
    let mut command = Command::new(env!("CARGO_BIN_EXE_station-daemon"));
    command.args(["run", "--config"]).arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Daemon {
    pub(crate) fn start(folder: &Path, slots: &[SlotConfig]) -> Self {
        Self::start_with(folder, slots, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(
        folder: &Path,
        slots: &[SlotConfig],
        environment: &[(&str, &OsStr)],
    ) -> Self {
        Self::spawn(folder, command(folder, slots), environment)
    }

    /// The same, with `more` above the slots of its configuration.
    pub(crate) fn start_configured(folder: &Path, slots: &[SlotConfig], more: &str) -> Self {
        Self::spawn(folder, command_configured(folder, slots, more), &[])
    }

    fn spawn(folder: &Path, mut command: Command, environment: &[(&str, &OsStr)]) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("log.jsonl"))
            .expect("log");
        let child = command.envs(environment.iter().copied()).stderr(log).spawn().expect("starts");
        Self { child, folder: folder.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log.jsonl")).unwrap_or_default()
    }

    /// Goes in by the entry address and follows the station's views.
    pub(crate) fn screen(&mut self) -> Screen {
        let begun = Instant::now();
        let line = loop {
            match std::fs::read_to_string(self.folder.join("run/enter")) {
                Ok(line) => break line,
                Err(_) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
                Err(error) => panic!("no entry address: {error}\n{}", self.log()),
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon ended with {status}\n{}", self.log());
            }
        };
        Screen::enter(&line).unwrap_or_else(|| panic!("nobody answers\n{}", self.log()))
    }

    /// Ends it as the service manager does.
    pub(crate) fn terminate(mut self) {
        signal(self.pid(), "TERM");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("status") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", self.log());
            std::thread::yield_now();
        };
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("collected");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
    assert!(status.expect("kill").success());
}

/// Sets the largest file a running process may write, as a disk that is full from there on.
pub(crate) fn limit_files(pid: u32, bytes: &str) {
    let status = Command::new("prlimit")
        .args([format!("--pid={pid}"), format!("--fsize={bytes}:unlimited")])
        .status();
    assert!(status.expect("prlimit (package util-linux)").success());
}

/// Asks, and leaves the answer in the stream; fails where nobody listens any more.
fn ask(host: &str, path: &str, cookie: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

pub(crate) struct Screen {
    host: String,
    cookie: String,
    events: BufReader<TcpStream>,
    pub(crate) last: Option<StationView>,
}

impl Screen {
    /// Goes in by an entry address and follows the views; none where the station is gone.
    pub(crate) fn enter(line: &str) -> Option<Self> {
        let (host, path) = line.trim().strip_prefix("http://")?.split_once('/')?;
        let mut answer = String::new();
        ask(host, &format!("/{path}"), "").ok()?.read_to_string(&mut answer).ok()?;
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
        let cookie = cookie.split(';').next()?;
        let events = BufReader::new(ask(host, "/api/events", cookie).ok()?);
        let (host, cookie) = (host.to_owned(), cookie.to_owned());
        Some(Self { host, cookie, events, last: None })
    }

    /// The next view; none where the station is gone.
    pub(crate) fn next_view(&mut self) -> Option<StationView> {
        loop {
            let mut line = String::new();
            if !matches!(self.events.read_line(&mut line), Ok(1..)) {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).ok();
            }
        }
    }

    /// Asks for something to be done and does not wait for the answer.
    pub(crate) fn fire(&self, path: &str, body: &str) -> TcpStream {
        let Self { host, cookie, .. } = self;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host).expect("the daemon listens");
        stream.write_all(request.as_bytes()).expect("asked");
        stream
    }

    /// Asks for something to be done; the answer's JSON.
    pub(crate) fn post(&self, path: &str, body: &str) -> serde_json::Value {
        let mut answer = String::new();
        self.fire(path, body).read_to_string(&mut answer).expect("answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// Reads views until one satisfies `holds`.
    pub(crate) fn wait(&mut self, what: &str, holds: impl Fn(&StationView) -> bool) -> StationView {
        let begun = Instant::now();
        loop {
            if let Some(view) = self.last.as_ref().filter(|view| holds(view)) {
                return view.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "waiting for {what}: {:#?}", self.last);
            self.last = self.next_view();
            assert!(self.last.is_some(), "waiting for {what}: the page was cut off");
        }
    }

    pub(crate) fn wait_slot(&mut self, number: u32, state: SlotState) -> StationView {
        self.wait(&format!("slot {number} {state:?}"), |view| {
            view.slots.iter().any(|slot| slot.number == number && slot.state == state)
        })
    }
}

/// Whether `marker` stands in any file below `folder`.
pub(crate) fn on_disk(folder: &Path, marker: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).expect("folder");
    entries.map(|entry| entry.expect("entry").path()).any(|path| {
        if path.is_dir() {
            return on_disk(&path, marker);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(marker.len()).any(|window| window == marker)
    })
}
