//! The running daemon: everything started in order, and ended in order.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flash::Port;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::figures::FiguresSource;
use crate::api::guard::Guard;
use crate::api::handover::Handover;
use crate::api::preflight::Preflight;
use crate::api::stick::{StickAct, StickDone, StickVerb};
use crate::api::view::{
    ActAnswer, ApprovalAnswer, Disposition, DispositionAnswer, OpenAnswer, ScanAnswer, StationView,
    TeachAnswer, Wish,
};
use crate::api::{Api, Desk as ScreenDesk, router};
use crate::bindings::Bindings;
use crate::config::Config;
use crate::desk::{Desk, DeskError, DeskHandle, DeskSetup, HubDesk, Opened, halted_view};
use crate::keys::StationSecret;
use crate::preflight::{self, Roots, StationFacts};
use crate::scanners::Scanners;
use crate::slots::RunningSlot;
use crate::stick::{self, CarryError};
use crate::store::Store;
use crate::teach::{self, Lists};
use crate::trouble::{TroubleCode, chain};

/// How long running visits may take to end once the daemon is asked to stop.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A folder or file of the station cannot be made or opened.
    #[error("preparing the station's folder")]
    Folder(#[source] std::io::Error),
    /// Another process of this program uses the folder.
    #[error("another program works with this station's folder")]
    InUse,
    /// The screen API cannot listen.
    #[error("listening for the screen")]
    Listen(#[source] std::io::Error),
    /// A thread could not be started.
    #[error("starting a thread")]
    Thread(#[source] std::io::Error),
    /// The thread that keeps the evidence ended; the service manager starts the station again from
    /// what was saved.
    #[error("keeping the station's desk open")]
    Desk,
    /// The station secret.
    #[error("opening the station secret")]
    Secret(#[source] crate::keys::KeyError),
}

/// Locks the station's folder for this process, for as long as the file lives.
///
/// # Errors
/// [`RunError::InUse`] when another process has it.
pub fn lock_folder(data: &Path) -> Result<File, RunError> {
    std::fs::create_dir_all(data.join("run")).map_err(RunError::Folder)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data.join("station.lock"))
        .map_err(RunError::Folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(RunError::InUse),
        Err(std::fs::TryLockError::Error(error)) => Err(RunError::Folder(error)),
    }
}

impl From<&DeskError> for TroubleCode {
    fn from(error: &DeskError) -> Self {
        match error {
            DeskError::Store(error) => Self::from(error),
            DeskError::Keys(error) => Self::from(error),
            DeskError::Journal(crate::journal::JournalError::Store(error)) => Self::from(error),
            DeskError::Journal(_) => Self::StoreDamaged,
            DeskError::Root(_) => Self::ReleaseNotTrusted,
        }
    }
}

/// How long a teach-in waits for something to be plugged in.
pub const TEACH_WITHIN: Duration = Duration::from_secs(30);

/// What a screen may tell the station.
struct Screens {
    desk: DeskHandle,
    ports: Arc<Bindings>,
}

/// Gives every slot the ports it has by configuration and teach-in; each looks at its sockets then.
fn give_ports(desk: &DeskHandle, ports: &Bindings) -> Result<(), TroubleCode> {
    let taught = desk.ask(Desk::taught).map_err(|_| TroubleCode::Internal)??;
    for slot in ports.rebind(taught, &Lists::default()) {
        desk.tell(move |desk| desk.give_ports(slot));
    }
    Ok(())
}

/// The findings about this machine and, where its records are open, the station.
fn look_over(config: &Config, station: Option<StationFacts>) -> Preflight {
    Preflight::of(preflight::judge(&preflight::gather(&Roots::default(), config, station)))
}

impl Screens {
    fn carry_stick(&self, act: &StickAct, by: u32) -> Result<StickDone, CarryError> {
        let mount = stick::place(Path::new(&act.folder), &self.ports.config().sticks)?;
        let by = Some(by);
        let counted = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(match act.verb {
            StickVerb::Write => {
                let written = stick::write(&self.desk, &mount, by)?;
                let word = "written".to_owned();
                let documents = counted(written.letters);
                StickDone { accepted: true, word, documents, ..StickDone::default() }
            }
            StickVerb::Read => {
                let taken = stick::read(&self.desk, &mount, by)?;
                StickDone {
                    accepted: true,
                    word: "read".to_owned(),
                    code: None,
                    documents: counted(taken.documents),
                    chunks: counted(taken.chunks),
                    time: taken.time,
                }
            }
        })
    }
}

impl ScreenDesk for Screens {
    fn scan(&self, text: &str) -> ScanAnswer {
        let (text, came) = (text.to_owned(), Instant::now());
        self.desk
            .ask(move |desk| desk.scan_once(&text, came))
            .unwrap_or_else(|_| ScanAnswer::nobody("station_stopping"))
    }

    fn look(&self, slot: u32) -> Option<bool> {
        self.desk.look_into(slot)
    }

    fn open(&self, slot: u32) -> Option<OpenAnswer> {
        let (open, word) = match self.desk.open_slot(slot) {
            Opened::Now => (true, "opened"),
            Opened::Already => (true, "not_closed"),
            Opened::NotRecorded => (false, "not_recorded"),
            Opened::Refused(refusal) => (false, refusal.word()),
            Opened::NoSlot => return None,
        };
        Some(OpenAnswer { open, word: word.to_owned() })
    }

    fn stick(&self, act: &StickAct) -> StickDone {
        let by = match self.desk.ask(Desk::who_carries) {
            Ok(Ok(by)) => by,
            Ok(Err(refusal)) => {
                return StickDone { word: refusal.word().to_owned(), ..StickDone::default() };
            }
            Err(_) => return StickDone { word: "not_recorded".into(), ..StickDone::default() },
        };
        match self.carry_stick(act, by) {
            Ok(done) => done,
            Err(error) => {
                let code = TroubleCode::from(&error);
                let text = chain(&error);
                tracing::warn!(code = code.text(), error = text, "a stick was not carried");
                let word = error.word().to_owned();
                StickDone { word, code: Some(code), ..StickDone::default() }
            }
        }
    }

    fn dispose(&self, disposition: &Disposition) -> DispositionAnswer {
        let disposition = disposition.clone();
        let taken = self.desk.ask(move |desk| desk.dispose(&disposition));
        let (accepted, word) = match taken {
            Ok(Ok(())) => (true, "recorded"),
            Ok(Err(refused)) => {
                tracing::warn!(%refused, "a disposition was refused");
                (false, refused.word())
            }
            Err(_) => (false, "not_recorded"),
        };
        DispositionAnswer { accepted, word: word.to_owned() }
    }

    fn approve(&self, wish: &Wish) -> ApprovalAnswer {
        let wish = wish.clone();
        let taken = self.desk.ask(move |desk| desk.approve(&wish));
        let (accepted, word) = match taken {
            Ok(Ok(())) => (true, "approved"),
            Ok(Err(refused)) => {
                tracing::warn!(error = %chain(&refused), "an approval was not taken");
                (false, refused.word())
            }
            Err(_) => (false, "not_recorded"),
        };
        ApprovalAnswer { accepted, word: word.to_owned() }
    }

    fn prove(&self, pin: &str) -> ActAnswer {
        self.desk.enter_pin(pin)
    }

    fn may_see_figures(&self) -> bool {
        matches!(self.desk.ask(Desk::may_look_over), Ok(Ok(())))
    }

    fn sign_out(&self) -> ActAnswer {
        self.desk.ask(Desk::badge_out).unwrap_or_else(|_| ActAnswer::not_recorded(None))
    }

    fn close_order(&self) -> ActAnswer {
        self.desk.ask(Desk::close_order).unwrap_or_else(|_| ActAnswer::not_recorded(None))
    }

    fn preflight(&self) -> Option<Preflight> {
        if let Ok(Err(refusal)) = self.desk.ask(Desk::may_look_over) {
            tracing::warn!(word = refusal.word(), "the preflight was not shown");
            return None;
        }
        self.desk.tell(Desk::check_sockets);
        Some(look_over(&self.ports.config(), self.desk.ask(|desk| desk.station_facts()).ok()))
    }

    fn handover(&self) -> Option<Handover> {
        self.desk.ask(Desk::handover).ok()?
    }

    fn teach(&self, slot: u32) -> Option<TeachAnswer> {
        self.ports.config().slots.iter().find(|other| other.number == slot)?;
        if let Ok(Err(refusal)) = self.desk.ask(Desk::may_set_up) {
            return Some(TeachAnswer { ports: Vec::new(), word: refusal.word().to_owned() });
        }
        let came = teach::watch(&Lists::default(), TEACH_WITHIN);
        let ports = came.iter().map(ToString::to_string).collect();
        let taken = |port: &Port| self.ports.is_taken(slot, port);
        let word = if came.is_empty() {
            "nothing_came"
        } else if came.iter().any(taken) {
            "taken"
        } else {
            let kept = self.desk.ask(move |desk| desk.teach(slot, &came));
            match kept.map(|kept| kept.and_then(|()| give_ports(&self.desk, &self.ports))) {
                Ok(Ok(())) => "taught",
                Ok(Err(_)) | Err(_) => "not_recorded",
            }
        };
        Some(TeachAnswer { ports, word: word.to_owned() })
    }
}

/// A station whose records cannot be opened takes no scan and has no slots.
struct NoScreens(Config);

impl ScreenDesk for NoScreens {
    fn scan(&self, _text: &str) -> ScanAnswer {
        ScanAnswer::nobody("station_halted")
    }

    fn look(&self, _slot: u32) -> Option<bool> {
        None
    }

    fn open(&self, _slot: u32) -> Option<OpenAnswer> {
        None
    }

    fn dispose(&self, _disposition: &Disposition) -> DispositionAnswer {
        DispositionAnswer { accepted: false, word: "not_recorded".to_owned() }
    }

    fn approve(&self, _wish: &Wish) -> ApprovalAnswer {
        ApprovalAnswer { accepted: false, word: "not_recorded".to_owned() }
    }

    fn stick(&self, _act: &StickAct) -> StickDone {
        StickDone { word: "not_recorded".to_owned(), ..StickDone::default() }
    }

    fn prove(&self, _pin: &str) -> ActAnswer {
        ActAnswer::not_recorded(None)
    }

    fn may_see_figures(&self) -> bool {
        false
    }

    fn sign_out(&self) -> ActAnswer {
        ActAnswer::not_recorded(None)
    }

    fn close_order(&self) -> ActAnswer {
        ActAnswer::not_recorded(None)
    }

    fn preflight(&self) -> Option<Preflight> {
        // Its records do not open: nobody is known, and somebody has to find out why.
        Some(look_over(&self.0, None))
    }

    fn handover(&self) -> Option<Handover> {
        None
    }

    fn teach(&self, _slot: u32) -> Option<TeachAnswer> {
        None
    }
}

/// Runs the station until `stop` is done. A station that cannot open its records still answers
/// its screen, with the trouble.
///
/// # Errors
/// [`RunError`] when not even that is possible.
pub async fn run(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let _lock = lock_folder(&config.data)?;
    let secret = StationSecret::open(&config.secret_places(), &SystemRandom::new())
        .map_err(RunError::Secret)?;
    let listener = TcpListener::bind(config.listen).await.map_err(RunError::Listen)?;
    let address = listener.local_addr().map_err(RunError::Listen)?;
    let guard = Guard::open(config.entry_file(), address).map_err(RunError::Folder)?;
    let guard = Arc::new(guard);
    let key_protection = secret.protection().word();
    tracing::info!(%address, build = env!("CARGO_PKG_VERSION"), key_protection, "station starts");

    let opened = Store::open(&config.store_file()).map_err(DeskError::from).and_then(|store| {
        Desk::open(DeskSetup {
            store,
            secret,
            line: config.line.clone(),
            language: config.language.clone(),
            slots: config.slots.iter().map(|slot| slot.number).collect(),
            clocks: Box::new(crate::platform::reading),
        })
    });
    let (mut desk, view) = match opened {
        Ok(opened) => opened,
        Err(error) => return serve_halted(&config, listener, guard, &error, stop).await,
    };
    desk.keep_records_for(config.keep_records_days);
    desk.use_bins(&config.reject_bins);
    desk.show_with(config.takt_s, config.sound_level);
    let ports = Arc::new(Bindings::new(config, desk.taught().unwrap_or_default()));
    let config = ports.config();
    let (handle, mut desk_thread) = desk.start().map_err(RunError::Thread)?;
    let api = Api {
        view,
        desk: Arc::new(Screens { desk: handle.clone(), ports: Arc::clone(&ports) }),
        guard,
        figures: Some(FiguresSource { store: config.store_file(), takt_s: config.takt_s }),
        page_folder: config.ui.clone(),
    };
    let (stopping, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, api, stopped.clone()));
    let post = start_postman(&config, &handle, stopped.clone())?;
    let mut slots = Vec::new();
    for slot in &config.slots {
        slots.push(RunningSlot::start(slot.clone(), handle.clone()).map_err(RunError::Thread)?);
    }
    let scanners = Scanners::start(&config.scanners, &handle).map_err(RunError::Thread)?;
    if let Err(code) = give_ports(&handle, &ports) {
        tracing::error!(code = code.text(), "the taught sockets are not looked at");
    }

    tokio::select! {
        () = stop => {}
        () = desk_thread.ended() => {}
    }
    tracing::info!("station stops");
    stopping.send_replace(true);
    let ended = tokio::task::spawn_blocking(move || {
        scanners.stop();
        for slot in &slots {
            slot.stop();
        }
        for slot in slots {
            slot.join();
        }
    });
    if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
        tracing::warn!("a slot did not end in time; its visit ends at the next start");
    }
    if let Some(post) = post {
        // It stops by itself; one that panicked has said so in the log.
        drop(tokio::task::spawn_blocking(move || post.join()).await);
    }
    drop(serving.await);
    handle.tell(Desk::close);
    drop(handle);
    let closed = tokio::task::spawn_blocking(move || desk_thread.join());
    if matches!(closed.await, Ok(true)) { Ok(()) } else { Err(RunError::Desk) }
}

