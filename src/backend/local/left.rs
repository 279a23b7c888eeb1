//! What an earlier owner left: agents that are there and can be taken over, and what became of the turns of those that are
//! not.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::incarnation::{Incarnation, LOOK_AGAIN, unavailable};
use super::process::{how_it_ended, process_start};
use super::reader::Reader;
use super::ready::wait_until_ready;
use super::transcript::{Look, Transcript};
use super::{LocalBackend, again, failed, launch};
use crate::agent::signal::{Signal, SignalLine};
use crate::agent::spool::{Spool, SpoolError};
use crate::backend::{Adopted, Agent, AgentEvent, BackendError, Exit, Fate, LeftAgent};
use crate::tmux::{Pane, PaneInfo, Server, TmuxError};
use crate::turn::{ErrorCode, Memory, TurnId};

impl LocalBackend {
    /// The agents' panes, dead ones too; none where there is no tmux server.
    pub(super) async fn panes(&self) -> Result<Vec<PaneInfo>, BackendError> {
        let server = self.server.lock().await.clone();
        let Some(server) = server else { return Ok(Vec::new()) };
        match again(|| server.panes()).await {
            // A server that is gone took its panes along.
            Err(TmuxError::ServerGone(_)) => Ok(Vec::new()),
            panes => panes.map_err(|error| unavailable(&error)),
        }
    }

    /// The agent that is in this pane, with its memory.
    fn take_over(
        &self,
        server: Server,
        info: &PaneInfo,
        spool: Spool,
        memory: Memory,
    ) -> Result<Arc<Incarnation>, BackendError> {
        let changes = self.watch.join(spool.path()).map_err(failed)?;
        let pane =
            Pane { session: info.session.clone(), window: info.window.clone(), pane: info.pane.clone(), pid: info.pid };
        let watched = (self.watch.clone(), changes);
        Ok(Arc::new(Incarnation::new(self.config.clone(), server, pane, spool, watched, memory)))
    }

    /// The agent in this pane, once it is ready, and the turn on which it may be at work; `None` where it does not get ready.
    async fn ready_in(
        &self,
        agent: Arc<Incarnation>,
        info: &PaneInfo,
        given_up: &CancellationToken,
    ) -> Result<Option<(Arc<Incarnation>, Option<TurnId>)>, BackendError> {
        if !info.ready
            && let Err(error) = wait_until_ready(&agent, self.config.ready_timeout, given_up).await
        {
            return if given_up.is_cancelled() { Err(error) } else { Ok(None) };
        }
        let works_on = match last_turn(info) {
            Some(turn) if !self.has_ended(&info.session_name, turn).await => Some(turn),
            _ => None,
        };
        Ok(Some((agent, works_on)))
    }

    /// As `Backend::find`.
    pub(super) async fn find_left(
        &self,
        session: &str,
        memory: &Memory,
        given_up: &CancellationToken,
    ) -> Result<Option<LeftAgent>, BackendError> {
        let mut left = self.panes().await?;
        left.retain(|pane| pane.session_name == session && !pane.dead);
        let Some(info) = left.first() else { return Ok(None) };
        let server = self.server().await?;
        let (spool, spec) = launch::prepare(&self.config, session)?;
        let take_over = |info| self.take_over(server.clone(), info, spool.clone(), memory.clone());
        let tells_end = self.config.profile.hooks.is_some();
        let launch = spec.fingerprint();
        let mut fitting = left.iter().filter(|pane| pane.launch.as_deref() == Some(launch.as_str()));
        if let (Some(info), None) = (fitting.next(), fitting.next())
            && let Some((agent, works_on)) = self.ready_in(take_over(info)?, info, given_up).await?
        {
            tracing::info!(session, place = agent.place(), "taking over the agent that was left");
            return Ok(Some(LeftAgent { agent, works_on, tells_end, outdated: false }));
        }
        // It may still come to an answer that is wanted.
        if let Some(turn) = last_turn(info)
            && self.is_at_work(session, turn).await
        {
            tracing::info!(session, "the agent that was left was started otherwise, or is not ready; it works still");
            return Ok(Some(LeftAgent { agent: take_over(info)?, works_on: Some(turn), tells_end, outdated: true }));
        }
        tracing::info!(session, "the agent that was left was started otherwise, or is not ready; ending it");
        self.clear(&server, |name| name == session).await?;
        Ok(None)
    }

