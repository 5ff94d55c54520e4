//! Enrolment codes on a stick, in the place of typing them.
//!
//! A code is its own seal: it carries the hashes of the hub's CA and of the tenant's root, and a
//! secret that works once. Whoever holds the stick can use it, as whoever reads a printed one can.

use std::path::Path;

use super::folder::{self, folder as folder_at};
use super::{StickError, is_plain, shown};

const FOLDER: [&str; 2] = ["flashline", "enrolment"];
const SUFFIX: &str = ".code";
/// Far above the longest code there is.
const CODE_BYTES_MAX: u64 = 1024;

/// Puts a station's code on a stick.
///
/// # Errors
/// [`StickError::Name`], or the stick's file system.
pub fn write_code(mount: &Path, station: &str, code: &str) -> Result<(), StickError> {
    if !is_plain(station) {
        return Err(StickError::Name { name: shown(station) });
    }
    let folder = folder::make(mount, &FOLDER)?;
    folder::write(&folder, &format!("{station}{SUFFIX}"), code.as_bytes())
}

/// The code of a station, or the only one there is.
///
/// # Errors
/// [`StickError::NoCode`] when there is none for it, or several and no name; [`StickError`] for
/// whatever is no ordinary small file of text.
pub fn read_code(mount: &Path, station: Option<&str>) -> Result<String, StickError> {
    let found = folder_at(mount, &FOLDER)?.ok_or(StickError::NoCode { found: 0 })?;
    let mut names = folder::names(&found, "the folder of enrolment codes")?;
    names.retain(|name| {
        let stem = name.strip_suffix(SUFFIX);
        stem.is_some_and(|stem| station.is_none_or(|station| station == stem))
    });
    let [name] = names.as_slice() else { return Err(StickError::NoCode { found: names.len() }) };
    let bytes = folder::read(&found, name, CODE_BYTES_MAX)?;
    let bytes = bytes.ok_or_else(|| StickError::Missing { name: shown(name) })?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| StickError::Malformed { what: "an enrolment code" })?;
    Ok(text.trim().to_owned())
}
