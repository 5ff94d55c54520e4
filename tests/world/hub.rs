//! The hub: made, started, stopped, and asked through its administrator's verbs.

use std::{
    fs::File,
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Person, Programs, Release, STATION, TENANT, process::Program, until};

const ANSWER_S_MAX: u64 = 30;

/// A hub with its own folder.
#[derive(Debug)]
pub struct Hub {
    programs: Programs,
    folder: PathBuf,
    logs: PathBuf,
    listen: Listen,
    made: Value,
    program: Option<Program>,
}

/// Where it listens; the ports the system gave are kept over a restart.
#[derive(Debug, Clone)]
struct Listen {
    station: String,
    admin: String,
}

impl Hub {
    /// Makes a hub: its keys, its database, its CA. Does not start it.
    ///
    /// # Errors
    /// When `flashline-hub init` refuses.
    pub fn make(programs: &Programs, folder: &Path) -> Result<Self> {
        let listen = Listen { station: "127.0.0.1:0".into(), admin: "127.0.0.1:0".into() };
        Self::make_with(programs, folder, listen, &[])
    }

    fn make_with(
        programs: &Programs,
        folder: &Path,
        listen: Listen,
        more: &[&str],
    ) -> Result<Self> {
        let mut hub = Self {
            programs: programs.clone(),
            folder: folder.join("hub"),
            logs: folder.to_owned(),
            listen,
            made: Value::Null,
            program: None,
        };
        let (data, secret) = (hub.data(), hub.secret());
        let words = ["init", "--data", &data, "--secret-file", &secret, "--tenant", TENANT];
        let made = programs.run("flashline-hub", &[&words[..], more].concat())?;
        hub.made = serde_json::from_str(&made)
            .with_context(|| format!("`flashline-hub init` answered {made:?}"))?;
        Ok(hub)
    }

    /// The same for a hub that stations reach at this address of the machine.
    ///
    /// # Errors
    /// When `flashline-hub init` refuses.
    pub fn make_at(programs: &Programs, folder: &Path, address: &str) -> Result<Self> {
        let listen = Listen { station: format!("{address}:0"), admin: "127.0.0.1:0".to_owned() };
        Self::make_with(programs, folder, listen, &["--name", address])
    }

