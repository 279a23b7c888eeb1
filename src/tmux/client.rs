//! One `tmux -C` process: how it is started, attached, read, and ended.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{Block, Command, Event, Parser, TmuxError};

/// What a control client needs to know.
#[derive(Clone)]
pub struct ControlConfig {
    /// The program, e.g. `tmux`.
    pub program: PathBuf,
    /// The server's socket.
    pub socket: PathBuf,
    /// The only environment variables that the client gets.
    pub env: Vec<(OsString, OsString)>,
    /// The exact name of the session to attach to.
    pub session: String,
    /// How long a command may take, and the start of a client.
    pub deadline: Duration,
}

impl std::fmt::Debug for ControlConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlConfig").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Which server it is: after a restart, process and moment of start are others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The server's process.
    pub pid: u32,
    started: String,
}

/// A process of our own, with only these variables, which a Ctrl-C in our terminal does not reach.
pub(super) fn tmux(config: &ControlConfig) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(&config.program);
    command.env_clear().envs(config.env.iter().map(|(key, value)| (key, value)));
    // -u: what is not ASCII comes out as it is, whatever the locale.
    command.args(["-u", "-f", "/dev/null", "-S"]).arg(&config.socket);
    command.process_group(0).kill_on_drop(true).stderr(Stdio::piped());
    command
}

/// The error of a tmux process that could not be started.
pub(super) fn spawn_error(config: &ControlConfig, error: &std::io::Error) -> TmuxError {
    match error.kind() {
        std::io::ErrorKind::NotFound => TmuxError::NotFound(config.program.display().to_string()),
        _ => TmuxError::Io(error.to_string()),
    }
}

/// Taken by whoever attaches or detaches a client on purpose, whichever process of ours it is.
///
/// tmux up to 3.6 dies, and all agents with it, when it notifies its control clients while one of them has not finished
/// to introduce itself (tmux pull request 4980; seen on 3.3a with eight starters at once), and another client that
/// comes or goes is such news. What a person does at that moment with a client of their own is not covered.
pub(super) async fn doorway(socket: &Path) -> Result<File, TmuxError> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".attach");
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).append(true).mode(0o600).open(PathBuf::from(path))?;
        file.lock()?;
        Ok(file)
    });
    let failed = |error: std::io::Error| TmuxError::SocketDir(format!("its lock: {error}"));
    locked.await.map_err(std::io::Error::other).flatten().map_err(failed)
}

/// An attached client.
pub(super) struct Client {
    pub child: Child,
    pub stdin: ChildStdin,
    pub reader: Reader<ChildStdout>,
    stderr: ChildStderr,
    socket: PathBuf,
}

