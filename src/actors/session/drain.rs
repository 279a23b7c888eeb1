//! What follows a turn that is over while its agent is still at work on it: nothing is typed until the agent is idle.
//!
//! An agent that works to no purpose is interrupted at once. One that was given up, since it took too long, may go on: its
//! answer is still wanted. One that has answered by a file comes to its end by itself; what it says until then would be
//! taken for its word on the next turn. When others wait, either gets some more time, and is interrupted then.

use super::{Draining, SessionActor, SessionMsg, SessionState};
use crate::actors::pane::PaneMsg;
use crate::actors::turn::Leaves;
use crate::turn::TurnId;

impl SessionActor {
    /// `place`: where its agent is, for one that another owner had given it.
    pub(super) fn drain(&self, state: &mut SessionState, turn_id: TurnId, leaves: Leaves, place: Option<String>) {
        state.draining = Some(Draining { turn_id, is_late: false, is_interrupted: false });
        if leaves == Leaves::Busy {
            return self.interrupt(state);
        }
        let pane = state.pane.clone();
        let drain = async move { pane.ask(|reply| PaneMsg::Drain(turn_id, place, reply)).await };
        self.address.pipe(drain, move |_| SessionMsg::Quiet(turn_id));
        self.address.pipe(tokio::time::sleep(self.wiring.limits.drain), move |()| SessionMsg::DrainLate(turn_id));
    }

    pub(super) fn drain_late(&self, state: &mut SessionState, turn_id: TurnId) {
        if let Some(draining) = state.draining.as_mut().filter(|draining| draining.turn_id == turn_id) {
            draining.is_late = true;
            self.make_room(state);
            self.note(state);
        }
    }

    /// Interrupts an agent that had its time, if someone waits for it.
    pub(super) fn make_room(&self, state: &mut SessionState) {
        if !state.queued.is_empty() && state.draining.as_ref().is_some_and(|draining| draining.is_late) {
            self.interrupt(state);
        }
    }

    pub(super) fn quiet(&self, state: &mut SessionState, turn_id: TurnId) {
        if state.draining.take_if(|draining| draining.turn_id == turn_id).is_some() {
            self.end_outdated(state);
            self.go_further(state);
        }
    }

    pub(super) fn interrupt(&self, state: &mut SessionState) {
        let Some(draining) = state.draining.as_mut().filter(|draining| !draining.is_interrupted) else { return };
        draining.is_interrupted = true;
        let (pane, turn_id) = (state.pane.clone(), draining.turn_id);
        let quiesce = async move { pane.ask(|reply| PaneMsg::Quiesce(turn_id, reply)).await };
        self.address.pipe(quiesce, move |_| SessionMsg::Quiet(turn_id));
    }
}
