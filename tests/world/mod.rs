//! A small world on one machine: R&D's folder, a hub, a station and simulated boards.
//!
//! Owns the order in which the real programs are started and told about each other, as a customer
//! would do it by hand. Knows nothing of their insides: command lines, sockets and files only.
//! Everything it writes lies in one fresh folder, and nothing it starts outlives it.

mod board;
mod hub;
mod mode;
mod process;
mod research;
mod station;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

pub use board::{Board, BoardKind};
pub use hub::Hub;
pub use mode::{Mode, pool_code, pool_key};
pub use process::{Program, until};
pub use research::{Recipe, Release, Research};
pub use station::Station;

/// The demo's tenant.
pub const TENANT: &str = "acme";
/// The demo's product; the demo firmware says the same name.
pub const PRODUCT: &str = "demo-lamp";

/// Where the demo recipe puts the activation block.
pub const BLOCK_ADDRESS: u32 = 0x0007_F000;
/// The demo's work order.
pub const ORDER: &str = "WO-4711";

/// A person of the demo's line.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// Their number in records.
    pub number: u32,
    /// `worker` or `lead`.
    pub role: &'static str,
    /// What a scanner reads behind `OP:`.
    pub badge: &'static str,
    /// Their PIN, if they have one. Public, and worth nothing beyond the demo.
    pub pin: Option<&'static str>,
}

/// The worker of the demo's line.
pub const WORKER: Person = Person { number: 7, role: "worker", badge: "DEMO-0007", pin: None };
/// The lead of the demo's line.
pub const LEAD: Person =
    Person { number: 12, role: "lead", badge: "DEMO-0012", pin: Some("271828") };

/// How large a world to set up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Boards, and slots for them.
    pub boards: u32,
    /// Units the work order asks for, all of them this station's portion.
    pub quantity: u32,
    /// The image file for the chip.
    pub image: PathBuf,
    /// The release's version.
    pub version: String,
    /// What is done to a board; the demo lamp's recipe when absent.
    pub recipe: Option<Recipe>,
    /// How the demo lamp is activated, where `recipe` is absent.
    pub mode: Mode,
    /// The built kiosk page; the daemon's own when absent.
    pub page: Option<PathBuf>,
    /// What the boards are.
    pub kind: BoardKind,
    /// Whether the line keeps people: [`WORKER`] and [`LEAD`].
    pub people: bool,
}

impl Plan {
    /// `boards` simulated boards, an order for ten units of each, and version 1.0.0 of the demo
    /// recipe around one image file.
    #[must_use]
    pub fn new(boards: u32, image: &Path) -> Self {
        Self {
            boards,
            quantity: boards * 10,
            image: image.to_owned(),
            version: "1.0.0".to_owned(),
            recipe: None,
            mode: Mode::Ed25519,
            page: None,
            kind: BoardKind::Simulated,
            people: false,
        }
    }
}

/// The whole house, running.
#[derive(Debug)]
pub struct World {
    /// R&D's folder.
    pub research: Research,
    /// The hub.
    pub hub: Hub,
    /// The only station.
    pub station: Station,
    /// The boards, outside the fixture; board *n* belongs to slot *n*.
    pub boards: Vec<Board>,
    /// What was published.
    pub release: Release,
    /// The enrolment code the station has used.
    pub enrolment_code: String,
    plan: Plan,
    programs: Programs,
    folder: PathBuf,
}

/// A journal that was checked offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedJournal {
    /// Records in it.
    pub records: u64,
}

