//! `auth.mode = proxy`: people whom a proxy has signed in.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::harness::http::{Request, Response};
use crate::harness::{TestApp, Tested};

/// Where the proxy is, and where somebody else is.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

const STATUS: &str = "/api/paliadin/status";
const ACTORS: &str = "/api/admin/paliadin/actors";

async fn with(more: &[(&str, &str)]) -> Tested<TestApp> {
    let usual = [
        ("PALIADIN_AUTH_MODE", "proxy"),
        ("PALIADIN_AUTH__PROXY_ADDRESSES", "127.0.0.2"),
        ("PALIADIN_AUTH__PROXY_SECRET", ""),
        ("PALIADIN_OWNERS", "ann@example.org, bob@example.org"),
    ];
    TestApp::with(&[&usual, more].concat()).await
}

/// A request as the proxy sends it on for this person.
fn forwarded(app: &TestApp, path: &str, email: &str) -> Request {
    Request::new(app.nobody().address(), "GET", path).from(PROXY).header("x-forwarded-email", email)
}

async fn email(mut answer: Response) -> Tested<Value> {
    Ok(answer.json().await?["user"]["email"].clone())
}

#[tokio::test]
async fn the_proxys_word_counts_and_nobody_elses() -> Tested {
    let app = with(&[]).await?;
    assert_eq!(email(forwarded(&app, STATUS, "ann@example.org").send().await?).await?, "ann@example.org");
    let claim = |from: Ipv4Addr| forwarded(&app, STATUS, "ann@example.org").from(from);
    for from in [OTHER, Ipv4Addr::LOCALHOST] {
        let mut refused = claim(from).send().await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (401, "unauthenticated"), "{from}");
        // Nor does it help to say that one is the proxy.
        let refused = claim(from).header("x-forwarded-for", PROXY.to_string()).send().await?;
        assert_eq!(refused.status, 401);
    }
    for wrong in ["", "ann", "ann@example.org, bob@example.org ", "@example.org", "ann@"] {
        assert_eq!(forwarded(&app, STATUS, wrong).send().await?.status, 401, "{wrong:?}");
    }
    let twice = forwarded(&app, STATUS, "bob@example.org").also("x-forwarded-email", "ann@example.org");
    assert_eq!(twice.send().await?.status, 401, "which of the two?");
    // What the proxy passes on of the person's own says nothing; a token of ours does.
    let theirs = forwarded(&app, STATUS, "ann@example.org").header("authorization", "Bearer eyJ.x.y");
    assert_eq!(theirs.send().await?.status, 200);
    app.cli(&["user", "add", "--email", "bob@example.org"])?;
    let token = app.cli(&["token", "create", "--email", "bob@example.org"])?;
    for from in [PROXY, OTHER] {
        let bob =
            forwarded(&app, STATUS, "ann@example.org").from(from).header("authorization", format!("Bearer {token}"));
        assert_eq!(email(bob.send().await?).await?, "bob@example.org");
    }
    let wrong = forwarded(&app, STATUS, "ann@example.org").header("authorization", "Bearer pal_wrong");
    assert_eq!(wrong.send().await?.status, 401, "who sends one of our tokens means it");
    Ok(())
}

#[tokio::test]
async fn people_on_the_list_get_an_account_when_they_are_first_seen() -> Tested {
    let app = with(&[("PALIADIN_AUTH__PROXY_NAME_HEADER", "X-Name")]).await?;
    // Both at once: there is one account all the same.
    let look = || forwarded(&app, STATUS, "ann@example.org").header("x-name", "Ann J\u{fc}rgens").send();
    let (one, other) = tokio::join!(look(), look());
    assert_eq!((one?.status, other?.status), (200, 200));
    let mut stranger = forwarded(&app, STATUS, "eve@example.org").send().await?;
    assert_eq!((stranger.status, stranger.problem().await?.as_str()), (404, "not_found"));
    assert_eq!(forwarded(&app, STATUS, "ANN@example.org").send().await?.status, 200);
    let listed = app.cli(&["user", "list"])?;
    let emails: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    assert_eq!(emails, ["ann@example.org"], "nobody else, and no owner of this host");
    let id = listed.split('\t').next().unwrap_or_default();
    assert_eq!(app.audited("user.create", id).await?, 1);
    let mut database = app.database().await?;
    assert_eq!(database.value("SELECT display_name FROM users", &[]).await?, "Ann J\u{fc}rgens");
    app.cli(&["user", "disable", "--email", "ann@example.org"])?;
    assert_eq!(forwarded(&app, STATUS, "ann@example.org").send().await?.status, 404);
    assert!(!app.state().join("cli.token").exists(), "nobody comes in by being here");
    Ok(())
}

