//! A user with a hundred megabytes of answers: what is asked of them is bounded, and nobody else waits for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::database::Database;
use crate::harness::{Accepted, Client, TestApp, Tested};

/// Answers of a megabyte each.
const ANSWERS: usize = 100;

const FILL: &str = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < CAST(?2 AS INTEGER)) \
     INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, state, backend, profile, user_message, \
     queued_at, finished_at, response, created_at, updated_at) \
     SELECT printf('01900000-0000-7000-8000-%012d', n), user_id, session_id, agent_session, 'done', backend, profile, \
     'more', queued_at, queued_at, replace(hex(zeroblob(500000)), '00', 'ab'), created_at, updated_at \
     FROM paliadin_turns, number WHERE turn_id = ?1";

/// The same for PostgreSQL.
const FILL_SERVER: &str = "INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, state, backend, \
     profile, user_message, queued_at, finished_at, response, created_at, updated_at) \
     SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, user_id, session_id, agent_session, 'done', \
     backend, profile, 'more', queued_at, queued_at, repeat('ab', 500000), created_at, updated_at \
     FROM paliadin_turns, generate_series(1, CAST(?2 AS integer)) n WHERE turn_id = ?1";

/// A conversation of many large answers, and its last turn, a small one.
async fn fill(app: &TestApp, user: &Client) -> Tested<Accepted> {
    let turn = user.ask("!echo small").await?;
    user.ended(&turn).await?;
    let mut database = app.database().await?;
    let count = ANSWERS.to_string();
    let filled = match &mut database {
        Database::Sqlite(_) => {
            database.run("PRAGMA synchronous = OFF", &[]).await?;
            database.run(FILL, &[&turn.turn_id, &count]).await?
        }
        Database::Postgres(_) => database.run(FILL_SERVER, &[&turn.turn_id, &count]).await?,
    };
    assert_eq!(filled, u64::try_from(ANSWERS)?);
    Ok(turn)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_hold_up_nobody_else() -> Tested {
    let app = TestApp::start().await?;
    let (searcher, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    fill(&app, &searcher).await?;
    assert_eq!(other.response("!echo ready").await?, "ready");
    let (stop, begun, answered) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let search = async || -> Tested {
        while !stop.load(Ordering::Relaxed) {
            begun.fetch_add(1, Ordering::Relaxed);
            let mut found = searcher.get("/api/paliadin/conversations?search=zzzz").await?;
            match found.status {
                200 => assert_eq!(found.json().await?, json!([])),
                503 => assert_eq!(found.problem().await?, "store_unavailable"),
                status => return Err(format!("a search was answered with {status}").into()),
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let use_it = async || -> Tested<usize> {
        // One is answered, the next one runs, and the rest waits.
        while answered.load(Ordering::Relaxed) == 0 || begun.load(Ordering::Relaxed) < 12 {
            tokio::task::yield_now().await;
        }
        let before = answered.load(Ordering::Relaxed);
        for number in 0..10 {
            other.status().await?;
            let turn = other.ask(&format!("!echo {number}")).await?;
            assert_eq!(other.ended(&turn).await?["response"], number.to_string());
        }
        Ok(answered.load(Ordering::Relaxed) - before)
    };
    let other_one = async {
        let meanwhile = use_it().await;
        stop.store(true, Ordering::Relaxed);
        meanwhile
    };
    let (searched, meanwhile) = tokio::join!(join_all((0..12).map(|_| search())), other_one);
    for search in searched {
        search?;
    }
    // Ten turns with all that belongs to them take less than a second. Were the readers shared, each single read of
    // theirs would wait for some searches.
    let meanwhile = meanwhile?;
    println!("{meanwhile} searches were answered meanwhile");
    assert!(meanwhile < 20, "{meanwhile} searches were answered meanwhile");
    Ok(())
}

#[tokio::test]
async fn a_page_of_history_has_a_bounded_size() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let last = fill(&app, &user).await?;
    let (mut ids, mut pages, mut before) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/api/paliadin/history?session={}&limit=200&before={before}", last.session_id);
        let text = user.get(&path).await?.text().await?;
        assert!(text.len() < 9_000_000, "{} bytes", text.len());
        let page: Vec<Value> = serde_json::from_str(&text)?;
        let Some(oldest) = page.first() else { break };
        before = oldest["turn_id"].as_str().unwrap_or_default().to_owned();
        let newest_first = page.iter().rev().map(|turn| turn["turn_id"].as_str().unwrap_or_default().to_owned());
        ids.extend(newest_first);
        pages += 1;
    }
    assert_eq!((ids.len(), ids[0].as_str()), (ANSWERS + 1, last.turn_id.as_str()));
    assert!(ids.is_sorted_by(|newer, older| newer > older), "none twice, and in order");
    assert_eq!(pages, 13, "eight megabytes each");
    Ok(())
}
