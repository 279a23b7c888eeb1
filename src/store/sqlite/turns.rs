//! Writes to turns.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::accounts;
use super::columns::turn_columns;
use super::events;
use super::read;
use super::rows::{self, Fields};
use super::statement::{execute, returning};
use crate::store::{Accepted, Finish, NewTurn, Refusal, StoreError, Turn, Written, title};
use crate::turn::{Event, EventId, EventKind, Outcome, Timestamp, TurnId, TurnState};

/// All that decides about a new turn, in one statement.
const STANDING: &str = "SELECT \
     (SELECT turn_id FROM paliadin_turns WHERE user_id = ?1 AND client_turn_id = ?2) AS earlier, \
     (SELECT c.hidden_at FROM paliadin_turns t JOIN conversations c ON c.session_id = t.session_id \
      WHERE t.user_id = ?1 AND t.client_turn_id = ?2) IS NOT NULL AS earlier_hidden, \
     (SELECT user_id FROM conversations WHERE session_id = ?3) AS owner, \
     (SELECT hidden_at FROM conversations WHERE session_id = ?3) IS NOT NULL AS hidden, \
     (SELECT count(*) FROM paliadin_turns WHERE user_id = ?1 AND state = 'queued') AS queued, \
     (SELECT count(*) FROM paliadin_turns \
      WHERE agent_session = ?4 AND state IN ('queued', 'running') AND turn_id < ?5) AS ahead";

const AHEAD: &str = "SELECT count(*) AS ahead FROM paliadin_turns \
     WHERE agent_session = ?1 AND state IN ('queued', 'running') AND turn_id < ?2";

const INSERT_CONVERSATION: &str =
    "INSERT INTO conversations (session_id, user_id, title, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)";

const INSERT_TURN: &str = "INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, client_turn_id, \
     backend, persona, profile, user_message, page_origin, context, queued_at, created_at, updated_at, state) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?12, 'queued')";

const CLAIM: &str = concat!(
    "UPDATE paliadin_turns SET state = 'running', epoch = ?2, delivering_pane = ?3, delivering_at = ?4, \
     updated_at = ?4 WHERE turn_id = ?1 AND state = 'queued' \
     AND ?2 >= coalesce((SELECT s.epoch FROM agent_sessions s WHERE s.name = agent_session), 0) RETURNING ",
    turn_columns!()
);

const REATTACH: &str = concat!(
    "UPDATE paliadin_turns SET epoch = ?2, delivering_pane = ?4, updated_at = ?3 WHERE turn_id = ?1 AND state = 'running' AND epoch <= ?2 \
     AND ?2 >= coalesce((SELECT s.epoch FROM agent_sessions s WHERE s.name = agent_session), 0) RETURNING ",
    turn_columns!()
);

const START: &str = "UPDATE paliadin_turns SET started_at = coalesce(started_at, ?3), updated_at = ?3 \
     WHERE turn_id = ?1 AND epoch = ?2";

const FINISH: &str = concat!(
    "UPDATE paliadin_turns SET state = ?3, finished_at = ?4, duration_ms = max(0, ?4 - queued_at), response = ?5, \
     partial = ?6, error_code = ?7, \
     error_history = CASE WHEN ?8 IS NULL THEN error_history ELSE json_insert(error_history, '$[#]', json(?8)) END, \
     used_tools = ?9, rows_seen = ?10, chip_count = ?11, classifier_tag = ?12, response_tokens = ?13, \
     updated_at = ?4 \
     WHERE turn_id = ?1 AND epoch <= ?2 AND state IN ('queued', 'running') RETURNING ",
    turn_columns!()
);

/// Takes the same arguments as [`FINISH`]. The code of the failure is in `error_history` already.
const RECORD_LATE: &str = concat!(
    "UPDATE paliadin_turns SET state = ?3, late = 1, finished_at = ?4, duration_ms = max(0, ?4 - queued_at), \
     response = ?5, partial = ?6, error_code = ?7, \
     error_history = CASE WHEN ?8 IS NULL THEN error_history ELSE json_insert(error_history, '$[#]', json(?8)) END, \
     used_tools = ?9, rows_seen = ?10, chip_count = ?11, classifier_tag = ?12, response_tokens = ?13, \
     updated_at = ?4 WHERE turn_id = ?1 AND epoch <= ?2 AND state = 'failed' RETURNING ",
    turn_columns!()
);

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 7] = [STANDING, AHEAD, CLAIM, REATTACH, START, FINISH, RECORD_LATE];

