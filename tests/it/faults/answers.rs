//! Answers that come otherwise than they should: slowly, in place, twice, late. The test writes in the place of an agent
//! that hangs.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Follower;
use crate::harness::processes::Process;
use crate::harness::{Accepted, Client, EventStream, TestApp, Tested, eventually};

/// A turn whose agent hangs, so that the test can answer.
struct Hanging {
    turn: Accepted,
    follower: Follower,
    stream: EventStream,
    out: PathBuf,
}

impl Hanging {
    async fn begin(app: &TestApp, user: &Client) -> Tested<Self> {
        let turn = user.ask("!hang").await?;
        let follower = Follower::of(user, &turn);
        let mut stream = user.stream(&turn, None).await?;
        stream.until("meta").await?;
        Ok(Self { turn, follower, stream, out: app.spool()?.join("out") })
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.out.join(format!("{}.{suffix}", self.turn.turn_id))
    }

    fn append(&self, suffix: &str, text: &str) -> Tested {
        let mut file = File::options().create(true).append(true).open(self.file(suffix))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// As the contract wants it.
    fn rename(&self, text: &str) -> Tested {
        fs::write(self.out.join(".beside"), text)?;
        Ok(fs::rename(self.out.join(".beside"), self.file("txt"))?)
    }

    fn report(&self, event: &Value) -> Tested {
        let mut event = event.clone();
        event["at"] = json!(1);
        event["turn_id"] = json!(self.turn.turn_id);
        let mut reports = File::options().append(true).open(self.out.join("events.jsonl"))?;
        Ok(reports.write_all(format!("{event}\n").as_bytes())?)
    }

    /// Has the server look at everything, and waits until it has.
    async fn looked_at(&mut self, mark: &str) -> Tested {
        self.report(&json!({ "event": "attention", "kind": "question", "prompt": mark }))?;
        while self.stream.until("attention").await?.data["prompt"] != mark {}
        Ok(())
    }
}

#[tokio::test]
async fn an_answer_that_is_written_in_place_is_taken_when_it_is_whole() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut hanging = Hanging::begin(&app, &user).await?;
    let mut answer = String::new();
    let mut file = File::create(hanging.file("txt"))?;
    for number in 0..20 {
        hanging.looked_at(&format!("before {number}")).await?;
        let piece = format!("Piece {number}.\n");
        file.write_all(piece.as_bytes())?;
        answer.push_str(&piece);
    }
    hanging.looked_at("all of it, and not closed").await?;
    assert_eq!(user.turn(&hanging.turn.turn_id).await?["state"], "running");
    drop(file);
    hanging.follower.done(&app, &answer).await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_whose_writer_never_closes_it_is_taken_when_the_agent_says_so() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut hanging = Hanging::begin(&app, &user).await?;
    let mut file = File::create(hanging.file("txt"))?;
    file.write_all(b"All of it.")?;
    hanging.looked_at("not closed").await?;
    hanging.report(&json!({ "event": "stopped", "message": null }))?;
    hanging.follower.done(&app, "All of it.").await?;
    drop(file);
    Ok(())
}

#[tokio::test]
async fn an_answer_in_place_that_is_still_open_when_the_server_is_killed_is_not_lost() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut hanging = Hanging::begin(&app, &user).await?;
    let mut file = File::create(hanging.file("txt"))?;
    file.write_all(b"Half of ")?;
    hanging.looked_at("half of it").await?;
    app.stop(Signal::KILL)?;
    file.write_all(b"the answer.")?;
    drop(file);
    app.boot().await?;
    hanging.follower.done(&app, "Half of the answer.").await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_in_place_that_is_still_being_written_after_a_restart_is_taken_when_it_is_whole() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut hanging = Hanging::begin(&app, &user).await?;
    let mut file = File::create(hanging.file("txt"))?;
    file.write_all(b"Half of ")?;
    hanging.looked_at("half of it").await?;
    app.restart(Signal::KILL).await?;
    hanging.stream = user.stream(&hanging.turn, None).await?;
    hanging.looked_at("half of it, after the restart").await?;
    assert_eq!(user.turn(&hanging.turn.turn_id).await?["state"], "running");
    file.write_all(b"the answer.")?;
    hanging.looked_at("all of it, and not closed").await?;
    drop(file);
    hanging.follower.done(&app, "Half of the answer.").await?;
    Ok(())
}

