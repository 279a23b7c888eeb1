//! The one `tmux -C` child of a server, behind a task. Commands go in, replies come out in the same order.
//!
//! The client is replaced when it dies: commands whose reply was due then end in [`TmuxError::Interrupted`], for nobody
//! knows whether tmux ran them, and the next command starts a new client. Nothing is ever sent twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::client::{Client, Identity};
use super::{Block, Command, ControlConfig, Event, TmuxError};

/// How long a command may take. tmux answers within a millisecond, so after five seconds the server is stopped or
/// the host is in trouble; and it is less than what a reset of an agent session may take (10 s), which reports it.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// How long what a dead client left in its pipe is waited for, and how long one that was told to go may take.
const GRACE: Duration = Duration::from_secs(1);

/// Commands that may wait for the task; more wait in their callers.
const QUEUE: usize = 256;

/// Bytes that may wait for the pipe before further commands are left in the queue.
const WRITE_AHEAD: usize = 256 * 1024;

/// Cheap handle on the client. The last one to be dropped ends the client; the server lives on.
#[derive(Clone, Debug)]
pub struct Control {
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    deadline: Duration,
    server_pid: u32,
    client_pid: AtomicU32,
    reconnects: AtomicU64,
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: oneshot::Sender<Result<Vec<String>, TmuxError>>,
}

impl Control {
    /// Starts the client and waits until it is attached.
    ///
    /// The handle stays bound to the server it finds now: ids of another server on the same socket mean other panes,
    /// so when the server was replaced, commands end in [`TmuxError::ServerGone`].
    pub async fn connect(config: ControlConfig) -> Result<Self, TmuxError> {
        let (client, identity) = Client::connect(&config).await?;
        let shared = Arc::new(Shared {
            deadline: config.deadline,
            server_pid: identity.pid,
            client_pid: AtomicU32::new(client.pid()),
            reconnects: AtomicU64::new(0),
        });
        let (sender, requests) = mpsc::channel(QUEUE);
        let task = Task { config, identity, requests, shared: Arc::clone(&shared), sent: 0 };
        tokio::spawn(task.run(client));
        Ok(Self { requests: sender, shared })
    }

    /// Sends one line and waits for its whole output: the lines of all its commands, or the first error.
    ///
    /// [`TmuxError::Interrupted`] and [`TmuxError::Timeout`] leave open whether the line was run; every other error
    /// says that it was not, or, for a line of several commands, that it stopped at one of them.
    pub async fn command(&self, command: Command) -> Result<Vec<String>, TmuxError> {
        let name = command.name();
        if command.line().contains(['\n', '\0']) {
            return Err(TmuxError::Invalid(format!("an argument of tmux `{name}` holds a NUL")));
        }
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let request = Request { command, reply };
            let gone = || TmuxError::ServerGone("its client was shut down".to_owned());
            self.requests.send(request).await.map_err(|_| gone())?;
            answer.await.unwrap_or(Err(TmuxError::Interrupted { command: name }))
        };
        timeout(self.shared.deadline, exchange).await.unwrap_or(Err(TmuxError::Timeout { command: name }))
    }

    /// The process id of the server that this handle is bound to.
    pub fn server_pid(&self) -> u32 {
        self.shared.server_pid
    }

    /// The process id of the present client, if there is one.
    pub fn client_pid(&self) -> Option<u32> {
        Some(self.shared.client_pid.load(Ordering::Relaxed)).filter(|&pid| pid != 0)
    }

    /// How often a client that died was replaced.
    pub fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::Relaxed)
    }
}

struct Task {
    config: ControlConfig,
    identity: Identity,
    requests: mpsc::Receiver<Request>,
    shared: Arc<Shared>,
    /// Command lines sent so far; the number of the last one's mark.
    sent: u64,
}

/// A command whose mark has not come yet.
struct Pending {
    mark: u64,
    request: Request,
}

/// The commands on their way through one client.
#[derive(Default)]
struct InFlight {
    out: BytesMut,
    pending: VecDeque<Pending>,
    lines: Vec<String>,
    error: Option<String>,
}

impl Task {
    async fn run(mut self, first: Client) {
        let mut more = self.serve(first, None).await;
        while more {
            let Some(request) = self.requests.recv().await else { return };
            // Its caller has given up, and would not learn that the command was run after all.
            if request.reply.is_closed() {
                continue;
            }
            match self.reconnect().await {
                Ok(client) => more = self.serve(client, Some(request)).await,
                Err(error) => drop(request.reply.send(Err(error))),
            }
        }
    }

    async fn reconnect(&self) -> Result<Client, TmuxError> {
        let (client, identity) = Client::connect(&self.config).await?;
        if identity != self.identity {
            client.dismiss(GRACE).await;
            return Err(TmuxError::ServerGone("another server has taken its place".to_owned()));
        }
        let reconnects = self.shared.reconnects.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.client_pid.store(client.pid(), Ordering::Relaxed);
        debug!(client_pid = client.pid(), reconnects, "tmux client replaced");
        Ok(client)
    }

