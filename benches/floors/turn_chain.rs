//! Floor of row 3: the whole chain of a turn. Two commits, a paste, an answer file by rename from within the pane,
//! inotify, one commit, one write to a client that waits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::commit::Commit;
use super::loopback::Loopback;
use super::paste_to_pane::{LINE, Pane};
use super::receiver::{ANSWER, READY};
use crate::measure::{Measured, Outcome, Tail, Watch};

/// From nothing to the client that has the end.
pub struct TurnChain {
    out: PathBuf,
    watch: Watch,
    commit: Commit,
    pane: Pane,
    client: Loopback,
    count: u32,
}

impl TurnChain {
    /// Works in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let out = directory.join("out");
        std::fs::create_dir(&out)?;
        let path = directory.join("log").join("lines");
        let mut log = Tail::open(&path)?;
        let pane = Pane::open(directory, &[ANSWER.as_ref(), path.as_os_str(), out.as_os_str()])?;
        log.line_with(READY)?;
        Ok(Self {
            watch: Watch::open(&out)?,
            out,
            commit: Commit::open(directory)?,
            pane,
            client: Loopback::open()?,
            count: 0,
        })
    }
}

impl Measured for TurnChain {
    fn sample(&mut self) -> Outcome<Duration> {
        self.count += 1;
        let answer = self.out.join(format!("{}.txt", self.count));
        let start = Instant::now();
        self.commit.commit()?;
        self.commit.commit()?;
        self.pane.paste(&format!("{LINE} {}", self.count))?;
        self.watch.wait_for(&answer)?;
        self.commit.commit()?;
        let received = self.client.deliver()?;
        std::fs::remove_file(&answer)?;
        Ok(received - start)
    }
}
