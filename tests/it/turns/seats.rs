//! The limit of live agents.

use serde_json::json;

use crate::harness::{Client, TestApp, Tested, eventually};

const TWO: &[(&str, &str)] = &[("PALIADIN_AGENT__MAX_LIVE", "2")];

async fn session_of(user: &Client) -> Tested<String> {
    Ok(user.status().await?["agent_session"]["name"].as_str().unwrap_or_default().to_owned())
}

/// Messages in the mailbox of the actor of this session.
async fn mail_of(admin: &Client, session: &str) -> Tested<i64> {
    let actors = admin.actors().await?;
    let actor = actors.iter().find(|actor| actor["path"].as_str().is_some_and(|path| path.ends_with(session)));
    actor.and_then(|actor| actor["mailbox"].as_i64()).ok_or_else(|| format!("no actor of {session}").into())
}

async fn note_of(admin: &Client, user: &Client, kind: &str) -> Tested<String> {
    let session = session_of(user).await?;
    let actors = admin.actors().await?;
    let is_meant = |path: &str| path.contains(&session) && path.ends_with(kind);
    let actor = actors.iter().find(|actor| actor["path"].as_str().is_some_and(is_meant));
    Ok(actor.and_then(|actor| actor["note"].as_str()).unwrap_or_default().to_owned())
}

