//! A turn under way: cancelled, or helped on by an answer to what its agent asks.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::auth::Asker;
use super::owned::OwnedTurn;
use super::{App, Code, Problem, input};
use crate::actors::address::Gone;
use crate::actors::sessions::{PersonsReply, SessionsMsg};
use crate::agent::envelope;
use crate::store::{AuditEntry, Turn, Write};
use crate::turn::{ErrorCode, EventId};

/// How long whoever asked waits; what was asked for goes on all the same.
const PATIENCE: Duration = Duration::from_secs(3);
/// How much longer it waits to be told what became of a reply. Nothing is typed by then that was not before.
const REPORT: Duration = Duration::from_millis(500);
/// Bytes of a reply.
const MAX_REPLY: usize = 4_000;

/// `POST /api/paliadin/turns/{turn_id}/cancel`: ends the turn. One that is over stays as it is.
pub async fn cancel(
    State(app): State<App>,
    Asker(user): Asker,
    OwnedTurn(turn): OwnedTurn,
) -> Result<(StatusCode, Json<Value>), Problem> {
    cancel_turn(&app, user.email, &turn).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "ok": true }))))
}

/// Ends a turn in its user's name, if it is not over.
pub async fn cancel_turn(app: &App, actor: String, turn: &Turn) -> Result<(), Problem> {
    if turn.state.is_final() {
        return Ok(());
    }
    let (app, turn) = (app.clone(), turn.clone());
    let late = Problem::unavailable(ErrorCode::StoreUnavailable, "the turn could not be ended yet; try again");
    to_the_end(PATIENCE, late, async move {
        let key = app.key_of(&turn).await?;
        app.sessions.ask(|reply| SessionsMsg::Cancel(key, turn.turn_id, actor, reply)).await??;
        Ok(())
    })
    .await
}

/// Waits a while for what is done beside the request: it goes on, and is written down, also where the answer is `late`
/// or whoever asked has hung up.
async fn to_the_end(
    patience: Duration,
    late: Problem,
    work: impl Future<Output = Result<(), Problem>> + Send + 'static,
) -> Result<(), Problem> {
    match timeout(patience, tokio::spawn(work)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Gone.into()),
        Err(_) => Err(late),
    }
}

/// The body of a reply.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    text: String,
    attention: String,
}

/// `POST /api/paliadin/turns/{turn_id}/reply`: hands an answer to the agent, once for each of its questions, and
/// only to the one that is meant.
pub async fn reply(
    State(app): State<App>,
    Asker(user): Asker,
    OwnedTurn(turn): OwnedTurn,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(body) = body?;
    let Reply { text, attention } = input::object(body)?;
    let attention: EventId =
        attention.parse().map_err(|_| Problem::invalid("`attention` must be the id of an `attention` event"))?;
    let line = envelope::line(&text);
    if line.is_empty() || line.len() > MAX_REPLY {
        return Err(Problem::invalid(format!("`text` must have 1 to {MAX_REPLY} bytes beside control characters")));
    }
    if !app.backend.can_reply() {
        let detail = "this agent takes answers in its terminal only";
        return Err(Problem::new(StatusCode::CONFLICT, Code::ReplyUnsupported, detail));
    }
    let said = PersonsReply { attention, line, until: Instant::now() + PATIENCE };
    let late =
        Problem::unavailable(ErrorCode::TmuxUnavailable, "nothing is known of the reply; it may have been typed");
    to_the_end(PATIENCE + REPORT, late, async move {
        let key = app.key_of(&turn).await?;
        app.sessions.ask(|reply| SessionsMsg::Reply(key, turn.turn_id, said, reply)).await??;
        app.recorder.later(Write::Audit(AuditEntry::now(user.email, "attention.reply", turn.turn_id)));
        Ok(())
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "ok": true }))))
}
