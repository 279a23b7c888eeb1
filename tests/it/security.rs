//! Who may come in, and what they may reach.

mod connections;
mod gate;
mod jwt;
mod limits;
mod nginx;
mod proxy;
mod revoked;
mod routes;
mod secrets;
mod signing;
mod tokens;

use sha2::{Digest, Sha256};

use crate::harness::http::Request;
use crate::harness::{Client, TestApp, Tested};

/// A signed-in browser of this user, made in the database; its cookie's value. It ends at this moment (milliseconds).
async fn browser(app: &TestApp, user: &Client, ends: i64) -> Tested<String> {
    let value = format!("cookie-of-{}-{ends}", user.user_id);
    let hash: String = Sha256::digest(&value).iter().map(|byte| format!("{byte:02x}")).collect();
    let insert = format!(
        "INSERT INTO web_sessions (hash, user_id, expires_at, last_seen_at, created_at, updated_at) \
         VALUES (?1, ?2, {ends}, 1, 1, 1)"
    );
    app.database().await?.run(&insert, &[&hash, &user.user_id]).await?;
    Ok(value)
}

/// A request with this cookie.
fn with_cookie(user: &Client, method: &str, path: &str, value: &str) -> Request {
    Request::new(user.address(), method, path).header("cookie", format!("paliadin_session={value}"))
}

/// A request with this bearer token.
fn with_token(user: &Client, method: &str, path: &str, token: &str) -> Request {
    Request::new(user.address(), method, path).header("authorization", format!("Bearer {token}"))
}

/// Far from now.
const FAR: i64 = 4_000_000_000_000;
