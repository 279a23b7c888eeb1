//! Turns whose conversation is deleted: they are cancelled, also where the server dies in between.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::random::Random;
use crate::harness::{Accepted, TestApp, Tested};

/// Times that the server is killed.
const ROUNDS: usize = 6;

fn path(turn: &Accepted) -> String {
    format!("/api/paliadin/conversations/{}", turn.session_id)
}

/// What the row of a turn says, which its user does not see any more.
async fn state(app: &TestApp, turn: &Accepted) -> Tested<String> {
    let row = "SELECT state || ' ' || coalesce(error_code, '') FROM paliadin_turns WHERE turn_id = ?1";
    let state = app.database().await?.value(row, &[&turn.turn_id]).await?;
    Ok(state.trim_end().to_owned())
}

/// As a server leaves it that deleted the conversation and did no more.
async fn hide(app: &TestApp, turn: &Accepted) -> Tested {
    let hide = "UPDATE conversations SET hidden_at = 1 WHERE session_id = ?1";
    app.database().await?.run(hide, &[&turn.session_id]).await.map(drop)
}

#[tokio::test]
async fn the_open_turns_of_a_deleted_conversation_are_cancelled() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    let waiting = user.ask_in(&running.session_id, "!echo waited").await?;
    let kept = user.ask("!count").await?;
    let mut streams = [user.stream(&running, None).await?, user.stream(&waiting, None).await?];
    streams[0].until("meta").await?;
    assert_eq!(user.request("DELETE", &path(&running)).send().await?.status, 204);
    for stream in &mut streams {
        let last = stream.rest().await?.pop().ok_or("nothing")?;
        assert_eq!(last.data["code"], "cancelled", "{}", last.raw);
    }
    assert_eq!(user.ended(&kept).await?["response"], "2");
    assert_eq!(app.typed(&waiting.turn_id)?.len(), 0);
    for turn in [&running, &waiting] {
        assert_eq!(app.audited("turn.cancel", &turn.turn_id).await?, 1);
        assert_eq!(user.cancel(&turn.turn_id).await?.status, 404);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_killed_server_left_of_a_deleted_conversation_is_not_run() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let waiting = [user.ask_in(&running.session_id, "!hang").await?, user.ask_in(&running.session_id, "!hang").await?];
    let kept = user.ask("!count").await?;
    app.stop(Signal::KILL)?;
    hide(&app, &running).await?;
    app.boot().await?;
    assert_eq!(user.ended(&kept).await?["response"], "2", "the agent was interrupted, and goes on");
    assert_eq!(state(&app, &running).await?, "cancelled");
    assert_eq!(app.audited("turn.cancel", &running.turn_id).await?, 1);
    for turn in &waiting {
        assert_eq!(state(&app, turn).await?, "cancelled");
        assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
        assert_eq!(app.audited("turn.cancel", &turn.turn_id).await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_that_could_not_be_ended_with_its_conversation_is_cancelled_when_it_is_next() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let waiting = user.ask("!hang").await?;
    let more = user.ask_in(&waiting.session_id, "!hang").await?;
    let mut streams = [user.stream(&waiting, None).await?, user.stream(&more, None).await?];
    let kept = user.ask("!count").await?;
    hide(&app, &waiting).await?;
    user.cancelled(&running).await?;
    for stream in &mut streams {
        let last = stream.rest().await?.pop().ok_or("nothing")?;
        assert_eq!(last.data["code"], "cancelled", "{}", last.raw);
    }
    assert_eq!(user.ended(&kept).await?["response"], "2");
    for turn in [&waiting, &more] {
        assert_eq!(state(&app, turn).await?, "cancelled");
        assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
        assert_eq!(app.audited("turn.cancel", &turn.turn_id).await?, 1);
    }
    Ok(())
}

/// Kills the server while it deletes a conversation, sooner or later.
#[tokio::test]
async fn a_deletion_holds_whenever_the_server_is_killed() -> Tested {
    let mut app = TestApp::with_own_address().await?;
    let user = app.user("ann@example.org")?;
    let mut random = Random::seeded()?;
    for _ in 0..ROUNDS {
        let running = user.ask("!hang").await?;
        app.typed_once(&running.turn_id).await?;
        let mut turns = vec![running.clone()];
        for _ in 0..4 {
            turns.push(user.ask_in(&running.session_id, "!hang").await?);
        }
        let (deleting, path) = (user.clone(), path(&running));
        let delete = tokio::spawn(async move { deleting.request("DELETE", &path).send().await.map(|got| got.status) });
        tokio::time::sleep(std::time::Duration::from_micros(random.below(0..20_000))).await;
        app.restart(Signal::KILL).await?;
        let answered = delete.await?.ok();
        let next = user.ask("!count").await?;
        let hidden = "SELECT count(hidden_at) FROM conversations WHERE session_id = ?1";
        let deleted = app.database().await?.value(hidden, &[&running.session_id]).await? == "1";
        assert!(deleted || answered != Some(204), "what was answered is so");
        assert_eq!(app.audited("conversation.delete", &running.session_id).await?, i64::from(deleted));
        if !deleted {
            assert_eq!(user.request("DELETE", &self::path(&running)).send().await?.status, 204);
        }
        assert_eq!(user.ended(&next).await?["state"], json!("done"));
        for turn in &turns {
            assert_eq!(state(&app, turn).await?, "cancelled");
            assert_eq!(app.audited("turn.cancel", &turn.turn_id).await?, 1);
        }
        println!("deleted: {deleted}, answered: {answered:?}");
    }
    Ok(())
}
