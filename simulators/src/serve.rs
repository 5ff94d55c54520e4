//! A board on three TCP ports: probe, control, UART.
//!
//! Owns sockets, threads and the wall clock. The board lives on one thread (its interpreter cannot
//! leave it); connections have a thread each and speak to it over a channel. The board thread
//! blocks whenever the chip has nothing to do.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bmp::{Answer, REQUEST_BYTES_MAX, Refusal};
use crate::board::{Board, Plug, Reply, Setup, Wants};
use crate::host::HostCable;

/// A packet of the Glasgow protocol; probe-rs puts whole blocks of transfers into one.
const PACKET_BYTES_MAX: u64 = 1 << 20;
/// A reader of the UART that does not read for this long loses its connection.
const UART_WRITE_MS_MAX: u64 = 500;
/// A core that executes without a request for this long is throttled: firmware that spins must
/// not take a processor from the tests around it.
const FREE_RUN: Duration = Duration::from_secs(60);
/// Pause after every slice of a throttled core.
const THROTTLE: Duration = Duration::from_millis(10);

/// Where to listen; port 0 picks one.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Black Magic Probe remote protocol.
    pub probe: SocketAddr,
    /// Levers.
    pub control: SocketAddr,
    /// What the firmware prints.
    pub uart: SocketAddr,
}

impl Addresses {
    /// Any free ports on the loopback interface.
    #[must_use]
    pub fn any() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { probe: any, control: any, uart: any }
    }

    /// What a board's process says first: one JSON object.
    #[must_use]
    pub fn announcement(&self) -> String {
        serde_json::json!({
            "probe": self.probe.to_string(),
            "control": self.control.to_string(),
            "uart": self.uart.to_string(),
        })
        .to_string()
    }
}

/// Which probe's protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    BlackMagic,
    Glasgow,
}

enum Message {
    Probe(Protocol, Vec<u8>, SyncSender<Reply>),
    Control(String, SyncSender<String>),
    Stop,
}

