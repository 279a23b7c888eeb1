//! Writing events: many rows per statement.

use std::sync::LazyLock;

use super::rows;
use super::session::{Session, arguments, many};
use crate::store::{StoreError, Written};
use crate::turn::{Event, Timestamp, TurnId};

/// Rows per statement, largest first: any number of rows is made of these, so that four statements stay prepared.
const SIZES: [usize; 4] = [64, 16, 4, 1];

static INSERTS: LazyLock<[String; 4]> = LazyLock::new(|| SIZES.map(insert_statement));

/// Only the key's own conflict is passed over (`INSERT OR IGNORE` would pass over failed CHECKs, too).
fn insert_statement(rows: usize) -> String {
    let row = |index: usize| {
        let first = 3 + index * 4;
        format!("($1, ${}, ${}, ${}, ${}, $2)", first, first + 1, first + 2, first + 3)
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    let rows = rows.join(", ");
    format!(
        "INSERT INTO turn_events (turn_id, epoch, seq, kind, data, at) VALUES {rows} \
         ON CONFLICT (turn_id, epoch, seq) DO NOTHING"
    )
}

/// `Write::AppendEvents`.
pub(super) async fn append<S: Session>(
    session: &mut S,
    turn_id: TurnId,
    events: &[Event],
    at: Timestamp,
) -> Result<Written, StoreError> {
    let mut left = events;
    for (size, sql) in SIZES.into_iter().zip(INSERTS.iter()) {
        while left.len() >= size {
            let (now, later) = left.split_at(size);
            let mut arguments = Vec::with_capacity(2 + now.len() * 4);
            arguments.extend_from_slice(arguments![turn_id, at]);
            for event in now {
                let (epoch, seq, kind) = (event.id.epoch, event.id.seq, event.kind.as_str());
                arguments.extend_from_slice(arguments![epoch, seq, kind, event.data.to_string()]);
            }
            session.execute(sql, &arguments).await?;
            left = later;
        }
    }
    Ok(Written::Done)
}

const PRUNE: &str = "DELETE FROM turn_events WHERE turn_id = $1";

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 2] = [super::dialect::SQLITE.prunable, PRUNE];

/// `Write::PruneEvents`.
pub(super) async fn prune<S: Session>(
    session: &mut S,
    ended_before: Timestamp,
    limit: u32,
) -> Result<Written, StoreError> {
    let arguments = arguments![TurnId::first_at(ended_before), ended_before, limit];
    let ended = many(session, S::DIALECT.prunable, arguments, rows::turn_id).await?;
    for turn_id in &ended {
        session.execute(PRUNE, arguments![*turn_id]).await?;
    }
    Ok(Written::Count(ended.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::insert_statement;

    #[test]
    fn placeholders_are_counted_through() {
        assert!(insert_statement(2).contains("VALUES ($1, $3, $4, $5, $6, $2), ($1, $7, $8, $9, $10, $2) ON"));
    }
}
