//! Bringing a schema up to date.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use crate::store::StoreError;

/// A schema change that was released: version, description, statements.
pub(in crate::store) type Step = (i64, &'static str, &'static str);

/// The newest version of the schema that this program knows.
pub(in crate::store) fn newest(steps: &[Step]) -> i64 {
    steps.iter().map(|(version, ..)| *version).max().unwrap_or_default()
}

/// Makes every change that was not made yet. The caller has a transaction open, in which no other process does the same.
/// `Corrupt` where the database is of a newer version, or has another schema.
pub(in crate::store) async fn run<C: Migrate>(connection: &mut C, steps: &[Step]) -> Result<(), StoreError> {
    let newest = newest(steps);
    let steps = steps.iter().map(|&(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    // `run_direct` is what sqlx has for futures that must be `Send` (`run` is "not general enough" there).
    migrator.set_locking(false).run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) if version > newest => StoreError::Corrupt(format!(
            "the database has migration {version}, and this program knows none after {newest}: a newer version of \
             paliadin has used it; run that version, or restore a backup"
        )),
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => {
            StoreError::Corrupt(format!("the schema is not ours: {error}"))
        }
        other => StoreError::Unavailable(other.to_string()),
    })
}
