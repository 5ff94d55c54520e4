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

use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs::File, path::PathBuf, process::ExitCode, sync::Arc, thread, time::Duration};

use station::Station;
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

/// The web process crashed (`EX_SOFTWARE`).
const EXIT_CRASHED: i32 = 70;
/// How often the station is looked for; a restart of it takes longer.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks after which a page still at the door is not coming in.
const DOOR_LOOKS: u32 = 6;

#[allow(clippy::print_stderr, reason = "one sentence for whoever started it, or for the journal")]
fn main() -> ExitCode {
    match Station::named().and_then(show) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("kiosk-shell: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until the window closes; at once over while another one has the screen.
fn show(station: Station) -> Result<(), String> {
    let station = Arc::new(station);
    let claim = claim_screen()?;
    if claim.try_lock().is_err() {
        return Ok(());
    }
    let setup = move |app: &mut tauri::App| {
        let window = open_window(app.handle(), Arc::clone(&station))?;
        // Whether the page is shown, as far as anybody knows.
        let shown = Arc::new(AtomicBool::new(false));
        let (failed, app) = (Arc::clone(&shown), app.handle().clone());
        window.with_webview(move |view| {
            lock_down::close_ways_out(&view.inner());
            lock_down::on_crash(&view.inner(), move || app.exit(EXIT_CRASHED));
            lock_down::on_failed_load(&view.inner(), move || {
                failed.store(false, Ordering::Relaxed);
            });
        })?;
        thread::spawn(move || follow(&window, &station, &shown));
        Ok(())
    };
    tauri::Builder::default()
        .setup(setup)
        .run(tauri::generate_context!())
        .map_err(|error| format!("opening the window: {error}"))
}

/// The file whose lock says who has the screen; it is held until the program ends.
fn claim_screen() -> Result<File, String> {
    let folder = env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let path = folder.join("flashline-kiosk.lock");
    File::create(&path).map_err(|error| format!("claiming {}: {error}", path.display()))
}

/// Full screen, or a plain window at a desk when `FLASHLINE_WINDOWED` is set.
fn open_window(app: &AppHandle, station: Arc<Station>) -> tauri::Result<WebviewWindow> {
    let kiosk = env::var_os("FLASHLINE_WINDOWED").is_none();
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
        .on_navigation(move |url| url.scheme() == "tauri" || station.owns(url))
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_download(|_, _| false)
        .build()
}

/// Opens the station's page whenever the station appears: at the start, after it was restarted,
/// and after a page that did not load or stayed at the door because its nonce was used.
#[allow(clippy::disallowed_methods, reason = "nothing tells when a file or a port appears")]
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
