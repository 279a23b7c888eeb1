//! Where an agent is tried: a session, a tmux server and a directory that serve nothing else, and are gone afterwards.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::agent::profile::Profile;
use crate::backend::LocalBackend;
use crate::config::Config;
use crate::private;
use crate::server::{is_running, open_passage, private_dir};

/// Its directory in the state directory, and what its session's name ends in: that of a user's session ends in digits of an id.
const NAME: &str = "doctor";
/// Tries to remove a directory to which a program that is just ending may still write.
const TRIES: u32 = 3;

/// The room.
pub struct Room {
    /// The socket of its tmux server; as long a path as that of the real one.
    pub socket: PathBuf,
    /// The name of its session.
    pub session: String,
    dir: PathBuf,
    spool: PathBuf,
    /// Directories that were not there before, innermost first.
    made: Vec<PathBuf>,
    /// Directories that were opened for agents of another account, and their modes before.
    opened: Vec<(PathBuf, u32)>,
    _lock: File,
}

impl Room {
    /// Makes it. What an earlier one left is put in order by its user.
    ///
    /// # Errors
    /// What is in the way, in one line.
    pub fn open(config: &Config, profile: &Profile) -> Result<Self, String> {
        let (state, spools) = (&config.state.dir, config.state.spool());
        let made = spools.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        private_dir(config).map_err(|error| error.to_string())?;
        let dir = state.join(NAME);
        let told = |error: &dyn std::fmt::Display| format!("{} {error}", dir.display());
        private::directory(&dir).map_err(|error| told(&error))?;
        let lock = private::lock_file(&dir.join("lock")).map_err(|error| told(&error))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err("another `paliadin doctor` is at work here".to_owned());
        }
        let modes = || [state.clone(), spools.clone()].into_iter().filter_map(|path| Some((mode(&path)?, path)));
        let before: Vec<_> = modes().collect();
        let passage = if profile.owner.is_empty() { Ok(()) } else { open_passage(&config.state, profile) };
        let opened = before.into_iter().filter(|(before, path)| mode(path) != Some(*before));
        let opened = opened.map(|(mode, path)| (path, mode)).collect();
        let session = format!("{}-{NAME}", config.agent.session_prefix.replace('.', "_"));
        let (socket, spool) = (dir.join("tmux"), spools.join(&session));
        let room = Self { socket, spool, session, dir: dir.clone(), made, opened, _lock: lock };
        match passage {
            Ok(()) => Ok(room),
            Err(error) => {
                room.leave(config);
                Err(error.to_string())
            }
        }
    }

    /// Whether there is a tmux server in it, or something of one.
    pub fn has_tmux(&self) -> bool {
        fs::read_dir(&self.dir).is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != "lock"))
    }

    /// Ends everything in it and takes it away. Gives what is left, a line each.
    pub async fn close(self, config: &Config, backend: &LocalBackend) -> Vec<String> {
        let mut left = Vec::new();
        if self.has_tmux()
            && let Err(error) = backend.shut_down().await
        {
            left.push(format!("the tmux server at {}: {error}", self.socket.display()));
        }
        left.extend(self.leave(config));
        left
    }

    /// Takes it away before anything was started in it. Gives what is left, a line each.
    pub fn abandon(self, config: &Config) -> Vec<String> {
        self.leave(config)
    }

    /// Takes away what it has in the file system.
    fn leave(&self, config: &Config) -> Vec<String> {
        let mut left = Vec::new();
        for path in [&self.spool, &self.dir] {
            if let Err(error) = remove(path) {
                left.push(format!("{}: {error}", path.display()));
            }
        }
        let is_served = is_running(config).unwrap_or(true);
        for (path, mode) in self.opened.iter().filter(|_| !is_served) {
            if let Err(error) = fs::set_permissions(path, Permissions::from_mode(*mode)) {
                left.push(format!("the mode of {}: {error}", path.display()));
            }
        }
        for path in &self.made {
            // Where somebody has put something there meanwhile, it stays.
            let _ = fs::remove_dir(path);
        }
        left
    }
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777)
}

fn remove(path: &Path) -> std::io::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && tries < TRIES => {}
            removed => return removed,
        }
    }
}
