//! `auth.mode = jwt`: people to whom another service gives tokens.

mod keys;

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::with_token;
use crate::harness::http::{Request, Response};
use crate::harness::{Client, TestApp, Tested};

const SECRET: &str = "a secret of another service, 32+";
const STATUS: &str = "/api/paliadin/status";
const ACTORS: &str = "/api/admin/paliadin/actors";
const ANN: &str = "0a000000-0000-4000-8000-00000000000a";

async fn with(more: &[(&str, &str)]) -> Tested<TestApp> {
    let usual = [
        ("PALIADIN_AUTH_MODE", "jwt"),
        ("PALIADIN_AUTH__JWT_KEY", ""),
        ("PALIADIN_OWNERS", "ann@example.org, bob@example.org"),
        ("PALIADIN_AUTH__MAX_ATTEMPTS", "1000"),
    ];
    TestApp::with(&[&usual, more].concat()).await
}

fn now() -> Tested<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}

/// The claims of Ann's token, with these changes; `null` takes one away.
fn claims(changes: &Value) -> Tested<Value> {
    let mut claims =
        json!({ "sub": ANN, "email": "ann@example.org", "name": "Ann", "iat": now()?, "exp": now()? + 600 });
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.as_object_mut().and_then(|claims| claims.remove(name))),
            value => claims[name] = value.clone(),
        }
    }
    Ok(claims)
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> Tested<String> {
    Ok(encode(header, claims, key)?)
}

/// A token by the secret.
fn token(changes: &Value) -> Tested<String> {
    signed(&Header::new(Algorithm::HS256), &claims(changes)?, &EncodingKey::from_secret(SECRET.as_bytes())?)
}

async fn look(app: &TestApp, path: &str, token: &str) -> Tested<Response> {
    with_token(&app.nobody(), "GET", path, token).send().await
}

async fn status(app: &TestApp, token: &str) -> Tested<u16> {
    Ok(look(app, STATUS, token).await?.status)
}

