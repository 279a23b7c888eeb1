//! One server process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Tested, processes, within};

/// A server that was started. Dropped without [`Self::end`], it is killed.
pub struct ServerProcess {
    child: Child,
    lines: UnboundedReceiver<String>,
    /// Everything that it printed, as far as it was waited for.
    pub printed: Vec<String>,
}

impl ServerProcess {
    /// Starts it; its log goes to this file, behind what is there.
    pub fn spawn(mut command: Command, log: &Path) -> Tested<Self> {
        let log = File::options().append(true).create(true).open(log)?;
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or("the server has an output")?;
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, lines, printed: Vec::new() })
    }

    /// Waits for a line that has this in it; gives what follows it.
    pub async fn line_with(&mut self, wanted: &str) -> Tested<String> {
        let after = |line: &String| line.split_once(wanted).map(|(_, rest)| rest.trim().to_owned());
        if let Some(rest) = self.printed.iter().find_map(after) {
            return Ok(rest);
        }
        within(&format!("the server to print {wanted:?}"), async {
            while let Some(line) = self.lines.recv().await {
                let found = after(&line);
                self.printed.push(line);
                if let Some(rest) = found {
                    return Ok(rest);
                }
            }
            Err(format!("the server ended before it printed {wanted:?}").into())
        })
        .await?
    }

    /// Waits for the line that tells the address.
    pub async fn address(&mut self) -> Tested<SocketAddr> {
        let address = self.line_with("listening on http://").await?;
        Ok(address.trim_end_matches('/').parse()?)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Ends it by a signal; `None` where it had to be killed after that.
    pub fn end(&mut self, signal: Signal) -> Tested<Option<ExitStatus>> {
        if processes::end(self.pid(), signal)? {
            return Ok(Some(self.child.wait()?));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(None)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
