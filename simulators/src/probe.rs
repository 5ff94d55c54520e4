//! The Black Magic Probe itself: requests in, answers out, whatever chip is behind it.
//!
//! Owns the debug port, the SWD wire and what each request does to them, and the bits that flip on
//! the way. Asks a [`Fixture`] for power, reset pin and memory, so every board has the same probe.

use crate::bmp::{Answer, Jtag, Refusal, Request};
use crate::dap::{ApFault, Dap, Target};
use crate::jtag::{Chain, Tap};
use crate::swd::Wire;

/// Blocks of at least this many bytes are data; shorter ones are registers, which no slip hits. Of
/// the reads only those from non-volatile memory count, of the writes all: data goes through RAM.
pub const SLIP_BYTES_MIN: usize = 64;
/// Clocks with TMS high that reset a chain from wherever it is.
const RESET_CLOCKS: u32 = 5;
/// Two bits of one word: the wire's parity does not notice.
const SLIP_MASK: u8 = 0b0001_0001;

/// What the probe is plugged into.
pub trait Fixture: Target + Sized {
    /// Whether the target's supply is on.
    fn powered(&self) -> bool;
    /// Whether the target's debug port answers by SWD.
    fn answers(&self) -> bool;
    /// The test access ports that answer by JTAG, from TDI to TDO: none without power, with the
    /// pins taken for something else, and of a chip that has SWD only. The debug port is the last.
    fn taps(&self) -> &'static [Tap] {
        &[]
    }
    /// Whether an address is in non-volatile memory: reads from there are what slips hit.
    fn is_lasting(&self, address: u32) -> bool;
    /// The reset pin is driven low, or released.
    fn reset_pin(&mut self, asserted: bool);
    /// Reads a block of memory.
    ///
    /// # Errors
    /// [`ApFault`] at the first access that fails.
    fn read_block(&mut self, dap: &mut Dap, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        dap.read_memory(self, address, bytes)
    }
    /// Writes a block of memory in accesses of `width` bytes.
    ///
    /// # Errors
    /// [`ApFault`] at the first access that fails.
    fn write_block(
        &mut self,
        dap: &mut Dap,
        address: u32,
        data: &[u8],
        width: usize,
    ) -> Result<(), ApFault> {
        dap.write_memory(self, address, data, width)
    }
}

/// What happens to a block on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// Two bits that the host reads are wrong.
    Read,
    /// Two bits that the host writes arrive wrong.
    Write,
    /// One bit that the host reads is wrong: the probe notices and reports it.
    Parity,
}

/// Slips that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slips {
    /// What happens.
    pub slip: Slip,
    /// To which block from now, counting from 1.
    pub nth: u32,
    /// Again after as many blocks, for ever.
    pub every: bool,
}

/// How the probe speaks to a debug port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Swd,
    /// JTAG, and nothing was said yet about the chain.
    Jtag,
    /// JTAG, to the debug port, the one nearest to TDO.
    JtagTo(u8),
}

/// The probe.
#[derive(Debug)]
pub struct Probe {
    name: &'static str,
    dap: Dap,
    wire: Wire,
    chain: Chain,
    by: By,
    speed_khz: u32,
    slips: Option<(Slips, u32)>,
}

