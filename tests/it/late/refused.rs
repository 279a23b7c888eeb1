//! What is no late answer, and what is not wanted.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::{NO_SWEEPS, SWEEPS, answer, answer_file, answered, died, logged, swept};
use crate::harness::{TestApp, Tested, eventually};

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_said_once() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS, ("PALIADIN_TURN__MAX_RESPONSE", "1000")]).await?;
    let user = app.user("ann@example.org")?;
    let secret = app.root().join("secret");
    fs::write(&secret, "a secret")?;
    let turn = died(&user).await?;
    let file = answer_file(&app, &turn)?;
    let before = user.turn(&turn.turn_id).await?;
    let words = "what came as a late answer cannot be used";

    symlink(&secret, &file)?;
    eventually("a word in the log", async || Ok((logged(&app, words)? == 1).then_some(()))).await?;
    assert_eq!(user.recovery(&turn).await?, "lost");
    fs::remove_file(&file)?;
    answer(&app, &turn, &"x".repeat(100_000))?;
    assert_eq!(user.recovery(&turn).await?, "lost");
    answer(&app, &turn, &"x".repeat(1_001))?;
    assert_eq!(user.recovery(&turn).await?, "lost");
    assert_eq!(user.turn(&turn.turn_id).await?, before);
    assert_eq!(logged(&app, words)?, 1);
    assert_eq!(fs::read_to_string(&secret)?, "a secret");

    answer(&app, &turn, &"x".repeat(1_000))?;
    assert_eq!(answered(&user, &turn).await?["response"].as_str().map(str::len), Some(1_000));
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_used_keeps_nobody_busy() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    symlink("/nowhere", answer_file(&app, &turn)?)?;
    let words = "what came as a late answer cannot be used";
    eventually("a word in the log", async || Ok((logged(&app, words)? == 1).then_some(()))).await?;
    let handled = async || -> Tested<i64> {
        let actors = app.owner()?.actors().await?;
        let janitor = actors.iter().find(|actor| actor["path"] == "root/janitor").ok_or("no janitor")?;
        Ok(janitor["handled"].as_i64().unwrap_or_default())
    };
    let before = handled().await?;
    // Something else that takes its time.
    let other = app.user("bob@example.org")?;
    other.response("!sleep 1").await?;
    assert!(handled().await? - before <= 4, "{} messages", handled().await? - before);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_turn_stays_cancelled() -> Tested {
    let app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    user.cancelled(&turn).await?;
    let row = user.ended(&turn).await?;
    assert_eq!(row["state"], "cancelled");
    assert_eq!(user.response("!echo on").await?, "on");
    answer(&app, &turn, "too late")?;
    eventually("the file to go", async || Ok((!answer_file(&app, &turn)?.exists()).then_some(()))).await?;
    assert_eq!(user.turn(&turn.turn_id).await?, row);
    Ok(())
}

#[tokio::test]
async fn an_agent_cannot_answer_anothers_turn() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_JANITOR__ORPHAN_AGE", "1ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    let own = app.spool()?;
    let other = app.user("bob@example.org")?;
    assert_eq!(other.response("!count").await?, "1");
    let spools: Vec<_> = fs::read_dir(app.state().join("spool"))?.flatten().map(|entry| entry.path()).collect();
    let foreign = spools.into_iter().find(|path| *path != own).ok_or("no other spool")?;
    let file = foreign.join(format!("out/{}.txt", turn.turn_id));
    fs::write(&file, "forged")?;
    eventually("the file to go", async || Ok((!file.exists()).then_some(()))).await?;
    let row = user.turn(&turn.turn_id).await?;
    assert_eq!((&row["state"], &row["response"]), (&json!("failed"), &Value::Null), "{row}");
    Ok(())
}

#[tokio::test]
async fn after_the_window_the_files_of_a_lost_turn_go() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_TURN__RECOVERY_WINDOW", "1ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    let file = answer_file(&app, &turn)?;
    symlink("/nowhere", &file)?;
    eventually("the file to go", async || Ok(file.symlink_metadata().is_err().then_some(()))).await?;
    assert!(swept(&app, 2).await?.starts_with("0 late answers awaited"));
    // Whenever an answer comes, it is taken.
    answer(&app, &turn, "years later")?;
    assert_eq!(answered(&user, &turn).await?["response"], "years later");
    Ok(())
}