impl World {
    /// Starts a hub, publishes a release, enrols a station, gives it an order and makes the
    /// boards. `say` hears one line per step.
    ///
    /// # Errors
    /// When any of the programs refuses; what they wrote lies in `folder`.
    pub fn set_up(
        programs: &Programs,
        folder: &Path,
        plan: Plan,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let mut hub = Hub::make(programs, folder)?;
        let research = Research::begin(programs, &folder.join("research"), &hub.keys()?)?;
        hub.start()?;
        say("the hub runs; R&D has made its signing root");

        let recipe = match &plan.recipe {
            Some(recipe) => recipe.clone(),
            // Twice as many credentials as this station is lent: others have boards too.
            None => plan.mode.prepare(programs, &hub, folder, plan.quantity * 2)?,
        };
        let release = research.pack(&plan.version, &recipe, &plan.image)?;
        hub.publish(&release)?;
        say(&format!("release {PRODUCT} {} is sealed, signed and published", plan.version));

        let code = hub.enrolment_code(STATION, LINE)?;
        let mut station = Station::enrol(programs, folder, STATION, &code)?;
        say(&format!("station {STATION} is enrolled; root words {}", station.root_words()));

        if plan.people {
            for person in [WORKER, LEAD] {
                hub.add_person(&person, LINE)?;
            }
            say("the line has a worker and a lead");
        }
        hub.open_order(ORDER, PRODUCT, &release, plan.quantity)?;
        let certificate = research.certify(&hub.station_key(STATION)?, plan.quantity)?;
        hub.grant(STATION, ORDER, plan.quantity, &certificate)?;
        say(&format!("work order {ORDER} is open: {} units for this station", plan.quantity));

        let boards = (1..=plan.boards)
            .map(|number| Board::make(programs, plan.kind, number, folder))
            .collect::<Result<Vec<_>>>()?;
        station.start(&boards, plan.page.as_deref())?;
        say(&format!("the station runs with {} empty slots", plan.boards));
        let world = Self {
            research,
            hub,
            station,
            boards,
            release,
            enrolment_code: code,
            plan,
            programs: programs.clone(),
            folder: folder.to_owned(),
        };
        until(READY_WITHIN, || {
            let view = world.station.view()?;
            let people = view["people"]["kept"] == world.plan.people;
            Ok((view["order"]["number"] == ORDER && people).then_some(()))
        })
        .context("waiting for the order to arrive at the station")?;
        let shelved = format!("\"manifest_sha256\":\"{}\"", world.release.manifest_sha256);
        until(READY_WITHIN, || {
            let journal = world.hub.journal(STATION)?;
            let on_the_shelf = journal["records"].as_array().is_some_and(|records| {
                records.iter().filter_map(serde_json::Value::as_str).any(|record| {
                    record.contains("\"event\":\"release_shelved\"") && record.contains(&shelved)
                })
            });
            Ok(on_the_shelf.then_some(()))
        })
        .context("waiting for the release to lie on the station's shelf")?;
        say("lease, order and sealed release have arrived at the station");
        Ok(world)
    }

