//! How the keeper parts from an agent: it ends by itself, or is ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{PaneActor, PaneMsg, PaneState, Why};
use crate::actors::session::{AgentChange, SessionMsg};
use crate::backend::{Agent, BackendError, Exit};
use crate::turn::{Memory, TurnId};

impl PaneActor {
    pub(super) fn exited(&self, state: &mut PaneState, place: &str, exit: &Exit) {
        if state.agent.as_ref().is_none_or(|agent| agent.place() != place) {
            return;
        }
        tracing::info!(session = %self.name, place, reason = exit.reason, "agent gone");
        self.address.gauge().note(format!("agent gone: {}", exit.reason));
        self.unsure();
        let by_us = state.ended.take().filter(|(ended, _)| ended == place).map(|(_, why)| why);
        if let Some(agent) = state.agent.take()
            && by_us != Some(Why::Reset)
        {
            // Its last words may be of what it remembers.
            agent.catch_up();
            let memory = agent.memory().borrow().clone();
            self.learn(state, memory);
        }
        // Else it was given back, and the next one may have a place already.
        if state.starting.is_none() {
            state.seat = None;
        }
        let told = match by_us {
            Some(why) => format!("the agent was ended {}", why.as_str()),
            None => format!("the agent {}", exit.reason),
        };
        let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Ended(told)));
        if by_us.is_none() {
            state.last_end = Some(exit.reason.clone());
            // It may have been asked for already, by whoever knew before us.
            let unasked = state.starting.is_none();
            self.go_on(state, unasked);
        }
    }

    pub(super) fn remembers(&self, state: &mut PaneState, place: &str, memory: Memory) {
        let is_reset = state.ended.as_ref().is_some_and(|(ended, why)| ended == place && *why == Why::Reset);
        if !is_reset && state.agent.as_ref().is_some_and(|agent| agent.place() == place) {
            self.learn(state, memory);
        }
    }

    pub(super) fn drain(state: &PaneState, turn: TurnId, place: Option<String>, reply: oneshot::Sender<()>) {
        let agent = state.agent.clone();
        tokio::spawn(async move {
            if let Some(agent) = agent {
                // One that came after it never had the turn.
                if place.is_none_or(|place| agent.place() == place) {
                    agent.finished(turn).await;
                }
                // What it wrote is looked through by whoever waits for a late answer.
                agent.forget(turn, false);
            }
            let _ = reply.send(());
        });
    }

    pub(super) fn quiet_for(state: &PaneState, turn: TurnId, reply: oneshot::Sender<Option<Duration>>) {
        if let Some(agent) = state.agent.clone() {
            tokio::spawn(async move { reply.send(agent.quiet_for(turn).await) });
        }
    }

    pub(super) fn quiesce(&self, state: &mut PaneState, turn: TurnId, reply: oneshot::Sender<()>) {
        // A start that waits is one of the next agent.
        if state.starting.is_some() && !state.resting {
            state.quiescing.push((turn, reply));
            return;
        }
        let (agent, address) = (state.agent.clone(), self.address.clone());
        let (backend, name) = (self.wiring.backend.clone(), self.name.clone());
        tokio::spawn(async move {
            if let Some(agent) = agent {
                let mut quiet = true;
                if agent.exit().borrow().is_none()
                    && let Err(error) = agent.interrupt(turn).await
                {
                    tracing::warn!(%turn, %error, "the agent did not stop; ending it");
                    let _ = address.send(PaneMsg::Ending(agent.place().to_owned()));
                    if let Err(error) = agent.close().await {
                        quiet = false;
                        tracing::error!(%turn, %error, "the agent cannot be ended");
                    }
                }
                // An answer that came just before is looked at by whoever waits for a late one.
                let is_answered = matches!(backend.answer(&name, turn).await, Ok(Some(_)));
                agent.forget(turn, quiet && !is_answered);
            }
            let _ = reply.send(());
        });
    }

    pub(super) fn close(&self, state: &mut PaneState, why: Why, reply: oneshot::Sender<Result<(), BackendError>>) {
        self.give_up_start(state);
        if why == Why::Reset {
            self.unsure();
            state.keeping.clear();
            if state.last_end.take().is_some() {
                let told = format!("the agent was ended {}", why.as_str());
                let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Ended(told)));
            }
            self.learn(state, Memory::default());
        }
        if state.starting.is_some() {
            state.closing.push((why, reply));
            // It need not get ready first.
            state.giving_up = None;
            return;
        }
        if state.agent.is_none() {
            state.seat = None;
        }
        let (agent, backend, name) = (state.agent.clone(), self.wiring.backend.clone(), self.name.clone());
        // After a reset that did not get through it shall remember nothing all the same.
        let is_reset = |agent: &&Arc<dyn Agent>| {
            state.ended.as_ref().is_some_and(|(ended, why)| ended == agent.place() && *why == Why::Reset)
        };
        if agent.as_ref().filter(is_reset).is_none() {
            state.ended = agent.as_ref().map(|agent| (agent.place().to_owned(), why));
        }
        tokio::spawn(async move {
            let closed = match agent {
                Some(agent) => agent.close().await,
                // One that an earlier keeper started may be there all the same.
                None => backend.end(&name).await,
            };
            let _ = reply.send(closed);
        });
    }
}