/// What [`STANDING`] tells.
struct Standing {
    earlier: Option<TurnId>,
    earlier_hidden: bool,
    owner: Option<String>,
    hidden: bool,
    queued: i64,
    ahead: u32,
}

fn standing(row: &SqliteRow) -> Result<Standing, StoreError> {
    let fields = Fields(row);
    Ok(Standing {
        earlier: fields.parsed_if_any("earlier")?,
        earlier_hidden: fields.get("earlier_hidden")?,
        owner: fields.get("owner")?,
        hidden: fields.get("hidden")?,
        queued: fields.get("queued")?,
        ahead: ahead(row)?,
    })
}

fn ahead(row: &SqliteRow) -> Result<u32, StoreError> {
    Ok(u32::try_from(Fields(row).get::<i64>("ahead")?).unwrap_or(u32::MAX))
}

fn missing(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is gone within one transaction"))
}

/// `Write::AcceptTurn`.
pub(super) async fn accept(connection: &mut SqliteConnection, new: &NewTurn) -> Result<Written, StoreError> {
    let (turn_id, user_id, session_id) = (new.turn_id.to_string(), new.user_id.to_string(), new.session_id.to_string());
    let bound = query(STANDING).bind(&user_id).bind(new.client_turn_id.as_deref()).bind(&session_id);
    let bound = bound.bind(&new.agent_session).bind(&turn_id);
    let standing = returning(connection, bound, standing).await?.ok_or_else(|| missing("the standing"))?;
    if let Some(earlier) = standing.earlier {
        if standing.earlier_hidden {
            return Ok(Written::Refused(Refusal::HiddenConversation));
        }
        return accepted_before(connection, earlier).await;
    }
    if standing.owner.as_ref().is_some_and(|owner| *owner != user_id) {
        return Ok(Written::Refused(Refusal::ForeignConversation));
    }
    if standing.hidden {
        return Ok(Written::Refused(Refusal::HiddenConversation));
    }
    if standing.queued >= i64::from(new.queue_limit) {
        return Ok(Written::Refused(Refusal::QueueFull));
    }
    let at = new.queued_at.0;
    if standing.owner.is_none() {
        let title = title::of_message(&new.user_message);
        let bound = query(INSERT_CONVERSATION).bind(&session_id).bind(&user_id).bind(title).bind(at);
        execute(connection, bound).await?;
    }
    let bound = query(INSERT_TURN).bind(&turn_id).bind(&user_id).bind(&session_id).bind(&new.agent_session);
    let bound = bound.bind(new.client_turn_id.as_deref()).bind(&new.backend).bind(&new.persona).bind(&new.profile);
    let bound = bound.bind(&new.user_message).bind(new.page_origin.as_deref());
    execute(connection, bound.bind(new.context.as_ref().map(Value::to_string)).bind(at)).await?;
    let queued = Event {
        id: EventId { epoch: 0, seq: 1 },
        kind: EventKind::Queued,
        data: json!({ "turn_id": new.turn_id, "position": standing.ahead }),
    };
    events::append(connection, new.turn_id, &[queued], new.queued_at).await?;
    Ok(Written::Accepted(Box::new(Accepted { turn: as_stored(new), created: true, ahead: standing.ahead })))
}

async fn accepted_before(connection: &mut SqliteConnection, id: TurnId) -> Result<Written, StoreError> {
    let turn = returning(connection, query(read::TURN).bind(id.to_string()), rows::turn).await?;
    let turn = turn.ok_or_else(|| missing("the earlier turn"))?;
    let ahead = if turn.state == TurnState::Queued {
        let bound = query(AHEAD).bind(&turn.agent_session).bind(id.to_string());
        returning(connection, bound, ahead).await?.unwrap_or_default()
    } else {
        0
    };
    Ok(Written::Accepted(Box::new(Accepted { turn, created: false, ahead })))
}

/// The row that [`INSERT_TURN`] made, spared a read.
fn as_stored(new: &NewTurn) -> Turn {
    Turn {
        turn_id: new.turn_id,
        user_id: new.user_id,
        session_id: new.session_id,
        agent_session: new.agent_session.clone(),
        client_turn_id: new.client_turn_id.clone(),
        state: TurnState::Queued,
        epoch: 0,
        backend: new.backend.clone(),
        persona: new.persona.clone(),
        profile: new.profile.clone(),
        user_message: new.user_message.clone(),
        page_origin: new.page_origin.clone(),
        context: new.context.clone(),
        queued_at: new.queued_at,
        delivering_at: None,
        delivering_pane: None,
        started_at: None,
        finished_at: None,
        duration_ms: None,
        response: None,
        partial: None,
        error_code: None,
        error_history: json!([]),
        used_tools: Vec::new(),
        rows_seen: Vec::new(),
        chip_count: 0,
        classifier_tag: None,
        response_tokens: None,
        late: false,
        aichat_conversation_id: None,
    }
}

