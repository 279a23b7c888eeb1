//! Writes to turns.

use serde_json::{Value, json};

use super::rows::{self, Fields};
use super::session::{Argument, Columns, Session, arguments, one};
use super::{events, read};
use crate::store::{Accepted, NewTurn, Refusal, StoreError, Turn, Written, title};
use crate::turn::{Event, EventId, EventKind, Timestamp, TurnId, TurnState, UserId};

/// How often a turn is looked at again whose conversation came up while it was being accepted.
const ATTEMPTS: u32 = 3;

/// All that decides about a new turn, in one statement.
const STANDING: &str = "SELECT \
     (SELECT turn_id FROM paliadin_turns WHERE user_id = $1 AND client_turn_id = $2) AS earlier, \
     (SELECT c.hidden_at FROM paliadin_turns t JOIN conversations c ON c.session_id = t.session_id \
      WHERE t.user_id = $1 AND t.client_turn_id = $2) IS NOT NULL AS earlier_hidden, \
     (SELECT user_id FROM conversations WHERE session_id = $3) AS owner, \
     (SELECT hidden_at FROM conversations WHERE session_id = $3) IS NOT NULL AS hidden, \
     (SELECT count(*) FROM paliadin_turns WHERE user_id = $1 AND state = 'queued') AS queued, \
     (SELECT count(*) FROM paliadin_turns \
      WHERE agent_session = $4 AND state IN ('queued', 'running') AND turn_id < $5) AS ahead";

const AHEAD: &str = "SELECT count(*) AS ahead FROM paliadin_turns \
     WHERE agent_session = $1 AND state IN ('queued', 'running') AND turn_id < $2";

const INSERT_CONVERSATION: &str = "INSERT INTO conversations (session_id, user_id, title, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) \
     ON CONFLICT (session_id) DO NOTHING";

const INSERT_TURN: &str = "INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, client_turn_id, \
     backend, persona, profile, user_message, page_origin, context, queued_at, created_at, updated_at, state) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $12, 'queued')";

const START: &str = "UPDATE paliadin_turns SET started_at = coalesce(started_at, $3), updated_at = $3 \
     WHERE turn_id = $1 AND epoch = $2";

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 5] =
    [STANDING, AHEAD, super::dialect::SQLITE.claim, super::dialect::SQLITE.reattach, START];

/// What [`STANDING`] tells.
pub(super) struct Standing {
    earlier: Option<TurnId>,
    earlier_hidden: bool,
    owner: Option<UserId>,
    hidden: bool,
    queued: i64,
    ahead: u32,
}

fn standing<R: Columns>(row: &R) -> Result<Standing, StoreError> {
    let fields = Fields(row);
    Ok(Standing {
        earlier: row.id("earlier")?.map(TurnId),
        earlier_hidden: row.flag("earlier_hidden")?,
        owner: row.id("owner")?.map(UserId),
        hidden: row.flag("hidden")?,
        queued: fields.number("queued")?,
        ahead: ahead(row)?,
    })
}

fn ahead<R: Columns>(row: &R) -> Result<u32, StoreError> {
    Ok(u32::try_from(Fields(row).number("ahead")?).unwrap_or(u32::MAX))
}

fn missing(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is gone within one transaction"))
}

/// See [`super::dialect::Dialect::lock_user`].
pub(super) async fn lock_user<S: Session>(session: &mut S, user_id: UserId) -> Result<(), StoreError> {
    match S::DIALECT.lock_user {
        Some(lock) => session.rows(lock, arguments![user_id]).await.map(drop),
        None => Ok(()),
    }
}

/// `Write::AcceptTurn`.
pub(super) async fn accept<S: Session>(session: &mut S, new: &NewTurn) -> Result<Written, StoreError> {
    lock_user(session, new.user_id).await?;
    for _ in 0..ATTEMPTS {
        if let Some(written) = try_accept(session, new).await? {
            return Ok(written);
        }
    }
    Err(StoreError::Unavailable("a conversation comes up and is not there".to_owned()))
}

