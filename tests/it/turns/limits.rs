//! How long a turn may take and go without a sign of life, and what its agent may do after that.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use paliadin::tmux::Command;
use rustix::process::{Resource, Rlimit};
use serde_json::json;

use crate::harness::processes::Process;
use crate::harness::{TestApp, Tested, eventually};

const SILENCE: (&str, &str) = ("PALIADIN_TURN__SILENCE_TIMEOUT", "1s");

#[tokio::test]
async fn a_silent_agent_is_given_up_but_not_interrupted() -> Tested {
    let app = TestApp::with(&[SILENCE]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!sleep 5").await?;
    let error = user.collect(&turn).await?.pop().ok_or("no event")?;
    assert_eq!((&error.data["code"], &error.data["retryable"]), (&json!("upstream_silence"), &json!(true)));
    user.session_is("draining").await?;
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    eventually("the agent's answer, or word of it", async || {
        let is_late = user.turn(&turn.turn_id).await?["late"] == json!(true);
        Ok((answer.exists() || is_late).then_some(()))
    })
    .await?;
    // Nothing is typed before the agent is done, and then at once.
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_given_up_is_interrupted_when_others_have_waited_long_enough() -> Tested {
    let app = TestApp::with(&[SILENCE, ("PALIADIN_TURN__DRAIN_TIMEOUT", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    let hanging = user.ask("!hang").await?;
    let waiting = user.ask("!count").await?;
    let agent = app.typed_once(&hanging.turn_id).await?.pid;
    assert_eq!(user.ended(&hanging).await?["error_code"], "upstream_silence");
    assert_eq!(user.ended(&waiting).await?["response"], "2");
    assert_eq!(app.process(Process::is_agent)?.pid, agent, "interrupted, not ended");
    // Nobody waits: the next one comes when the time is over, and is run all the same.
    let hanging = user.ask("!hang").await?;
    assert_eq!(user.ended(&hanging).await?["error_code"], "upstream_silence");
    assert_eq!(user.response("!count").await?, "4");
    Ok(())
}

#[tokio::test]
async fn whatever_the_terminal_shows_is_a_sign_of_life() -> Tested {
    let app = TestApp::with(&[SILENCE]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let server = app.tmux().await?;
    let terminals = Command::new("list-panes").args(["-a", "-f", "#{@paliadin}", "-F", "#{pane_tty}"]);
    let terminal = server.control().command(terminals).await?.pop().ok_or("no terminal")?;
    let mut terminal = std::fs::File::options().write(true).open(terminal)?;
    let turn = user.ask("!sleep 4").await?;
    let mut prints = tokio::time::interval(Duration::from_millis(200));
    let row = loop {
        tokio::select! {
            row = user.ended(&turn) => break row?,
            () = async { loop { prints.tick().await; if terminal.write_all(b".").is_err() { return } } } => {}
        }
    };
    assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!("slept 4")), "{row}");
    Ok(())
}

#[tokio::test]
async fn a_turn_that_goes_on_for_too_long_ends_with_what_it_has() -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__DEADLINE", "1500ms"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "0s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 20").await?;
    let row = user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("timeout")), "{row}");
    assert!(row["partial"].as_str().is_some_and(|partial| partial.starts_with("line 1\nline 2\n")), "{row}");
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

#[tokio::test]
async fn a_person_may_take_any_time_to_reply() -> Tested {
    let app = TestApp::with(&[SILENCE, ("PALIADIN_TURN__DEADLINE", "4s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask well?").await?;
    let mut stream = user.stream(&turn, None).await?;
    let asked = stream.until("attention").await?.id.ok_or("no id")?;
    // The other user's turn is given up meanwhile: what would be due is due by then.
    let other = app.user("bob@example.org")?;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(4) {
        let hanging = other.ask("!hang").await?;
        assert_eq!(other.ended(&hanging).await?["error_code"], "upstream_silence");
        assert_eq!(other.reset().await?, json!({ "ok": true }));
    }
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
    app.expect_reply("yes");
    assert_eq!(user.reply(&turn, &asked, "yes").await?.0, 202);
    assert_eq!(user.ended(&turn).await?["response"], "you said: yes");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_given_up_and_only_reports_is_no_idle_one() -> Tested {
    let settings = [
        ("PALIADIN_AGENT__IDLE_TIMEOUT", "3s"),
        ("PALIADIN_TURN__DEADLINE", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "100ms"),
    ];
    let app = super::questions::asker(&settings).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("work without a word").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "timeout");
    let late = eventually("the late answer", async || {
        Ok(Some(user.turn(&turn.turn_id).await?).filter(|row| row["late"] == true))
    })
    .await?;
    assert_eq!(late["response"], "done");
    Ok(())
}

/// The server has no descriptor left for a moment, in which this happens; returns when that was noticed, and is over.
async fn without_descriptors(app: &TestApp, happens: impl AsyncFnOnce() -> Tested) -> Tested {
    let server = rustix::process::Pid::from_raw(app.server_pid()?);
    let before = rustix::process::getrlimit(Resource::Nofile);
    let limit = |current| rustix::process::prlimit(server, Resource::Nofile, Rlimit { current, ..before });
    limit(Some(4))?;
    let happened = happens().await;
    let log = app.root().join("server.log");
    let looked = eventually("a look that fails", async || {
        Ok(std::fs::read_to_string(&log)?.contains("Too many open files").then_some(()))
    })
    .await;
    limit(before.current)?;
    happened.and(looked)
}

#[tokio::test]
async fn an_agent_that_cannot_be_looked_at_for_a_moment_is_no_idle_one() -> Tested {
    let settings = [("PALIADIN_TURN__DEADLINE", "1s"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "5min")];
    let app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!lines 60 100").await?;
    assert_eq!(user.ended(&first).await?["error_code"], "timeout");
    user.session_is("draining").await?;
    let next = user.ask("!echo next").await?;
    without_descriptors(&app, async || Ok(())).await?;
    assert_eq!(user.ended(&next).await?["response"], "next");
    let late = eventually("the late answer", async || {
        Ok(Some(user.turn(&first.turn_id).await?).filter(|row| row["state"] == "done"))
    })
    .await?;
    assert!(late["response"].as_str().is_some_and(|answer| answer.trim_end().ends_with("line 60")), "{late}");
    Ok(())
}

#[tokio::test]
async fn nor_does_a_turn_end_because_of_that_or_miss_anything() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 40 50").await?;
    user.stream(&turn, None).await?.until("content").await?;
    without_descriptors(&app, async || Ok(())).await?;
    let row = user.ended(&turn).await?;
    let lines: Vec<_> = (1..=40).map(|number| format!("line {number}")).collect();
    let whole = row["response"].as_str().unwrap_or_default();
    assert_eq!(whole.lines().collect::<Vec<_>>(), lines, "{row}");
    let streamed: String = user.collect(&turn).await?.iter().filter_map(|event| event.data["delta"].as_str()).collect();
    assert_eq!(streamed, whole);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_gets_ready_at_such_a_moment_is_ready() -> Tested {
    let app = TestApp::behind_pipe().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    // Once the processes of the agent and of its terminal are watched, nothing more is opened.
    let server = PathBuf::from(format!("/proc/{}/fdinfo", app.server_pid()?));
    eventually("the agent to be watched", async || {
        let open = std::fs::read_dir(&server)?.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        let open: Vec<String> = open.collect();
        let processes = app.processes()?;
        let is_watched = |is_meant: &dyn Fn(&Process) -> bool| {
            processes.iter().filter(|process| is_meant(process)).any(|process| {
                open.iter().any(|file| file.lines().any(|line| line == format!("Pid:\t{}", process.pid)))
            })
        };
        let is_agent = |process: &Process| process.arguments.iter().any(|word| word.ends_with("agent.sh"));
        Ok((is_watched(&is_agent) && is_watched(&Process::is_tmux_server)).then_some(()))
    })
    .await?;
    without_descriptors(&app, async || app.go_on().await).await?;
    assert_eq!(user.ended(&turn).await?["response"], "1");
    Ok(())
}
