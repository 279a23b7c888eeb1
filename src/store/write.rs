//! Everything that can be written, as data: what one transaction is made of.

use std::fmt::Display;

use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::{AgentSession, ApiToken, Role, Turn, User, WebSession};
use crate::turn::{Event, Memory, Outcome, SessionId, Timestamp, TurnId, UserId};

/// A turn as it is accepted. Its conversation is made with it where there is none yet.
#[derive(Clone, PartialEq)]
pub struct NewTurn {
    /// Made by the server (UUIDv7).
    pub turn_id: TurnId,
    /// Who asks.
    pub user_id: UserId,
    /// In which conversation.
    pub session_id: SessionId,
    /// Which agent session shall answer.
    pub agent_session: String,
    /// The client's own id.
    pub client_turn_id: Option<String>,
    /// Which backend runs it.
    pub backend: String,
    /// `""` is the default persona.
    pub persona: String,
    /// Which agent profile answers.
    pub profile: String,
    /// The question.
    pub user_message: String,
    /// Where the embedding page is.
    pub page_origin: Option<String>,
    /// The page's context, a JSON object.
    pub context: Option<Value>,
    /// When it came in.
    pub queued_at: Timestamp,
    /// Queued turns that the user may have, this one included.
    pub queue_limit: u32,
}

/// Why a turn was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The conversation is someone else's. To the asker it does not exist.
    ForeignConversation,
    /// The conversation, or that of the turn which the same `client_turn_id` made before, was deleted by its user.
    HiddenConversation,
    /// The user has `queue_limit` queued turns already.
    QueueFull,
}

/// What became of a [`NewTurn`].
#[derive(Clone, PartialEq, Debug)]
pub struct Accepted {
    /// The row: the new one, or the one that the same `client_turn_id` made before.
    pub turn: Turn,
    /// False where the turn was there already.
    pub created: bool,
    /// Open turns of the same agent session before this one; 0 for one that is no longer queued.
    pub ahead: u32,
}

/// An entry of the audit log.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditEntry {
    /// Who did it: an email, `system` or `command line`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// More about it, a JSON object; no turn text and no secret.
    pub detail: Value,
    /// When.
    pub at: Timestamp,
}

impl AuditEntry {
    /// What is done just now, with nothing more to say of it.
    pub fn now(actor: impl Into<String>, action: &str, target: impl Display) -> Self {
        let (action, target) = (action.to_owned(), target.to_string());
        Self { actor: actor.into(), action, target, detail: json!({}), at: Timestamp::now() }
    }
}

/// The end of a turn, with the events that tell it.
#[derive(Clone, PartialEq, Debug)]
pub struct Finish {
    /// Which turn.
    pub turn_id: TurnId,
    /// Written only while the row's epoch is not newer: a stale runner changes nothing.
    pub epoch: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// Events that become durable together with the row, the final one last.
    pub events: Vec<Event>,
    /// What the audit log shall say of this end; made with it, or not at all.
    pub audit: Option<AuditEntry>,
}

/// Fields of an agent session to change; `None` leaves one as it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SessionPatch {
    /// What it does now.
    pub state: Option<String>,
    /// Why it changed last.
    pub last_reason: Option<String>,
    /// Restarts to add.
    pub restarts: i64,
    /// What its agent remembers.
    pub memory: Option<Memory>,
    /// When it took a turn.
    pub last_used_at: Option<Timestamp>,
}

/// Fields of an account to change; `None` leaves one as it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UserPatch {
    /// Its address.
    pub email: Option<String>,
    /// For people.
    pub display_name: Option<String>,
    /// What it may do.
    pub role: Option<Role>,
    /// Whether it is shut, and since when.
    pub disabled_at: Option<Option<Timestamp>>,
}

