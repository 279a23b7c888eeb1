//! The steps of a turn that take time: each runs beside the actor, which hears what came of it.

use futures_util::StreamExt;
use ractor::ActorRef;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::machine::Input;
use super::vigil::{Due, Vigil};
use super::{TurnActor, TurnMsg, TurnRun, primer};
use crate::actors::health::HealthMsg;
use crate::actors::pane::PaneMsg;
use crate::actors::session::SessionMsg;
use crate::actors::{closing, reading};
use crate::agent::token::Grant;
use crate::backend::{AgentEvent, BackendError, Job};
use crate::faults;
use crate::store::{Turn, Write, Written};
use crate::turn::{ErrorCode, EventKind, Timestamp, TurnId, TurnState};

impl TurnActor {
    /// Has an agent made ready.
    pub(super) fn open(&self) {
        let (pane, health, session) = (self.pane.clone(), self.wiring.health.clone(), self.session_name.clone());
        let open = async move {
            // Where nobody can tell, the start will.
            if let Ok(Err(error)) = health.ask(|reply| HealthMsg::Check(session, reply)).await {
                return Err(error);
            }
            pane.ask(PaneMsg::Open).await.unwrap_or_else(|_| Err(keeper_gone()))
        };
        self.address.gauge().note("waiting for the agent to be ready");
        self.address.pipe(open, TurnMsg::Opened);
    }

    /// Looks for the agent that an earlier owner had chosen.
    pub(super) fn adopt(&self, place: String, turn_id: TurnId) {
        let pane = self.pane.clone();
        let adopt = async move {
            let adopted = pane.ask(|reply| PaneMsg::Adopt(place, turn_id, reply)).await;
            adopted.unwrap_or_else(|_| Err(keeper_gone()))
        };
        self.address.gauge().note("looking for the agent that has the turn");
        self.address.pipe(adopt, TurnMsg::Adopted);
    }

    pub(super) fn claim(&self, run: &TurnRun, pane: String) {
        faults::point("turn.ready");
        self.address.gauge().note("committing the intent to type");
        let (wiring, turn_id, epoch) = (self.wiring.clone(), run.turn.turn_id, self.epoch);
        let write = match run.turn.state {
            TurnState::Running => Write::ReattachTurn { turn_id, epoch, pane },
            _ => Write::ClaimTurn { turn_id, epoch, pane, at: Timestamp::now() },
        };
        let claim = async move {
            faults::halt("intent.before").await;
            match wiring.recorder.write_until_durable(write).await {
                Ok(Written::Turn(Some(turn))) => Some(turn),
                // Refused because it was made already, by a try whose reply was lost? There is one runner per epoch.
                _ => {
                    // Nobody would look after a turn that was claimed and taken for someone else's.
                    let turn = reading::turn(&*wiring.store, turn_id).await.map(Box::new);
                    if turn.as_ref().is_some_and(|turn| turn.state.is_final()) {
                        // Whoever ended it may have told so before the log was opened for us: nobody else would close it.
                        closing::tell_stored(&wiring, turn_id).await;
                    }
                    turn.filter(|turn| turn.state == TurnState::Running && turn.epoch == epoch)
                }
            }
        };
        self.address.pipe(claim, TurnMsg::Claimed);
    }

    pub(super) fn deliver(&self, run: &mut TurnRun) {
        faults::point("turn.claimed");
        self.address.gauge().note("handing the message to the agent");
        self.log.begin_epoch(self.epoch);
        let may_ask = run.machine.may_ask();
        self.log.update_pulse(|pulse| {
            pulse.started = Some(std::time::Instant::now());
            // A page would take the question for answered, that is still open.
            pulse.attention |= may_ask;
        });
        run.vigil = Some(Vigil::begin(self.wiring.limits.patience, Instant::now()));
        self.arm(run);
        let Some(agent) = run.agent.clone() else { return };
        let token = match self.token(&run.turn) {
            Ok(token) => token,
            Err(error) => {
                let _ = self.address.send(TurnMsg::Agent(Some(error)));
                return;
            }
        };
        run.grant.clone_from(&token);
        let (turn, epoch, wiring) = (run.turn.clone(), self.epoch, self.wiring.clone());
        let (is_resumed, address) = (run.machine.is_resumed(), self.address.clone());
        run.pump = Some(tokio::spawn(async move {
            if !is_resumed {
                // Its memory may have begun anew since the last turn.
                agent.catch_up();
            }
            let memory = agent.memory().borrow().clone();
            let primer = primer::of(&wiring, &turn, &memory).await;
            let Turn { turn_id, user_message: message, context, .. } = turn;
            let job = Job { turn_id, epoch, message, context, primer, token };
            let mut reports = agent.run(job);
            while let Some(event) = reports.next().await {
                if address.send(TurnMsg::Agent(Some(event))).is_err() {
                    return;
                }
            }
            let _ = address.send(TurnMsg::Agent(None));
        }));
    }

