//! The session's agent: its keeper, its comings and goings, and its end by a reset.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::{Child, SessionActor, SessionMsg, SessionState};
use crate::actors::closing;
use crate::actors::pane::{PaneActor, PaneMsg};
use crate::actors::supervise::ChildSpec;
use crate::actors::turn::TurnMsg;
use crate::backend::BackendError;
use crate::store::{SessionPatch, Write};
use crate::turn::ErrorCode;

/// How long a reset may take until whoever asked for it is told otherwise.
const RESET_TIMEOUT: Duration = Duration::from_secs(10);

impl SessionActor {
    pub(super) async fn start_pane(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        let keeper = PaneActor {
            backend: self.wiring.backend.clone(),
            name: self.row.name.clone(),
            address: state.pane.clone(),
            session: self.address.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, keeper, (), myself.get_cell()).await?;
        state.children.started(Child::Pane, ChildSpec::PERMANENT, &actor.get_cell(), state.pane.gauge());
        Ok(())
    }

    pub(super) fn agent_changed(&self, state: &mut SessionState, reason: String, alive: bool) {
        state.agent_alive = alive;
        state.agent_starts += u64::from(alive);
        let restarted = alive && state.agent_starts > 1;
        let patch = SessionPatch {
            state: Some(if alive { "ready" } else { "ended" }.to_owned()),
            last_reason: Some(reason.clone()),
            restarts: i64::from(restarted),
            ..SessionPatch::default()
        };
        state.last_reason = Some(reason);
        self.wiring.recorder.later(Write::PatchAgentSession { name: self.row.name.clone(), patch });
    }

    pub(super) fn reset(&self, state: &mut SessionState, reply: oneshot::Sender<Result<(), BackendError>>) {
        state.resetting.push(reply);
        if state.resetting.len() > 1 {
            return;
        }
        self.note(state);
        const MESSAGE: &str = "the agent session was reset";
        if let Some(current) = &state.current {
            let end = TurnMsg::End { code: ErrorCode::SessionReset, message: MESSAGE.to_owned() };
            let _ = current.address.send(end);
        }
        let (wiring, name, pane, epoch) =
            (self.wiring.clone(), self.row.name.clone(), state.pane.clone(), self.row.epoch);
        let running = state.current.as_ref().map(|current| current.turn.turn_id);
        let reset = async move {
            for turn_id in wiring.store.queued(&name).await.unwrap_or_default() {
                // One that has a runner is ended by it.
                if Some(turn_id) != running
                    && let Ok(Some(turn)) = wiring.store.turn(turn_id).await
                {
                    closing::settle(wiring.clone(), turn, epoch, ErrorCode::SessionReset, MESSAGE).await;
                }
            }
            let closed = pane.ask(PaneMsg::Close).await;
            closed.unwrap_or_else(|_| Err(BackendError::new(ErrorCode::BootstrapFailed, "the pane's keeper is gone")))
        };
        let reset = async {
            tokio::time::timeout(RESET_TIMEOUT, reset).await.unwrap_or_else(|_| {
                Err(BackendError::new(ErrorCode::Timeout, "the agent did not end in time; it is still being ended"))
            })
        };
        self.address.pipe(reset, SessionMsg::ResetDone);
    }
}
