//! Turns from question to answer: streaming, order, the queue, what ends a turn early, and what a restart leaves.

mod cancel;
mod deleted;
mod endings;
mod limits;
mod questions;
mod queue;
mod reply;
mod restart;
mod scope;
mod seats;
mod transcripts;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::sse::{held, kinds};
use crate::harness::{Event, TestApp, Tested};

#[tokio::test]
async fn an_answer_streams_line_by_line() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 20 100").await?;
    let events = user.collect(&turn).await?;
    let pieces: Vec<&Event> = events.iter().filter(|event| event.kind == "content").collect();
    assert!(pieces.len() >= 15, "{} pieces of 20 lines", pieces.len());
    assert!(pieces.iter().all(|piece| piece.data["streamed"] == true), "{pieces:?}");
    // 19 pauses of 100 ms lie between the first line and the last.
    let spread = pieces[pieces.len() - 1].at - pieces[0].at;
    assert!(spread >= Duration::from_millis(1_500), "all lines came within {spread:?}");
    let halfway = pieces[0].at + spread / 2;
    let early = pieces.iter().filter(|piece| piece.at < halfway).count();
    assert!((4..=16).contains(&early), "{early} of {} pieces came in the first half", pieces.len());

    let answer: String = (1..=20).map(|line| format!("line {line}\n")).collect();
    assert_eq!(held(&events), answer);
    let row = user.turn(&turn.turn_id).await?;
    assert_eq!((&row["response"], &row["state"]), (&json!(answer), &json!("done")));
    assert_eq!((&row["partial"], &row["error_code"], &row["late"]), (&Value::Null, &Value::Null, &json!(false)));
    assert_eq!(kinds(&events)[..2], ["queued", "meta"]);
    let end = &events[events.len() - 1];
    assert_eq!((end.kind.as_str(), &end.data["streamed"]), ("end", &json!(true)));
    assert_eq!(end.data["turn_id"], turn.turn_id.as_str());
    Ok(())
}

#[tokio::test]
async fn the_row_and_the_end_tell_what_the_trailer_says() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!meta sql,search 3,4 lookup").await?;
    let events = user.collect(&turn).await?;
    let row = user.turn(&turn.turn_id).await?;
    for told in [&events[events.len() - 1].data, &row] {
        assert_eq!(told["used_tools"], json!(["sql", "search"]), "{told}");
        assert_eq!(told["rows_seen"], json!([3, 4]), "{told}");
        assert_eq!(told["classifier_tag"], "lookup", "{told}");
        assert!(told["duration_ms"].as_i64().is_some_and(|duration| duration >= 0), "{told}");
    }
    assert_eq!(row["response"], "meta");
    assert_eq!(held(&events), "meta");

    let row = user.answer("What is this?").await?;
    assert_eq!((&row["chip_count"], &row["used_tools"]), (&json!(2), &json!(["demo"])));
    assert!(row["response"].as_str().is_some_and(|text| !text.contains("<!--") && text.contains("chip:ask/")), "{row}");
    Ok(())
}

#[tokio::test]
async fn the_agent_gets_the_page_context() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let context = json!({ "page_origin": "https://shop.example", "route": "/orders/7", "extra": { "n": [1, null] } });
    let body = json!({ "user_message": "!context", "context": context });
    let turn = user.submit(&body).await?;
    let row = user.ended(&turn).await?;
    let seen: Value = serde_json::from_str(row["response"].as_str().unwrap_or_default())?;
    assert_eq!(seen, context);
    assert_eq!(user.response("!context").await?, "none");
    Ok(())
}

#[tokio::test]
async fn a_question_of_the_agent_is_told() -> Tested {
    let app = TestApp::with(&[("PALIADIN_STREAM__THINKING", "100ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask Which table?").await?;
    let mut stream = user.stream(&turn, None).await?;
    let asked = stream.until("attention").await?;
    assert_eq!((&asked.data["kind"], &asked.data["prompt"]), (&json!("question"), &json!("Which table?")));
    assert!(asked.data["options"].is_array() && asked.id.is_some(), "{}", asked.raw);
    assert_eq!(stream.until("thinking").await?.data["upstream"], "attention");
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
    user.reset().await?;
    Ok(())
}

#[tokio::test]
async fn the_same_client_turn_id_is_the_same_turn() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let body = json!({ "user_message": "!count", "client_turn_id": "first" });
    let (one, two) = tokio::join!(user.submit(&body), user.submit(&body));
    let (one, two) = (one?, two?);
    assert_eq!((&one.turn_id, &one.session_id), (&two.turn_id, &two.session_id));
    let row = user.ended(&one).await?;
    assert_eq!(row["response"], "1");
    let again = user.submit(&body).await?;
    assert_eq!(again.turn_id, one.turn_id, "also when it is long over");
    assert_eq!(user.turn(&one.turn_id).await?, row);
    assert_eq!(app.typed(&one.turn_id)?.len(), 1);

    let other = app.user("bob@example.org")?;
    let theirs = other.submit(&body).await?;
    assert_ne!(theirs.turn_id, one.turn_id, "the id is each user's own");
    assert_eq!(other.ended(&theirs).await?["response"], "1");
    Ok(())
}

#[tokio::test]
async fn history_is_a_conversation_oldest_first() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo 1").await?;
    user.ended(&first).await?;
    let session = first.session_id.as_str();
    for text in ["!echo 2", "!echo 3"] {
        let turn = user.ask_in(session, text).await?;
        assert_eq!(turn.session_id, session);
        user.ended(&turn).await?;
    }
    user.answer("!echo elsewhere").await?;
    let responses = async |limit| -> Tested<Vec<String>> {
        let turns = user.history(session, limit).await?;
        Ok(turns.iter().map(|turn| turn["response"].as_str().unwrap_or_default().to_owned()).collect())
    };
    assert_eq!(responses(None).await?, ["1", "2", "3"]);
    assert_eq!(responses(Some("2")).await?, ["2", "3"], "the last ones, oldest first");
    for unusable in ["0", "-1", "201", "many", "", "1e3"] {
        assert_eq!(responses(Some(unusable)).await?, ["1", "2", "3"], "limit={unusable}");
    }
    assert_eq!(user.read("/api/paliadin/history").await?, json!([]));
    assert_eq!(user.read("/api/paliadin/history?session=").await?, json!([]));
    assert_eq!(user.get("/api/paliadin/history?session=x").await?.problem().await?, "invalid_request");
    let other = app.user("bob@example.org")?;
    assert_eq!(other.history(session, None).await?, Vec::<Value>::new(), "someone else's is empty");
    assert_eq!(
        other.post_turn(&json!({ "user_message": "x", "session_id": session })).await?.problem().await?,
        "not_found"
    );
    Ok(())
}
