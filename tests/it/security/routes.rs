//! The route table × what can be wrong with a request. Every route has a row here; a new one without fails.

use paliadin::http::{Access, ROUTES, Route};
use serde_json::json;

use super::{FAR, browser, with_cookie, with_token};
use crate::harness::http::{Request, Response};
use crate::harness::{Accepted, Client, TestApp, Tested};

/// In Ann's question and answer, and nowhere else.
const MARKER: &str = "a-word-that-only-ann-knows";
/// More than any body may have.
const LARGE: usize = 700 * 1024;

/// What a route answers.
struct Row {
    method: &'static str,
    path: &'static str,
    /// To whom it is for, asking for what is their own.
    good: u16,
    /// To a body over every limit; `good` where none is read.
    oversized: u16,
    /// What cannot be read, and what it is answered.
    malformed: &'static [(Broken, u16)],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broken {
    /// The body is no JSON.
    Body,
    /// The id in the path is none.
    Id,
    /// This query is added.
    Query(&'static str),
    /// The path cannot be decoded.
    Path,
}

const fn row(
    method: &'static str,
    path: &'static str,
    good: u16,
    oversized: u16,
    malformed: &'static [(Broken, u16)],
) -> Row {
    Row { method, path, good, oversized, malformed }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("GET",    "/healthz",                                    200, 431, &[(Broken::Query("?%zz"), 200)]),
    row("GET",    "/readyz",                                     200, 431, &[(Broken::Query("?%zz"), 200)]),
    row("GET",    "/paliadin/sign-in",                           400, 431, &[(Broken::Query("?token=x&token=y"), 400), (Broken::Query("?token=%ff"), 401)]),
    row("GET",    "/paliadin",                                   200, 431, &[(Broken::Query("?%zz"), 200)]),
    row("GET",    "/paliadin/",                                  308, 431, &[(Broken::Query("?%zz"), 308)]),
    row("GET",    "/paliadin/app/{*file}",                       200, 431, &[(Broken::Path, 404)]),
    row("POST",   "/api/paliadin/turn",                          202, 413, &[(Broken::Body, 400)]),
    row("GET",    "/api/paliadin/stream/{turn_id}",              200, 431, &[(Broken::Id, 404), (Broken::Query("?last_event_id=x"), 200), (Broken::Query("?last_event_id=1&last_event_id=2"), 400)]),
    row("GET",    "/api/paliadin/turns/{turn_id}",               200, 431, &[(Broken::Id, 404)]),
    row("GET",    "/api/paliadin/turns/{turn_id}/recover",       200, 431, &[(Broken::Id, 404)]),
    row("POST",   "/api/paliadin/turns/{turn_id}/cancel",        202, 202, &[(Broken::Id, 404), (Broken::Body, 202)]),
    row("POST",   "/api/paliadin/turns/{turn_id}/reply",         409, 413, &[(Broken::Id, 404), (Broken::Body, 400)]),
    row("GET",    "/api/paliadin/history",                       200, 431, &[(Broken::Query("?session=x"), 400), (Broken::Query("?limit=x"), 200), (Broken::Query("?session=a&session=b"), 400)]),
    row("GET",    "/api/paliadin/conversations",                 200, 431, &[(Broken::Query("?before=x"), 400)]),
    row("PATCH",  "/api/paliadin/conversations/{session_id}",    200, 413, &[(Broken::Id, 404), (Broken::Body, 400)]),
    row("POST",   "/api/paliadin/reset",                         200, 200, &[(Broken::Query("?session=x"), 400)]),
    row("POST",   "/api/paliadin/sign-out",                      204, 204, &[(Broken::Body, 204)]),
    row("GET",    "/api/paliadin/status",                        200, 431, &[(Broken::Query("?session=x"), 400)]),
    row("GET",    "/api/admin/paliadin/actors",                  200, 431, &[(Broken::Query("?%zz"), 200)]),
    // The last one: what it is asked for is gone then.
    row("DELETE", "/api/paliadin/conversations/{session_id}",    204, 204, &[(Broken::Id, 404)]),
];

fn route_of(row: &Row) -> Tested<&'static Route> {
    let found = ROUTES.iter().find(|route| route.path == row.path && route.method == row.method);
    found.ok_or_else(|| format!("{} {} is in this table and no route", row.method, row.path).into())
}

#[test]
fn every_route_has_a_row() -> Tested {
    for route in ROUTES {
        let rows = ROWS.iter().filter(|row| row.path == route.path && route.method == row.method).count();
        assert_eq!(rows, 1, "{} {}: what does it answer to strangers?", route.method, route.path);
    }
    for row in ROWS {
        route_of(row)?;
    }
    Ok(())
}

