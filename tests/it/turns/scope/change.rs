//! What was left under one scope is run under the other.

use rustix::process::Signal;
use serde_json::json;

use super::{APART, SCOPE, answer, asking, conversations, sessions};
use crate::harness::{TestApp, Tested, eventually};

#[tokio::test]
async fn turns_of_a_shared_agent_stay_with_it() -> Tested {
    let mut app = TestApp::with(&[(SCOPE, "user")]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, _] = conversations();
    let open = asking(&user, &one).await?;
    let (waiting, given_up) = (user.ask_in(&two, "!count").await?, user.ask_in(&two, "!hang").await?);
    // Durable, so that the same question is not told a second time.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    app.set(SCOPE, "conversation");
    app.restart(Signal::KILL).await?;
    user.cancelled(&given_up).await?;
    let new = user.ask_in(&two, "!count").await?;
    assert_eq!(new.position, 0, "it waits for nobody");
    assert_eq!(user.ended(&new).await?["response"], "1", "in an agent of its own");
    assert_eq!(user.turn(&waiting.turn_id).await?["state"], "queued");
    answered(&app, &user, &open).await?;
    assert_eq!(user.ended(&waiting).await?["response"], "2", "by the agent that it was accepted for");
    assert_eq!(user.ended(&given_up).await?["state"], "cancelled");
    assert_eq!(app.typed(&given_up.turn_id)?.len(), 0);
    assert_eq!(sessions(&app).await?, "2");
    Ok(())
}

#[tokio::test]
async fn turns_of_agents_of_conversations_stay_with_them() -> Tested {
    let mut app = TestApp::with(&[APART]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, three] = conversations();
    let (first, second) = (asking(&user, &one).await?, asking(&user, &two).await?);
    let (waiting, given_up) = (user.ask_in(&one, "!count").await?, user.ask_in(&two, "!hang").await?);
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    app.set(SCOPE, "user");
    app.restart(Signal::KILL).await?;
    user.cancelled(&given_up).await?;
    assert_eq!(user.response_in(&three, "!count").await?, "1");
    assert_eq!(user.response_in(&one, "!count").await?, "2", "new turns share an agent");
    answered(&app, &user, &first).await?;
    assert_eq!(user.ended(&waiting).await?["response"], "2");
    user.cancelled(&second.0).await?;
    assert_eq!(user.ended(&given_up).await?["state"], "cancelled");
    assert_eq!(sessions(&app).await?, "3");
    Ok(())
}

#[tokio::test]
async fn a_reset_ends_what_another_scope_left() -> Tested {
    let mut app = TestApp::with(&[APART]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, _] = conversations();
    let open = asking(&user, &one).await?;
    assert_eq!(user.response_in(&two, "!count").await?, "1");
    app.set(SCOPE, "user");
    app.restart(Signal::TERM).await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.ended(&open.0).await?["error_code"], "session_reset");
    assert!(app.processes()?.iter().all(|process| !process.is_agent()));
    Ok(())
}

/// Answers a question that the server has to find again first.
async fn answered(app: &TestApp, user: &crate::harness::Client, open: &(crate::harness::Accepted, String)) -> Tested {
    eventually("the agent to be found", async || {
        let row = user.turn(&open.0.turn_id).await?;
        Ok((row["state"] == "running").then_some(()))
    })
    .await?;
    answer(app, user, open, "this one").await
}