/// One write.
#[derive(Clone, PartialEq)]
pub enum Write {
    /// Changes nothing, and has something written all the same: proves that writes are taken. Answers [`Written::Done`].
    Nothing,
    /// Accept a turn, and with it event `0-1` of its log: `queued` with `{turn_id, position}`, where position is
    /// [`Accepted::ahead`]. Answers [`Written::Accepted`] or [`Written::Refused`].
    /// The same `client_turn_id` of the same user again is answered with the turn that is there, and writes nothing.
    AcceptTurn(Box<NewTurn>),
    /// The intent to type: `queued` → `running` under `epoch` (compare-and-set).
    /// Answers [`Written::Turn`]: `None` where the turn was not queued any more, or the agent session has a later epoch.
    ClaimTurn {
        /// Which turn.
        turn_id: TurnId,
        /// The agent session's epoch, which becomes the turn's.
        epoch: i64,
        /// Where it will be typed (see `Turn::delivering_pane`).
        pane: String,
        /// When the intent was made: `delivering_at`.
        at: Timestamp,
    },
    /// The agent was seen to have the turn. Answers [`Written::Done`].
    StartTurn {
        /// Which turn.
        turn_id: TurnId,
        /// Ignored where the row's epoch differs.
        epoch: i64,
        /// `started_at`.
        at: Timestamp,
    },
    /// A running turn goes to a later owner of its agent session: its epoch becomes `epoch`, and the intent to type is
    /// for `pane` now (the same one, unless the turn is known not to have been typed there). Answers [`Written::Turn`]: `None` where the turn is not running any more, was
    /// taken up under a later epoch, or the agent session has one.
    ReattachTurn {
        /// Which turn.
        turn_id: TurnId,
        /// The agent session's epoch, which becomes the turn's.
        epoch: i64,
        /// See [`Turn::delivering_pane`].
        pane: String,
    },
    /// The end of an open turn and the events that tell it. Answers [`Written::Turn`]: `None` where the turn was final
    /// already or belongs to a newer epoch, and then nothing was written, no event either.
    FinishTurn(Box<Finish>),
    /// A complete answer to a turn that has failed: it becomes `done` and `late`, and its events go behind those that are
    /// there. The code that it had stays in `error_history` only. Answers [`Written::Turn`]: `None` where the turn is not
    /// failed (any more), or the outcome is not `Done`; then nothing was written, no event either.
    RecordLate(Box<Finish>),
    /// Removes the events of turns that ended before this moment, of `limit` turns at most, oldest first. The rows stay.
    /// Answers [`Written::Count`]: of how many turns; 0 where nothing is left to do.
    PruneEvents {
        /// See above.
        ended_before: Timestamp,
        /// See above.
        limit: u32,
    },
    /// Events of a turn; one that is there already is left as it is. Answers [`Written::Done`].
    AppendEvents {
        /// Which turn.
        turn_id: TurnId,
        /// In order.
        events: Vec<Event>,
        /// When they happened.
        at: Timestamp,
    },
    /// A new title for a conversation that its user sees. Answers [`Written::Count`]: 0 where there is no such one.
    RenameConversation {
        /// Which one.
        session_id: SessionId,
        /// Whose it has to be.
        user_id: UserId,
        /// The title.
        title: String,
        /// Made with the change, or not at all.
        audit: AuditEntry,
    },
    /// Hides a conversation from its user for good; its turns stay. What an agent session of its own would need to take
    /// up its memory goes. Answers [`Written::Count`]: 0 where there is no such
    /// one, or it is hidden already.
    HideConversation {
        /// Which one.
        session_id: SessionId,
        /// Whose it has to be.
        user_id: UserId,
        /// Made with the change, or not at all.
        audit: AuditEntry,
    },
    /// The agent session of a user and persona, or of one conversation of theirs, made where there is none. A new one is
    /// named `<prefix>-<first 8 hex digits of the user's id>`, with 4 more digits until the name is free; that of a
    /// conversation `<the same 8>-<last 8 hex digits of the conversation's id>`, with 4 more of these.
    /// Answers [`Written::AgentSession`].
    OpenAgentSession {
        /// The name's first part; a dot in it becomes `_`.
        prefix: String,
        /// Whom it serves.
        user_id: UserId,
        /// `""` is the default persona.
        persona: String,
        /// The only conversation that it shall serve, if it is to serve one; it need not be there yet.
        conversation: Option<SessionId>,
        /// Which backend it lives on.
        backend: String,
    },
    /// Makes `node` the owner under the next epoch. Answers [`Written::AgentSession`] with that epoch.
    TakeAgentSession {
        /// Which one.
        name: String,
        /// The new owner.
        node: String,
        /// Until when nobody else may take it.
        lease_until: Timestamp,
    },
    /// Changes fields of an agent session. Answers [`Written::Done`].
    PatchAgentSession {
        /// Which one.
        name: String,
        /// What to change.
        patch: SessionPatch,
    },
    /// A new account, or all fields of one anew. Answers [`Written::Done`].
    SaveUser(User),
    /// A new account. `Constraint` where there is one with its id or its address. Answers [`Written::Done`].
    CreateUser {
        /// The account.
        user: User,
        /// Made with it, or not at all.
        audit: AuditEntry,
    },
    /// Changes fields of an account, and leaves all others as they are by then. `Constraint` where the address is another
    /// account's. Answers [`Written::Count`].
    PatchUser {
        /// Which one.
        user_id: UserId,
        /// What to change.
        patch: UserPatch,
        /// Made with the change, or not at all.
        audit: AuditEntry,
    },
    /// A new token. Answers [`Written::Done`].
    CreateToken(ApiToken),
    /// Ends a token at once; one that is revoked stays as it is. Answers [`Written::Count`].
    RevokeToken {
        /// Which one.
        token_id: Uuid,
        /// When.
        at: Timestamp,
    },
    /// A token was accepted; earlier moments change nothing. Answers [`Written::Count`].
    NoteTokenUse {
        /// Which one.
        token_id: Uuid,
        /// When.
        at: Timestamp,
    },
    /// A signed-in browser was accepted, likewise. Answers [`Written::Count`].
    NoteWebSession {
        /// Its key.
        hash: String,
        /// When.
        at: Timestamp,
    },
    /// A browser signed in; those whose time is over are dropped. Answers [`Written::Done`].
    CreateWebSession(WebSession),
    /// Ends every token of this name but the one with this hash. Answers [`Written::Count`].
    RevokeTokensNamed {
        /// Their name.
        name: String,
        /// The one that stays.
        except: String,
        /// When.
        at: Timestamp,
    },
    /// Signs a browser out. Answers [`Written::Count`].
    DeleteWebSession {
        /// Its key.
        hash: String,
    },
    /// An entry of the audit log. Answers [`Written::Done`].
    Audit(AuditEntry),
}

/// What a [`Write`] answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Written {
    /// Nothing more to say.
    Done,
    /// How many rows were changed.
    Count(u64),
    /// The turn is in the table.
    Accepted(Box<Accepted>),
    /// The turn is not in the table.
    Refused(Refusal),
    /// The row after the write, if it was made.
    Turn(Option<Box<Turn>>),
    /// The row after the write.
    AgentSession(Box<AgentSession>),
}