#[tokio::test]
async fn a_token_lets_in_whom_it_names_with_their_id() -> Tested {
    let app = with(&[("PALIADIN_AUTH__JWT_KEY", SECRET), ("PALIADIN_AUTH__JWT_COOKIE", "app_token")]).await?;
    let good = token(&json!({}))?;
    let mut answer = look(&app, STATUS, &good).await?;
    assert_eq!(answer.json().await?["user"]["email"], "ann@example.org");
    assert_eq!(app.cli(&["user", "list"])?, format!("{ANN}\tuser\tann@example.org"));
    let cookie = |token: &str| {
        Request::new(app.nobody().address(), "GET", STATUS).header("cookie", format!("a=b; app_token={token}")).send()
    };
    assert_eq!((cookie(&good).await?.status, cookie("x").await?.status), (200, 401));
    // She works as everyone does.
    let ann = Client { token: good.clone(), user_id: ANN.to_owned(), ..app.nobody() };
    assert_eq!(ann.response("!echo by token").await?, "by token");
    let eve = token(&json!({ "sub": "0e000000-0000-4000-8000-00000000000e", "email": "eve@example.org" }))?;
    assert_eq!(look(&app, STATUS, &eve).await?.problem().await?, "not_found");
    // The id tells people apart: whoever gets Ann's address next does not get her conversations.
    let next = token(&json!({ "sub": "0f000000-0000-4000-8000-00000000000f" }))?;
    assert_eq!(status(&app, &next).await?, 404);
    // And Ann may be given another one.
    let moved = token(&json!({ "email": "bob@example.org", "iat": now()? + 1 }))?;
    assert_eq!(look(&app, STATUS, &moved).await?.json().await?["user"]["email"], "bob@example.org");
    assert_eq!(app.cli(&["user", "list"])?, format!("{ANN}\tuser\tbob@example.org"));
    app.cli(&["user", "disable", "--email", "bob@example.org"])?;
    assert_eq!(status(&app, &moved).await?, 404);
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_not_whole_good_and_fresh_is_refused() -> Tested {
    let app = with(&[
        ("PALIADIN_AUTH__JWT_KEY", SECRET),
        ("PALIADIN_AUTH__JWT_ISSUER", "https://id.example"),
        ("PALIADIN_AUTH__JWT_AUDIENCE", "paliadin"),
    ])
    .await?;
    let good = json!({ "iss": "https://id.example", "aud": ["other", "paliadin"] });
    let with = |changes: Value| {
        let mut all = good.clone();
        all.as_object_mut().into_iter().for_each(|all| all.extend(changes.as_object().cloned().unwrap_or_default()));
        token(&all)
    };
    assert_eq!(status(&app, &with(json!({}))?).await?, 200);
    let late = now()?;
    for wrong in [
        json!({ "exp": late - 60 }),
        json!({ "exp": null }),
        json!({ "exp": "never" }),
        json!({ "nbf": late + 120 }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": null }),
        json!({ "email": null }),
        json!({ "email": "ann" }),
        json!({ "email_verified": false }),
    ] {
        let mut refused = look(&app, STATUS, &with(wrong.clone())?).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (401, "unauthenticated"), "{wrong}");
    }
    let (header, key) =
        (Header::new(Algorithm::HS256), EncodingKey::from_secret(b"another secret of 32 bytes, or so")?);
    assert_eq!(status(&app, &signed(&header, &claims(&good)?, &key)?).await?, 401);
    let whole = with(json!({}))?;
    let parts: Vec<&str> = whole.split('.').collect();
    // {"alg":"none"}, and claims that nobody signed.
    let none = "eyJhbGciOiJub25lIn0";
    for forged in [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], &none, parts[2]),
        format!("{whole}x"),
        "..".to_owned(),
        "x".repeat(20_000),
    ] {
        assert_eq!(status(&app, &forged).await?, 401, "{forged}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_a_role_with_a_newer_word() -> Tested {
    let app = with(&[("PALIADIN_AUTH__JWT_KEY", SECRET), ("PALIADIN_AUTH__JWT_ROLE_CLAIM", "roles")]).await?;
    // The clocks of two hosts may be 30 s apart, so it holds for two seconds more.
    let short = token(&json!({ "exp": now()? - 28, "roles": ["admin"], "iat": now()? - 100 }))?;
    let ann = Client { token: short.clone(), user_id: ANN.to_owned(), ..app.nobody() };
    let turn = ann.ask("!hang").await?;
    let mut stream = ann.stream(&turn, None).await?;
    stream.until("meta").await?;
    assert_eq!(look(&app, ACTORS, &short).await?.status, 200);
    let rest =
        tokio::time::timeout(std::time::Duration::from_secs(10), stream.drain()).await.map_err(|_| "still open")?;
    assert!(rest?.iter().all(|event| !event.is_final()));
    assert_eq!(status(&app, &short).await?, 401);
    // An older token does not bring a role back.
    let old = token(&json!({ "roles": ["admin"], "iat": now()? - 50 }))?;
    assert_eq!(look(&app, ACTORS, &old).await?.status, 200);
    let new = token(&json!({ "roles": [] }))?;
    assert_eq!(look(&app, ACTORS, &new).await?.status, 404);
    assert_eq!(look(&app, ACTORS, &old).await?.status, 404);
    // Nor does a token of ours: what is said of her there holds for all that is hers.
    let ours = app.cli(&["token", "create", "--email", "ann@example.org"])?;
    assert_eq!(look(&app, ACTORS, &ours).await?.status, 404);
    let future = token(&json!({ "roles": ["admin"], "iat": now()? + 100_000 }))?;
    assert_eq!(status(&app, &future).await?, 401);
    let again = token(&json!({ "roles": ["admin"], "iat": now()? + 1 }))?;
    assert_eq!((look(&app, ACTORS, &again).await?.status, look(&app, ACTORS, &ours).await?.status), (200, 200));
    Client { token: again, ..ann }.reset().await?;
    Ok(())
}

/// Whoever signs in writes down no more than what was said of them anew.
#[tokio::test]
async fn signing_in_undoes_nothing() -> Tested {
    let app = with(&[("PALIADIN_AUTH__JWT_KEY", SECRET)]).await?;
    let named = |name: &str, iat: i64| token(&json!({ "name": name, "iat": iat }));
    let (one, other) = (named("One", now()? - 2)?, named("Other", now()? - 1)?);
    for _ in 0..20 {
        assert_eq!((status(&app, &one).await?, status(&app, &other).await?), (200, 200));
    }
    // The first time, and when the other name was said; the older one does not come back.
    assert_eq!((app.audited("user.create", ANN).await?, app.audited("user.update", ANN).await?), (1, 1));
    let mut database = app.database().await?;
    assert_eq!(database.value("SELECT display_name FROM users", &[]).await?, "Other");
    app.cli(&["user", "disable", "--email", "ann@example.org"])?;
    let newer = named("Newer", now()?)?;
    for token in [&one, &other, &newer] {
        assert_eq!(status(&app, token).await?, 404);
    }
    assert_eq!(database.value("SELECT display_name FROM users", &[]).await?, "Other");
    assert!(app.cli(&["user", "list"])?.contains("disabled"));
    // An older word does not bring an address back either.
    app.cli(&["user", "enable", "--email", "ann@example.org"])?;
    let moved = token(&json!({ "email": "elsewhere@example.org", "iat": now()? + 1 }))?;
    assert_eq!((status(&app, &moved).await?, status(&app, &other).await?), (404, 404));
    Ok(())
}

#[tokio::test]
async fn a_key_that_cannot_be_used_stops_the_start() -> Tested {
    let app = TestApp::prepare(&[])?;
    let file = |name: &str, text: &str| -> Tested<String> {
        let path = app.root().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----";
    let public = "-----BEGIN PUBLIC KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PUBLIC KEY-----";
    for (variable, value, words) in [
        ("PALIADIN_AUTH__JWT_KEY", "too short a secret".to_owned(), "auth.jwt_key must have at least 32 bytes"),
        ("PALIADIN_AUTH__JWT_KEY_FILE", "/nowhere/key".to_owned(), "/nowhere/key"),
        ("PALIADIN_AUTH__JWT_KEY_FILE", file("private", private)?, "private key"),
        ("PALIADIN_AUTH__JWT_KEY_FILE", file("public", public)?, "no public key"),
        ("PALIADIN_AUTH__JWT_JWKS_FILE", file("jwks", "{\"keys\": [\"planted-word\"]}")?, "no JWK set"),
        ("PALIADIN_AUTH__JWT_JWKS_FILE", file("empty", "{\"keys\": []}")?, "no key for"),
    ] {
        let output =
            TestApp::prepare(&[("PALIADIN_AUTH_MODE", "jwt"), ("PALIADIN_AUTH__JWT_KEY", ""), (variable, &value)])?
                .run(&["serve"])?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(errors.contains(words), "{variable}: {errors}");
        for secret in ["too short a secret", "MC4CAQ", "planted-word"] {
            assert!(!errors.contains(secret), "{errors}");
        }
    }
    Ok(())
}
