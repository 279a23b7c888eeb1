//! API tokens: what they may be used for, when they end, when they were used.

use super::with_token;
use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn a_token_is_for_what_its_scopes_say() -> Tested {
    let app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    let token = |scopes: &str| app.cli(&["token", "create", "--email", "ann@example.org", "--scope", scopes]);
    let (read, write) = (token("read")?, token("write")?);
    let asked = |token: String| {
        let ann = ann.clone();
        async move {
            let ask = with_token(&ann, "POST", "/api/paliadin/turn", &token).json(r#"{"user_message":"!echo x"}"#);
            let look = with_token(&ann, "GET", "/api/paliadin/conversations", &token);
            Tested::Ok((ask.send().await?.status, look.send().await?.status))
        }
    };
    assert_eq!(asked(read.clone()).await?, (403, 200));
    assert_eq!(asked(write.clone()).await?, (202, 403));
    assert_eq!(asked(token("read,write")?).await?, (202, 200));
    // An admin's token without that scope is no admin's.
    let admin = app.cli(&["token", "create", "--email", "owner@localhost", "--scope", "read,write"])?;
    let refused = with_token(&ann, "GET", "/api/admin/paliadin/actors", &admin).send().await?.problem().await?;
    assert_eq!(refused, "insufficient_scope");
    let wrong = app.run(&["token", "create", "--email", "ann@example.org", "--scope", "everything"])?;
    assert_eq!(wrong.status.code(), Some(2));
    let turns = ann.read("/api/paliadin/conversations").await?;
    for turn in turns.as_array().into_iter().flatten() {
        let id = turn["last_turn_id"].as_str().ok_or("no turn")?;
        ann.read(&format!("/api/paliadin/turns/{id}/recover")).await?;
    }
    ann.reset().await?;
    Ok(())
}

#[tokio::test]
async fn a_token_ends_by_itself_and_the_list_tells_what_became_of_each() -> Tested {
    let app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    let create = |name: &str, expires: &str| {
        app.cli(&["token", "create", "--email", "ann@example.org", "--name", name, "--expires", expires])
    };
    let (over, good) = (create("over", "1ms")?, create("good", "90d")?);
    assert_eq!(
        with_token(&ann, "GET", "/api/paliadin/status", &over).send().await?.problem().await?,
        "unauthenticated"
    );
    let listed = app.cli(&["token", "list", "--email", "ann@example.org"])?;
    let line = |name: &str| listed.lines().find(|line| line.contains(&format!("\t{name}\t"))).unwrap_or_default();
    assert!(line("over").contains("\texpired 2"), "{listed}");
    assert!(line("good").contains("\tvalid until 2") && line("good").ends_with("\teverything\tnever used"), "{listed}");
    assert_eq!(with_token(&ann, "GET", "/api/paliadin/status", &good).send().await?.status, 200);
    // Whatever was to be written before the probe's write is written.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    let listed = app.cli(&["token", "list", "--email", "ann@example.org"])?;
    let line = listed.lines().find(|line| line.contains("\tgood\t")).unwrap_or_default();
    assert!(line.contains("\tused 2"), "{listed}");
    for wrong in ["0s", "soon", "200years"] {
        assert!(create("x", wrong).is_err(), "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn an_account_is_shut_opened_and_given_a_role() -> Tested {
    let app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    let status = async |path: &str| Tested::Ok(ann.get(path).await?.status);
    assert_eq!(status("/api/paliadin/status").await?, 200);
    app.cli(&["user", "disable", "--email", "ANN@example.org"])?;
    assert_eq!(status("/api/paliadin/status").await?, 404);
    assert!(app.cli(&["user", "list"])?.contains("ann@example.org\tdisabled 2"));
    app.cli(&["user", "enable", "--email", "ann@example.org"])?;
    assert_eq!((status("/api/paliadin/status").await?, status("/api/admin/paliadin/actors").await?), (200, 404));
    app.cli(&["user", "role", "--email", "ann@example.org", "--role", "admin"])?;
    assert_eq!(status("/api/admin/paliadin/actors").await?, 200);
    let nobody = app.run(&["user", "disable", "--email", "nobody@example.org"])?;
    assert_eq!(nobody.status.code(), Some(1));
    for action in ["user.disable", "user.enable", "user.role.admin"] {
        assert_eq!(app.audited(action, &ann.user_id).await?, 1, "{action}");
    }
    Ok(())
}
