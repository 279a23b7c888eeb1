//! Another process holds the database's write lock.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{Follower, lines};
use crate::harness::database::Database;
use crate::harness::sse::kinds;
use crate::harness::{TestApp, Tested, eventually};

/// A clean stop, with whatever is the matter.
const STOP: Duration = Duration::from_secs(5);

/// Locks the database by a transaction of this process, which is another one than the server's; it ends with the connection.
async fn lock(app: &TestApp, how: &str) -> Tested<Database> {
    let mut database = app.database().await?;
    database.run(&format!("BEGIN {how}"), &[]).await?;
    Ok(database)
}

/// Gives the lock back.
async fn unlock(mut database: Database) -> Tested {
    database.unlock().await
}

async fn on_file() -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[])?;
    app.use_file()?;
    app.boot().await?;
    Ok(app)
}

#[tokio::test]
async fn a_locked_database_refuses_new_turns_and_holds_up_none_that_runs() -> Tested {
    let app = on_file().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(other.response("!count").await?, "1");
    // It says something for longer than two tries at the lock take.
    let turn = user.ask("!lines 1200 20").await?;
    let follower = Follower::of(&user, &turn);
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    let database = lock(&app, "EXCLUSIVE").await?;
    let (hers, his) = (json!({ "user_message": "!echo her" }), json!({ "user_message": "!echo his" }));
    let nobody = app.nobody();
    let refusals = async { tokio::join!(user.post_turn(&hers), other.post_turn(&his), nobody.get("/readyz")) };
    let mut pieces = 0;
    let refused = {
        let mut refusals = std::pin::pin!(refusals);
        loop {
            tokio::select! {
                refused = &mut refusals => break refused,
                piece = stream.until("content") => pieces += usize::from(piece.is_ok()),
            }
        }
    };
    for mut refused in [refused.0?, refused.1?, refused.2?] {
        assert_eq!((refused.status, refused.problem().await?.as_str()), (503, "store_unavailable"));
        assert_eq!(refused.header("retry-after"), Some("5"));
    }
    println!("{pieces} pieces while it was locked");
    assert!(pieces > 20, "the stream goes on");
    assert_eq!(app.typed_all()?.len(), 2, "what was refused is not typed");
    // Its end waits for the record of it.
    stream.until("content").await?;
    unlock(database).await?;
    let seen = follower.done(&app, &lines(1200)).await?;
    assert!(!kinds(&seen).contains(&"resync"), "no event was lost");
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    assert_eq!(other.response("!count").await?, "2");
    assert_eq!(app.typed_all()?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn more_events_than_one_commit_takes_hold_up_nobody_while_it_is_locked() -> Tested {
    let app = on_file().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 2000 5").await?;
    let follower = Follower::of(&user, &turn);
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    let database = lock(&app, "IMMEDIATE").await?;
    for _ in 0..300 {
        stream.until("content").await?;
    }
    for _ in 0..2 {
        let question = json!({ "user_message": "!echo more" });
        let mut refused = user.post_turn(&question).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (503, "store_unavailable"));
    }
    unlock(database).await?;
    let seen = follower.done(&app, &lines(2000)).await?;
    assert!(!kinds(&seen).contains(&"resync"), "no event was lost");
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

#[tokio::test]
async fn a_stop_while_the_database_is_locked_is_quick_and_loses_nothing() -> Tested {
    let mut app = on_file().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 100 20").await?;
    let waiting = user.ask("!echo waited").await?;
    let followers = (Follower::of(&user, &turn), Follower::of(&user, &waiting));
    user.stream(&turn, None).await?.until("content").await?;
    let database = lock(&app, "IMMEDIATE").await?;
    // The answer is there, and cannot be recorded.
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    crate::harness::eventually("the answer", async || Ok(answer.exists().then_some(()))).await?;
    let since = Instant::now();
    app.stop(Signal::TERM)?;
    assert!(since.elapsed() < STOP, "{:?}", since.elapsed());
    unlock(database).await?;
    app.boot().await?;
    followers.0.done(&app, &lines(100)).await?;
    followers.1.done(&app, "waited").await?;
    Ok(())
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_yet_is_waited_for_at_rest() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_TURN__SILENCE_TIMEOUT", "1s")])?;
    app.use_file()?;
    app.boot().await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    let turn = user.ask("!hang").await?;
    app.typed_once(&turn.turn_id).await?;
    user.stream(&turn, None).await?.until("meta").await?;
    let database = lock(&app, "IMMEDIATE").await?;
    eventually("the turn to be given up", async || {
        let actors = admin.actors().await?;
        Ok(actors.iter().any(|actor| actor["note"] == "recording the end").then_some(()))
    })
    .await?;
    let handled = async || -> Tested<u64> {
        let actors = admin.actors().await?;
        let turn = actors.iter().find(|actor| actor["kind"] == "turn").ok_or("the turn is over")?;
        Ok(turn["handled"].as_u64().unwrap_or_default())
    };
    let before = handled().await?;
    for _ in 0..100 {
        handled().await?;
    }
    let messages = handled().await? - before;
    unlock(database).await?;
    assert!(messages <= 1, "{messages} messages, and nothing has happened");
    assert_eq!(user.ended(&turn).await?["error_code"], "upstream_silence");
    Ok(())
}

#[tokio::test]
async fn a_question_whose_session_fails_before_word_of_it_comes_is_run_all_the_same() -> Tested {
    let app = on_file().await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    let first = user.ask("!count").await?;
    assert_eq!(user.ended(&first).await?["response"], "1");
    let handled = async |kind: &str| -> Tested<u64> {
        let actors = admin.actors().await?;
        let actor = actors.iter().find(|actor| actor["kind"] == kind).ok_or("no such actor")?;
        Ok(actor["handled"].as_u64().unwrap_or_default())
    };
    let database = lock(&app, "IMMEDIATE").await?;
    let before = handled("recorder").await?;
    let asker = user.clone();
    let body = json!({ "user_message": "!count", "session_id": first.session_id });
    let post = tokio::spawn(async move { asker.post_turn(&body).await.map(|answer| answer.status) });
    eventually("the question's write", async || Ok((handled("recorder").await? > before).then_some(()))).await?;
    app.arm("session.handle")?;
    user.status().await?;
    assert!(!app.is_armed("session.handle"));
    // The next session has looked what is there, and wants to write.
    eventually("the next session", async || Ok((handled("recorder").await? > before + 1).then_some(()))).await?;
    unlock(database).await?;
    println!("it was answered {:?}", post.await?);
    assert_eq!(user.ended(&user.ask_in(&first.session_id, "!count").await?).await?["response"], "3");
    let rows = user.history(&first.session_id, None).await?;
    assert!(rows.len() == 3 && rows.iter().all(|row| row["state"] == "done"), "{rows:?}");
    Ok(())
}
