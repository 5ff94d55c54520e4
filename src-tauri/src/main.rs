//! The kiosk window: opens the station's own page and keeps the worker inside it.
//!
//! Owns the window, the page shown until the station answers, and the list of ways out that are
//! closed. Leaves everything a worker sees to the page, and every decision to the station; it
//! offers the page no commands.
//!
//! Promise: the window never stays blank. A page that fails to load gives way to "the station is
//! starting", and a crashed web process ends the program with [`EXIT_CRASHED`], so that systemd
//! starts it again.

mod lock_down;
mod station;

use std::{
    fs::{self, File, TryLockError},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use station::Station;
use tauri::{
    AppHandle, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder, webview::NewWindowResponse,
};

/// The web process crashed (`EX_SOFTWARE`).
const EXIT_CRASHED: i32 = 70;
/// The command line makes no sense (`EX_USAGE`).
const EXIT_USAGE: u8 = 64;
/// How often the station is looked for; a restart of it takes longer.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks after which a page still at the door is not coming in.
const DOOR_LOOKS: u32 = 6;

#[allow(clippy::print_stderr, reason = "the one sentence for whoever started it wrongly")]
fn main() -> ExitCode {
    let station = match Station::named() {
        Ok(station) => Arc::new(station),
        Err(wrong) => {
            eprintln!("kiosk-shell: {wrong}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // Held until the program ends.
    let Some(_only_one) = claim_screen() else { return ExitCode::SUCCESS };

    let result = tauri::Builder::default()
        .setup(move |app| {
            let window = open_window(app.handle(), Arc::clone(&station))?;
            // The page is shown, as far as anybody knows.
            let shown = Arc::new(AtomicBool::new(false));
            let failed = Arc::clone(&shown);
            let app = app.handle().clone();
            window.with_webview(move |view| {
                lock_down::close_ways_out(&view.inner());
                lock_down::on_crash(&view.inner(), move || app.exit(EXIT_CRASHED));
                lock_down::on_failed_load(&view.inner(), move || {
                    failed.store(false, Ordering::Relaxed);
                });
            })?;
            thread::spawn(move || follow(&window, &station, &shown));
            Ok(())
        })
        .run(tauri::generate_context!());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kiosk-shell: opening the window: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Full screen, or a plain window at a desk when `FLASHLINE_WINDOWED` is set.
fn open_window(app: &AppHandle, station: Arc<Station>) -> tauri::Result<WebviewWindow> {
    let kiosk = std::env::var_os("FLASHLINE_WINDOWED").is_none();
    WebviewWindowBuilder::new(app, "main", WebviewUrl::App("index.html".into()))
        .title("Flashline")
        .inner_size(1280.0, 800.0)
        .fullscreen(kiosk)
        .decorations(!kiosk)
        .resizable(!kiosk)
        .zoom_hotkeys_enabled(false)
        .devtools(false)
        .disable_drag_drop_handler()
        .initialization_script(lock_down::PAGE_SCRIPT)
        .on_navigation(move |url| is_own_page(url) || station.owns(url))
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_download(|_, _| false)
        .build()
}

fn is_own_page(url: &Url) -> bool {
    url.scheme() == "tauri" || url.as_str() == "about:blank"
}

/// Opens the station's page whenever the station appears: at the start, after it was restarted,
/// and after a page that did not load or stayed at the door because its nonce was used.
fn follow(window: &WebviewWindow, station: &Station, shown: &AtomicBool) {
    let mut at_the_door = 0;
    loop {
        let Ok(page) = window.url() else { return }; // the window is gone
        at_the_door = if page.path() == station::DOOR { at_the_door + 1 } else { 0 };
        match station.address_if_up() {
            None => shown.store(false, Ordering::Relaxed),
            Some(address) => {
                let open = shown.swap(true, Ordering::Relaxed);
                if (!open || at_the_door > DOOR_LOOKS) && window.navigate(address).is_err() {
                    return;
                }
            }
        }
        thread::sleep(LOOK_PAUSE);
    }
}

/// Makes sure that one window has the screen; `None` while another one has it.
fn claim_screen() -> Option<File> {
    let folder = std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    // Without a place for the lock a second window is the smaller harm.
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("flashline-kiosk.lock"))
        .or_else(|_| File::open("/dev/null"))
        .ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => None,
        Ok(()) | Err(TryLockError::Error(_)) => Some(file),
    }
}
