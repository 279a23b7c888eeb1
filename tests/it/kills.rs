//! The promise, at random: whatever is killed at whatever moment, no turn is lost and none is typed twice. Several users
//! ask without a pause, while the server is killed by SIGKILL and booted again on the same state, in one of the tests their
//! agents and tmux, too.
//!
//! `make soak` runs these for as many kills as `PALIADIN_SOAK_KILLS` says. A run can only be repeated as far as its
//! questions and the killer's choices go (`PALIADIN_TEST_SEED`); what coincides with what is left to the machine.

mod clients;
mod killer;
mod questions;
mod verdict;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::timeout;

use self::clients::Asked;
use self::killer::Prey;
use crate::harness::random::Random;
use crate::harness::{TestApp, Tested, eventually};

/// Sets how often is killed at least.
const VARIABLE: &str = "PALIADIN_SOAK_KILLS";
/// Whoever asks.
const USERS: usize = 8;
/// Conversations of each, asked in at the same time.
const CONVERSATIONS: usize = 2;
/// Longest run, but for the kills.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer by this for each kill.
const PATIENCE_PER_KILL: Duration = Duration::from_millis(3_000);
/// Waiting ones that are named where a run takes too long.
const WAITING_SHOWN: usize = 12;

/// What the users and the killer share.
struct Storm {
    /// How often the server was booted.
    boots: watch::Sender<usize>,
    asked: AtomicUsize,
    kills: AtomicUsize,
    turns_wanted: usize,
    kills_wanted: usize,
    /// Who waits for what.
    waiting: Mutex<BTreeMap<String, String>>,
}

impl Storm {
    fn new(turns_wanted: usize, kills_wanted: usize) -> Self {
        let (boots, asked, kills, waiting) = Default::default();
        Self { boots, asked, kills, turns_wanted, kills_wanted, waiting }
    }

    /// Enough was asked and killed.
    fn is_over(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= self.turns_wanted
            && self.kills.load(Ordering::Relaxed) >= self.kills_wanted
    }

    /// Notes what someone waits for; nothing any more where it is empty.
    fn note(&self, who: &str, waits_for: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waits_for {
            "" => drop(waiting.remove(who)),
            what => drop(waiting.insert(who.to_owned(), what.to_owned())),
        }
    }

    fn stuck(&self) -> String {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let shown: Vec<String> =
            waiting.iter().take(WAITING_SHOWN).map(|(who, what)| format!("{who}: {what}")).collect();
        let (asked, kills) = (self.asked.load(Ordering::Relaxed), self.kills.load(Ordering::Relaxed));
        format!("{asked} turns asked, {kills} kills, {} wait for something:\n{}", waiting.len(), shown.join("\n"))
    }
}

/// Lets users ask and things die until both have happened often enough, and judges what came of it.
async fn run(prey: Prey, turns: usize, kills: usize) -> Tested {
    let kills = std::env::var(VARIABLE).map_or(Ok(kills), |kills| kills.parse())?;
    let mut app = TestApp::with_own_address().await?;
    // Told before the app is closed, which would fail for what a run leaves that came to no end.
    survive(&mut app, prey, turns, kills).await.inspect_err(|error| println!("{error}"))
}

async fn survive(app: &mut TestApp, prey: Prey, turns: usize, kills: usize) -> Tested {
    let mut random = Random::seeded()?;
    let questions = questions::Source::prepare(app).await?;
    let storm = Arc::new(Storm::new(turns, kills));
    let mut conversations = Vec::new();
    for number in 0..USERS {
        let user = clients::User::new(app.user(&format!("user{number}@example.org"))?);
        for place in 0..CONVERSATIONS {
            let name = format!("user {number}.{place}");
            let asking = clients::converse(storm.clone(), user.clone(), name, random.fork(), questions.clone());
            conversations.push(tokio::spawn(asking));
        }
    }
    let asking = async {
        let mut asked: Vec<Asked> = Vec::new();
        for told in try_join_all(conversations).await? {
            asked.extend(told?);
        }
        Ok(asked)
    };
    // The killer may come to twice as many.
    let limit = PATIENCE + PATIENCE_PER_KILL * u32::try_from(2 * kills)?;
    let both = async { tokio::try_join!(killer::rage(app, &storm, &mut random, prey), asking) };
    let ended = timeout(limit, both).await;
    let (killed, asked) = match ended {
        Ok(ended) => ended?,
        Err(_) => {
            return Err(format!("not over after {limit:?}: {}\n{}", storm.stuck(), verdict::open(app).await?).into());
        }
    };
    println!("{killed}");
    verdict::judge(app, &asked, prey).await?;
    if prey == Prey::Everything {
        // An answer to a turn that failed is awaited among its files for a while, even where its agent is gone.
        app.set("PALIADIN_TURN__RECOVERY_WINDOW", "1ms");
        app.restart(Signal::KILL).await?;
    }
    // What a server could not remove any more is seen to by the next one, in a sweep of its own.
    eventually("files of turns to be removed", async || Ok(app.inputs_left().is_empty().then_some(()))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_loses_nothing_and_types_nothing_twice() -> Tested {
    run(Prey::Server, 200, 24).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_and_tmux_may_be_killed_too() -> Tested {
    run(Prey::Everything, 100, 20).await
}
