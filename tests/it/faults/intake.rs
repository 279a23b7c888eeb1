//! Questions that come twice, at once, too many, or while the server is killed.

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Follower;
use crate::harness::{Accepted, TestApp, Tested};

/// Posts of one and the same question.
const POSTS: usize = 10;

#[tokio::test]
async fn a_question_that_is_posted_ten_times_is_one_turn_also_after_a_restart() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let body = json!({ "user_message": "!count", "client_turn_id": "the same" });
    let mut posts = JoinSet::new();
    for _ in 0..POSTS {
        let (user, body) = (user.clone(), body.clone());
        posts.spawn(async move { user.submit(&body).await });
    }
    let turns: Vec<Accepted> = posts.join_all().await.into_iter().collect::<Tested<_>>()?;
    let turn = &turns[0];
    assert!(turns.iter().all(|other| (&other.turn_id, &other.session_id) == (&turn.turn_id, &turn.session_id)));
    app.restart(Signal::KILL).await?;
    let again = user.submit(&body).await?;
    assert_eq!((&again.turn_id, &again.session_id), (&turn.turn_id, &turn.session_id));
    Follower::of(&user, turn).done(&app, "1").await?;
    assert_eq!(user.submit(&body).await?.turn_id, turn.turn_id);
    assert_eq!((user.history(&turn.session_id, None).await?.len(), app.typed_all()?.len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn what_was_accepted_before_a_kill_is_there_and_what_was_not_can_be_asked_again() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo 0").await?;
    let body = |number: usize| {
        let id = format!("number {number}");
        json!({ "user_message": "!sleep 0.01", "client_turn_id": id, "session_id": first.session_id })
    };
    let mut posts = JoinSet::new();
    // Not more than may wait.
    for number in 0..7 {
        let (user, body) = (user.clone(), body(number));
        posts.spawn(async move { (number, user.submit(&body).await.ok()) });
    }
    let one = posts.join_next().await.ok_or("no post")??;
    app.stop(Signal::KILL)?;
    let mut answers = posts.join_all().await;
    answers.push(one);
    app.boot().await?;
    for (number, accepted) in answers {
        let turn = user.submit(&body(number)).await?;
        assert!(accepted.is_none_or(|accepted| accepted.turn_id == turn.turn_id), "acknowledged, and lost");
        Follower::of(&user, &turn).done(&app, "slept 0.01").await?;
    }
    assert_eq!(user.history(&first.session_id, None).await?.len(), 8);
    Ok(())
}

#[tokio::test]
async fn more_than_may_wait_are_refused_to_each_user_alone() -> Tested {
    let app = TestApp::start().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let mut waiting = Vec::new();
    for number in 0..8 {
        waiting.push(user.ask(&format!("!echo {number}")).await?);
    }
    let mut refused = user.post_turn(&json!({ "user_message": "!echo 9" })).await?;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_eq!(refused.problem().await?, "queue_full");
    assert_eq!(other.response("!echo mine").await?, "mine");
    user.cancelled(&waiting[3]).await?;
    let ninth = user.ask("!echo 8").await?;
    user.cancelled(&running).await?;
    for (number, turn) in waiting.iter().chain([&ninth]).enumerate().filter(|(number, _)| *number != 3) {
        Follower::of(&user, turn).done(&app, &number.to_string()).await?;
    }
    assert_eq!(user.turn(&waiting[3].turn_id).await?["error_code"], Value::Null);
    Ok(())
}