/// Ann, whose things are asked for, and everyone else.
struct World {
    app: TestApp,
    ann: Client,
    turn: Accepted,
    bob: Client,
    admin: Client,
    /// A good cookie of Ann's.
    cookie: String,
    /// Disabled; not on the allow-list.
    shut_out: [Client; 2],
    /// Credentials of Ann's that are worth nothing, and the way they are sent.
    worthless: Vec<(&'static str, &'static str, String)>,
    /// A token of Ann's, and one of the admin's, for nothing that a request can need; see [`World::without_scope`].
    unscoped: [(String, String); 2],
}

impl World {
    async fn make() -> Tested<Self> {
        let invited = "owner@localhost, ann@example.org, bob@example.org, cut@example.org, root@example.org";
        let app = TestApp::with(&[
            ("PALIADIN_OWNERS", invited),
            ("PALIADIN_AUTH__MAX_ATTEMPTS", "1000"),
            ("PALIADIN_SERVER__RATE_LIMIT", "0"),
        ])
        .await?;
        let user = |name: &str| app.user(&format!("{name}@example.org"));
        let (ann, bob, cut, eve) = (user("ann")?, user("bob")?, user("cut")?, user("eve")?);
        app.cli(&["user", "disable", "--email", "cut@example.org"])?;
        let admin_id = app.cli(&["user", "add", "--email", "root@example.org", "--role", "admin"])?;
        let token = |email: &str, more: &[&str]| app.cli(&[&["token", "create", "--email", email], more].concat());
        let admin = Client { token: token("root@example.org", &[])?, user_id: admin_id, ..ann.clone() };
        let turn = ann.ask(&format!("!echo {MARKER}")).await?;
        ann.ended(&turn).await?;
        let expired = token("ann@example.org", &["--expires", "1ms"])?;
        let revoked = token("ann@example.org", &["--name", "revoked"])?;
        let tokens = app.cli(&["token", "list", "--email", "ann@example.org"])?;
        let line = tokens.lines().find(|line| line.contains("revoked")).ok_or("no such token")?;
        app.cli(&["token", "revoke", line.split('\t').next().unwrap_or_default()])?;
        let worthless = vec![
            ("an unknown token", "authorization", "Bearer pal_unknown".to_owned()),
            ("a token without its prefix", "authorization", format!("Bearer {}", ann.token.trim_start_matches("pal_"))),
            ("another scheme", "authorization", format!("Basic {}", ann.token)),
            ("no scheme", "authorization", ann.token.clone()),
            ("an empty token", "authorization", "Bearer".to_owned()),
            ("an expired token", "authorization", format!("Bearer {expired}")),
            ("a revoked token", "authorization", format!("Bearer {revoked}")),
            ("a token as a cookie", "cookie", format!("paliadin_session={}", ann.token)),
            ("an expired cookie", "cookie", format!("paliadin_session={}", browser(&app, &ann, 2).await?)),
            ("an unknown cookie", "cookie", "paliadin_session=x".to_owned()),
        ];
        let cookie = browser(&app, &ann, FAR).await?;
        let pair = |email: &str| -> Tested<_> {
            Ok((token(email, &["--scope", "read"])?, token(email, &["--scope", "write,admin"])?))
        };
        let (of_ann, of_admin) =
            (pair("ann@example.org")?, (token("root@example.org", &["--scope", "read,write"])?, String::new()));
        Ok(Self { cookie, ann, turn, bob, admin, shut_out: [cut, eve], worthless, unscoped: [of_ann, of_admin], app })
    }

    /// The path of a row with Ann's ids in it.
    fn path(&self, row: &Row) -> String {
        let path = row.path.replace("{turn_id}", &self.turn.turn_id).replace("{session_id}", &self.turn.session_id);
        let path = path.replace("{*file}", "icon.svg");
        assert!(!path.contains('{'), "{path} has a placeholder that this test does not know");
        match row.path {
            "/api/paliadin/history" => format!("{path}?session={}", self.turn.session_id),
            _ => path,
        }
    }

    /// The body that a row wants.
    fn body(row: &Row) -> Option<String> {
        match (row.method, row.path) {
            ("POST", "/api/paliadin/turn") => Some(json!({ "user_message": "!echo x" }).to_string()),
            ("POST", path) if path.ends_with("/reply") => Some(json!({ "text": "x", "attention": "1-1" }).to_string()),
            ("PATCH", _) => Some(json!({ "title": "x" }).to_string()),
            _ => None,
        }
    }