impl Client {
    /// Starts a client and waits until it is attached. No server is started where there is none.
    pub async fn connect(config: &ControlConfig) -> Result<(Self, Identity), TmuxError> {
        const NAME: &str = "attach-session";
        let deadline = Instant::now() + config.deadline;
        let late = TmuxError::Timeout { command: NAME };
        let _doorway = timeout_at(deadline, doorway(&config.socket)).await.map_err(|_| late.clone())??;
        let mut command = tmux(config);
        command.args(["-N", "-C", NAME, "-f", "no-output,ignore-size", "-t"]).arg(format!("={}", config.session));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| spawn_error(config, &error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(TmuxError::Io("a client without pipes".to_owned()));
        };
        let mut client = Self { child, stdin, reader: Reader::new(stdout), stderr, socket: config.socket.clone() };
        match timeout_at(deadline, client.attached()).await.unwrap_or(Err(late)) {
            Ok(identity) => Ok((client, identity)),
            Err(error) => {
                client.reap(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Waits for the attachment, then asks which server it is. Nothing is written before that: tmux may run lines of a
    /// client whose own command (`attach-session`) is still to come, or to fail.
    async fn attached(&mut self) -> Result<Identity, TmuxError> {
        loop {
            match self.reader.next().await {
                Some(Event::Notification(name)) if name == "%session-changed" => break,
                Some(Event::Block(Block { ok: false, lines, .. })) => {
                    return Err(TmuxError::ServerGone(lines.join("; ")));
                }
                Some(_) => {}
                None => return Err(self.why_it_ended().await),
            }
        }
        let mark = format!("{}0", self.reader.mark_text());
        let question = Command::new("display-message").arg("-p").arg("#{pid} #{start_time}");
        let lines = format!("{}\n{}\n", question.line(), Command::new("display-message").arg("-p").arg(mark).line());
        self.stdin.write_all(lines.as_bytes()).await.map_err(|error| TmuxError::ServerGone(error.to_string()))?;
        let mut answer = None;
        loop {
            match self.reader.next().await {
                Some(Event::Block(Block { ours: true, lines, .. })) => answer = lines.into_iter().next(),
                Some(Event::Mark(0)) => break,
                Some(_) => {}
                None => return Err(self.why_it_ended().await),
            }
        }
        let answer = answer.unwrap_or_default();
        let identity = answer.split_once(' ').and_then(|(pid, started)| Some((pid.parse().ok()?, started.to_owned())));
        let (pid, started) = identity.ok_or_else(|| TmuxError::Protocol(format!("no server pid in {answer:?}")))?;
        Ok(Identity { pid, started })
    }

    /// A client that ends while it attaches says so where there is no server; one that was killed says nothing.
    async fn why_it_ended(&mut self) -> TmuxError {
        match self.last_words().await {
            words if words.is_empty() => TmuxError::Interrupted { command: "attach-session" },
            words => TmuxError::ServerGone(words),
        }
    }

    /// What a client that ended says about it.
    async fn last_words(&mut self) -> String {
        let mut text = Vec::new();
        // Until the client's end; the caller has a deadline.
        drop((&mut self.stderr).take(1024).read_to_end(&mut text).await);
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    /// The process id; 0 once it was reaped.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Lets the client go in good order, and returns once it is reaped.
    pub async fn dismiss(self, grace: Duration) {
        // Where the lock is not to be had, the client goes without it: it must not stay.
        let _doorway = timeout(grace, doorway(&self.socket)).await;
        self.reap(grace).await;
    }

    /// Ends the client's input, and kills what has not gone after `grace`. Returns once it is reaped.
    pub async fn reap(self, grace: Duration) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        if timeout(grace, child.wait()).await.is_err() {
            // Fails only where the process is gone already.
            drop(child.kill().await);
        }
    }
}

/// Takes a client's output apart.
pub(super) struct Reader<R> {
    from: R,
    buffer: BytesMut,
    /// Bytes at the buffer's beginning that are known to hold no line break.
    scanned: usize,
    parser: Parser,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(from: R) -> Self {
        let parser = Parser::new(format!("mark-{}-", Uuid::new_v4().simple()));
        Self { from, buffer: BytesMut::new(), scanned: 0, parser }
    }

    /// What this client's marks begin with.
    pub fn mark_text(&self) -> String {
        self.parser.secret().to_owned()
    }

    /// The next event; `None` once the output has ended. Nothing is lost where it is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(offset) = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(self.scanned + offset);
                self.buffer.advance(1);
                self.scanned = 0;
                if let Some(event) = self.parser.line(&line) {
                    return Some(event);
                }
            }
            self.scanned = self.buffer.len();
            if !matches!(self.from.read_buf(&mut self.buffer).await, Ok(count) if count > 0) {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_may_come_in_any_pieces() {
        let (near, mut far) = tokio::io::duplex(7);
        let mut reader = Reader::new(near);
        let text = format!("%begin 1 2 1\nhe\u{e9}llo\n%end 1 2 1\n{}5\n%end", reader.mark_text());
        tokio::spawn(async move { far.write_all(text.as_bytes()).await });
        let block = Block { ok: true, ours: true, lines: vec!["he\u{e9}llo".to_owned()] };
        assert_eq!(reader.next().await, Some(Event::Block(block)));
        assert_eq!(reader.next().await, Some(Event::Mark(5)));
        assert_eq!(reader.next().await, None);
    }
}
