//! Agent sessions of conversations: who knows what, who runs when, and who is ended with whom.

mod change;
mod deleted;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Accepted, Client, TestApp, Tested};

const SCOPE: &str = "PALIADIN_AGENT__SESSION_SCOPE";
const APART: (&str, &str) = (SCOPE, "conversation");

/// Asks what the agent answers with a question of its own, and waits until it has; the turn, and that question's id.
async fn asking(user: &Client, session_id: &str) -> Tested<(Accepted, String)> {
    let turn = user.ask_in(session_id, "!ask which one?").await?;
    let asked = user.stream(&turn, None).await?.until("attention").await?;
    Ok((turn, asked.id.ok_or("no id")?))
}

/// Ends such a turn.
async fn answer(app: &TestApp, user: &Client, (turn, attention): &(Accepted, String), text: &str) -> Tested {
    app.expect_reply(text);
    assert_eq!(user.reply(turn, attention, text).await?.0, 202);
    assert_eq!(user.ended(turn).await?["response"], format!("you said: {text}"));
    Ok(())
}

/// How many agent sessions there ever were.
async fn sessions(app: &TestApp) -> Tested<String> {
    app.database().await?.value("SELECT count(*) FROM agent_sessions", &[]).await
}

/// Ids of conversations that are not there yet; the last 8 digits of all are the same, and those of the first two the last
/// 12.
fn conversations() -> [String; 3] {
    ["4000-8000-abcdabcd1234", "4111-8000-abcdabcd1234", "4000-8000-ffffabcd1234"]
        .map(|end| format!("01a1fc4b-e581-{end}"))
}

#[tokio::test]
async fn conversations_with_agents_of_their_own_run_side_by_side() -> Tested {
    let app = TestApp::with(&[APART]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, _] = conversations();
    let open = asking(&user, &one).await?;
    let next = user.ask_in(&one, "!count").await?;
    assert_eq!((open.0.position, next.position), (0, 1));
    // The other one is answered while the first one is not.
    let beside = user.ask_in(&two, "!count").await?;
    assert_eq!(beside.position, 0);
    assert_eq!(user.ended(&beside).await?["response"], "1");
    assert_eq!(user.turn(&open.0.turn_id).await?["state"], "running");
    assert_eq!(user.turn(&next.turn_id).await?["state"], "queued", "in one conversation, one after the other");
    answer(&app, &user, &open, "this one").await?;
    assert_eq!(user.ended(&next).await?["response"], "2");
    Ok(())
}

#[tokio::test]
async fn conversations_that_share_an_agent_run_one_after_the_other() -> Tested {
    let app = TestApp::with(&[(SCOPE, "user")]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, _] = conversations();
    let open = asking(&user, &one).await?;
    let next = user.ask_in(&two, "!count").await?;
    assert_eq!(next.position, 1);
    answer(&app, &user, &open, "this one").await?;
    assert_eq!(user.ended(&next).await?["response"], "2", "it is the same agent");
    let status = user.status().await?;
    assert_eq!((&status["session_scope"], &status["agent_session"]["state"]), (&json!("user"), &json!("idle")));
    assert_eq!(user.session_of(&one).await?["name"], status["agent_session"]["name"], "the conversation is ignored");
    assert_eq!(sessions(&app).await?, "1");
    Ok(())
}

#[tokio::test]
async fn each_conversation_has_a_name_and_a_process_of_its_own() -> Tested {
    let app = TestApp::with(&[APART]).await?;
    let user = app.user_with_id("ann@example.org", "abcdef01-0000-4000-8000-000000000001")?;
    let other = app.user_with_id("bob@example.org", "abcdef01-1111-4000-8000-000000000002")?;
    let status = user.status().await?;
    assert_eq!((&status["session_scope"], &status["agent_session"]), (&json!("conversation"), &Value::Null));
    let conversations = conversations();
    let mut pids = Vec::new();
    for round in ["1", "2"] {
        for conversation in &conversations {
            let turn = user.ask_in(conversation, "!count").await?;
            assert_eq!(user.ended(&turn).await?["response"], round);
            pids.push(app.typed_once(&turn.turn_id).await?.pid);
        }
    }
    assert_eq!(pids[..3], pids[3..]);
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2], "{pids:?}");
    let mut names = Vec::new();
    for conversation in &conversations {
        names.push(user.session_of(conversation).await?["name"].clone());
        assert_eq!(other.session_of(conversation).await?, Value::Null, "it is not theirs");
    }
    let name = |digits: &str| json!(format!("paliadin-abcdef01-{digits}"));
    assert_eq!(names, [name("abcd1234"), name("abcdabcd1234"), name("ffffabcd1234")]);
    assert_eq!(user.status().await?["agent_session"], Value::Null);
    let unusable = user.get("/api/paliadin/status?session=x").await?.problem().await?;
    assert_eq!(unusable, "invalid_request");
    Ok(())
}

