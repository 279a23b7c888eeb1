//! What becomes of an agent that nobody needs: it is ended after a while. One timer a session, and only while its agent
//! idles. One that was given up, or has not said that it is done, counts as idle when it has shown nothing for as long.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{AgentState, SessionActor, SessionMsg, SessionState};
use crate::actors::pane::{PaneMsg, Why};
use crate::turn::TurnId;

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
        if is_late && Self::can_idle(state) {
            match &state.draining {
                None => self.end_idle(state),
                // It may still be at work: then it shows something.
                Some(draining) => {
                    let (pane, turn_id) = (state.pane.clone(), draining.turn_id);
                    let quiet = async move { pane.ask(|reply| PaneMsg::QuietFor(turn_id, reply)).await.ok().flatten() };
                    self.address.pipe(quiet, move |quiet| SessionMsg::Silent(turn_id, quiet));
                }
            }
        } else if state.current.is_none() {
            if is_late {
                state.idle_since = Instant::now();
            }
            self.watch_idle(state);
        }
    }

    /// The agent that may still be at work on this turn has shown nothing for so long.
    pub(super) fn silent(&self, state: &mut SessionState, turn_id: TurnId, quiet: Option<Duration>) {
        let timeout = self.wiring.limits.idle_timeout;
        let is_draining = state.draining.as_ref().is_some_and(|draining| draining.turn_id == turn_id);
        if is_draining && Self::can_idle(state) && quiet.is_some_and(|quiet| quiet >= timeout) {
            self.end_idle(state);
        } else if state.agent == AgentState::Ready && state.current.is_none() {
            let quiet = quiet.filter(|quiet| *quiet < timeout).unwrap_or_default();
            let now = Instant::now();
            state.idle_since = now.checked_sub(quiet).unwrap_or(now);
            self.watch_idle(state);
        }
    }

    /// Nothing runs or is being ended, and for one that may still be at work on a turn nobody waits.
    fn can_idle(state: &SessionState) -> bool {
        Self::can_give(state) && (state.draining.is_none() || state.queued.is_empty())
    }

    fn end_idle(&self, state: &mut SessionState) {
        tracing::info!(session = %self.row.name, "nobody needs the agent; ending it");
        self.end_agent(state, Why::Idle);
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
