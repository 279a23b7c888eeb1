//! Answers that come after their turn has failed, and what else the janitor sees to.

mod outage;
mod recover;
mod refused;
mod sweep;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::sse::{held, kinds, replayable};
use crate::harness::{Accepted, Client, TestApp, Tested, eventually};

/// Only the sweep at the start: what happens later happens by an event.
const NO_SWEEPS: (&str, &str) = ("PALIADIN_JANITOR__INTERVAL", "1h");
/// Many sweeps.
const SWEEPS: (&str, &str) = ("PALIADIN_JANITOR__INTERVAL", "100ms");
/// Long enough for a busy machine, and far below every interval.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A turn whose agent died before its answer.
async fn died(user: &Client) -> Tested<Accepted> {
    let turn = user.ask("!die").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "agent_died");
    Ok(turn)
}

/// Where the answer of a turn has to be.
fn answer_file(app: &TestApp, turn: &Accepted) -> Tested<PathBuf> {
    Ok(app.spool()?.join(format!("out/{}.txt", turn.turn_id)))
}

/// Puts an answer in place, as an agent does.
fn answer(app: &TestApp, turn: &Accepted, text: &str) -> Tested {
    let file = answer_file(app, turn)?;
    let beside = file.with_extension("beside");
    fs::write(&beside, text)?;
    Ok(fs::rename(beside, file)?)
}

/// Waits until the turn is answered, although it had failed.
async fn answered(user: &Client, turn: &Accepted) -> Tested<Value> {
    let row = eventually("the late answer", async || {
        Ok(Some(user.turn(&turn.turn_id).await?).filter(|row| row["state"] == "done"))
    })
    .await?;
    assert_eq!(
        (&row["late"], &row["error_code"], &row["partial"]),
        (&json!(true), &Value::Null, &Value::Null),
        "{row}"
    );
    Ok(row)
}

/// Every code that the turn had.
async fn history(app: &TestApp, turn: &Accepted) -> Tested<Vec<Value>> {
    let read = "SELECT error_history FROM paliadin_turns WHERE turn_id = ?1";
    let history = app.database().await?.value(read, &[&turn.turn_id]).await?;
    let history: Vec<Value> = serde_json::from_str(&history)?;
    Ok(history.into_iter().map(|entry| entry["code"].clone()).collect())
}

/// Lines of the server's log with these words.
fn logged(app: &TestApp, words: &str) -> Tested<usize> {
    let log = fs::read_to_string(app.root().join("server.log"))?;
    Ok(log.lines().filter(|line| line.contains(words)).count())
}

#[tokio::test]
async fn an_answer_that_comes_late_is_recorded_when_its_file_arrives() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    let before = user.turn(&turn.turn_id).await?;
    assert_eq!((&before["state"], &before["late"]), (&json!("failed"), &json!(false)));

    let since = Instant::now();
    answer(&app, &turn, "Here it is.\n<!-- paliadin {\"used_tools\":[\"sql\"],\"rows_seen\":[7]} -->")?;
    let row = answered(&user, &turn).await?;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_eq!((&row["response"], &row["used_tools"]), (&json!("Here it is."), &json!(["sql"])), "{row}");
    assert!(row["duration_ms"].as_i64() >= before["duration_ms"].as_i64(), "{row}");
    assert_eq!(history(&app, &turn).await?, ["agent_died"]);
    eventually("the file to go", async || Ok((!answer_file(&app, &turn)?.exists()).then_some(()))).await?;
    assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
    assert_eq!(user.response("!count").await?, "1", "the next turn has a new agent");
    Ok(())
}

