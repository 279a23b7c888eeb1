//! What a session tells of itself.

use serde::Serialize;

use super::{SessionActor, SessionState};
use crate::turn::{Timestamp, TurnId};

/// The end of an agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastExit {
    /// When it was seen.
    pub at: Timestamp,
    /// For people: `the agent exited with status 1`.
    pub reason: String,
}

/// The start of an agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastStart {
    /// When it was ready.
    pub at: Timestamp,
    /// It has taken up its memory again.
    pub resumed: bool,
    /// How the one before it ended, where that was by itself: `exited with status 1`.
    pub after: Option<String>,
}

/// What is known of a session's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// There was none since the session was started.
    None,
    /// It is being started, or is going to be after a while.
    Starting,
    /// It takes turns.
    Ready,
    /// It is not there; the next turn, or its keeper, starts it.
    Ended,
    /// It has ended too often; a reset starts it again.
    CrashLoop,
}

impl AgentState {
    /// The word in the row and in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Ended => "ended",
            Self::CrashLoop => "crash_loop",
        }
    }
}

/// What a session does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The agent session's name.
    pub name: String,
    /// `idle`, `running`, `draining`, `resetting`, or `opening` while it looks for an agent that was left; `opening` or
    /// `failed` where there is no session to tell of itself.
    pub state: &'static str,
    /// Counts the incarnations of the session's owner.
    pub epoch: i64,
    /// Whether the agent's process is there.
    pub agent_alive: bool,
    /// What is known of the agent.
    pub agent: AgentState,
    /// The turn that runs.
    pub running: Option<TurnId>,
    /// Turns that wait, next in line first.
    pub queued: Vec<TurnId>,
    /// How often the agent was started again since the session was; in all where that is not there.
    pub restarts: u64,
    /// Why the agent changed last.
    pub last_reason: Option<String>,
    /// The agent's last start since the session was started, if it was.
    pub last_start: Option<LastStart>,
    /// The agent's last end since the session was started, if it ended.
    pub last_exit: Option<LastExit>,
}

impl SessionActor {
    pub(super) fn report(&self, state: &SessionState) -> Report {
        Report {
            name: self.row.name.clone(),
            state: doing(state),
            epoch: self.row.epoch,
            agent_alive: state.agent == AgentState::Ready,
            agent: state.agent,
            running: state.current.as_ref().map(|current| current.turn.turn_id),
            queued: state.queued.clone(),
            restarts: state.agent_restarts,
            last_reason: state.last_reason.clone(),
            last_start: state.last_start.clone(),
            last_exit: state.last_exit.clone(),
        }
    }

    pub(super) fn note(&self, state: &SessionState) {
        // One that is ended for someone counts as one that was asked, lest others are ended for the same.
        if !state.giving {
            self.wiring.seats.set_idle(&self.row.name, Self::can_give(state));
        }
        self.address.gauge().note(format!("{}, {} waiting", doing(state), state.queued.len()));
    }
}

fn doing(state: &SessionState) -> &'static str {
    if state.ending {
        "resetting"
    } else if state.current.is_some() {
        "running"
    } else if state.draining.is_some() {
        "draining"
    } else if state.taking_over {
        "opening"
    } else {
        "idle"
    }
}
