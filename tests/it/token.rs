//! The token of a turn: what it says, where it is, when it goes, and what it is good for.

mod endings;
mod hidden;
mod removal;
mod rows;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use crate::harness::planted::JWT_SECRET;
use crate::harness::{Accepted, Client, TestApp, Tested};

/// Where the token of a turn is, or would be, in the only spool there is.
fn file(app: &TestApp, turn: &Accepted) -> Tested<PathBuf> {
    Ok(app.spool()?.join(format!("in/{}.jwt", turn.turn_id)))
}

/// A turn that runs until someone ends it, with its token.
async fn hanging(app: &TestApp, user: &Client) -> Tested<(Accepted, PathBuf)> {
    let asked = json!({ "user_message": "!hang", "context": { "route": "/deals/7" } });
    let turn = user.submit(&asked).await?;
    user.stream(&turn, None).await?.until("meta").await?;
    let file = file(app, &turn)?;
    assert!(file.exists(), "no token while the turn runs");
    Ok((turn, file))
}

/// Ends it, and waits until nothing of it is left.
async fn cancelled(user: &Client, turn: &Accepted) -> Tested {
    user.cancelled(turn).await?;
    assert_eq!(user.ended(turn).await?["state"], "cancelled");
    user.session_is("idle").await
}

/// What a token says, once its signature, its audience and its time are found to be good.
fn claims(token: &str, secret: &str, audience: &str) -> Tested<Value> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[audience]);
    validation.leeway = 0;
    Ok(decode(token, &DecodingKey::from_secret(secret.as_bytes())?, &validation)?.claims)
}

fn seconds() -> Tested<i64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs().try_into()?)
}

#[tokio::test]
async fn it_says_who_asks_in_which_turn_and_until_when() -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__DEADLINE", "10min")]).await?;
    let user = app.user("ann@example.org")?;
    let before = seconds()?;
    let (turn, file) = hanging(&app, &user).await?;
    let metadata = fs::metadata(&file)?;
    assert_eq!((metadata.permissions().mode() & 0o7777, metadata.uid()), (0o600, rustix::process::geteuid().as_raw()));
    let token = fs::read_to_string(&file)?;
    let said = claims(&token, JWT_SECRET, "authenticated")?;
    assert_eq!((&said["sub"], &said["turn_id"]), (&json!(user.user_id), &json!(turn.turn_id)), "{said}");
    assert_eq!((&said["role"], &said["aud"]), (&json!("authenticated"), &json!("authenticated")), "{said}");
    let (iat, exp) = (said["iat"].as_i64().ok_or("no iat")?, said["exp"].as_i64().ok_or("no exp")?);
    assert!((before..=seconds()?).contains(&iat), "{said}");
    assert!((600..=601).contains(&(exp - iat)), "{said}");
    assert_eq!(said.as_object().map(serde_json::Map::len), Some(7), "{said}");
    assert!(claims(&token, "another secret of thirty-two bytes", "authenticated").is_err());
    cancelled(&user, &turn).await?;

    // What the agent sees in the next turn.
    let turn = user.ask("!jwt").await?;
    let row = user.ended(&turn).await?;
    let next: Value = serde_json::from_str(row["response"].as_str().ok_or("no answer")?)?;
    assert_eq!((&next["sub"], &next["turn_id"]), (&json!(user.user_id), &json!(turn.turn_id)), "{next}");
    assert_ne!(next["jti"], said["jti"]);
    // No flag tells of it.
    assert!(app.typed(&turn.turn_id)?.iter().all(|typed| typed.raw.trim_end().ends_with("] !jwt")));
    Ok(())
}

#[tokio::test]
async fn its_audience_is_configured_and_without_a_deadline_it_is_good_for_half_an_hour() -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__DEADLINE", "0s"), ("PALIADIN_AGENT__JWT_AUDIENCE", "crm")]).await?;
    let user = app.user("ann@example.org")?;
    let (turn, file) = hanging(&app, &user).await?;
    let said = claims(&fs::read_to_string(&file)?, JWT_SECRET, "crm")?;
    let (iat, exp) = (said["iat"].as_i64().ok_or("no iat")?, said["exp"].as_i64().ok_or("no exp")?);
    assert!((1_800..=1_801).contains(&(exp - iat)), "{said}");
    cancelled(&user, &turn).await
}

#[tokio::test]
async fn without_a_secret_there_is_none() -> Tested {
    let app = TestApp::with(&[("PALIADIN_JWT_SECRET", "")]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!jwt").await?, "none");
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    assert!(app.inputs_left().is_empty(), "{:?}", app.inputs_left());
    cancelled(&user, &turn).await
}

#[tokio::test]
async fn a_turn_whose_token_cannot_be_written_is_not_typed() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    app.arm_hold("intent.before")?;
    let turn = user.ask("!echo once").await?;
    app.held("intent.before").await?;
    fs::create_dir(file(&app, &turn)?)?;
    app.release("intent.before")?;
    let row = user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("bootstrap_failed")), "{row}");
    assert_eq!(user.response("!count").await?, "2");
    assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
    Ok(())
}