#[tokio::test]
async fn roles_come_from_the_header_the_configuration_or_the_account() -> Tested {
    let app = with(&[
        ("PALIADIN_AUTH__PROXY_ROLE_HEADER", "X-Groups"),
        ("PALIADIN_AUTH__ADMIN_ROLE", "operators"),
        ("PALIADIN_AUTH__ADMINS", "bob@example.org"),
    ])
    .await?;
    let actors = async |email: &str, groups: &str| {
        Tested::Ok(forwarded(&app, ACTORS, email).header("x-groups", groups).send().await?.status)
    };
    assert_eq!(actors("ann@example.org", "staff,operators").await?, 200);
    assert_eq!(actors("ann@example.org", "staff").await?, 404);
    assert_eq!(actors("ann@example.org", "").await?, 404);
    assert_eq!(actors("bob@example.org", "").await?, 200);
    let app = with(&[]).await?;
    let ann = || forwarded(&app, ACTORS, "ann@example.org").send();
    assert_eq!(ann().await?.status, 404);
    app.cli(&["user", "role", "--email", "ann@example.org", "--role", "admin"])?;
    assert_eq!(ann().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_proxy_may_have_to_prove_itself() -> Tested {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let app = with(&[("PALIADIN_AUTH__PROXY_SECRET", SECRET)]).await?;
    let ann = || forwarded(&app, STATUS, "ann@example.org");
    assert_eq!(ann().send().await?.status, 401);
    assert_eq!(ann().header("x-paliadin-proxy-secret", &SECRET[1..]).send().await?.status, 401);
    assert_eq!(ann().header("x-paliadin-proxy-secret", SECRET).send().await?.status, 200);
    assert_eq!(ann().header("x-paliadin-proxy-secret", SECRET).from(OTHER).send().await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn behind_a_proxy_each_address_has_its_own_attempts() -> Tested {
    let app = with(&[("PALIADIN_AUTH__MAX_ATTEMPTS", "3")]).await?;
    let attempt = async |from: Ipv4Addr, forwarded_for: &str| {
        let request = Request::new(app.nobody().address(), "GET", STATUS).from(from);
        let request = request.header("authorization", "Bearer pal_wrong").header("x-forwarded-for", forwarded_for);
        Tested::Ok(request.send().await?.status)
    };
    for number in 0..6 {
        // The first entries are the client's own word, and change nothing.
        let status = attempt(PROXY, &format!("198.51.100.{number}, 203.0.113.7")).await?;
        assert_eq!(status, if number < 3 { 401 } else { 429 }, "{number}");
    }
    assert_eq!(attempt(PROXY, "203.0.113.8:4711").await?, 401);
    for number in 0..4 {
        // Who is no proxy cannot say where it is.
        let status = attempt(OTHER, &format!("203.0.113.{number}")).await?;
        assert_eq!(status, if number < 3 { 401 } else { 429 }, "{number}");
    }
    Ok(())
}

#[tokio::test]
async fn a_browser_is_sent_to_where_it_can_sign_in() -> Tested {
    let app = with(&[("PALIADIN_AUTH__SIGN_IN_URL", "https://app.example/sign-in?a=1&b=\"")]).await?;
    let open = |language: &str| {
        let page = Request::new(app.nobody().address(), "GET", "/paliadin").from(OTHER);
        page.header("accept", "text/html").header("accept-language", language).send()
    };
    let mut page = open("en").await?;
    let text = page.text().await?;
    assert_eq!(page.status, 401);
    assert!(text.contains("<a href=\"https://app.example/sign-in?a=1&amp;b=&quot;\">"), "{text}");
    assert!(!text.contains("token="), "there are no links here: {text}");
    assert!(open("de").await?.text().await?.contains("Zur Anmeldung"));
    Ok(())
}

#[tokio::test]
async fn where_others_sign_people_in_the_server_listens_beyond_this_host() -> Tested {
    let mut app = with(&[("PALIADIN_LISTEN", "0.0.0.0:0")]).await?;
    assert!(app.printed("sign in:").await?.contains("by the proxy at 127.0.0.2/32"));
    assert_eq!(forwarded(&app, STATUS, "ann@example.org").header("host", "localhost").send().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_command_lines_own_token_ends_with_local_mode() -> Tested {
    let mut app = TestApp::start().await?;
    let owner = app.owner()?;
    assert_eq!(owner.get(ACTORS).await?.status, 200);
    // The owner is another one, and then nobody; somebody has kept a copy of the file.
    app.set("PALIADIN_OWNERS", "bob@example.org, owner@localhost");
    app.restart(rustix::process::Signal::TERM).await?;
    assert_eq!(owner.get(ACTORS).await?.status, 401);
    let owner = app.owner()?;
    assert_eq!(owner.get(ACTORS).await?.status, 200);
    std::fs::remove_file(app.state().join("cli.token"))?;
    app.set("PALIADIN_AUTH_MODE", "proxy");
    app.set("PALIADIN_AUTH__PROXY_ADDRESSES", "127.0.0.2");
    app.restart(rustix::process::Signal::TERM).await?;
    assert_eq!(owner.get(ACTORS).await?.status, 401);
    assert!(!app.state().join("cli.token").exists());
    Ok(())
}
