-- The whole schema, as SQLite's is after its migrations 0001 to 0003. Conventions:
--   * moments are bigint, milliseconds since the Unix epoch, so that no setting of a time zone matters;
--   * UUIDs are uuid, which compares byte by byte: as they were made (UUIDv7);
--   * texts have the collation "C": they compare byte by byte, and lower() changes ASCII letters only;
--   * JSON is text, as it was written: jsonb does not take "\u0000";
--   * texts of users and agents may hold any character, and PostgreSQL's cannot hold NUL. So in every text
--         NUL     is stored as  U+0001 U+0002 U+0002 U+0002,
--         U+0001  is stored as  U+0001 U+0001 U+0002 U+0002,
--         U+0002  is stored as  U+0001 U+0001 U+0001 U+0002.
--     None of the three begins within another or across two of them, so that a text is part of another one exactly
--     where its stored form is part of the other's. JSON escapes these characters by itself.
-- A migration that was released is never edited; what changes later gets a file of its own.

CREATE TABLE users (
    user_id      uuid PRIMARY KEY,
    email        text COLLATE "C" NOT NULL,
    display_name text COLLATE "C" NOT NULL DEFAULT '',
    role         text COLLATE "C" NOT NULL CHECK (role IN ('user', 'admin')),
    disabled_at  bigint,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE UNIQUE INDEX users_by_email ON users (lower(email));

CREATE TABLE api_tokens (
    token_id     uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    name         text COLLATE "C" NOT NULL,
    hash         text COLLATE "C" NOT NULL UNIQUE,       -- hex SHA-256 of the secret, which is stored nowhere
    -- Array of words; empty: all its user may.
    scopes       text COLLATE "C" NOT NULL DEFAULT '[]' CHECK (scopes::json IS NOT NULL),
    expires_at   bigint,
    last_used_at bigint,
    revoked_at   bigint,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE INDEX api_tokens_of_user ON api_tokens (user_id, created_at, token_id);

CREATE TABLE web_sessions (
    hash         text COLLATE "C" PRIMARY KEY,           -- hex SHA-256 of the cookie
    user_id      uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    expires_at   bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE INDEX web_sessions_of_user ON web_sessions (user_id);

CREATE TABLE agent_sessions (
    name            text COLLATE "C" PRIMARY KEY         -- also the name in tmux, which forbids '.' and ':'
                    CHECK (name ~ '^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$'),
    user_id         uuid NOT NULL REFERENCES users (user_id),
    persona         text COLLATE "C" NOT NULL DEFAULT '',    -- '' is the default persona (NULLs would not be unique)
    backend         text COLLATE "C" NOT NULL,
    host            text COLLATE "C",
    owner_node      text COLLATE "C",                    -- which server runs it; with one node always the same
    lease_until     bigint,                              -- until when no other node may take it
    epoch           bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),    -- grows with every new owner; never goes back
    agent_resume_id text COLLATE "C",
    state           text COLLATE "C" NOT NULL DEFAULT 'new', -- for people; the words belong to the session actor
    restarts        bigint NOT NULL DEFAULT 0 CHECK (restarts >= 0),
    last_reason     text COLLATE "C",
    last_used_at    bigint,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    UNIQUE (user_id, persona)
);

CREATE TABLE conversations (
    session_id uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (user_id),
    title      text COLLATE "C" NOT NULL DEFAULT '',
    hidden_at  bigint,                                   -- deleted by its user; the turns stay for the audit
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX conversations_of_user ON conversations (user_id);

CREATE TABLE paliadin_turns (
    turn_id                uuid PRIMARY KEY,
    user_id                uuid NOT NULL REFERENCES users (user_id),
    session_id             uuid NOT NULL REFERENCES conversations (session_id),
    agent_session          text COLLATE "C" NOT NULL,    -- no foreign key: the record outlives the agent session
    client_turn_id         text COLLATE "C",
    state                  text COLLATE "C" NOT NULL
                           CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    epoch                  bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    backend                text COLLATE "C" NOT NULL,
    persona                text COLLATE "C" NOT NULL DEFAULT '',
    profile                text COLLATE "C" NOT NULL,
    user_message           text COLLATE "C" NOT NULL,
    page_origin            text COLLATE "C",
    context                text COLLATE "C" CHECK (context IS NULL OR context::json IS NOT NULL),
    queued_at              bigint NOT NULL,
    delivering_at          bigint,                       -- the intent to type, committed before anything is typed
    delivering_pane        text COLLATE "C",             -- pane and process that the intent was made for
    started_at             bigint,
    finished_at            bigint,
    duration_ms            bigint CHECK (duration_ms >= 0),
    response               text COLLATE "C",             -- complete answers only
    partial                text COLLATE "C",             -- what an interrupted turn left
    error_code             text COLLATE "C",
    -- Array of objects, oldest first.
    error_history          text COLLATE "C" NOT NULL DEFAULT '[]' CHECK (error_history::json IS NOT NULL),
    used_tools             text COLLATE "C" NOT NULL DEFAULT '[]' CHECK (used_tools::json IS NOT NULL),
    rows_seen              text COLLATE "C" NOT NULL DEFAULT '[]' CHECK (rows_seen::json IS NOT NULL),
    chip_count             bigint NOT NULL DEFAULT 0 CHECK (chip_count >= 0),
    classifier_tag         text COLLATE "C",
    response_tokens        bigint CHECK (response_tokens >= 0),
    late                   boolean NOT NULL DEFAULT false,
    aichat_conversation_id text COLLATE "C",
    created_at             bigint NOT NULL,
    updated_at             bigint NOT NULL,
    UNIQUE (user_id, client_turn_id),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running'))),
    CHECK (state <> 'failed' OR error_code IS NOT NULL)
);
-- The queue. These stay as small as the work that is open, however long the history grows.
CREATE INDEX turns_open ON paliadin_turns (agent_session, turn_id) WHERE state IN ('queued', 'running');
CREATE INDEX turns_queued_of_user ON paliadin_turns (user_id) WHERE state = 'queued';
CREATE INDEX turns_open_of_conversation ON paliadin_turns (session_id, turn_id) WHERE state IN ('queued', 'running');
CREATE INDEX turns_of_conversation ON paliadin_turns (session_id, turn_id);
-- The janitor looks through failed turns for those to which an answer may still come.
CREATE INDEX turns_failed ON paliadin_turns (finished_at) WHERE state = 'failed';

-- Rows are written once and never changed; `at` says when.
CREATE TABLE turn_events (
    turn_id uuid NOT NULL REFERENCES paliadin_turns (turn_id) ON DELETE CASCADE,
    epoch   bigint NOT NULL CHECK (epoch >= 0),
    seq     bigint NOT NULL CHECK (seq >= 1),
    kind    text COLLATE "C" NOT NULL,
    data    text COLLATE "C" NOT NULL,                   -- JSON object, as it goes over the wire
    at      bigint NOT NULL,
    PRIMARY KEY (turn_id, epoch, seq)
);

-- Append-only, too. An id is never given out twice; a write that was taken back leaves a gap, too.
CREATE TABLE audit_log (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     bigint NOT NULL,
    actor  text COLLATE "C" NOT NULL,                    -- email or 'system'; no foreign key: it outlives the account
    action text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    detail text COLLATE "C" NOT NULL CHECK (detail::json IS NOT NULL)   -- holds no turn text and no secret
);
CREATE INDEX audit_log_by_time ON audit_log (at);

-- Web applications that may call the central backend.
CREATE TABLE aichat_clients (
    client_id  text COLLATE "C" PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    token_hash text COLLATE "C" NOT NULL UNIQUE,         -- hex SHA-256 of the bearer token
    personas   text COLLATE "C" NOT NULL DEFAULT '[]' CHECK (personas::json IS NOT NULL),
    limits     text COLLATE "C" NOT NULL DEFAULT '{}' CHECK (limits::json IS NOT NULL),
    jwt_issuer text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
