//! A pipe by which a test tells its agent to go on.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{TestApp, Tested, eventually};

impl TestApp {
    /// A product whose agents are the demo agent, which gets ready once it was let go on.
    pub async fn behind_pipe() -> Tested<Self> {
        let mut app = Self::prepare(&[])?;
        app.make_pipe()?;
        app.agent_after("read -r _ < \"$HOME/go-on\"")?;
        app.boot().await?;
        Ok(app)
    }

    /// Makes the pipe `home/go-on`, from which an agent of a test reads when it is to go on.
    pub fn make_pipe(&self) -> Tested {
        let status = Command::new("mkfifo").arg(self.root().join("home/go-on")).status()?;
        if status.success() { Ok(()) } else { Err("no pipe".into()) }
    }

    /// Lets the agent go on that reads from the pipe, or will in a moment.
    pub async fn go_on(&self) -> Tested {
        let pipe = self.root().join("home/go-on");
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = eventually("an agent that reads from the pipe", async || {
            match rustix::fs::open(&pipe, flags, Mode::empty()) {
                Ok(pipe) => Ok(Some(pipe)),
                Err(Errno::NXIO) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        Ok(File::from(opened.await?).write_all(b"\n")?)
    }
}