fn start_postman(
    config: &Config,
    handle: &DeskHandle,
    mut stopped: watch::Receiver<bool>,
) -> Result<Option<std::thread::JoinHandle<()>>, RunError> {
    let Ok(Some((membership, key_pem))) = handle.ask(|desk| desk.post_address()) else {
        return Ok(None);
    };
    let random = SystemRandom::new();
    let post = sync::PostmanConfig {
        hub: membership.hub,
        ca_pem: membership.hub_ca_pem,
        certificate_pem: membership.certificate_pem,
        key_pem,
        staging: config.data.join("staging"),
        back_off: sync::BackOff::default(),
        jitter: Box::new(move |below| {
            let mut bytes = [0; 8];
            // Without randomness all stations wait alike, which is no reason not to wait.
            let _ = random.fill(&mut bytes);
            u64::from_le_bytes(bytes) % below.max(1)
        }),
        // The configuration was refused when these could not be read.
        bulk: config.bulk_windows().unwrap_or_default(),
        wall_clock: Box::new(|| chrono::Local::now().fixed_offset()),
        station_time: {
            let desk = handle.clone();
            // A closed desk means that the daemon ends.
            Box::new(move || desk.ask(|desk| desk.now_ms()).unwrap_or_default())
        },
    };
    let parties = Arc::new(HubDesk(handle.clone()));
    let hub = handle.clone();
    let made = sync::Postman::new(
        post,
        Arc::<HubDesk>::clone(&parties),
        parties,
        Box::new(move |state| hub.tell(move |desk| desk.hub_is(state))),
    );
    let (postman, nudge) = match made {
        Ok(made) => made,
        Err(error) => {
            // The line goes on without its hub; records wait here.
            tracing::error!(error = %chain(&error), "no postman");
            let state = sync::HubState::Offline(sync::OfflineReason::HubCertificate);
            handle.tell(move |desk| desk.hub_is(state));
            return Ok(None);
        }
    };
    handle.tell(move |desk| desk.ring_with(nudge));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Thread)?;
    let carry = move || {
        runtime.block_on(postman.run(async move {
            // A sender that is gone means the same as its word.
            drop(stopped.wait_for(|stopped| *stopped).await);
        }));
    };
    let thread = std::thread::Builder::new().name("postman".to_owned()).spawn(carry);
    Ok(Some(thread.map_err(RunError::Thread)?))
}

async fn serve(listener: TcpListener, api: Api, mut stopped: watch::Receiver<bool>) {
    let served = match listener.local_addr() {
        Ok(address) => {
            let app = router(api, address);
            tokio::select! {
                served = axum::serve(listener, app) => served,
                _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
            }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "the screen is not served any more");
    }
}

/// Shows why the station does nothing, until it is stopped.
async fn serve_halted(
    config: &Config,
    listener: TcpListener,
    guard: Arc<Guard>,
    error: &DeskError,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let code = TroubleCode::from(error);
    tracing::error!(code = code.text(), error = %chain(error), "the station is halted");
    let view: Arc<StationView> = Arc::new(halted_view(code, &code.text()));
    let (_keep, view) = watch::channel(view);
    let api = Api {
        view,
        desk: Arc::new(NoScreens(config.clone())),
        guard,
        figures: None,
        page_folder: config.ui.clone(),
    };
    let (stopping, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, api, stopped));
    stop.await;
    stopping.send_replace(true);
    drop(serving.await);
    Ok(())
}
