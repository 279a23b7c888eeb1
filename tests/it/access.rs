//! Who may come in, and what is refused.

mod separation;

use paliadin::http::ROUTES;
use serde_json::json;

use crate::harness::http::Request;
use crate::harness::{Client, TestApp, Tested};

const ANY_ID: &str = "0198c0de-0000-7000-8000-000000000000";

/// A path of the route table with an id that nobody has.
fn filled(path: &str) -> String {
    let path = path.replace("{turn_id}", ANY_ID).replace("{session_id}", ANY_ID).replace("{*file}", "nothing.js");
    assert!(!path.contains('{'), "{path} has a placeholder that this test does not know");
    path
}

#[tokio::test]
async fn requests_to_foreign_names_and_of_foreign_pages_are_refused() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let address = user.address();
    let (status, turn) = ("/api/paliadin/status", "/api/paliadin/turn");
    let port = address.port();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1.evil.example".to_owned()] {
        for path in [status, "/healthz", "/nowhere"] {
            let mut refused = user.request("GET", path).header("host", host.clone()).send().await?;
            assert_eq!((refused.status, refused.problem().await?.as_str()), (421, "host_not_allowed"), "{host} {path}");
        }
    }
    for host in ["localhost".to_owned(), format!("LOCALHOST:{port}"), format!("[::1]:{port}")] {
        assert_eq!(user.request("GET", status).header("host", host.clone()).send().await?.status, 200, "{host}");
    }
    let two_hosts = user.request("GET", status).also("host", "evil.example").send().await?;
    assert!((400..500).contains(&two_hosts.status), "{}", two_hosts.status);

    let ask = || user.request("POST", turn).json(json!({ "user_message": "!echo x" }).to_string());
    let foreign = [
        ("origin", "http://evil.example".to_owned()),
        ("origin", "null".to_owned()),
        ("origin", format!("http://localhost:{port}")),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
    ];
    for (name, value) in foreign {
        let mut refused = ask().header(name, value.clone()).send().await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (403, "origin_not_allowed"), "{name}: {value}");
    }
    assert_eq!(app.typed_all()?.len(), 0);
    let ours = [("origin", format!("http://{address}")), ("sec-fetch-site", "same-origin".to_owned())];
    for (name, value) in ours {
        assert_eq!(ask().header(name, value.clone()).send().await?.status, 202, "{name}: {value}");
    }
    // A person may be led here from elsewhere, also by way of our service worker, which hides what it is for. Nothing of
    // another site may look at us itself.
    let led = |mode: &str, dest: &str| {
        let look = user.request("GET", status).header("sec-fetch-site", "cross-site");
        look.header("sec-fetch-mode", mode).header("sec-fetch-dest", dest).send()
    };
    for (mode, dest, wanted) in [
        ("navigate", "document", 200),
        ("navigate", "empty", 200),
        ("navigate", "iframe", 403),
        ("navigate", "object", 403),
        ("no-cors", "image", 403),
        ("no-cors", "script", 403),
        ("cors", "empty", 403),
    ] {
        assert_eq!(led(mode, dest).await?.status, wanted, "{mode} {dest}");
    }
    let last = user.ask("!echo last").await?;
    user.ended(&last).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_cannot_hide_where_it_goes_or_comes_from() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut proxied = user.request("GET", "http://evil.example/api/paliadin/status").send().await?;
    assert_eq!((proxied.status, proxied.problem().await?.as_str()), (421, "host_not_allowed"));
    let ours = format!("http://{}", user.address());
    let two_origins = user.request("POST", "/api/paliadin/turn").json("{}").also("origin", ours);
    let mut two_origins = two_origins.also("origin", "http://evil.example").send().await?;
    assert_eq!((two_origins.status, two_origins.problem().await?.as_str()), (403, "origin_not_allowed"));
    // Whether a path takes a method is told only to those for whom it exists.
    let anonymous = Request::new(user.address(), "DELETE", "/api/paliadin/turn").send().await?;
    assert_eq!(anonymous.status, 401);
    assert_eq!(user.request("POST", "/api/admin/paliadin/actors").send().await?.status, 404);
    assert_eq!(app.owner()?.request("POST", "/api/admin/paliadin/actors").send().await?.status, 405);
    for body in [r#"["!echo x",null,null,null,null,null]"#, r#"{"user_message":"x","context":["/"]}"#, "7"] {
        let mut refused = user.request("POST", "/api/paliadin/turn").json(body).send().await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (400, "invalid_request"), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_pages() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    for path in ["/healthz", "/paliadin", "/api/paliadin/status", "/nowhere"] {
        let answer = user.get(path).await?;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in ["default-src 'none'; ", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        let is_page = path == "/paliadin";
        assert!(is_page || answer.header("cache-control") == Some("no-store"), "{path}");
        assert_eq!(answer.header("permissions-policy").is_some(), is_page, "{path}");
    }
    assert_eq!(user.get("/nowhere").await?.problem().await?, "not_found");
    let mut wrong = user.request("DELETE", "/api/paliadin/turn").send().await?;
    assert_eq!((wrong.status, wrong.problem().await?.as_str()), (405, "method_not_allowed"));
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.get("/api/paliadin/status").await?.status, 200);
    let tokens = app.cli(&["token", "list", "--email", "ann@example.org"])?;
    let id = tokens.split('\t').next().ok_or("no token")?;
    assert!(!tokens.contains(&user.token), "only its hash is stored");
    app.cli(&["token", "revoke", id])?;
    assert_eq!(user.get("/api/paliadin/status").await?.problem().await?, "unauthenticated");
    let other = Client { token: app.cli(&["token", "create", "--email", "ann@example.org"])?, ..user };
    assert_eq!(other.get("/api/paliadin/status").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_token_of_the_command_line_outlives_a_restart_until_its_file_is_lost() -> Tested {
    let mut app = TestApp::start().await?;
    let before = app.owner()?;
    app.restart(rustix::process::Signal::TERM).await?;
    let same = app.owner()?;
    assert_eq!(same.token, before.token);
    assert_eq!(same.get("/api/paliadin/status").await?.status, 200);
    std::fs::remove_file(app.state().join("cli.token"))?;
    app.restart(rustix::process::Signal::TERM).await?;
    let before = Client { token: before.token, ..app.nobody() };
    assert_eq!(before.get("/api/paliadin/status").await?.status, 401);
    assert_eq!(app.owner()?.get("/api/paliadin/status").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_sign_in_link_works_once() -> Tested {
    let mut app = TestApp::start().await?;
    let link = app.printed("sign in:").await?;
    let path = link.find("/paliadin/sign-in").map(|at| link[at..].to_owned()).ok_or("no link")?;
    let nobody = app.nobody();
    let get = |path: &str| Request::new(nobody.address(), "GET", path);
    let mut wrong = get("/paliadin/sign-in?token=wrong").send().await?;
    assert_eq!((wrong.status, wrong.problem().await?.as_str()), (401, "unauthenticated"));
    assert_eq!(get("/paliadin/sign-in").send().await?.problem().await?, "invalid_request");
    // Whoever only looks does not use it up.
    assert_eq!(Request::new(nobody.address(), "HEAD", &path).send().await?.status, 400);

    let signed_in = get(&path).send().await?;
    assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/paliadin")));
    let cookie = signed_in.header("set-cookie").ok_or("no cookie")?.to_owned();
    let (pair, attributes) = cookie.split_once(';').ok_or("no attributes")?;
    let attributes: Vec<&str> = attributes.split(';').map(str::trim).collect();
    for wanted in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(attributes.contains(&wanted), "{wanted} in {cookie}");
    }
    let mut status = get("/api/paliadin/status").header("cookie", format!("a=b; {pair}")).send().await?;
    assert_eq!(status.json().await?["user"]["role"], "admin");
    assert_eq!(get("/paliadin").header("cookie", pair).send().await?.status, 200);
    let mut again = get(&path).send().await?;
    assert_eq!((again.status, again.problem().await?.as_str()), (401, "unauthenticated"));

    app.restart(rustix::process::Signal::TERM).await?;
    let status = Request::new(nobody.address(), "GET", "/api/paliadin/status").header("cookie", pair).send().await?;
    assert_eq!(status.status, 200, "a browser stays signed in over a restart");
    Ok(())
}

#[tokio::test]
async fn where_it_is_disabled_only_health_is_left() -> Tested {
    let app = TestApp::with(&[("PALIADIN_ENABLED", "false")]).await?;
    let nobody = app.nobody();
    for route in ROUTES {
        let path = filled(route.path);
        let mut answer = Request::new(nobody.address(), route.method.as_str(), &path).send().await?;
        if matches!(path.as_str(), "/healthz" | "/readyz") {
            assert_eq!(answer.status, 200, "{path}");
        } else {
            assert_eq!((answer.status, answer.problem().await?.as_str()), (404, "not_found"), "{path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let large = json!({ "user_message": "x", "context": { "selection": "x".repeat(17 * 1024) } }).to_string();
    let long = json!({ "user_message": "x", "client_turn_id": "x".repeat(257) }).to_string();
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"user_message":1}"#,
        r#"{"user_message":"x","unknown":1}"#,
        r#"{"user_message":"x","session_id":"no-uuid"}"#,
        r#"{"user_message":"x","context":{"unknown":1}}"#,
        r#"{"user_message":"x","context":{"extra":"no object"}}"#,
        r#"{"user_message":"x","persona":"nobody"}"#,
        r#"{"user_message":"x","client_turn_id":""}"#,
        r#"{"user_message":"\ud800"}"#,
        &large,
        &long,
    ];
    for body in bodies {
        let mut refused = user.request("POST", "/api/paliadin/turn").json(body).send().await?;
        let shown = &body[..body.len().min(60)];
        assert!([400, 413].contains(&refused.status), "{shown}: {}", refused.status);
        assert_eq!(refused.problem().await?, "invalid_request", "{shown}");
    }
    let mut untyped = user.request("POST", "/api/paliadin/turn").json("{}").header("content-type", "text/plain");
    untyped = untyped.header("origin", format!("http://{}", user.address()));
    assert_eq!(untyped.send().await?.problem().await?, "invalid_request");
    assert_eq!(app.typed_all()?.len(), 0);
    Ok(())
}
