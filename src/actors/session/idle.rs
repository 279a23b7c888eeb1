//! What becomes of an agent that nobody needs: it is ended after a while. One timer a session, and only while its agent
//! idles.

use tokio::time::{Instant, sleep_until};

use super::{AgentState, SessionActor, SessionMsg, SessionState};
use crate::actors::pane::{PaneMsg, Why};

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

    /// Ends an agent that idles and was not started as one would be now.
    pub(super) fn end_outdated(&self, state: &mut SessionState) {
        if state.outdated && !state.ending {
            self.end_agent(state, Why::Outdated);
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
}
