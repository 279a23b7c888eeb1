//! What the hook remembers from one event to the next: the turn that the agent works on, and what a person is asked. Each
//! question has a file of its own, since several tools may ask at once, and whoever removes it decides that it is over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::agent::signal::FILE_MODE;
use crate::turn::TurnId;

/// Name of the turn's file in `out/`.
pub(super) const FILE: &str = ".turn";
/// What the file of a question begins with; its name follows.
const ASKED: &str = ".asked-";
/// The same for one that was replied to by `allow`, until the tool has run: of two uses of a tool that are given the same,
/// the one that has run is this one.
const ALLOWED: &str = ".allowed-";
/// Bytes of a file that are read.
const MAX: u64 = 4096;
/// Questions of a turn that are remembered at once.
const MAX_QUESTIONS: usize = 256;

/// The turn that the agent works on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct OpenTurn {
    /// Which turn.
    pub turn_id: TurnId,
    /// The agent's own name for it, where it has one.
    #[serde(default)]
    pub prompt: Option<String>,
}

/// What a person is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The question's own name.
    pub name: String,
    /// The turn that waits for it.
    pub turn_id: TurnId,
    /// The use of a tool that waits for it, where that is known: what is heard of another one means nothing.
    pub tool: String,
    /// The server was told the name: a hook waits for a reply.
    #[serde(default)]
    pub reply: bool,
    /// A person has replied `allow`.
    #[serde(skip)]
    pub allowed: bool,
}

impl Asked {
    fn place(&self, out: &Path) -> PathBuf {
        out.join(format!("{}{}", if self.allowed { ALLOWED } else { ASKED }, self.name))
    }
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Open {
    /// The turn.
    pub turn: OpenTurn,
    /// What it asks, and what was allowed and has not run yet; the oldest first.
    pub asked: Vec<Asked>,
}

impl Open {
    /// Something is asked.
    pub(super) fn asks(&self) -> bool {
        self.asked.iter().any(|asked| !asked.allowed)
    }

    /// What is asked about this use of a tool, the oldest first.
    pub(super) fn questions(&self, tool: &str) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(move |asked| !asked.allowed && asked.tool == tool)
    }

    /// The question that is over, since this use of a tool is. Of a question without one, any will do.
    pub(super) fn settled(&self, tool: &str) -> Option<&Asked> {
        let allowed = self.asked.iter().find(|asked| asked.allowed && asked.tool == tool);
        allowed.or_else(|| self.questions(tool).next()).or_else(|| self.questions("").next())
    }
}

/// The open turn and its questions; `None` also where the turn's file is not what it must be.
pub(super) fn recall(out: &Path) -> Option<Open> {
    let turn: OpenTurn = read(&out.join(FILE))?;
    let mut asked: Vec<Asked> = files(out)
        .filter_map(|path| {
            let file = path.file_name()?.to_str()?;
            let (name, allowed) = match file.strip_prefix(ASKED) {
                Some(name) => (name, false),
                None => (file.strip_prefix(ALLOWED)?, true),
            };
            let asked: Asked = read(&path)?;
            // A file that is just being written has another name than its question.
            (asked.turn_id == turn.turn_id && asked.name == name).then_some(Asked { allowed, ..asked })
        })
        .take(MAX_QUESTIONS)
        .collect();
    // Names begin with the time.
    asked.sort_by(|one, other| one.name.cmp(&other.name));
    Some(Open { turn, asked })
}

/// The turn is the one that the agent works on.
pub(super) fn is_open(out: &Path, turn_id: TurnId) -> bool {
    read::<OpenTurn>(&out.join(FILE)).is_some_and(|open| open.turn_id == turn_id)
}

pub(super) fn remember(out: &Path, turn: &OpenTurn) -> io::Result<()> {
    write(&out.join(FILE), turn)
}

pub(super) fn forget(out: &Path) -> io::Result<()> {
    remove(&out.join(FILE)).map(drop)
}

/// The question is open from now on.
pub(super) fn open(out: &Path, asked: &Asked) -> io::Result<()> {
    write(&asked.place(out), asked)
}

/// The question is over; false where it was so already.
pub(super) fn close(out: &Path, asked: &Asked) -> io::Result<bool> {
    remove(&asked.place(out))
}

/// A person has allowed it; false where it is over already.
pub(super) fn allow(out: &Path, asked: &Asked) -> io::Result<bool> {
    let allowed = Asked { allowed: true, ..asked.clone() };
    match std::fs::rename(asked.place(out), allowed.place(out)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// All questions are over.
pub(super) fn close_all(out: &Path) {
    for path in files(out) {
        // What cannot be removed belongs to another turn from now on.
        let _ = remove(&path);
    }
}

/// Takes the question up, to wait for its reply; `None` where it is over, or another hook waits for it. It is given up with
/// the file.
pub(super) fn claim(out: &Path, asked: &Asked) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(asked.place(out), flags, FILE_MODE) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The question is open.
pub(super) fn is_asked(out: &Path, asked: &Asked) -> bool {
    asked.place(out).symlink_metadata().is_ok()
}

fn files(out: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let of_question = |name: &str| name.starts_with(ASKED) || name.starts_with(ALLOWED);
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(of_question)).map(|entry| entry.path())
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, FILE_MODE).ok()?);
    let mut text = String::new();
    file.take(MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Written beside and renamed, so that a hook that runs at the same time never reads half of it.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&beside, flags, FILE_MODE)?);
    let text = serde_json::to_string(value)?;
    let placed = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&beside, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

fn remove(path: &Path) -> io::Result<bool> {
    match rustix::fs::unlink(path) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
