//! The demo agent in a pane of a tmux server of its own, with a spool, and a wait for what it does there.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

/// What a test or a step of one gives.
pub type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running agent; dropped, its tmux server ends and its directory goes.
pub struct Pane {
    home: TempDir,
    changes: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Pane {
    /// Starts an agent with a spool, and waits until it is ready.
    pub fn start() -> Tested<Self> {
        let pane = Self::open(true)?;
        pane.eventually("ready", || Ok((!pane.signals()?.is_empty()).then_some(())))?;
        Ok(pane)
    }

    /// Starts an agent as a person would, without a spool.
    pub fn start_bare() -> Tested<Self> {
        Self::open(false)
    }

    fn open(has_spool: bool) -> Tested<Self> {
        let home = tempfile::tempdir()?;
        for directory in ["spool", "spool/in", "spool/out"] {
            fs::create_dir(home.path().join(directory))?;
        }
        let (changed, changes) = channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Our own reading is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.send(());
            }
        })?;
        watcher.watch(home.path(), RecursiveMode::Recursive)?;
        let pane = Self { home, changes, _watcher: watcher };
        // A shell around it, to see what it leaves behind.
        let script = format!(
            "cd '{home}'; stty -g > modes.before; '{agent}' agent demo --typed-log typed.jsonl; \
             status=$?; stty -g > modes.after; echo $status > status; exec cat",
            home = pane.home.path().display(),
            agent = env!("CARGO_BIN_EXE_paliadin"),
        );
        let spool = format!("PALIADIN_SPOOL={}", pane.spool().display());
        let mut arguments =
            vec!["new-session", "-d", "-x", "100", "-y", "40", "-e", "PALIADIN_SESSION=paliadin-1234abcd"];
        if has_spool {
            arguments.extend(["-e", &spool]);
        }
        arguments.extend(["sh", "-c", &script]);
        pane.tmux(arguments)?;
        // Makes what the pane shows a file that can be waited for.
        pane.tmux(["pipe-pane", &format!("cat > '{}'", pane.home.path().join("screen").display())])?;
        Ok(pane)
    }

    /// Runs a tmux command; gives what it prints.
    pub fn tmux<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Tested<String> {
        let socket = self.home.path().join("tmux");
        let mut command = Command::new("tmux");
        command.arg("-u").args(["-f", "/dev/null", "-S"]).arg(socket).args(arguments).env_remove("TMUX");
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits for `look` to give something: looks now, and again after every change of a file.
    pub fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Tested<Option<T>>) -> Tested<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.changes.recv_timeout(left).is_err() {
                let signals = self.signals()?;
                return Err(format!("waited for {what}; signals: {signals:?}; screen:\n{}", self.screen()?).into());
            }
        }
    }

    /// Pastes and presses Enter.
    pub fn submit(&self, text: impl AsRef<[u8]>) -> Tested {
        self.paste(text, true)?;
        self.press("Enter")
    }

    /// Pastes; with `keeps_newlines` as they are, else as CR.
    pub fn paste(&self, text: impl AsRef<[u8]>, keeps_newlines: bool) -> Tested {
        let buffer = tempfile::NamedTempFile::new()?;
        buffer.as_file().write_all(text.as_ref())?;
        let path = buffer.path().to_string_lossy().into_owned();
        let newlines = if keeps_newlines { ["-p", "-r"] } else { ["-p", "-p"] };
        let load = ["load-buffer", "-b", "text", &path, ";", "paste-buffer", "-d", "-b", "text"];
        self.tmux(load.into_iter().chain(newlines)).map(drop)
    }

    /// Presses a key, named as tmux names it.
    pub fn press(&self, key: &str) -> Tested {
        self.tmux(["send-keys", key]).map(drop)
    }

    /// Submits a turn in its envelope.
    pub fn submit_turn(&self, id: Uuid, message: &str) -> Tested {
        self.submit(format!("[PALIADIN:{id}] {message}"))
    }

    /// Submits a turn; gives the content of its answer file.
    pub fn ask(&self, message: &str) -> Tested<String> {
        let id = Uuid::now_v7();
        self.submit_turn(id, message)?;
        self.answer(id)
    }

    /// Waits for the end of a turn; gives the content of its answer file.
    pub fn answer(&self, id: Uuid) -> Tested<String> {
        self.signal(id, "stopped")?;
        Ok(fs::read_to_string(self.out(id, "txt"))?)
    }

    /// Waits for a signal of a turn.
    pub fn signal(&self, id: Uuid, event: &str) -> Tested<Value> {
        let (id, wanted) = (id.to_string(), format!("{event} of {id}"));
        self.eventually(&wanted, || {
            Ok(self.signals()?.into_iter().find(|line| line["turn_id"] == *id && line["event"] == event))
        })
    }

    /// Every signal so far.
    pub fn signals(&self) -> Tested<Vec<Value>> {
        self.lines(&self.spool().join("out/events.jsonl"))
    }

    /// The signals of a turn so far, by name.
    pub fn events(&self, id: Uuid) -> Tested<Vec<String>> {
        let id = id.to_string();
        let of_turn = self.signals()?.into_iter().filter(|line| line["turn_id"] == *id);
        Ok(of_turn.filter_map(|line| line["event"].as_str().map(str::to_owned)).collect())
    }

    /// Everything that was typed, as the agent took it down.
    pub fn typed(&self) -> Tested<Vec<Value>> {
        self.lines(&self.home().join("typed.jsonl"))
    }

    fn lines(&self, path: &Path) -> Tested<Vec<Value>> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// What the pane shows, without trailing blanks.
    pub fn screen(&self) -> Tested<String> {
        Ok(self.tmux(["capture-pane", "-p", "-J"])?.trim_end().to_owned())
    }

    /// Waits until the pane shows a text; gives the whole picture.
    pub fn shows(&self, text: &str) -> Tested<String> {
        self.eventually(&format!("{text:?} on the screen"), || {
            let screen = self.screen()?;
            Ok(screen.contains(text).then_some(screen))
        })
    }

    /// Waits until the agent has ended; gives its exit status.
    pub fn exit_status(&self) -> Tested<String> {
        self.eventually("the exit status", || {
            let status = fs::read_to_string(self.home().join("status")).unwrap_or_default();
            Ok(status.ends_with('\n').then(|| status.trim_end().to_owned()))
        })
    }

    /// The directory that everything of this test is in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The spool.
    pub fn spool(&self) -> PathBuf {
        self.home.path().join("spool")
    }

    /// A file of a turn in `in/`.
    pub fn given(&self, id: Uuid, suffix: &str) -> PathBuf {
        self.spool().join(format!("in/{id}.{suffix}"))
    }

    /// A file of a turn in `out/`.
    pub fn out(&self, id: Uuid, suffix: &str) -> PathBuf {
        self.spool().join(format!("out/{id}.{suffix}"))
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = self.tmux(["kill-server"]);
    }
}
