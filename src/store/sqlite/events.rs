//! Writing events: many rows per statement.

use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, SqliteConnection, query};

use super::error::store_error;
use super::rows::Fields;
use super::statement::execute;
use crate::store::{StoreError, Written};
use crate::turn::{Event, Timestamp, TurnId};

/// Rows per statement, largest first: any number of rows is made of these, so that four statements stay prepared.
const SIZES: [usize; 4] = [64, 16, 4, 1];

static INSERTS: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| SIZES.map(insert_statement));

/// Only the key's own conflict is passed over (`INSERT OR IGNORE` would pass over failed CHECKs, too).
fn insert_statement(rows: usize) -> Arc<str> {
    let row = |index: usize| {
        let first = 3 + index * 4;
        format!("(?1, ?{}, ?{}, ?{}, ?{}, ?2)", first, first + 1, first + 2, first + 3)
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    let rows = rows.join(", ");
    format!(
        "INSERT INTO turn_events (turn_id, epoch, seq, kind, data, at) VALUES {rows} \
         ON CONFLICT (turn_id, epoch, seq) DO NOTHING"
    )
    .into()
}

/// `Write::AppendEvents`.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    turn_id: TurnId,
    events: &[Event],
    at: Timestamp,
) -> Result<Written, StoreError> {
    let turn_id: Arc<str> = turn_id.to_string().into();
    let mut left = events;
    for (size, sql) in SIZES.into_iter().zip(INSERTS.iter()) {
        while left.len() >= size {
            let (now, later) = left.split_at(size);
            // Nothing in the text but placeholders.
            let mut bound = query(AssertSqlSafe(Arc::clone(sql))).bind(Arc::clone(&turn_id)).bind(at.0);
            for event in now {
                bound = bound.bind(event.id.epoch).bind(event.id.seq).bind(event.kind.as_str());
                bound = bound.bind(event.data.to_string());
            }
            execute(connection, bound).await?;
            left = later;
        }
    }
    Ok(Written::Done)
}

/// The ids are UUIDv7: turns that ended before a moment were accepted before it, and theirs sort before its own.
/// `CROSS JOIN` keeps SQLite from beginning with the turns, of which most have no events any more.
const PRUNABLE: &str = "SELECT DISTINCT e.turn_id FROM turn_events e CROSS JOIN paliadin_turns t ON t.turn_id = e.turn_id \
     WHERE e.turn_id < ?1 AND t.finished_at < ?2 ORDER BY e.turn_id LIMIT ?3";
/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 2] = [PRUNABLE, PRUNE];

const PRUNE: &str = "DELETE FROM turn_events WHERE turn_id = ?1";

/// `Write::PruneEvents`.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    ended_before: Timestamp,
    limit: u32,
) -> Result<Written, StoreError> {
    let first = TurnId::first_at(ended_before).to_string();
    let bound = query(PRUNABLE).bind(first).bind(ended_before.0).bind(limit);
    let ended = bound.fetch_all(&mut *connection).await.map_err(store_error)?;
    let ended: Vec<String> = ended.iter().map(|row| Fields(row).get("turn_id")).collect::<Result<_, _>>()?;
    for turn_id in &ended {
        execute(connection, query(PRUNE).bind(turn_id)).await?;
    }
    Ok(Written::Count(ended.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::insert_statement;

    #[test]
    fn placeholders_are_counted_through() {
        assert!(insert_statement(2).contains("VALUES (?1, ?3, ?4, ?5, ?6, ?2), (?1, ?7, ?8, ?9, ?10, ?2) ON"));
    }
}
