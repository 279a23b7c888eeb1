//! What a person replies to an agent that asks, on its way to the agent.

use tokio::sync::oneshot;

use super::machine::OpenQuestion;
use super::{NoReply, TurnActor, TurnRun};
use crate::backend::{BackendError, Replied, Reply};
use crate::turn::EventId;

/// What a person says to an agent that asks.
#[derive(Clone)]
pub struct PersonsReply {
    /// The `attention` event that it answers.
    pub attention: EventId,
    /// One sanitised line.
    pub line: String,
    /// When whoever sent it stops waiting: it is not handed to the agent later.
    pub until: tokio::time::Instant,
}

/// What a reply is answered.
pub type Answered = Result<(), ReplyError>;

/// Why a reply was not handed to the agent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReplyError {
    /// Now is not the time, or this is not the text.
    #[error(transparent)]
    Refused(#[from] NoReply),
    /// The agent cannot be reached.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl TurnActor {
    /// Hands a reply to the agent, beside the actor; what tmux is asked to do once, it does once.
    pub(super) fn reply(run: &TurnRun, said: PersonsReply, reply: oneshot::Sender<Answered>) {
        let PersonsReply { attention, line: text, until } = said;
        // It may be an answer to an earlier question, sent again or late.
        let meant = if run.attention == Some(attention) { Ok(()) } else { Err(NoReply::NothingAsked) };
        let OpenQuestion { number, name } = match meant.and_then(|()| run.machine.reply(&text)) {
            Ok(question) => question,
            Err(refusal) => return drop(reply.send(Err(refusal.into()))),
        };
        let Some(agent) = run.agent.clone() else { return };
        let said = Reply { turn_id: run.turn.turn_id, number, name, text, asks: run.asks.subscribe(), until };
        tokio::spawn(async move {
            let answer = match agent.reply(said).await {
                Ok(Replied::Typed) => Ok(()),
                Ok(Replied::Refused) => Err(NoReply::NothingAsked.into()),
                Err(error) => Err(error.into()),
            };
            let _ = reply.send(answer);
        });
    }
}
