//! One inotify instance for all spools.
//!
//! A subscriber is told that something in its session's spool changed, and looks for itself: what the kernel said is
//! a hint, never a fact. So an overflow of the kernel's queue costs one look at every spool, and nothing is missed.

mod elsewhere;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};

use self::elsewhere::Directory;
use super::spool::Owner;
use super::writers::is_closed;
use crate::turn::TurnId;

/// Rest after directories were watched anew.
const BREATH: Duration = Duration::from_millis(5);

/// Counts the changes seen in one spool. `changed()` waits for the next one.
pub type Changes = watch::Receiver<u64>;

/// The instance and its subscribers. Clones share it.
#[derive(Clone)]
pub struct SpoolWatch {
    inner: Arc<Inner>,
}

/// Locks are taken in this order: `attached`, `spools`, `watcher`, and last what the hints hold, which nobody holds who
/// calls the watcher.
struct Inner {
    watcher: Mutex<RecommendedWatcher>,
    hints: Arc<Hints>,
    /// By session directory.
    spools: Mutex<HashMap<PathBuf, watch::Sender<u64>>>,
    /// By session directory: the file elsewhere whose changes count as its own, by directory and name.
    attached: Mutex<Attached>,
}

type Attached = HashMap<PathBuf, (Arc<Directory>, OsString)>;

/// What the kernel's thread hands over, since it must not call the watcher itself: as much as there are spools, however
/// much happens in them.
#[derive(Default)]
struct Hints {
    dirty: Mutex<Dirty>,
    some: Notify,
    /// The answers of each spool that is watched that nobody is known to be still writing.
    whole: Mutex<HashMap<PathBuf, HashSet<TurnId>>>,
    /// Files elsewhere whose changes count as changes of these spools.
    elsewhere: Mutex<HashMap<PathBuf, HashSet<PathBuf>>>,
}

#[derive(Default)]
struct Dirty {
    everything: bool,
    /// Spools in which something changed; true where `out/` itself did.
    spools: HashMap<PathBuf, bool>,
}

impl SpoolWatch {
    /// As [`Self::subscribe`], beside those who watch this spool already.
    ///
    /// # Errors
    /// As there.
    pub fn join(&self, path: &Path) -> Result<Changes, notify::Error> {
        let watched =
            self.inner.spools().get(path).filter(|sender| sender.receiver_count() > 0).map(|sender| sender.subscribe());
        watched.map_or_else(|| self.subscribe(path), Ok)
    }

