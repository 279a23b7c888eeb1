//! Conversations: listed, renamed, deleted.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::auth::Asker;
use super::owned::OwnedConversation;
use super::{App, Problem, answer, input, steer};
use crate::actors::address::Gone;
use crate::actors::sessions::{Key, SessionsMsg};
use crate::store::{AuditEntry, Listing, User, Write, Written};
use crate::turn::SessionId;

/// Bytes of what is searched for.
const MAX_SEARCH: usize = 200;
/// Characters of a title.
const MAX_TITLE: usize = 200;

/// The query of `GET /api/paliadin/conversations`.
#[derive(Deserialize)]
pub struct ListQuery {
    search: Option<String>,
    limit: Option<String>,
    before: Option<String>,
}

/// `GET /api/paliadin/conversations`: one's own, newest activity first.
pub async fn list(
    State(app): State<App>,
    Asker(user): Asker,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let search = query.search.as_deref().filter(|search| !search.is_empty());
    if search.is_some_and(|search| search.len() > MAX_SEARCH) {
        return Err(Problem::invalid(format!("`search` may have at most {MAX_SEARCH} bytes")));
    }
    let before = input::before(query.before.as_deref())?;
    let listing = Listing { search, before, limit: input::limit(query.limit.as_deref()) };
    let conversations = app.store.conversations(user.user_id, listing).await?;
    Ok(Json(conversations.iter().map(answer::conversation).collect()))
}

/// The body of `PATCH /api/paliadin/conversations/{session_id}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    title: String,
}

/// `PATCH /api/paliadin/conversations/{session_id}`: gives it another title.
pub async fn rename(
    State(app): State<App>,
    Asker(user): Asker,
    OwnedConversation(conversation): OwnedConversation,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(body) = body?;
    let Rename { title } = input::object(body)?;
    let title = title.trim().to_owned();
    if title.is_empty() || title.chars().count() > MAX_TITLE || title.contains(char::is_control) {
        let detail = format!("`title` must have 1 to {MAX_TITLE} characters, and no control characters");
        return Err(Problem::invalid(detail));
    }
    let (session_id, user_id) = (conversation.session_id, user.user_id);
    let audit = AuditEntry::now(user.email, "conversation.rename", session_id);
    let rename = Write::RenameConversation { session_id, user_id, title, audit };
    if app.recorder.write(rename).await? == Written::Count(0) {
        return Err(Problem::not_found());
    }
    // As it is by now, with whatever else happened to it.
    let conversation = app.store.conversation_of(user_id, session_id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(answer::conversation(&conversation)))
}

/// `DELETE /api/paliadin/conversations/{session_id}`: its user does not see it any more, and its open turns are
/// cancelled. The rows stay for the audit.
pub async fn delete(
    State(app): State<App>,
    Asker(user): Asker,
    OwnedConversation(conversation): OwnedConversation,
) -> Result<StatusCode, Problem> {
    // Beside the request: once it is hidden, its turns are ended, whether or not whoever asked still listens.
    let deleted = tokio::spawn(delete_whole(app, user, conversation.session_id));
    deleted.await.map_err(|_| Gone)??;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_whole(app: App, user: User, session_id: SessionId) -> Result<(), Problem> {
    let audit = AuditEntry::now(&user.email, "conversation.delete", session_id);
    let hide = Write::HideConversation { session_id, user_id: user.user_id, audit };
    if app.recorder.write(hide).await? == Written::Count(0) {
        return Err(Problem::not_found());
    }
    // No turn is accepted there any more; those that are open have nobody left to answer. What is not ended here (the
    // store is away, or we are) is not run: its session and the next start of the server see to that.
    let open = app.store.open_turns_of(session_id).await?;
    let endings = open.iter().map(|turn| steer::cancel_turn(&app, user.email.clone(), turn));
    let mut is_over = true;
    for (turn, ended) in open.iter().zip(join_all(endings).await) {
        if ended.is_err() {
            is_over = false;
            tracing::warn!(turn_id = %turn.turn_id, "a turn of a deleted conversation goes on for now");
        }
    }
    // An agent of its own is of no more use. A turn that goes on is to be cancelled first; then the janitor ends it.
    if is_over {
        for row in app.store.agent_sessions_of(session_id).await? {
            let _ = app.sessions.send(SessionsMsg::Retire(Key::of(&row)));
        }
    }
    Ok(())
}
