//! Writes to users, tokens, web sessions and the audit log.

use serde_json::json;
use uuid::Uuid;

use super::session::{Session, arguments};
use crate::store::{ApiToken, AuditEntry, Role, StoreError, User, UserPatch, WebSession, Written};
use crate::turn::{Timestamp, UserId};

const SAVE_USER: &str = "INSERT INTO users (user_id, email, display_name, role, disabled_at, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $6) \
     ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, display_name = excluded.display_name, \
     role = excluded.role, disabled_at = excluded.disabled_at, updated_at = excluded.updated_at";

const CREATE_USER: &str = "INSERT INTO users (user_id, email, display_name, role, disabled_at, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $6)";

/// `$6` is 1 where `disabled_at` is to be changed, also to none.
const PATCH_USER: &str = "UPDATE users SET email = coalesce($2, email), display_name = coalesce($3, display_name), \
     role = coalesce($4, role), disabled_at = CASE $6 WHEN 1 THEN $5 ELSE disabled_at END, updated_at = $7 \
     WHERE user_id = $1";

const REVOKE_TOKENS_NAMED: &str = "UPDATE api_tokens SET revoked_at = $3, updated_at = $3 \
     WHERE name = $1 AND hash <> $2 AND revoked_at IS NULL";

const CREATE_TOKEN: &str = "INSERT INTO api_tokens (token_id, user_id, name, hash, scopes, expires_at, last_used_at, \
     revoked_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";

const REVOKE_TOKEN: &str =
    "UPDATE api_tokens SET revoked_at = $2, updated_at = $2 WHERE token_id = $1 AND revoked_at IS NULL";

const NOTE_TOKEN_USE: &str = "UPDATE api_tokens SET last_used_at = $2, updated_at = $2 WHERE token_id = $1 \
     AND (last_used_at IS NULL OR last_used_at < $2)";

const NOTE_WEB_SESSION: &str =
    "UPDATE web_sessions SET last_seen_at = $2, updated_at = $2 WHERE hash = $1 AND last_seen_at < $2";

const DROP_WEB_SESSIONS: &str = "DELETE FROM web_sessions WHERE expires_at <= $1";

const CREATE_WEB_SESSION: &str = "INSERT INTO web_sessions (hash, user_id, expires_at, last_seen_at, created_at, \
     updated_at) VALUES ($1, $2, $3, $4, $5, $5)";

const DELETE_WEB_SESSION: &str = "DELETE FROM web_sessions WHERE hash = $1";

const AUDIT: &str = "INSERT INTO audit_log (actor, action, target, detail, at) VALUES ($1, $2, $3, $4, $5)";

/// `Write::SaveUser`. `Constraint` where someone else has the email.
pub(super) async fn save_user<S: Session>(session: &mut S, user: &User) -> Result<Written, StoreError> {
    let (role, now) = (user.role.as_str(), Timestamp::now());
    let arguments = arguments![user.user_id, &user.email, &user.display_name, role, user.disabled_at, now];
    session.execute(SAVE_USER, arguments).await?;
    Ok(Written::Done)
}

/// `Write::CreateUser`.
pub(super) async fn create_user<S: Session>(
    session: &mut S,
    user: &User,
    entry: &AuditEntry,
) -> Result<Written, StoreError> {
    let (role, now) = (user.role.as_str(), Timestamp::now());
    let arguments = arguments![user.user_id, &user.email, &user.display_name, role, user.disabled_at, now];
    session.execute(CREATE_USER, arguments).await?;
    audit(session, entry).await?;
    Ok(Written::Done)
}

/// `Write::PatchUser`.
pub(super) async fn patch_user<S: Session>(
    session: &mut S,
    user_id: UserId,
    patch: &UserPatch,
    entry: &AuditEntry,
) -> Result<Written, StoreError> {
    let shut = i64::from(patch.disabled_at.is_some());
    let role = patch.role.map(Role::as_str);
    let since = patch.disabled_at.flatten();
    let arguments = arguments![user_id, &patch.email, &patch.display_name, role, since, shut, Timestamp::now()];
    let changed = session.execute(PATCH_USER, arguments).await?;
    if changed > 0 {
        audit(session, entry).await?;
    }
    Ok(Written::Count(changed))
}

/// `Write::RevokeTokensNamed`.
pub(super) async fn revoke_tokens_named<S: Session>(
    session: &mut S,
    name: &str,
    except: &str,
    at: Timestamp,
) -> Result<Written, StoreError> {
    session.execute(REVOKE_TOKENS_NAMED, arguments![name, except, at]).await.map(Written::Count)
}

/// `Write::CreateToken`.
pub(super) async fn create_token<S: Session>(session: &mut S, token: &ApiToken) -> Result<Written, StoreError> {
    let arguments = arguments![
        token.token_id,
        token.user_id,
        &token.name,
        &token.hash,
        json!(token.scopes).to_string(),
        token.expires_at,
        token.last_used_at,
        token.revoked_at,
        Timestamp::now(),
    ];
    session.execute(CREATE_TOKEN, arguments).await?;
    Ok(Written::Done)
}

/// `Write::RevokeToken`.
pub(super) async fn revoke_token<S: Session>(
    session: &mut S,
    token_id: Uuid,
    at: Timestamp,
) -> Result<Written, StoreError> {
    session.execute(REVOKE_TOKEN, arguments![token_id, at]).await.map(Written::Count)
}

/// `Write::NoteTokenUse`.
pub(super) async fn note_token_use<S: Session>(
    session: &mut S,
    token_id: Uuid,
    at: Timestamp,
) -> Result<Written, StoreError> {
    session.execute(NOTE_TOKEN_USE, arguments![token_id, at]).await.map(Written::Count)
}

/// `Write::NoteWebSession`.
pub(super) async fn note_web_session<S: Session>(
    session: &mut S,
    hash: &str,
    at: Timestamp,
) -> Result<Written, StoreError> {
    session.execute(NOTE_WEB_SESSION, arguments![hash, at]).await.map(Written::Count)
}

/// `Write::CreateWebSession`.
pub(super) async fn create_web_session<S: Session>(
    session: &mut S,
    browser: &WebSession,
) -> Result<Written, StoreError> {
    let now = Timestamp::now();
    let arguments = arguments![&browser.hash, browser.user_id, browser.expires_at, browser.last_seen_at, now];
    session.execute(DROP_WEB_SESSIONS, arguments![browser.last_seen_at]).await?;
    session.execute(CREATE_WEB_SESSION, arguments).await?;
    Ok(Written::Done)
}

/// `Write::DeleteWebSession`.
pub(super) async fn delete_web_session<S: Session>(session: &mut S, hash: &str) -> Result<Written, StoreError> {
    session.execute(DELETE_WEB_SESSION, arguments![hash]).await.map(Written::Count)
}

/// `Write::Audit`, and what other writes leave in the audit log.
pub(super) async fn audit<S: Session>(session: &mut S, entry: &AuditEntry) -> Result<(), StoreError> {
    let arguments = arguments![&entry.actor, &entry.action, &entry.target, entry.detail.to_string(), entry.at];
    session.execute(AUDIT, arguments).await.map(drop)
}
