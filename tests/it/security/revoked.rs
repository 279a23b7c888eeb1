//! Open streams of those who may not come in any more.

use std::time::Duration;

use futures_util::FutureExt;
use paliadin::http::Access;
use paliadin::http::auth::Credential;
use paliadin::server::{Server, new_token};
use paliadin::store::{Role, User, Write};
use paliadin::turn::UserId;

use super::{FAR, browser, with_cookie, with_token};
use crate::harness::{Accepted, Client, EventStream, TestApp, Tested};

/// What is promised: a stream closes within this time.
const PROMISED: Duration = Duration::from_secs(10);

/// A turn that goes on, and its stream with these credentials.
async fn open(user: &Client, token: &str) -> Tested<(Accepted, EventStream)> {
    let turn = user.ask("!hang").await?;
    let mut stream = Client::opened(with_token(user, "GET", &turn.sse_url, token)).await?;
    stream.until("meta").await?;
    Ok((turn, stream))
}

/// Waits for the end of a stream that is none of its turn's.
async fn is_closed(stream: &mut EventStream) -> Tested<bool> {
    let rest = tokio::time::timeout(PROMISED, stream.drain()).await.map_err(|_| "still open")?;
    Ok(rest?.iter().all(|event| !event.is_final()))
}

#[tokio::test]
async fn a_stream_ends_with_its_token_its_account_and_its_end() -> Tested {
    let app = TestApp::start().await?;
    let ann = app.user("ann@example.org")?;
    let create = |more: &[&str]| app.cli(&[&["token", "create", "--email", "ann@example.org"], more].concat());
    let revoked = create(&["--name", "revoked"])?;
    let (turn, mut stream) = open(&ann, &revoked).await?;
    let mut other = ann.stream(&turn, None).await?;
    other.until("meta").await?;
    let listed = app.cli(&["token", "list", "--email", "ann@example.org"])?;
    let id = listed.lines().find(|line| line.contains("\trevoked\t")).and_then(|line| line.split('\t').next());
    app.cli(&["token", "revoke", id.ok_or("no such token")?])?;
    assert!(is_closed(&mut stream).await?, "revoked");

    app.cli(&["user", "disable", "--email", "ann@example.org"])?;
    assert!(is_closed(&mut other).await?, "disabled");
    app.cli(&["user", "enable", "--email", "ann@example.org"])?;
    // The turn is as it was, and can be followed on.
    assert_eq!(ann.read(&format!("/api/paliadin/turns/{}", turn.turn_id)).await?["state"], "running");
    ann.reset().await?;
    Ok(())
}

#[tokio::test]
async fn credentials_that_say_when_they_end_are_not_waited_for() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AUTH__RECHECK", "10s")]).await?;
    let ann = app.user("ann@example.org")?;
    let short = app.cli(&["token", "create", "--email", "ann@example.org", "--expires", "3s"])?;
    let (_, mut stream) = open(&ann, &short).await?;
    let rest = tokio::time::timeout(PROMISED / 2, stream.drain()).await.map_err(|_| "still open")?;
    assert!(rest?.iter().all(|event| !event.is_final()));
    ann.reset().await?;
    Ok(())
}

#[tokio::test]
async fn signing_out_ends_that_browsers_streams_and_no_others() -> Tested {
    // Whatever ends it is no look at intervals.
    let app = TestApp::with(&[("PALIADIN_AUTH__RECHECK", "10s")]).await?;
    let ann = app.user("ann@example.org")?;
    let (mine, others) = (browser(&app, &ann, FAR).await?, browser(&app, &ann, FAR + 1).await?);
    let turn = ann.ask("!hang").await?;
    let mut streams = Vec::new();
    for cookie in [&mine, &mine, &others] {
        let mut stream = Client::opened(with_cookie(&ann, "GET", &turn.sse_url, cookie)).await?;
        stream.until("meta").await?;
        streams.push(stream);
    }
    let left = with_cookie(&ann, "POST", "/api/paliadin/sign-out", &mine).send().await?;
    assert_eq!(left.status, 204);
    assert!(is_closed(&mut streams[0]).await? && is_closed(&mut streams[1]).await?);
    assert_eq!(with_cookie(&ann, "GET", "/api/paliadin/status", &mine).send().await?.status, 401);
    assert_eq!(with_cookie(&ann, "GET", "/api/paliadin/status", &others).send().await?.status, 200);
    ann.reset().await?;
    let rest = streams[2].rest().await?;
    assert_eq!(rest.last().map(|event| event.kind.as_str()), Some("error"), "the other browser saw it to its end");
    Ok(())
}

/// There is no event stream for admins yet. This is what the guard does for each stream of a path, whatever it streams.
#[tokio::test]
async fn a_stream_for_admins_ends_with_the_role() -> Tested {
    let directory = tempfile::tempdir()?;
    let variables = [
        ("PALIADIN_STATE_DIR", directory.path().join("state").display().to_string()),
        ("PALIADIN_BACKEND", "disabled".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let server = Server::start(paliadin::config::load(None, &variables)?).await?;
    let app = server.app();
    let user = User {
        user_id: UserId(uuid::Uuid::new_v4()),
        email: "ann@example.org".to_owned(),
        display_name: String::new(),
        role: Role::Admin,
        disabled_at: None,
    };
    app.recorder.write(Write::SaveUser(user.clone())).await?;
    app.recorder.write(Write::CreateToken(new_token(user.user_id, "", "pal_x"))).await?;
    let place = |access| {
        let credential = Credential::Token(paliadin::secret::hash("pal_x"));
        app.admissions.open(app, user.user_id, credential, access, None).ok_or("no place")
    };
    let (for_admins, for_users) = (place(Access::Admin)?, place(Access::User)?);
    app.recorder.write(Write::SaveUser(User { role: Role::User, ..user.clone() })).await?;
    tokio::time::timeout(PROMISED, for_admins.over()).await.map_err(|_| "still open")?;
    // Each is looked at as often as the other: this one was, too.
    let mut other = Box::pin(for_users.over());
    assert!((&mut other).now_or_never().is_none());
    app.recorder.write(Write::SaveUser(User { disabled_at: Some(paliadin::turn::Timestamp(1)), ..user })).await?;
    tokio::time::timeout(PROMISED, other).await.map_err(|_| "still open")?;
    Ok(())
}

#[tokio::test]
async fn a_user_has_so_many_streams() -> Tested {
    let app = TestApp::with(&[("PALIADIN_SERVER__MAX_STREAMS", "2")]).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let turn = ann.ask("!hang").await?;
    let first = ann.stream(&turn, None).await?;
    let mut second = ann.stream(&turn, None).await?;
    let mut third = ann.get(&turn.sse_url).await?;
    assert_eq!((third.status, third.header("retry-after")), (429, Some("5")));
    assert_eq!(third.problem().await?, "too_many_streams");
    let theirs = bob.ask("!echo x").await?;
    bob.ended(&theirs).await?;
    second.until("meta").await?;
    drop(first);
    // The place is given up with the connection; the server has to hear of its end.
    crate::harness::eventually("a place", async || Ok((ann.get(&turn.sse_url).await?.status == 200).then_some(())))
        .await?;
    ann.reset().await?;
    Ok(())
}
