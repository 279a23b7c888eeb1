//! How much one user may do.

use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn a_user_may_send_so_many_requests_and_others_are_not_held_up() -> Tested {
    let app = TestApp::with(&[("PALIADIN_SERVER__RATE_LIMIT", "20")]).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(ann.get("/api/paliadin/status").await?.status);
    }
    assert!(answers[..20].iter().all(|status| *status == 200), "{answers:?}");
    assert!(answers.contains(&429), "{answers:?}");
    let mut refused = ann.post_turn(&serde_json::json!({ "user_message": "!echo x" })).await?;
    let wait: u64 = refused.header("retry-after").ok_or("no wait")?.parse()?;
    assert!((1..=4).contains(&wait), "{wait}");
    assert_eq!((refused.status, refused.problem().await?.as_str()), (429, "rate_limited"));
    // Also there, a path that is not for her looks like one that is not there.
    for path in ["/nowhere", "/api/admin/paliadin/actors"] {
        assert_eq!(ann.get(path).await?.problem().await?, "rate_limited", "{path}");
    }
    assert_eq!(app.typed_all()?.len(), 0);
    assert_eq!(bob.get("/api/paliadin/status").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn usual_use_is_far_from_the_limit() -> Tested {
    let app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    for _ in 0..600 {
        assert_eq!(ann.get("/api/paliadin/status").await?.status, 200);
    }
    Ok(())
}
