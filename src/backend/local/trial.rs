//! An agent on trial: started by the very code that starts real ones, in a session that serves nobody, and never given a
//! turn. For `paliadin doctor`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::incarnation::unavailable;
use super::ready::wait_until_ready;
use super::{LocalBackend, again, failed, launch};
use crate::agent::profile::{Places, ReadySign, program_on_path};
use crate::agent::spool::Spool;
use crate::backend::{Agent, BackendError};
use crate::tmux::SpawnSpec;
use crate::turn::{Memory, Timestamp};

/// How long a program may take that is asked something.
const ANSWER: Duration = Duration::from_secs(10);
/// How long an input has to stay that was seen: codex 0.171 that is not signed in shows its own for some 0.2 s, and a dialog
/// then.
const STEADY: Duration = Duration::from_secs(2);
/// Starts at the most of one that ends without a word.
const STARTS: u32 = 3;
/// How tmux's notice begins that a pane's program has ended (`remain-on-exit-format`).
const DEAD_PANE: &str = "Pane is dead";

/// A session that is made for a trial: spool, words and variables, and no process yet.
pub struct Trial {
    spool: Spool,
    spec: SpawnSpec,
    /// What comes from the environment of this process.
    passed_on: Vec<(OsString, OsString)>,
    /// The words before the agent's program.
    pub launch: Vec<String>,
    /// The agent's program.
    pub program: String,
}

/// Why a program gave no answer. One line, for people.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// There is no such program, or it cannot be run.
    #[error("it cannot be run: {0}")]
    NotRun(std::io::Error),
    /// It did not end in time.
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silent,
}

/// What came of the start.
#[derive(Debug)]
pub enum Outcome {
    /// It took this long to be ready.
    Ready(Duration),
    /// It is not: why, and what its terminal shows.
    NotReady {
        /// One line.
        why: String,
        /// The lines that are not empty.
        screen: Vec<String>,
    },
}

impl Trial {
    /// What the agent has in this variable.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        let own = self.spec.env.iter().find(|(known, _)| known == name).map(|(_, value)| OsString::from(value));
        own.or_else(|| self.passed_on.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    /// The session's spool.
    pub fn spool(&self) -> PathBuf {
        self.spool.path().to_owned()
    }

    /// Where this program lies on the search path that the agent gets.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            let path = self.spec.cwd.join(program);
            return path.exists().then_some(path);
        }
        program_on_path(program, self.variable("PATH").as_ref())
    }

    /// Runs a program as the agent would be: by the words before it, where it works, with its variables.
    ///
    /// # Errors
    /// Where it cannot be run, or takes longer than 10 s; then it is killed, with whatever it has started.
    pub async fn ask(&self, program: &str, words: &[String]) -> Result<Output, Unanswered> {
        let mut line =
            self.launch.iter().map(OsStr::new).chain([OsStr::new(program)]).chain(words.iter().map(OsStr::new));
        let first = line.next().unwrap_or_default();
        let first = first.to_str().and_then(|name| self.find(name)).unwrap_or_else(|| first.into());
        let mut command = Command::new(first);
        command.args(line).env_clear().envs(self.passed_on.iter().map(|(name, value)| (name, value)));
        command.envs(self.spec.env.iter().map(|(name, value)| (name, value))).current_dir(&self.spec.cwd);
        // In a group of its own it can neither read the operator's terminal nor leave anyone behind.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.kill_on_drop(true).spawn().map_err(Unanswered::NotRun)?;
        let _group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        match timeout(ANSWER, child.wait_with_output()).await {
            Ok(output) => output.map_err(Unanswered::NotRun),
            Err(_) => Err(Unanswered::Silent),
        }
    }
}

/// A group of processes that ends with whoever waits for it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails where nobody of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl LocalBackend {
    /// Makes a session for a trial.
    ///
    /// # Errors
    /// As for a real one: the account, the spool.
    pub fn prepare_trial(&self, session: &str) -> Result<Trial, BackendError> {
        let (spool, spec) = launch::prepare(&self.config, session)?;
        let (profile, own) = (&self.config.profile, self.config.own_program.as_path());
        let settings = spool.settings();
        let places = Places { own, settings: &settings, session, spool: spool.path() };
        let (launch, program) = profile.program(&places);
        Ok(Trial { spool, spec, passed_on: profile.passed_on(), launch, program })
    }

    /// Starts its agent and waits until that is ready. It is ended in any case. One that ends with nothing on its screen is
    /// started again: tmux drops what it has not read yet of a program that has ended (seen on 3.3a).
    ///
    /// # Errors
    /// Where tmux does not do its part.
    pub async fn try_out(&self, trial: &Trial) -> Result<Outcome, BackendError> {
        let since = Instant::now();
        let mut starts = 1;
        loop {
            let (outcome, ended) = self.try_once(trial).await?;
            let in_time = since.elapsed() < self.config.ready_timeout;
            match &outcome {
                Outcome::NotReady { screen, .. } if ended && screen.is_empty() && in_time && starts < STARTS => {
                    starts += 1
                }
                _ => return Ok(outcome),
            }
        }
    }

    /// What came of one start, and whether the agent had ended by itself.
    async fn try_once(&self, trial: &Trial) -> Result<(Outcome, bool), BackendError> {
        let server = self.server().await?;
        let since = Instant::now();
        let memory = Memory { resume_id: None, since: Timestamp::now() };
        let agent = self.start_agent(&server, trial.spec.clone(), &trial.spool, memory).await?;
        let limit = self.config.ready_timeout;
        let never = CancellationToken::new();
        let mut ready = wait_until_ready(&agent, limit, &never).await;
        let after = since.elapsed();
        if ready.is_ok() && self.config.profile.ready == ReadySign::Input {
            tokio::time::sleep(STEADY).await;
            // Whole seconds, since it is told.
            let rest = Duration::from_secs(limit.saturating_sub(since.elapsed()).as_secs().max(1));
            let again = wait_until_ready(&agent, rest, &never).await;
            let then = |error: BackendError| format!("its input was there for a moment; then {}", error.message);
            ready = again.map_err(|error| failed(then(error)));
        }
        let outcome = match ready {
            Ok(()) => Outcome::Ready(after),
            Err(error) => {
                let lines = agent.screen().await.into_iter().map(|line| line.trim_end().to_owned());
                let screen = lines.filter(|line| !line.is_empty() && !line.starts_with(DEAD_PANE)).collect();
                Outcome::NotReady { why: error.message, screen }
            }
        };
        let ended = agent.exit_watch().borrow().is_some();
        agent.close().await.map(|()| (outcome, ended))
    }

    /// Ends the tmux server, with every agent in it, also where whoever wanted one has given up in the middle of its start.
    ///
    /// # Errors
    /// Where something does not end.
    pub async fn shut_down(&self) -> Result<(), BackendError> {
        // One that is just coming up is joined: it cannot be told to end before.
        let server = self.server().await?;
        self.clear(&server, |_| true).await?;
        self.server.lock().await.take();
        again(|| server.shutdown()).await.map_err(|error| unavailable(&error))
    }
}
