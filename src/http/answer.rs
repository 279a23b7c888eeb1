//! Rows in the shape of the wire.

use serde_json::{Value, json};

use crate::store::{ConversationSummary, Turn};

/// A turn.
pub fn turn(turn: &Turn) -> Value {
    json!({
        "turn_id": turn.turn_id,
        "session_id": turn.session_id,
        "client_turn_id": turn.client_turn_id,
        "state": turn.state,
        "user_message": turn.user_message,
        "queued_at": turn.queued_at,
        "started_at": turn.started_at,
        "finished_at": turn.finished_at,
        "duration_ms": turn.duration_ms,
        "response": turn.response,
        "partial": turn.partial,
        "error_code": turn.error_code,
        "used_tools": turn.used_tools,
        "rows_seen": turn.rows_seen,
        "chip_count": turn.chip_count,
        "classifier_tag": turn.classifier_tag,
        "late": turn.late,
        "profile": turn.profile,
    })
}

/// A conversation.
pub fn conversation(conversation: &ConversationSummary) -> Value {
    json!({
        "session_id": conversation.session_id,
        "title": conversation.title,
        "created_at": conversation.created_at,
        "last_turn_at": conversation.last_turn_at,
        "last_turn_id": conversation.last_turn_id,
        "open_turns": conversation.open_turns,
    })
}