async fn waits_for_place(admin: &Client, user: &Client) -> Tested {
    eventually("a wait for a place", async || {
        Ok(note_of(admin, user, "pane").await?.contains("waiting for a place").then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_agent_that_idles_makes_room() -> Tested {
    let app = TestApp::with(TWO).await?;
    for round in 1..=3 {
        for name in ["ann", "bob", "eve", "joe"] {
            let email = format!("{name}@example.org");
            let user = if round == 1 { app.user(&email)? } else { signed_in(&app, &email)? };
            assert_eq!(user.response("!count").await?, "1", "each time a new agent");
            assert!(app.agents()? <= 2);
        }
    }
    for email in ["ann@example.org", "bob@example.org"] {
        let user = signed_in(&app, email)?;
        let ended = eventually("an agent that has ended", async || {
            Ok(Some(user.status().await?["agent_session"].clone()).filter(|session| session["agent"] == "ended"))
        })
        .await?;
        assert_eq!(ended["last_exit"]["reason"], "the agent was ended because others waited for its place");
    }
    Ok(())
}

fn signed_in(app: &TestApp, email: &str) -> Tested<Client> {
    let token = app.cli(&["token", "create", "--email", email])?;
    Ok(Client { token, ..app.nobody() })
}

#[tokio::test]
async fn whoever_gave_a_place_up_does_not_take_it_back_before_those_who_wait() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__MAX_LIVE", "1")]).await?;
    let (ann, eve) = (app.user("ann@example.org")?, app.user("eve@example.org")?);
    ann.response("!count").await?;
    // That its agent has ended comes late to its keeper, which hears of the next turn before.
    app.arm_hold("pane.exited")?;
    let eves = eve.ask("!count").await?;
    app.held("pane.exited").await?;
    ann.session_is("idle").await?;
    let anns = ann.ask("!count").await?;
    let (eves, anns) = (eve.ended(&eves).await?, ann.ended(&anns).await?);
    assert_eq!((&eves["response"], &anns["response"]), (&json!("1"), &json!("1")));
    assert!(eves["finished_at"].as_str() < anns["started_at"].as_str(), "{eves} {anns}");
    app.release("pane.exited")
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
    waits_for_place(&admin, &eve).await?;
    assert_eq!(app.agents()?, 2);
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
    // One that runs keeps its token.
    bob.cancelled(&held).await?;
    assert_eq!(bob.ended(&held).await?["state"], "cancelled");
    Ok(())
}

#[tokio::test]
async fn whoever_is_to_give_a_place_up_runs_nothing_that_was_looked_up_before() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__MAX_LIVE", "1")]).await?;
    let admin = app.owner()?;
    let (ann, eve) = (app.user("ann@example.org")?, app.user("eve@example.org")?);
    let first = ann.ask("!hang").await?;
    ann.stream(&first, None).await?.until("meta").await?;
    let session = session_of(&ann).await?;
    // Ann's session looks for her next turn, and has found it in the moment in which the agent has left the first.
    app.arm_hold("session.look")?;
    let anns = ann.ask("!echo ann").await?;
    app.held("session.look").await?;
    let eves = eve.ask("!echo eve").await?;
    waits_for_place(&admin, &eve).await?;
    app.arm_hold("session.quiet")?;
    ann.cancelled(&first).await?;
    app.held("session.quiet").await?;
    let before = mail_of(&admin, &session).await?;
    app.release("session.look")?;
    eventually("what was looked up", async || Ok((mail_of(&admin, &session).await? > before).then_some(()))).await?;
    app.release("session.quiet")?;
    let (eves, anns) = (eve.ended(&eves).await?, ann.ended(&anns).await?);
    assert_eq!((&eves["response"], &anns["response"]), (&json!("eve"), &json!("ann")));
    assert!(eves["finished_at"].as_str() < anns["started_at"].as_str(), "{eves} {anns}");
    Ok(())
}

#[tokio::test]
async fn who_waits_for_a_place_can_go() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__MAX_LIVE", "1")]).await?;
    let (ann, bob, eve) = (app.user("ann@example.org")?, app.user("bob@example.org")?, app.user("eve@example.org")?);
    let admin = app.owner()?;
    let held = ann.ask("!hang").await?;
    ann.stream(&held, None).await?.until("meta").await?;
    let given_up = bob.ask("!echo bob").await?;
    waits_for_place(&admin, &bob).await?;
    bob.cancelled(&given_up).await?;
    let ended = eve.ask("!echo eve").await?;
    waits_for_place(&admin, &eve).await?;
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
    let mut running = Vec::new();
    for user in [&ann, &bob] {
        let turn = user.ask("!ask Who goes?").await?;
        let asked = user.stream(&turn, None).await?.until("attention").await?;
        running.push((user, turn, asked.id.ok_or("no id")?));
    }
    // Durable, so that it is these events that are replied to.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    app.set("PALIADIN_AGENT__MAX_LIVE", "1");
    app.restart(rustix::process::Signal::KILL).await?;
    let eve = app.user("eve@example.org")?;
    let waiting = eve.ask("!echo eve").await?;
    waits_for_place(&app.owner()?, &eve).await?;
    assert_eq!(app.agents()?, 2);
    for (user, turn, asked) in &running {
        assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
        app.expect_reply("I do");
        eventually("the reply to be taken", async || {
            Ok((user.reply(turn, asked, "I do").await?.0 == 202).then_some(()))
        })
        .await?;
        assert_eq!(user.ended(turn).await?["response"], "you said: I do");
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
    assert_eq!(app.agents()?, 1, "it was ended for another user");
    assert_eq!(ann.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn one_who_waits_costs_one_agent_its_place() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__MAX_LIVE", "4")]).await?;
    let users = ["ann", "bob", "eve", "joe"].map(|name| app.user(&format!("{name}@example.org")));
    let users = users.into_iter().collect::<Tested<Vec<Client>>>()?;
    for user in &users {
        assert_eq!(user.response("!count").await?, "1");
    }
    assert_eq!(app.user("kim@example.org")?.response("!count").await?, "1");
    // Last of all who was asked: the one that had idled longest.
    let [ann, others @ ..] = users.as_slice() else { return Err("no users".into()) };
    for user in others {
        assert_eq!(user.status().await?["agent_session"]["agent_alive"], true);
        assert_eq!(user.response("!count").await?, "2", "it has its agent still");
    }
    assert_eq!(ann.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_given_up_makes_room_when_it_had_its_time() -> Tested {
    let limits = [
        ("PALIADIN_AGENT__MAX_LIVE", "1"),
        ("PALIADIN_TURN__SILENCE_TIMEOUT", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "1s"),
    ];
    let app = TestApp::with(&limits).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let hanging = ann.ask("!hang").await?;
    assert_eq!(ann.ended(&hanging).await?["error_code"], "upstream_silence");
    assert_eq!(bob.response("!count").await?, "1");
    // Also for one who comes when the time is over already.
    let hanging = bob.ask("!hang").await?;
    assert_eq!(bob.ended(&hanging).await?["error_code"], "upstream_silence");
    bob.session_is("draining").await?;
    assert_eq!(ann.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_nobody_needs_any_more_when_it_is_ready_makes_room() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__MAX_LIVE", "1")])?;
    let go = app.root().join("go");
    app.agent_after(&format!("until [ -e {} ]; do sleep 0.02; done", go.display()))?;
    app.boot().await?;
    let (ann, bob, admin) = (app.user("ann@example.org")?, app.user("bob@example.org")?, app.owner()?);
    let unwanted = ann.ask("!echo ann").await?;
    eventually("the agent to be started", async || {
        Ok((note_of(&admin, &ann, "pane").await? == "starting the agent").then_some(()))
    })
    .await?;
    let waiting = bob.ask("!count").await?;
    waits_for_place(&admin, &bob).await?;
    ann.cancelled(&unwanted).await?;
    assert_eq!(ann.ended(&unwanted).await?["state"], "cancelled");
    std::fs::write(go, "")?;
    assert_eq!(bob.ended(&waiting).await?["response"], "1");
    Ok(())
}

#[tokio::test]
async fn a_reset_while_the_agent_makes_room_ends_the_turns_that_wait() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__MAX_LIVE", "1"), ("PALIADIN_AGENT__INTERRUPT_TIMEOUT", "2s")])?;
    // Its end takes a while.
    let demo = format!("{} agent demo", env!("CARGO_BIN_EXE_paliadin"));
    app.agent_after(&format!("trap '' HUP\nmkfifo $$ && {demo}; read end <$$"))?;
    app.boot().await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(ann.response("!count").await?, "1");
    let other = bob.ask("!hang").await?;
    eventually("ann's agent to be ended", async || {
        Ok((ann.status().await?["agent_session"]["state"] == "resetting").then_some(()))
    })
    .await?;
    let waiting = ann.ask("!echo on").await?;
    assert_eq!(ann.reset().await?, json!({ "ok": true }));
    assert_eq!(ann.turn(&waiting.turn_id).await?["error_code"], "session_reset");
    bob.stream(&other, None).await?.until("meta").await?;
    // Nor is a reset that is asked for during another one no more than that.
    let (first, bob_again) = (bob.clone(), bob.clone());
    let first = tokio::spawn(async move { first.reset().await });
    eventually("the first reset", async || {
        Ok((bob.status().await?["agent_session"]["state"] == "resetting").then_some(()))
    })
    .await?;
    let waiting = bob_again.ask("!echo on").await?;
    assert_eq!(bob_again.reset().await?, json!({ "ok": true }));
    assert_eq!(bob.turn(&waiting.turn_id).await?["error_code"], "session_reset");
    assert_eq!(first.await??, json!({ "ok": true }));
    Ok(())
}

/// A server with room for one agent. Ann's waits to be started again, unasked: meanwhile its place is another one's. Gives
/// Ann, Bob and the owner.
async fn backing_off() -> Tested<(TestApp, Client, Client, Client)> {
    let settings = [("PALIADIN_AGENT__MAX_LIVE", "1"), ("PALIADIN_AGENT__RESTART_BACKOFF", "2s")];
    let app = TestApp::with(&settings).await?;
    let (ann, bob, admin) = (app.user("ann@example.org")?, app.user("bob@example.org")?, app.owner()?);
    assert_eq!(ann.response("!count").await?, "1");
    app.process(crate::harness::processes::Process::is_agent)?.kill()?;
    eventually("its backoff", async || {
        Ok(note_of(&admin, &ann, "pane").await?.contains("waiting before").then_some(()))
    })
    .await?;
    Ok((app, ann, bob, admin))
}

#[tokio::test]
async fn nobody_loses_an_agent_for_one_that_nobody_waits_for() -> Tested {
    let (_app, ann, bob, admin) = backing_off().await?;
    let hangs = bob.ask("!hang").await?;
    bob.stream(&hangs, None).await?.until("meta").await?;
    let waits = ann.ask("!count").await?;
    waits_for_place(&admin, &ann).await?;
    ann.cancelled(&waits).await?;
    ann.ended(&waits).await?;
    bob.cancelled(&hangs).await?;
    bob.ended(&hangs).await?;
    bob.session_is("idle").await?;
    assert_eq!(bob.response("!count").await?, "2", "it is the same agent");
    Ok(())
}

#[tokio::test]
async fn nor_one_that_idles() -> Tested {
    let (_app, ann, bob, admin) = backing_off().await?;
    assert_eq!(bob.response("!count").await?, "1");
    bob.session_is("idle").await?;
    eventually("the end of the backoff", async || {
        Ok((note_of(&admin, &ann, "pane").await? == "no agent: others have its place").then_some(()))
    })
    .await?;
    assert_eq!(bob.response("!count").await?, "2", "it is the same agent");
    assert_eq!(ann.response("!count").await?, "1", "whoever needs one gets it");
    Ok(())
}
