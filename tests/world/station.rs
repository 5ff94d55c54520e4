//! The station: enrolled, started, looked at through its screen API.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Board, Person, Programs, process::Program, until};

const LISTENING_S_MAX: u64 = 30;
/// The page's cookie, as the daemon names it.
const COOKIE: &str = "flashline_screen";

/// A station with its own folder and one slot per board.
#[derive(Debug)]
pub struct Station {
    programs: Programs,
    name: String,
    folder: PathBuf,
    logs: PathBuf,
    /// What `enrol` said: tenant, root words, the key R&D certifies.
    enrolled: Value,
    program: Option<Program>,
    screen: Option<Screen>,
}

/// A screen that has entered.
#[derive(Debug)]
struct Screen {
    base: String,
    cookie: String,
}

impl Station {
    /// Enrols a station with a code from the hub. Does not start it.
    ///
    /// # Errors
    /// When `station-daemon enrol` refuses.
    pub fn enrol(programs: &Programs, folder: &Path, name: &str, code: &str) -> Result<Self> {
        Self::enrol_with(programs, folder, name, code, &[])
    }

    /// The same, with more words on the command line.
    ///
    /// # Errors
    /// When `station-daemon enrol` refuses.
    pub fn enrol_with(
        programs: &Programs,
        folder: &Path,
        name: &str,
        code: &str,
        more: &[&str],
    ) -> Result<Self> {
        Self::join(programs, folder, name, &[&["--code", code], more].concat())
    }

    /// The same with the code that a stick holds.
    ///
    /// # Errors
    /// When `station-daemon enrol` refuses.
    pub fn enrol_from_stick(
        programs: &Programs,
        folder: &Path,
        name: &str,
        stick: &Path,
    ) -> Result<Self> {
        Self::join(programs, folder, name, &["--stick", &stick.to_string_lossy()])
    }

    fn join(programs: &Programs, folder: &Path, name: &str, how: &[&str]) -> Result<Self> {
        let data = folder.join(name);
        let place = data.to_string_lossy();
        let words = [&["enrol", "--data", &place], how].concat();
        let said = programs.run("station-daemon", &words)?;
        let enrolled = serde_json::from_str(&said)
            .with_context(|| format!("`station-daemon enrol` answered {said:?}"))?;
        Ok(Self {
            programs: programs.clone(),
            name: name.to_owned(),
            folder: data,
            logs: folder.to_owned(),
            enrolled,
            program: None,
            screen: None,
        })
    }

    /// Starts the daemon with one slot per board, numbered from 1, and waits until it listens.
    ///
    /// # Errors
    /// When it ends or does not listen.
    pub fn start(&mut self, boards: &[Board], page: Option<&Path>) -> Result<()> {
        let invitation = self.launch(boards, page)?;
        self.screen = Some(enter(&invitation)?);
        Ok(())
    }

    /// Starts a daemon without slots whose screen nobody can reach: it is in another network.
    ///
    /// # Errors
    /// When it ends or does not listen.
    pub fn start_unseen(&mut self) -> Result<()> {
        self.launch(&[], None).map(drop)
    }

