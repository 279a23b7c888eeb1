//! Who is served when.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::harness::{Client, Event, TestApp, Tested, eventually};

/// When a turn ran, as its row tells.
fn span(row: &Value) -> Tested<(String, String)> {
    let at = |name: &str| row[name].as_str().map(str::to_owned).ok_or_else(|| format!("no {name}: {row}"));
    Ok((at("started_at")?, at("finished_at")?))
}

#[tokio::test]
async fn turns_of_one_user_run_one_after_the_other() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!lines 50 20").await?;
    let second = user.ask("!echo second").await?;
    assert_eq!((first.position, second.position), (0, 1));
    let (one, two) = tokio::join!(user.collect(&first), user.collect(&second));
    let (one, two) = (one?, two?);
    let meta = two.iter().find(|event| event.kind == "meta").ok_or("no meta")?;
    assert!(one[one.len() - 1].at <= meta.at, "the second began before the first had ended");
    assert_eq!((two[0].kind.as_str(), &two[0].data["position"]), ("queued", &json!(1)));
    let rows = [user.turn(&first.turn_id).await?, user.turn(&second.turn_id).await?];
    assert_eq!(rows[0]["response"].as_str().map(|text| text.lines().count()), Some(50));
    assert_eq!(rows[1]["response"], "second");
    assert!(span(&rows[0])?.1 <= span(&rows[1])?.0, "{rows:?}");
    let typed: Vec<_> = app.typed_all()?.iter().filter_map(|typed| typed.turn().map(str::to_owned)).collect();
    assert_eq!(typed, [first.turn_id, second.turn_id]);
    Ok(())
}

#[tokio::test]
async fn turns_of_two_users_run_side_by_side() -> Tested {
    let app = TestApp::start().await?;
    let users = [app.user("ann@example.org")?, app.user("bob@example.org")?];
    // Their agents are there already, so that only the turns themselves are seen.
    let ready = |user: Client| async move { user.response("!count").await };
    let (one, two) = tokio::join!(ready(users[0].clone()), ready(users[1].clone()));
    assert_eq!((one?, two?), ("1".to_owned(), "1".to_owned()));

    let first = users[0].ask("!lines 50 20").await?;
    let second = users[1].ask("!lines 50 20").await?;
    assert_eq!((first.position, second.position), (0, 0));
    let (one, two) = tokio::join!(users[0].collect(&first), users[1].collect(&second));
    let (one, two) = (one?, two?);
    let pieces = |events: &[Event]| -> Vec<_> {
        events.iter().filter(|event| event.kind == "content").map(|event| event.at).collect()
    };
    let (one, two) = (pieces(&one), pieces(&two));
    let during =
        |other: &[std::time::Instant]| two.iter().filter(|at| **at > other[0] && **at < other[other.len() - 1]).count();
    assert!(during(&one) >= 10, "only {} of {} pieces came while the other one streamed", during(&one), two.len());
    let rows = [users[0].turn(&first.turn_id).await?, users[1].turn(&second.turn_id).await?];
    let (one, two) = (span(&rows[0])?, span(&rows[1])?);
    assert!(one.0 < two.1 && two.0 < one.1, "{one:?} and {two:?} do not overlap");
    Ok(())
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_positions_are_told() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let mut waiting = Vec::new();
    for place in 1..=8 {
        let turn = user.ask(&format!("!echo {place}")).await?;
        assert_eq!(turn.position, place);
        waiting.push(turn);
    }
    let mut refused = user.post_turn(&json!({ "user_message": "one too many", "client_turn_id": "ninth" })).await?;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|after| after > 0)));
    assert_eq!(refused.problem().await?, "queue_full");
    eventually("all of them to be shown", async || {
        let queued = user.status().await?["agent_session"]["queued"].clone();
        Ok((queued.as_array().map(Vec::len) == Some(8)).then_some(()))
    })
    .await?;
    let other = app.user("bob@example.org")?;
    assert_eq!(other.response("!echo free").await?, "free", "the limit is each user's own");

    user.reset().await?;
    for turn in &waiting {
        let row = user.ended(turn).await?;
        assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("session_reset")));
    }
    let again = user.submit(&json!({ "user_message": "!echo again", "client_turn_id": "ninth" })).await?;
    assert_eq!(user.ended(&again).await?["response"], "again", "a refusal leaves no row");
    Ok(())
}

#[tokio::test]
async fn waiting_turns_are_told_how_they_move_up() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut turns = Vec::new();
    for message in ["!sleep 0.5", "!sleep 0.1", "!echo last"] {
        turns.push(user.ask(message).await?);
    }
    let events = user.collect(&turns[2]).await?;
    let positions: Vec<_> =
        events.iter().filter(|event| event.kind == "queued").map(|event| event.data["position"].clone()).collect();
    assert_eq!(positions, [json!(2), json!(1)]);
    assert_eq!(user.turn(&turns[2].turn_id).await?["response"], "last");
    Ok(())
}

/// Several are accepted before the first one has been started, which changes the position of none of them.
#[tokio::test]
async fn a_position_is_told_once() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let ask = |number: u32| {
        let user = user.clone();
        async move { user.ask(&format!("!echo {number}")).await }
    };
    let turns = try_join_all((0..8).map(ask)).await?;
    for turn in &turns {
        let events = user.collect(turn).await?;
        let mut positions: Vec<_> =
            events.iter().filter(|event| event.kind == "queued").map(|event| &event.data["position"]).collect();
        assert_eq!(positions.first(), Some(&&json!(turn.position)));
        let told = positions.len();
        positions.dedup();
        assert_eq!(positions.len(), told, "told again: {positions:?}");
    }
    Ok(())
}
