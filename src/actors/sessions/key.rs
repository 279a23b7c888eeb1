//! Whom an agent session serves.

use crate::store::{AgentSession, Store, StoreError, Turn};
use crate::turn::{SessionId, UserId};

/// A user and a persona; or one conversation of theirs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// The user.
    pub user_id: UserId,
    /// `""` is the default persona.
    pub persona: String,
    /// The only conversation that is served; `None` for all that have no agent session of their own.
    pub conversation: Option<SessionId>,
}

impl Key {
    /// Whom a turn that comes in now goes to. `apart`: every conversation has an agent session of its own.
    pub fn today(user_id: UserId, persona: &str, session_id: SessionId, apart: bool) -> Self {
        Self { user_id, persona: persona.to_owned(), conversation: Some(session_id).filter(|_| apart) }
    }

    /// Whom the agent session of this row serves.
    pub fn of(row: &AgentSession) -> Self {
        Self { user_id: row.user_id, persona: row.persona.clone(), conversation: row.conversation }
    }

    /// Whose agent session looks after a turn, whatever is configured today: that is for the row to say which the turn
    /// names. Where there is no such row any more, it is whose it would be today.
    pub fn serving(turn: &Turn, row: Option<&AgentSession>, apart: bool) -> Self {
        row.map_or_else(|| Self::today(turn.user_id, &turn.persona, turn.session_id, apart), Self::of)
    }

    /// As [`Self::serving`], with the row that the store has.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn of_turn(store: &dyn Store, turn: &Turn, apart: bool) -> Result<Self, StoreError> {
        Ok(Self::serving(turn, store.agent_session_named(&turn.agent_session).await?.as_ref(), apart))
    }
}
