//! Conversations as their user finds them: listed, searched, renamed, deleted, and read back page by page.

use serde_json::{Value, json};

use crate::harness::{Client, TestApp, Tested};

const PATH: &str = "/api/paliadin/conversations";

async fn listed(user: &Client, query: &str) -> Tested<Vec<String>> {
    let found = user.read(&format!("{PATH}{query}")).await?;
    let titles = found.as_array().ok_or("no array")?.iter().map(|one| one["title"].as_str().unwrap_or_default());
    Ok(titles.map(str::to_owned).collect())
}

async fn rename(user: &Client, session_id: &str, body: &Value) -> Tested<(u16, Value)> {
    let mut answer = user.request("PATCH", &format!("{PATH}/{session_id}")).json(body.to_string()).send().await?;
    Ok((answer.status, answer.json().await?))
}

async fn delete(user: &Client, session_id: &str) -> Tested<u16> {
    Ok(user.request("DELETE", &format!("{PATH}/{session_id}")).send().await?.status)
}

#[tokio::test]
async fn they_are_listed_newest_activity_first() -> Tested {
    let app = TestApp::start().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(user.read(PATH).await?, json!([]));
    let mut turns = Vec::new();
    for message in ["!echo one", "!echo two 100%", "!echo three"] {
        turns.push(user.ask(message).await?);
    }
    other.answer("!echo four").await?;
    assert_eq!(listed(&user, "").await?, ["!echo three", "!echo two 100%", "!echo one"]);
    let last = user.ask_in(&turns[0].session_id, "!ask five").await?;
    app.typed_once(&last.turn_id).await?;
    let all = user.read(PATH).await?;
    let row = user.turn(&last.turn_id).await?;
    assert_eq!(all[0]["session_id"], turns[0].session_id.as_str());
    assert_eq!((&all[0]["last_turn_id"], &all[0]["last_turn_at"]), (&row["turn_id"], &row["queued_at"]));
    assert_eq!((&all[0]["open_turns"], &all[1]["open_turns"]), (&json!(1), &json!(0)));
    assert_eq!(all[0]["created_at"], user.turn(&turns[0].turn_id).await?["queued_at"]);

    assert_eq!(listed(&user, "?limit=2").await?, ["!echo one", "!echo three"]);
    let before = all[1]["last_turn_id"].as_str().unwrap_or_default();
    assert_eq!(listed(&user, &format!("?limit=2&before={before}")).await?, ["!echo two 100%"]);
    for unusable in ["0", "-1", "201", "many", ""] {
        assert_eq!(listed(&user, &format!("?limit={unusable}")).await?.len(), 3, "limit={unusable}");
    }
    assert_eq!(listed(&user, "?search=FIVE").await?, ["!echo one"], "in a question that is not the first");
    assert_eq!(listed(&user, "?search=%25").await?, ["!echo two 100%"], "as it is written");
    assert_eq!(listed(&user, "?search=four").await?, Vec::<String>::new());
    assert_eq!(listed(&user, "?search=").await?.len(), 3);
    let long = format!("?search={}", "x".repeat(201));
    for refused in [long.as_str(), "?before=x"] {
        let mut refused = user.get(&format!("{PATH}{refused}")).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (400, "invalid_request"));
    }
    user.reset().await?;
    Ok(())
}

#[tokio::test]
async fn a_title_can_be_changed() -> Tested {
    let app = TestApp::start().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let turn = user.ask("!echo x").await?;
    user.ended(&turn).await?;
    let session = turn.session_id.as_str();
    let (status, renamed) = rename(&user, session, &json!({ "title": "  Größen & 数  " })).await?;
    assert_eq!((status, &renamed["title"]), (200, &json!("Größen & 数")), "{renamed}");
    assert_eq!(renamed, user.read(PATH).await?[0]);
    let longest = "ü".repeat(200);
    assert_eq!(rename(&user, session, &json!({ "title": longest })).await?.0, 200);
    let bodies = [
        json!({}),
        json!([]),
        json!(["x"]),
        json!({ "title": "" }),
        json!({ "title": " \t\n" }),
        json!({ "title": "x".repeat(201) }),
        json!({ "title": "a\u{7}b" }),
        json!({ "title": "a\nb" }),
        json!({ "title": 7 }),
        json!({ "title": "x", "hidden_at": null }),
    ];
    for body in bodies {
        let (status, refused) = rename(&user, session, &body).await?;
        assert_eq!((status, &refused["code"]), (400, &json!("invalid_request")), "{body}: {refused}");
    }
    for (stranger, session) in
        [(&other, session), (&app.owner()?, session), (&user, turn.turn_id.as_str()), (&user, "x")]
    {
        assert_eq!(rename(stranger, session, &json!({ "title": "mine" })).await?.0, 404);
    }
    assert_eq!(listed(&user, "").await?, [longest]);
    let mut wrong = user.get(&format!("{PATH}/{session}")).await?;
    assert_eq!((wrong.status, wrong.problem().await?.as_str()), (405, "method_not_allowed"));
    Ok(())
}