    /// The row's request, without credentials.
    fn request(&self, row: &Row) -> Request {
        let request = Request::new(self.ann.address(), row.method, &self.path(row));
        match Self::body(row) {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// Whose request is answered as it should be.
    fn holder<'a>(&'a self, route: &Route) -> &'a Client {
        if route.access == Access::Admin { &self.admin } else { &self.ann }
    }

    /// A token of the row's right person that is not for this route.
    fn without_scope(&self, route: &Route) -> &str {
        let [(reads, writes), (no_admin, _)] = &self.unscoped;
        match route.access {
            Access::Admin => no_admin,
            _ if route.method == "GET" => writes,
            _ => reads,
        }
    }
}

fn as_user(request: Request, user: &Client) -> Request {
    request.header("authorization", format!("Bearer {}", user.token))
}

/// Checks status and code, and that nothing of Ann's is in it.
async fn expect(what: &str, row: &Row, answer: Response, status: u16, code: &str) -> Tested {
    let mut answer = answer;
    let what = format!("{} {}: {what}", row.method, row.path);
    assert_eq!(answer.status, status, "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert!(answer.header("content-security-policy").is_some_and(|policy| !policy.contains("unsafe")), "{what}");
    let challenge = (status == 401 && row.path != "/paliadin/sign-in").then_some("Bearer");
    assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
    let body = answer.text().await?;
    assert!(!body.contains(MARKER), "{what}: it tells what is Ann's");
    if !code.is_empty() {
        let problem: serde_json::Value = serde_json::from_str(&body)?;
        assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())), "{what}");
    }
    Ok(())
}

/// What public routes answer, whoever asks.
fn or_public<'a>(route: &Route, row: &Row, status: u16, code: &'a str) -> (u16, &'a str) {
    if route.access == Access::Public { (row.good, "") } else { (status, code) }
}

#[tokio::test]
async fn every_route_answers_as_its_row_says() -> Tested {
    let world = World::make().await?;
    let mut asked = 0;
    for row in ROWS {
        let route = route_of(row)?;
        asked += strangers(&world, row, route).await? + forged(&world, row, route).await?;
        asked += broken(&world, row, route).await?;
    }
    // Nothing of all that has changed anything of Ann's.
    let kept = world.ann.read(&format!("/api/paliadin/turns/{}", world.turn.turn_id)).await?;
    assert_eq!((kept["state"].as_str(), kept["response"].as_str()), (Some("done"), Some(MARKER)));
    let listed = world.ann.read("/api/paliadin/conversations").await?;
    let titles: Vec<_> = listed.as_array().into_iter().flatten().map(|row| row["title"].clone()).collect();
    assert_eq!(titles, [json!(format!("!echo {MARKER}"))]);
    assert_eq!(world.app.typed_all()?.len(), 1, "nobody's question but Ann's was typed");
    for row in ROWS {
        let route = route_of(row)?;
        let built = paliadin::http::pages::are_built_in() || !row.path.contains("{*file}");
        let mut request = as_user(world.request(row), world.holder(route));
        if row.method == "DELETE" {
            request = request.json("x".repeat(LARGE));
        }
        let answer = request.send().await?;
        assert_eq!(answer.status, if built { row.good } else { 404 }, "{} {}: who may", row.method, row.path);
        asked += 1;
    }
    println!("{asked} requests on {} routes", ROWS.len());
    Ok(())
}

