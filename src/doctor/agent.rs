//! The agent: its account, its program, whether it is signed in, and whether it gets ready.

use super::host::account;
use super::report::Report;
use crate::agent::account::Account;
use crate::agent::claude;
use crate::agent::profile::{Hooks, Profile};
use crate::backend::{LocalBackend, Outcome, Trial, Unanswered};
use crate::config::Config;

/// Lines of a screen that are shown, from its end.
const SHOWN_LINES: usize = 30;
/// Characters of each of them, and of what a program says.
const SHOWN_WIDTH: usize = 160;

/// Says which profile it is, and why.
pub fn profile(report: &mut Report<'_>, config: &Config, asked: Option<&str>, profile: &Profile) {
    let name = &profile.name;
    let configured = &config.agent.profile;
    let why = match (asked.unwrap_or(configured), asked) {
        ("auto", _) if name == "claude" => "auto: `claude` is on PATH".to_owned(),
        ("auto", _) => "auto: there is no `claude` on PATH".to_owned(),
        (_, Some(_)) if asked != Some(configured) => format!("asked for; the server takes {configured}"),
        _ => "agent.profile".to_owned(),
    };
    let from = match Profile::file(name, &config.agent.profiles_dir) {
        Some(file) => file.display().to_string(),
        None => "built in".to_owned(),
    };
    report.ok("profile", format!("{name} ({why}), {from}"));
}

/// Whether the account of its agents, if it has one, can be used. False where no agent can be tried.
pub fn owner(report: &mut Report<'_>, profile: &Profile) -> bool {
    let Some(name) = profile.only_owner() else {
        if !profile.owner.is_empty() {
            let found = format!("{}, one for each session", profile.owner);
            let remedy = "so no agent can be tried here; each session tells what its agent lacks (`bootstrap_failed`)";
            report.warn("agent's account", found, remedy);
        }
        return profile.owner.is_empty();
    };
    let checked = Account::find(name).and_then(|account| account.check().map(|()| account));
    match checked {
        Ok(account) => {
            report.ok("agent's account", format!("{name}, home {}", account.home.display()));
            true
        }
        Err(error) => {
            report.fail(
                "agent's account",
                error,
                "docs/operation.md, \"Agents under another account\", tells how to make it",
            );
            false
        }
    }
}

/// Whether the agent's program can be run. False where there is no use in going on.
pub async fn program(report: &mut Report<'_>, profile: &Profile, trial: &Trial) -> bool {
    if let Some(first) = trial.launch.first() {
        if trial.find(first).is_none() {
            let remedy = "install it, or correct `launch` of the profile";
            report.fail("launch", format!("`{first}` is not on the PATH of the server: {}", path(trial)), remedy);
            return false;
        }
        match trial.ask("true", &[]).await.map(|output| (output.status, last_line(&output.stderr))) {
            Ok((status, _)) if status.success() => report.ok("launch", format!("`{first}` runs programs")),
            Ok((_, said)) => report.warn("launch", format!("`{first}` does not run `true`: {said}"), ONLY_ITS_OWN),
            Err(error) => report.warn("launch", format!("`{first}` does not run `true`: {error}"), ONLY_ITS_OWN),
        }
    }
    let program = &trial.program;
    let found = trial.find(program);
    let Some(place) = found.or_else(|| (!trial.launch.is_empty()).then(|| program.into())) else {
        let remedy = format!(
            "install it for the account {}, or put its directory on the server's PATH, or its path into `command` of a profile \
             of your own, or take another profile (PALIADIN_PROFILE=demo needs nothing)",
            account()
        );
        report.fail("program", format!("`{program}` is not on the PATH that agents get: {}", path(trial)), remedy);
        return false;
    };
    let place = place.display();
    let answer = trial.ask(program, &["--version".to_owned()]).await;
    match answer {
        Err(error @ Unanswered::NotRun(_)) if trial.launch.is_empty() => {
            report.fail("program", format!("{place}: {error}"), "install it anew");
            return false;
        }
        Err(error) => {
            report.warn("program", format!("{place} does not tell its version: {error}"), "see whether it gets ready")
        }
        Ok(output) => {
            let version = first_line(&output.stdout);
            match () {
                () if profile.hooks == Some(Hooks::Claude) && claude::is_too_old(&version) => {
                    report.fail(
                        "program",
                        format!("{place}, {version}: too old"),
                        "2.1.78 or later is needed: update it",
                    );
                    return false;
                }
                () if output.status.success() && !version.is_empty() => {
                    report.ok("program", format!("{place}, {version}"))
                }
                () if trial.launch.is_empty() => report.ok("program", format!("{place}; it tells no version")),
                () => {
                    let found = format!("{place} does not run by way of `launch`: {}", last_line(&output.stderr));
                    report.warn("program", found, ONLY_ITS_OWN);
                }
            }
        }
    }
    true
}

