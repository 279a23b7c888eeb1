//! The spool: the private directory in which server and agent exchange the files of a session.
//!
//! What the agent wrote is not trusted. A file is opened relative to its directory, without following links and
//! without waiting (a FIFO would block), and then has to be a regular file of the expected owner with one link and
//! below its size limit.

mod layout;
mod removal;
mod replies;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags};
use rustix::io::Errno;

use super::signal;
use crate::turn::TurnId;
pub use layout::{Owner, passage};
use removal::{remove, turn_of};
pub use replies::reply_file;

/// Bytes of `out/events.jsonl` that are read; an agent that writes more in one life is cut off there.
const MAX_SIGNALS: u64 = 64 * 1024 * 1024;

/// The settings that an agent is started with, in `in/`.
const SETTINGS: &str = "settings.json";
/// What an agent reported before its file was begun anew.
const SIGNALS_ASIDE: &str = "events.before.jsonl";
/// Times that a file is opened which is replaced again and again; then the last that was seen is read.
const MAX_TRIES: u32 = 8;

/// What the server hands to the agent for one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The message, where it is too long to be typed.
    Message,
    /// The page's context.
    Context,
    /// What was said before, for an agent that does not remember it.
    Primer,
    /// The token by which it asks for data.
    Token,
}

impl Input {
    fn suffix(self) -> &'static str {
        match self {
            Self::Message => "message.md",
            Self::Context => "context.json",
            Self::Primer => "primer.md",
            Self::Token => "jwt",
        }
    }
}

/// Why a file of the spool was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// It is not what it must be. Nothing of it was read.
    #[error("{name}: {problem}")]
    Invalid {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is over its size limit.
    #[error("{name}: {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The file's name.
        name: String,
        /// Bytes it has.
        size: u64,
        /// Bytes it may have.
        limit: u64,
    },
    /// The operating system refused.
    #[error("{name}: {error}")]
    Io {
        /// The file's name.
        name: String,
        /// What it said.
        error: String,
        /// It lacks something that is there again in a moment: descriptors, or memory.
        passing: bool,
    },
}

impl SpoolError {
    fn io(name: &str, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        let errno = Errno::from_io_error(&error);
        let passing = errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOMEM].contains(&errno));
        if passing {
            tracing::warn!(name, %error, "a file of an agent's cannot be used for the moment");
        }
        Self::Io { name: name.to_owned(), error: error.to_string(), passing }
    }

    /// Why a file elsewhere, which an agent has named, cannot be looked at; only where that passes.
    pub(crate) fn passing(file: &Path, error: impl Into<std::io::Error>) -> Option<Self> {
        Some(Self::io(&file.to_string_lossy(), error)).filter(Self::is_passing)
    }

    /// Nothing is known of the file; whoever looks again in a moment may know.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Io { passing: true, .. })
    }
}

/// Bytes of a file, from some place on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the file the bytes begin.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The spool of one agent session.
#[derive(Debug, Clone)]
pub struct Spool {
    path: PathBuf,
    /// Who must own what lies in `out/`.
    owner: Owner,
}

impl Spool {
    /// Opens the spool `<root>/<session>` of an agent of this account, and makes it where it is missing. Directories that
    /// were made for another one are put right.
    ///
    /// # Errors
    /// [`SpoolError::Io`] where a directory cannot be made, is not a directory, or is not ours or open to strangers.
    pub fn create(root: &Path, session: &str, owner: Owner) -> Result<Self, SpoolError> {
        let spool = Self { path: root.join(session), owner };
        spool.make(root)?;
        Ok(spool)
    }

    /// The spool `<root>/<session>`, if there is one.
    pub fn existing(root: &Path, session: &str, owner: Owner) -> Option<Self> {
        let path = root.join(session);
        let is_directory = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        is_directory.then_some(Self { path, owner })
    }

