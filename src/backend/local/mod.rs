//! The local backend: agents in a tmux server of our own, on this host.

mod agent;
mod config;
mod delivery;
mod incarnation;
mod launch;
mod left;
mod process;
mod questions;
mod reader;
mod ready;
mod reply;
mod screen;
mod transcript;
mod trial;
mod typing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::sync::CancellationToken;

pub use config::LocalConfig;
pub use trial::{Outcome, Trial, Unanswered};

use self::incarnation::{Incarnation, unavailable};
use self::ready::wait_until_ready;
use super::{Adopted, Agent, Backend, BackendError, LeftAgent, Opened, Origin};
use crate::agent::profile::RestartPolicy;
use crate::agent::spool::Spool;
use crate::agent::watch::SpoolWatch;
use crate::faults;
use crate::tmux::{Server, ServerConfig, SpawnSpec, TmuxError};
use crate::turn::{ErrorCode, Memory, Timestamp, TurnId};

/// Tries of a command whose fate is unknown because tmux's client ended.
const TRIES: usize = 3;
/// Columns and rows of an agent's terminal.
const SIZE: (u16, u16) = (200, 50);

/// Agents in a tmux server of our own.
pub struct LocalBackend {
    config: Arc<LocalConfig>,
    watch: SpoolWatch,
    /// Started with the first agent, and again when it is gone.
    server: AsyncMutex<Option<Server>>,
}

impl LocalBackend {
    /// A backend; agents that an earlier process left go on, to be taken over. Whether tmux can be used at all, [`Server::probe`] tells before.
    ///
    /// # Errors
    /// Where the tmux server that is there does not answer, or the system has no inotify instance left.
    pub async fn start(config: LocalConfig) -> Result<Self, BackendError> {
        let no_watch =
            |error| BackendError::new(ErrorCode::BootstrapFailed, format!("files cannot be watched: {error}"));
        let watch = SpoolWatch::start().map_err(no_watch)?;
        let backend = Self { config: Arc::new(config), watch, server: AsyncMutex::default() };
        if backend.config.socket.exists() {
            let server = backend.server().await?;
            again(|| server.end_leftover_clients()).await.map_err(|error| unavailable(&error))?;
        }
        Ok(backend)
    }

    async fn server(&self) -> Result<Server, BackendError> {
        let mut slot = self.server.lock().await;
        if let Some(server) = slot.as_ref() {
            match again(|| server.panes()).await {
                Ok(_) => return Ok(server.clone()),
                Err(TmuxError::ServerGone(reason)) => tracing::warn!(reason, "starting the tmux server again"),
                Err(error) => return Err(unavailable(&error)),
            }
        }
        let config = ServerConfig {
            program: self.config.tmux.clone(),
            socket: self.config.socket.clone(),
            env: self.config.profile.passed_on(),
            width: SIZE.0,
            height: SIZE.1,
        };
        let server = Server::start(config).await.map_err(|error| unavailable(&error))?;
        *slot = Some(server.clone());
        Ok(server)
    }

    /// Ends the agents of these sessions, left by an earlier process or keeper.
    async fn clear(&self, server: &Server, is_meant: impl Fn(&str) -> bool) -> Result<(), BackendError> {
        for pane in again(|| server.panes()).await.map_err(|error| unavailable(&error))? {
            if is_meant(&pane.session_name) {
                tracing::info!(session = pane.session_name, pane = %pane.pane, "ending an agent that was left");
                let end = again(|| server.end(&pane, self.config.interrupt_timeout)).await;
                end.map_err(|error| unavailable(&error))?;
            }
        }
        Ok(())
    }
}

impl LocalBackend {
    /// Starts an agent in the place of whatever is there under this name.
    async fn start_agent(
        &self,
        server: &Server,
        spec: SpawnSpec,
        spool: &Spool,
        memory: Memory,
    ) -> Result<Arc<Incarnation>, BackendError> {
        let session = spec.name.clone();
        self.clear(server, |name| name == session).await?;
        spool.set_signals_aside();
        let changes = self.watch.subscribe(spool.path()).map_err(failed)?;
        let pane = match server.spawn(spec.clone()).await {
            // It may have been started; what is there under this name is ended before it is started again.
            Err(TmuxError::Interrupted { .. } | TmuxError::Timeout { .. }) => {
                self.clear(server, |name| name == session).await?;
                server.spawn(spec).await.map_err(failed)?
            }
            spawned => spawned.map_err(failed)?,
        };
        let (config, watched) = (self.config.clone(), (self.watch.clone(), changes));
        Ok(Arc::new(Incarnation::new(config, server.clone(), pane, spool.clone(), watched, memory).just_started()))
    }