    /// The token that the agent is given for this turn, made when it gets it: so it lasts as long as the turn may.
    fn token(&self, turn: &Turn) -> Result<Option<Grant>, AgentEvent> {
        let Some(tokens) = &self.wiring.tokens else { return Ok(None) };
        let minted = tokens.mint(turn.user_id, turn.turn_id, Timestamp::now());
        let token = minted.map_err(|error| {
            let message = format!("no token for the agent: {error}");
            AgentEvent::from(BackendError::new(ErrorCode::BootstrapFailed, message))
        })?;
        Ok(Some(Grant::new(token)))
    }

    pub(super) fn start(&self, run: &mut TurnRun, tell: bool) {
        let now = run.turn.started_at.unwrap_or_else(Timestamp::now);
        run.turn.started_at = Some(now);
        self.address.gauge().note("the agent is answering");
        let (turn_id, epoch) = (run.turn.turn_id, self.epoch);
        if tell {
            let event = self.log.stage(EventKind::Meta, json!({ "turn_id": turn_id, "started_at": now }));
            self.log.publish(std::slice::from_ref(&event));
            self.wiring.recorder.append(turn_id, vec![event]);
        }
        self.wiring.recorder.later(Write::StartTurn { turn_id, epoch, at: now });
        faults::point("turn.confirmed");
    }

    pub(super) fn over(&self, myself: &ActorRef<TurnMsg>, run: &TurnRun, lost: bool) {
        let turn_id = run.turn.turn_id;
        let leaves = run.leaves();
        let _ = self.session.send(SessionMsg::TurnOver { turn_id, leaves, lost });
        myself.stop(None);
    }

    /// Has the vigil looked at when something can be due. One timer a turn, set anew only where it would come too late.
    pub(super) fn arm(&self, run: &mut TurnRun) {
        let Some(next) = run.vigil.as_ref().and_then(Vigil::next) else { return };
        match &run.timer {
            Some((at, _)) if *at <= next => return,
            Some((_, late)) => late.abort(),
            None => {}
        }
        let address = self.address.clone();
        let timer = tokio::spawn(async move {
            sleep_until(next).await;
            let _ = address.send(TurnMsg::Watch);
        });
        run.timer = Some((next, timer));
    }

    /// While the agent waits for a person, time stands still.
    pub(super) fn suspend_watch(&self, run: &mut TurnRun) {
        let rest = run.machine.rest();
        if let Some(vigil) = &mut run.vigil {
            vigil.rest(rest, Instant::now());
            self.arm(run);
        }
    }

    /// Looks whether something is due. What the agent shows in its terminal is a sign of life, too, and is asked for only
    /// now.
    pub(super) fn watch(&self, run: &mut TurnRun) {
        run.timer = None;
        let due = run.vigil.as_ref().and_then(|vigil| vigil.due(Instant::now()));
        match (due, run.agent.clone()) {
            (Some(Due::Silence), Some(agent)) => {
                let turn_id = run.turn.turn_id;
                self.address.pipe(async move { agent.quiet_for(turn_id).await }, TurnMsg::Quiet);
            }
            (Some(_), _) => drop(self.address.send(TurnMsg::Quiet(None))),
            (None, _) => self.arm(run),
        }
    }

    /// What is due with what is known of the terminal.
    pub(super) fn quiet(&self, run: &mut TurnRun, quiet: Option<std::time::Duration>) -> Option<Input> {
        let vigil = run.vigil.as_mut()?;
        let now = Instant::now();
        if let Some(shown) = quiet.and_then(|quiet| now.checked_sub(quiet)) {
            vigil.sign(shown);
        }
        let patience = self.wiring.limits.patience;
        match vigil.due(now) {
            Some(Due::Silence) => Some(Input::Silent(patience.silence.as_secs())),
            Some(Due::Deadline) => Some(Input::Overdue(patience.deadline.as_secs())),
            None => {
                self.arm(run);
                None
            }
        }
    }
}

fn keeper_gone() -> BackendError {
    BackendError::new(ErrorCode::BootstrapFailed, "the pane's keeper was restarted")
}
