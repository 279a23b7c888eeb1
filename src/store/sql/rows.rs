//! From a row of a database to a row of the store. A value that this version does not know is an error, never a guess.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::session::Columns;
use crate::store::{AgentSession, ApiToken, Conversation, ConversationSummary, StoreError, Turn, User, WebSession};
use crate::turn::{Event, EventId, Memory, SessionId, Timestamp, TurnId, UserId};

/// Reads columns by name.
pub(super) struct Fields<'r, R>(pub(super) &'r R);

impl<R: Columns> Fields<'_, R> {
    fn id(&self, column: &str) -> Result<Uuid, StoreError> {
        present(column, self.0.id(column)?)
    }

    pub(super) fn number(&self, column: &str) -> Result<i64, StoreError> {
        present(column, self.0.number(column)?)
    }

    fn text(&self, column: &str) -> Result<String, StoreError> {
        present(column, self.text_if_any(column)?)
    }

    fn text_if_any(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.0.text(column)?.map(Into::into))
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.number(column).map(Timestamp)
    }

    fn time_if_any(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.0.number(column)?.map(Timestamp))
    }

    /// A column that holds one of a fixed set of words.
    fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError> {
        present(column, self.parsed_if_any(column)?)
    }

    fn parsed_if_any<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let parse = |text: &str| text.parse().map_err(|error| StoreError::Corrupt(format!("column {column}: {error}")));
        self.0.text(column)?.map(|text| parse(&text)).transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        present(column, self.json_if_any(column)?)
    }

    fn json_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        // serde_json's message may quote a value, and a value may be what a user wrote: only the place is told.
        let place = |error: serde_json::Error| format!("column {column}: no such JSON at column {}", error.column());
        let parse = |text: &str| serde_json::from_str(text).map_err(|error| StoreError::Corrupt(place(error)));
        self.0.text(column)?.map(|text| parse(&text)).transpose()
    }
}

fn present<T>(column: &str, value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Corrupt(format!("column {column} is NULL")))
}

pub(super) fn turn_id<R: Columns>(row: &R) -> Result<TurnId, StoreError> {
    Fields(row).id("turn_id").map(TurnId)
}

pub(super) fn user<R: Columns>(row: &R) -> Result<User, StoreError> {
    let row = Fields(row);
    Ok(User {
        user_id: row.id("user_id").map(UserId)?,
        email: row.text("email")?,
        display_name: row.text("display_name")?,
        role: row.parsed("role")?,
        disabled_at: row.time_if_any("disabled_at")?,
    })
}

pub(super) fn api_token<R: Columns>(row: &R) -> Result<ApiToken, StoreError> {
    let row = Fields(row);
    Ok(ApiToken {
        token_id: row.id("token_id")?,
        user_id: row.id("user_id").map(UserId)?,
        name: row.text("name")?,
        hash: row.text("hash")?,
        scopes: row.json("scopes")?,
        expires_at: row.time_if_any("expires_at")?,
        last_used_at: row.time_if_any("last_used_at")?,
        revoked_at: row.time_if_any("revoked_at")?,
    })
}

pub(super) fn web_session<R: Columns>(row: &R) -> Result<WebSession, StoreError> {
    let row = Fields(row);
    Ok(WebSession {
        hash: row.text("hash")?,
        user_id: row.id("user_id").map(UserId)?,
        expires_at: row.time("expires_at")?,
        last_seen_at: row.time("last_seen_at")?,
    })
}

pub(super) fn agent_session<R: Columns>(row: &R) -> Result<AgentSession, StoreError> {
    let row = Fields(row);
    Ok(AgentSession {
        name: row.text("name")?,
        user_id: row.id("user_id").map(UserId)?,
        persona: row.text("persona")?,
        conversation: row.0.id("session_id")?.map(SessionId),
        backend: row.text("backend")?,
        host: row.text_if_any("host")?,
        epoch: row.number("epoch")?,
        memory: Memory {
            resume_id: row.text_if_any("agent_resume_id")?,
            since: row.time_if_any("memory_since")?.unwrap_or_default(),
        },
        state: row.text("state")?,
        restarts: row.number("restarts")?,
        last_reason: row.text_if_any("last_reason")?,
        last_used_at: row.time_if_any("last_used_at")?,
    })
}

pub(super) fn conversation<R: Columns>(row: &R) -> Result<Conversation, StoreError> {
    let row = Fields(row);
    Ok(Conversation {
        session_id: row.id("session_id").map(SessionId)?,
        user_id: row.id("user_id").map(UserId)?,
        title: row.text("title")?,
        hidden_at: row.time_if_any("hidden_at")?,
    })
}

pub(super) fn conversation_summary<R: Columns>(row: &R) -> Result<ConversationSummary, StoreError> {
    let row = Fields(row);
    Ok(ConversationSummary {
        session_id: row.id("session_id").map(SessionId)?,
        title: row.text("title")?,
        created_at: row.time("created_at")?,
        last_turn_at: row.time("last_turn_at")?,
        last_turn_id: row.id("last_turn_id").map(TurnId)?,
        open_turns: u32::try_from(row.number("open_turns")?).unwrap_or(u32::MAX),
    })
}

pub(super) fn turn<R: Columns>(row: &R) -> Result<Turn, StoreError> {
    let row = Fields(row);
    Ok(Turn {
        turn_id: row.id("turn_id").map(TurnId)?,
        user_id: row.id("user_id").map(UserId)?,
        session_id: row.id("session_id").map(SessionId)?,
        agent_session: row.text("agent_session")?,
        client_turn_id: row.text_if_any("client_turn_id")?,
        state: row.parsed("state")?,
        epoch: row.number("epoch")?,
        backend: row.text("backend")?,
        persona: row.text("persona")?,
        profile: row.text("profile")?,
        user_message: row.text("user_message")?,
        page_origin: row.text_if_any("page_origin")?,
        context: row.json_if_any("context")?,
        queued_at: row.time("queued_at")?,
        delivering_at: row.time_if_any("delivering_at")?,
        delivering_pane: row.text_if_any("delivering_pane")?,
        started_at: row.time_if_any("started_at")?,
        finished_at: row.time_if_any("finished_at")?,
        duration_ms: row.0.number("duration_ms")?,
        response: row.text_if_any("response")?,
        partial: row.text_if_any("partial")?,
        error_code: row.parsed_if_any("error_code")?,
        error_history: row.json("error_history")?,
        used_tools: row.json("used_tools")?,
        rows_seen: row.json("rows_seen")?,
        chip_count: row.number("chip_count")?,
        classifier_tag: row.text_if_any("classifier_tag")?,
        response_tokens: row.0.number("response_tokens")?,
        late: row.0.flag("late")?,
        aichat_conversation_id: row.text_if_any("aichat_conversation_id")?,
    })
}

pub(super) fn event<R: Columns>(row: &R) -> Result<Event, StoreError> {
    let row = Fields(row);
    Ok(Event {
        id: EventId { epoch: row.number("epoch")?, seq: row.number("seq")? },
        kind: row.parsed("kind")?,
        data: row.json("data")?,
    })
}