/// What it means that `launch` does not run something.
const ONLY_ITS_OWN: &str = "fine where it allows the agent's own command only, and that gets ready";

/// Whether it is signed in, as far as it tells without being used.
pub async fn signed_in(report: &mut Report<'_>, profile: &Profile, trial: &Trial) {
    const WHAT: &str = "signed in";
    if profile.is_demo() {
        return;
    }
    if profile.signed_in.is_empty() {
        return report.ok(WHAT, "not known: the profile has no way to ask (`signed_in`)");
    }
    let program = &trial.program;
    let words = profile.signed_in.join(" ");
    let found = match trial.ask(program, &profile.signed_in).await {
        Ok(output) if output.status.success() => {
            return report
                .ok(WHAT, format!("yes, says `{program} {words}`; whether that is accepted, only a turn tells"));
        }
        Ok(output) => format!("no, says `{program} {words}` ({})", last_line(&output.stderr)),
        Err(error) => format!("not known: `{program} {words}`: {error}"),
    };
    let found = found.replace(" ()", "");
    let secret = |name: &&String| name.contains("KEY") || name.contains("TOKEN");
    let variables: Vec<&str> = profile.pass_environment.iter().filter(secret).map(String::as_str).collect();
    let by_variable = match variables.as_slice() {
        [] => "a variable that the profile passes on (`pass_environment`)".to_owned(),
        variables => format!("the server's environment ({})", variables.join(", ")),
    };
    let home = trial.variable("HOME").unwrap_or_default();
    let remedy = format!(
        "sign in with `{program}` as the account {}, HOME={}, or give it a key by {by_variable}",
        agents_account(profile),
        home.display()
    );
    if profile.hooks == Some(Hooks::Codex) {
        report.warn(WHAT, found, format!("{remedy}; fine where its configuration names another provider"));
    } else {
        report.fail(WHAT, found, remedy);
    }
}

/// Whether it gets ready.
pub async fn ready(report: &mut Report<'_>, profile: &Profile, backend: &LocalBackend, trial: &Trial) {
    const WHAT: &str = "ready";
    match backend.try_out(trial).await {
        Ok(Outcome::Ready(after)) => {
            report.ok(WHAT, format!("after {:.1} s; it was given no turn", after.as_secs_f32()))
        }
        Err(error) => report.fail(WHAT, error, "see to tmux first"),
        Ok(Outcome::NotReady { why, screen }) => {
            if screen.is_empty() {
                report.fail(WHAT, why, "its terminal shows nothing");
            } else {
                report.fail(WHAT, why, "its terminal shows:");
                let lines = &screen[screen.len().saturating_sub(SHOWN_LINES)..];
                lines.iter().for_each(|line| report.say(format!("| {}", shown(line))));
            }
            report.say(format!(
                "where it asks something, start it once by hand as the account {} and answer it; where it needs longer, raise \
                 agent.ready_timeout",
                agents_account(profile)
            ));
        }
    }
}

/// The account that an operator has to be, to do something for the agent.
pub fn agents_account(profile: &Profile) -> String {
    profile.only_owner().map_or_else(account, str::to_owned)
}

fn path(trial: &Trial) -> String {
    trial.variable("PATH").map_or_else(|| "(empty)".to_owned(), |path| path.display().to_string())
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    shown(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim())
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    shown(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_WIDTH).collect()
}
