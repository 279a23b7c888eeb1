//! Resources as their owner gets them. A handler never sees a bare id: who names someone else's turn or conversation, or
//! a deleted one, names nothing.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;

use super::auth::Asker;
use super::{App, Problem};
use crate::store::{ConversationSummary, Turn};
use crate::turn::{SessionId, TurnId};

/// The turn that the path's `{turn_id}` names, of the user who asks.
pub struct OwnedTurn(pub Turn);

/// The conversation that the path's `{session_id}` names, of the user who asks.
pub struct OwnedConversation(pub ConversationSummary);

#[derive(Deserialize)]
struct NamedTurn {
    turn_id: String,
}

#[derive(Deserialize)]
struct NamedConversation {
    session_id: String,
}

impl FromRequestParts<App> for OwnedTurn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Asker(user) = Asker::from_request_parts(parts, app).await?;
        let Path(NamedTurn { turn_id }) = Path::<NamedTurn>::from_request_parts(parts, app).await?;
        let turn_id: TurnId = turn_id.parse().map_err(|_| Problem::not_found())?;
        let turn = app.store.turn_of(user.user_id, turn_id).await?;
        turn.map(OwnedTurn).ok_or_else(Problem::not_found)
    }
}

impl FromRequestParts<App> for OwnedConversation {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Asker(user) = Asker::from_request_parts(parts, app).await?;
        let named = Path::<NamedConversation>::from_request_parts(parts, app).await?;
        let session_id: SessionId = named.0.session_id.parse().map_err(|_| Problem::not_found())?;
        let conversation = app.store.conversation_of(user.user_id, session_id).await?;
        conversation.map(OwnedConversation).ok_or_else(Problem::not_found)
    }
}
