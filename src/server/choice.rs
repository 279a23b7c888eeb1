//! Which backend the turns go to.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use super::{StartError, passage};
use crate::agent::profile::Profile;
use crate::backend::{Backend, BackendError, DisabledBackend, LocalBackend, LocalConfig};
use crate::config::Config;
use crate::tmux::{self, TmuxError};
use crate::turn::ErrorCode;

/// How long an agent program may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// The backend that the configuration names; for `auto`, what this host can run.
///
/// # Errors
/// [`StartError`], where what was asked for cannot run.
pub(super) async fn choose_backend(config: &Config) -> Result<Arc<dyn Backend>, StartError> {
    let kind = match config.backend.kind.as_str() {
        "disabled" => {
            let reason = "the backend is switched off (backend.kind = disabled)".to_owned();
            return Ok(Arc::new(DisabledBackend { reason }));
        }
        kind @ ("remote" | "aichat") => {
            return Err(StartError::Configuration(format!("backend.kind: this version has no backend `{kind}` yet")));
        }
        kind @ ("auto" | "local") => kind,
        kind => {
            if !matches!(kind, "" | "legacy") {
                tracing::warn!(kind, "unknown backend.kind; taking `auto`");
            }
            "auto"
        }
    };
    let unusable = |error| StartError::Configuration(format!("state.dir: {error}"));
    tmux::Server::prepare(&config.state.tmux_socket()).map_err(unusable)?;
    let agent = &config.agent;
    let path = std::env::var_os("PATH");
    let profile = Profile::find(&agent.profile, &agent.profiles_dir, path.as_ref())?;
    passage::open(&config.state, &profile)?;
    let mut local = local_config(config, profile).await?;
    let typed_log = Some(&agent.typed_log).filter(|file| !file.as_os_str().is_empty() && local.profile.is_demo());
    local.environment.extend(typed_log.map(|file| ("PALIADIN_DEMO_TYPED_LOG".to_owned(), file.display().to_string())));
    match tmux::Server::probe(&local.tmux).await {
        Ok(_) => {}
        // Not where tmux is there and in trouble: nobody would look for the reason, and the agents would be away.
        Err(error @ (TmuxError::NotFound(_) | TmuxError::TooOld { .. })) if kind == "auto" => {
            tracing::warn!(%error, "no local agents; turns will fail with `disabled`");
            return Ok(Arc::new(DisabledBackend { reason: format!("no agent can run on this host: {error}") }));
        }
        Err(error) => return Err(BackendError::new(ErrorCode::TmuxUnavailable, error.to_string()).into()),
    }
    let backend = LocalBackend::start(local).await.map_err(StartError::Agents)?;
    Ok(Arc::new(backend))
}

/// How agents of this profile are run.
///
/// # Errors
/// Where our own program is not known.
pub async fn local_config(config: &Config, profile: Profile) -> Result<LocalConfig, StartError> {
    let agent = &config.agent;
    Ok(LocalConfig {
        tmux: config.backend.tmux.clone(),
        socket: config.state.tmux_socket(),
        spool: config.state.spool(),
        own_program: std::env::current_exe().map_err(StartError::io("our own program's path"))?,
        environment: Vec::new(),
        agent_version: agent_version(&profile).await,
        profile,
        ready_timeout: agent.ready_timeout,
        confirm_timeout: agent.confirm_timeout,
        interrupt_timeout: agent.interrupt_timeout,
        inline_limit: config.turn.inline_limit,
        max_response: config.turn.max_response,
    })
}

/// What the program of this profile says of itself, where it matters for how it is started.
async fn agent_version(profile: &Profile) -> String {
    let (Some(_), Some(program)) = (profile.hooks, profile.command.first()) else { return String::new() };
    let mut command = tokio::process::Command::new(program);
    command
        .arg("--version")
        .env_clear()
        .envs(profile.passed_on())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            tracing::info!(program, version, "agent program found");
            version
        }
        Ok(Err(error)) => {
            tracing::warn!(program, %error, "the agent program does not run");
            String::new()
        }
        Err(_) => {
            tracing::warn!(program, "the agent program does not tell its version");
            String::new()
        }
    }
}
