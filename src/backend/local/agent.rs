//! What is asked of an agent in a pane.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use rustix::process::Signal as OsSignal;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::incarnation::{Incarnation, unavailable};
use super::process::gone;
use super::reader::refused;
use super::{delivery, reply, typing};
use crate::agent::spool::SpoolError;
use crate::backend::{Agent, AgentEvent, BackendError, Exit, Job, Replied, Reply};
use crate::turn::{ErrorCode, Memory, TurnId};

/// Reports that may wait for the turn before the backend waits itself.
const REPORTS_IN_FLIGHT: usize = 64;

#[async_trait]
impl Agent for Incarnation {
    fn place(&self) -> &str {
        &self.place
    }

    fn exit(&self) -> watch::Receiver<Option<Exit>> {
        self.exit_watch()
    }

    fn memory(&self) -> watch::Receiver<Memory> {
        self.memory.subscribe()
    }

    fn catch_up(&self) {
        if let Err(error) = self.signals() {
            tracing::warn!(place = self.place, %error, "the agent's reports cannot be read");
        }
        self.note_known_memory();
    }

    fn run(self: Arc<Self>, job: Job) -> BoxStream<'static, AgentEvent> {
        let (reports, stream) = mpsc::channel(REPORTS_IN_FLIGHT);
        tokio::spawn(async move {
            // Whoever listened may be gone; then there is nothing left to do here.
            let _ = delivery::run(&self, &job, &reports).await;
        });
        ReceiverStream::new(stream).boxed()
    }

    async fn reply(&self, reply: Reply) -> Result<Replied, BackendError> {
        reply::reply(self, &reply).await
    }

    fn has_ended(&self, turn: TurnId) -> bool {
        self.config.profile.hooks.is_none() || self.is_over(turn) || !self.is_alive()
    }

    async fn finished(&self, turn: TurnId) {
        let is_finished = || {
            // Not read then: what is reported from there on belongs to the turns that follow.
            if self.is_over(turn) {
                return Ok(true);
            }
            self.signals()?;
            if self.config.profile.hooks.is_some() {
                return Ok(self.is_over(turn));
            }
            let whole = self.is_whole(turn);
            let is_answered = match self.spool.read_answer(turn, self.config.max_response as u64) {
                Ok(answer) => answer.is_some() && whole,
                Err(error) if error.is_passing() => return Err(error),
                // An answer that is too long or cannot be read is one, too.
                Err(_) => true,
            };
            Ok(is_answered || self.is_over(turn))
        };
        // Of an agent whose reports cannot be read nothing more is heard, and that it is done less than all.
        if let Err(error) = self.until(is_finished).await {
            tracing::warn!(place = self.place, %turn, %error, "not known when the agent is done with this turn");
            gone(&mut self.exit_watch()).await;
        }
    }

    async fn quiet_for(&self, turn: TurnId) -> Option<Duration> {
        let info = self.server.pane(&self.terminal.pane).await.ok()??;
        // tmux counts whole seconds: what it printed last may have come at the end of that second.
        let printed = UNIX_EPOCH + Duration::from_secs(u64::try_from(info.activity?).ok()? + 1);
        let now = SystemTime::now();
        // A file's time is what its owner says: one that is still to come tells nothing.
        let written = self.spool.written_at(turn).filter(|written| *written <= now);
        Some(now.duration_since(printed.max(written.unwrap_or(printed))).unwrap_or_default())
    }

    async fn interrupt(&self, turn: TurnId) -> Result<(), BackendError> {
        let mut exit = self.exit_watch();
        tokio::select! {
            mut keyboard = self.keyboard.lock() => keyboard.interrupted = Some(turn),
            // Whoever is about to type finds nobody.
            _ = gone(&mut exit) => return Ok(()),
        }
        // Whoever was about to type it may have written them anew.
        self.spool.remove_inputs(turn);
        let info = self.server.pane(&self.terminal.pane).await.map_err(|error| unavailable(&error))?;
        if info.is_none_or(|info| info.dead || info.turn.as_deref() != Some(turn.to_string().as_str())) {
            self.settle(turn);
            return Ok(());
        }
        if typing::lies_unsent(self, turn).await {
            let message = "the message lies in the agent's input, or behind a dialog";
            return Err(BackendError::new(ErrorCode::UpstreamError, message));
        }
        let has_stopped = || -> Result<bool, SpoolError> {
            self.signals()?;
            Ok(self.is_over(turn))
        };
        match has_stopped() {
            Ok(true) => return Ok(()),
            Err(error) if !error.is_passing() => return Err(refused(error)),
            _ => {}
        }
        let key = &self.config.profile.interrupt_key;
        self.server.send_key(&self.terminal.pane, key).await.map_err(|error| unavailable(&error))?;
        match timeout(self.config.interrupt_timeout, self.until(has_stopped)).await {
            Ok(stopped) => stopped.map_err(refused),
            Err(_) => Err(BackendError::new(ErrorCode::UpstreamSilence, "the agent did not confirm the interrupt")),
        }
    }

    fn forget(&self, turn: TurnId, settled: bool) {
        self.spool.remove_inputs(turn);
        if settled {
            self.spool.remove_outputs(turn);
        }
    }

    async fn close(&self) -> Result<(), BackendError> {
        // tmux hangs up for us; a server that is gone has taken its panes along, or left a program without a terminal.
        let hangup = match self.server.kill_session(&self.terminal.session).await {
            Ok(()) => None,
            Err(error) => {
                tracing::info!(%error, place = %self.place, "session not killed by tmux");
                Some(OsSignal::HUP)
            }
        };
        let mut exit = self.exit_watch();
        for signal in [hangup, Some(OsSignal::KILL)] {
            if let Some(signal) = signal {
                self.signal_process(signal);
            }
            if timeout(self.config.interrupt_timeout, gone(&mut exit)).await.is_ok() {
                return Ok(());
            }
        }
        Err(BackendError::new(ErrorCode::UpstreamError, "the agent's process does not end"))
    }
}