    /// Stops the daemon and starts it again on what it kept.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart_station(&mut self) -> Result<()> {
        self.station.stop()?;
        self.restart_after_stop()
    }

    /// Starts a daemon that was stopped.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart_after_stop(&mut self) -> Result<()> {
        self.station.start(&self.boards, self.plan.page.as_deref())
    }

    /// Waits until one slot shows one of `states`; gives its tile.
    ///
    /// # Errors
    /// When it takes longer than `limit`, or a program ends meanwhile; names the last tile.
    pub fn slot_becomes(
        &mut self,
        number: usize,
        states: &[&str],
        limit: Duration,
    ) -> Result<serde_json::Value> {
        self.tile_where(number, limit, &format!("be {states:?}"), |tile| {
            tile["state"].as_str().is_some_and(|state| states.contains(&state))
        })
    }

    /// Waits until one slot shows the trouble with this code; gives its tile.
    ///
    /// # Errors
    /// As [`World::slot_becomes`].
    pub fn slot_with_trouble(
        &mut self,
        number: usize,
        code: &str,
        limit: Duration,
    ) -> Result<serde_json::Value> {
        self.tile_where(number, limit, &format!("show {code}"), |tile| {
            tile["trouble"]["code"] == code
        })
    }

    fn tile_where(
        &mut self,
        number: usize,
        limit: Duration,
        what: &str,
        holds: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<serde_json::Value> {
        let mut last = serde_json::Value::Null;
        until(limit, || {
            self.all_alive()?;
            last = self.station.view()?["slots"][number - 1].take();
            Ok(holds(&last).then(|| last.clone()))
        })
        .with_context(|| format!("waiting for slot {number} to {what}; last {last}"))
    }

    /// Waits until the hub has acknowledged every record of the station.
    ///
    /// # Errors
    /// When it takes longer than half a minute.
    pub fn all_records_arrive(&self) -> Result<()> {
        until(READY_WITHIN, || {
            let hub = self.station.view()?["hub"].take();
            Ok((hub["state"] == "online" && hub["unsynced"] == 0).then_some(()))
        })
        .context("waiting for every record to arrive at the hub")
    }

    /// Fails when a program that should run has ended.
    ///
    /// # Errors
    /// Names the program and its log.
    pub fn all_alive(&mut self) -> Result<()> {
        self.hub.alive()?;
        self.station.alive()?;
        self.boards.iter_mut().try_for_each(Board::alive)
    }

    /// Exports the station's journal from the hub and checks it with the offline verifier.
    ///
    /// # Errors
    /// When the hub does not answer, or the journal does not hold together.
    pub fn verify_journal(&self) -> Result<CheckedJournal> {
        let file = self.folder.join("journal-export.jsonl");
        self.hub.export_journal(self.station.name(), &file)?;
        let journal = self.hub.journal(self.station.name())?;
        let text = |what: &str| {
            journal[what].as_str().with_context(|| format!("a journal without {what}"))
        };
        let said = self.programs.run(
            "station-daemon",
            &[
                "audit",
                "verify",
                &file.to_string_lossy(),
                "--station-key",
                self.station.key()?,
                "--hub-key",
                &format!("{}={}", text("hub_cosign_name")?, text("hub_cosign_key")?),
            ],
        )?;
        let report: serde_json::Value = serde_json::from_str(&said)
            .with_context(|| format!("the offline verifier answered {said:?}"))?;
        ensure!(report["complete"] == true, "the journal's export is not complete: {report}");
        let records = report["records"].as_u64().context("a report without a count")?;
        Ok(CheckedJournal { records })
    }
}

/// The line of the demo.
pub const LINE: &str = "line-1";
/// The station's name.
pub const STATION: &str = "station-1";
/// How long an order may take from the hub to the screen.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The folder our programs lie in.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    /// The network namespace they run in, if not this machine's own.
    network: Option<String>,
}

impl Programs {
    /// Programs in a folder that cargo built them into.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), network: None }
    }

    /// Programs beside the test that runs: the whole workspace was built into one folder.
    ///
    /// # Errors
    /// When the station daemon does not lie there: `cargo build --workspace` makes it.
    pub fn beside_this_test() -> Result<Self> {
        let test = env::current_exe().context("finding this test's own program")?;
        let folder = test
            .parent()
            .and_then(Path::parent)
            .context("a test lies in the `deps` folder of the build")?;
        ensure!(
            folder.join("station-daemon").is_file(),
            "the programs are not built; run `cargo build --workspace` first"
        );
        Ok(Self::in_folder(folder))
    }

    /// The same programs inside a network namespace. Needs root.
    #[must_use]
    pub fn inside(&self, network: &str) -> Self {
        Self { network: Some(network.to_owned()), ..self.clone() }
    }

    /// A command that runs one program.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let program = self.folder.join(program);
        let Some(network) = &self.network else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", network]).arg(program);
        command
    }

    /// Runs one program to its end and gives what it wrote.
    ///
    /// # Errors
    /// When it does not start or ends badly; the error holds what it said.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String> {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .with_context(|| format!("starting {program}"))?;
        let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        ensure!(
            output.status.success(),
            "`{program} {}` ended with {}: {}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).with_context(|| format!("reading what {program} wrote"))
    }
}
