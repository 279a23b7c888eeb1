//! The turn that the agent works on, as the hook remembers it from one event to the next.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::agent::signal::FILE_MODE;
use crate::turn::TurnId;

/// Name of the file in `out/`.
pub(super) const FILE: &str = ".turn";
/// Bytes of it that are read.
const MAX: u64 = 4096;

/// The turn that the agent works on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct OpenTurn {
    /// Which turn.
    pub turn_id: TurnId,
    /// It waits for a person, and the server was told.
    #[serde(default)]
    pub asked: Option<Asked>,
}

/// What a person is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The question's own name.
    pub name: String,
    /// The use of a tool that waits for it, where that is known: what is heard of another one means nothing.
    pub tool: String,
}

impl OpenTurn {
    /// Whether this use of a tool waits for a person. Of a question without one, any will do.
    pub(super) fn asks(&self, tool: &str) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.tool == tool || asked.tool.is_empty())
    }
}

/// The open turn; `None` also where the file is not what it must be.
pub(super) fn recall(out: &Path) -> Option<OpenTurn> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(out.join(FILE), flags, FILE_MODE).ok()?);
    let mut text = String::new();
    file.take(MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Written beside and renamed, so that a hook that runs at the same time never reads half of it.
pub(super) fn remember(out: &Path, turn: &OpenTurn) -> io::Result<()> {
    let memory = out.join(FILE);
    let beside = PathBuf::from(format!("{}.{}", memory.display(), std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::open(&beside, flags, FILE_MODE)?);
    let text = serde_json::to_string(turn)?;
    let placed = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&beside, memory));
    if placed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

pub(super) fn forget(out: &Path) -> io::Result<()> {
    match rustix::fs::unlink(out.join(FILE)) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
