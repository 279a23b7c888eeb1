-- An agent session may be a conversation's own. `session_id` is that conversation, NULL for one that serves all of its
-- user's. It refers to no row: an agent session is there before the first turn of its conversation is accepted.
-- SQLite cannot drop a table's own UNIQUE (user_id, persona): the table is made anew, with every column that it had.
CREATE TABLE agent_sessions_by_scope (
    name            TEXT PRIMARY KEY NOT NULL            -- also the name in tmux, which forbids '.' and ':'
                    CHECK (name GLOB '[A-Za-z0-9_]*' AND name NOT GLOB '*[^A-Za-z0-9_-]*' AND length(name) <= 64),
    user_id         TEXT NOT NULL REFERENCES users (user_id),
    persona         TEXT NOT NULL DEFAULT '',            -- '' is the default persona (NULLs would not be unique)
    session_id      TEXT CHECK (length(session_id) = 36 AND session_id = lower(session_id)),
    backend         TEXT NOT NULL,
    host            TEXT,
    owner_node      TEXT,                                -- which server runs it; with one node always the same
    lease_until     INTEGER,                             -- until when no other node may take it
    epoch           INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),        -- grows with every new owner; never goes back
    agent_resume_id TEXT,
    state           TEXT NOT NULL DEFAULT 'new',         -- for people; the words belong to the session actor
    restarts        INTEGER NOT NULL DEFAULT 0 CHECK (restarts >= 0),
    last_reason     TEXT,
    last_used_at    INTEGER,
    memory_since    INTEGER,                             -- see 0004_memory.sql
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
INSERT INTO agent_sessions_by_scope (name, user_id, persona, backend, host, owner_node, lease_until, epoch,
    agent_resume_id, state, restarts, last_reason, last_used_at, memory_since, created_at, updated_at)
SELECT name, user_id, persona, backend, host, owner_node, lease_until, epoch,
    agent_resume_id, state, restarts, last_reason, last_used_at, memory_since, created_at, updated_at FROM agent_sessions;
DROP TABLE agent_sessions;
ALTER TABLE agent_sessions_by_scope RENAME TO agent_sessions;

-- Two indexes, since NULLs are no two the same to one.
CREATE UNIQUE INDEX agent_sessions_of_user ON agent_sessions (user_id, persona) WHERE session_id IS NULL;
CREATE UNIQUE INDEX agent_sessions_of_conversation ON agent_sessions (session_id, user_id, persona)
    WHERE session_id IS NOT NULL;
