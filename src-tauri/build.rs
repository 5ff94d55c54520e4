//! Checks `tauri.conf.json` and prepares the starting page. The window offers no commands.

fn main() {
    tauri_build::build();
}
