//! The limit of live agents.

use serde_json::json;

use crate::harness::{Client, TestApp, Tested, eventually};

const TWO: &[(&str, &str)] = &[("PALIADIN_AGENT__MAX_LIVE", "2")];

fn agents(app: &TestApp) -> Tested<usize> {
    Ok(app.processes()?.iter().filter(|process| process.is_agent()).count())
}

async fn note_of(admin: &Client, user: &Client, kind: &str) -> Tested<String> {
    let session = user.status().await?["agent_session"]["name"].as_str().unwrap_or_default().to_owned();
    let actors = admin.actors().await?;
    let is_meant = |path: &str| path.contains(&session) && path.ends_with(kind);
    let actor = actors.iter().find(|actor| actor["path"].as_str().is_some_and(is_meant));
    Ok(actor.and_then(|actor| actor["note"].as_str()).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_agent_that_idles_makes_room() -> Tested {
    let app = TestApp::with(TWO).await?;
    for round in 1..=3 {
        for name in ["ann", "bob", "eve", "joe"] {
            let email = format!("{name}@example.org");
            let user = if round == 1 { app.user(&email)? } else { signed_in(&app, &email)? };
            assert_eq!(user.response("!count").await?, "1", "each time a new agent");
            assert!(agents(&app)? <= 2);
        }
    }
    let eve = signed_in(&app, "eve@example.org")?;
    let status = eve.status().await?["agent_session"].clone();
    assert!(status["last_reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{status}");
    Ok(())
}

fn signed_in(app: &TestApp, email: &str) -> Tested<Client> {
    let token = app.cli(&["token", "create", "--email", email])?;
    Ok(Client { token, ..app.nobody() })
}

#[tokio::test]
async fn whoever_waits_is_served_in_turn_also_against_those_with_much_to_do() -> Tested {
    let app = TestApp::with(TWO).await?;
    let admin = app.owner()?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let (eve, joe) = (app.user("eve@example.org")?, app.user("joe@example.org")?);
    let first = ann.ask("!hang").await?;
    ann.stream(&first, None).await?.until("meta").await?;
    let held = bob.ask("!hang").await?;
    bob.stream(&held, None).await?.until("meta").await?;
    let more: Vec<_> = [ann.ask("!echo a1").await?, ann.ask("!echo a2").await?].into();
    let waiting = [(&eve, eve.ask("!echo eve").await?), (&joe, joe.ask("!echo joe").await?)];
    eventually("eve to be told to wait", async || {
        Ok(note_of(&admin, &eve, "pane").await?.contains("waiting for a place").then_some(()))
    })
    .await?;
    assert_eq!(agents(&app)?, 2);
    ann.cancelled(&first).await?;
    let mut ended = Vec::new();
    for (user, turn) in &waiting {
        let row = user.ended(turn).await?;
        assert_eq!(row["state"], "done", "{row}");
        ended.push(row["finished_at"].as_str().unwrap_or_default().to_owned());
    }
    for turn in &more {
        let row = ann.ended(turn).await?;
        assert_eq!(row["state"], "done", "{row}");
        ended.push(row["finished_at"].as_str().unwrap_or_default().to_owned());
    }
    // Ann had a turn more in her line, and went to the end of theirs.
    assert!(ended.is_sorted(), "{ended:?}");
    assert_eq!(bob.turn(&held.turn_id).await?["state"], "running", "who is at work is left alone");
    Ok(())
}

#[tokio::test]
async fn who_waits_for_a_place_can_go() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__MAX_LIVE", "1")]).await?;
    let (ann, bob, eve) = (app.user("ann@example.org")?, app.user("bob@example.org")?, app.user("eve@example.org")?);
    let held = ann.ask("!hang").await?;
    ann.stream(&held, None).await?.until("meta").await?;
    let given_up = bob.ask("!echo bob").await?;
    bob.cancelled(&given_up).await?;
    let ended = eve.ask("!echo eve").await?;
    assert_eq!(eve.reset().await?, json!({ "ok": true }));
    assert_eq!(eve.ended(&ended).await?["error_code"], "session_reset");
    let last = eve.ask("!count").await?;
    ann.cancelled(&held).await?;
    assert_eq!(eve.ended(&last).await?["response"], "1");
    assert_eq!(app.typed(&given_up.turn_id)?.len() + app.typed(&ended.turn_id)?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn agents_that_were_left_count_and_are_not_ended_for_the_limit() -> Tested {
    let mut app = TestApp::start().await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let running = [(&ann, ann.ask("!lines 60 30").await?), (&bob, bob.ask("!lines 60 30").await?)];
    for (user, turn) in &running {
        user.stream(turn, None).await?.until("content").await?;
    }
    app.set("PALIADIN_AGENT__MAX_LIVE", "1");
    app.restart(rustix::process::Signal::KILL).await?;
    let eve = app.user("eve@example.org")?;
    let waiting = eve.ask("!echo eve").await?;
    for (user, turn) in &running {
        assert_eq!(user.ended(turn).await?["state"], "done");
    }
    assert_eq!(eve.ended(&waiting).await?["response"], "eve");
    Ok(())
}

#[tokio::test]
async fn agents_that_were_left_idle_make_room() -> Tested {
    let mut app = TestApp::with(&[("PALIADIN_AGENT__MAX_LIVE", "1")]).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(ann.response("!count").await?, "1");
    app.restart(rustix::process::Signal::KILL).await?;
    assert_eq!(ann.response("!count").await?, "2", "its user finds it again");
    app.restart(rustix::process::Signal::KILL).await?;
    assert_eq!(bob.response("!count").await?, "1");
    assert_eq!(agents(&app)?, 1, "it was ended for another user");
    assert_eq!(ann.response("!count").await?, "1");
    Ok(())
}