    pub(super) async fn adopt_at(
        &self,
        session: &str,
        memory: &Memory,
        place: &str,
        turn: TurnId,
    ) -> Result<Adopted, BackendError> {
        let panes = self.panes().await?;
        let pane = panes.iter().find(|pane| pane.session_name == session && is_left_of(pane, place));
        let spool = launch::spool(&self.config, session);
        let server = self.server.lock().await.clone();
        if let (Some(info), Some(server), Some(spool)) = (pane, server, &spool)
            && is_there(info, place)
        {
            // Where it cannot be told how one would be started now, that says nothing of this one.
            let launch = launch::fingerprint(&self.config, session);
            let outdated = launch.is_some_and(|launch| info.launch.as_deref() != Some(launch.as_str()));
            let agent = self.take_over(server, info, spool.clone(), memory.clone())?;
            return Ok(Adopted::Here { agent, outdated });
        }
        // One that cannot be used is found again by whoever looks for late answers.
        if let Ok(Some(answer)) = self.answer_to(session, turn).await {
            return Ok(Adopted::Gone(Fate::Answered(answer)));
        }
        let was_seen = match &spool {
            Some(spool) => reports(spool).await.iter().any(|signal| is_of(signal, turn)),
            None => false,
        };
        let typed_last = pane.and_then(|pane| pane.turn.as_deref()) == Some(turn.to_string().as_str());
        let fate = match pane {
            Some(pane) if typed_last || was_seen => Fate::Died {
                how: how_it_ended(pane).unwrap_or_else(|| Exit::default().reason),
                said: self.said(session, turn),
            },
            // The fence is set with the paste, and this pane took nothing else in between.
            Some(_) => Fate::NotTyped,
            None if was_seen => Fate::Died { how: Exit::default().reason, said: self.said(session, turn) },
            None => Fate::Unknown,
        };
        Ok(Adopted::Gone(fate))
    }

