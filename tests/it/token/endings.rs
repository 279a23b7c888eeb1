//! However a turn ends, its token is gone when that is told.

use std::fs::File;
use std::io::Write;

use serde_json::json;

use super::{file, hanging};
use crate::harness::processes::Process;
use crate::harness::{Accepted, TestApp, Tested, eventually};

/// Reports in the name of the agent.
fn report(app: &TestApp, turn: &Accepted, event: &str, text: &str) -> Tested {
    let line = json!({ "at": 1, "event": event, "turn_id": turn.turn_id, "message": text });
    let mut reports = File::options().append(true).open(app.spool()?.join("out/events.jsonl"))?;
    Ok(writeln!(reports, "{line}")?)
}

#[tokio::test]
async fn it_goes_with_the_turn() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;

    let (turn, token) = hanging(&app, &user).await?;
    report(&app, &turn, "stopped", "That is all.")?;
    let row = user.ended(&turn).await?;
    assert!(row["state"] == "done" && !token.exists(), "{row}");

    // The agent said so, and works on it all the same.
    let (turn, token) = hanging(&app, &user).await?;
    report(&app, &turn, "failed", "no")?;
    let row = user.ended(&turn).await?;
    assert!(row["error_code"] == "upstream_error" && !token.exists(), "{row}");

    let (turn, token) = hanging(&app, &user).await?;
    user.cancelled(&turn).await?;
    let row = user.ended(&turn).await?;
    assert!(row["state"] == "cancelled" && !token.exists(), "{row}");

    let (turn, token) = hanging(&app, &user).await?;
    app.process(Process::is_agent)?.kill()?;
    let row = user.ended(&turn).await?;
    assert!(row["error_code"] == "agent_died" && !token.exists(), "{row}");

    let (turn, token) = hanging(&app, &user).await?;
    user.reset().await?;
    let row = user.ended(&turn).await?;
    assert!(row["error_code"] == "session_reset" && !token.exists(), "{row}");
    Ok(())
}

#[tokio::test]
async fn it_goes_though_the_agent_goes_on_and_does_not_come_back() -> Tested {
    for (limit, code) in [("DEADLINE", "timeout"), ("SILENCE_TIMEOUT", "upstream_silence")] {
        let app = TestApp::with(&[(&format!("PALIADIN_TURN__{limit}"), "2s")]).await?;
        let user = app.user("ann@example.org")?;
        let (turn, token) = hanging(&app, &user).await?;
        let row = user.ended(&turn).await?;
        assert!(row["error_code"] == code && !token.exists(), "{row}");
        // What it may need for its answer, which is still wanted, stays.
        let context = token.with_extension("context.json");
        assert!(context.exists(), "{code}");
        report(&app, &turn, "stopped", "At last.")?;
        eventually("the late answer", async || {
            assert!(!token.exists(), "{code}");
            let is_late = user.turn(&turn.turn_id).await?["late"] == true;
            Ok((is_late && !context.exists()).then_some(()))
        })
        .await?;
        user.reset().await?;
        user.session_is("idle").await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_goes_when_the_end_is_decided_also_where_the_database_is_away() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let (turn, token) = hanging(&app, &user).await?;
    let mut database = app.database().await?;
    database.lock().await?;
    user.cancelled(&turn).await?;
    eventually("the token to go", async || Ok((!token.exists()).then_some(()))).await?;
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
    database.unlock().await?;
    assert_eq!(user.ended(&turn).await?["state"], "cancelled");
    user.session_is("idle").await
}

#[tokio::test]
async fn a_turn_that_ends_on_its_way_to_the_agent_leaves_none_and_is_not_typed() -> Tested {
    let limits = [("PALIADIN_TURN__DEADLINE", "3s"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "0s")];
    let app = TestApp::with(&limits).await?;
    let user = app.user("ann@example.org")?;
    app.arm_hold("inputs.before")?;
    let turn = user.ask("!hang").await?;
    app.held("inputs.before").await?;
    // Nobody interrupts the agent of such a turn, whose answer may still come.
    assert_eq!(user.ended(&turn).await?["error_code"], "timeout");
    app.release("inputs.before")?;
    assert_eq!(user.response("!count").await?, "1", "the agent has never had the other one");
    assert!(app.typed(&turn.turn_id)?.is_empty() && !file(&app, &turn)?.exists());
    Ok(())
}
