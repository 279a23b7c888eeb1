//! Whether the agent trusts the directory in which it works, and, with the operator's consent, that it does.

use std::fs;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};

use super::agent::agents_account;
use super::report::Report;
use crate::agent::account::Account;
use crate::agent::profile::{Hooks, Profile};
use crate::agent::spool::Owner;
use crate::agent::trust;
use crate::backend::Trial;

const WHAT: &str = "trust";

/// Whether the operator wants trust to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nobody asked for it.
    No,
    /// To be asked for.
    Ask,
    /// Given on the command line.
    Given,
}

/// Looks whether the agent trusts its directory, and sees to it where that is wanted.
pub async fn check(report: &mut Report<'_>, profile: &Profile, trial: &Trial, consent: Consent) {
    match profile.hooks {
        Some(Hooks::Claude) => claude(report, profile, trial, consent).await,
        Some(Hooks::Codex) if profile.command.iter().any(|word| word.contains("trust_level")) => {
            report.ok(WHAT, "the profile's command decides about the working directory; nothing has to be written");
        }
        Some(Hooks::Codex) => {
            let remedy = "put it into `command`, as the built-in profile does: -c projects={\"{spool}/work\"={…}}";
            report.warn(WHAT, "the profile's command does not say whether codex trusts its working directory", remedy);
        }
        None => {}
    }
}

async fn claude(report: &mut Report<'_>, profile: &Profile, trial: &Trial, consent: Consent) {
    let Some(file) = trust::file(trial.variable("CLAUDE_CONFIG_DIR"), trial.variable("HOME")) else {
        return report.fail(WHAT, "the agent has neither HOME nor CLAUDE_CONFIG_DIR", "set HOME for the server");
    };
    let spool = trial.spool();
    if file.starts_with(&spool) {
        let remedy = "each session's agent asks for trust in its own terminal, and to be signed in unless it has a token by its \
                      environment; `home = \"shared\"`, or CLAUDE_CONFIG_DIR in `environment`, gives them one place for both";
        return report.warn(WHAT, "every session has a home of its own, which knows of nothing yet", remedy);
    }
    // As the agent's own working directory looks to it.
    let spools = spool.parent().unwrap_or(&spool);
    let spools = fs::canonicalize(spools).unwrap_or_else(|_| spools.to_owned());
    let shown = file.display();
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => {
            let remedy = format!(
                "as the account {}, run `claude` in {}, and trust it",
                agents_account(profile),
                spools.display()
            );
            return report.warn(WHAT, format!("not known: {shown}: {error}"), remedy);
        }
        Ok(text) => text,
    };
    match trust::trusted_by(&text, &spools) {
        Ok(Some(by)) => return report.ok(WHAT, format!("{} is trusted ({shown})", by.display())),
        Ok(None) => {}
        Err(error) => {
            let remedy = "Claude Code itself may mend it: run `claude`";
            return report.warn(WHAT, format!("not known: {shown} is not what it should be: {error}"), remedy);
        }
    }
    let words = format!(
        "Claude Code asks before it works in a directory for the first time, and no agent gets ready before that is answered.\n\
         To trust {} and all below it, where only agents of Paliadin work, this is written to {shown}:\n\
         projects.{:?}.hasTrustDialogAccepted = true",
        spools.display(),
        spools.display().to_string()
    );
    let (found, how) =
        (format!("{} is not trusted yet", spools.display()), "`paliadin doctor --seed-trust` writes that");
    match consent {
        Consent::No => return report.warn(WHAT, found, format!("{words}\n{how}, once you agree")),
        Consent::Ask if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) => {
            let why = "nothing was written: there is no terminal to ask for your consent; --yes gives it";
            return report.fail(WHAT, found, format!("{words}\n{why}"));
        }
        Consent::Ask => {
            report.say(&words);
            if !agrees().await {
                return report.warn(WHAT, found, "nothing was written");
            }
        }
        Consent::Given => report.say(&words),
    }
    let owner = profile
        .only_owner()
        .map(Account::find)
        .transpose()
        .map(|account| account.map_or(Owner::Server, |account| account.owner()));
    match owner
        .map_err(|error| error.to_string())
        .and_then(|owner| trust::seed(&file, &spools, owner).map_err(|error| error.to_string()))
    {
        Ok(()) => report.ok(WHAT, format!("{} is trusted from now on ({shown})", spools.display())),
        Err(error) => {
            let remedy = format!(
                "as the account {}, run `claude` in {}, and trust it",
                agents_account(profile),
                spools.display()
            );
            report.fail(WHAT, format!("{shown}: {error}"), remedy);
        }
    }
}

/// Asks at the terminal.
async fn agrees() -> bool {
    let asked =
        std::io::stdout().write_all(b"      Shall it be written? [y/N] ").and_then(|()| std::io::stdout().flush());
    if asked.is_err() {
        return false;
    }
    // On a thread of its own, so that Ctrl-C is minded.
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = read.await.ok().and_then(Result::ok).unwrap_or_default();
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
