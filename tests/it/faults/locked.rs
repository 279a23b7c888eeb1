//! Another process holds the database's write lock.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use sqlx::{AssertSqlSafe, SqliteConnection, query};

use super::{Follower, lines};
use crate::harness::sse::kinds;
use crate::harness::{TestApp, Tested};

/// A clean stop, with whatever is the matter.
const STOP: Duration = Duration::from_secs(5);

/// Locks the database by a transaction of this process, which is another one than the server's; it ends with the connection.
async fn lock(app: &TestApp, how: &str) -> Tested<SqliteConnection> {
    let mut database = app.database().await?;
    query(AssertSqlSafe(format!("BEGIN {how}"))).execute(&mut database).await?;
    Ok(database)
}

/// Gives the lock back.
async fn unlock(mut database: SqliteConnection) -> Tested {
    query("ROLLBACK").execute(&mut database).await?;
    Ok(())
}

async fn on_file() -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[])?;
    app.use_file()?;
    app.boot().await?;
    Ok(app)
}

#[tokio::test]
async fn a_locked_database_refuses_new_turns_and_holds_up_none_that_runs() -> Tested {
    let app = on_file().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 800 20").await?;
    let follower = Follower::of(&user, &turn);
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    let other = app.user("bob@example.org")?;
    assert_eq!(other.response("!count").await?, "1");
    let database = lock(&app, "EXCLUSIVE").await?;
    let (hers, his) = (json!({ "user_message": "!echo her" }), json!({ "user_message": "!echo his" }));
    let nobody = app.nobody();
    let refusals = async { tokio::join!(user.post_turn(&hers), other.post_turn(&his), nobody.get("/readyz")) };
    let mut pieces = 0;
    let refused = {
        let mut refusals = std::pin::pin!(refusals);
        loop {
            tokio::select! {
                refused = &mut refusals => break refused,
                piece = stream.until("content") => pieces += usize::from(piece.is_ok()),
            }
        }
    };
    for mut refused in [refused.0?, refused.1?, refused.2?] {
        assert_eq!((refused.status, refused.problem().await?.as_str()), (503, "store_unavailable"));
        assert_eq!(refused.header("retry-after"), Some("5"));
    }
    println!("{pieces} pieces while it was locked");
    assert!(pieces > 20, "the stream goes on");
    assert_eq!(app.typed_all()?.len(), 2, "what was refused is not typed");
    // Its end waits for the record of it.
    stream.until("content").await?;
    unlock(database).await?;
    let seen = follower.done(&app, &lines(800)).await?;
    assert!(!kinds(&seen).contains(&"resync"), "no event was lost");
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    assert_eq!(other.response("!count").await?, "2");
    assert_eq!(app.typed_all()?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_stop_while_the_database_is_locked_is_quick_and_loses_nothing() -> Tested {
    let mut app = on_file().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 20 20").await?;
    let waiting = user.ask("!echo waited").await?;
    let followers = (Follower::of(&user, &turn), Follower::of(&user, &waiting));
    user.stream(&turn, None).await?.until("content").await?;
    let database = lock(&app, "IMMEDIATE").await?;
    // The answer is there, and cannot be recorded.
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    crate::harness::eventually("the answer", async || Ok(answer.exists().then_some(()))).await?;
    let since = Instant::now();
    app.stop(Signal::TERM)?;
    assert!(since.elapsed() < STOP, "{:?}", since.elapsed());
    unlock(database).await?;
    app.boot().await?;
    followers.0.done(&app, &lines(20)).await?;
    followers.1.done(&app, "waited").await?;
    Ok(())
}
