//! How an agent is started: under which account, where, with which words and variables.

use std::collections::BTreeMap;

use super::{LocalConfig, failed};
use crate::agent::account::Account;
use crate::agent::profile::{Home, Places};
use crate::agent::skill;
use crate::agent::spool::{Owner, Spool};
use crate::backend::BackendError;
use crate::tmux::SpawnSpec;

/// The spool of a session, made or put right, and how its agent is started.
///
/// # Errors
/// `bootstrap_failed`, with what a person has to see to.
pub(super) fn prepare(config: &LocalConfig, session: &str) -> Result<(Spool, SpawnSpec), BackendError> {
    let profile = &config.profile;
    let account = account(config, session)?;
    let spool = Spool::create(&config.spool, session, owner(account.as_ref())).map_err(failed)?;
    if let Some(text) = profile.settings(&config.own_program, &config.agent_version) {
        spool.write_settings(&text).map_err(failed)?;
    }
    if profile.home == Home::PerSession {
        spool.make_home().map_err(failed)?;
    }
    if let Some(skills) = &profile.skills
        && let Err(error) = skill::install(&spool.work(), skills)
    {
        // It can do without.
        tracing::warn!(session, %error, "the skill is not in the agent's working directory");
    }
    let spec = spec(config, session, account.as_ref(), &spool);
    Ok((spool, spec))
}

/// How an agent of this session would be started now (see [`SpawnSpec::fingerprint`]); `None` where none would be. Nothing is
/// made for it.
pub(super) fn fingerprint(config: &LocalConfig, session: &str) -> Option<String> {
    let account = account(config, session).ok()?;
    let spool = Spool::existing(&config.spool, session, owner(account.as_ref()))?;
    Some(spec(config, session, account.as_ref(), &spool).fingerprint())
}

/// The account of its agent, where that has one of its own.
fn account(config: &LocalConfig, session: &str) -> Result<Option<Account>, BackendError> {
    let account = config.profile.owner_of(session).map(|name| Account::find(&name)).transpose().map_err(no_account)?;
    account.as_ref().map_or(Ok(()), Account::check).map_err(no_account)?;
    Ok(account)
}

fn owner(account: Option<&Account>) -> Owner {
    account.map_or(Owner::Server, Account::owner)
}

fn spec(config: &LocalConfig, session: &str, account: Option<&Account>, spool: &Spool) -> SpawnSpec {
    let (profile, settings) = (&config.profile, spool.settings());
    let places = Places { own: &config.own_program, settings: &settings, session, spool: spool.path() };
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    if let Some(account) = account {
        set("HOME", account.home.display().to_string());
        set("SHELL", account.shell.display().to_string());
        set("USER", account.name.clone());
        set("LOGNAME", account.name.clone());
    }
    if profile.home == Home::PerSession {
        set("HOME", spool.home().display().to_string());
    }
    let ours = [("PALIADIN_SPOOL", spool.path().display().to_string()), ("PALIADIN_SESSION", session.to_owned())];
    env.extend(profile.variables(&places));
    env.extend(config.environment.iter().cloned());
    env.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    let (name, env) = (session.to_owned(), env.into_iter().collect());
    SpawnSpec { name, cwd: spool.work(), env, argv: profile.argv(&places), more: Vec::new() }
}

/// The spool of a session, if there is one.
pub(super) fn spool(config: &LocalConfig, session: &str) -> Option<Spool> {
    let account = config.profile.owner_of(session).map(|name| Account::find(&name)).transpose();
    let owner = account.map(|account| owner(account.as_ref())).unwrap_or_else(|error| {
        tracing::debug!(session, %error, "nothing in this spool can be used");
        Owner::Unknown
    });
    Spool::existing(&config.spool, session, owner)
}

fn no_account(error: impl std::fmt::Display) -> BackendError {
    failed(format!("`owner` of the agent's profile: {error}"))
}
