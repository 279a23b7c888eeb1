//! Reads on in what an agent writes down of a turn.
//!
//! The agent says where the file is, so it is trusted no more than the spool is: it has to be a regular file of the
//! agent's account, no link is followed, and all that is taken from it is how the turn ended. Nor does its size matter: a
//! look reads one chunk, and a turn has so much read for it and no more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use crate::agent::signal::Signal;
use crate::agent::spool::{Owner, SpoolError};
use crate::agent::transcript::{Ending, ending};
use crate::turn::TurnId;

/// Bytes that one look reads. A line that is longer is skipped.
const MAX_CHUNK: u64 = 1024 * 1024;
/// Bytes that are read on after for one turn. What comes after them tells nothing.
const MAX_TURN: u64 = 64 * 1024 * 1024;

/// What an agent writes down, as far as it was read.
pub(super) struct Transcript {
    pub(super) turn: TurnId,
    pub(super) path: PathBuf,
    offset: u64,
    /// Bytes that were passed over for this turn.
    spent: u64,
    /// The line at `offset` began in a chunk before.
    in_long_line: bool,
    /// The agent's own name for the turn.
    prompt: String,
}

/// What a look at it tells.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Look {
    /// Nothing, until more is written.
    Nothing,
    /// Nothing yet, but there is more to be read.
    More,
    /// How the turn ended.
    Ended(Signal),
}

impl Transcript {
    pub(super) fn new(turn: TurnId, path: &Path, from: u64, prompt: &str) -> Self {
        let (path, prompt) = (path.to_path_buf(), prompt.to_owned());
        Self { turn, path, offset: from, spent: 0, in_long_line: false, prompt }
    }

    /// An agent that names a file again for the same turn has no more read for it than otherwise.
    pub(super) fn in_place_of(mut self, before: Option<&Self>) -> Self {
        self.spent = before.filter(|before| before.turn == self.turn).map_or(0, |before| before.spent);
        self
    }

    /// The next chunk. A file that cannot be read tells nothing.
    ///
    /// # Errors
    /// Only a passing one: the file may tell something in a moment, and no change of it may come.
    pub(super) fn read(&mut self, owner: Owner) -> Result<Look, SpoolError> {
        if self.spent >= MAX_TURN {
            return Ok(Look::Nothing);
        }
        match self.chunk(owner) {
            Ok(Some(bytes)) => Ok(self.look(&bytes)),
            Ok(None) => Ok(Look::Nothing),
            Err(error) => SpoolError::passing(&self.path, error).map_or(Ok(Look::Nothing), Err),
        }
    }

