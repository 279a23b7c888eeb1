//! What is taken away again.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir};
use rustix::io::Errno;

use super::{Input, Spool};
use crate::turn::TurnId;

impl Spool {
    /// Removes the token that was handed to the agent for this turn, also a half-written one.
    pub fn remove_token(&self, turn: TurnId) {
        let Ok(dir) = self.dir("in") else { return };
        let name = format!("{turn}.{}", Input::Token.suffix());
        remove(&dir, &name);
        remove(&dir, &format!(".{name}"));
    }

    /// Removes what was handed to the agent for this turn, whatever it is.
    pub fn remove_inputs(&self, turn: TurnId) {
        self.remove_of("in", turn);
    }

    /// Removes what the agent wrote for this turn, whatever it is; called once it is recorded.
    pub fn remove_outputs(&self, turn: TurnId) {
        self.remove_of("out", turn);
    }

    /// Removes everything in this directory whose name begins with the turn's id.
    fn remove_of(&self, dir: &str, turn: TurnId) {
        let Ok(dir) = self.dir(dir) else { return };
        let Ok(entries) = Dir::read_from(&dir) else { return };
        for entry in entries.flatten() {
            if let Ok(name) = entry.file_name().to_str()
                && turn_of(name) == Some(turn)
            {
                remove(&dir, name);
            }
        }
    }
}

/// The turn with whose id a file's name begins; a file that is just being placed has a dot before it.
pub(super) fn turn_of(name: &str) -> Option<TurnId> {
    name.strip_prefix('.').unwrap_or(name).get(..36)?.parse().ok()
}

pub(super) fn remove(dir: &OwnedFd, name: &str) {
    let removed = match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        // Only an agent makes these, and it is not for us to look into them.
        Err(Errno::ISDIR) => rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR),
        removed => removed,
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(Errno::NOTEMPTY) => tracing::debug!(directory = %name, "not removed from the spool"),
        Err(error) => tracing::warn!(file = %name, %error, "spool file not removed"),
    }
}