    /// Starts watching nothing yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the system has no inotify instance left.
    pub fn start() -> Result<Self, notify::Error> {
        let hints = Arc::new(Hints::default());
        let from_kernel = hints.clone();
        let watcher = notify::recommended_watcher(move |event| from_kernel.note(event))?;
        let (spools, attached) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { watcher: Mutex::new(watcher), hints: hints.clone(), spools, attached });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                hints.some.notified().await;
                let dirty = std::mem::take(&mut *lock(&hints.dirty));
                let Some(inner) = weak.upgrade() else { return };
                if inner.act_on(dirty) {
                    // An agent that keeps replacing its directory shall not keep everyone else waiting.
                    tokio::time::sleep(BREATH).await;
                }
            }
        });
        Ok(Self { inner })
    }

    /// Watches the spool at `path` (the session's directory, which holds `out/`) and tells of its changes. The
    /// directories are watched anew, since an agent may have replaced them. Several subscribers of one spool share the
    /// watch.
    ///
    /// # Errors
    /// Where the directory is missing or the kernel's limit of watches is reached.
    pub fn subscribe(&self, path: &Path) -> Result<Changes, notify::Error> {
        let mut attached = lock(&self.inner.attached);
        let mut spools = self.inner.spools();
        let mut watcher = lock(&self.inner.watcher);
        spools.retain(|other, sender| {
            let wanted = other == path || sender.receiver_count() > 0;
            if !wanted {
                let _ = watcher.unwatch(other);
                let _ = watcher.unwatch(&other.join("out"));
                self.inner.detach(other, &mut attached, &mut watcher);
                lock(&self.inner.hints.whole).remove(other);
            }
            wanted
        });
        for directory in [path.to_path_buf(), path.join("out")] {
            // It is not watched where it was removed, or never was.
            let _ = watcher.unwatch(&directory);
            watcher.watch(&directory, RecursiveMode::NonRecursive)?;
        }
        self.inner.hints.take_as_whole(path);
        Ok(spools.entry(path.to_path_buf()).or_insert_with(|| watch::channel(0).0).subscribe())
    }

    /// From now on changes of this file, which lies elsewhere, count as changes of the spool at `path`; in the place of the
    /// file for which that was so before. `None` for none. The agent names it, so its directory has to be the agent's, and
    /// neither another session's nor one that is watched anyway.
    ///
    /// # Errors
    /// Where its directory is missing or not of that kind, or the kernel's limit of watches is reached.
    pub fn attach(&self, path: &Path, file: Option<&Path>, owner: Owner) -> Result<(), notify::Error> {
        // Before anything is held: a path may lead to where an answer takes long.
        let found = file.map(|file| Directory::of(file, path, owner)).transpose();
        // Two do not do this at once. What the kernel's thread needs is let go before the watcher is called, since the
        // watcher waits for that thread.
        let mut attached = lock(&self.inner.attached);
        let mut watcher = lock(&self.inner.watcher);
        self.inner.detach(path, &mut attached, &mut watcher);
        let Some((directory, name)) = found? else { return Ok(()) };
        let known = attached.values().map(|(known, _)| known).find(|known| known.identity == directory.identity);
        let directory = known.cloned().unwrap_or_else(|| Arc::new(directory));
        // Those who share it have it watched.
        if Arc::strong_count(&directory) == 1 {
            watcher.watch(&directory.path(), RecursiveMode::NonRecursive)?;
        }
        self.inner.hints.expect(directory.path().join(&name), path);
        attached.insert(path.to_path_buf(), (directory, name));
        Ok(())
    }

    /// Tells those who watch the spool at `path` to look again, for what they left.
    pub fn hint(&self, path: &Path) {
        lock(&self.inner.hints.dirty).spools.entry(path.to_path_buf()).or_default();
        self.inner.hints.some.notify_one();
    }

    /// Whether the answer file of this turn, which is there, is all that its writer meant to write: it was renamed to where
    /// it is, or whoever wrote it there has closed it. What nobody watched come is taken as whole where no process has it
    /// open for writing.
    pub fn is_whole(&self, path: &Path, turn: TurnId) -> bool {
        let watched = lock(&self.inner.hints.whole).get(path).map(|whole| whole.contains(&turn));
        watched.unwrap_or_else(|| is_closed(&path.join("out").join(format!("{turn}.txt"))))
    }
}

impl Hints {
    /// What lies there by now. Called once the directory is watched: whoever still writes to a file there closes it later,
    /// and that is told. What is told meanwhile comes after it, since it needs this lock.
    fn take_as_whole(&self, spool: &Path) {
        let mut whole = lock(&self.whole);
        let files = std::fs::read_dir(spool.join("out")).into_iter().flatten().flatten();
        let answers = files.filter_map(|file| Some((answer_of(&file.path())?.1, file.path())));
        let closed = answers.filter(|(_, file)| is_closed(file)).map(|(turn, _)| turn).collect();
        whole.insert(spool.to_path_buf(), closed);
    }

    /// From now on this file counts for this spool.
    fn expect(&self, file: PathBuf, spool: &Path) {
        lock(&self.elsewhere).entry(file).or_default().insert(spool.to_path_buf());
    }

