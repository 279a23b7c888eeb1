//! Rows in the shape of the wire.

use serde_json::{Value, json};

use crate::store::Turn;

/// A turn.
pub fn turn(turn: &Turn) -> Value {
    json!({
        "turn_id": turn.turn_id,
        "session_id": turn.session_id,
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
