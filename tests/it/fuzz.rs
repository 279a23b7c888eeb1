//! The HTTP surface under requests that nobody would send: every route of the table, with broken paths, headers and bodies,
//! for whoever asks, and what is no HTTP at all. Nothing may panic, be answered with 500, tell what is another user's, or
//! grow without bound.
//!
//! `make fuzz` runs this for as many seconds as `PALIADIN_FUZZ_SECONDS` says; without the variable it is a fixed number of
//! requests. The choices are those of `PALIADIN_FUZZ_SEED`; what coincides is left to the machine.

mod body;
mod head;
mod noise;
mod people;
mod target;
mod toll;
mod verdict;
mod wire;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use self::noise::Shot;
use self::people::People;
use self::toll::Toll;
use crate::harness::random::Random;
use crate::harness::{TestApp, Tested, eventually};

/// Sets for how many seconds it goes on.
const SECONDS: &str = "PALIADIN_FUZZ_SECONDS";
/// Sets the seed.
const SEED: &str = "PALIADIN_FUZZ_SEED";
/// Requests where no time is set.
const REQUESTS: usize = 6_000;
/// Connections at a time.
const AT_A_TIME: u64 = 6;

/// When it is enough.
#[derive(Clone, Copy)]
enum Enough {
    Requests(usize),
    At(Instant),
}

/// What was sent, and what came of it.
#[derive(Default)]
struct Tally {
    shots: AtomicUsize,
    /// Turns that were accepted, and questions of which nobody knows whether they were.
    turns: AtomicUsize,
    answers: std::sync::Mutex<BTreeMap<String, usize>>,
}

impl Tally {
    fn is_over(&self, enough: Enough) -> bool {
        match enough {
            Enough::Requests(most) => self.shots.load(Ordering::Relaxed) >= most,
            Enough::At(moment) => Instant::now() >= moment,
        }
    }

    fn note(&self, what: String) {
        let mut answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *answers.entry(what).or_default() += 1;
    }

    fn told(&self) -> String {
        let answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let lines: Vec<String> = answers.iter().map(|(what, times)| format!("{times:>8}  {what}")).collect();
        format!("{} requests\n{}", self.shots.load(Ordering::Relaxed), lines.join("\n"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_does_harm() -> Tested {
    let mut random = Random::seeded_by(SEED)?;
    let seconds: Option<u64> = std::env::var(SECONDS).ok().map(|seconds| seconds.parse()).transpose()?;
    // All come from one address, and nothing shall be refused for being too much.
    let mut app =
        TestApp::with(&[("PALIADIN_SERVER__RATE_LIMIT", "0"), ("PALIADIN_AUTH__MAX_ATTEMPTS", "1000000")]).await?;
    let tally = Tally::default();
    let people = People::gather(&mut app).await?;
    let fuzzed = fuzz(&app, &people, &tally, &mut random, seconds).await;
    println!("{}", tally.told());
    fuzzed
}

/// Warms up for a third, measures, goes on, and measures again.
async fn fuzz(app: &TestApp, people: &People, tally: &Tally, random: &mut Random, seconds: Option<u64>) -> Tested {
    let start = Instant::now();
    let thirds = |thirds: u32| match seconds {
        Some(seconds) => Enough::At(start + Duration::from_secs(seconds) * thirds / 3),
        None => Enough::Requests(REQUESTS * thirds as usize / 3),
    };
    storm(app, people, tally, random, thirds(1)).await?;
    people.calm().await?;
    let before = Toll::taken(app, people).await?;
    println!("after the first third: {before}");
    storm(app, people, tally, random, thirds(3)).await?;
    people.calm().await?;
    eventually("everything to be as it was", async || {
        let after = Toll::taken(app, people).await?;
        Ok(after.is_no_more_than(&before).inspect_err(|why| println!("{why}")).ok())
    })
    .await?;
    println!("at the end: {}", Toll::taken(app, people).await?);
    people.rows_are_accounted_for(app, tally.turns.load(Ordering::Relaxed)).await?;
    let ready = app.nobody().get("/readyz").await?.status;
    assert_eq!(ready, 200);
    people.are_answered().await?;
    toll::log_is_clean(app)
}

/// Several at a time, until it is enough.
async fn storm(app: &TestApp, people: &People, tally: &Tally, random: &mut Random, enough: Enough) -> Tested {
    let several = (0..AT_A_TIME).map(|_| {
        let mut random = random.fork();
        async move {
            while !tally.is_over(enough) {
                let shot = Shot::random(&mut random, people);
                tally.shots.fetch_add(1, Ordering::Relaxed);
                fire(app, people, tally, &shot).await.map_err(|error| format!("{error}\n{}", shot.shown()))?;
            }
            Tested::Ok(())
        }
    });
    try_join_all(several).await.map(drop)
}

async fn fire(app: &TestApp, people: &People, tally: &Tally, shot: &Shot) -> Tested {
    for reply in shot.replies() {
        app.expect_reply(reply);
    }
    let answers = wire::exchange(people.address(), shot).await?;
    for answer in &answers {
        verdict::judge(answer, shot, people)?;
        tally.note(answer.kind());
        if answer.status == 202 && answer.is_about_a_turn() {
            people.remember(shot.askers.first().copied(), answer);
            tally.turns.fetch_add(1, Ordering::Relaxed);
        }
    }
    if answers.len() < shot.requests {
        if shot.is_honest {
            return Err(format!("{} answers to {} requests", answers.len(), shot.requests).into());
        }
        tally.note("no answer to what is no whole request".to_owned());
        tally.turns.fetch_add(shot.questions(), Ordering::Relaxed);
    }
    Ok(())
}
