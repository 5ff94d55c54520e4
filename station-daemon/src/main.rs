//! The station's program: the line, its workers, enrolment, and the offline check of a journal.
#![allow(clippy::print_stdout, reason = "subcommands answer on standard output")]

fn main() -> std::process::ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return station_daemon::hands::worker::main();
    }
    if std::env::args().nth(1).as_deref() == Some("openapi") {
        print!("{}", station_daemon::api::openapi_json());
    }
    std::process::ExitCode::SUCCESS
}
