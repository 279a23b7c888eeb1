//! Tells when the program in a pane prints something: tmux copies what it prints into a pipe of ours (`pipe-pane`), and
//! that it can be read is all that counts.
//!
//! A control client attached to the pane's session would be told, too. But each one that comes is a moment in which tmux
//! may die with all agents (see `doorway` in client.rs), takes 3.4 MB, and about twice as long until the first byte is
//! here (6 ms where the pipe takes 3.6 ms, on 3.3a). What stays behind here where we die is a `cat` that ends with the
//! next byte or with its pane. A person's own `pipe-pane` of the same pane is replaced: tmux has one for each. So
//! an [`Output`] that is made while another one of the pane is just being closed takes its place; the option `@output` says
//! whose it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::debug;
use uuid::Uuid;

use super::pane::OUTPUT_OPTION;
use super::quote::escape_format;
use super::{Command, PaneId, Server, TmuxError};

/// From one try to the next, where the pipe cannot be had, or ends as soon as it is there.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes read at once; what they are does not matter.
const CHUNK: usize = 16 * 1024;

/// What a program prints, as news that something was printed. Dropped, the pipe is closed.
#[derive(Debug)]
pub struct Output {
    news: watch::Receiver<u64>,
}

impl Output {
    pub(super) fn of(server: Server, pane: PaneId, socket: &Path) -> Self {
        let mut prefix = socket.as_os_str().to_owned();
        prefix.push(format!(".output-{}-", pane.as_str().trim_start_matches('%')));
        let (told, news) = watch::channel(0);
        let task = Task { server, pane, prefix: prefix.into(), token: Uuid::new_v4().simple().to_string(), told };
        tokio::spawn(task.run());
        Self { news }
    }

    /// Resolves when there was news since it did so last. The first one says that from here on nothing is missed: whoever
    /// waits for something to be seen looks then. News may come although nothing was printed. Nothing is lost where this is
    /// dropped before it is ready.
    pub async fn news(&mut self) {
        if self.news.changed().await.is_err() {
            // The runtime ends.
            std::future::pending().await
        }
    }
}

struct Task {
    server: Server,
    pane: PaneId,
    /// What the paths of all pipes for this pane begin with.
    prefix: PathBuf,
    /// Tells our pipe from one that has taken its place.
    token: String,
    told: watch::Sender<u64>,
}

impl Task {
    async fn run(self) {
        while !self.told.is_closed() {
            let began = Instant::now();
            match self.open().await {
                Ok(pipe) => {
                    self.tell();
                    self.drain(pipe).await;
                }
                Err(error) => debug!(pane = %self.pane, %error, "what the program prints cannot be followed just now"),
            }
            if began.elapsed() < AGAIN {
                tokio::select! {
                    () = self.told.closed() => {}
                    () = sleep(AGAIN) => {}
                }
            }
        }
        let close = Command::new("pipe-pane").args(["-t", self.pane.as_str()]);
        let is_ours = format!("#{{==:#{{{OUTPUT_OPTION}}},{}}}", self.token);
        let close = Command::new("if-shell").args(["-F", "-t", self.pane.as_str(), &is_ours]).command(&close);
        // A pane that is gone took its pipe along.
        let _ = self.server.control().command(close).await;
        let _ = std::fs::remove_file(self.path());
    }

    fn path(&self) -> PathBuf {
        let mut path = self.prefix.as_os_str().to_owned();
        path.push(&self.token);
        path.into()
    }

    /// Removes the pipes for this pane: our own that has ended, and what those left behind who died. There is one at a time.
    fn clear(&self) {
        let entries = self.prefix.parent().and_then(|directory| std::fs::read_dir(directory).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let path = entry.path();
            if path.as_os_str().as_encoded_bytes().starts_with(self.prefix.as_os_str().as_encoded_bytes()) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn tell(&self) {
        self.told.send_modify(|count| *count += 1);
    }

    /// Has tmux copy what is printed from now on.
    async fn open(&self) -> Result<Receiver, TmuxError> {
        let system = |error: std::io::Error| TmuxError::Io(error.to_string());
        self.clear();
        let path = self.path();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(|error| system(error.into()))?;
        let pipe = OpenOptions::new().open_receiver(&path).map_err(system)?;
        let shown = path.display().to_string();
        let path = format!("'{}'", shown.replace('\'', r"'\''"));
        // Opened to read, too, for a moment: to open it to write alone would wait for ever where we are gone by then.
        let command = format!("[ -p {path} ] && exec 3<> {path} && exec cat > {path} 3>&-");
        // tmux expands it as a format and as a moment.
        let command = escape_format(&command).replace('%', "%%");
        let open = Command::new("pipe-pane").args(["-t", self.pane.as_str()]).arg(command);
        let mark = Command::new("set-option").args(["-p", "-t", self.pane.as_str(), OUTPUT_OPTION, &self.token]);
        self.server.control().command(open.then(mark)).await?;
        Ok(pipe)
    }

    /// Tells of everything that comes, until nobody listens or the pipe ends.
    async fn drain(&self, pipe: Receiver) {
        let mut chunk = vec![0; CHUNK];
        loop {
            tokio::select! {
                () = self.told.closed() => return,
                readable = pipe.readable() => if readable.is_err() {
                    return;
                },
            }
            match pipe.try_read(&mut chunk) {
                Ok(0) => return,
                Ok(_) => self.tell(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
