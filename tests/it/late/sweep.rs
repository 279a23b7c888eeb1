//! What was left behind: files, agents, sessions, turns, old events.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NO_SWEEPS, SWEEPS, answer, answered, died, swept};
use crate::harness::processes::Process;
use crate::harness::sse::{held, kinds};
use crate::harness::{Accepted, TestApp, Tested, eventually};

#[tokio::test]
async fn files_that_nobody_needs_go() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_JANITOR__ORPHAN_AGE", "1ms")]).await?;
    let user = app.user("ann@example.org")?;
    let done = user.ask("!echo done").await?;
    user.ended(&done).await?;
    let running = user.ask("!hang").await?;
    user.stream(&running, None).await?.until("meta").await?;
    let spool = app.spool()?;
    let kept = [format!("in/{}.jwt", running.turn_id), format!("out/{}.tmp", running.turn_id), "out/notes".to_owned()];
    let kept = kept.map(|name| spool.join(name));
    let stranger = Uuid::now_v7();
    let gone = [
        format!("in/{}.jwt", done.turn_id),
        format!("in/.{}.primer.md", done.turn_id),
        format!("out/{}.part", done.turn_id),
        format!("in/{stranger}.jwt"),
        format!("out/{stranger}.txt"),
    ];
    let gone = gone.map(|name| spool.join(name));
    for file in kept.iter().chain(&gone) {
        fs::write(file, "x")?;
    }
    eventually("the files to go", async || Ok(gone.iter().all(|file| !file.exists()).then_some(()))).await?;
    assert!(kept.iter().all(|file| file.exists()), "what may be needed stays");
    user.reset().await?;
    eventually("the token to go", async || Ok((!kept[0].exists()).then_some(()))).await?;
    assert!(kept[2].exists());
    Ok(())
}

#[tokio::test]
async fn files_of_a_turn_that_is_just_being_accepted_stay() -> Tested {
    let app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let young = app.spool()?.join(format!("in/{}.message.md", Uuid::now_v7()));
    fs::write(&young, "x")?;
    swept(&app, 3).await?;
    assert!(young.exists());
    fs::remove_file(young)?;
    Ok(())
}

#[tokio::test]
async fn an_agent_whose_session_nobody_knows_is_ended() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS]).await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(user.response("!count").await?, "1");
    let agent = app.process(Process::is_agent)?;
    assert_eq!(other.response("!count").await?, "1");
    app.stop(Signal::TERM)?;
    app.database().await?.run("DELETE FROM agent_sessions WHERE user_id = ?1", &[&user.user_id]).await?;
    app.boot().await?;
    eventually("its end", async || Ok((!app.processes()?.iter().any(|one| one.pid == agent.pid)).then_some(())))
        .await?;
    assert_eq!(other.response("!count").await?, "2", "the other one is not touched");
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_session_whose_agent_went_unseen_is_told_so() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    app.stop(Signal::TERM)?;
    app.process(Process::is_agent)?.kill()?;
    app.boot().await?;
    eventually("the row to tell", async || {
        let told = "SELECT state || ': ' || coalesce(last_reason, '') FROM agent_sessions";
        let told = app.database().await?.value(told, &[]).await?;
        Ok((told == "ended: the agent ended while nobody watched it").then_some(()))
    })
    .await?;
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

/// A turn as if it had just been accepted, by someone whom the server does not hear.
const COPY: &str = "INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, state, backend, persona, \
     profile, user_message, queued_at, created_at, updated_at) SELECT ?2, user_id, session_id, agent_session, 'queued', \
     backend, persona, profile, user_message, queued_at, created_at, updated_at FROM paliadin_turns WHERE turn_id = ?1";