    /// As `Backend::answer`. What cannot be read for the moment is waited for: that there is no answer would be the end of
    /// it.
    pub(super) async fn answer_to(&self, session: &str, turn: TurnId) -> Result<Option<String>, BackendError> {
        let Some(spool) = launch::spool(&self.config, session) else { return Ok(None) };
        let mut reader = Reader::new(turn, self.config.max_response);
        let mut signals = signal_lines(&spool).await;
        let seen = loop {
            let whole = self.watch.is_whole(spool.path(), turn);
            match reader.look(std::mem::take(&mut signals), &spool, whole) {
                Ok(seen) if seen.again => sleep(LOOK_AGAIN).await,
                seen => break seen,
            }
        };
        match seen {
            Ok(seen) => Ok(match seen.ending {
                Some(AgentEvent::Done(text)) => Some(text),
                _ => None,
            }),
            // The agent said that there is none.
            Err(error) if error.code == ErrorCode::UpstreamError => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What lies there of an answer that is not complete.
    fn said(&self, session: &str, turn: TurnId) -> String {
        let Some(spool) = launch::spool(&self.config, session) else { return String::new() };
        let seen = Reader::new(turn, self.config.max_response).look(Vec::new(), &spool, false);
        let pieces = seen.map(|seen| seen.events).unwrap_or_default().into_iter();
        pieces.filter_map(|event| if let AgentEvent::Delta(text) = event { Some(text) } else { None }).collect()
    }

    /// There is an answer file, and it is not known to be whole.
    pub(super) fn has_begun_answer(&self, session: &str, turn: TurnId) -> bool {
        launch::spool(&self.config, session)
            .is_some_and(|spool| spool.has_answer(turn) && !self.watch.is_whole(spool.path(), turn))
    }

    pub(super) async fn is_working(&self, session: &str, place: &str, turn: TurnId) -> Result<bool, BackendError> {
        if self.has_begun_answer(session, turn) {
            return Ok(true);
        }
        let panes = self.panes().await?;
        let id = turn.to_string();
        let is_here = panes.iter().any(|pane| is_there(pane, place) && pane.turn.as_deref() == Some(id.as_str()));
        Ok(is_here && self.is_at_work(session, turn).await)
    }

    /// Whether the agent, to which this turn was typed last, has not said yet that it is done with it.
    async fn is_at_work(&self, session: &str, turn: TurnId) -> bool {
        let Some(spool) = launch::spool(&self.config, session) else { return true };
        if reports(&spool).await.iter().any(|signal| signal.ends() == Some(turn)) {
            return false;
        }
        !matches!(self.answer_to(session, turn).await, Ok(Some(_)))
    }

    /// Whether nothing more of this turn, which was typed last, will come from its agent. One with hooks says so itself,
    /// also after it has answered by a file.
    async fn has_ended(&self, session: &str, turn: TurnId) -> bool {
        if self.config.profile.hooks.is_none() {
            return !self.is_at_work(session, turn).await;
        }
        let Some(spool) = launch::spool(&self.config, session) else { return false };
        let reports = reports(&spool).await;
        if reports.iter().any(|signal| signal.ends() == Some(turn)) {
            return true;
        }
        // As it is followed while the turn runs: the last file that was named.
        let last = reports.into_iter().rev().find_map(|signal| match signal {
            Signal::Transcript { turn_id, path, from, prompt } if turn_id == turn => {
                Some(Transcript::new(turn, &path, from, &prompt))
            }
            _ => None,
        });
        let Some(mut transcript) = last else { return false };
        loop {
            match transcript.read(spool.owner()) {
                Ok(Look::Nothing) => return false,
                Ok(Look::More) => tokio::task::yield_now().await,
                Ok(Look::Ended(_)) => return true,
                // A passing one.
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    pub(super) fn files_of_turns(&self) -> Vec<(String, TurnId, Duration)> {
        let names = std::fs::read_dir(&self.config.spool).into_iter().flatten().flatten();
        let sessions = names.filter_map(|entry| entry.file_name().into_string().ok());
        let spools = sessions.filter_map(|name| Some((launch::spool(&self.config, &name)?, name)));
        spools
            .flat_map(|(spool, name)| spool.turns().into_iter().map(move |(turn, age)| (name.clone(), turn, age)))
            .collect()
    }
}

/// Whether this is the pane that `place` means; its process may be gone.
fn is_pane_of(pane: &PaneInfo, place: &str) -> bool {
    let mut words = place.split(' ');
    words.next() == Some(pane.pane.as_str()) && words.next() == Some(pane.pid.to_string().as_str())
}

/// Whether the process that `place` means is in this pane, or was. After a restart of the host, or of the container, the
/// same numbers mean another pane and another process, and what that one has not got proves nothing.
fn is_left_of(pane: &PaneInfo, place: &str) -> bool {
    is_pane_of(pane, place) && (pane.dead || is_there(pane, place))
}

/// Whether the process that `place` means is in this pane.
fn is_there(pane: &PaneInfo, place: &str) -> bool {
    is_pane_of(pane, place) && !pane.dead && place.split(' ').nth(2) == Some(process_start(pane.pid).as_str())
}

/// The turn that was typed there last.
fn last_turn(pane: &PaneInfo) -> Option<TurnId> {
    pane.turn.as_deref().and_then(|turn| turn.parse().ok())
}

async fn signal_lines(spool: &Spool) -> Vec<SignalLine> {
    let mut lines = patiently(|| spool.read_signals_aside()).await;
    lines.extend(patiently(|| Ok(spool.read_signals(0)?.0)).await);
    lines.iter().filter_map(|line| SignalLine::parse(line).ok()).collect()
}

/// These lines; what cannot be read for the moment is waited for.
async fn patiently(read: impl Fn() -> Result<Vec<String>, SpoolError>) -> Vec<String> {
    loop {
        match read() {
            Err(error) if error.is_passing() => sleep(LOOK_AGAIN).await,
            lines => return lines.unwrap_or_default(),
        }
    }
}

async fn reports(spool: &Spool) -> Vec<Signal> {
    signal_lines(spool).await.into_iter().map(|line| line.signal).collect()
}

fn is_of(signal: &Signal, turn: TurnId) -> bool {
    signal.turn_id() == Some(turn)
}
