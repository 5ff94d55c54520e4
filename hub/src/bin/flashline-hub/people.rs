//! The verbs about people. A PIN and a badge never stand on the command line, where every process
//! list shows them: they come from files or standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use hub::admin_client::{PersonChange, PersonCreate, Withheld};
use protocol::{LineName, Role};
use zeroize::Zeroizing;

use crate::{To, print};

/// Longest secret read, in bytes, its line end included.
const SECRET_BYTES_MAX: u64 = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum PersonVerb {
    /// Adds a person to the lines they work on.
    Add {
        #[command(flatten)]
        to: To,
        /// The number that records hold; never given twice.
        #[arg(long)]
        number: u32,
        /// worker, lead or it.
        #[arg(long)]
        role: Role,
        /// Where they work; may be given several times.
        #[arg(long = "line", required = true)]
        lines: Vec<LineName>,
        /// File with the text of their badge, without `OP:`; `-` reads it from standard input.
        #[arg(long)]
        badge_file: PathBuf,
        /// File with their PIN; `-` reads it from standard input.
        #[arg(long)]
        pin_file: Option<PathBuf>,
        /// How they are called, for people at the hub only.
        #[arg(long)]
        name: Option<String>,
        /// Their last millisecond, since the Unix epoch.
        #[arg(long)]
        ends_ms: Option<i64>,
    },
    /// Changes a person; what is not given stays.
    Change {
        #[command(flatten)]
        to: To,
        /// Whom.
        number: u32,
        /// worker, lead or it.
        #[arg(long)]
        role: Option<Role>,
        /// The lines they work on from now on; may be given several times.
        #[arg(long = "line")]
        lines: Vec<LineName>,
        /// File with the text of their new badge.
        #[arg(long)]
        badge_file: Option<PathBuf>,
        /// File with their new PIN, or the same again: it ends a lock at the stations.
        #[arg(long)]
        pin_file: Option<PathBuf>,
        /// Another name.
        #[arg(long)]
        name: Option<String>,
        /// Their last millisecond, since the Unix epoch.
        #[arg(long, conflicts_with = "no_end")]
        ends_ms: Option<i64>,
        /// They stay without end.
        #[arg(long)]
        no_end: bool,
        /// Turn them away for now.
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Let them in again.
        #[arg(long)]
        enable: bool,
    },
    /// Lists everybody.
    List {
        #[command(flatten)]
        to: To,
    },
    /// Erases a person's name; their number stays in the records.
    EraseName {
        #[command(flatten)]
        to: To,
        /// Whose.
        number: u32,
    },
}

fn secret(path: &Path) -> anyhow::Result<Withheld> {
    let mut text = Zeroizing::new(String::new());
    let reading = || format!("reading {}", path.display());
    if path == Path::new("-") {
        std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut text).with_context(reading)?;
    } else {
        let file = std::fs::File::open(path).with_context(reading)?;
        file.take(SECRET_BYTES_MAX).read_to_string(&mut text).with_context(reading)?;
    }
    Ok(Withheld::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

pub(crate) async fn person(verb: PersonVerb) -> anyhow::Result<()> {
    match verb {
        PersonVerb::Add { to, number, role, lines, badge_file, pin_file, name, ends_ms } => {
            let create = PersonCreate {
                number,
                name,
                role,
                lines,
                badge: secret(&badge_file)?,
                pin: pin_file.as_deref().map(secret).transpose()?,
                ends_ms,
            };
            to.client()?.add_person(&create).await?;
            print(&serde_json::json!({ "added": number }))
        }
        PersonVerb::Change {
            to,
            number,
            role,
            lines,
            badge_file,
            pin_file,
            name,
            ends_ms,
            no_end,
            disable,
            enable,
        } => {
            let change = PersonChange {
                name,
                role,
                lines: (!lines.is_empty()).then_some(lines),
                badge: badge_file.as_deref().map(secret).transpose()?,
                pin: pin_file.as_deref().map(secret).transpose()?,
                ends_ms,
                no_end,
                disabled: (disable || enable).then_some(disable),
            };
            to.client()?.change_person(number, &change).await?;
            print(&serde_json::json!({ "changed": number }))
        }
        PersonVerb::List { to } => print(&to.client()?.people().await?),
        PersonVerb::EraseName { to, number } => {
            to.client()?.erase_name(number).await?;
            print(&serde_json::json!({ "name_erased": number }))
        }
    }
}
