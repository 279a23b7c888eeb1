//! What becomes of an agent that nobody needs: it is ended after a while. One timer a session, and only while its agent
//! idles.

use tokio::time::{Instant, sleep_until};

use super::{AgentState, SessionActor, SessionMsg, SessionState};
use crate::actors::pane::{PaneMsg, Why};
use crate::actors::turn::Leaves;
use crate::store::Turn;
use crate::turn::{ErrorCode, TurnId, TurnState};

/// A turn that was given up may still be answered, and one that was answered be brought to its end; one that was ended
/// otherwise is not to be.
fn is_wanted(turn: &Turn) -> bool {
    turn.state == TurnState::Done
        || matches!(turn.error_code, Some(ErrorCode::Timeout | ErrorCode::UpstreamSilence | ErrorCode::Uncertain))
}

impl SessionActor {
    /// The agent idles from now on, unless a turn runs.
    pub(super) fn idles(&self, state: &mut SessionState) {
        state.idle_since = Instant::now();
        self.watch_idle(state);
    }

    fn watch_idle(&self, state: &mut SessionState) {
        let timeout = self.wiring.limits.idle_timeout;
        if timeout.is_zero() || state.idle_watched {
            return;
        }
        state.idle_watched = true;
        self.address.pipe(sleep_until(state.idle_since + timeout), |()| SessionMsg::IdleLate);
    }

    pub(super) fn idle_late(&self, state: &mut SessionState) {
        state.idle_watched = false;
        if state.agent != AgentState::Ready {
            return;
        }
        let is_late = state.idle_since.elapsed() >= self.wiring.limits.idle_timeout;
        if is_late && Self::can_give(state) && state.draining.is_none() {
            tracing::info!(session = %self.row.name, "nobody needs the agent; ending it");
            self.end_agent(state, Why::Idle);
        } else if state.current.is_none() {
            if is_late {
                state.idle_since = Instant::now();
            }
            self.watch_idle(state);
        }
    }

    /// Ends the agent while nothing runs; the next turn waits for that.
    pub(super) fn end_agent(&self, state: &mut SessionState, why: Why) {
        state.ending = true;
        state.giving = true;
        self.note(state);
        let pane = state.pane.clone();
        // Where it cannot be ended, that is logged there.
        let close = async move { pane.ask(|reply| PaneMsg::Close(why, reply)).await };
        self.address.pipe(close, |closed| SessionMsg::SeatGiven(matches!(closed, Ok(Ok(())))));
    }

    /// Whether an agent was left is known. Where it works on a turn that is over, nothing is typed until it is done with it;
    /// whether its answer is still wanted, the row tells.
    pub(super) fn took_over(&self, state: &mut SessionState, works_on: Option<TurnId>) {
        state.taking_over = false;
        if let Some(turn_id) = works_on {
            self.still_works(state, turn_id);
        }
        self.look(state);
    }

    fn still_works(&self, state: &mut SessionState, turn_id: TurnId) {
        if state.current.is_none() && state.draining.is_none() && !state.ending {
            self.drain(state, turn_id, Leaves::GivenUp);
            self.note(state);
            let store = self.wiring.store.clone();
            let read = async move { store.turn(turn_id).await.ok().flatten().is_some_and(|turn| is_wanted(&turn)) };
            self.address.pipe(read, move |wanted| SessionMsg::StillWanted(turn_id, wanted));
        }
    }

    pub(super) fn still_wanted(&self, state: &mut SessionState, turn_id: TurnId, wanted: bool) {
        if !wanted && state.draining.as_ref().is_some_and(|draining| draining.turn_id == turn_id) {
            self.interrupt(state);
        }
    }
}
