//! How turns end.

use serde_json::{Value, json};

use super::columns::turn_columns;
use super::session::{Session, arguments, one};
use super::{accounts, events, rows};
use crate::store::{Finish, StoreError, Written};
use crate::turn::{Outcome, Timestamp, Trailer, TurnState};

/// `error_history` is an array as `serde_json` prints one.
macro_rules! end {
    ($late:literal, $states:literal) => {
        concat!(
            "UPDATE paliadin_turns SET ",
            $late,
            "state = $3, finished_at = $4, \
             duration_ms = CASE WHEN $4 > queued_at THEN $4 - queued_at ELSE 0 END, \
             response = $5, partial = $6, error_code = $7, error_history = CASE WHEN $8 IS NULL THEN error_history \
             WHEN error_history = '[]' THEN '[' || $8 || ']' \
             ELSE substr(error_history, 1, length(error_history) - 1) || ',' || $8 || ']' END, \
             used_tools = $9, rows_seen = $10, chip_count = $11, classifier_tag = $12, response_tokens = $13, \
             updated_at = $4 WHERE turn_id = $1 AND epoch <= $2 AND state IN (",
            $states,
            ") RETURNING ",
            turn_columns!()
        )
    };
}

const FINISH: &str = end!("", "'queued', 'running'");

/// The code of the failure is in `error_history` already.
const RECORD_LATE: &str = end!("late = true, ", "'failed'");

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 2] = [FINISH, RECORD_LATE];

/// `Write::FinishTurn`.
pub(super) async fn finish<S: Session>(session: &mut S, finish: &Finish) -> Result<Written, StoreError> {
    end(session, FINISH, finish).await
}

/// `Write::RecordLate`.
pub(super) async fn record_late<S: Session>(session: &mut S, finish: &Finish) -> Result<Written, StoreError> {
    match &finish.outcome {
        Outcome::Done(_) => end(session, RECORD_LATE, finish).await,
        Outcome::Failed { .. } | Outcome::Cancelled { .. } => Ok(Written::Turn(None)),
    }
}

/// What an outcome leaves in the row.
#[derive(Default)]
struct Ending<'o> {
    response: Option<&'o str>,
    partial: Option<&'o str>,
    error_code: Option<&'static str>,
    /// For `error_history`.
    entry: Option<Value>,
    trailer: Trailer,
    chip_count: u32,
    response_tokens: Option<u32>,
}

fn ending(outcome: &Outcome, at: Timestamp) -> (TurnState, Ending<'_>) {
    match outcome {
        Outcome::Done(answer) => {
            let ending = Ending {
                response: Some(&answer.body),
                entry: answer.warning.as_ref().map(|warning| json!({ "at": at, "warning": warning })),
                trailer: answer.trailer.clone(),
                chip_count: answer.chip_count,
                response_tokens: Some(answer.response_tokens),
                ..Ending::default()
            };
            (TurnState::Done, ending)
        }
        Outcome::Failed { code, message, partial } => {
            let entry = Some(json!({ "at": at, "code": code, "message": message }));
            let (partial, error_code) = (partial.as_deref(), Some(code.as_str()));
            (TurnState::Failed, Ending { partial, error_code, entry, ..Ending::default() })
        }
        Outcome::Cancelled { partial } => {
            (TurnState::Cancelled, Ending { partial: partial.as_deref(), ..Ending::default() })
        }
    }
}

async fn end<S: Session>(session: &mut S, statement: &'static str, finish: &Finish) -> Result<Written, StoreError> {
    let (state, ending) = ending(&finish.outcome, finish.at);
    let arguments = arguments![
        finish.turn_id,
        finish.epoch,
        state.as_str(),
        finish.at,
        ending.response,
        ending.partial,
        ending.error_code,
        ending.entry.map(|entry| entry.to_string()),
        json!(ending.trailer.used_tools).to_string(),
        json!(ending.trailer.rows_seen).to_string(),
        ending.chip_count,
        &ending.trailer.classifier_tag,
        ending.response_tokens,
    ];
    let Some(turn) = one(session, statement, arguments, rows::turn).await? else {
        return Ok(Written::Turn(None));
    };
    events::append(session, finish.turn_id, &finish.events, finish.at).await?;
    if let Some(entry) = &finish.audit {
        accounts::audit(session, entry).await?;
    }
    Ok(Written::Turn(Some(Box::new(turn))))
}
