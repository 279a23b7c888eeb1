//! What becomes of turns when the server is killed, or ended, and started again on the same state.

use std::time::{Duration, Instant};

use paliadin::tmux::SpawnSpec;
use rustix::process::Signal;
use serde_json::json;

use crate::harness::processes::Process;
use crate::harness::sse::{held, kinds, replayable};
use crate::harness::{TestApp, Tested, eventually};

/// A clean stop, with whatever runs.
const STOP: Duration = Duration::from_secs(5);

fn lines(count: usize) -> String {
    (1..=count).map(|line| format!("line {line}\n")).collect()
}

#[tokio::test]
async fn a_killed_server_takes_its_turns_up_again() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!lines 100 20").await?;
    let mut waiting = Vec::new();
    for place in 1..=3 {
        waiting.push(user.ask(&format!("!echo {place}")).await?);
    }
    let mut stream = user.stream(&running, None).await?;
    let mut events = Vec::new();
    while events.len() < 8 {
        events.extend(stream.next().await?);
    }
    let agent = app.process(Process::is_agent)?.pid;
    app.restart(Signal::KILL).await?;
    events.extend(stream.drain().await?);
    let cursor = stream.last_id.clone().ok_or("no id")?;

    events.extend(user.stream(&running, Some(&cursor)).await?.rest().await?);
    let row = user.turn(&running.turn_id).await?;
    assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!(lines(100))), "{row}");
    assert_eq!(held(&events), lines(100), "what the client holds is the answer");
    assert_eq!(kinds(&events).iter().filter(|kind| **kind == "meta").count(), 1);
    let last = events.last().ok_or("no event")?;
    assert_eq!((last.kind.as_str(), &last.data["late"]), ("end", &json!(false)));
    let id = last.id.clone().ok_or("no id")?;
    assert_eq!(user.request("GET", &running.sse_url).header("last-event-id", id).send().await?.status, 204);

    let mut finished = Vec::new();
    for (place, turn) in waiting.iter().enumerate() {
        let row = user.ended(turn).await?;
        assert_eq!(row["response"], (place + 1).to_string(), "{row}");
        finished.push(row["finished_at"].as_str().unwrap_or_default().to_owned());
        assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
    }
    assert!(finished.is_sorted(), "{finished:?}");
    assert_eq!(app.typed(&running.turn_id)?.len(), 1);
    assert_eq!(app.process(Process::is_agent)?.pid, agent, "it is still the same agent, with its memory");
    Ok(())
}

#[tokio::test]
async fn a_cursor_that_was_never_durable_is_answered_by_resync() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 200 10").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    app.restart(Signal::KILL).await?;
    // As from a client that saw more than the store did.
    let ahead = stream.last_id.as_deref().and_then(|id| id.split('-').next()).map(|epoch| format!("{epoch}-100000"));
    let events = user.stream(&turn, ahead.as_deref()).await?.rest().await?;
    assert_eq!(kinds(&events).first().copied(), Some("resync"), "{events:?}");
    assert_eq!(held(&events), lines(200));
    assert_eq!(user.response("!echo on").await?, "on");
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_ends_its_streams_and_leaves_its_agents_at_work() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let done = user.ask("!lines 3 0").await?;
    let whole = user.collect(&done).await?;
    let running = user.ask("!lines 150 20").await?;
    let waiting = user.ask("!echo on").await?;
    let (mut one, mut two) = (user.stream(&running, None).await?, user.stream(&waiting, None).await?);
    one.until("content").await?;
    let queued = two.until("queued").await?;
    let since = Instant::now();
    app.stop(Signal::TERM)?;
    assert!(since.elapsed() < STOP, "{:?}", since.elapsed());
    for stream in [&mut one, &mut two] {
        let rest = stream.drain().await?;
        assert!(!stream.is_cut && !rest.iter().any(|event| event.is_final()), "a stream is ended, not cut: {rest:?}");
    }
    let agent = app.process(Process::is_agent)?.pid;
    app.boot().await?;
    let rest = user.stream(&running, one.last_id.as_deref()).await?.rest().await?;
    assert!(!kinds(&rest).contains(&"resync"), "a clean stop loses no event: {:?}", kinds(&rest));
    assert_eq!(user.turn(&running.turn_id).await?["response"], lines(150));
    let rest = user.stream(&waiting, queued.id.as_deref()).await?.rest().await?;
    assert!(!kinds(&rest).contains(&"resync"), "nothing is repeated: {rest:?}");
    assert_eq!(user.turn(&waiting.turn_id).await?["response"], "on");
    assert_eq!(app.process(Process::is_agent)?.pid, agent);
    let again = user.collect(&done).await?;
    assert_eq!(replayable(&again), replayable(&whole), "what is over reads the same for ever");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_came_while_the_server_was_away_is_recorded() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 20 30").await?;
    user.stream(&turn, None).await?.until("content").await?;
    app.stop(Signal::KILL)?;
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    eventually("the answer", async || Ok(answer.exists().then_some(()))).await?;
    app.boot().await?;
    let row = user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["late"]), (&json!("done"), &json!(false)), "{row}");
    assert_eq!(row["response"], lines(20));
    assert_eq!(held(&user.collect(&turn).await?), lines(20));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_died_while_the_server_was_away_is_told_of() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 20").await?;
    user.stream(&turn, None).await?.until("content").await?;
    app.stop(Signal::KILL)?;
    app.process(Process::is_agent)?.kill()?;
    app.boot().await?;
    let row = user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("agent_died")), "{row}");
    assert!(row["error_history"][0]["message"].as_str().is_none_or(|told| told.contains("signal 9")), "{row}");
    assert_eq!(user.response("!count").await?, "1", "the next turn has a new agent");
    Ok(())
}

