//! Writes to users, tokens, web sessions and the audit log.

use serde_json::json;
use sqlx::{SqliteConnection, query};
use uuid::Uuid;

use super::statement::execute;
use crate::store::{ApiToken, AuditEntry, StoreError, User, WebSession, Written};
use crate::turn::Timestamp;

const SAVE_USER: &str = "INSERT INTO users (user_id, email, display_name, role, disabled_at, created_at, updated_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) \
     ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, display_name = excluded.display_name, \
     role = excluded.role, disabled_at = excluded.disabled_at, updated_at = excluded.updated_at";

const CREATE_TOKEN: &str = "INSERT INTO api_tokens (token_id, user_id, name, hash, scopes, expires_at, last_used_at, \
     revoked_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)";

const REVOKE_TOKEN: &str =
    "UPDATE api_tokens SET revoked_at = ?2, updated_at = ?2 WHERE token_id = ?1 AND revoked_at IS NULL";

const CREATE_WEB_SESSION: &str = "INSERT INTO web_sessions (hash, user_id, expires_at, last_seen_at, created_at, \
     updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)";

const DELETE_WEB_SESSION: &str = "DELETE FROM web_sessions WHERE hash = ?1";

const AUDIT: &str = "INSERT INTO audit_log (actor, action, target, detail, at) VALUES (?1, ?2, ?3, ?4, ?5)";

/// `Write::SaveUser`. `Constraint` where someone else has the email.
pub(super) async fn save_user(connection: &mut SqliteConnection, user: &User) -> Result<Written, StoreError> {
    let bound = query(SAVE_USER).bind(user.user_id.to_string()).bind(&user.email).bind(&user.display_name);
    let bound = bound.bind(user.role.as_str()).bind(user.disabled_at.map(|at| at.0)).bind(Timestamp::now().0);
    execute(connection, bound).await?;
    Ok(Written::Done)
}

/// `Write::CreateToken`.
pub(super) async fn create_token(connection: &mut SqliteConnection, token: &ApiToken) -> Result<Written, StoreError> {
    let bound = query(CREATE_TOKEN).bind(text(token.token_id)).bind(token.user_id.to_string()).bind(&token.name);
    let bound = bound.bind(&token.hash).bind(json!(token.scopes).to_string()).bind(token.expires_at.map(|at| at.0));
    let bound = bound.bind(token.last_used_at.map(|at| at.0)).bind(token.revoked_at.map(|at| at.0));
    execute(connection, bound.bind(Timestamp::now().0)).await?;
    Ok(Written::Done)
}

/// `Write::RevokeToken`.
pub(super) async fn revoke_token(
    connection: &mut SqliteConnection,
    token_id: Uuid,
    at: Timestamp,
) -> Result<Written, StoreError> {
    execute(connection, query(REVOKE_TOKEN).bind(text(token_id)).bind(at.0)).await.map(Written::Count)
}

/// `Write::CreateWebSession`.
pub(super) async fn create_web_session(
    connection: &mut SqliteConnection,
    session: &WebSession,
) -> Result<Written, StoreError> {
    let bound = query(CREATE_WEB_SESSION).bind(&session.hash).bind(session.user_id.to_string());
    let bound = bound.bind(session.expires_at.0).bind(session.last_seen_at.0).bind(Timestamp::now().0);
    execute(connection, bound).await?;
    Ok(Written::Done)
}

/// `Write::DeleteWebSession`.
pub(super) async fn delete_web_session(connection: &mut SqliteConnection, hash: &str) -> Result<Written, StoreError> {
    execute(connection, query(DELETE_WEB_SESSION).bind(hash)).await.map(Written::Count)
}

/// `Write::Audit`, and what other writes leave in the audit log.
pub(super) async fn audit(connection: &mut SqliteConnection, entry: &AuditEntry) -> Result<(), StoreError> {
    let bound = query(AUDIT).bind(&entry.actor).bind(&entry.action).bind(&entry.target);
    execute(connection, bound.bind(entry.detail.to_string()).bind(entry.at.0)).await.map(drop)
}

fn text(id: Uuid) -> String {
    id.hyphenated().to_string()
}