    fn forget(&self, file: &Path, spool: &Path) {
        let mut elsewhere = lock(&self.elsewhere);
        if let Some(spools) = elsewhere.get_mut(file) {
            spools.remove(spool);
            if spools.is_empty() {
                elsewhere.remove(file);
            }
        }
    }

    /// The kernel tells this before anyone looks at what it tells of.
    fn note_answer(&self, kind: EventKind, path: &Path) {
        let is_whole = match kind {
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => true,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => false,
            _ => return,
        };
        let Some((spool, turn)) = answer_of(path) else { return };
        if let Some(whole) = lock(&self.whole).get_mut(spool) {
            if is_whole {
                whole.insert(turn)
            } else {
                whole.remove(&turn)
            };
        }
    }

    fn note(&self, event: notify::Result<Event>) {
        let mut dirty = lock(&self.dirty);
        match event {
            // Our own reads are seen too; only what may have changed a file counts.
            Ok(Event { kind: EventKind::Access(kind), .. }) if kind != AccessKind::Close(AccessMode::Write) => return,
            Ok(event) if event.need_rescan() => dirty.everything = true,
            Ok(event) => {
                for path in &event.paths {
                    self.note_answer(event.kind, path);
                    dirty.changed(path);
                    for spool in lock(&self.elsewhere).get(path).into_iter().flatten() {
                        dirty.spools.entry(spool.clone()).or_default();
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "file watch reported an error; looking everywhere");
                dirty.everything = true;
            }
        }
        self.some.notify_one();
    }
}

impl Dirty {
    /// `path` is `<spool>/out/<file>`, or `<spool>/out` itself where that was made, moved or removed.
    fn changed(&mut self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        if path.file_name().is_some_and(|name| name == "out") {
            self.spools.insert(parent.to_path_buf(), true);
        }
        if let Some(spool) = parent.parent() {
            self.spools.entry(spool.to_path_buf()).or_default();
        }
    }
}

impl Inner {
    /// True where directories were watched anew.
    fn act_on(&self, dirty: Dirty) -> bool {
        let spools = self.spools();
        let mut replaced = dirty.everything;
        for (spool, sender) in spools.iter() {
            let change = dirty.spools.get(spool);
            let out_changed = dirty.everything || change.is_some_and(|out_changed| *out_changed);
            if out_changed {
                replaced = true;
                self.watch_out_again(spool);
            }
            if out_changed || change.is_some() {
                sender.send_modify(|count| *count += 1);
            }
        }
        replaced
    }

    /// The directory may have been replaced: a watch follows the old one, wherever it was moved.
    fn watch_out_again(&self, spool: &Path) {
        let out = spool.join("out");
        let mut watcher = lock(&self.watcher);
        // It is not watched any more where it was removed.
        let _ = watcher.unwatch(&out);
        if let Err(error) = watcher.watch(&out, RecursiveMode::NonRecursive) {
            // Its parent tells when it is there again.
            tracing::debug!(spool = %spool.display(), %error, "out/ cannot be watched");
        }
        self.hints.take_as_whole(spool);
    }

    /// No file elsewhere counts for this spool any more.
    fn detach(&self, spool: &Path, attached: &mut Attached, watcher: &mut RecommendedWatcher) {
        let Some((directory, name)) = attached.remove(spool) else { return };
        self.hints.forget(&directory.path().join(name), spool);
        // Others may still have it watched.
        if let Some(directory) = Arc::into_inner(directory) {
            let _ = watcher.unwatch(&directory.path());
        }
    }

    fn spools(&self) -> MutexGuard<'_, HashMap<PathBuf, watch::Sender<u64>>> {
        lock(&self.spools)
    }
}

/// The spool and the turn of an answer file, `<spool>/out/<turn>.txt`.
fn answer_of(path: &Path) -> Option<(&Path, TurnId)> {
    let turn = path.file_name()?.to_str()?.strip_suffix(".txt")?.parse().ok()?;
    Some((path.parent()?.parent()?, turn))
}

/// No holder of these locks can leave them half changed, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
