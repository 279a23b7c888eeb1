//! A person's reply to what an agent asks by its hook: whether one waits for it, and how it gets there.

use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Spool, SpoolError, remove};
use crate::agent::question::{QuestionName, asked_file};
use crate::turn::TurnId;

/// The file in `in/` with a person's reply to the question of this name.
pub fn reply_file(turn: TurnId, question: &QuestionName) -> String {
    format!("{turn}.reply-{question}")
}

impl Spool {
    /// Puts a person's reply into `in/`, once: false where there is one already.
    ///
    /// # Errors
    /// [`SpoolError::Io`]; then none is there.
    pub fn write_reply(&self, turn: TurnId, question: &QuestionName, text: &str) -> Result<bool, SpoolError> {
        let name = reply_file(turn, question);
        let hidden = self.hide(&name, text.as_bytes())?;
        let dir = self.dir("in")?;
        let placed = rustix::fs::renameat_with(&dir, &hidden, &dir, name.as_str(), RenameFlags::NOREPLACE);
        if placed.is_err() {
            remove(&dir, &hidden);
        }
        match placed {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(SpoolError::io(&name, error)),
        }
    }

    /// Whether a hook waits for the reply to this question: it holds the question's file locked. True also where that cannot
    /// be told.
    pub fn is_awaited(&self, question: &QuestionName) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(out) = self.dir("out") else { return true };
        match rustix::fs::openat(&out, asked_file(question), flags, Mode::empty()) {
            Ok(file) => rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
            Err(error) => !matches!(error, Errno::NOENT | Errno::LOOP),
        }
    }
}