impl Probe {
    /// A probe that introduces itself as `name`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            dap: Dap::default(),
            wire: Wire::default(),
            chain: Chain::new(&[]),
            by: By::Swd,
            speed_khz: 4000,
            slips: None,
        }
    }

    /// The target lost its power: its debug port starts anew.
    pub fn forget_target(&mut self) {
        self.dap = Dap::default();
        self.wire = Wire::default();
        self.chain = Chain::new(&[]);
    }

    /// Whether what is asked of the debug port arrives there.
    fn reaches(&self, fixture: &impl Fixture) -> bool {
        match self.by {
            By::Swd => fixture.answers(),
            By::Jtag => false,
            By::JtagTo(index) => index == 0 && !fixture.taps().is_empty(),
        }
    }

    /// Lets bits flip, or no more.
    pub fn set_slips(&mut self, slips: Option<Slips>) {
        self.slips = slips.map(|slips| (slips, 0));
    }

    /// Carries out what was parsed from the text between `!` and `#`.
    pub fn answer(
        &mut self,
        fixture: &mut impl Fixture,
        request: Result<Request, Refusal>,
    ) -> Answer {
        let answer = request.and_then(|request| self.carry_out(fixture, request));
        if answer.is_err() {
            // The probe's firmware clears the sticky bits before it reports.
            self.dap.clear_errors();
        }
        answer.unwrap_or_else(Answer::Refused)
    }

    fn carry_out<F: Fixture>(
        &mut self,
        fixture: &mut F,
        request: Request,
    ) -> Result<Answer, Refusal> {
        let reached = self.reaches(fixture);
        let Self { dap, wire, .. } = self;
        match request {
            Request::Jtag(asked) => Ok(Answer::Value(self.by_jtag(fixture, asked))),
            Request::UseSwd => {
                self.by = By::Swd;
                Ok(Answer::Value(0))
            }
            Request::Handshake => Ok(Answer::Text(self.name)),
            Request::Version => Ok(Answer::version()),
            Request::Voltage => Ok(Answer::Value(if fixture.powered() { 0x3300 } else { 0 })),
            Request::GetSpeed => Ok(Answer::Value(self.speed_khz)),
            Request::SetSpeed(hertz) => {
                self.speed_khz = hertz / 1000;
                Ok(Answer::Value(0))
            }
            Request::Accept => Ok(Answer::Value(0)),
            Request::ResetPin(asserted) => {
                fixture.reset_pin(asserted);
                Ok(Answer::Value(0))
            }
            Request::Out { bits, count, parity } => {
                let mut target = fixture.answers().then_some(&mut *fixture);
                wire.drive(u64::from(bits), count, dap, target.as_deref_mut());
                if parity {
                    wire.drive(u64::from(bits.count_ones() & 1), 1, dap, target);
                }
                Ok(Answer::Value(0))
            }
            Request::In { count, parity } => {
                let value = wire.sample(count) as u32;
                let odd = u64::from(value.count_ones() & 1);
                if parity && wire.sample(1) != odd {
                    Err(Refusal::Unrecognised)
                } else {
                    Ok(Answer::Value(value))
                }
            }
            _ if !reached => Err(Refusal::NoAcknowledge),
            Request::ReadDp(address) | Request::RawDp { read: true, address, .. } => {
                Ok(Answer::Register(dap.read_dp(fixture, address)))
            }
            Request::RawDp { read: false, address, value } => {
                dap.write_dp(address, value);
                Ok(Answer::Value(0))
            }
            Request::ReadAp { ap, register } => {
                let read = dap.read_ap(fixture, ap, register);
                read.map(Answer::Register).map_err(|_| Refusal::Fault)
            }
            Request::WriteAp { ap, register, value } => {
                done(dap.write_ap(fixture, ap, register, value))
            }
            Request::ReadMemory { ap: 0, address, length } => {
                let mut bytes = vec![0; length as usize];
                fixture.read_block(dap, address, &mut bytes).map_err(|_| Refusal::Fault)?;
                let lasting = fixture.is_lasting(address);
                if lasting && self.slips_now(Slip::Parity, bytes.len()) {
                    return Err(Refusal::Parity);
                }
                if lasting && self.slips_now(Slip::Read, bytes.len()) {
                    flip(&mut bytes);
                }
                Ok(Answer::Bytes(bytes))
            }
            Request::WriteMemory { ap: 0, address, width, mut data } => {
                if self.slips_now(Slip::Write, data.len()) {
                    flip(&mut data);
                }
                done(fixture.write_block(&mut self.dap, address, &data, width))
            }
            Request::ReadMemory { .. } | Request::WriteMemory { .. } => Err(Refusal::Fault),
        }
    }

    /// The levels at TDO, least significant first.
    fn by_jtag(&mut self, fixture: &impl Fixture, asked: Jtag) -> u32 {
        match asked {
            Jtag::Use => {
                self.by = By::Jtag;
                0
            }
            Jtag::AddDevice(index) => {
                self.by = By::JtagTo(index);
                0
            }
            Jtag::Reset => self.clocks(fixture, RESET_CLOCKS, |_| (true, true)),
            Jtag::Clock { tms, tdi } => self.clocks(fixture, 1, |_| (tms, tdi)),
            Jtag::Walk { tms, count } => {
                self.clocks(fixture, count, |index| (tms >> index & 1 == 1, true))
            }
            Jtag::Shift { tdi, count, leaves } => self.clocks(fixture, count, |index| {
                (leaves && index + 1 == count, tdi >> index & 1 == 1)
            }),
        }
    }

    /// Clocks the ports that answer now, with what `drive` says of TMS and TDI. A chain that came or
    /// went begins anew.
    fn clocks(
        &mut self,
        fixture: &impl Fixture,
        count: u32,
        drive: impl Fn(u32) -> (bool, bool),
    ) -> u32 {
        let taps = fixture.taps();
        if !self.chain.is_of(taps) {
            self.chain = Chain::new(taps);
        }
        (0..count).fold(0, |value, index| {
            let (tms, tdi) = drive(index);
            value | u32::from(self.chain.clock(tms, tdi)) << index
        })
    }

    /// Counts a block; whether `slip` happens to this one.
    fn slips_now(&mut self, slip: Slip, length: usize) -> bool {
        let Some((slips, seen)) = &mut self.slips else { return false };
        if slips.slip != slip || length < SLIP_BYTES_MIN {
            return false;
        }
        *seen += 1;
        let now = *seen >= slips.nth;
        if now {
            *seen = 0;
            if !slips.every {
                self.slips = None;
            }
        }
        now
    }
}

fn flip(block: &mut [u8]) {
    let middle = block.len() / 2;
    if let Some(byte) = block.get_mut(middle) {
        *byte ^= SLIP_MASK;
    }
}

fn done(result: Result<(), ApFault>) -> Result<Answer, Refusal> {
    result.map(|()| Answer::Value(0)).map_err(|ApFault| Refusal::Fault)
}
