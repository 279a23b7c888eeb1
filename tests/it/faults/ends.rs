//! Turns that are cancelled, or ended by a reset, at every moment of their life.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Follower;
use crate::harness::processes::Process;
use crate::harness::{Accepted, Client, TestApp, Tested, eventually};

/// How a turn is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Cancel,
    Reset,
}

impl By {
    async fn end(self, user: &Client, turn: &Accepted) -> Tested {
        match self {
            Self::Cancel => user.cancelled(turn).await,
            Self::Reset => match user.reset().await? {
                done if done == json!({ "ok": true }) => Ok(()),
                refused => Err(refused.to_string().into()),
            },
        }
    }

    /// Waits for the end, which must be told as what it is.
    async fn ended(self, follower: Follower, app: &TestApp, typed: usize) -> Tested<Value> {
        let (row, _) = follower.ended(app, typed).await?;
        let (state, code) = match self {
            Self::Cancel => ("cancelled", Value::Null),
            Self::Reset => ("failed", json!("session_reset")),
        };
        assert_eq!(
            (&row["state"], &row["error_code"], &row["response"]),
            (&json!(state), &code, &Value::Null),
            "{row}"
        );
        Ok(row)
    }
}

/// The next turn runs, in an agent that was interrupted or in a new one.
async fn goes_on(app: &TestApp, user: &Client) -> Tested {
    let turn = user.ask("!echo on").await?;
    Follower::of(user, &turn).done(app, "on").await?;
    // The session hears of the end when everyone does.
    eventually("the session to have nothing to do", async || {
        let session = user.status().await?["agent_session"].clone();
        Ok((session["running"].is_null() && session["queued"] == json!([])).then_some(()))
    })
    .await
}

/// Ends a turn that stays at a fault point.
async fn ended_at(point: &str, by: By, typed: usize) -> Tested {
    println!("{by:?} at {point}");
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    app.arm_halt(point)?;
    let turn = user.ask("!hang").await?;
    let follower = Follower::of(&user, &turn);
    app.halted(point).await?;
    if typed > 0 {
        app.typed_once(&turn.turn_id).await?;
    }
    by.end(&user, &turn).await?;
    by.ended(follower, &app, typed).await?;
    if point == "intent.after" {
        // Whoever was about to type stays where it is for good, and nobody else types to that agent.
        app.restart(Signal::KILL).await?;
    }
    goes_on(&app, &user).await?;
    assert_eq!(app.typed(&turn.turn_id)?.len(), typed, "not later, either");
    Ok(())
}

async fn ended_while_it_waits(by: By) -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let waiting = user.ask("!echo never").await?;
    let followers = (Follower::of(&user, &running), Follower::of(&user, &waiting));
    by.end(&user, &waiting).await?;
    // At once: while the one before it goes on.
    by.ended(followers.1, &app, 0).await?;
    if by == By::Cancel {
        assert_eq!(user.turn(&running.turn_id).await?["state"], "running");
        by.end(&user, &running).await?;
    }
    by.ended(followers.0, &app, 1).await?;
    goes_on(&app, &user).await
}

async fn ended_while_it_runs(by: By) -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    by.end(&user, &turn).await?;
    let row = by.ended(follower, &app, 1).await?;
    assert!(row["partial"].as_str().is_some_and(|partial| partial.starts_with("line 1")), "{row}");
    goes_on(&app, &user).await
}

async fn ended_while_it_is_taken_up(by: By) -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    assert_eq!(app.nobody().get("/readyz").await?.status, 200, "what was shown is durable");
    app.stop(Signal::KILL)?;
    app.arm_halt("intent.before")?;
    app.boot().await?;
    app.halted("intent.before").await?;
    by.end(&user, &turn).await?;
    let row = by.ended(follower, &app, 1).await?;
    assert!(row["partial"].as_str().is_some_and(|partial| partial.starts_with("line 1")), "{row}");
    goes_on(&app, &user).await
}

async fn ended_while_the_agent_is_drained(by: By) -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__SILENCE_TIMEOUT", "500ms")]).await?;
    let user = app.user("ann@example.org")?;
    let given_up = user.ask("!hang").await?;
    let waiting = user.ask("!echo never").await?;
    let followers = (Follower::of(&user, &given_up), Follower::of(&user, &waiting));
    followers.0.failed(&app, "upstream_silence", 1).await?;
    let row = user.turn(&given_up.turn_id).await?;
    user.session_is("draining").await?;
    by.end(&user, &waiting).await?;
    by.ended(followers.1, &app, 0).await?;
    if by == By::Cancel {
        // It is over: nothing changes, and the agent goes on with it.
        by.end(&user, &given_up).await?;
        assert_eq!(user.turn(&given_up.turn_id).await?, row);
        By::Reset.end(&user, &given_up).await?;
    }
    assert_eq!(user.turn(&given_up.turn_id).await?["state"], "failed");
    goes_on(&app, &user).await
}

#[tokio::test]
async fn a_turn_can_be_cancelled_at_every_point_of_its_delivery() -> Tested {
    for (point, typed) in [("intent.before", 0), ("intent.after", 0), ("paste.after", 1)] {
        ended_at(point, By::Cancel, typed).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_ends_a_turn_at_every_point_of_its_delivery() -> Tested {
    for (point, typed) in [("intent.before", 0), ("intent.after", 0), ("paste.after", 1)] {
        ended_at(point, By::Reset, typed).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_can_be_cancelled_while_it_waits_runs_is_taken_up_or_drained() -> Tested {
    ended_while_it_waits(By::Cancel).await?;
    ended_while_it_runs(By::Cancel).await?;
    ended_while_it_is_taken_up(By::Cancel).await?;
    ended_while_the_agent_is_drained(By::Cancel).await
}

#[tokio::test]
async fn a_reset_ends_a_turn_that_waits_runs_is_taken_up_or_waits_for_a_drained_agent() -> Tested {
    ended_while_it_waits(By::Reset).await?;
    ended_while_it_runs(By::Reset).await?;
    ended_while_it_is_taken_up(By::Reset).await?;
    ended_while_the_agent_is_drained(By::Reset).await
}

#[tokio::test]
async fn a_turn_whose_cancel_was_not_recorded_when_the_server_was_killed_is_taken_up() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 150 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    let agent = app.process(Process::is_agent)?.pid;
    app.arm_halt("answer.before_commit")?;
    // Accepted, but the promise of a cancel is its record.
    user.cancelled(&turn).await?;
    app.halted("answer.before_commit").await?;
    app.restart(Signal::KILL).await?;
    follower.done(&app, &super::lines(150)).await?;
    assert_eq!(app.process(Process::is_agent)?.pid, agent);
    eventually(
        "an idle session",
        async || Ok((user.status().await?["agent_session"]["state"] == "idle").then_some(())),
    )
    .await?;
    goes_on(&app, &user).await
}
