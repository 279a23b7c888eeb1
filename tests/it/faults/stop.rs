//! The server is told to stop while much is going on.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Follower, lines};
use crate::harness::processes::Process;
use crate::harness::sse::kinds;
use crate::harness::{TestApp, Tested, eventually};

/// A clean stop, with whatever runs.
const STOP: Duration = Duration::from_secs(5);
/// Users, each with a turn that runs and two that wait.
const USERS: usize = 4;

#[tokio::test]
async fn a_stop_under_load_is_quick_and_loses_nothing() -> Tested {
    let mut app = TestApp::start().await?;
    let (mut followers, mut streams) = (Vec::new(), Vec::new());
    for number in 0..USERS {
        let user = app.user(&format!("user{number}@example.org"))?;
        for (message, answer) in [("!lines 300 20", lines(300)), ("!echo a", "a".into()), ("!echo b", "b".into())] {
            let turn = user.ask(message).await?;
            streams.push(user.stream(&turn, None).await?);
            followers.push((Follower::of(&user, &turn), answer));
        }
    }
    for stream in streams.iter_mut().step_by(3) {
        stream.until("content").await?;
    }
    let agents = agents(&app)?;
    assert_eq!(agents.len(), USERS);
    let since = Instant::now();
    // Fails where the status is not 0.
    app.stop(Signal::TERM)?;
    assert!(since.elapsed() < STOP, "{:?}", since.elapsed());
    for stream in &mut streams {
        let rest = stream.drain().await?;
        assert!(!stream.is_cut && !rest.iter().any(|event| event.is_final()), "a stream is ended, not cut: {rest:?}");
    }
    assert_eq!(agents, self::agents(&app)?, "the agents go on");
    app.boot().await?;
    for (follower, answer) in followers {
        let seen = follower.done(&app, &answer).await?;
        assert!(!kinds(&seen).contains(&"resync"), "a clean stop loses no event: {:?}", kinds(&seen));
    }
    assert_eq!(agents, self::agents(&app)?, "they were taken over");
    Ok(())
}

#[tokio::test]
async fn a_start_that_is_held_up_can_be_stopped() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    app.stop(Signal::TERM)?;
    let server = app.process(Process::is_tmux_server)?.pid;
    let tmux = Pid::from_raw(server).ok_or("no process")?;
    kill_process(tmux, Signal::STOP)?;
    // The client of the server that was stopped may still be there, since tmux does not let it go.
    let before: Vec<i32> = app.processes()?.iter().map(|process| process.pid).collect();
    app.launch()?;
    let is_tmux = |process: &Process| process.is_tmux_client() || process.is_tmux_server();
    let asks = |process: &Process| is_tmux(process) && !before.contains(&process.pid);
    let asked = eventually("the start to ask tmux", async || Ok(app.processes()?.iter().any(asks).then_some(()))).await;
    let since = Instant::now();
    let stopped = app.stop(Signal::TERM);
    kill_process(tmux, Signal::CONT)?;
    asked.and(stopped)?;
    assert!(since.elapsed() < STOP, "{:?}", since.elapsed());
    app.boot().await?;
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

fn agents(app: &TestApp) -> Tested<Vec<i32>> {
    let mut agents: Vec<i32> =
        app.processes()?.iter().filter(|process| process.is_agent()).map(|process| process.pid).collect();
    agents.sort_unstable();
    Ok(agents)
}