#[tokio::test]
async fn an_interrupt_does_not_make_an_answer_whole() -> Tested {
    let limits = [("PALIADIN_TURN__SILENCE_TIMEOUT", "500ms"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "0s")];
    let app = TestApp::with(&limits).await?;
    let user = app.user("ann@example.org")?;
    let hanging = Hanging::begin(&app, &user).await?;
    let turn_id = hanging.turn.turn_id.clone();
    let half = hanging.file("txt");
    let mut file = File::create(&half)?;
    file.write_all(b"Half of ")?;
    hanging.follower.failed(&app, "upstream_silence", 1).await?;
    assert_eq!(user.response("!count").await?, "2", "the agent was interrupted, and is done with it");
    eventually("what nobody will finish to go", async || Ok((!half.exists()).then_some(()))).await?;
    let row = user.turn(&turn_id).await?;
    assert_eq!((&row["state"], &row["response"]), (&json!("failed"), &Value::Null), "{row}");
    drop(file);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_only_reported_survives_the_start_of_another_agent() -> Tested {
    let mut app = TestApp::with(&[("PALIADIN_TURN__SILENCE_TIMEOUT", "500ms")]).await?;
    let user = app.user("ann@example.org")?;
    let hanging = Hanging::begin(&app, &user).await?;
    let waiting = user.ask("!count").await?;
    let turn_id = hanging.turn.turn_id.clone();
    eventually("the turn to be given up", async || Ok((user.turn(&turn_id).await?["state"] == "failed").then_some(())))
        .await?;
    app.stop(Signal::KILL)?;
    app.process(Process::is_agent)?.kill()?;
    hanging.report(&json!({ "event": "stopped", "message": "Reported." }))?;
    // The one that waits has a new agent started, while nobody has looked yet.
    app.boot().await?;
    assert_eq!(user.ended(&waiting).await?["response"], "1");
    let row = eventually("the late answer", async || {
        Ok(Some(user.turn(&turn_id).await?).filter(|row| row["state"] == "done"))
    })
    .await?;
    assert_eq!((&row["response"], &row["late"]), (&json!("Reported."), &json!(true)), "{row}");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_renamed_is_taken_at_once_and_another_one_changes_nothing() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let hanging = Hanging::begin(&app, &user).await?;
    let (turn_id, file) = (hanging.turn.turn_id.clone(), hanging.file("txt"));
    hanging.append("part", "The fir")?;
    hanging.rename("The first.")?;
    let first = Hanging { follower: Follower::of(&user, &hanging.turn), ..hanging };
    first.follower.done(&app, "The first.").await?;
    let row = user.turn(&turn_id).await?;
    fs::write(&file, "The second, which nobody wants.")?;
    user.reset().await?;
    assert_eq!(user.response("!count").await?, "1");
    assert_eq!(user.turn(&turn_id).await?, row);
    Ok(())
}

#[tokio::test]
async fn of_two_answers_one_renamed_over_the_other_the_last_counts_that_was_there() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let hanging = Hanging::begin(&app, &user).await?;
    app.stop(Signal::KILL)?;
    hanging.rename("The first.")?;
    hanging.rename("The second.")?;
    app.boot().await?;
    hanging.follower.done(&app, "The second.").await?;
    // And with nobody away: whichever was seen, the row and every client have the same one.
    user.reset().await?;
    let hanging = Hanging::begin(&app, &user).await?;
    hanging.rename("The first.")?;
    hanging.rename("The second.")?;
    let (row, _) = hanging.follower.ended(&app, 1).await?;
    assert!(matches!(row["response"].as_str(), Some("The first." | "The second.")), "{row}");
    Ok(())
}

#[tokio::test]
async fn an_answer_in_place_that_comes_late_breaks_nothing() -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__SILENCE_TIMEOUT", "500ms")]).await?;
    let user = app.user("ann@example.org")?;
    let hanging = Hanging::begin(&app, &user).await?;
    let file = hanging.file("txt");
    let turn_id = hanging.turn.turn_id.clone();
    hanging.follower.failed(&app, "upstream_silence", 1).await?;
    fs::write(file, "Late.")?;
    user.reset().await?;
    assert_eq!(user.response("!count").await?, "1");
    let row = user.turn(&turn_id).await?;
    let truths = [json!(["failed", null, false]), json!(["done", "Late.", true])];
    assert!(truths.contains(&json!([row["state"], row["response"], row["late"]])), "{row}");
    Ok(())
}