    /// Starts the hub and waits until it answers.
    ///
    /// # Errors
    /// When it does not start or does not say where it listens.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.program.is_none(), "the hub runs already");
        let mut program = Program::start(
            "hub",
            self.programs
                .command("flashline-hub")
                .args(["serve", "--data", &self.data(), "--secret-file", &self.secret()])
                .arg("--allow-simulated-boards")
                .args(["--station-listen", &self.listen.station])
                .args(["--admin-listen", &self.listen.admin]),
            &self.logs,
        )?;
        let announced = program.announcement()?;
        let address = |what: &str| {
            announced[what]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("the hub does not say where its {what} listener is"))
        };
        self.listen = Listen { station: address("station")?, admin: address("admin")? };
        self.program = Some(program);
        until(Duration::from_secs(ANSWER_S_MAX), || Ok(self.answers().then_some(())))
            .context("waiting for the hub to answer")
    }

    /// Stops the hub and waits until it is gone.
    ///
    /// # Errors
    /// When it runs not at all, or does not end when asked.
    pub fn stop(&mut self) -> Result<()> {
        self.program.take().context("the hub does not run")?.stop()
    }

    /// Whether anything takes connections where stations reach the hub.
    #[must_use]
    pub fn answers(&self) -> bool {
        TcpStream::connect(&self.listen.station).is_ok()
    }

    /// Fails when the hub should run and has ended.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn alive(&mut self) -> Result<()> {
        self.program.as_mut().map_or(Ok(()), Program::alive)
    }

    /// The file of the hub's public keys, which R&D's root names.
    ///
    /// # Errors
    /// When `flashline-hub init` named none.
    pub fn keys(&self) -> Result<PathBuf> {
        Ok(PathBuf::from(self.made_file("hub_keys")?))
    }

    /// `host:port` where stations reach it.
    #[must_use]
    pub fn station_address(&self) -> &str {
        &self.listen.station
    }

    /// The hub's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that holds the secret under which the hub's keys are sealed.
    #[must_use]
    pub fn secret_file(&self) -> PathBuf {
        self.folder.with_extension("secret")
    }

    /// Takes a bundle from R&D.
    ///
    /// # Errors
    /// When the hub refuses it.
    pub fn publish(&self, release: &Release) -> Result<()> {
        self.ask(&["publish", &release.bundle.to_string_lossy()]).map(drop)
    }

    /// Takes documents without a release from R&D.
    ///
    /// # Errors
    /// When the hub refuses them.
    pub fn take_documents(&self, folder: &Path) -> Result<()> {
        self.ask(&["publish", &folder.to_string_lossy()]).map(drop)
    }

    /// A one-use enrolment code for a new station.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn enrolment_code(&self, station: &str, line: &str) -> Result<String> {
        let made = self.ask_json(&["station", "code", "--station", station, "--line", line])?;
        made["code"].as_str().map(str::to_owned).context("the hub gave no enrolment code")
    }

    /// The same, put on a stick.
    ///
    /// # Errors
    /// When the hub or the stick refuses.
    pub fn enrolment_code_on_stick(&self, station: &str, line: &str, stick: &Path) -> Result<()> {
        let stick = stick.to_string_lossy();
        self.ask(&["station", "code", "--station", station, "--line", line, "--stick", &stick])
            .map(drop)
    }

    /// The station's activation key in hex, for R&D to certify.
    ///
    /// # Errors
    /// When the hub knows no such station.
    pub fn station_key(&self, station: &str) -> Result<String> {
        let stations = self.ask_json(&["station", "list"])?;
        list(&stations)?
            .iter()
            .find(|entry| entry["name"] == station)
            .and_then(|entry| entry["journal_key"].as_str())
            .map(str::to_owned)
            .with_context(|| format!("the hub knows no station {station}: {stations}"))
    }

    /// Adds a person to a line. Badge and PIN go by files, as they must.
    ///
    /// # Errors
    /// When the hub refuses, or a file cannot be written.
    pub fn add_person(&self, person: &Person, line: &str) -> Result<()> {
        let file = |what: &str, text: &str| {
            let path = self.folder.with_extension(format!("{what}-{}", person.number));
            File::create(&path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| format!("writing {}", path.display()))?;
            Ok::<_, anyhow::Error>(path.to_string_lossy().into_owned())
        };
        let number = person.number.to_string();
        let badge = file("badge", person.badge)?;
        let mut words = vec!["person", "add", "--number", &number, "--role", person.role];
        words.extend(["--line", line, "--badge-file", &badge]);
        let pin = person.pin.map(|pin| file("pin", pin)).transpose()?;
        if let Some(pin) = &pin {
            words.extend(["--pin-file", pin]);
        }
        self.ask(&words).map(drop)
    }

    /// Opens a work order for a release.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn open_order(
        &self,
        number: &str,
        product: &str,
        release: &Release,
        quantity: u32,
    ) -> Result<()> {
        self.ask(&[
            "order",
            "create",
            "--number",
            number,
            "--product",
            product,
            "--manifest",
            &release.manifest_sha256,
            "--quantity",
            &quantity.to_string(),
        ])
        .map(drop)
    }

    /// Gives a station its portion of an order, with the certificate that lets it activate.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn grant(
        &self,
        station: &str,
        order: &str,
        quantity: u32,
        certificate: &str,
    ) -> Result<()> {
        self.ask(&[
            "portion",
            "grant",
            "--station",
            station,
            "--order",
            order,
            "--quantity",
            &quantity.to_string(),
            "--allotment-certificate",
            certificate,
        ])
        .map(drop)
    }

    /// Gives a station its portion of an order that activates nothing.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn grant_plain(&self, station: &str, order: &str, quantity: u32) -> Result<()> {
        let quantity = quantity.to_string();
        let words = ["--station", station, "--order", order, "--quantity", &quantity];
        self.ask(&[&["portion", "grant"], &words[..]].concat()).map(drop)
    }

    /// Imports a file of credentials.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn import_pool(&self, product: &str, schema: &Path, file: &Path) -> Result<()> {
        let (schema, file) = (schema.to_string_lossy(), file.to_string_lossy());
        self.ask(&["pool", "import", "--product", product, "--schema", &schema, &file]).map(drop)
    }

    /// How the pools stand.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub fn pools(&self) -> Result<Vec<Value>> {
        let pools = self.ask_json(&["pool", "list"])?;
        list(&pools).cloned()
    }

    /// Hands over a product's secret; gives its SHA-256 in hex.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn mac_secret(&self, product: &str, file: &Path) -> Result<String> {
        let file = file.to_string_lossy();
        let taken = self.ask_json(&["mac-secret", "--product", product, &file])?;
        taken["secret_sha256"].as_str().map(str::to_owned).context("the hub named no digest")
    }

    /// What about units must be shown to people.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub fn conflicts(&self) -> Result<Vec<Value>> {
        let conflicts = self.ask_json(&["conflicts"])?;
        list(&conflicts).cloned()
    }

    /// Scraps a unit.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn scrap(&self, product: &str, family: &str, uid: &str) -> Result<()> {
        let words = ["unit", "scrap", "--product", product, "--family", family, "--uid", uid];
        self.ask(&words).map(drop)
    }

    /// Has the hub read what stations wrote on a stick, or write what it has for them.
    ///
    /// # Errors
    /// When the stick or the hub refuses.
    pub fn stick(&self, verb: &str, stick: &Path) -> Result<Value> {
        let stick = stick.to_string_lossy();
        self.ask_json(&["stick", verb, "--stick", &stick, "--tenant", TENANT, "--station", STATION])
    }

    /// The units the hub knows, from verified records only.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub fn units(&self) -> Result<Vec<Value>> {
        let units = self.ask_json(&["units"])?;
        list(&units).cloned()
    }

    /// A station's journal as the hub holds it: records, cosigned head and the keys to check them.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub fn journal(&self, station: &str) -> Result<Value> {
        self.ask_json(&["journal", station])
    }

    /// Writes a station's journal as an export that can be checked offline.
    ///
    /// # Errors
    /// When the hub does not answer or the file cannot be written.
    pub fn export_journal(&self, station: &str, file: &Path) -> Result<()> {
        let export = self.ask(&["journal", station, "--export"])?;
        File::create(file)
            .and_then(|mut to| to.write_all(export.as_bytes()))
            .with_context(|| format!("writing {}", file.display()))
    }

    fn ask_json(&self, verb: &[&str]) -> Result<Value> {
        let answer = self.ask(verb)?;
        serde_json::from_str(&answer)
            .with_context(|| format!("`flashline-hub {}` answered {answer:?}", verb.join(" ")))
    }

    fn ask(&self, verb: &[&str]) -> Result<String> {
        let (ca, token) = (self.made_file("ca")?, self.made_file("token_file")?);
        let mut words = verb.to_vec();
        words.extend(["--hub", &self.listen.admin, "--ca", &ca, "--token-file", &token]);
        self.programs.run("flashline-hub", &words)
    }

    fn made_file(&self, what: &str) -> Result<String> {
        self.made[what]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("`flashline-hub init` named no {what}"))
    }

    fn data(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }

    fn secret(&self) -> String {
        self.secret_file().to_string_lossy().into_owned()
    }
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("the hub gave no list: {value}"))
}
