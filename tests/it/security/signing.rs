//! Signing in by a link, and out again.

use super::{FAR, browser, with_cookie};
use crate::harness::http::Request;
use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn links_cannot_be_tried_one_after_the_other() -> Tested {
    let mut app = TestApp::with(&[("PALIADIN_AUTH__MAX_ATTEMPTS", "5")]).await?;
    let link = app.printed("sign in:").await?;
    let path = link.find("/paliadin/sign-in").map(|at| link[at..].to_owned()).ok_or("no link")?;
    let nobody = app.nobody();
    let get = |path: &str| Request::new(nobody.address(), "GET", path);
    for number in 0..5 {
        assert_eq!(get(&format!("/paliadin/sign-in?token=guess-{number}")).send().await?.status, 401);
    }
    let mut late = get("/paliadin/sign-in?token=one-more").send().await?;
    assert_eq!((late.status, late.problem().await?.as_str()), (429, "too_many_attempts"));
    let wait: u64 = late.header("retry-after").ok_or("no wait")?.parse()?;
    assert!((1..=13).contains(&wait), "{wait}");
    // Tokens are counted by themselves; and nobody can lock out who has the right link, or the right token.
    let wrong = async || {
        let mut wrong = get("/api/paliadin/status").header("authorization", "Bearer pal_wrong").send().await?;
        Tested::Ok((wrong.status, wrong.problem().await?))
    };
    for _ in 0..5 {
        assert_eq!(wrong().await?, (401, "unauthenticated".to_owned()));
    }
    assert_eq!(wrong().await?, (429, "too_many_attempts".to_owned()));
    // Nor can they be tried where nothing is.
    let nowhere = get("/nowhere").header("authorization", "Bearer pal_wrong").send().await?.problem().await?;
    assert_eq!(nowhere, "too_many_attempts");
    assert_eq!(app.owner()?.get("/api/paliadin/status").await?.status, 200);
    assert_eq!(get(&path).send().await?.status, 303);
    Ok(())
}

#[tokio::test]
async fn signing_out_takes_the_cookie_back() -> Tested {
    let app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    let cookie = browser(&app, &ann, FAR).await?;
    let mut status = with_cookie(&ann, "GET", "/api/paliadin/status", &cookie).send().await?;
    assert_eq!(status.json().await?["can_sign_out"], true);
    // Whatever else is set for this host, and whatever a proxy before it wants to know.
    let beside = Request::new(ann.address(), "GET", "/api/paliadin/status").header("authorization", "Basic eDp5");
    let beside = beside.header("cookie", format!("x=J\u{fc}rg; paliadin_session={cookie}"));
    assert_eq!(beside.send().await?.status, 200);
    assert_eq!(ann.status().await?["can_sign_out"], false);
    let foreign = with_cookie(&ann, "POST", "/api/paliadin/sign-out", &cookie).header("origin", "http://evil.example");
    assert_eq!(foreign.send().await?.status, 403);
    let left = with_cookie(&ann, "POST", "/api/paliadin/sign-out", &cookie).send().await?;
    assert_eq!(left.status, 204);
    let set = left.header("set-cookie").ok_or("no cookie")?;
    assert_eq!(set, "paliadin_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    assert_eq!(with_cookie(&ann, "GET", "/api/paliadin/status", &cookie).send().await?.status, 401);
    assert_eq!(with_cookie(&ann, "POST", "/api/paliadin/sign-out", &cookie).send().await?.status, 401);
    assert_eq!(app.audited("web_session.delete", &ann.user_id).await?, 1);
    // A token is not ended by it.
    assert_eq!(ann.request("POST", "/api/paliadin/sign-out").send().await?.status, 204);
    assert_eq!(ann.get("/api/paliadin/status").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn over_https_the_cookie_is_for_https_only() -> Tested {
    let mut app = TestApp::with(&[("PALIADIN_AUTH__COOKIE_SECURE", "true")]).await?;
    let link = app.printed("sign in:").await?;
    let path = link.find("/paliadin/sign-in").map(|at| link[at..].to_owned()).ok_or("no link")?;
    let nobody = app.nobody();
    let signed_in = Request::new(nobody.address(), "GET", &path).send().await?;
    let cookie = signed_in.header("set-cookie").ok_or("no cookie")?.to_owned();
    assert!(cookie.starts_with("__Host-paliadin_session=") && cookie.ends_with("; Secure"), "{cookie}");
    let pair = cookie.split(';').next().unwrap_or_default();
    let look =
        |pair: String| Request::new(nobody.address(), "GET", "/api/paliadin/status").header("cookie", pair).send();
    assert_eq!(look(pair.to_owned()).await?.status, 200);
    let value = pair.trim_start_matches("__Host-");
    assert_eq!(look(value.to_owned()).await?.status, 401, "anyone may set a cookie of that name");
    assert_eq!(look(format!("{pair}; {pair}")).await?.status, 401, "which of the two?");
    Ok(())
}

#[tokio::test]
async fn sign_ins_that_are_over_are_dropped_and_it_is_noted_when_one_was_used() -> Tested {
    let mut app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    browser(&app, &ann, 2).await?;
    let used = browser(&app, &ann, FAR).await?;
    assert_eq!(with_cookie(&ann, "GET", "/api/paliadin/status", &used).send().await?.status, 200);
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    let mut database = app.database().await?;
    let seen = database.value("SELECT count(*) FROM web_sessions WHERE last_seen_at > 1", &[]).await?;
    assert_eq!(seen, "1");
    let link = app.printed("sign in:").await?;
    let path = link.find("/paliadin/sign-in").map(|at| link[at..].to_owned()).ok_or("no link")?;
    assert_eq!(Request::new(ann.address(), "GET", &path).send().await?.status, 303);
    assert_eq!(database.value("SELECT count(*) FROM web_sessions", &[]).await?, "2", "the new one, and the good one");
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    let detail = database.value("SELECT detail FROM audit_log WHERE action = 'web_session.create'", &[]).await?;
    assert!(detail.contains("127.0.0.1"), "{detail}");
    Ok(())
}
