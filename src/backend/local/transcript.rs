//! Reads on in what an agent writes down of a turn.
//!
//! The agent says where the file is, so it is trusted no more than the spool is: it has to be a regular file of the
//! agent's account, no link is followed, and all that is taken from it is how the turn ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::agent::signal::Signal;
use crate::agent::spool::Owner;
use crate::agent::transcript::{Ending, ending};
use crate::turn::TurnId;

/// Bytes that are read at a time. A longer line is not understood.
const MAX_CHUNK: u64 = 8 * 1024 * 1024;

/// What an agent writes down, as far as it was read.
pub(super) struct Transcript {
    pub(super) turn: TurnId,
    pub(super) path: PathBuf,
    offset: u64,
    /// The agent's own name for the turn.
    prompt: String,
}

impl Transcript {
    pub(super) fn new(turn: TurnId, path: &Path, from: u64, prompt: &str) -> Self {
        Self { turn, path: path.to_path_buf(), offset: from, prompt: prompt.to_owned() }
    }

    /// How the turn ended, if that was written down since the last time. A file that cannot be read tells nothing.
    pub(super) fn read(&mut self, owner: Owner) -> Option<Signal> {
        loop {
            let lines = self.lines(owner)?;
            for line in lines.split(|byte| *byte == b'\n') {
                let turn_id = self.turn;
                match ending(&String::from_utf8_lossy(line), &self.prompt) {
                    Some(Ending::Interrupted) => return Some(Signal::Interrupted { turn_id }),
                    Some(Ending::Failed(message)) => return Some(Signal::Failed { turn_id, message }),
                    None => {}
                }
            }
        }
    }

    /// The next whole lines; `None` where there are none.
    fn lines(&mut self, owner: Owner) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(&self.path, flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !owner.is(metadata.uid()) || metadata.len() <= self.offset {
            return None;
        }
        file.seek(SeekFrom::Start(self.offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_CHUNK).read_to_end(&mut bytes).ok()?;
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if bytes.len() as u64 == MAX_CHUNK => bytes.len(),
            None => return None,
        };
        bytes.truncate(whole);
        self.offset += whole as u64;
        Some(bytes)
    }
}
