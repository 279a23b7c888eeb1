//! `paliadin doctor`: looks at everything that a server needs, one thing after the other, and says what to do. It uses the
//! parts of the server themselves, gives no agent a turn, disturbs no server that runs, and leaves nothing behind.

mod agent;
mod database;
mod host;
mod report;
mod room;
mod trust;

use std::path::Path;

use crate::agent::profile::{Profile, ProfileError};
use crate::backend::{Backend, LocalBackend};
use crate::config::Config;
use crate::server::local_config;
use crate::tmux;
pub use report::Report;
use room::Room;
pub use trust::Consent;

/// What is to be looked at.
pub struct Examination<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The file of which it is, too.
    pub file: Option<&'a Path>,
    /// The profile that is looked at instead of the configured one.
    pub profile: Option<&'a str>,
    /// Whether trust is to be written down.
    pub consent: Consent,
}

impl Examination<'_> {
    /// Looks at everything. Once `stop` resolves, only what was begun is put away.
    ///
    /// # Errors
    /// Where there is no such profile.
    pub async fn run(&self, report: &mut Report<'_>, stop: impl Future<Output = ()>) -> Result<(), ProfileError> {
        let config = self.config;
        let agent = &config.agent;
        let name = self.profile.unwrap_or(&agent.profile);
        let profile = Profile::find(name, &agent.profiles_dir, std::env::var_os("PATH").as_ref())?;
        host::configuration(report, self.file);
        let has_state = host::state(report, config);
        tokio::pin!(stop);
        let stopped = "stopped before everything was looked at";
        let around = async {
            database::check(report, config).await;
            host::server(report, config);
            host::page(report);
            host::ssh(report);
        };
        tokio::select! {
            () = around => {}
            () = &mut stop => {
                report.fail("doctor", stopped, "");
                return Ok(());
            }
        }
        if self.has_agents(report) {
            agent::profile(report, config, self.profile, &profile);
            let has_owner = agent::owner(report, &profile);
            match has_state && has_owner {
                true => self.try_agent(report, profile, &mut stop, stopped).await,
                false => report.say("no agent was tried: see above"),
            }
        }
        report.conclude();
        Ok(())
    }

    /// Whether the backend is one that has agents here.
    fn has_agents(&self, report: &mut Report<'_>) -> bool {
        match self.config.backend.kind.as_str() {
            "disabled" => {
                let remedy = "backend.kind (PALIADIN_BACKEND) = auto, and agents are there";
                report.warn("backend", "switched off: every turn fails with `disabled`", remedy);
                return false;
            }
            kind @ ("remote" | "aichat") => {
                let found = format!("this version has no backend `{kind}` yet");
                report.fail("backend", found, "set backend.kind (PALIADIN_BACKEND) to auto");
                return false;
            }
            "auto" | "local" => {}
            kind => {
                report.warn("backend", format!("{kind:?} is not known and means `auto`"), "auto, local or disabled")
            }
        }
        true
    }

    /// Makes a room, looks at tmux and the agent in it, and takes it away.
    async fn try_agent(
        &self,
        report: &mut Report<'_>,
        profile: Profile,
        stop: &mut (impl Future<Output = ()> + Unpin),
        stopped: &str,
    ) {
        let config = self.config;
        let room = match Room::open(config, &profile) {
            Ok(room) => room,
            Err(error) => return report.fail("trial", error, "no agent was tried"),
        };
        let looking = async {
            let mut local = local_config(config, profile.clone()).await.map_err(|error| error.to_string())?;
            local.socket = room.socket.clone();
            LocalBackend::start(local).await.map_err(|error| error.message)
        };
        let backend = match looking.await {
            Ok(backend) => backend,
            Err(error) => {
                report.fail("trial", error, "no agent was tried");
                room.abandon(config).into_iter().for_each(|left| report.say(format!("left behind: {left}")));
                return;
            }
        };
        let is_stopped = tokio::select! {
            () = self.look(report, &profile, &room, &backend) => false,
            () = stop => true,
        };
        if is_stopped {
            report.fail("doctor", stopped, "");
        }
        for left in room.close(config, &backend).await {
            report.warn("left behind", left, "remove it by hand");
        }
    }

    async fn look(&self, report: &mut Report<'_>, profile: &Profile, room: &Room, backend: &LocalBackend) {
        let has_tmux = has_tmux(report, &self.config.backend.tmux, backend, &room.session).await;
        let trial = match backend.prepare_trial(&room.session) {
            Ok(trial) => trial,
            Err(error) => return report.fail("spool", error.message, "no agent was tried"),
        };
        let has_program = agent::program(report, profile, &trial).await;
        if has_program {
            agent::signed_in(report, profile, &trial).await;
        }
        trust::check(report, profile, &trial, self.consent).await;
        if has_program && has_tmux {
            agent::ready(report, profile, backend, &trial).await;
        } else {
            report.say("no agent was started: see above");
        }
    }
}

/// Whether tmux is there, new enough, and starts a server.
async fn has_tmux(report: &mut Report<'_>, program: &Path, backend: &LocalBackend, session: &str) -> bool {
    let version = match tmux::Server::probe(program).await {
        Ok(version) => version,
        Err(error) => {
            let remedy = format!(
                "install tmux {} or later (`apt install tmux`), or name it: backend.tmux; without it there are no agents",
                tmux::Version::OLDEST
            );
            report.fail("tmux", error, remedy);
            return false;
        }
    };
    match backend.probe(session).await {
        Ok(()) => report.ok("tmux", format!("{}, {version}; starts a server of its own", program.display())),
        Err(error) => {
            report.fail("tmux", format!("{version}: {}", error.message), "see whether `tmux -L test new -d` works");
            return false;
        }
    }
    true
}
