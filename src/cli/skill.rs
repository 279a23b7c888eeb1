//! `paliadin skill …`: the skill that tells agents how to answer turns.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Global, fail, with_config};
use crate::agent::profile::Profile;
use crate::agent::skill::{self, Changes};
use crate::config::Config;

/// The directory of a session in which its agent works.
const WORK: &str = "work";

#[derive(Subcommand)]
pub enum Skill {
    /// Put the skill `paliadin` where agents look for skills; files that are up to date are not written again
    ///
    /// Without --dir, into the working directory of each agent session that there is: the server does the same when it
    /// starts an agent. Nothing is put into anybody's home directory unless --dir names it.
    Install(Install),
}

#[derive(Args)]
pub struct Install {
    /// The agent's profile, which says where in its working directory it looks for skills [default: agent.profile of the
    /// configuration]
    #[arg(long, value_name = "PROFILE", conflicts_with = "dir")]
    profile: Option<String>,
    /// A directory of skills, for example ~/.claude/skills; it is made where it is missing, and the skill goes into
    /// `paliadin` in it
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Skill {
    /// Runs the command.
    pub fn run(self, global: &Global) -> ExitCode {
        let Self::Install(Install { profile, dir }) = self;
        match dir {
            Some(dir) => into_directory(&dir),
            None => with_config(global, |config| into_sessions(&config, profile)),
        }
    }
}

fn into_directory(dir: &Path) -> ExitCode {
    let made =
        fs::create_dir_all(dir).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())));
    match made.and_then(|()| skill::install(dir, Path::new(""))) {
        Ok(changes) => tell(&told(&changes, &dir.join(skill::NAME))),
        Err(error) => fail(1, error),
    }
}

fn into_sessions(config: &Config, profile: Option<String>) -> ExitCode {
    let name = profile.as_ref().unwrap_or(&config.agent.profile);
    let profile = match Profile::find(name, &config.agent.profiles_dir, std::env::var_os("PATH").as_ref()) {
        Ok(profile) => profile,
        Err(error) => return fail(2, error),
    };
    let Some(skills) = &profile.skills else {
        let problem = "says nothing of where its agent looks for skills (`skills`); --dir names a directory";
        return fail(2, format!("agent profile {:?} {problem}", profile.name));
    };
    let sessions = match sessions(&config.state.spool()) {
        Ok(sessions) => sessions,
        Err(error) => return fail(1, format!("{}: {error}", config.state.spool().display())),
    };
    if sessions.is_empty() {
        return tell(
            "no agent session has a working directory yet; each gets the skill by itself when its agent starts\n",
        );
    }
    let mut words = String::new();
    let mut status = ExitCode::SUCCESS;
    for work in &sessions {
        match skill::install(work, skills) {
            Ok(changes) => words.push_str(&told(&changes, &work.join(skills).join(skill::NAME))),
            // The others shall have it all the same.
            Err(error) => status = fail(1, error),
        }
    }
    words.push_str(&format!("sessions: {}\n", sessions.len()));
    let told = tell(&words);
    if status == ExitCode::SUCCESS { told } else { status }
}

/// The working directories of all agent sessions that have one.
fn sessions(spool: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(spool) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let work = entry.path().join(WORK);
        if entry.file_type()?.is_dir() && fs::symlink_metadata(&work).is_ok_and(|metadata| metadata.is_dir()) {
            found.push(work);
        }
    }
    found.sort();
    Ok(found)
}

/// What was changed, one line per file.
fn told(Changes { written, removed }: &Changes, skill: &Path) -> String {
    if written.is_empty() && removed.is_empty() {
        return format!("up to date: {}\n", skill.display());
    }
    let written = written.iter().map(|path| format!("written: {}\n", path.display()));
    written.chain(removed.iter().map(|path| format!("removed: {}\n", path.display()))).collect()
}

fn tell(words: &str) -> ExitCode {
    match io::stdout().write_all(words.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format!("done, but it cannot be told: standard output: {error}")),
    }
}
