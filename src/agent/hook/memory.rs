//! What the hook remembers from one event to the next: the turn that the agent works on, and what a person is asked. Each
//! question has a file of its own, since several tools may ask at once, and whoever removes it decides that it is over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::agent::question::{ASKED, QuestionName, asked_file};
use crate::agent::signal::FILE_MODE;
use crate::turn::TurnId;

/// Name of the turn's file in `out/`.
pub(super) const FILE: &str = ".turn";
/// What a file's name begins with, in the place of [`ASKED`], of a question that was replied to by `allow`, or whose hook is
/// gone, which means that the terminal has decided: its tool may run. Of two uses of a tool that are given the same, the one
/// that has run is this one.
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
    pub name: QuestionName,
    /// The turn that waits for it.
    pub turn_id: TurnId,
    /// The use of a tool that waits for it, where that is known: what is heard of another one means nothing.
    pub tool: String,
    /// A hook waits for a reply, as long as it holds the file locked.
    #[serde(default)]
    pub reply: bool,
    /// It is decided, and its tool may run.
    #[serde(skip)]
    pub allowed: bool,
}

impl Asked {
    /// What the agent asks about this use of a tool from now on.
    pub(super) fn about(tool: String, turn_id: TurnId) -> Self {
        Self { name: QuestionName::fresh(), turn_id, tool, reply: false, allowed: false }
    }

    /// By which name the server knows it. What is heard of no use of a tool is over as soon as the agent does something.
    pub(super) fn told_name(&self) -> Option<QuestionName> {
        (self.reply || !self.tool.is_empty()).then(|| self.name.clone())
    }

    fn place(&self, out: &Path) -> PathBuf {
        out.join(if self.allowed { format!("{ALLOWED}{}", self.name) } else { asked_file(&self.name) })
    }
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Open {
    /// The turn.
    pub turn: OpenTurn,
    /// What it asks, and what was decided and may still run; the oldest first.
    pub asked: Vec<Asked>,
    /// What it asked by a hook that is gone; it is among the former, too, as decided.
    pub given_up: Vec<Asked>,
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

    /// The question that is over, since this use of a tool is.
    pub(super) fn settled(&self, tool: &str) -> Option<&Asked> {
        let allowed = self.asked.iter().find(|asked| asked.allowed && asked.tool == tool);
        allowed.or_else(|| self.questions(tool).next())
    }
}

/// The open turn and its questions; `None` also where the turn's file is not what it must be.
pub(super) fn recall(out: &Path) -> Option<Open> {
    let turn: OpenTurn = read(&out.join(FILE))?;
    let found = files(out).filter_map(|path| {
        let file = path.file_name()?.to_str()?;
        let (name, allowed) = match file.strip_prefix(ASKED) {
            Some(name) => (name, false),
            None => (file.strip_prefix(ALLOWED)?, true),
        };
        Some((name.to_owned(), allowed, path))
    });
    let mut found: Vec<_> = found.collect();
    // Names begin with the time.
    found.sort_unstable();
    let read = |(name, allowed, path): (String, bool, PathBuf)| {
        let asked: Asked = read(&path)?;
        // A file that is just being written has another name than its question.
        (asked.turn_id == turn.turn_id && asked.name.as_str() == name).then_some(Asked { allowed, ..asked })
    };
    // What is open is among the newest.
    let mut asked: Vec<_> = found.into_iter().rev().filter_map(read).take(MAX_QUESTIONS).collect();
    asked.reverse();
    let mut given_up = Vec::new();
    for asked in asked.iter_mut().filter(|asked| asked.reply && !asked.allowed && !is_claimed(out, asked)) {
        given_up.push(asked.clone());
        asked.allowed = true;
    }
    Some(Open { turn, asked, given_up })
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

/// It is decided, and its tool may run; false where it is over already.
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

/// A hook waits for the reply to a question, for as long as it holds this.
#[derive(Debug)]
pub(super) struct Claim {
    /// The file, opened three times. The second one is locked. The server is told when a file that could be written to is
    /// closed, which at the end of a process is before its lock is gone; so one of the others is closed after that, in
    /// whichever order the system closes them.
    _files: [File; 3],
}

/// The question is open from now on, and its reply is waited for.
pub(super) fn open_claimed(out: &Path, asked: &Asked) -> io::Result<Claim> {
    let place = asked.place(out);
    let (beside, claim) = hide_claimed(&place, asked)?;
    put(&beside, |beside| std::fs::rename(beside, &place)).map(|()| claim)
}

/// Waits for the reply to a question that was open before; `None` where it is over, or another hook waits for it.
pub(super) fn claim(out: &Path, asked: &Asked) -> io::Result<Option<Claim>> {
    let place = asked.place(out);
    let Some(before) = look(&place)? else { return Ok(None) };
    match rustix::fs::flock(&before, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // Whoever claimed it since has put another one in its place.
    if rustix::fs::fstat(&before)?.st_nlink == 0 {
        return Ok(None);
    }
    let (beside, claim) = hide_claimed(&place, asked)?;
    // Only as long as it is open.
    let exchanged = put(&beside, |beside| {
        rustix::fs::renameat_with(rustix::fs::CWD, beside, rustix::fs::CWD, &place, RenameFlags::EXCHANGE)
            .map_err(io::Error::from)
    });
    match exchanged {
        Ok(()) => remove(&beside).map(|_| Some(claim)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A hook waits for the reply to this question. True also where that cannot be told.
fn is_claimed(out: &Path, asked: &Asked) -> bool {
    match look(&asked.place(out)) {
        Ok(Some(file)) => rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Writes the file of a question that is waited for beside its place.
fn hide_claimed(place: &Path, asked: &Asked) -> io::Result<(PathBuf, Claim)> {
    let (beside, before) = hide(place, &Asked { reply: true, ..asked.clone() })?;
    let claimed = || -> io::Result<Claim> {
        let again = || rustix::fs::open(&beside, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, FILE_MODE);
        let (locked, after) = (File::from(again()?), File::from(again()?));
        rustix::fs::flock(&locked, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Claim { _files: [before, locked, after] })
    };
    match claimed() {
        Ok(claim) => Ok((beside, claim)),
        Err(error) => {
            let _ = remove(&beside);
            Err(error)
        }
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
    let mut text = String::new();
    look(path).ok()??.take(MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The file, where there is one.
fn look(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, FILE_MODE) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Written beside and renamed, so that a hook that runs at the same time never reads half of it.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let (beside, _) = hide(path, value)?;
    put(&beside, |beside| std::fs::rename(beside, path))
}

/// Writes a file beside its place.
fn hide(path: &Path, value: &impl Serialize) -> io::Result<(PathBuf, File)> {
    let beside = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&beside, flags, FILE_MODE)?);
    let text = serde_json::to_string(value)?;
    put(&beside, |_| file.write_all(text.as_bytes()))?;
    Ok((beside, file))
}

/// Does this with a file that was written beside its place, which is removed where that fails.
fn put(beside: &Path, place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let placed = place(beside);
    if placed.is_err() {
        let _ = std::fs::remove_file(beside);
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