/// `None` where someone else makes the same conversation just now.
async fn try_accept<S: Session>(session: &mut S, new: &NewTurn) -> Result<Option<Written>, StoreError> {
    let standing = match foresee(session, new).await? {
        Ok(standing) => standing,
        Err(answer) => return Ok(Some(answer)),
    };
    if standing.owner.is_none() {
        let title = title::of_message(&new.user_message);
        let conversation = arguments![new.session_id, new.user_id, title, new.queued_at];
        if session.execute(INSERT_CONVERSATION, conversation).await? == 0 {
            return Ok(None);
        }
    }
    insert(session, new, standing.ahead).await?;
    let accepted = Accepted { turn: as_stored(new), created: true, ahead: standing.ahead };
    Ok(Some(Written::Accepted(Box::new(accepted))))
}

/// How a new turn stands that would be made; for one that would not be, the answer. Changes nothing.
pub(super) async fn foresee<S: Session>(
    session: &mut S,
    new: &NewTurn,
) -> Result<Result<Standing, Written>, StoreError> {
    let decisive = arguments![new.user_id, &new.client_turn_id, new.session_id, &new.agent_session, new.turn_id];
    let standing = one(session, STANDING, decisive, standing).await?.ok_or_else(|| missing("the standing"))?;
    let refusal = match standing.earlier {
        Some(earlier) if !standing.earlier_hidden => return accepted_before(session, earlier).await.map(Err),
        Some(_) => Refusal::HiddenConversation,
        None if standing.owner.is_some_and(|owner| owner != new.user_id) => Refusal::ForeignConversation,
        None if standing.hidden => Refusal::HiddenConversation,
        None if standing.queued >= i64::from(new.queue_limit) => Refusal::QueueFull,
        None => return Ok(Ok(standing)),
    };
    Ok(Err(Written::Refused(refusal)))
}

/// The row and the event that tells of it.
async fn insert<S: Session>(session: &mut S, new: &NewTurn, ahead: u32) -> Result<(), StoreError> {
    let row = arguments![
        new.turn_id,
        new.user_id,
        new.session_id,
        &new.agent_session,
        &new.client_turn_id,
        &new.backend,
        &new.persona,
        &new.profile,
        &new.user_message,
        &new.page_origin,
        new.context.as_ref().map(Value::to_string),
        new.queued_at,
    ];
    session.execute(INSERT_TURN, row).await?;
    let queued = Event {
        id: EventId { epoch: 0, seq: 1 },
        kind: EventKind::Queued,
        data: json!({ "turn_id": new.turn_id, "position": ahead }),
    };
    events::append(session, new.turn_id, &[queued], new.queued_at).await.map(drop)
}

async fn accepted_before<S: Session>(session: &mut S, id: TurnId) -> Result<Written, StoreError> {
    let turn = read::turn(session, id).await?.ok_or_else(|| missing("the earlier turn"))?;
    let ahead = if turn.state == TurnState::Queued {
        one(session, AHEAD, arguments![&turn.agent_session, id], ahead).await?.unwrap_or_default()
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
pub(super) async fn claim<S: Session>(
    session: &mut S,
    turn_id: TurnId,
    epoch: i64,
    pane: &str,
    at: Timestamp,
) -> Result<Written, StoreError> {
    changed(session, S::DIALECT.claim, arguments![turn_id, epoch, pane, at]).await
}

/// `Write::ReattachTurn`.
pub(super) async fn reattach<S: Session>(
    session: &mut S,
    turn_id: TurnId,
    epoch: i64,
    pane: &str,
) -> Result<Written, StoreError> {
    changed(session, S::DIALECT.reattach, arguments![turn_id, epoch, Timestamp::now(), pane]).await
}

/// The row, where the statement found one to change.
async fn changed<S: Session>(
    session: &mut S,
    statement: &'static str,
    arguments: &[Argument<'_>],
) -> Result<Written, StoreError> {
    Ok(Written::Turn(one(session, statement, arguments, rows::turn).await?.map(Box::new)))
}

/// `Write::StartTurn`. The first sign of life counts.
pub(super) async fn start<S: Session>(
    session: &mut S,
    turn_id: TurnId,
    epoch: i64,
    at: Timestamp,
) -> Result<Written, StoreError> {
    session.execute(START, arguments![turn_id, epoch, at]).await?;
    Ok(Written::Done)
}
