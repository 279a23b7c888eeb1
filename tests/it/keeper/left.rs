//! Agents that a killed server left at work.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{TestApp, Tested, eventually};

/// Sessions at once: what is tested is a race.
const SESSIONS: usize = 8;

#[tokio::test]
async fn an_agent_that_still_works_is_given_nothing_else_and_comes_to_its_answer() -> Tested {
    let settings = [
        ("PALIADIN_AGENT__SESSION_SCOPE", "conversation"),
        ("PALIADIN_TURN__DEADLINE", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "5min"),
    ];
    let mut app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let mut turns = Vec::new();
    for _ in 0..SESSIONS {
        turns.push((user.ask("!lines 60 100").await?, None));
    }
    for (first, second) in &mut turns {
        assert_eq!(user.ended(first).await?["error_code"], "timeout");
        *second = Some(user.ask_in(&first.session_id, "!echo next").await?);
    }
    app.restart(Signal::KILL).await?;
    for (first, second) in &turns {
        let second = second.as_ref().ok_or("no second turn")?;
        let row = user.ended(second).await?;
        assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!("next")));
        let late = eventually("the late answer", async || {
            let row = user.turn(&first.turn_id).await?;
            Ok((row["state"] == "done").then_some(row))
        })
        .await?;
        assert_eq!(late["late"], true);
        assert!(late["response"].as_str().is_some_and(|answer| answer.trim_end().ends_with("line 60")), "{late}");
        for turn in [first, second] {
            assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
        }
    }
    Ok(())
}
