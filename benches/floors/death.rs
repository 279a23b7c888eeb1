//! Floor of row 11: a process is killed, its handle says so, one commit, one write to a client that waits.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::commit::Commit;
use super::loopback::Loopback;
use crate::measure::{DEADLINE, Measured, Outcome};

/// From the signal to the client.
pub struct Death {
    commit: Commit,
    client: Loopback,
    waiting: Option<Child>,
}

impl Death {
    /// Works in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        Ok(Self { commit: Commit::open(directory)?, client: Loopback::open()?, waiting: None })
    }
}

impl Measured for Death {
    fn prepare(&mut self) -> Outcome<()> {
        // It ends when its input does, so that it does not outlive the benchmark.
        self.waiting = Some(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        Ok(())
    }

    fn sample(&mut self) -> Outcome<Duration> {
        let mut child = self.waiting.take().ok_or("no process was prepared")?;
        let pid = Pid::from_child(&child);
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let start = Instant::now();
        kill_process(pid, Signal::KILL)?;
        let patience = Timespec::try_from(DEADLINE)?;
        if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))? == 0 {
            return Err("a process that was killed does not end".into());
        }
        self.commit.commit()?;
        let received = self.client.deliver()?;
        child.wait()?;
        Ok(received - start)
    }
}
