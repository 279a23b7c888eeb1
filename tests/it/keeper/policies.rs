//! What profiles say about agents that have ended, and agents that do not start.

use std::fs;

use serde_json::json;

use super::QUICK;
use crate::harness::{TestApp, Tested};

/// The demo agent under this policy.
async fn under(policy: &str) -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[QUICK])?;
    let profiles = app.root().join("profiles");
    fs::create_dir(&profiles)?;
    let command = "command = [\"{paliadin}\", \"agent\", \"demo\"]\nnewline = \"lf\"\ninterrupt_key = \"Escape\"\n";
    fs::write(profiles.join("kept.toml"), format!("{command}restart = \"{policy}\"\n"))?;
    app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
    app.set("PALIADIN_PROFILE", "kept");
    app.boot().await?;
    Ok(app)
}

#[tokio::test]
async fn on_demand_it_is_the_next_turn_that_starts_an_agent_again() -> Tested {
    let app = under("on_demand").await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.answer("!die").await?["error_code"], "agent_died");
    super::agent_is(&user, "ended").await?;
    assert_eq!(app.agents()?, 0);
    assert_eq!(user.response("!count").await?, "1");
    let session = super::session(&user).await?;
    assert_eq!((&session["restarts"], &session["last_start"]["after"]), (&json!(1), &json!("exited with status 1")));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_never_started_again_waits_for_a_reset() -> Tested {
    let app = under("never").await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.answer("!die").await?["error_code"], "agent_died");
    let refused = user.ask("!count").await?;
    let events = user.collect(&refused).await?;
    let error = &events.last().ok_or("no event")?.data;
    assert_eq!(error["code"], "agent_died");
    assert!(error["message"].as_str().is_some_and(|told| told.contains("started once only")), "{error}");
    assert_eq!(app.typed(&refused.turn_id)?.len(), 0);
    user.reset().await?;
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_never_gets_ready_is_given_up_too() -> Tested {
    let mut app = TestApp::prepare(&[QUICK])?;
    app.agent_after("test -e \"$PALIADIN_SPOOL/../../mended\" || exit 3")?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    for _ in 0..4 {
        let row = user.answer("!count").await?;
        assert_eq!(row["error_code"], "bootstrap_failed", "{row}");
    }
    let refused = user.ask("!count").await?;
    let error = user.collect(&refused).await?.pop().ok_or("no event")?.data;
    assert_eq!(error["code"], "agent_crash_loop");
    assert!(error["message"].as_str().is_some_and(|told| told.contains("exited with status 3")), "{error}");
    fs::write(app.state().join("mended"), "")?;
    assert_eq!(user.answer("!count").await?["error_code"], "agent_crash_loop");
    user.reset().await?;
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}
