//! `paliadin doctor`

use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, fail};
use crate::doctor::{Consent, Examination, Report};

#[derive(Args)]
#[command(after_help = "Exit status: 0 nothing is in the way, 1 something is, 2 bad arguments or configuration\n\n\
    Run it under the account and with the environment of the server. It can run beside one.")]
pub struct Doctor {
    /// Look at this agent profile instead of the configured one
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Where the agent has to trust its directory first, write that down for the directory of all agents, once you agree
    ///
    /// It is said what would be written where, and nothing is written without a yes.
    #[arg(long)]
    seed_trust: bool,
    /// As --seed-trust, with your consent given beforehand; for scripts
    #[arg(long)]
    yes: bool,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self, global: &Global) -> ExitCode {
        let config = match global.load() {
            Ok(config) => config,
            Err(error) => return fail(2, error),
        };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(1, error),
        };
        let consent = match (self.seed_trust, self.yes) {
            (_, true) => Consent::Given,
            (true, false) => Consent::Ask,
            (false, false) => Consent::No,
        };
        let profile = self.profile.as_deref();
        let examination = Examination { config: &config, file: global.config.as_deref(), profile, consent };
        let mut out = std::io::stdout();
        let mut report = Report::new(&mut out);
        let run = async { examination.run(&mut report, stopped()?).await.map_err(std::io::Error::other) };
        let examined = runtime.block_on(run);
        // Somebody may still be asked at the terminal.
        runtime.shutdown_background();
        match examined {
            Ok(()) if report.failures == 0 => ExitCode::SUCCESS,
            Ok(()) => ExitCode::FAILURE,
            Err(error) => fail(2, error),
        }
    }
}

/// Resolves when the command shall end. Whoever began something can put it away then.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
