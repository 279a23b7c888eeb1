//! How a turn comes in: it is committed before anyone is told that it was accepted.

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{SessionActor, SessionMsg, SessionState};
use crate::actors::sessions::Key;
use crate::actors::wiring::Wiring;
use crate::store::{Accepted, NewTurn, Refusal, StoreError, Write, Written};
use crate::turn::{EventKind, SessionId, Timestamp, TurnId, UserId};

/// A turn as it comes in.
#[derive(Clone)]
pub struct Question {
    /// Who asks.
    pub user_id: UserId,
    /// `""` is the default persona.
    pub persona: String,
    /// In which conversation.
    pub session_id: SessionId,
    /// The client's own id of the turn.
    pub client_turn_id: Option<String>,
    /// The message, within the size limit.
    pub user_message: String,
    /// Where the embedding page is.
    pub page_origin: Option<String>,
    /// The page's context, a JSON object.
    pub context: Option<Value>,
}

/// What a submitted turn is answered.
pub type Submitted = Result<Accepted, SubmitError>;

/// Why a turn was not accepted. Nothing of it is in the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The table refused it.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The table does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session's actor failed too often; an admin or a restart clears it.
    #[error("the agent session has failed too often")]
    Failed,
}

impl Question {
    /// Whose agent session is to answer it; `apart`: every conversation has one of its own.
    pub fn key(&self, apart: bool) -> Key {
        Key::today(self.user_id, &self.persona, self.session_id, apart)
    }

    /// The turn that is to come of it, for this agent session.
    pub fn into_turn(self, wiring: &Wiring, agent_session: String) -> NewTurn {
        NewTurn {
            turn_id: TurnId::fresh(),
            user_id: self.user_id,
            session_id: self.session_id,
            agent_session,
            client_turn_id: self.client_turn_id,
            backend: wiring.backend.name().to_owned(),
            persona: self.persona,
            profile: wiring.backend.profile().to_owned(),
            user_message: self.user_message,
            page_origin: self.page_origin,
            context: self.context,
            queued_at: Timestamp::now(),
            queue_limit: wiring.limits.queue,
        }
    }
}

impl SessionActor {
    pub(super) fn submit(&self, state: &mut SessionState, question: Question, reply: oneshot::Sender<Submitted>) {
        state.submitting += 1;
        state.submits += 1;
        let turn = question.into_turn(&self.wiring, self.row.name.clone());
        let recorder = self.wiring.recorder.clone();
        let write = async move { recorder.write(Write::AcceptTurn(Box::new(turn))).await };
        self.address.pipe(write, |written| SessionMsg::Accepted(Box::new(written), reply));
    }

    pub(super) fn accepted(
        &self,
        state: &mut SessionState,
        written: Result<Written, StoreError>,
        reply: oneshot::Sender<Submitted>,
    ) {
        // An earlier incarnation may have sent it.
        state.submitting = state.submitting.saturating_sub(1);
        let answer = match written {
            Ok(Written::Accepted(accepted)) => {
                if accepted.created {
                    let turn_id = accepted.turn.turn_id;
                    if self.wiring.streams.get(turn_id).is_none() {
                        let log = self.wiring.streams.open(turn_id);
                        // The same event that the table has already.
                        log.publish(&[log.stage(EventKind::Queued, queued_data(turn_id, accepted.ahead))]);
                    }
                    // Someone may have cancelled it before word of it came.
                    self.end_cancelled(state, turn_id);
                }
                self.look(state);
                Ok(*accepted)
            }
            Ok(Written::Refused(refusal)) => {
                self.look(state);
                Err(SubmitError::Refused(refusal))
            }
            Ok(other) => Err(StoreError::Corrupt(format!("unexpected answer {other:?}")).into()),
            Err(error) => {
                // It may have been committed all the same; then it is run.
                self.look_later();
                Err(error.into())
            }
        };
        // Whoever asked may have hung up; the turn runs all the same.
        let _ = reply.send(answer);
    }
}

/// Data of a `queued` event.
pub(super) fn queued_data(turn_id: TurnId, ahead: u32) -> Value {
    json!({ "turn_id": turn_id, "position": ahead })
}