/// `Write::ClaimTurn`.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    turn_id: TurnId,
    epoch: i64,
    pane: &str,
    at: Timestamp,
) -> Result<Written, StoreError> {
    let bound = query(CLAIM).bind(turn_id.to_string()).bind(epoch).bind(pane).bind(at.0);
    Ok(Written::Turn(returning(connection, bound, rows::turn).await?.map(Box::new)))
}

/// `Write::ReattachTurn`.
pub(super) async fn reattach(
    connection: &mut SqliteConnection,
    turn_id: TurnId,
    epoch: i64,
    pane: &str,
) -> Result<Written, StoreError> {
    let bound = query(REATTACH).bind(turn_id.to_string()).bind(epoch).bind(Timestamp::now().0).bind(pane);
    Ok(Written::Turn(returning(connection, bound, rows::turn).await?.map(Box::new)))
}

/// `Write::StartTurn`. The first sign of life counts.
pub(super) async fn start(
    connection: &mut SqliteConnection,
    turn_id: TurnId,
    epoch: i64,
    at: Timestamp,
) -> Result<Written, StoreError> {
    execute(connection, query(START).bind(turn_id.to_string()).bind(epoch).bind(at.0)).await?;
    Ok(Written::Done)
}

/// `Write::FinishTurn`.
pub(super) async fn finish(connection: &mut SqliteConnection, finish: &Finish) -> Result<Written, StoreError> {
    end(connection, FINISH, finish).await
}

/// `Write::RecordLate`.
pub(super) async fn record_late(connection: &mut SqliteConnection, finish: &Finish) -> Result<Written, StoreError> {
    match &finish.outcome {
        Outcome::Done(_) => end(connection, RECORD_LATE, finish).await,
        Outcome::Failed { .. } | Outcome::Cancelled { .. } => Ok(Written::Turn(None)),
    }
}

async fn end(
    connection: &mut SqliteConnection,
    statement: &'static str,
    finish: &Finish,
) -> Result<Written, StoreError> {
    let at = finish.at;
    let bound = query(statement).bind(finish.turn_id.to_string()).bind(finish.epoch);
    let bound = match &finish.outcome {
        Outcome::Done(answer) => {
            let warning = answer.warning.as_ref().map(|warning| json!({ "at": at, "warning": warning }).to_string());
            let bound = bound.bind(TurnState::Done.as_str()).bind(at.0).bind(Some(&answer.body)).bind(None::<&str>);
            let bound = bound.bind(None::<&str>).bind(warning);
            let bound = bound.bind(json!(answer.trailer.used_tools).to_string());
            let bound = bound.bind(json!(answer.trailer.rows_seen).to_string()).bind(answer.chip_count);
            bound.bind(answer.trailer.classifier_tag.as_deref()).bind(Some(answer.response_tokens))
        }
        Outcome::Failed { code, message, partial } => {
            let entry = json!({ "at": at, "code": code, "message": message }).to_string();
            let bound = bound.bind(TurnState::Failed.as_str()).bind(at.0).bind(None::<&str>).bind(partial.as_deref());
            let bound = bound.bind(Some(code.as_str())).bind(Some(entry));
            bound.bind("[]").bind("[]").bind(0).bind(None::<&str>).bind(None::<u32>)
        }
        Outcome::Cancelled { partial } => {
            let bound = bound.bind(TurnState::Cancelled.as_str()).bind(at.0).bind(None::<&str>);
            let bound = bound.bind(partial.as_deref()).bind(None::<&str>).bind(None::<String>);
            bound.bind("[]").bind("[]").bind(0).bind(None::<&str>).bind(None::<u32>)
        }
    };
    let Some(turn) = returning(connection, bound, rows::turn).await? else {
        return Ok(Written::Turn(None));
    };
    events::append(connection, finish.turn_id, &finish.events, at).await?;
    if let Some(entry) = &finish.audit {
        accounts::audit(connection, entry).await?;
    }
    Ok(Written::Turn(Some(Box::new(turn))))
}