#[tokio::test]
async fn what_was_deleted_is_not_there_any_more() -> Tested {
    let app = TestApp::start().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let body = json!({ "user_message": "!echo x", "client_turn_id": "first" });
    let turn = user.submit(&body).await?;
    user.ended(&turn).await?;
    let kept = user.ask("!echo kept").await?;
    user.ended(&kept).await?;
    let session = turn.session_id.as_str();
    assert_eq!(delete(&other, session).await?, 404);
    assert_eq!(delete(&user, session).await?, 204);
    assert_eq!(delete(&user, session).await?, 404);
    assert_eq!(listed(&user, "").await?, ["!echo kept"]);
    assert_eq!(user.history(session, None).await?, Vec::<Value>::new());
    for path in [format!("/api/paliadin/turns/{}", turn.turn_id), turn.sse_url.clone()] {
        let mut refused = user.get(&path).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{path}");
    }
    // Neither another question nor a retry brings it back.
    for body in [json!({ "user_message": "!echo y", "session_id": session }), body] {
        let mut refused = user.post_turn(&body).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{body}");
    }
    assert_eq!(rename(&user, session, &json!({ "title": "back" })).await?.0, 404);
    assert_eq!(user.turn(&kept.turn_id).await?["state"], "done");
    Ok(())
}

#[tokio::test]
async fn history_goes_back_page_by_page() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.submit(&json!({ "user_message": "!echo 1", "client_turn_id": "mine" })).await?;
    let session = first.session_id.as_str();
    let mut turns = vec![first.clone()];
    for number in 2..=5 {
        turns.push(user.ask_in(session, &format!("!echo {number}")).await?);
    }
    user.ended(&turns[4]).await?;
    let page = async |before: &str| -> Tested<Vec<Value>> {
        let path = format!("/api/paliadin/history?session={session}&limit=2&before={before}");
        let turns = user.read(&path).await?;
        Ok(turns.as_array().ok_or("no array")?.iter().map(|turn| turn["response"].clone()).collect())
    };
    assert_eq!(page("").await?, ["4", "5"]);
    assert_eq!(page(&turns[3].turn_id).await?, ["2", "3"]);
    assert_eq!(page(&turns[1].turn_id.to_uppercase()).await?, ["1"]);
    assert_eq!(page(&turns[0].turn_id).await?, Vec::<Value>::new());
    let refused = user.get(&format!("/api/paliadin/history?session={session}&before=7")).await?.problem().await?;
    assert_eq!(refused, "invalid_request");
    let all = user.history(session, None).await?;
    assert_eq!((&all[0]["client_turn_id"], &all[1]["client_turn_id"]), (&json!("mine"), &Value::Null));
    Ok(())
}

#[tokio::test]
async fn the_status_tells_of_limits_and_of_the_agents_last_end() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.status().await?["max_message"], 65_536);
    assert_eq!(user.response("!echo x").await?, "x");
    let session = user.status().await?["agent_session"].clone();
    assert_eq!((&session["last_exit"], &session["last_reason"]), (&Value::Null, &json!("agent started")));
    user.answer("!die").await?;
    assert_eq!(user.response("!echo x").await?, "x");
    let session = user.status().await?["agent_session"].clone();
    assert_eq!(session["last_exit"]["reason"], "the agent exited with status 1");
    assert!(session["last_exit"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{session}");
    assert_eq!(session["last_reason"], "agent restarted after it exited with status 1, it remembers nothing");
    user.reset().await?;
    assert_eq!(user.response("!echo x").await?, "x");
    let session = user.status().await?["agent_session"].clone();
    assert_eq!(session["last_reason"], "agent started");
    assert_eq!(session["last_exit"]["reason"], "the agent was ended by a reset");
    Ok(())
}
