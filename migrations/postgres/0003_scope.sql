-- An agent session may be a conversation's own. `session_id` is that conversation, NULL for one that serves all of its
-- user's. It refers to no row: an agent session is there before the first turn of its conversation is accepted.
ALTER TABLE agent_sessions ADD COLUMN session_id uuid;
ALTER TABLE agent_sessions DROP CONSTRAINT agent_sessions_user_id_persona_key;

-- Two indexes, since NULLs are no two the same to one.
CREATE UNIQUE INDEX agent_sessions_of_user ON agent_sessions (user_id, persona) WHERE session_id IS NULL;
CREATE UNIQUE INDEX agent_sessions_of_conversation ON agent_sessions (session_id, user_id, persona)
    WHERE session_id IS NOT NULL;
