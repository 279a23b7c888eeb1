//! Whoever is not let in sees what an unknown path shows, and nothing else.

use paliadin::http::{Access, ROUTES};

use crate::harness::http::Response;
use crate::harness::{Client, TestApp, Tested};

/// Everything of an answer but the time of day.
async fn seen(mut answer: Response) -> Tested<(u16, Vec<(String, String)>, String)> {
    let mut headers = answer.headers();
    headers.retain(|(name, _)| name != "date");
    headers.sort();
    Ok((answer.status, headers, answer.text().await?))
}

async fn look(user: &Client, method: &str, path: &str) -> Tested<(u16, Vec<(String, String)>, String)> {
    seen(user.request(method, path).json("{}").send().await?).await
}

#[tokio::test]
async fn a_path_that_is_not_for_them_looks_like_one_that_is_not_there() -> Tested {
    let app = TestApp::with(&[("PALIADIN_OWNERS", "owner@localhost, ann@example.org, cut@example.org")]).await?;
    let user = |name: &str| app.user(&format!("{name}@example.org"));
    let (ann, cut, eve) = (user("ann")?, user("cut")?, user("eve")?);
    app.cli(&["user", "disable", "--email", "cut@example.org"])?;
    let mut looked = 0;
    for (user, is_out) in [(&ann, false), (&cut, true), (&eve, true)] {
        for route in ROUTES.iter().filter(|route| route.access != Access::Public) {
            if !is_out && route.access == Access::User {
                continue;
            }
            let id = "0198c0de-0000-7000-8000-000000000000";
            let path = route.path.replace("{turn_id}", id).replace("{session_id}", id).replace("{*file}", "icon.svg");
            let there = look(user, route.method.as_str(), &path).await?;
            assert_eq!(there.0, 404, "{path}");
            for unknown in ["/nowhere", "/api/paliadin/nowhere", "/api/admin/paliadin/nowhere"] {
                assert_eq!(there, look(user, route.method.as_str(), unknown).await?, "{path} and {unknown}");
            }
            // Whether a path takes a method is told to nobody else either.
            assert_eq!(there, look(user, "PUT", &path).await?, "PUT {path}");
            looked += 1;
        }
    }
    assert!(looked > 2 * 15, "{looked}");
    // A browser sees no page of ours either.
    let page = eve.request("GET", "/paliadin").header("accept", "text/html").send().await?;
    let nowhere = eve.request("GET", "/nowhere").header("accept", "text/html").send().await?;
    assert_eq!(seen(page).await?, seen(nowhere).await?);
    Ok(())
}

/// The same work is done for both, so both take as long: neither is answered without asking the database who asks.
#[tokio::test]
async fn an_unknown_path_is_answered_by_the_same_work() -> Tested {
    let app = TestApp::with(&[("PALIADIN_OWNERS", "owner@localhost")]).await?;
    let eve = app.user("eve@example.org")?;
    let mut database = app.database().await?;
    let (away, back) = ("ALTER TABLE users RENAME TO users_away", "ALTER TABLE users_away RENAME TO users");
    database.run(away, &[]).await?;
    let there = look(&eve, "GET", "/api/paliadin/status").await?;
    let nowhere = look(&eve, "GET", "/nowhere").await?;
    database.run(back, &[]).await?;
    assert_eq!(there, nowhere);
    assert!(there.0 >= 500, "both had asked");
    assert_eq!(look(&eve, "GET", "/nowhere").await?.0, 404);
    Ok(())
}
