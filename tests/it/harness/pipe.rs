//! A pipe by which a test tells its agent to go on.

use std::fs;
use std::process::Command;

use super::{TestApp, Tested};

impl TestApp {
    /// Makes the pipe `home/go-on`, from which an agent of a test reads when it is to go on.
    pub fn make_pipe(&self) -> Tested {
        let status = Command::new("mkfifo").arg(self.root().join("home/go-on")).status()?;
        if status.success() { Ok(()) } else { Err("no pipe".into()) }
    }

    /// Lets the agent go on that reads from the pipe, or will.
    pub async fn go_on(&self) -> Tested {
        let pipe = self.root().join("home/go-on");
        Ok(tokio::task::spawn_blocking(move || fs::write(pipe, "\n")).await??)
    }
}
