//! The janitor in trouble: it tries again, says so once, and takes nothing along.

use serde_json::{Value, json};

use super::{SWEEPS, answer, answered, died, logged, swept};
use crate::harness::{TestApp, Tested, eventually};

async fn janitor(app: &TestApp) -> Tested<Value> {
    let actors = app.owner()?.actors().await?;
    Ok(actors.into_iter().find(|actor| actor["path"] == "root/janitor").ok_or("no janitor")?)
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_waited_for() -> Tested {
    let app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    swept(&app, 1).await?;
    let mut other = app.database().await?;
    other.lock().await?;
    answer(&app, &turn, "at last")?;
    let trouble = "the janitor cannot do its work now";
    eventually("word of the trouble", async || Ok((logged(&app, trouble)? > 0).then_some(()))).await?;
    // It tries several times and says it once.
    let note = eventually("the note to tell", async || {
        let janitor = janitor(&app).await?;
        Ok(janitor["note"].as_str().filter(|note| note.contains("unavailable")).map(str::to_owned))
    });
    note.await?;
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "failed");
    assert_eq!(user.get(&format!("/api/paliadin/turns/{}/recover", turn.turn_id)).await?.status, 503);
    assert_eq!(logged(&app, trouble)?, 1);
    assert_eq!(janitor(&app).await?["restarts"], 0);
    other.unlock().await?;
    assert_eq!(answered(&user, &turn).await?["response"], "at last");
    eventually("word of the end", async || Ok((logged(&app, "the janitor can do its work again")? == 1).then_some(())))
        .await?;
    assert_eq!((janitor(&app).await?["restarts"].clone(), logged(&app, "a child of root ended")?), (json!(0), 0));
    Ok(())
}

#[tokio::test]
async fn a_janitor_that_fails_is_started_again_and_knows_what_it_awaits() -> Tested {
    let app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    for restarts in 1..=2 {
        app.arm("janitor.sweep")?;
        eventually("a restart", async || Ok((janitor(&app).await?["restarts"] == restarts).then_some(()))).await?;
    }
    answer(&app, &turn, "all the same")?;
    assert_eq!(answered(&user, &turn).await?["response"], "all the same");
    assert_eq!(janitor(&app).await?["status"], "running");
    Ok(())
}

#[tokio::test]
async fn a_janitor_that_keeps_failing_is_shown_as_failed_and_nobody_else_minds() -> Tested {
    let app = TestApp::with(&[SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    eventually("the janitor to be given up", async || {
        app.arm("janitor.sweep")?;
        Ok((janitor(&app).await?["status"] == "failed").then_some(()))
    })
    .await?;
    assert_eq!(user.response("!echo fine").await?, "fine");
    let turn = died(&user).await?;
    assert_eq!(user.get(&format!("/api/paliadin/turns/{}/recover", turn.turn_id)).await?.status, 503);
    Ok(())
}
