//! Writing events: many rows per statement.

use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, SqliteConnection, query};

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

#[cfg(test)]
mod tests {
    use super::insert_statement;

    #[test]
    fn placeholders_are_counted_through() {
        assert!(insert_statement(2).contains("VALUES (?1, ?3, ?4, ?5, ?6, ?2), (?1, ?7, ?8, ?9, ?10, ?2) ON"));
    }
}
