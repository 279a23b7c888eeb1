//! Floor of row 9: what an idle session cannot do without. Two actors with their mailboxes, a handle that tells of its
//! agent's end, and a watch on a directory, in a bare runtime: this program, run again with the word below.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use notify::{RecursiveMode, Watcher};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::idle::Idle;
use crate::measure::Outcome;

/// `<word> DIR`: for each number on standard input keeps so many sessions more, with their directories in `DIR`, and says
/// on standard output when they are there.
pub const KEEP: &str = "--keep-sessions";

/// The program, if `arguments` ask for it.
pub fn run(arguments: &[String]) -> Outcome<bool> {
    let [word, directory] = arguments else { return Ok(false) };
    if word != KEEP {
        return Ok(false);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut watcher = notify::recommended_watcher(|_| {})?;
    let mut count = 0_usize;
    for line in std::io::stdin().lock().lines() {
        let more: usize = line?.parse()?;
        for _ in 0..more {
            count += 1;
            let directory = Path::new(directory).join(count.to_string());
            std::fs::create_dir(&directory)?;
            watcher.watch(&directory, RecursiveMode::NonRecursive)?;
            runtime.block_on(keep())?;
        }
        writeln!(std::io::stdout().lock(), "{count}")?;
    }
    Ok(true)
}

/// One session.
async fn keep() -> Outcome<()> {
    let (session, _) = Actor::spawn(None, Nothing, ()).await?;
    Actor::spawn_linked(None, Nothing, (), session.get_cell()).await?;
    let agent = handle()?;
    tokio::spawn(async move { agent.readable().await.map(drop) });
    Ok(())
}

/// A process that does not end before this one.
#[expect(
    deprecated,
    reason = "sound for an `OwnedFd`, which stays open; the successor is `unsafe`, and that is forbidden here"
)]
fn handle() -> Outcome<AsyncFd<OwnedFd>> {
    Ok(AsyncFd::with_interest(pidfd_open(getpid(), PidfdFlags::NONBLOCK)?, Interest::READABLE)?)
}

/// An actor that waits.
struct Nothing;

impl Actor for Nothing {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// The bare runtime and its sessions.
pub struct IdleSessions {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl IdleSessions {
    /// Works in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(KEEP)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("the floor has an input")?;
        let output = BufReader::new(child.stdout.take().ok_or("the floor has an output")?);
        Ok(Self { child, input, output })
    }
}

impl Idle for IdleSessions {
    fn grow(&mut self, by: usize) -> Outcome<()> {
        writeln!(self.input, "{by}")?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the floor ended".into());
        }
        Ok(())
    }

    fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for IdleSessions {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
