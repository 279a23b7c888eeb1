//! The spool as the demo agent sees it: reads `in/`, writes `out/`. And the log of what was typed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::Serialize;

use crate::agent::signal::{self, FILE_MODE, Signal};
use crate::turn::TurnId;

/// What the server may leave for a turn in `in/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// The message, where it was too long to be typed.
    Message,
    /// The page context.
    Context,
    /// Recent history.
    Primer,
    /// A token for the agent's tools.
    Token,
}

impl Given {
    fn suffix(self) -> &'static str {
        match self {
            Self::Message => "message.md",
            Self::Context => "context.json",
            Self::Primer => "primer.md",
            Self::Token => "jwt",
        }
    }
}

/// The directory in which server and agent exchange the files of a session. Everything is opened by path each
/// time, so that a spool that was removed and made again is found again.
#[derive(Clone, Debug)]
pub struct Spool {
    root: PathBuf,
}

impl Spool {
    /// The spool at `root`. Its directories are the server's to make.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.root.join("out").join(name)
    }

    /// What the server left for the turn.
    ///
    /// # Errors
    /// Whatever the file system says; `NotFound` where the server left nothing.
    pub fn read(&self, turn_id: TurnId, given: Given) -> io::Result<Vec<u8>> {
        std::fs::read(self.root.join("in").join(format!("{turn_id}.{}", given.suffix())))
    }

    /// Reports to the server.
    ///
    /// # Errors
    /// As [`signal::append`].
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signal::append(&self.root.join("out"), signal)
    }

    /// Opens the file to which the answer is appended while it grows.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn part(&self, turn_id: TurnId) -> io::Result<File> {
        Ok(create(&self.out(&format!("{turn_id}.part")), OFlags::APPEND)?)
    }

    /// Puts the whole answer in place: written beside, then renamed.
    ///
    /// # Errors
    /// Whatever the file system says; then there is no answer file, and nothing beside it.
    pub fn write_answer(&self, turn_id: TurnId, answer: &[u8]) -> io::Result<()> {
        let beside = self.out(&format!(".{turn_id}.tmp"));
        let mut file = match create(&beside, OFlags::EXCL) {
            // Left by a process that died in the middle of this.
            Err(Errno::EXIST) => {
                std::fs::remove_file(&beside)?;
                create(&beside, OFlags::EXCL)
            }
            created => created,
        }?;
        let placed =
            file.write_all(answer).and_then(|()| std::fs::rename(&beside, self.out(&format!("{turn_id}.txt"))));
        if placed.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        placed
    }
}

fn create(path: &Path, how: OFlags) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
    rustix::fs::open(path, flags, FILE_MODE).map(File::from)
}

/// A file that takes down every submission as it arrived, so that a test can count how often a turn was typed.
#[derive(Debug)]
pub struct TypedLog {
    path: PathBuf,
    session: Option<String>,
}

#[derive(Serialize)]
struct Typed<'a> {
    at_ns: i64,
    mono_ns: i64,
    pid: u32,
    session: Option<&'a str>,
    raw: &'a str,
}

impl TypedLog {
    /// The log at `path`, which is created where it does not exist.
    ///
    /// # Errors
    /// Where the file cannot be opened for appending; the error names it.
    pub fn open(path: PathBuf, session: Option<String>) -> io::Result<Self> {
        let named = |error| io::Error::new(io::Error::from(error).kind(), format!("{}: {error}", path.display()));
        create(&path, OFlags::APPEND).map_err(named)?;
        Ok(Self { path, session })
    }

    /// Takes down a submission, with both clocks' readings in nanoseconds.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn record(&self, submission: &[u8]) -> io::Result<()> {
        let mono_ns = nanoseconds(clock_gettime(ClockId::Monotonic));
        let at_ns = nanoseconds(clock_gettime(ClockId::Realtime));
        let raw = &*String::from_utf8_lossy(submission);
        let typed = Typed { at_ns, mono_ns, pid: process::id(), session: self.session.as_deref(), raw };
        signal::append_line(&self.path, &typed)
    }
}

fn nanoseconds(reading: Timespec) -> i64 {
    reading.tv_sec.saturating_mul(1_000_000_000).saturating_add(reading.tv_nsec)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_answer_is_placed_whole_over_what_a_dead_process_left() -> Result<(), Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let spool = Spool::new(directory.path().to_owned());
        let turn_id = TurnId::fresh();
        assert!(spool.write_answer(turn_id, b"x").is_err(), "out/ is the server's to make");

        std::fs::create_dir(directory.path().join("out"))?;
        std::fs::write(spool.out(&format!(".{turn_id}.tmp")), "half")?;
        spool.write_answer(turn_id, b"whole")?;
        assert_eq!(std::fs::read(spool.out(&format!("{turn_id}.txt")))?, b"whole");
        assert_eq!(std::fs::read_dir(directory.path().join("out"))?.count(), 1);

        let blocked = TurnId::fresh();
        std::fs::create_dir(spool.out(&format!("{blocked}.txt")))?;
        assert!(spool.write_answer(blocked, b"x").is_err());
        assert!(!spool.out(&format!(".{blocked}.tmp")).exists(), "nothing is left beside");
        Ok(())
    }
}
