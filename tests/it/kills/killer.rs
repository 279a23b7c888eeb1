//! Whoever kills, at random.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use super::Storm;
use crate::harness::random::Random;
use crate::harness::{TestApp, Tested};

/// Where a server can be halted before it is killed.
const POINTS: [&str; 5] = ["intent.before", "intent.after", "paste.after", "answer.before_commit", "answer.after_commit"];
/// How long one waits for a server to come to such a point; then it is killed wherever it is.
const HALT_PATIENCE: Duration = Duration::from_secs(2);
/// Longest that a server is left alone, in milliseconds.
const PEACE: u64 = 700;
/// Longest that a server is given to boot where it is killed in that, in milliseconds.
const BOOT: u64 = 250;

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prey {
    /// The server.
    Server,
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

/// Kills until the storm is over, and leaves a server that runs.
pub async fn rage(app: &mut TestApp, storm: &Storm, random: &mut Random, prey: Prey) -> Tested<Killed> {
    let mut killed = Killed::default();
    debug_assert_eq!(prey, Prey::Server);
    while !storm.is_over() {
        let way = match random.below(0..9) {
            0..=4 => at_a_point(app, random).await?,
            5 => "right after its boot".to_owned(),
            _ => {
                // A moment like any other: nothing is waited for.
                sleep(Duration::from_millis(random.below(0..PEACE))).await;
                "at any moment".to_owned()
            }
        };
        app.stop(Signal::KILL)?;
        app.disarm()?;
        killed.count(storm, &way);
        while random.below(0..4) == 0 {
            app.launch()?;
            sleep(Duration::from_millis(random.below(0..BOOT))).await;
            app.stop(Signal::KILL)?;
            killed.count(storm, "while it booted");
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
    killed.count(storm, "at the end");
    app.boot().await?;
    storm.boots.send_modify(|boots| *boots += 1);
    Ok(killed)
}

/// Waits until the server has come to a point at which it may die.
async fn at_a_point(app: &TestApp, random: &mut Random) -> Tested<String> {
    let point = random.one_of(&POINTS);
    app.arm_halt(point)?;
    match timeout(HALT_PATIENCE, app.halted(point)).await {
        Ok(halted) => halted.map(|()| format!("at {point}")),
        Err(_) => Ok(format!("before it came to {point}")),
    }
}
