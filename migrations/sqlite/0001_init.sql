-- The whole schema. Conventions:
--   * moments are INTEGER milliseconds since the Unix epoch;
--   * UUIDs are TEXT, hyphenated and lower case, so that they compare as they were made (UUIDv7);
--   * JSON is TEXT;
--   * texts of users and agents may hold any character, NUL too: no CHECK may call length() on them.
-- A migration that was released is never edited; what changes later gets a file of its own.

CREATE TABLE users (
    user_id      TEXT PRIMARY KEY NOT NULL CHECK (length(user_id) = 36 AND user_id = lower(user_id)),
    email        TEXT NOT NULL UNIQUE COLLATE NOCASE,    -- NOCASE folds ASCII only
    display_name TEXT NOT NULL DEFAULT '',
    role         TEXT NOT NULL CHECK (role IN ('user', 'admin')),
    disabled_at  INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE api_tokens (
    token_id     TEXT PRIMARY KEY NOT NULL CHECK (length(token_id) = 36 AND token_id = lower(token_id)),
    user_id      TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,                   -- hex SHA-256 of the secret, which is stored nowhere
    scopes       TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(scopes)),   -- array of words; empty: all its user may
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX api_tokens_of_user ON api_tokens (user_id, created_at, token_id);

CREATE TABLE web_sessions (
    hash         TEXT PRIMARY KEY NOT NULL,              -- hex SHA-256 of the cookie
    user_id      TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    expires_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX web_sessions_of_user ON web_sessions (user_id);

CREATE TABLE agent_sessions (
    name            TEXT PRIMARY KEY NOT NULL            -- also the name in tmux, which forbids '.' and ':'
                    CHECK (name GLOB '[A-Za-z0-9_]*' AND name NOT GLOB '*[^A-Za-z0-9_-]*' AND length(name) <= 64),
    user_id         TEXT NOT NULL REFERENCES users (user_id),
    persona         TEXT NOT NULL DEFAULT '',            -- '' is the default persona (NULLs would not be unique)
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
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (user_id, persona)
) STRICT;

CREATE TABLE conversations (
    session_id TEXT PRIMARY KEY NOT NULL CHECK (length(session_id) = 36 AND session_id = lower(session_id)),
    user_id    TEXT NOT NULL REFERENCES users (user_id),
    title      TEXT NOT NULL DEFAULT '',
    hidden_at  INTEGER,                                  -- deleted by its user; the turns stay for the audit
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_of_user ON conversations (user_id);

CREATE TABLE paliadin_turns (
    turn_id                TEXT PRIMARY KEY NOT NULL CHECK (length(turn_id) = 36 AND turn_id = lower(turn_id)),
    user_id                TEXT NOT NULL REFERENCES users (user_id),
    session_id             TEXT NOT NULL REFERENCES conversations (session_id),
    agent_session          TEXT NOT NULL,                -- no foreign key: the record outlives the agent session
    client_turn_id         TEXT,
    state                  TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    epoch                  INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    backend                TEXT NOT NULL,
    persona                TEXT NOT NULL DEFAULT '',
    profile                TEXT NOT NULL,
    user_message           TEXT NOT NULL,
    page_origin            TEXT,
    context                TEXT CHECK (json_valid(context)),
    queued_at              INTEGER NOT NULL,
    delivering_at          INTEGER,                      -- the intent to type, committed before anything is typed
    delivering_pane        TEXT,                         -- pane and process that the intent was made for
    started_at             INTEGER,
    finished_at            INTEGER,
    duration_ms            INTEGER CHECK (duration_ms >= 0),
    response               TEXT,                         -- complete answers only
    partial                TEXT,                         -- what an interrupted turn left
    error_code             TEXT,
    error_history          TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(error_history)),   -- array of objects, oldest first
    used_tools             TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(used_tools)),
    rows_seen              TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(rows_seen)),
    chip_count             INTEGER NOT NULL DEFAULT 0 CHECK (chip_count >= 0),
    classifier_tag         TEXT,
    response_tokens        INTEGER CHECK (response_tokens >= 0),
    late                   INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1)),
    aichat_conversation_id TEXT,
    created_at             INTEGER NOT NULL,
    updated_at             INTEGER NOT NULL,
    UNIQUE (user_id, client_turn_id),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running'))),
    CHECK (state <> 'failed' OR error_code IS NOT NULL)
) STRICT;
-- The queue. Both stay as small as the work that is open, however long the history grows. SQLite uses a partial index
-- only for a query that repeats its WHERE term.
CREATE INDEX turns_open ON paliadin_turns (agent_session, turn_id) WHERE state IN ('queued', 'running');
CREATE INDEX turns_queued_of_user ON paliadin_turns (user_id) WHERE state = 'queued';
CREATE INDEX turns_of_conversation ON paliadin_turns (session_id, turn_id);

-- Rows are written once and never changed; `at` says when. Without a rowid the events of a turn lie side by side in
-- their order, and a stream is replayed from one range of the table itself.
CREATE TABLE turn_events (
    turn_id TEXT NOT NULL REFERENCES paliadin_turns (turn_id) ON DELETE CASCADE,
    epoch   INTEGER NOT NULL CHECK (epoch >= 0),
    seq     INTEGER NOT NULL CHECK (seq >= 1),
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL,                               -- JSON object, as it goes over the wire
    at      INTEGER NOT NULL,
    PRIMARY KEY (turn_id, epoch, seq)
) STRICT, WITHOUT ROWID;

-- Append-only, too. AUTOINCREMENT: an id is never given out twice, so that a gap shows a removed entry.
CREATE TABLE audit_log (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,                                -- email or 'system'; no foreign key: it outlives the account
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL CHECK (json_valid(detail))      -- holds no turn text and no secret
) STRICT;
CREATE INDEX audit_log_by_time ON audit_log (at);

-- Web applications that may call the central backend.
CREATE TABLE aichat_clients (
    client_id  TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,                     -- hex SHA-256 of the bearer token
    personas   TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(personas)),
    limits     TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(limits)),
    jwt_issuer TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