#[tokio::test]
async fn a_stream_tells_of_a_late_answer_wherever_it_was_left() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    let mut before = user.collect(&turn).await?;
    before.retain(|event| event.id.is_some());
    let ids: Vec<String> = before.iter().filter_map(|event| event.id.clone()).collect();
    assert_eq!(kinds(&before).last(), Some(&"error"));
    answer(&app, &turn, "late")?;
    answered(&user, &turn).await?;

    let whole = user.collect(&turn).await?;
    let mut expected = kinds(&before);
    expected.pop();
    expected.extend(["resync", "end"]);
    assert_eq!(kinds(&whole), expected, "the error was overtaken");
    assert_eq!(replayable(&whole)[..ids.len() - 1], replayable(&before)[..ids.len() - 1]);
    assert_eq!(held(&whole), "late");
    let end = whole.last().ok_or("no event")?;
    assert_eq!((&end.data["late"], &end.data["streamed"]), (&json!(true), &json!(false)), "{}", end.raw);
    // After each event that there was, the error among them.
    for (seen, id) in ids.iter().enumerate() {
        let rest = user.stream(&turn, Some(id)).await?.rest().await?;
        let from = (seen + 1).min(ids.len() - 1);
        assert_eq!(replayable(&rest), replayable(&whole)[from..], "after {id}");
    }
    let resync = whole[whole.len() - 2].id.clone().ok_or("no id")?;
    assert_eq!(kinds(&user.stream(&turn, Some(&resync)).await?.rest().await?), ["end"]);
    for unknown in ["7-7", "garbage"] {
        let events = user.stream(&turn, Some(unknown)).await?.rest().await?;
        assert_eq!((kinds(&events), held(&events).as_str()), (vec!["resync", "end"], "late"), "{unknown}");
    }
    let id = end.id.clone().ok_or("no id")?;
    assert_eq!(user.request("GET", &turn.sse_url).header("last-event-id", id).send().await?.status, 204);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_came_while_the_server_was_down_is_found_at_the_start() -> Tested {
    for signal in [Signal::TERM, Signal::KILL] {
        let mut app = TestApp::with(&[NO_SWEEPS]).await?;
        let user = app.user("ann@example.org")?;
        let turn = died(&user).await?;
        app.stop(signal)?;
        answer(&app, &turn, "meanwhile")?;
        app.boot().await?;
        assert_eq!(answered(&user, &turn).await?["response"], "meanwhile");
        assert_eq!(history(&app, &turn).await?, ["agent_died"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_that_failed_before_a_restart_is_still_awaited_by_event() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    app.restart(Signal::KILL).await?;
    swept(&app, 1).await?;
    answer(&app, &turn, "after all")?;
    assert_eq!(answered(&user, &turn).await?["response"], "after all");
    Ok(())
}

#[tokio::test]
async fn the_first_answer_counts() -> Tested {
    let app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    answer(&app, &turn, "first")?;
    let row = answered(&user, &turn).await?;
    eventually("the first file to go", async || Ok((!answer_file(&app, &turn)?.exists()).then_some(()))).await?;
    answer(&app, &turn, "second")?;
    eventually("the second file to go", async || Ok((!answer_file(&app, &turn)?.exists()).then_some(()))).await?;
    assert_eq!(user.turn(&turn.turn_id).await?, row);
    assert_eq!(kinds(&user.collect(&turn).await?).iter().filter(|kind| **kind == "end").count(), 1);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_given_up_is_heard_all_the_same() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS, ("PALIADIN_TURN__SILENCE_TIMEOUT", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!sleep 4").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "upstream_silence");
    assert_eq!(user.recovery(&turn).await?, "pending");
    assert_eq!(answered(&user, &turn).await?["response"], "slept 4");
    assert_eq!(history(&app, &turn).await?, ["upstream_silence"]);
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

/// Waits until the janitor of this server has swept so many times. Gives what it says of itself.
async fn swept(app: &TestApp, times: usize) -> Tested<String> {
    let admin = app.owner()?;
    let mut seen: Vec<String> = Vec::new();
    eventually("a sweep", async || {
        let actors = admin.actors().await?;
        let janitor = actors.iter().find(|actor| actor["path"] == "root/janitor").ok_or("no janitor")?;
        let note = janitor["note"].as_str().unwrap_or_default();
        let at = note.split("swept at ").nth(1).and_then(|rest| rest.split(": ").next());
        if let Some(at) = at
            && seen.last().is_none_or(|last| last != at)
        {
            seen.push(at.to_owned());
        }
        Ok((seen.len() >= times).then(|| note.to_owned()))
    })
    .await
}
