//! A deleted conversation takes its agent along.

use rustix::process::Signal;

use super::{APART, answer, asking, conversations};
use crate::harness::processes::Process;
use crate::harness::{Client, TestApp, Tested, eventually};

async fn delete(user: &Client, session_id: &str) -> Tested {
    let path = format!("/api/paliadin/conversations/{session_id}");
    assert_eq!(user.request("DELETE", &path).send().await?.status, 204);
    Ok(())
}

/// Waits until only so many agents are left.
async fn agents_are(app: &TestApp, count: usize) -> Tested {
    eventually("the agents to go", async || Ok((app.agents()? == count).then_some(()))).await
}

#[tokio::test]
async fn its_agent_is_ended_and_nobody_elses() -> Tested {
    let app = TestApp::with(&[APART]).await?;
    let user = app.user("ann@example.org")?;
    let [one, two, three] = conversations();
    let (open, kept) = (asking(&user, &one).await?, asking(&user, &two).await?);
    assert_eq!(user.response_in(&three, "!count").await?, "1");
    let name = user.session_of(&one).await?["name"].as_str().ok_or("no name")?.to_owned();
    for deleted in [&one, &three] {
        delete(&user, deleted).await?;
    }
    agents_are(&app, 1).await?;
    assert_eq!(app.audited("turn.cancel", &open.0.turn_id).await?, 1);
    answer(&app, &user, &kept, "this one").await?;
    assert_eq!(user.response_in(&two, "!count").await?, "2");
    let owner = app.owner()?;
    eventually("the sessions to leave", async || {
        let actors = owner.actors().await?;
        let sessions: Vec<_> = actors.iter().filter(|actor| actor["kind"] == "session").collect();
        Ok((sessions.len() == 1).then_some(()))
    })
    .await?;
    let told = "SELECT state || ': ' || last_reason FROM agent_sessions WHERE name = ?1";
    eventually("the row to tell", async || {
        let told = app.database().await?.value(told, &[&name]).await?;
        Ok((told == "ended: the agent was ended by a reset").then_some(()))
    })
    .await
}

#[tokio::test]
async fn its_agent_is_ended_also_where_the_server_is_killed_before() -> Tested {
    let mut app = TestApp::with(&[APART]).await?;
    let user = app.user("ann@example.org")?;
    let [idle, busy, kept] = conversations();
    for conversation in [&idle, &kept] {
        assert_eq!(user.response_in(conversation, "!count").await?, "1");
    }
    let open = asking(&user, &busy).await?;
    app.stop(Signal::KILL)?;
    // As a server leaves it that deleted them and did no more.
    for hidden in [&idle, &busy] {
        let hide = "UPDATE conversations SET hidden_at = 1 WHERE session_id = ?1";
        app.database().await?.run(hide, &[hidden]).await?;
    }
    app.set("PALIADIN_JANITOR__INTERVAL", "100ms");
    app.boot().await?;
    agents_are(&app, 1).await?;
    assert_eq!(app.audited("turn.cancel", &open.0.turn_id).await?, 1);
    assert_eq!(user.response_in(&kept, "!count").await?, "2");
    assert!(app.process(Process::is_agent).is_ok());
    Ok(())
}
