//! Floor of row 1: a file is renamed into a watched directory, one commit, one write to a client that waits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::commit::Commit;
use super::loopback::Loopback;
use crate::measure::{Measured, Outcome, Watch};

/// From the rename to the client.
pub struct InotifyToSocket {
    directory: PathBuf,
    watch: Watch,
    commit: Commit,
    client: Loopback,
    count: u32,
}

impl InotifyToSocket {
    /// Works in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        std::fs::create_dir(directory.join("out"))?;
        Ok(Self {
            directory: directory.to_owned(),
            watch: Watch::open(&directory.join("out"))?,
            commit: Commit::open(directory)?,
            client: Loopback::open()?,
            count: 0,
        })
    }
}

impl Measured for InotifyToSocket {
    fn prepare(&mut self) -> Outcome<()> {
        Ok(std::fs::write(self.directory.join("beside"), "x")?)
    }

    fn sample(&mut self) -> Outcome<Duration> {
        self.count += 1;
        let answer = self.directory.join("out").join(format!("{}.txt", self.count));
        let start = Instant::now();
        std::fs::rename(self.directory.join("beside"), &answer)?;
        self.watch.wait_for(&answer)?;
        self.commit.commit()?;
        let received = self.client.deliver()?;
        std::fs::remove_file(&answer)?;
        Ok(received - start)
    }
}