    /// Who must own what the agent has written.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Every turn of which a file lies here, and how long ago the newest of them was written.
    pub fn turns(&self) -> Vec<(TurnId, Duration)> {
        let files =
            ["in", "out"].into_iter().flat_map(|dir| std::fs::read_dir(self.path.join(dir))).flatten().flatten();
        let mut turns: BTreeMap<TurnId, Duration> = BTreeMap::new();
        for file in files {
            let Some(turn) = file.file_name().to_str().and_then(turn_of) else { continue };
            let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
            let age = modified.and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
            turns.entry(turn).and_modify(|known| *known = age.min(*known)).or_insert(age);
        }
        turns.into_iter().collect()
    }

    /// The directory of the session; the agent's `PALIADIN_SPOOL`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the agent works.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Puts a file of a turn into `in/`, by rename, so that the agent never sees half of it.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn write_input(&self, turn: TurnId, input: Input, bytes: &[u8]) -> Result<(), SpoolError> {
        self.place(&format!("{turn}.{}", input.suffix()), bytes)
    }

    /// Puts the settings that an agent is started with into `in/`.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn write_settings(&self, text: &str) -> Result<(), SpoolError> {
        self.place(SETTINGS, text.as_bytes())
    }

    /// Where [`Self::write_settings`] puts them.
    pub fn settings(&self) -> PathBuf {
        self.path.join("in").join(SETTINGS)
    }

    /// Where the agent's home is, where it has one of its own.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    fn place(&self, name: &str, bytes: &[u8]) -> Result<(), SpoolError> {
        let hidden = self.hide(name, bytes)?;
        let dir = self.dir("in")?;
        let placed = rustix::fs::renameat(&dir, hidden.as_str(), &dir, name);
        placed.map_err(|error| SpoolError::io(name, error))
    }

    /// Writes a file under a name that nobody looks for.
    fn hide(&self, name: &str, bytes: &[u8]) -> Result<String, SpoolError> {
        let hidden = format!(".{name}");
        let dir = self.dir("in")?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = rustix::fs::openat(&dir, hidden.as_str(), flags, Mode::from_raw_mode(0o600))
            .and_then(|file| {
                // Whatever the mask says, and whatever was left under this name.
                rustix::fs::fchown(&file, None, self.owner.group().map(Gid::from_raw))?;
                rustix::fs::fchmod(&file, self.input_mode())?;
                Ok(file)
            })
            .map_err(std::io::Error::from)
            .and_then(|file| std::fs::File::from(file).write_all(bytes));
        written.map(|()| hidden).map_err(|error| SpoolError::io(name, error))
    }

    /// Puts what was reported so far beside, in the place of what was put there before: whoever reads on begins with the
    /// first line again. It may hold the only copy of an answer that nobody has looked for yet.
    pub fn set_signals_aside(&self) {
        let Ok(out) = self.dir("out") else { return };
        match rustix::fs::renameat(&out, signal::FILE_NAME, &out, SIGNALS_ASIDE) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => {
                tracing::warn!(spool = %self.path.display(), %error, "the agent's reports are not kept");
                remove(&out, signal::FILE_NAME);
            }
        }
    }

    /// The whole answer; `None` while there is none.
    ///
    /// # Errors
    /// [`SpoolError`], also where the file is not what it must be or is over `limit` bytes.
    pub fn read_answer(&self, turn: TurnId, limit: u64) -> Result<Option<Vec<u8>>, SpoolError> {
        Ok(self.read_out(&format!("{turn}.txt"), 0, limit)?.map(|chunk| chunk.bytes))
    }

    /// Whether there is a file where the answer has to be; what is no regular one will never be an answer.
    pub fn has_answer(&self, turn: TurnId) -> bool {
        self.path.join("out").join(format!("{turn}.txt")).symlink_metadata().is_ok_and(|file| file.is_file())
    }

    /// What the partial answer holds from byte `from` on, or all of it where it is shorter than that by now; `None`
    /// while there is none.
    ///
    /// # Errors
    /// As [`Self::read_answer`].
    pub fn read_part(&self, turn: TurnId, from: u64, limit: u64) -> Result<Option<Chunk>, SpoolError> {
        self.read_out(&format!("{turn}.part"), from, limit)
    }

    /// When the agent has last written something that counts as a sign of life during this turn: a report, or a piece of its
    /// answer. `None` where there is neither, or they cannot be looked at.
    pub fn written_at(&self, turn: TurnId) -> Option<SystemTime> {
        let out = self.dir("out").ok()?;
        let written = |name: &str| {
            let found = rustix::fs::statat(&out, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let since = Duration::new(u64::try_from(found.st_mtime).ok()?, u32::try_from(found.st_mtime_nsec).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        written(signal::FILE_NAME).max(written(&format!("{turn}.part")))
    }

    /// The lines of `out/events.jsonl` from byte `from` on (from the first where the file is shorter, so a new one), and
    /// where the next read begins. A line without its newline is left for that.
    ///
    /// # Errors
    /// As [`Self::read_answer`].
    pub fn read_signals(&self, from: u64) -> Result<(Vec<String>, u64), SpoolError> {
        self.read_lines(signal::FILE_NAME, from)
    }

    /// What [`Self::set_signals_aside`] put there.
    ///
    /// # Errors
    /// As [`Self::read_answer`].
    pub fn read_signals_aside(&self) -> Result<Vec<String>, SpoolError> {
        Ok(self.read_lines(SIGNALS_ASIDE, 0)?.0)
    }

    fn read_lines(&self, name: &str, from: u64) -> Result<(Vec<String>, u64), SpoolError> {
        let chunk = self.read_out(name, from, MAX_SIGNALS)?;
        let Some(Chunk { start, bytes }) = chunk else { return Ok((Vec::new(), 0)) };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok((lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect(), start + whole as u64))
    }

    fn dir(&self, name: &str) -> Result<OwnedFd, SpoolError> {
        self.open_dir(name).map_err(|error| SpoolError::io(name, error))
    }

    fn open_dir(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(&self.path, flags, Mode::empty())
            .and_then(|session| rustix::fs::openat(session, name, flags, Mode::empty()))
    }

    fn read_out(&self, name: &str, from: u64, limit: u64) -> Result<Option<Chunk>, SpoolError> {
        let invalid = |problem| SpoolError::Invalid { name: name.to_owned(), problem };
        let dir = match self.open_dir("out") {
            Ok(dir) => dir,
            // The directory is being replaced; its successor is announced by the watch. Told by this very call: another
            // look may see the successor, and that is no reason to give the turn up.
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(SpoolError::io("out", error)),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut tries = 0;
        let (file, stat) = loop {
            let file = match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP) => return Err(invalid("is a symbolic link")),
                Err(Errno::NXIO) => return Err(invalid("is a socket")),
                Err(Errno::ACCESS | Errno::PERM) => return Err(invalid("may not be read")),
                Err(error) => return Err(SpoolError::io(name, error)),
            };
            let stat = rustix::fs::fstat(&file).map_err(|error| SpoolError::io(name, error))?;
            // Another was renamed over it since: that one counts.
            tries += 1;
            if stat.st_nlink > 0 || tries == MAX_TRIES {
                break (file, stat);
            }
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(invalid("is not a regular file"));
        }
        if !self.owner.is(stat.st_uid) {
            return Err(invalid("belongs to another account"));
        }
        if stat.st_nlink > 1 {
            return Err(invalid("has more than one link"));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let too_large = |size| SpoolError::TooLarge { name: name.to_owned(), size, limit };
        if size > limit {
            return Err(too_large(size));
        }
        let start = if from > size { 0 } else { from };
        let mut file = std::fs::File::from(file);
        let mut bytes = Vec::with_capacity(usize::try_from(size - start).unwrap_or(0));
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.take(limit - start + 1).read_to_end(&mut bytes))
            .map_err(|error| SpoolError::io(name, error))?;
        // It may have grown since `fstat`.
        let end = start + bytes.len() as u64;
        if end > limit { Err(too_large(end)) } else { Ok(Some(Chunk { start, bytes })) }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests;
