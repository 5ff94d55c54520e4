//! Schema versions: numbered files, forward only, each in its own transaction.

use rusqlite::Connection;

use super::StoreError;

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_slots.sql"),
    include_str!("migrations/0003_activation.sql"),
    include_str!("migrations/0004_people.sql"),
    include_str!("migrations/0005_spent_indices.sql"),
    include_str!("migrations/0006_outcomes.sql"),
    include_str!("migrations/0007_rejects.sql"),
];

fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

fn version(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Refuses a file whose schema this program does not know.
pub(super) fn refuse_newer(connection: &Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > newest() { Err(StoreError::Newer { found, known: newest() }) } else { Ok(()) }
}

/// Applies what is missing.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    for (number, migration) in (1_u32..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
