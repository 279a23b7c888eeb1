//! Users are kept apart.

use serde_json::Value;

use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn another_users_turn_is_not_there() -> Tested {
    let app = TestApp::start().await?;
    let (user, other, admin) = (app.user("ann@example.org")?, app.user("bob@example.org")?, app.owner()?);
    let turn = user.ask("!echo mine").await?;
    user.ended(&turn).await?;
    for stranger in [&other, &admin] {
        for path in [format!("/api/paliadin/turns/{}", turn.turn_id), turn.sse_url.clone()] {
            let mut refused = stranger.get(&path).await?;
            assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{path}");
        }
        assert_eq!(stranger.history(&turn.session_id, None).await?, Vec::<Value>::new());
    }
    for unknown in ["0198c0de-0000-7000-8000-000000000000", "x", "%00", "..%2f"] {
        for path in [format!("/api/paliadin/turns/{unknown}"), format!("/api/paliadin/stream/{unknown}")] {
            let mut refused = user.get(&path).await?;
            assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn users_whose_ids_begin_alike_get_agents_of_their_own() -> Tested {
    let app = TestApp::start().await?;
    // The first 8 digits are the same, then also the next 4; the last one shares nothing.
    let ids = [
        "abcdef01-0000-4000-8000-000000000001",
        "abcdef01-1111-4000-8000-000000000002",
        "abcdef01-1111-4999-8000-000000000003",
        "12345678-1111-4000-8000-000000000004",
    ];
    let mut users = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let user = app.user_with_id(&format!("user{number}@example.org"), id)?;
        assert_eq!(user.user_id, *id);
        users.push(user);
    }
    let mut names = Vec::new();
    for (number, user) in users.iter().enumerate() {
        // The number of turns that an agent has seen shows whether it is one of their own.
        assert_eq!(user.response("!count").await?, "1", "user {number}");
        let status = user.status().await?;
        names.push(status["agent_session"]["name"].as_str().ok_or("no name")?.to_owned());
    }
    assert_eq!(names, ["paliadin-abcdef01", "paliadin-abcdef011111", "paliadin-abcdef0111114999", "paliadin-12345678"]);
    let mut turns = Vec::new();
    for round in 0..3 {
        for (number, user) in users.iter().enumerate() {
            turns.push((number, user.ask(&format!("!echo secret of user {number}, {round}")).await?));
        }
    }
    for (number, turn) in &turns {
        let row = users[*number].ended(turn).await?;
        assert!(row["response"].as_str().is_some_and(|text| text.starts_with(&format!("secret of user {number},"))));
        let typed = app.typed(&turn.turn_id)?;
        assert_eq!(typed.len(), 1);
        assert_eq!(typed[0].session.as_ref(), Some(&names[*number]), "typed into its own user's agent");
    }
    for typed in app.typed_all()? {
        let owner = names.iter().position(|name| Some(name) == typed.session.as_ref()).ok_or("an unknown session")?;
        let foreign = (0..users.len()).filter(|number| *number != owner);
        for number in foreign {
            assert!(!typed.raw.contains(&format!("secret of user {number}")), "{typed:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_name_stays_its_users_over_a_restart() -> Tested {
    let mut app = TestApp::start().await?;
    let users = [
        app.user_with_id("ann@example.org", "abcdef01-0000-4000-8000-000000000001")?,
        app.user_with_id("bob@example.org", "abcdef01-1111-4000-8000-000000000002")?,
    ];
    let name = async |number: usize| -> Tested<Value> {
        users[number].response("!echo x").await?;
        Ok(users[number].status().await?["agent_session"]["name"].clone())
    };
    let names = [name(0).await?, name(1).await?];
    app.restart(rustix::process::Signal::TERM).await?;
    // In the other order, so that who comes first does not matter.
    assert_eq!([name(1).await?, name(0).await?], [names[1].clone(), names[0].clone()]);
    Ok(())
}
