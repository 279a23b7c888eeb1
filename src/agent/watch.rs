//! One inotify instance for all spools.
//!
//! A subscriber is told that something in its session's spool changed, and looks for itself: what the kernel said is
//! a hint, never a fact. So an overflow of the kernel's queue costs one look at every spool, and nothing is missed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};

/// Counts the changes seen in one spool. `changed()` waits for the next one.
pub type Changes = watch::Receiver<u64>;

/// The instance and its subscribers.
pub struct SpoolWatch {
    inner: Arc<Inner>,
}

struct Inner {
    watcher: Mutex<RecommendedWatcher>,
    /// By session directory.
    spools: Mutex<HashMap<PathBuf, watch::Sender<u64>>>,
}

/// What the kernel's thread hands over; it must not call the watcher itself.
enum Hint {
    Paths(Vec<PathBuf>),
    Overflow,
}

impl SpoolWatch {
    /// Starts watching nothing yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the system has no inotify instance left.
    pub fn start() -> Result<Self, notify::Error> {
        let (hints, mut inbox) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event| {
            if let Some(hint) = hint(event) {
                // Nobody listens any more while the product stops.
                let _ = hints.send(hint);
            }
        })?;
        let inner = Arc::new(Inner { watcher: Mutex::new(watcher), spools: Mutex::default() });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            while let Some(hint) = inbox.recv().await {
                let Some(inner) = weak.upgrade() else { return };
                inner.act_on(hint);
            }
        });
        Ok(Self { inner })
    }

    /// Watches the spool at `path` (the session's directory, which holds `out/`) and tells of its changes. Several
    /// subscribers of one spool share the watch.
    ///
    /// # Errors
    /// Where the directory is missing or the kernel's limit of watches is reached.
    pub fn subscribe(&self, path: &Path) -> Result<Changes, notify::Error> {
        if let Some(sender) = self.inner.spools().get(path) {
            return Ok(sender.subscribe());
        }
        let mut watcher = lock(&self.inner.watcher);
        watcher.watch(path, RecursiveMode::NonRecursive)?;
        watcher.watch(&path.join("out"), RecursiveMode::NonRecursive)?;
        drop(watcher);
        let mut spools = self.inner.spools();
        Ok(spools.entry(path.to_path_buf()).or_insert_with(|| watch::channel(0).0).subscribe())
    }
}

fn hint(event: notify::Result<Event>) -> Option<Hint> {
    match event {
        // Our own reads are seen too; only what may have changed a file counts.
        Ok(Event { kind: EventKind::Access(kind), .. }) if kind != AccessKind::Close(AccessMode::Write) => None,
        Ok(event) if event.need_rescan() => Some(Hint::Overflow),
        Ok(event) => Some(Hint::Paths(event.paths)),
        Err(error) => {
            tracing::warn!(%error, "file watch reported an error; looking everywhere");
            Some(Hint::Overflow)
        }
    }
}

impl Inner {
    fn act_on(&self, hint: Hint) {
        match hint {
            Hint::Paths(paths) => paths.iter().for_each(|path| self.changed(path)),
            Hint::Overflow => {
                let all: Vec<PathBuf> = self.spools().keys().cloned().collect();
                for spool in all {
                    self.watch_out_again(&spool);
                    self.tell(&spool);
                }
            }
        }
    }

    /// `path` is `<spool>/out/<file>`, or `<spool>/out` itself where that was made, moved or removed.
    fn changed(&self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        if path.file_name().is_some_and(|name| name == "out") && self.spools().contains_key(parent) {
            self.watch_out_again(parent);
            self.tell(parent);
        } else if let Some(spool) = parent.parent() {
            self.tell(spool);
        }
    }

    /// The directory may have been replaced: a watch follows the old one, wherever it was moved.
    fn watch_out_again(&self, spool: &Path) {
        let out = spool.join("out");
        let mut watcher = lock(&self.watcher);
        // It is not watched any more where it was removed.
        let _ = watcher.unwatch(&out);
        if let Err(error) = watcher.watch(&out, RecursiveMode::NonRecursive) {
            tracing::warn!(spool = %spool.display(), %error, "out/ cannot be watched");
        }
    }

    fn tell(&self, spool: &Path) {
        if let Some(sender) = self.spools().get(spool) {
            sender.send_modify(|count| *count += 1);
        }
    }

    fn spools(&self) -> MutexGuard<'_, HashMap<PathBuf, watch::Sender<u64>>> {
        lock(&self.spools)
    }
}

/// No holder of these locks can leave them half changed, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn next(changes: &mut Changes) {
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.expect("no change was seen").unwrap();
    }

    #[tokio::test]
    async fn changes_are_told_also_after_the_directory_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("s");
        std::fs::create_dir_all(spool.join("out")).unwrap();
        let watch = SpoolWatch::start().unwrap();
        let mut changes = watch.subscribe(&spool).unwrap();

        std::fs::write(spool.join("out/a"), "x").unwrap();
        next(&mut changes).await;

        std::fs::rename(spool.join("out"), spool.join("old")).unwrap();
        std::fs::create_dir(spool.join("out")).unwrap();
        // Told of the new directory, the watch is on it; what is written from then on is seen.
        while std::fs::read_dir(spool.join("out")).unwrap().next().is_none() {
            next(&mut changes).await;
            std::fs::write(spool.join("out/b"), "x").unwrap();
        }
        next(&mut changes).await;
        changes.mark_unchanged();
        std::fs::write(spool.join("out/d"), "x").unwrap();
        next(&mut changes).await;
    }

    #[tokio::test]
    async fn an_overflow_is_told_to_everyone() {
        let dir = tempfile::tempdir().unwrap();
        let watch = SpoolWatch::start().unwrap();
        let mut all = Vec::new();
        for name in ["a", "b"] {
            std::fs::create_dir_all(dir.path().join(name).join("out")).unwrap();
            all.push(watch.subscribe(&dir.path().join(name)).unwrap());
        }
        watch.inner.act_on(Hint::Overflow);
        for changes in &mut all {
            next(changes).await;
        }
    }
}
