//! What floors and rows have in common: a sample, a clock, a deadline, and waiting on a directory.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use notify::event::{ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::time::{ClockId, clock_gettime};

/// Whatever went wrong, for the person who ran the benchmark.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// After this long a step counts as failed. None takes a hundredth of it.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Something that takes time, again and again.
pub trait Measured {
    /// Brings everything to the point where the clock starts. Not measured.
    fn prepare(&mut self) -> Outcome<()> {
        Ok(())
    }

    /// Does it once and says how long it took.
    fn sample(&mut self) -> Outcome<Duration>;

    /// What has to be right beside the time, counted after the last sample; `None` where nothing is.
    fn tally(&mut self) -> Outcome<Option<Tally>> {
        Ok(None)
    }
}

/// What was counted.
pub struct Tally {
    /// For the table.
    pub text: String,
    /// Whether it is as promised.
    pub is_kept: bool,
}

/// CLOCK_MONOTONIC in nanoseconds: the one clock that several processes can compare.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// One inotify instance on one directory, used as the product uses its own.
pub struct Watch {
    changes: Receiver<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Tells of files that are renamed into `directory`, and of files in it that grow.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let (sender, changes) = channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Opening and reading are events, too: those of our own would wake us without end.
            if let EventKind::Modify(ModifyKind::Name(RenameMode::To) | ModifyKind::Data(_)) = event.kind {
                event.paths.into_iter().for_each(|path| drop(sender.send(path)));
            }
        })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(Self { changes, _watcher: watcher })
    }

    /// Waits until `path` was renamed into the directory or has grown.
    pub fn wait_for(&self, path: &Path) -> Outcome<()> {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let changed = self.changes.recv_timeout(left).map_err(|_| format!("{} never changed", path.display()))?;
            if changed == path {
                return Ok(());
            }
        }
    }
}

/// The lines that other processes append to a file.
pub struct Tail {
    path: PathBuf,
    lines: BufReader<File>,
    partial: String,
    watch: Watch,
}

impl Tail {
    /// Follows the file at `path` from its beginning; it is created, and should have a directory of its own.
    pub fn open(path: &Path) -> Outcome<Self> {
        let directory = path.parent().ok_or("a log has a directory")?;
        std::fs::create_dir_all(directory)?;
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let watch = Watch::open(directory)?;
        Ok(Self { path: path.to_owned(), lines: BufReader::new(file), partial: String::new(), watch })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next line that contains `text`.
    pub fn line_with(&mut self, text: &str) -> Outcome<String> {
        let until = Instant::now() + DEADLINE;
        loop {
            while self.lines.read_line(&mut self.partial)? > 0 {
                if self.partial.ends_with('\n') {
                    let line = std::mem::take(&mut self.partial);
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
            }
            if Instant::now() > until {
                return Err(format!("{} never had a line with {text:?}", self.path.display()).into());
            }
            self.watch.wait_for(&self.path).map_err(|error| format!("{error}: waited for a line with {text:?}"))?;
        }
    }
}