    /// Waits until it is ready. One that does not become so is ended.
    async fn until_ready(&self, agent: &Incarnation, given_up: &CancellationToken) -> Result<(), BackendError> {
        let ready = wait_until_ready(agent, self.config.ready_timeout, given_up).await;
        if ready.is_err()
            && let Err(error) = agent.close().await
        {
            tracing::warn!(place = agent.place, %error, "an agent that did not start cannot be ended");
        }
        ready.map_err(|error| if given_up.is_cancelled() { error } else { error.of_process() })
    }
}

/// Runs a command that does no harm when it runs twice, again where tmux's client ended in between.
async fn again<T, R: Future<Output = Result<T, TmuxError>>>(command: impl Fn() -> R) -> Result<T, TmuxError> {
    for _ in 1..TRIES {
        match command().await {
            Err(TmuxError::Interrupted { .. } | TmuxError::Timeout { .. }) => {}
            outcome => return outcome,
        }
    }
    command().await
}

fn nobody_waits() -> BackendError {
    BackendError::new(ErrorCode::SessionReset, "nobody waits for the agent any more")
}

fn failed(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(ErrorCode::BootstrapFailed, message.to_string())
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        "local"
    }

    fn profile(&self) -> &str {
        &self.config.profile.name
    }

    fn can_reply(&self) -> bool {
        self.config.profile.reply.is_some()
    }

    fn restart(&self) -> RestartPolicy {
        self.config.profile.restart
    }

    async fn probe(&self, _session: &str) -> Result<(), BackendError> {
        self.server().await.map(drop)
    }

    async fn open(&self, session: &str, memory: &Memory, given_up: &CancellationToken) -> Result<Opened, BackendError> {
        faults::point("backend.open");
        let server = self.server().await?;
        let (spool, spec) = launch::prepare(&self.config, session)?;
        // What is there under this name may be another one's by now.
        if given_up.is_cancelled() {
            return Err(nobody_waits());
        }
        let resumed = memory.resume_id.as_deref().map(|id| self.config.profile.resume_words(id)).unwrap_or_default();
        if !resumed.is_empty() {
            let again = SpawnSpec { more: resumed, ..spec.clone() };
            let agent = self.start_agent(&server, again, &spool, memory.clone()).await?;
            match self.until_ready(&agent, given_up).await {
                Ok(()) => return Ok(Opened { agent, origin: Origin::Resumed }),
                Err(error) if given_up.is_cancelled() => return Err(error),
                // What it was to take up again may be gone.
                Err(error) => {
                    tracing::warn!(session, %error, "the agent does not take up its memory; starting it without");
                }
            }
        }
        let fresh = Memory { resume_id: None, since: Timestamp::now() };
        let agent = self.start_agent(&server, spec, &spool, fresh).await?;
        self.until_ready(&agent, given_up).await?;
        Ok(Opened { agent, origin: Origin::Started })
    }

    async fn find(
        &self,
        session: &str,
        memory: &Memory,
        given_up: &CancellationToken,
    ) -> Result<Option<LeftAgent>, BackendError> {
        self.find_left(session, memory, given_up).await
    }

    async fn adopt(&self, session: &str, memory: &Memory, place: &str, turn: TurnId) -> Result<Adopted, BackendError> {
        self.adopt_at(session, memory, place, turn).await
    }

    async fn works_on(&self, session: &str, place: &str, turn: TurnId) -> Result<bool, BackendError> {
        self.is_working(session, place, turn).await
    }

    async fn answer(&self, session: &str, turn: TurnId) -> Result<Option<String>, BackendError> {
        self.answer_to(session, turn).await
    }

    fn is_coming(&self, session: &str, turn: TurnId) -> bool {
        self.has_begun_answer(session, turn)
    }

    fn changes(&self, session: &str) -> Option<watch::Receiver<u64>> {
        let spool = launch::spool(&self.config, session)?;
        self.watch.join(spool.path()).ok()
    }

    fn revoke(&self, session: &str, turn: TurnId) {
        if let Some(spool) = launch::spool(&self.config, session) {
            spool.remove_token(turn);
        }
    }

    fn forget(&self, session: &str, turn: TurnId) {
        if let Some(spool) = launch::spool(&self.config, session) {
            spool.remove_inputs(turn);
            spool.remove_outputs(turn);
        }
    }

    fn turns_with_files(&self) -> Vec<(String, TurnId, Duration)> {
        self.files_of_turns()
    }

    async fn sessions(&self) -> Result<Vec<String>, BackendError> {
        Ok(self.panes().await?.into_iter().filter(|pane| !pane.dead).map(|pane| pane.session_name).collect())
    }

    async fn end(&self, session: &str) -> Result<(), BackendError> {
        let server = self.server.lock().await.clone();
        match server {
            // A server that is gone took its panes along.
            Some(server) => match again(|| server.panes()).await {
                Err(TmuxError::ServerGone(_)) => Ok(()),
                _ => self.clear(&server, |name| name == session).await,
            },
            None => Ok(()),
        }
    }

    async fn detach(&self) {
        drop(self.server.lock().await.take());
    }
}
