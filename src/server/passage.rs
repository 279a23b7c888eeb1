//! What agents under another account need of the server before any of them is started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;

use super::StartError;
use crate::agent::account::Account;
use crate::agent::profile::Profile;
use crate::agent::spool;
use crate::config::State;

/// Lets agents of other accounts through the state directory to their spools if the profile has some, and nobody if not.
///
/// # Errors
/// Where the account is not there, or a directory cannot be put right.
pub fn open(state: &State, profile: &Profile) -> Result<(), StartError> {
    if let Some(name) = profile.only_owner() {
        let unknown = |error| format!("agent profile {:?}: `owner`: {error}", profile.name);
        Account::find(name).map_err(|error| StartError::Configuration(unknown(error)))?;
    }
    let has_owner = !profile.owner.is_empty();
    let dir = fs::canonicalize(&state.dir).unwrap_or_else(|_| state.dir.clone());
    if has_owner {
        all_closed(&dir)?;
    }
    for dir in [dir.clone(), dir.join("spool")] {
        let told = |error| StartError::Configuration(format!("state.dir: {} {error}", dir.display()));
        spool::passage(&dir, has_owner).map_err(told)?;
    }
    if has_owner {
        for shut in dir.ancestors().skip(1).filter(|dir| is_shut(dir)) {
            tracing::warn!(directory = %shut.display(), "agents under another account may not get through here");
        }
        // Whatever their files are made with, the server may have to read them by their group.
        let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
        rustix::process::umask(mask & !Mode::from_raw_mode(0o050));
    }
    Ok(())
}

/// Checks that nothing beside the spools can be read by whoever knows its name.
fn all_closed(dir: &Path) -> Result<(), StartError> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "spool") {
        let mode = fs::metadata(entry.path()).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            return Err(StartError::Configuration(format!(
                "state.dir: {} has mode {mode:04o}; the agents' accounts pass through its directory, so it must be closed to \
                 others (chmod go= on it)",
                entry.path().display()
            )));
        }
    }
    Ok(())
}

/// Whether others may not pass through. An access control list may let them all the same.
fn is_shut(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0)
}
