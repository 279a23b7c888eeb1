//! Directories that an agent has named, in which a file is watched.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::agent::spool::Owner;

/// One of them, held open: whatever is put in its place meanwhile, this one was looked at, and this one is watched.
pub(super) struct Directory {
    open: OwnedFd,
    /// Device and number.
    pub(super) identity: (u64, u64),
}

impl Directory {
    /// The directory of this file, and the file's name there. It has to belong to `owner`, and to lie outside of all spools,
    /// or inside the one at `spool`, which watches itself and its `out/` anyway. All spools lie in one directory.
    pub(super) fn of(file: &Path, spool: &Path, owner: Owner) -> Result<(Self, OsString), notify::Error> {
        let refused = |why: &str| notify::Error::generic(why).add_path(file.to_path_buf());
        let (Some(parent), Some(name), true) = (file.parent(), file.file_name(), file.is_absolute()) else {
            return Err(refused("no path of a file"));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::open(parent, flags, Mode::empty()).map_err(|error| notify::Error::io(error.into()))?;
        let stat = rustix::fs::fstat(&open).map_err(|error| notify::Error::io(error.into()))?;
        let directory = Self { open, identity: (stat.st_dev, stat.st_ino) };
        let real = std::fs::read_link(directory.path()).map_err(notify::Error::io)?;
        let own = std::fs::canonicalize(spool).map_err(notify::Error::io)?;
        let in_own = real.starts_with(&own) && real != own && real != own.join("out");
        let in_any = own.parent().is_none_or(|root| real.starts_with(root));
        match () {
            () if !owner.is(stat.st_uid) => Err(refused("its directory is not the agent's")),
            () if in_any && !in_own => Err(refused("its directory is a spool's")),
            () => Ok((directory, name.to_owned())),
        }
    }

    /// A path to it that leads nowhere else, as long as it is held open.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.open.as_raw_fd()))
    }
}
