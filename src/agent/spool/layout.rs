//! The directories of a spool: who may do what in them.
//!
//! All of them are the server's, so that nobody but the server can replace them, and it can remove what lies there. An
//! agent under another account gets in by its primary group: it may pass through `<state>`, `spool/` and the session's
//! directory, read `in/`, and write in `out/`, `work/` and `home/`. The setgid bit of these gives the group to whatever is
//! made there, so that a server that is not root can read it.

use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode};

use super::{Spool, SpoolError, remove};
use crate::private::{self, OpenTo};

/// Who runs an agent, and so has to own what lies in `out/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The server's own account.
    Server,
    /// Another account.
    Account {
        /// Its number.
        uid: u32,
        /// The number of its primary group.
        gid: u32,
    },
    /// An account that is not there (any more): nothing that lies in `out/` is used.
    Unknown,
}

/// The directory of all spools, opened: others may pass through, and see nothing.
const PASSAGE: u32 = 0o711;
/// A session's directory, opened to the group.
const ENTRANCE: u32 = 0o710;
/// What the group may read.
const READABLE: u32 = 0o750;
/// Where the group may write; what is made there is the group's, too.
const WRITABLE: u32 = 0o2770;

impl Owner {
    /// Whether what belongs to this account is the agent's.
    pub fn is(self, uid: u32) -> bool {
        match self {
            Self::Server => uid == rustix::process::geteuid().as_raw(),
            Self::Account { uid: expected, .. } => uid == expected,
            Self::Unknown => false,
        }
    }

    /// The group that is let in.
    pub(super) fn group(self) -> Option<u32> {
        match self {
            Self::Account { gid, .. } => Some(gid),
            Self::Server | Self::Unknown => None,
        }
    }

    fn open_to(self) -> OpenTo {
        self.group().map_or(OpenTo::Nobody, OpenTo::Group)
    }
}

/// Makes `<state>` or the directory of all spools passable for agents of other accounts, or closes it.
///
/// # Errors
/// As [`private::opened`].
pub fn passage(path: &Path, is_open: bool) -> std::io::Result<()> {
    private::opened(path, PASSAGE, if is_open { OpenTo::Others } else { OpenTo::Nobody })
}

impl Spool {
    /// Makes the directories, and puts those that are there right.
    pub(super) fn make(&self, root: &Path) -> Result<(), SpoolError> {
        let told = |path: &Path| {
            let name = path.display().to_string();
            move |error: std::io::Error| SpoolError::io(&name, error)
        };
        let made = match self.owner {
            // Other sessions may need it open.
            Owner::Server | Owner::Unknown => private::passable(root),
            Owner::Account { .. } => passage(root, true),
        };
        made.map_err(told(root))?;
        private::opened(&self.path, ENTRANCE, self.owner.open_to()).map_err(told(&self.path))?;
        for (name, mode) in [("in", READABLE), ("out", WRITABLE), ("work", WRITABLE)] {
            self.make_one(name, mode)?;
        }
        self.remove_foreign();
        Ok(())
    }

    /// Makes the session's own home directory.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn make_home(&self) -> Result<(), SpoolError> {
        self.make_one("home", WRITABLE)
    }

    fn make_one(&self, name: &str, mode: u32) -> Result<(), SpoolError> {
        let path = self.path.join(name);
        private::opened(&path, mode, self.owner.open_to())
            .map_err(|error| SpoolError::io(&path.display().to_string(), error))
    }

    /// Removes the files of other accounts from `out/`: nothing of them is used, and they would stand in the way of an
    /// agent that was given another account.
    fn remove_foreign(&self) {
        let Ok(out) = self.dir("out") else { return };
        let Ok(entries) = Dir::read_from(&out) else { return };
        for entry in entries.flatten() {
            let Ok(stat) = rustix::fs::statat(&out, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if let Ok(name) = entry.file_name().to_str()
                && !is_directory
                && !self.owner.is(stat.st_uid)
            {
                remove(&out, name);
            }
        }
    }

    /// The mode of what is put into `in/`.
    pub(super) fn input_mode(&self) -> Mode {
        Mode::from_raw_mode(if self.owner.group().is_some() { 0o640 } else { 0o600 })
    }
}