#[tokio::test]
async fn the_queue_is_limited_for_all_conversations_of_a_user() -> Tested {
    let app = TestApp::with(&[APART, ("PALIADIN_TURN__QUEUE_LIMIT", "1")]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, _] = conversations();
    let open = asking(&user, &one).await?;
    let waiting = user.ask_in(&one, "!echo on").await?;
    let more = json!({ "user_message": "!echo more", "session_id": two });
    assert_eq!(user.post_turn(&more).await?.problem().await?, "queue_full");
    assert_eq!(app.user("bob@example.org")?.response("!echo free").await?, "free");
    answer(&app, &user, &open, "this one").await?;
    assert_eq!(user.ended(&waiting).await?["response"], "on");
    assert_eq!(user.response_in(&two, "!echo more").await?, "more");
    Ok(())
}

#[tokio::test]
async fn a_question_of_which_no_turn_comes_makes_no_agent_session() -> Tested {
    let app = TestApp::with(&[APART, ("PALIADIN_TURN__QUEUE_LIMIT", "1")]).await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let body = json!({ "user_message": "!count", "client_turn_id": "first" });
    let turn = user.submit(&body).await?;
    assert_eq!(user.ended(&turn).await?["response"], "1");
    let foreign = json!({ "user_message": "!count", "session_id": turn.session_id });
    assert_eq!(other.post_turn(&foreign).await?.problem().await?, "not_found");
    // Again without the conversation: it is the turn that is there, and not one of another conversation.
    let again = user.submit(&body).await?;
    assert_eq!((&again.turn_id, &again.session_id), (&turn.turn_id, &turn.session_id));
    let open = asking(&user, &turn.session_id).await?;
    let waiting = user.ask_in(&turn.session_id, "!count").await?;
    assert_eq!(user.post_turn(&json!({ "user_message": "x" })).await?.problem().await?, "queue_full");
    assert_eq!(sessions(&app).await?, "1");
    let looked_after = app.owner()?.actors().await?;
    assert_eq!(looked_after.iter().filter(|actor| actor["kind"] == "session").count(), 1);
    answer(&app, &user, &open, "this one").await?;
    assert_eq!(user.ended(&waiting).await?["response"], "3");
    Ok(())
}

#[tokio::test]
async fn a_reset_of_one_conversation_leaves_the_others_alone() -> Tested {
    let app = TestApp::with(&[APART]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, unknown] = conversations();
    let (first, second) = (asking(&user, &one).await?, asking(&user, &two).await?);
    let waiting = user.ask_in(&one, "!count").await?;
    let mut reset = user.reset_in(&one).await?;
    assert_eq!((reset.status, reset.json().await?), (200, json!({ "ok": true })));
    for turn in [&first.0, &waiting] {
        assert_eq!(user.ended(turn).await?["error_code"], "session_reset");
    }
    assert_eq!(user.response_in(&one, "!count").await?, "1", "it is another agent");
    assert_eq!(user.turn(&second.0.turn_id).await?["state"], "running");
    answer(&app, &user, &second, "this one").await?;
    assert_eq!(user.response_in(&two, "!count").await?, "2");
    assert_eq!(app.audited("session.reset", &one).await?, 1);

    let other = app.user("bob@example.org")?;
    for (stranger, session) in [(&other, &one), (&app.owner()?, &one), (&user, &unknown)] {
        let mut refused = stranger.reset_in(session).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"));
    }
    assert_eq!(user.reset_in("x").await?.problem().await?, "invalid_request");
    assert_eq!(user.response_in(&one, "!count").await?, "2");
    Ok(())
}

#[tokio::test]
async fn a_reset_without_a_conversation_ends_all_agents_of_its_user() -> Tested {
    let mut app = TestApp::with(&[APART]).await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let [one, two, three] = conversations();
    assert_eq!(user.response_in(&one, "!count").await?, "1");
    let theirs = other.ask("!count").await?;
    assert_eq!(other.ended(&theirs).await?["response"], "1");
    // Of the first one a new server knows nothing, while its agent lives on.
    app.restart(rustix::process::Signal::KILL).await?;
    assert_eq!(user.response_in(&two, "!count").await?, "1");
    let open = user.ask_in(&three, "!hang").await?;
    app.typed_once(&open.turn_id).await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.ended(&open).await?["error_code"], "session_reset");
    assert_eq!(app.audited("session.reset", &user.user_id).await?, 1);
    for conversation in [&one, &two, &three] {
        assert_eq!(user.response_in(conversation, "!count").await?, "1", "in {conversation}");
    }
    assert_eq!(other.response_in(&theirs.session_id, "!count").await?, "2");
    Ok(())
}

#[tokio::test]
async fn a_conversation_that_is_new_has_nothing_to_reset() -> Tested {
    let app = TestApp::with(&[(SCOPE, "user")]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    // Where all share one agent, it does not matter which conversation is named.
    assert_eq!(user.reset_in(&Uuid::now_v7().to_string()).await?.status, 200);
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}
