//! The ways out of the page that WebKitGTK leaves open, closed.

use std::ffi::c_void;

use gtk::{glib::gobject_ffi, prelude::*};
use webkit2gtk::{NetworkError, PolicyError, SettingsExt, WebView, WebViewExt};

/// Runs before every page: no context menu, no dragging, no shortcut. Plain keys stay, because a
/// scanner types.
pub(crate) const PAGE_SCRIPT: &str = "
for (const name of ['contextmenu', 'dragstart', 'drop', 'auxclick'])
  addEventListener(name, (event) => event.preventDefault(), { capture: true });
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || /^(F\\d+|Browser.*|Print.*|Zoom.*)$/.test(event.key))
    event.preventDefault();
}, { capture: true });
";

/// Menus, developer tools, gestures and pinch zoom.
pub(crate) fn close_ways_out(view: &WebView) {
    view.connect_context_menu(|_, _, _, _| true);
    if let Some(settings) = WebViewExt::settings(view) {
        settings.set_enable_developer_extras(false);
        settings.set_enable_back_forward_navigation_gestures(false);
    }
    forget_pinch(view);
}

/// Pinch zoom cannot be switched off on Linux (tauri #13115, wry #544): the gesture is found by
/// its name inside WebKitGTK and made deaf. The name is no public API; a newer WebKitGTK may drop
/// it, then the gesture is back and nothing worse.
#[allow(unsafe_code, reason = "no safe API reaches the gesture")]
#[allow(clippy::print_stderr, reason = "goes to the journal of the unit")]
fn forget_pinch(view: &WebView) {
    // SAFETY: the view is alive; the name is a C string; the answer is null or an object the view
    // owns, whose handlers may be removed at any time on the main thread, where this runs.
    let found = unsafe {
        let object: *mut gobject_ffi::GObject = view.as_ptr().cast();
        let gesture: *mut c_void =
            gobject_ffi::g_object_get_data(object, c"wk-view-zoom-gesture".as_ptr());
        if !gesture.is_null() {
            gobject_ffi::g_signal_handlers_destroy(gesture.cast());
        }
        !gesture.is_null()
    };
    if !found {
        eprintln!("kiosk-shell: this WebKitGTK hides its pinch gesture; pinching zooms the page");
    }
}

/// Calls `then` when the process that draws the page has died.
pub(crate) fn on_crash(view: &WebView, then: impl Fn() + 'static) {
    view.connect_web_process_terminated(move |_, _| then());
}

/// Shows the starting page instead of WebKit's own error page, and calls `then`. A load that gave
/// way to another, or that was refused on purpose, did not fail.
pub(crate) fn on_failed_load(view: &WebView, then: impl Fn() + 'static) {
    view.connect_load_failed(move |view, _, _, error| {
        if error.matches(NetworkError::Cancelled)
            || error.matches(PolicyError::FrameLoadInterruptedByPolicyChange)
        {
            return true;
        }
        then();
        view.load_uri("tauri://localhost/index.html");
        true
    });
}