    /// Serves one client to its end. False where no more commands can come.
    async fn serve(&mut self, mut client: Client, first: Option<Request>) -> bool {
        let mut flight = InFlight::default();
        let mark_text = client.reader.mark_text();
        if let Some(request) = first {
            self.send(&mut flight, request, &mark_text);
        }
        // Set once the client is dead or deaf: only what it has said already is still read, and not for long.
        let mut last_call: Option<Instant> = None;
        let more = loop {
            let alive = last_call.is_none();
            tokio::select! {
                biased;
                event = client.reader.next() => match event {
                    None => break true,
                    Some(event) => if !flight.take(event) {
                        warn!("tmux client lost step with its commands");
                        break true;
                    }
                },
                request = self.requests.recv(), if alive && flight.out.len() < WRITE_AHEAD => match request {
                    None => break false,
                    Some(request) if request.reply.is_closed() => {}
                    Some(request) => self.send(&mut flight, request, &mark_text),
                },
                written = client.stdin.write(&flight.out), if alive && !flight.out.is_empty() => match written {
                    Ok(count) if count > 0 => flight.out.advance(count),
                    _ => last_call = Some(Instant::now() + GRACE),
                },
                _ = client.child.wait(), if alive => last_call = Some(Instant::now() + GRACE),
                () = sleep_until(last_call.unwrap_or_else(Instant::now)), if !alive => break true,
            }
        };
        self.shared.client_pid.store(0, Ordering::Relaxed);
        let unanswered = flight.pending.len();
        for Pending { request, .. } in flight.pending {
            let command = request.command.name();
            drop(request.reply.send(Err(TmuxError::Interrupted { command })));
        }
        if more {
            debug!(unanswered, "tmux client ended");
            client.reap(GRACE).await;
        } else {
            client.dismiss(GRACE).await;
        }
        more
    }

    fn send(&mut self, flight: &mut InFlight, request: Request, mark_text: &str) {
        self.sent += 1;
        let mark = Command::new("display-message").arg("-p").arg(format!("{mark_text}{}", self.sent));
        for line in [request.command.line(), mark.line()] {
            flight.out.extend_from_slice(line.as_bytes());
            flight.out.extend_from_slice(b"\n");
        }
        flight.pending.push_back(Pending { mark: self.sent, request });
    }
}

impl InFlight {
    /// Takes in what tmux said. False where it is not what must come next.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Notification(_) | Event::Block(Block { ours: false, .. }) => {}
            Event::Block(Block { ok: true, lines, .. }) => self.lines.extend(lines),
            Event::Block(Block { ok: false, lines, .. }) => {
                self.error.get_or_insert_with(|| lines.join("; "));
            }
            Event::Mark(mark) => {
                let (lines, error) = (std::mem::take(&mut self.lines), self.error.take());
                let Some(Pending { request, .. }) = self.pending.pop_front_if(|first| first.mark == mark) else {
                    return false;
                };
                let command = request.command.name();
                let result = error.map_or(Ok(lines), |message| Err(TmuxError::Command { command, message }));
                // A caller that has given up is no reason to stop.
                drop(request.reply.send(result));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Vec<String>, TmuxError>>;

    fn flight(marks: &[u64]) -> (InFlight, Vec<Answer>) {
        let mut flight = InFlight::default();
        let mut answers = Vec::new();
        for &mark in marks {
            let (reply, answer) = oneshot::channel();
            let request = Request { command: Command::new("list-panes"), reply };
            flight.pending.push_back(Pending { mark, request });
            answers.push(answer);
        }
        (flight, answers)
    }

    fn block(ok: bool, ours: bool, line: &str) -> Event {
        Event::Block(Block { ok, ours, lines: vec![line.to_owned()] })
    }

    #[test]
    fn blocks_go_to_the_command_before_their_mark() {
        let (mut flight, mut answers) = flight(&[1, 2, 3]);
        let events = [
            block(true, false, "of a hook"),
            block(true, true, "a"),
            block(true, true, "b"),
            Event::Mark(1),
            Event::Notification("%sessions-changed".to_owned()),
            block(true, true, "c"),
            block(false, true, "no"),
            block(false, true, "nor this"),
            Event::Mark(2),
            Event::Mark(3),
        ];
        assert!(events.into_iter().all(|event| flight.take(event)));
        assert_eq!(answers[0].try_recv().unwrap(), Ok(vec!["a".to_owned(), "b".to_owned()]));
        let refused = TmuxError::Command { command: "list-panes", message: "no".to_owned() };
        assert_eq!(answers[1].try_recv().unwrap(), Err(refused));
        assert_eq!(answers[2].try_recv().unwrap(), Ok(vec![]));
    }

    #[test]
    fn a_mark_out_of_turn_is_noticed() {
        let (mut flight, _answers) = flight(&[1, 2]);
        assert!(!flight.take(Event::Mark(2)));
        assert!(flight.take(Event::Mark(1)));
    }
}