/// Who is not who the route is for.
async fn strangers(world: &World, row: &Row, route: &Route) -> Tested<usize> {
    let (status, code) = or_public(route, row, 401, "unauthenticated");
    expect("nobody", row, world.request(row).send().await?, status, code).await?;
    for (what, header, value) in &world.worthless {
        let answer = world.request(row).header(header, value.clone()).send().await?;
        expect(what, row, answer, status, code).await?;
    }
    // Who sends a token means it: a good cookie would not help either.
    let both = with_cookie(&world.ann, row.method, &world.path(row), &world.cookie)
        .header("authorization", "Bearer pal_unknown");
    expect("a wrong token and a good cookie", row, both.send().await?, status, code).await?;
    let (status, code) = or_public(route, row, 404, "not_found");
    for user in &world.shut_out {
        expect("who is shut out", row, as_user(world.request(row), user).send().await?, status, code).await?;
    }
    let (status, code) = or_public(route, row, 403, "insufficient_scope");
    let token = world.without_scope(route);
    let answer = world.request(row).header("authorization", format!("Bearer {token}")).send().await?;
    expect("a token without the scope", row, answer, status, code).await?;
    let mut asked = world.worthless.len() + 5;
    let changes = !matches!(row.method, "GET");
    for (who, user) in [("another user", &world.bob), ("an admin", &world.admin)] {
        let is_there = route.access != Access::Admin || who == "an admin";
        let (status, code) = match () {
            () if row.path.contains("{turn_id}") || row.path.contains("{session_id}") || !is_there => {
                (404, "not_found")
            }
            () if row.path == "/api/paliadin/turn" => {
                let body = json!({ "user_message": "!echo x", "session_id": world.turn.session_id }).to_string();
                let answer = as_user(world.request(row), user).json(body).send().await?;
                expect(&format!("{who} in Ann's conversation"), row, answer, 404, "not_found").await?;
                continue;
            }
            // Theirs: it is left alone here, so that what is typed and reset is Ann's alone.
            () if changes => continue,
            () if row.path.contains("{*file}") => continue,
            () => (row.good, ""),
        };
        expect(who, row, as_user(world.request(row), user).send().await?, status, code).await?;
        asked += 1;
    }
    Ok(asked)
}

/// What is sent to a foreign name, or by a foreign page, whoever sends it.
async fn forged(world: &World, row: &Row, route: &Route) -> Tested<usize> {
    let request = || as_user(world.request(row), world.holder(route));
    let port = world.ann.address().port();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), format!("127.0.0.1.evil.example:{port}")] {
        let answer = request().header("host", host).send().await?;
        expect("a foreign host", row, answer, 421, "host_not_allowed").await?;
    }
    let answer = request().also("host", "localhost").send().await?;
    expect("two hosts", row, answer, 400, "host_not_allowed").await?;
    let foreign: &[(&str, &str)] = match row.method {
        "GET" => &[("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")],
        _ => &[
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "https://127.0.0.1"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ],
    };
    for (name, value) in foreign {
        let answer = request().header(name, *value).send().await?;
        expect(&format!("{name}: {value}"), row, answer, 403, "origin_not_allowed").await?;
    }
    Ok(4 + foreign.len())
}

/// What is too large, or cannot be read.
async fn broken(world: &World, row: &Row, route: &Route) -> Tested<usize> {
    let holder = world.holder(route);
    let mut asked = 1;
    if row.oversized == 431 {
        let answer = as_user(world.request(row), holder).header("x-filler", "x".repeat(40 * 1024)).send().await?;
        assert_eq!(answer.status, 431, "{} {}: an oversized head", row.method, row.path);
    } else if row.oversized != row.good {
        let body = json!({ "user_message": "x".repeat(LARGE), "text": "x", "title": "x" }).to_string();
        let answer = as_user(world.request(row), holder).json(body).send().await?;
        let code = if row.path == "/api/paliadin/turn" { "message_too_large" } else { "invalid_request" };
        expect("an oversized body", row, answer, row.oversized, code).await?;
    } else if row.method == "DELETE" {
        // It does what it is for: the last request of all.
        asked -= 1;
    } else {
        // No body is read, and it does what it is for, which changes nothing that is looked at.
        let answer = as_user(world.request(row), holder).json("x".repeat(LARGE)).send().await?;
        expect("a large body that is not read", row, answer, row.oversized, "").await?;
    }
    for (broken, status) in row.malformed {
        let path = world.path(row);
        let path = match broken {
            Broken::Body => path,
            Broken::Id => row.path.replace("{turn_id}", "%00..%2f").replace("{session_id}", "no-uuid"),
            Broken::Query(query) => format!("{}{query}", path.split('?').next().unwrap_or_default()),
            Broken::Path => row.path.replace("{*file}", "..%2f%ff"),
        };
        let mut request = with_token(holder, row.method, &path, &holder.token);
        if *broken == Broken::Body {
            request = request.json("{\"user_message\": \"x");
        } else if let Some(body) = World::body(row) {
            request = request.json(body);
        }
        let code = match status {
            400 => "invalid_request",
            404 => "not_found",
            _ => "",
        };
        let answer = request.send().await?;
        if code.is_empty() {
            assert_eq!(answer.status, *status, "{} {}: {broken:?}", row.method, row.path);
        } else {
            expect(&format!("{broken:?}"), row, answer, *status, code).await?;
        }
        asked += 1;
    }
    Ok(asked)
}