    fn look(&mut self, bytes: &[u8]) -> Look {
        let is_full = bytes.len() as u64 == MAX_CHUNK;
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            if is_full {
                self.in_long_line = true;
                self.pass(bytes.len());
            }
            return self.after(is_full);
        };
        self.pass(last + 1);
        let skipped = usize::from(std::mem::take(&mut self.in_long_line));
        for line in bytes[..last].split(|byte| *byte == b'\n').skip(skipped).filter(|line| !line.is_empty()) {
            let turn_id = self.turn;
            match ending(&String::from_utf8_lossy(line), &self.prompt) {
                Some(Ending::Interrupted) => return Look::Ended(Signal::Interrupted { turn_id }),
                Some(Ending::Failed(message)) => return Look::Ended(Signal::Failed { turn_id, message }),
                None => {}
            }
        }
        self.after(is_full)
    }

    fn pass(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.spent += bytes as u64;
        if self.spent >= MAX_TURN {
            let path = self.path.display();
            tracing::warn!(turn_id = %self.turn, %path, "the agent writes down too much; how the turn ends is not looked for there");
        }
    }

    fn after(&self, is_full: bool) -> Look {
        if is_full && self.spent < MAX_TURN { Look::More } else { Look::Nothing }
    }

    /// What lies there from `offset` on, up to [`MAX_CHUNK`]. `None` where that is nothing, or not to be read.
    fn chunk(&self, owner: Owner) -> io::Result<Option<Vec<u8>>> {
        if !self.path.is_absolute() {
            return Ok(None);
        }
        // Looked at before it is opened: to open a pipe or a device does something to it.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&found)?;
        let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if !is_regular || !owner.is(stat.st_uid) || size <= self.offset {
            return Ok(None);
        }
        let mut file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(MAX_CHUNK).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file with these pieces, and what reads it.
    fn transcript(pieces: &[&[u8]]) -> (tempfile::NamedTempFile, Transcript) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        pieces.iter().for_each(|piece| file.write_all(piece).unwrap());
        let transcript = Transcript::new(TurnId::fresh(), file.path(), 0, "t1");
        (file, transcript)
    }

    fn looks(transcript: &mut Transcript) -> (usize, Look) {
        let mut count = 1;
        loop {
            match transcript.read(Owner::Server).unwrap() {
                Look::More => count += 1,
                look => return (count, look),
            }
        }
    }

    const ABORTED: &[u8] = b"{\"type\":\"event_msg\",\"payload\":{\"type\":\"turn_aborted\",\"turn_id\":\"t1\"}}\n";

    #[test]
    fn an_end_is_found_also_where_it_is_written_piece_by_piece() {
        let (mut file, mut transcript) = transcript(&[b"{}\n", &ABORTED[..20]]);
        assert_eq!(transcript.read(Owner::Server).unwrap(), Look::Nothing);
        file.write_all(&ABORTED[20..]).unwrap();
        let turn_id = transcript.turn;
        assert_eq!(transcript.read(Owner::Server).unwrap(), Look::Ended(Signal::Interrupted { turn_id }));
    }

    #[test]
    fn a_line_over_the_chunk_is_skipped_and_the_next_one_read() {
        let chunk = usize::try_from(MAX_CHUNK).unwrap();
        let long = vec![b' '; 2 * chunk + 9];
        let (_file, mut transcript) = transcript(&[&long, ABORTED, ABORTED]);
        let turn_id = transcript.turn;
        assert_eq!(looks(&mut transcript), (3, Look::Ended(Signal::Interrupted { turn_id })));
        // The first of the two is the end of the long line.
        let (_file, mut only) = self::transcript(&[&long, ABORTED]);
        assert_eq!(looks(&mut only), (3, Look::Nothing));
        // Just a chunk, with and without its newline.
        for bytes in [chunk - 1, chunk] {
            let (_file, mut transcript) = self::transcript(&[&vec![b' '; bytes], b"\n", ABORTED]);
            let turn_id = transcript.turn;
            assert_eq!(looks(&mut transcript), (2, Look::Ended(Signal::Interrupted { turn_id })), "{bytes}");
        }
    }

    #[test]
    fn a_file_of_any_size_has_so_much_read_of_it_and_no_more() {
        let (file, mut transcript) = transcript(&[]);
        file.as_file().set_len(300 << 30).unwrap();
        assert_eq!(transcript.read(Owner::Server).unwrap(), Look::More);
        assert_eq!(transcript.offset, MAX_CHUNK, "a chunk at a time");
        let (count, look) = looks(&mut transcript);
        assert_eq!((count as u64, look), (MAX_TURN / MAX_CHUNK - 1, Look::Nothing));
        assert_eq!(transcript.spent, MAX_TURN);
        let again = Transcript::new(transcript.turn, file.path(), 0, "t1").in_place_of(Some(&transcript));
        let other = Transcript::new(TurnId::fresh(), file.path(), 0, "t1").in_place_of(Some(&transcript));
        assert_eq!((again.spent, other.spent), (MAX_TURN, 0));
        let mut far = Transcript::new(TurnId::fresh(), file.path(), u64::MAX, "t1");
        assert_eq!(far.read(Owner::Server).unwrap(), Look::Nothing);
    }

    /// To open a pipe or a device does something to it.
    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        use rustix::fs::inotify;
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let opened = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&opened, &pipe, inotify::WatchFlags::OPEN).unwrap();
        let mut transcript = Transcript::new(TurnId::fresh(), &pipe, 0, "t1");
        assert_eq!(transcript.read(Owner::Server).unwrap(), Look::Nothing);
        let mut events = [std::mem::MaybeUninit::uninit(); 512];
        let mut seen = inotify::Reader::new(&opened, &mut events);
        assert_eq!(seen.next().map(|_| ()).unwrap_err(), rustix::io::Errno::AGAIN);
        let _open = File::options().read(true).write(true).open(&pipe).unwrap();
        assert!(seen.next().is_ok(), "this is how it would be seen");
    }
}
