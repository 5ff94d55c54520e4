//! `board-visit PORT CHIP IMAGE`: one whole visit, as a station makes it.
//!
//! Identify, write, compare, start: what the bench measures against other programs, and what runs
//! where no station fits. PORT is as a slot names it (`usb:1-2.3`, `tty:/dev/ttyUSB0@115200`), CHIP
//! a name of the table of chips, IMAGE raw bytes for the first address of its flash.

use std::io::Write as _;
use std::process::ExitCode;

use flash::{FlashError, Piece, Plan, Port, PortError, chip};

/// What keeps a visit from its end.
#[derive(Debug, thiserror::Error)]
enum VisitError {
    #[error("usage: board-visit PORT CHIP IMAGE")]
    Usage,
    #[error("reading {path}")]
    Image {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Flash(#[from] FlashError),
    #[error("writing the report")]
    Report(#[source] std::io::Error),
}

fn visit() -> Result<(), VisitError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, name, path] = &arguments[..] else { return Err(VisitError::Usage) };
    let chip = chip(name).ok_or_else(|| FlashError::UnknownChip { chip: name.clone() })?;
    let image =
        std::fs::read(path).map_err(|source| VisitError::Image { path: path.clone(), source })?;
    let mut hand = port.parse::<Port>()?.open(Some(chip))?;

    let identity = hand.identify(chip)?;
    let piece = Piece { name: "image", address: chip.flash_start(), bytes: &image };
    let report = hand.program(&Plan::new(chip, [piece])?, &mut |_| {})?;
    hand.reset_and_run()?;

    let uid = identity.uid.map_or_else(|| "no UID".to_owned(), |uid| uid.to_string());
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} {uid}: {} bytes written, {} compared, {} pages erased, started; \
         {} ms to survey, {} to erase, {} to write, {} to compare",
        identity.part,
        report.written_bytes,
        report.verified_bytes,
        report.sectors_erased,
        report.times.survey_ms,
        report.times.erase_ms,
        report.times.program_ms,
        report.times.verify_ms
    )
    .map_err(VisitError::Report)
}

fn main() -> ExitCode {
    let Err(error) = visit() else { return ExitCode::SUCCESS };
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        words.push_str(": ");
        words.push_str(&next.to_string());
        cause = next.source();
    }
    if let VisitError::Flash(
        FlashError::Silent { detail, .. }
        | FlashError::Driver { detail, .. }
        | FlashError::CoreStuck { detail, .. }
        | FlashError::LineNoise { detail, .. }
        | FlashError::LineDamaged { detail, .. }
        | FlashError::Refused { detail, .. }
        | FlashError::PermissionDenied { detail, .. },
    ) = &error
    {
        words.push_str(": ");
        words.push_str(detail);
    }
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(std::io::stderr(), "board-visit: {words}");
    ExitCode::FAILURE
}
