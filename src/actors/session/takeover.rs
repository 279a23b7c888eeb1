//! What becomes of an agent that an earlier owner left. Nothing is run before it is known whether there is one, and nothing
//! is typed to it before it is done with what it works on.

use std::time::Duration;

use tokio::time::sleep;

use super::{SessionActor, SessionMsg, SessionState};
use crate::actors::pane::PaneMsg;
use crate::actors::reading;
use crate::actors::turn::Leaves;
use crate::faults;
use crate::store::{Store, Turn};
use crate::turn::{ErrorCode, TurnId, TurnState};

/// Wait before it is looked again for an agent, where that could not be done.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What the keeper has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Takeover {
    /// An agent that idles, or none.
    Idle,
    /// One that may still be at work.
    Busy(LeftBusy),
    /// It could not look.
    Unknown,
}

/// An agent that was left, and may still be at work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftBusy {
    /// Where it is. By the time that is known which turn it had, it may have ended, and another one be there.
    pub place: String,
    /// The turn that it was given last, which is over.
    pub turn_id: TurnId,
    /// It says by itself when it is done with a turn, also with one that it has answered by a file.
    pub tells_end: bool,
}

/// How the turn stands on which an agent that was left may be at work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It was given up, and may still be answered; or answered, and may be brought to its end.
    Wanted,
    /// It was ended otherwise.
    Unwanted,
    /// It was answered, and that is all that such an agent tells.
    Over,
}

impl Standing {
    fn of(turn: Option<&Turn>, tells_end: bool) -> Self {
        let Some(turn) = turn else { return Self::Unwanted };
        match (turn.state, turn.error_code) {
            (TurnState::Done, _) if tells_end => Self::Wanted,
            (TurnState::Done, _) => Self::Over,
            (_, Some(ErrorCode::Timeout | ErrorCode::UpstreamSilence | ErrorCode::Uncertain)) => Self::Wanted,
            _ => Self::Unwanted,
        }
    }
}

impl SessionActor {
    pub(super) fn took_over(&self, state: &mut SessionState, takeover: Takeover) {
        match takeover {
            // Until then nothing is run.
            Takeover::Busy(left) => {
                let (store, turn_id, tells_end) = (self.wiring.store.clone(), left.turn_id, left.tells_end);
                let standing = async move { standing(&*store, turn_id, tells_end).await };
                self.address.pipe(standing, move |standing| SessionMsg::LeftAtWork(left, standing));
                return;
            }
            Takeover::Idle => {}
            Takeover::Unknown => self.address.pipe(sleep(LOOK_AGAIN), |()| SessionMsg::TakeOver),
        }
        state.taking_over = false;
        self.look(state);
    }

    pub(super) fn left_at_work(&self, state: &mut SessionState, left: LeftBusy, standing: Standing) {
        state.taking_over = false;
        if state.current.is_none() && state.draining.is_none() && !state.ending {
            match standing {
                Standing::Wanted => self.drain(state, left.turn_id, Leaves::GivenUp, Some(left.place)),
                Standing::Unwanted => self.drain(state, left.turn_id, Leaves::Busy, Some(left.place)),
                Standing::Over => self.end_outdated(state),
            }
        }
        self.go_further(state);
    }

    /// A turn that runs finds the agent itself.
    pub(super) fn take_over(&self, state: &mut SessionState) {
        if state.kept && !state.taking_over && Self::can_give(state) {
            state.taking_over = true;
            let _ = state.pane.send(PaneMsg::TakeOver);
            self.note(state);
        }
    }
}

/// How this turn stands, which an agent was left with, and which is over.
pub async fn standing(store: &dyn Store, turn_id: TurnId, tells_end: bool) -> Standing {
    faults::halt("takeover.read").await;
    // One that cannot be read has nobody who wants its answer.
    Standing::of(reading::turn(store, turn_id).await.as_ref(), tells_end)
}
