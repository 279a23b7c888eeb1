//! Whoever kills, at random.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use super::Storm;
use crate::harness::processes::Process;
use crate::harness::random::Random;
use crate::harness::{TestApp, Tested};

/// Where a server can be halted before it is killed.
const POINTS: [&str; 5] =
    ["intent.before", "intent.after", "paste.after", "answer.before_commit", "answer.after_commit"];
/// How long one waits for a server to come to such a point; then it is killed wherever it is.
const HALT_PATIENCE: Duration = Duration::from_secs(2);
/// Longest that a server is left alone, in milliseconds.
const PEACE: u64 = 700;
/// Longest that a server is given to boot where it is killed in that, in milliseconds.
const BOOT: u64 = 250;

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prey {
    /// The server. The agents go on with their turns, so every turn must be done in the end.
    Server,
    /// The agents, their tmux server and the program's connection to it, too.
    Everything,
}

/// How often what was killed in which way.
#[derive(Default)]
pub struct Killed(BTreeMap<String, usize>);

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways: Vec<String> = self.0.iter().map(|(way, times)| format!("{times} {way}")).collect();
        write!(f, "kills: {} ({})", self.0.values().sum::<usize>(), ways.join(", "))
    }
}

impl Killed {
    fn count(&mut self, storm: &Storm, way: &str) {
        *self.0.entry(way.to_owned()).or_default() += 1;
        storm.kills.fetch_add(1, Ordering::Relaxed);
    }
}

/// Kills until the storm is over, or for twice as often as is wanted: on a busy machine turns would never come to their end
/// else. Leaves a server that runs.
pub async fn rage(app: &mut TestApp, storm: &Storm, random: &mut Random, prey: Prey) -> Tested<Killed> {
    let mut killed = Killed::default();
    while !storm.is_over() && storm.kills.load(Ordering::Relaxed) < 2 * storm.kills_wanted {
        if prey == Prey::Everything && random.below(0..3) > 0 {
            sleep(Duration::from_millis(random.below(0..PEACE))).await;
            if let Some(way) = beside_the_server(app, random)? {
                killed.count(storm, way);
            }
            continue;
        }
        let way = match random.below(0..9) {
            0..=4 => at_a_point(app, random).await?,
            5 => "server right after its boot".to_owned(),
            _ => {
                // A moment like any other: nothing is waited for.
                sleep(Duration::from_millis(random.below(0..PEACE))).await;
                "server at any moment".to_owned()
            }
        };
        app.stop(Signal::KILL)?;
        app.disarm()?;
        killed.count(storm, &way);
        while random.below(0..4) == 0 {
            app.launch()?;
            sleep(Duration::from_millis(random.below(0..BOOT))).await;
            app.stop(Signal::KILL)?;
            killed.count(storm, "server while it booted");
        }
        if random.below(0..3) == 0 {
            // Met in what the boot takes up again, perhaps.
            app.arm_halt(random.one_of(&POINTS))?;
        }
        storm.note("the killer", "a boot");
        app.boot().await?;
        storm.note("the killer", "");
        storm.boots.send_modify(|boots| *boots += 1);
    }
    // Nobody shall stay halted.
    app.stop(Signal::KILL)?;
    app.disarm()?;
    killed.count(storm, "server at the end");
    app.boot().await?;
    storm.boots.send_modify(|boots| *boots += 1);
    Ok(killed)
}

/// Kills one of the processes that the server works with, if there is such a one just now.
fn beside_the_server(app: &TestApp, random: &mut Random) -> Tested<Option<&'static str>> {
    let (way, is_wanted): (_, fn(&Process) -> bool) = match random.below(0..8) {
        0 => ("tmux server", Process::is_tmux_server),
        1 | 2 => ("connection to tmux", Process::is_tmux_client),
        _ => ("agent", Process::is_agent),
    };
    let found: Vec<Process> = app.processes()?.into_iter().filter(is_wanted).collect();
    if found.is_empty() {
        return Ok(None);
    }
    found[random.below(0..found.len() as u64) as usize].kill()?;
    Ok(Some(way))
}

/// Waits until the server has come to a point at which it may die.
async fn at_a_point(app: &TestApp, random: &mut Random) -> Tested<String> {
    let point = random.one_of(&POINTS);
    app.arm_halt(point)?;
    match timeout(HALT_PATIENCE, app.halted(point)).await {
        Ok(halted) => halted.map(|()| format!("server at {point}")),
        Err(_) => Ok(format!("server before it came to {point}")),
    }
}
