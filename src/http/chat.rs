//! Turns: asking, reading, and the standing of one's agent session.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Asker, Credential};
use super::owned::OwnedTurn;
use super::{App, Code, Problem, answer, input};
use crate::actors::sessions::{Key, Question, SessionsMsg};
use crate::config::SessionScope;
use crate::store::{AuditEntry, Write};
use crate::turn::{SessionId, UserId};

/// Bytes of a page's context, as JSON.
const MAX_CONTEXT: usize = 16 * 1024;
/// Bytes of a `client_turn_id`, and of a `page_origin`.
const MAX_NAME: usize = 256;
/// The persona of every turn, until there are others.
const DEFAULT_PERSONA: &str = "";

/// The body of `POST /api/paliadin/turn`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    user_message: String,
    session_id: Option<SessionId>,
    page_origin: Option<String>,
    context: Option<Context>,
    client_turn_id: Option<String>,
    persona: Option<String>,
}

/// The page in which the chat is embedded, as far as it tells.
#[derive(Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    page_origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<serde_json::Map<String, Value>>,
}

/// `POST /api/paliadin/turn`: accepts a question. When it answers, the row is committed.
pub async fn ask(
    State(app): State<App>,
    Asker(user): Asker,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let limit = app.config.turn.max_message;
    let too_large = |rejection: JsonRejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::message_too_large(limit),
        _ => rejection.into(),
    };
    let Json(body) = body.map_err(too_large)?;
    if body.get("context").is_some_and(|context| !context.is_object() && !context.is_null()) {
        return Err(Problem::invalid("`context` must be a JSON object"));
    }
    let body: Ask = input::object(body)?;
    let question = body.into_question(user.user_id, limit)?;
    let reply = |reply| SessionsMsg::Submit(Box::new(question), reply);
    let accepted = app.sessions.ask(reply).await??;
    let turn = accepted.turn;
    let body = json!({
        "turn_id": turn.turn_id,
        "session_id": turn.session_id,
        "sse_url": format!("/api/paliadin/stream/{}", turn.turn_id),
        "position": accepted.ahead,
    });
    Ok((StatusCode::ACCEPTED, Json(body)))
}

impl Ask {
    fn into_question(self, user_id: UserId, max_message: usize) -> Result<Question, Problem> {
        if self.user_message.is_empty() {
            return Err(Problem::invalid("`user_message` is empty"));
        }
        if self.user_message.len() > max_message {
            return Err(Problem::message_too_large(max_message));
        }
        if self.persona.is_some_and(|persona| persona != DEFAULT_PERSONA) {
            return Err(Problem::invalid("there is no such persona"));
        }
        let page_origin =
            self.page_origin.or_else(|| self.context.as_ref().and_then(|context| context.page_origin.clone()));
        for (name, value) in [("client_turn_id", &self.client_turn_id), ("page_origin", &page_origin)] {
            if value.as_ref().is_some_and(|value| value.is_empty() || value.len() > MAX_NAME) {
                return Err(Problem::invalid(format!("`{name}` must have 1 to {MAX_NAME} bytes")));
            }
        }
        let context = self.context.map(|context| json!(context));
        if context.as_ref().is_some_and(|context| context.to_string().len() > MAX_CONTEXT) {
            let detail = format!("`context` may have at most {MAX_CONTEXT} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidRequest, detail));
        }
        Ok(Question {
            user_id,
            persona: DEFAULT_PERSONA.to_owned(),
            session_id: self.session_id.unwrap_or_else(SessionId::fresh),
            client_turn_id: self.client_turn_id,
            user_message: self.user_message,
            page_origin,
            context,
        })
    }
}

/// `GET /api/paliadin/turns/{turn_id}`: the row.
pub async fn turn(OwnedTurn(turn): OwnedTurn) -> Json<Value> {
    Json(answer::turn(&turn))
}

/// The query of `GET /api/paliadin/history`.
#[derive(Deserialize)]
pub struct HistoryQuery {
    session: Option<String>,
    limit: Option<String>,
    before: Option<String>,
}

/// `GET /api/paliadin/history`: the turns of a conversation, oldest first. Someone else's conversation is empty.
pub async fn history(
    State(app): State<App>,
    Asker(user): Asker,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let Some(session) = input::session(query.session.as_deref())? else { return Ok(Json(json!([]))) };
    let (before, limit) = (input::before(query.before.as_deref())?, input::limit(query.limit.as_deref()));
    let turns = app.store.history(user.user_id, session, before, limit).await?;
    Ok(Json(turns.iter().map(answer::turn).collect()))
}

/// The query of what is about an agent session.
#[derive(Deserialize)]
pub struct SessionQuery {
    session: Option<String>,
}

/// The conversation whose agent session is meant, where each has one of its own.
fn conversation_meant(
    app: &App,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Result<Option<SessionId>, Problem> {
    let Query(query) = query?;
    let session = input::session(query.session.as_deref())?;
    Ok(session.filter(|_| app.config.agent.session_scope == SessionScope::Conversation))
}

/// `POST /api/paliadin/reset`: ends one's agents, or that of one conversation, and every open turn with them.
pub async fn reset(
    State(app): State<App>,
    Asker(user): Asker,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let target = match conversation_meant(&app, query)? {
        None => {
            app.sessions.ask(|reply| SessionsMsg::ResetAll(user.user_id, reply)).await??;
            user.user_id.to_string()
        }
        Some(session_id) => {
            app.store.conversation_of(user.user_id, session_id).await?.ok_or_else(Problem::not_found)?;
            // One without an agent session had its turns before there was one for each.
            if let Some(row) = app.store.agent_session(user.user_id, DEFAULT_PERSONA, Some(session_id)).await? {
                app.sessions.ask(|reply| SessionsMsg::Reset(Key::of(&row), reply)).await??;
            }
            session_id.to_string()
        }
    };
    app.recorder.later(Write::Audit(AuditEntry::now(user.email, "session.reset", target)));
    Ok(Json(json!({ "ok": true })))
}

/// `GET /api/paliadin/status`: what answers, and how one's own agent session stands, or that of a conversation.
pub async fn status(
    State(app): State<App>,
    Asker(user): Asker,
    Extension(credential): Extension<Credential>,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let (scope, conversation) = (app.config.agent.session_scope, conversation_meant(&app, query)?);
    let session = if scope == SessionScope::User || conversation.is_some() {
        // Someone else's conversation has none of this user's, nor has one that is not there yet.
        let key = Key { user_id: user.user_id, persona: DEFAULT_PERSONA.to_owned(), conversation };
        app.sessions.ask(|reply| SessionsMsg::Report(key, reply)).await?
    } else {
        None
    };
    Ok(Json(json!({
        "backend": app.backend.name(),
        "profile": app.backend.profile(),
        "demo": app.backend.profile() == "demo",
        "can_reply": app.backend.can_reply(),
        "max_message": app.config.turn.max_message,
        "version": env!("CARGO_PKG_VERSION"),
        "user": { "email": user.email, "role": user.role },
        "can_sign_out": matches!(credential, Credential::Browser(_)),
        "session_scope": scope,
        "agent_session": session,
    })))
}
