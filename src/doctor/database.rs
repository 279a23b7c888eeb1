//! The database, looked at and not touched.

use super::report::Report;
use crate::config::Config;
use crate::store::Standing;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::sqlite::SqliteStore;

const WHAT: &str = "database";

/// Whether it is there, answers, and is ours.
pub async fn check(report: &mut Report<'_>, config: &Config) {
    if let Some(path) = config.store.sqlite_path() {
        return match SqliteStore::inspect(path).await {
            Ok(None) => report.ok(WHAT, format!("{} will be made at the first start", path.display())),
            Ok(Some(standing)) => told(report, &format!("SQLite, {}", path.display()), standing),
            Err(error) => report.fail(WHAT, error, "let this account read and write it, or restore a backup"),
        };
    }
    let options = match PostgresOptions::from_url(&config.store.url) {
        Ok(options) => options,
        Err(problem) => {
            return report.fail(WHAT, format!("store.url (DATABASE_URL): {problem}"), "correct the address");
        }
    };
    match PostgresStore::inspect(&options).await {
        Ok(standing) => told(report, &options.place(), standing),
        Err(error) => {
            let remedy = "start it, or correct store.url (DATABASE_URL); `psql` with the same address tells more";
            report.fail(WHAT, error, remedy);
        }
    }
}

fn told(report: &mut Report<'_>, place: &str, standing: Standing) {
    match standing {
        Standing::Empty => report.ok(WHAT, format!("{place}: empty; the first start makes its tables")),
        Standing::Foreign => {
            report.fail(WHAT, format!("{place} holds something else"), "name a database of Paliadin's own");
        }
        Standing::Ours { version, newest } if version > newest => report.fail(
            WHAT,
            format!("{place} has schema {version}, and this program knows none after {newest}"),
            "a newer version of paliadin has used it: run that version, or restore a backup",
        ),
        Standing::Ours { version, newest } if version < newest => {
            report.ok(WHAT, format!("{place}, schema {version}; the next start brings it to {newest}"));
        }
        Standing::Ours { version, .. } => report.ok(WHAT, format!("{place}, schema {version}")),
    }
}