    fn launch(&mut self, boards: &[Board], page: Option<&Path>) -> Result<String> {
        let config = self.folder.with_extension("toml");
        let mut text = format!("data = {:?}\nlisten = \"127.0.0.1:0\"\n", self.folder);
        text.push_str(&format!("sticks = [{:?}]\n", self.stick_folder()));
        if let Some(page) = page {
            text.push_str(&format!("ui = {page:?}\n"));
        }
        for (number, board) in (1..).zip(boards) {
            text.push_str(&format!(
                "\n[[slot]]\nnumber = {number}\nselector = {:?}\nuart = \"tcp:{}\"\n",
                board.selector(),
                board.uart
            ));
        }
        File::create(&config)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("writing {}", config.display()))?;
        let mut program = Program::start(
            &self.name,
            self.programs.command("station-daemon").arg("run").arg("--config").arg(&config),
            &self.logs,
        )?;
        let invitation = until(Duration::from_secs(LISTENING_S_MAX), || {
            program.alive()?;
            Ok(self.invitation())
        })
        .context("waiting for the station to listen")?;
        self.program = Some(program);
        Ok(invitation)
    }

    /// Stops the daemon and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run or had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.screen = None;
        let stopped = self.program.take().context("the station does not run")?.stop();
        match fs::remove_file(self.invitation_file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("clearing the used invitation")
            }
            _ => stopped,
        }
    }

    /// Where this world mounts its USB stick.
    #[must_use]
    pub fn stick_folder(&self) -> PathBuf {
        self.folder.with_file_name("stick")
    }

    /// Writes or reads the stick while the daemon does not run.
    ///
    /// # Errors
    /// When it is refused.
    pub fn stick(&self, verb: &str) -> Result<Value> {
        let (data, stick) = (self.folder.to_string_lossy(), self.stick_folder());
        let words = ["stick", verb, "--data", &data, "--stick", &stick.to_string_lossy()];
        let said = self.programs.run("station-daemon", &words)?;
        serde_json::from_str(&said).with_context(|| format!("a stick was answered with {said:?}"))
    }

    /// Has the running daemon write or read a stick, as lead 7.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn carry(&self, verb: &str, stick: &Path) -> Result<Value> {
        let screen = self.screen()?;
        ureq::post(format!("{}/api/stick", screen.base))
            .header("Cookie", &screen.cookie)
            .send_json(json!({ "verb": verb, "folder": stick }))
            .and_then(|mut answer| answer.body_mut().read_json())
            .with_context(|| format!("having a stick carried: {verb}"))
    }

    /// Fails when the daemon should run and has ended.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn alive(&mut self) -> Result<()> {
        self.program.as_mut().map_or(Ok(()), Program::alive)
    }

    /// The number of the daemon's process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.program.as_ref().map(Program::id)
    }

    /// What the station is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder the station keeps everything in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The station's key in hex, as it said at enrolment.
    ///
    /// # Errors
    /// When it said none.
    pub fn key(&self) -> Result<&str> {
        self.enrolled["journal_key"].as_str().context("the station named no key at enrolment")
    }

    /// The short words of the tenant's root, for comparison by eye.
    #[must_use]
    pub fn root_words(&self) -> String {
        self.enrolled["root_words"].to_string()
    }

    /// An address that lets one more browser in, once.
    ///
    /// # Errors
    /// When the daemon offers none.
    pub fn kiosk_address(&self) -> Result<String> {
        until(Duration::from_secs(LISTENING_S_MAX), || Ok(self.invitation()))
            .context("waiting for an invitation to the kiosk page")
    }

    /// The whole view, as the kiosk page sees it.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn view(&self) -> Result<Value> {
        let screen = self.screen()?;
        ureq::get(format!("{}/api/view", screen.base))
            .header("Cookie", &screen.cookie)
            .call()
            .and_then(|mut answer| answer.body_mut().read_json())
            .context("asking the station for its view")
    }

    /// Tells the station what a scanner read.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn scan(&self, text: &str) -> Result<Value> {
        let screen = self.screen()?;
        ureq::post(format!("{}/api/scan", screen.base))
            .header("Cookie", &screen.cookie)
            .send_json(json!({ "text": text }))
            .and_then(|mut answer| answer.body_mut().read_json())
            .with_context(|| format!("scanning {text:?}"))
    }

    /// Enters the PIN of who is in.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn enter_pin(&self, pin: &str) -> Result<Value> {
        let screen = self.screen()?;
        ureq::post(format!("{}/api/operator/pin", screen.base))
            .header("Cookie", &screen.cookie)
            .send_json(json!({ "pin": pin }))
            .and_then(|mut answer| answer.body_mut().read_json())
            .context("entering a PIN")
    }

    /// Has somebody badge in, and proves them where they have a PIN.
    ///
    /// # Errors
    /// When the station does not let them in.
    pub fn badge_in(&self, person: &Person) -> Result<()> {
        let answer = self.scan(&format!("OP:{}", person.badge))?;
        ensure!(answer["accepted"] == true, "operator {}: {answer}", person.number);
        self.prove(person)
    }

    /// Proves somebody who has badged in, where they have a PIN.
    ///
    /// # Errors
    /// When the station does not believe them.
    pub fn prove(&self, person: &Person) -> Result<()> {
        let Some(pin) = person.pin else { return Ok(()) };
        let answer = self.enter_pin(pin)?;
        ensure!(answer["accepted"] == true, "operator {}: {answer}", person.number);
        Ok(())
    }

    /// Touches a slot's tile: a board is in here. Whether the station found one.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn look(&self, slot: usize) -> Result<bool> {
        let screen = self.screen()?;
        let answer: Value = ureq::post(format!("{}/api/slots/{slot}/look", screen.base))
            .header("Cookie", &screen.cookie)
            .send_empty()
            .and_then(|mut answer| answer.body_mut().read_json())
            .with_context(|| format!("touching the tile of slot {slot}"))?;
        answer["found"].as_bool().context("an answer that does not say whether a board was found")
    }

    fn screen(&self) -> Result<&Screen> {
        self.screen.as_ref().context("the station does not run")
    }

    fn invitation_file(&self) -> PathBuf {
        self.folder.join("run/enter")
    }

    fn invitation(&self) -> Option<String> {
        let line = fs::read_to_string(self.invitation_file()).ok()?;
        line.ends_with('\n').then(|| line.trim().to_owned())
    }
}

/// Follows an invitation as a browser does, and keeps the cookie.
fn enter(invitation: &str) -> Result<Screen> {
    let (base, _) = invitation.split_once("/enter").context("an invitation without a door")?;
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let answer = agent.get(invitation).call().context("entering the kiosk page")?;
    let cookie = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find(|value| value.starts_with(COOKIE))
        .and_then(|value| value.split(';').next())
        .context("the station let the screen in without a cookie")?;
    Ok(Screen { base: base.to_owned(), cookie: cookie.to_owned() })
}
