//! What a server takes up, and may not take up more and more of.

use std::fmt;
use std::fs;

use super::people::People;
use crate::harness::{TestApp, Tested};

/// Memory may be half as much again as after the first third, and this much more, in KiB: an allocator keeps what it had.
const MEMORY_SLACK: u64 = 32 * 1024;
/// Descriptors that a server may open later than in the first third: connections to the database, mostly.
const DESCRIPTOR_SLACK: usize = 4;

/// A measurement.
pub struct Toll {
    /// Resident memory, in KiB.
    memory: u64,
    descriptors: usize,
    actors: usize,
    panes: usize,
    /// Processes of this test, the server among them.
    processes: usize,
}

impl Toll {
    /// Looks at the server, which has nothing to do.
    pub async fn taken(app: &TestApp, people: &People) -> Tested<Self> {
        let server = app.server_pid()?;
        let status = fs::read_to_string(format!("/proc/{server}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let memory = memory.trim().trim_end_matches(" kB").parse()?;
        let actors = people.all[0].client.actors().await?.len();
        let tmux = app.tmux().await?;
        let panes = tmux.panes().await?.len();
        tmux.shutdown().await?;
        let processes = app.processes()?.len();
        let descriptors = fs::read_dir(format!("/proc/{server}/fd"))?.count();
        Ok(Self { memory, descriptors, actors, panes, processes })
    }

    /// Whether it has stayed within what may be, compared with an earlier one.
    pub fn is_no_more_than(&self, before: &Self) -> Result<(), String> {
        let is_within = self.memory <= before.memory * 3 / 2 + MEMORY_SLACK
            && self.descriptors <= before.descriptors + DESCRIPTOR_SLACK
            && self.actors <= before.actors
            && self.panes <= before.panes
            && self.processes <= before.processes;
        if is_within { Ok(()) } else { Err(format!("more than before: {self}; before: {before}")) }
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, descriptors, actors, panes, processes } = self;
        write!(f, "{memory} KiB, {descriptors} descriptors, {actors} actors, {panes} panes, {processes} processes")
    }
}

/// Nothing has panicked, and nothing was a fault of ours.
pub fn log_is_clean(app: &TestApp) -> Tested {
    let log = fs::read_to_string(app.root().join("server.log"))?;
    let is_bad = |line: &&str| line.contains("panicked") || line.split_whitespace().any(|word| word == "ERROR");
    let bad: Vec<&str> = log.lines().filter(is_bad).collect();
    if bad.is_empty() { Ok(()) } else { Err(format!("the log tells of faults:\n{}", bad.join("\n")).into()) }
}