#[tokio::test]
async fn a_turn_whose_tmux_died_while_the_server_was_away_ends_truthfully() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    let waiting = user.ask("!echo on").await?;
    app.stop(Signal::KILL)?;
    app.process(Process::is_tmux_server)?.kill()?;
    app.boot().await?;
    // The agent had said that it has the message.
    assert_eq!(user.ended(&turn).await?["error_code"], "agent_died");
    assert_eq!(user.ended(&waiting).await?["response"], "on");
    Ok(())
}

#[tokio::test]
async fn a_turn_that_nothing_can_be_known_of_is_uncertain() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    app.stop(Signal::KILL)?;
    app.process(Process::is_tmux_server)?.kill()?;
    std::fs::remove_dir_all(app.spool()?)?;
    app.boot().await?;
    let row = user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("uncertain")), "{row}");
    assert_eq!(user.response("!echo on").await?, "on");
    Ok(())
}

#[tokio::test]
async fn a_question_of_the_agent_is_still_open_after_a_restart() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask which one?").await?;
    let mut stream = user.stream(&turn, None).await?;
    let asked = stream.until("attention").await?;
    // Durable, so that the same question is not told a second time.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    app.restart(Signal::KILL).await?;
    app.expect_reply("this one");
    let attention = asked.id.clone().ok_or("no id")?;
    eventually("the reply to be taken", async || {
        let (status, _) = user.reply(&turn, &attention, "this one").await?;
        Ok((status == 202).then_some(()))
    })
    .await?;
    let row = user.ended(&turn).await?;
    assert_eq!(row["state"], "done", "{row}");
    let events = user.collect(&turn).await?;
    assert_eq!(kinds(&events).iter().filter(|kind| **kind == "attention").count(), 1, "{events:?}");
    Ok(())
}

/// After a restart of the host or the container, numbers of panes and processes are given out anew.
#[tokio::test]
async fn another_program_in_a_pane_and_under_a_process_id_of_the_same_numbers_proves_nothing() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    app.arm_halt("intent.after")?;
    let turn = user.ask("!echo once").await?;
    app.halted("intent.after").await?;
    app.stop(Signal::KILL)?;
    app.process(Process::is_tmux_server)?.kill()?;
    let argv = vec!["sleep".to_owned(), "600".to_owned()];
    let spec = SpawnSpec {
        name: "paliadin-other".to_owned(),
        cwd: app.root().to_owned(),
        env: Vec::new(),
        argv,
        more: Vec::new(),
    };
    let other = app.tmux().await?.spawn(spec).await?;
    let place = format!("{} {} 1", other.pane, other.pid);
    let same = "UPDATE paliadin_turns SET delivering_pane = ?2 WHERE turn_id = ?1";
    app.database().await?.run(same, &[&turn.turn_id, &place]).await?;
    app.boot().await?;
    let row = user.ended(&turn).await?;
    assert_eq!(row["error_code"], "uncertain", "{row}");
    assert_eq!(app.typed(&turn.turn_id)?.len(), 0, "not to another agent");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_left_and_minds_no_hangup_is_ended_by_a_reset() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__INTERRUPT_TIMEOUT", "1s")])?;
    let demo = format!("{} agent demo", env!("CARGO_BIN_EXE_paliadin"));
    app.agent_after(&format!("trap '' HUP\nmkfifo $$ && {demo}; read end <$$"))?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let is_script = |process: &Process| process.arguments.first().is_some_and(|program| program == "/bin/sh");
    let agent = app.process(is_script)?;
    app.restart(Signal::KILL).await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert!(agent.ends_within(Duration::ZERO)?, "it is still there");
    assert_eq!(user.response("!count").await?, "1");
    user.reset().await?;
    Ok(())
}