/// A board being served. Dropping it stops the board.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub addresses: Addresses,
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Keeps the board until standard input ends, or else until the process is ended.
    ///
    /// # Errors
    /// Standard input cannot be read.
    pub fn last(mut self, until_stdin_ends: bool) -> io::Result<()> {
        if until_stdin_ends {
            io::copy(&mut io::stdin(), &mut io::sink())?;
        } else if let Some(thread) = self.thread.take() {
            // A panic of the board thread was printed where it happened.
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail only when the board is gone already.
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A board as its three ports know it, told the time at every call.
pub trait Wired: 'static {
    /// Handles the text between `!` and `#`. `None` while the probe hangs: ask again later.
    fn probe(&mut self, text: &[u8], now: Duration) -> Option<Reply>;
    /// Handles one packet of the other probe's protocol, where the board has that probe.
    fn glasgow(&mut self, _packet: &[u8], _now: Duration) -> Option<Reply> {
        Some(Reply { bytes: Vec::new(), delay: Duration::ZERO })
    }
    /// Handles one line of the control port; the answer has no line end.
    fn control(&mut self, line: &str, now: Duration) -> String;
    /// What happens next without a request.
    fn wants(&self, now: Duration) -> Wants;
    /// Lets the board go on for a moment, if it wants to.
    fn run(&mut self, now: Duration);
    /// Bytes the UART sent since the last call.
    fn take_uart(&mut self) -> Vec<u8>;
    /// Whether the probe can be reached.
    fn plug(&self) -> Plug {
        Plug::In
    }
}

impl Wired for Board {
    fn probe(&mut self, text: &[u8], now: Duration) -> Option<Reply> {
        Board::probe(self, text, now)
    }

    fn glasgow(&mut self, packet: &[u8], now: Duration) -> Option<Reply> {
        Board::glasgow(self, packet, now)
    }

    fn control(&mut self, line: &str, now: Duration) -> String {
        Board::control(self, line, now)
    }

    fn wants(&self, now: Duration) -> Wants {
        Board::wants(self, now)
    }

    fn run(&mut self, now: Duration) {
        Board::run(self, now);
    }

    fn take_uart(&mut self) -> Vec<u8> {
        Board::take_uart(self)
    }

    fn plug(&self) -> Plug {
        Board::plug(self)
    }
}

/// Starts an interpreted board.
///
/// # Errors
/// A port that cannot be listened on.
pub fn serve(
    addresses: Addresses,
    config: impl Into<Setup> + Send + 'static,
) -> io::Result<Served> {
    serve_board(addresses, || Board::new(config))
}

/// Starts any board; `make` is called on the thread that the board will live on.
///
/// # Errors
/// A port that cannot be listened on.
pub fn serve_board<B: Wired>(
    addresses: Addresses,
    make: impl FnOnce() -> B + Send + 'static,
) -> io::Result<Served> {
    let probe = TcpListener::bind(addresses.probe)?;
    let control = TcpListener::bind(addresses.control)?;
    let uart = TcpListener::bind(addresses.uart)?;
    uart.set_nonblocking(true)?;
    let addresses = Addresses {
        probe: probe.local_addr()?,
        control: control.local_addr()?,
        uart: uart.local_addr()?,
    };
    let (messages, inbox) = channel();
    let cable = HostCable::plugged();
    let claim = cable.clone();
    let welcome = move |stream: &TcpStream| {
        let welcome = claim.claim(stream);
        if !welcome {
            // A client that has gone already needs no reason.
            let _ = (&*stream).write_all(claim.refusal());
        }
        welcome
    };
    accept(probe, messages.clone(), welcome, probe_connection);
    accept(control, messages.clone(), |_| true, control_connection);
    let thread = thread::Builder::new().name("board".to_owned()).spawn(move || {
        let uart = UartPort { listener: uart, readers: Vec::new() };
        BoardLoop {
            board: make(),
            cable,
            inbox,
            uart,
            start: Instant::now(),
            last_request: Instant::now(),
            waiting: VecDeque::new(),
        }
        .run();
    })?;
    Ok(Served { addresses, messages, thread: Some(thread) })
}

struct BoardLoop<B> {
    board: B,
    cable: HostCable,
    inbox: Receiver<Message>,
    uart: UartPort,
    start: Instant,
    last_request: Instant,
    waiting: VecDeque<(Protocol, Vec<u8>, SyncSender<Reply>)>,
}

impl<B: Wired> BoardLoop<B> {
    fn run(mut self) {
        loop {
            let received = match self.board.wants(self.now()) {
                Wants::Nothing => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Wants::Until(time) => self.inbox.recv_timeout(time.saturating_sub(self.now())),
                Wants::Run if self.last_request.elapsed() > FREE_RUN => {
                    self.inbox.recv_timeout(THROTTLE)
                }
                Wants::Run => self.inbox.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            match received {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Control(line, answer)) => {
                    self.last_request = Instant::now();
                    let text = self.board.control(&line, self.now());
                    self.cable.set(self.board.plug());
                    // Whoever asked may have gone; the lever is pulled all the same.
                    let _ = answer.send(text);
                }
                Ok(Message::Probe(protocol, text, answer)) => {
                    self.last_request = Instant::now();
                    self.waiting.push_back((protocol, text, answer));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.now();
                    if self.board.wants(now) == Wants::Run {
                        self.board.run(now);
                    }
                }
            }
            self.answer_probes();
            let bytes = self.board.take_uart();
            if !bytes.is_empty() {
                self.uart.send(&bytes);
            }
        }
    }

    fn answer_probes(&mut self) {
        while let Some((protocol, text, answer)) = self.waiting.pop_front() {
            let now = self.now();
            let reply = match protocol {
                Protocol::BlackMagic => self.board.probe(&text, now),
                Protocol::Glasgow => self.board.glasgow(&text, now),
            };
            match reply {
                Some(reply) => {
                    let _ = answer.send(reply);
                }
                None => {
                    self.waiting.push_front((protocol, text, answer));
                    return;
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl<B> Drop for BoardLoop<B> {
    fn drop(&mut self) {
        // The cable's other end outlives the board on the thread that accepts clients.
        self.cable.set(Plug::Out);
    }
}

struct UartPort {
    listener: TcpListener,
    readers: Vec<TcpStream>,
}

impl UartPort {
    /// Gives `bytes` to everybody who connected before they were sent.
    fn send(&mut self, bytes: &[u8]) {
        while let Ok((reader, _)) = self.listener.accept() {
            let ready =
                reader.set_nonblocking(false).and_then(|()| reader.set_nodelay(true)).and_then(
                    |()| reader.set_write_timeout(Some(Duration::from_millis(UART_WRITE_MS_MAX))),
                );
            if ready.is_ok() {
                self.readers.push(reader);
            }
        }
        self.readers.retain_mut(|reader| reader.write_all(bytes).is_ok());
    }
}

fn accept(
    listener: TcpListener,
    messages: Sender<Message>,
    welcome: impl Fn(&TcpStream) -> bool + Send + 'static,
    serve: fn(TcpStream, Sender<Message>) -> io::Result<()>,
) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if !welcome(&stream) {
                continue;
            }
            let messages = messages.clone();
            thread::spawn(move || {
                if let Err(error) = serve(stream, messages) {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
    });
}

fn probe_connection(stream: TcpStream, messages: Sender<Message>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    // A Black Magic Probe's requests are text, the other's packets begin with a length.
    let protocol = match input.fill_buf()?.first() {
        None => return Ok(()),
        Some(0..0x20) => Protocol::Glasgow,
        Some(_) => Protocol::BlackMagic,
    };
    loop {
        let text = match protocol {
            Protocol::BlackMagic => read_request(&mut input)?,
            Protocol::Glasgow => read_packet(&mut input)?,
        };
        let text = match text {
            None => return Ok(()),
            Some(Ok(text)) => text,
            Some(Err(refusal)) => {
                output.write_all(&Answer::Refused(refusal).encode())?;
                continue;
            }
        };
        let (answer, reply) = sync_channel(1);
        if messages.send(Message::Probe(protocol, text, answer)).is_err() {
            return Ok(());
        }
        let Ok(reply) = reply.recv() else { return Ok(()) };
        latency(reply.delay);
        output.write_all(&reply.bytes)?;
    }
}

/// Reads up to the zero that ends a packet, which is not part of it.
fn read_packet(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, Refusal>>> {
    let mut packet = Vec::new();
    input.take(PACKET_BYTES_MAX).read_until(0, &mut packet)?;
    match packet.pop() {
        Some(0) => Ok(Some(Ok(packet))),
        // The client is gone, or sends what is no packet.
        Some(_) | None => Ok(None),
    }
}

/// Reads up to the `#` that ends a request; whatever stands before its `!` is noise.
fn read_request(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, Refusal>>> {
    let mut skipped = Vec::new();
    if input.read_until(b'!', &mut skipped)? == 0 {
        return Ok(None);
    }
    let mut text = Vec::new();
    loop {
        let (used, ended) = {
            let buffer = input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            match buffer.iter().position(|byte| *byte == b'#') {
                Some(end) => {
                    text.extend_from_slice(&buffer[..end]);
                    (end + 1, true)
                }
                None => {
                    text.extend_from_slice(buffer);
                    (buffer.len(), false)
                }
            }
        };
        input.consume(used);
        if text.len() > REQUEST_BYTES_MAX {
            return Ok(Some(Err(Refusal::WrongLength)));
        }
        if ended {
            return Ok(Some(Ok(text)));
        }
    }
}

fn control_connection(stream: TcpStream, messages: Sender<Message>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let (answer, reply) = sync_channel(1);
        if messages.send(Message::Control(line?, answer)).is_err() {
            return Ok(());
        }
        let Ok(reply) = reply.recv() else { return Ok(()) };
        output.write_all(format!("{reply}\n").as_bytes())?;
    }
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "the wire's latency is the thing modelled here, not a condition to wait for"
)]
fn latency(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time);
    }
}