#[tokio::test]
async fn a_turn_that_nobody_looks_after_is_run() -> Tested {
    let mut app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!echo once more").await?;
    user.ended(&turn).await?;
    // Whoever has an agent is looked after from the start on.
    user.reset().await?;
    app.restart(Signal::TERM).await?;
    // As if another process had accepted it.
    let left = Uuid::now_v7().to_string();
    app.database().await?.run(COPY, &[&turn.turn_id, &left]).await?;
    eventually("the turn to be run", async || {
        let row = user.turn(&left).await?;
        Ok((row["state"] == "done" && row["response"] == "once more").then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_turn_whose_acceptance_nobody_heard_of_is_run_in_its_place() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!echo once more").await?;
    user.ended(&turn).await?;
    // As where the word that it was committed is lost on the way from the database.
    let left = Uuid::now_v7().to_string();
    app.database().await?.run(COPY, &[&turn.turn_id, &left]).await?;
    let next = user.ask("!count").await?;
    let row = tokio::time::timeout(std::time::Duration::from_secs(10), user.ended(&next)).await??;
    assert_eq!(row["response"], "3", "{row}");
    let row = user.turn(&left).await?;
    assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!("once more")), "{row}");
    Ok(())
}

async fn events(app: &TestApp, turn: &Accepted) -> Tested<i64> {
    let count = "SELECT count(*) FROM turn_events WHERE turn_id = ?1";
    Ok(app.database().await?.value(count, &[&turn.turn_id]).await?.parse()?)
}

async fn pruned(app: &TestApp, turn: &Accepted) -> Tested {
    eventually("the events to go", async || Ok((events(app, turn).await? == 0).then_some(()))).await
}

#[tokio::test]
async fn old_events_go_and_the_row_serves_the_stream() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_JANITOR__RETENTION", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    user.stream(&running, None).await?.until("meta").await?;
    let other = app.user("bob@example.org")?;
    let turn = other.ask("!lines 5 0").await?;
    let whole = other.collect(&turn).await?;
    let row = other.turn(&turn.turn_id).await?;
    pruned(&app, &turn).await?;
    let first = whole.iter().find_map(|event| event.id.clone()).ok_or("no id")?;
    for cursor in [None, Some(first.as_str()), Some("7-7")] {
        let told = other.stream(&turn, cursor).await?.rest().await?;
        assert_eq!((kinds(&told), held(&told)), (vec!["resync", "end"], held(&whole)), "after {cursor:?}");
        let id = told.last().and_then(|event| event.id.clone()).ok_or("no id")?;
        assert_eq!(other.request("GET", &turn.sse_url).header("last-event-id", id).send().await?.status, 204);
    }
    assert_eq!(other.turn(&turn.turn_id).await?, row);
    assert!(events(&app, &running).await? > 0, "a turn that is not over keeps its events");
    user.reset().await?;
    Ok(())
}

#[tokio::test]
async fn a_late_answer_is_told_also_where_the_events_are_gone() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_JANITOR__RETENTION", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    let before = user.collect(&turn).await?;
    pruned(&app, &turn).await?;
    let error = user.collect(&turn).await?.pop().ok_or("no event")?;
    assert_eq!((error.kind.as_str(), &error.data["code"]), ("error", &json!("agent_died")));
    answer(&app, &turn, "late")?;
    answered(&user, &turn).await?;
    let mut cursors: Vec<Option<String>> = before.iter().map(|event| event.id.clone()).collect();
    cursors.extend([None, error.id.clone()]);
    let check = async || -> Tested {
        for cursor in &cursors {
            let told = user.stream(&turn, cursor.as_deref()).await?.rest().await?;
            assert_eq!((kinds(&told), held(&told).as_str()), (vec!["resync", "end"], "late"), "after {cursor:?}");
            assert_eq!(told.last().map(|end| end.data["late"].clone()), Some(Value::Bool(true)));
        }
        Ok(())
    };
    check().await?;
    pruned(&app, &turn).await?;
    check().await
}

#[tokio::test]
async fn events_are_kept_for_ever_where_that_is_wanted() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_JANITOR__RETENTION", "0s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!echo x").await?;
    user.ended(&turn).await?;
    swept(&app, 3).await?;
    assert!(events(&app, &turn).await? > 0);
    Ok(())
}
