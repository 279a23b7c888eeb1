//! The server is killed at every point at which something was just made durable or typed, or was about to be; with it
//! the agent, or the whole terminal.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::{Follower, lines};
use crate::harness::processes::Process;
use crate::harness::{Accepted, TestApp, Tested, eventually};

/// How long an agent may take to end after its terminal.
const HANGUP: Duration = Duration::from_secs(5);

/// What dies while the server is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dies {
    Nothing,
    Agent,
    Tmux,
}

/// What is to become of the turn.
#[derive(Clone, Copy, Debug)]
enum Becomes {
    Done,
    /// The code, and how often it was typed.
    Failed(&'static str, usize),
}

const TURN: &str = "!lines 20 20";

async fn killed_at(point: &str, message: &str, dies: Dies, becomes: Becomes) -> Tested {
    println!("{point}, {dies:?} dies: {becomes:?}");
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    app.arm_halt(point)?;
    let turn = user.ask(message).await?;
    let follower = Follower::of(&user, &turn);
    let mut waiting = Vec::new();
    for number in 1..=2 {
        let turn = user.ask(&format!("!echo {number}")).await?;
        waiting.push((Follower::of(&user, &turn), turn));
    }
    app.halted(point).await?;
    if point == "paste.after" {
        said_to_be_there(&app, &turn).await?;
    }
    app.stop(Signal::KILL)?;
    let agent = app.process(Process::is_agent)?;
    match dies {
        Dies::Nothing => {}
        Dies::Agent => agent.kill()?,
        Dies::Tmux => {
            app.process(Process::is_tmux_server)?.kill()?;
            assert!(agent.ends_within(HANGUP)?, "the agent ends with its terminal");
        }
    }
    app.boot().await?;
    match becomes {
        Becomes::Done => drop(follower.done(&app, &lines(20)).await?),
        Becomes::Failed(code, typed) => drop(follower.failed(&app, code, typed).await?),
    }
    let mut finished = vec![user.turn(&turn.turn_id).await?["finished_at"].to_string()];
    for (number, (follower, turn)) in (1..).zip(waiting) {
        follower.done(&app, &number.to_string()).await?;
        finished.push(user.turn(&turn.turn_id).await?["finished_at"].to_string());
    }
    assert!(finished.is_sorted(), "they ran in order: {finished:?}");
    let goes_on = app.process(Process::is_agent)?.pid == agent.pid;
    assert_eq!(goes_on, dies == Dies::Nothing, "an agent that lives is taken over");
    Ok(())
}

/// Waits until the agent has reported the turn.
async fn said_to_be_there(app: &TestApp, turn: &Accepted) -> Tested {
    app.typed_once(&turn.turn_id).await?;
    let reports = app.spool()?.join("out/events.jsonl");
    let reported = async || Ok(fs::read_to_string(&reports)?.contains(&turn.turn_id).then_some(()));
    eventually("the agent's report", reported).await
}

#[tokio::test]
async fn whatever_the_server_was_doing_when_it_was_killed_is_done_after_it() -> Tested {
    for point in ["intent.before", "intent.after", "paste.after", "answer.before_commit", "answer.after_commit"] {
        killed_at(point, TURN, Dies::Nothing, Becomes::Done).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_is_told_the_truth_about_an_agent_that_was_killed_with_the_server() -> Tested {
    let cases = [
        ("intent.before", TURN, Becomes::Done),
        // What is left of the pane says that nothing was typed.
        ("intent.after", TURN, Becomes::Done),
        ("paste.after", "!hang", Becomes::Failed("agent_died", 1)),
        ("answer.before_commit", TURN, Becomes::Done),
        ("answer.after_commit", TURN, Becomes::Done),
    ];
    for (point, message, becomes) in cases {
        killed_at(point, message, Dies::Agent, becomes).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_is_told_the_truth_about_a_terminal_that_was_killed_with_the_server() -> Tested {
    let cases = [
        ("intent.before", TURN, Becomes::Done),
        // It may have been typed or not: nobody is left to say.
        ("intent.after", TURN, Becomes::Failed("uncertain", 0)),
        ("paste.after", "!hang", Becomes::Failed("agent_died", 1)),
        ("answer.before_commit", TURN, Becomes::Done),
        ("answer.after_commit", TURN, Becomes::Done),
    ];
    for (point, message, becomes) in cases {
        killed_at(point, message, Dies::Tmux, becomes).await?;
    }
    Ok(())
}
