//! From a row of SQLite to a row of the store. A value that this version does not know is an error, never a guess.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use super::error::store_error;
use crate::store::{AgentSession, ApiToken, Conversation, ConversationSummary, StoreError, Turn, User, WebSession};
use crate::turn::{Event, EventId, Timestamp};

/// Reads columns by name.
pub(super) struct Fields<'r>(pub(super) &'r SqliteRow);

impl<'r> Fields<'r> {
    pub(super) fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(&self, column: &str) -> Result<T, StoreError> {
        self.0.try_get(column).map_err(store_error)
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.get(column).map(Timestamp)
    }

    fn time_if_any(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp))
    }

    /// A column that holds an id or one of a fixed set of words.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError> {
        parse(column, self.get::<&str>(column)?)
    }

    pub(super) fn parsed_if_any<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        self.get::<Option<&str>>(column)?.map(|text| parse(column, text)).transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        parse_json(column, self.get(column)?)
    }

    fn json_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        self.get::<Option<&str>>(column)?.map(|text| parse_json(column, text)).transpose()
    }
}

fn parse<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error| StoreError::Corrupt(format!("column {column}: {error}")))
}

fn parse_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    // serde_json's message may quote a value, and a value may be what a user wrote: only the place is told.
    let place = |error: serde_json::Error| format!("column {column}: no such JSON at column {}", error.column());
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(place(error)))
}

pub(super) fn user(row: &SqliteRow) -> Result<User, StoreError> {
    let row = Fields(row);
    Ok(User {
        user_id: row.parsed("user_id")?,
        email: row.get("email")?,
        display_name: row.get("display_name")?,
        role: row.parsed("role")?,
        disabled_at: row.time_if_any("disabled_at")?,
    })
}

pub(super) fn api_token(row: &SqliteRow) -> Result<ApiToken, StoreError> {
    let row = Fields(row);
    Ok(ApiToken {
        token_id: row.parsed("token_id")?,
        user_id: row.parsed("user_id")?,
        name: row.get("name")?,
        hash: row.get("hash")?,
        scopes: row.json("scopes")?,
        expires_at: row.time_if_any("expires_at")?,
        last_used_at: row.time_if_any("last_used_at")?,
        revoked_at: row.time_if_any("revoked_at")?,
    })
}

pub(super) fn web_session(row: &SqliteRow) -> Result<WebSession, StoreError> {
    let row = Fields(row);
    Ok(WebSession {
        hash: row.get("hash")?,
        user_id: row.parsed("user_id")?,
        expires_at: row.time("expires_at")?,
        last_seen_at: row.time("last_seen_at")?,
    })
}

pub(super) fn agent_session(row: &SqliteRow) -> Result<AgentSession, StoreError> {
    let row = Fields(row);
    Ok(AgentSession {
        name: row.get("name")?,
        user_id: row.parsed("user_id")?,
        persona: row.get("persona")?,
        backend: row.get("backend")?,
        host: row.get("host")?,
        epoch: row.get("epoch")?,
        agent_resume_id: row.get("agent_resume_id")?,
        state: row.get("state")?,
        restarts: row.get("restarts")?,
        last_reason: row.get("last_reason")?,
        last_used_at: row.time_if_any("last_used_at")?,
    })
}

pub(super) fn conversation(row: &SqliteRow) -> Result<Conversation, StoreError> {
    let row = Fields(row);
    Ok(Conversation {
        session_id: row.parsed("session_id")?,
        user_id: row.parsed("user_id")?,
        title: row.get("title")?,
        hidden_at: row.time_if_any("hidden_at")?,
    })
}

pub(super) fn conversation_summary(row: &SqliteRow) -> Result<ConversationSummary, StoreError> {
    let row = Fields(row);
    Ok(ConversationSummary {
        session_id: row.parsed("session_id")?,
        title: row.get("title")?,
        created_at: row.time("created_at")?,
        last_turn_at: row.time("last_turn_at")?,
        last_turn_id: row.parsed("last_turn_id")?,
        open_turns: row.get("open_turns")?,
    })
}

pub(super) fn turn(row: &SqliteRow) -> Result<Turn, StoreError> {
    let row = Fields(row);
    Ok(Turn {
        turn_id: row.parsed("turn_id")?,
        user_id: row.parsed("user_id")?,
        session_id: row.parsed("session_id")?,
        agent_session: row.get("agent_session")?,
        client_turn_id: row.get("client_turn_id")?,
        state: row.parsed("state")?,
        epoch: row.get("epoch")?,
        backend: row.get("backend")?,
        persona: row.get("persona")?,
        profile: row.get("profile")?,
        user_message: row.get("user_message")?,
        page_origin: row.get("page_origin")?,
        context: row.json_if_any("context")?,
        queued_at: row.time("queued_at")?,
        delivering_at: row.time_if_any("delivering_at")?,
        delivering_pane: row.get("delivering_pane")?,
        started_at: row.time_if_any("started_at")?,
        finished_at: row.time_if_any("finished_at")?,
        duration_ms: row.get("duration_ms")?,
        response: row.get("response")?,
        partial: row.get("partial")?,
        error_code: row.parsed_if_any("error_code")?,
        error_history: row.json("error_history")?,
        used_tools: row.json("used_tools")?,
        rows_seen: row.json("rows_seen")?,
        chip_count: row.get("chip_count")?,
        classifier_tag: row.get("classifier_tag")?,
        response_tokens: row.get("response_tokens")?,
        late: row.get("late")?,
        aichat_conversation_id: row.get("aichat_conversation_id")?,
    })
}

pub(super) fn event(row: &SqliteRow) -> Result<Event, StoreError> {
    let row = Fields(row);
    Ok(Event {
        id: EventId { epoch: row.get("epoch")?, seq: row.get("seq")? },
        kind: row.parsed("kind")?,
        data: row.json("data")?,
    })
}
