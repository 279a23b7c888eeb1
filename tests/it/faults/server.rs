//! PostgreSQL is stopped and started again, in mid-turn and while turns wait.

use std::fs;

use rustix::process::Signal;
use serde_json::json;
use sqlx::raw_sql;

use super::{Follower, lines};
use crate::harness::postgres::Cluster;
use crate::harness::sse::kinds;
use crate::harness::{TestApp, Tested, eventually};

/// A product on a PostgreSQL of its own, which it may stop.
async fn on_server() -> Tested<(TestApp, Cluster)> {
    let cluster = Cluster::start()?;
    let database = cluster.create().await?;
    Ok((on(&cluster, &database).await?, cluster))
}

async fn on(cluster: &Cluster, database: &str) -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[("DATABASE_URL", &cluster.url(database))])?;
    app.boot().await?;
    Ok(app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_in_mid_turn_costs_no_event() -> Tested {
    let (app, mut cluster) = on_server().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 400 20").await?;
    let waiting = user.ask("!echo waited").await?;
    let followers = (Follower::of(&user, &turn), Follower::of(&user, &waiting));
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    cluster.stop()?;
    let mut refused = user.post_turn(&json!({ "user_message": "!echo more" })).await?;
    assert_eq!((refused.status, refused.problem().await?.as_str()), (503, "store_unavailable"));
    assert_eq!(app.nobody().get("/readyz").await?.status, 503);
    for _ in 0..20 {
        stream.until("content").await?;
    }
    assert_eq!(app.typed_all()?.len(), 1, "what was refused is not typed");
    cluster.resume()?;
    let seen = followers.0.done(&app, &lines(400)).await?;
    assert!(!kinds(&seen).contains(&"resync"), "no event was lost");
    followers.1.done(&app, "waited").await?;
    eventually("turns to be accepted", async || Ok((app.nobody().get("/readyz").await?.status == 200).then_some(())))
        .await?;
    assert_eq!(user.response("!count").await?, "3");
    drop(app);
    drop(cluster);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_while_it_is_away_is_recorded_when_it_is_back() -> Tested {
    let (mut app, mut cluster) = on_server().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 100 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    cluster.stop()?;
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    eventually("the answer", async || Ok(answer.exists().then_some(()))).await?;
    // Neither a stop nor the way back loses it.
    app.stop(Signal::TERM)?;
    cluster.resume()?;
    app.boot().await?;
    follower.done(&app, &lines(100)).await?;
    assert_eq!(user.response("!count").await?, "2");
    drop(app);
    drop(cluster);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_may_not_be_written_for_a_while_is_written_then() -> Tested {
    let cluster = Cluster::start()?;
    let database = cluster.create().await?;
    let mut administrator = cluster.connect(&database).await?;
    let app = on(&cluster, &database).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 100 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    // As by a restore.
    raw_sql("ALTER TABLE paliadin_turns RENAME TO elsewhere").execute(&mut administrator).await?;
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    eventually("the answer", async || Ok(answer.exists().then_some(()))).await?;
    eventually("a try to record it", async || {
        let log = fs::read_to_string(app.root().join("server.log"))?;
        Ok(log.contains("commit failed").then_some(()))
    })
    .await?;
    let mut refused = user.post_turn(&json!({ "user_message": "!echo more" })).await?;
    assert_eq!((refused.status, refused.problem().await?.as_str()), (503, "store_unavailable"));
    raw_sql("ALTER TABLE elsewhere RENAME TO paliadin_turns").execute(&mut administrator).await?;
    follower.done(&app, &lines(100)).await?;
    assert_eq!(user.response("!count").await?, "2");
    drop(app);
    drop(cluster);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_is_told_in_one_line() -> Tested {
    let (mut app, mut cluster) = on_server().await?;
    app.stop(Signal::TERM)?;
    cluster.stop()?;
    let output = app.run(&["serve"])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{told}");
    let said: Vec<&str> = told.lines().filter(|line| line.starts_with("paliadin: ")).collect();
    assert!(matches!(said.as_slice(), [line] if line.contains("PostgreSQL at")), "{told}");
    Ok(())
}
