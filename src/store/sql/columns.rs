//! Column lists, written once. They are macros, since `concat!` takes nothing else.

macro_rules! turn_columns {
    () => {
        "turn_id, user_id, session_id, agent_session, client_turn_id, state, epoch, backend, persona, profile, \
         user_message, page_origin, context, queued_at, delivering_at, delivering_pane, started_at, finished_at, \
         duration_ms, response, partial, error_code, error_history, used_tools, rows_seen, chip_count, \
         classifier_tag, response_tokens, late, aichat_conversation_id"
    };
}

macro_rules! agent_session_columns {
    () => {
        "name, user_id, persona, session_id, backend, host, epoch, agent_resume_id, memory_since, state, restarts, \
         last_reason, last_used_at"
    };
}

macro_rules! user_columns {
    () => {
        "user_id, email, display_name, role, disabled_at"
    };
}

macro_rules! token_columns {
    () => {
        "token_id, user_id, name, hash, scopes, expires_at, last_used_at, revoked_at"
    };
}

pub(super) use {agent_session_columns, token_columns, turn_columns, user_columns};
